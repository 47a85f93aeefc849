"""Tasks: the background work of the live parts, whose failures are logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

logger = logging.getLogger(__name__)

RESTART_AFTER = 1.0  # seconds
# Seconds until work that did not end is cancelled again: in Python 3.11, `wait_for` can lose a
# cancellation. A leader needs up to 6 s to store its last quotes.
CANCEL_AGAIN = 8.0

Work = Callable[[], Awaitable[None]]


class Tasks:
    """Runs work in the background: kept running until `stop`, or once."""

    def __init__(self) -> None:
        self.running: set[asyncio.Task[None]] = set()
        self.stopped = False

    def keep(self, work: Work) -> None:
        """Run work until `stop`, and start it again if it ends or fails."""
        self._begin(self._kept(work))

    def soon(self, work: Work) -> asyncio.Task[None]:
        """Run work once, unless all work was stopped."""
        return self._begin(_nothing() if self.stopped else _logged(work))

    async def stop(self) -> None:
        """Cancel all work and wait for its end."""
        self.stopped = True  # `_kept` goes on if a TaskGroup fails while it is cancelled
        while tasks := list(self.running):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=CANCEL_AGAIN)

    async def _kept(self, work: Work) -> None:
        while not self.stopped:
            await _logged(work)
            await asyncio.sleep(RESTART_AFTER)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        return task


async def _nothing() -> None:
    pass


async def _logged(work: Work) -> None:
    try:
        await work()
    except Exception:
        logger.exception("a background task failed")
