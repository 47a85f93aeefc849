"""Sockets, driven through the site's whole ASGI application."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.core.management import call_command

from quotes import live


def socket(path: str, origin: str = "http://testserver") -> WebsocketCommunicator:
    from quoteboard.asgi import application

    headers = [(b"host", b"testserver"), (b"origin", origin.encode())]
    return WebsocketCommunicator(application, path, headers=headers)


async def load() -> None:
    await sync_to_async(call_command)("loadcatalogue", verbosity=0)


async def test_a_socket_begins_with_everything_its_page_shows(live_parts: Any, make_quote: Any):
    await load()
    await live_parts.reload()
    live_parts.store.put(
        (1, 1), [make_quote("BTC-USD", "64000.01", received_at=live_parts.store.clock())]
    )
    page = socket("/ws/cryptoupdates/")
    assert (await page.connect())[0]
    first = await page.receive_from()
    assert 'data-symbol="BTC-USD"' in first
    assert 'value="64000.01"' in first
    assert 'data-symbol="ETH-USD"' in first
    assert "data-flash" not in first
    await page.disconnect()
