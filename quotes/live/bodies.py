"""Bodies: a request is refused before too large a body is in memory or on the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from quotes import conf, live
from quotes.limits import Refused, address_of, answer

DISCARD_FOR = 5.0  # seconds; many clients read the answer only when they have sent their body


def max_body(scope: Mapping[str, Any]) -> int | None:
    """Return how many bytes the body of a request may have; None means any number.

    An address that takes larger bodies gets its own limit here, after a check of permissions.
    """
    limit: int | None = conf.get("MAX_BODY_BYTES")
    return limit


def too_large(limit: int) -> Refused:
    """Return the refusal of a body."""
    return Refused("body", 413, f"The body of a request may have at most {limit:,} bytes.")


def count(refused: Refused, address: str) -> None:
    """Count the refusal of a request, if the live parts run."""
    if running := live.current():
        running.limits.count(refused, address, "a request")


def bounded(application: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse a body above the limit: at once if its length is known, else while it arrives."""

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        limit = max_body(scope)
        if limit is None:
            await application(scope, receive, send)
            return
        body = _Body(scope, receive, send, limit)
        if _length(scope) > limit:
            await body.refuse()
        else:
            await application(scope, body.receive, body.send)

    return wrapped


def _length(scope: Mapping[str, Any]) -> int:
    """Return the length of a body as its headers state it; servers refuse an invalid one."""
    given = (value for name, value in scope["headers"] if name == b"content-length")
    return max((int(value) for value in given if value.isdigit()), default=0)


class _Body:
    """The messages of one request, between server and application."""

    def __init__(self, scope: Mapping[str, Any], receive: Any, send: Any, limit: int) -> None:
        self._scope, self._receive, self._send, self._limit = scope, receive, send, limit
        self._received, self._answered, self._refused = 0, False, False

    async def receive(self) -> Any:
        """Return the next message; for the application, a body that is too large ends early."""
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self._received <= self._limit:
            return message
        if not (self._answered or self._refused):
            await self.refuse(more=message.get("more_body", False))
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """Send a message of the application, unless the request was refused."""
        if not self._refused:
            self._answered = True
            await self._send(message)

    async def refuse(self, *, more: bool = True) -> None:
        """Answer that the body is too large, and discard the rest of it for a while."""
        self._refused, refused = True, too_large(self._limit)
        count(refused, address_of(self._scope))
        status, headers, body = answer(refused)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_FOR):
                while more:
                    more = (await self._receive()).get("more_body", False)
        await self._send({"type": "http.response.body"})
