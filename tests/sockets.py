"""Sockets to the site in this process, as patient as a busy machine needs them."""

from __future__ import annotations

from typing import Any

from channels.testing import WebsocketCommunicator

from tests.servers import PATIENCE


class Page(WebsocketCommunicator):
    """The socket of one page: everything may take a minute, where Channels waits for a second."""

    async def connect(self, timeout: float = PATIENCE) -> tuple[bool, Any]:
        return await super().connect(timeout)

    async def receive_output(self, timeout: float = PATIENCE) -> dict[str, Any]:
        return await super().receive_output(timeout)

    async def receive_from(self, timeout: float = PATIENCE) -> str:
        return await super().receive_from(timeout)

    async def disconnect(self, code: int = 1000, timeout: float = PATIENCE) -> None:
        await super().disconnect(code, timeout)


def socket(path: str, origin: str = "http://testserver") -> Page:
    """Return a socket that is not open yet."""
    from quoteboard.asgi import application

    headers = [(b"host", b"testserver"), (b"origin", origin.encode())]
    return Page(application, path, headers=headers)


async def opened(path: str) -> tuple[Page, str]:
    """Open a socket; return it with its first message."""
    page = socket(path)
    accepted, code = await page.connect()
    assert accepted, f"{path} was refused with {code}"
    return page, await page.receive_from()
