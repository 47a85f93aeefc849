"""Compressed frames of `serve`: the same messages in a tenth of the bytes, for any client."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from socket import create_connection
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect

from tests.servers import PATIENCE, Site, site

pytestmark = pytest.mark.server

BOARD = "/ws/boards/crypto/"
# what clients offer: browsers, Python's websockets, the smallest window, one that keeps a context
OFFERS: dict[str, dict[str, Any]] = {
    "of browsers": {"client_max_window_bits": True},
    "a smaller window": {"server_max_window_bits": 12, "client_max_window_bits": 12},
    "the smallest window": {"server_max_window_bits": 9},
    "no context": {"server_no_context_takeover": True, "client_no_context_takeover": True},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, database_template: Path) -> Iterator[Site]:
    """The site under uvicorn."""
    with site(tmp_path_factory.mktemp("frames"), database_template, "uvicorn") as running:
        yield running


def open_board(served: Site, offer: dict[str, Any] | None) -> Any:
    extensions = None if offer is None else [ClientPerMessageDeflateFactory(**offer)]
    given: dict[str, Any] = {"extensions": extensions, "compression": None, "max_size": None}
    return connect(served.ws + BOARD, origin=served.url, **given)


def end(page: Any) -> int:
    """Wait until a socket is closed; return the code."""
    with suppress(ConnectionClosed):
        while True:
            page.recv(PATIENCE)
    return page.close_code


def codes(message: str) -> list[str]:
    return re.findall(r'data-symbol="([^"]*)"', message)


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_whoever_offers_compression_reads_what_others_read(served: Site, offer: dict[str, Any]):
    with open_board(served, None) as plain, open_board(served, offer) as page:
        assert [each.name for each in page.protocol.extensions] == ["permessage-deflate"]
        assert codes(page.recv(PATIENCE)) == codes(plain.recv(PATIENCE))
        later = [page.recv(PATIENCE) for _ in range(5)]
        assert any(codes(message) for message in later)


def first_frame(served: Site, *headers: str) -> bytes:
    """Return the header of the first frame that a socket gets: two bytes, then its length."""
    lines = [
        f"GET {BOARD} HTTP/1.1",
        f"Host: 127.0.0.1:{served.port}",
        f"Origin: {served.url}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    with create_connection(("127.0.0.1", served.port), timeout=PATIENCE) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        received = connection.makefile("rb")
        while received.readline() != b"\r\n":
            pass
        return received.read(10)


def test_a_browser_gets_a_tenth_of_the_bytes(served: Site):
    # RFC 6455, 5.2: a final text frame with a length of 64 bits, and one compressed, of 16 bits
    kind, form, *length = first_frame(served)
    assert (kind, form) == (0x81, 127)
    whole = int.from_bytes(bytes(length))
    kind, form, *length = first_frame(served, "Sec-WebSocket-Extensions: permessage-deflate")
    assert (kind, form) == (0xC1, 126)
    assert int.from_bytes(bytes(length[:2])) < whole / 10


def test_a_message_that_is_too_large_when_unpacked_ends_its_socket(served: Site):
    before = served.log.read_text()
    with open_board(served, OFFERS["of browsers"]) as page:
        page.send("0" * 10_000_000)
        assert end(page) == 1009
    assert "Traceback" not in served.log.read_text().removeprefix(before)


def test_what_can_not_be_unpacked_ends_its_socket(served: Site):
    before = served.log.read_text()
    with open_board(served, OFFERS["of browsers"]) as page:
        page.socket.sendall(b"\xc1\x84\0\0\0\0\xff\xff\xff\xff")
        assert end(page) == 1002
    assert "Traceback" not in served.log.read_text().removeprefix(before)
