"""Answers that a server gives by itself, with the headers of all other answers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from quotes.limits.answers import Refused, answer

INVALID_HANDSHAKE = Refused("handshake", 400, "The request for a socket is not valid.")


def raw(refused: Refused, *, with_body: bool = True) -> bytes:
    """Return an answer of HTTP/1.1, after which the connection is closed.

    Pass with_body=False for a HEAD request.
    """
    status, headers, body = answer(refused)
    body = body if with_body else b""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
    return b"\r\n".join([*lines, *(b": ".join(header) for header in headers), b"", body])


def with_headers(protocol: Any) -> Any:
    """Return a protocol of uvicorn whose own answers have the headers of all other answers."""

    def send_400_response(words: str) -> None:
        protocol.transport.write(raw(Refused("request", 400, words)))
        protocol.transport.close()

    protocol.send_400_response = send_400_response
    return protocol
