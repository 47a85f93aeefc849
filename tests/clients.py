"""Clients of a running site: a handshake as it is sent, and how a socket ended."""

from __future__ import annotations

from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.servers import PATIENCE, Site


def end(page: Any) -> int:
    """Wait until a socket is closed; return the code."""
    while True:
        try:
            page.recv(timeout=PATIENCE)
        except ConnectionClosed:
            return page.close_code


def handshake(running: Site, *more: str, path: str = "/ws/quotes/?symbols=AAPL") -> bytes:
    """A request for a socket, with more headers."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{running.port}",
        f"Origin: {running.url}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==",
        "Sec-WebSocket-Version: 13",
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin1")
