"""The live parts of this process, which the first caller starts."""

from __future__ import annotations

import asyncio

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.urls import set_script_prefix

from quotes import conf
from quotes.limits import address_of
from quotes.limits.answers import Refused
from quotes.live import polled
from quotes.live.live import Live

__all__ = [
    "Live",
    "close_sockets",
    "current",
    "ended",
    "ensure_started",
    "known_to",
    "live_for",
    "stop",
]

_live: Live | None = None
_starting: asyncio.Task[None] | None = None
_server_ends = False  # whether the server of this process ends


def current() -> Live | None:
    """Return the live parts of this process, or None if they do not run."""
    return _live


def count_refusal(refused: Refused, host: str, what: str = "a socket") -> None:
    """Count what a server refuses by itself to a client's address, if the live parts run."""
    if _live is not None:
        _live.limits.count(refused, address_of({"client": [host]}), what)


def ended() -> bool:
    """Return whether the live parts were stopped because the server of this process ends."""
    return _server_ends and _live is None


async def ensure_started() -> Live:
    """Start the live parts of this process, once, and return them."""
    global _live, _starting, _server_ends  # noqa: PLW0603
    # messages have links, and Django sets the prefix of links only for requests of pages
    set_script_prefix(f"{conf.prefix()}/")
    if _live is None:
        _server_ends = False
        _live = Live()
        _starting = asyncio.create_task(_live.start(feed=conf.get("FEED") == "inline"))
    live = _live
    if _starting is not None:
        try:
            await asyncio.shield(_starting)
        except Exception:
            await stop()  # the next caller may try again
            raise
    return live


def use(live: Live | None) -> None:
    """Make these the live parts of this process without starting them, for the tests of a site."""
    global _live, _starting
    _live, _starting = live, None


async def live_for(request: HttpRequest) -> Live:
    """Return the live parts for a request: those of this process or, under WSGI, its own ones."""
    if _live is not None or isinstance(request, ASGIRequest):
        return await ensure_started()
    if known := known_to(request):
        return known
    live = await polled.read()
    request.quotes_live = live  # type: ignore[attr-defined]  # for the tags of its page
    return live


def known_to(request: HttpRequest | None) -> Live | None:
    """Return the live parts of this process or, under WSGI, those that a view made for a request.

    Return None if there are none.
    """
    return _live or getattr(request, "quotes_live", None)


async def close_sockets(code: int) -> None:
    """Close the sockets of this process with a code, before its server ends."""
    global _server_ends  # noqa: PLW0603
    _server_ends = True
    if _live is not None:
        await _live.close_sockets(code)


async def stop() -> None:
    """Stop the live parts of this process."""
    global _live, _starting
    stopping, starting, _live, _starting = _live, _starting, None, None
    if starting is not None:
        starting.cancel()  # it may wait for its database
    if stopping is not None:
        await stopping.stop()
