"""Daphne: starts and stops the live parts with a server that has no lifespan."""

from __future__ import annotations

import asyncio
import sys

from quotes import live
from quotes.limits import RESTARTS_DAPHNE


async def begin() -> None:
    """Start the live parts of this process, if they do not run yet."""
    if live.current() is None:
        _stop_with_reactor()
    await live.ensure_started()


def _stop_with_reactor() -> None:
    if reactor := sys.modules.get("twisted.internet.reactor"):
        from twisted.internet.defer import Deferred  # noqa: PLC0415  serve does without twisted

        reactor.addSystemEventTrigger(
            "before", "shutdown", lambda: Deferred.fromFuture(asyncio.ensure_future(_end()))
        )


async def _end() -> None:
    """Close the sockets of this process, then stop its live parts."""
    await live.close_sockets(RESTARTS_DAPHNE)
    await live.stop()
