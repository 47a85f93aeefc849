"""Bodies: a request is refused before too large a body is in memory or on the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from quotes import conf, live
from quotes.limits.answers import Refused, answer

DISCARD_FOR = 5.0  # seconds; many clients read the answer only when they have sent their body


def too_large(limit: int) -> Refused:
    """Return the refusal of a body."""
    return Refused("body", 413, f"The body of a request may have at most {limit:,} bytes.")


def bounded(application: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse a body above the limit: at once if its length is known, else while it arrives."""

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        limit = conf.get("MAX_BODY_BYTES")
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
        live.count_refusal(refused, (self._scope.get("client") or [""])[0], "a request")
        status, headers, body = answer(refused)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_FOR):
                while more:
                    more = (await self._receive()).get("more_body", False)
        await self._send({"type": "http.response.body"})
