"""Answers to refused requests and sockets, and the headers of every answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The headers of every answer, if nothing else is stated for it. docs/operations.md has the table.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": (
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
        "magnetometer=(), microphone=(), midi=(), payment=(), usb=()"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Refused(Exception):
    """Raised when a request or a socket is refused, or a socket must be closed.

    It has a reason code, a text and an HTTP status.
    """

    def __init__(self, reason: str, status: int, message: str) -> None:
        super().__init__(message)
        self.reason, self.status = reason, status


def answer(refused: Refused) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return the status, the headers and the body of the answer to a refused request or socket."""
    body = str(refused).encode()
    headers = HEADERS | {"Content-Type": "text/plain; charset=utf-8", "Connection": "close"}
    headers["Content-Length"] = str(len(body))
    return refused.status, [(k.lower().encode(), v.encode()) for k, v in headers.items()], body


async def refuse(scope: Mapping[str, Any], send: Any, refused: Refused) -> None:
    """Refuse a request, or a socket before it is accepted, with the text if that can be sent."""
    kind = "websocket.http" if scope["type"] == "websocket" else "http"
    if kind != "http" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close"})  # servers answer 403
        return
    status, headers, body = answer(refused)
    await send({"type": f"{kind}.response.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.response.body", "body": body})
