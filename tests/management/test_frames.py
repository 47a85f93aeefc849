"""Compressed frames of `serve`: the same messages in fewer bytes, for any client."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from socket import create_connection
from typing import Any

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect

from quotes.live.hub import Message
from quotes.management.frames import frame
from tests.clients import end, handshake
from tests.servers import PATIENCE, Site, eventually, site

pytestmark = pytest.mark.server

BOARD = "/ws/boards/crypto/"
# what clients offer, and whether they get compressed frames
OFFERS: dict[str, tuple[dict[str, Any], bool]] = {
    "what browsers offer": ({"client_max_window_bits": True}, True),
    "no context": ({"server_no_context_takeover": True, "client_no_context_takeover": True}, True),
    "a small window to send": ({"client_max_window_bits": 9}, True),
    "what Python's websockets offer": ({"server_max_window_bits": 12}, False),
    "the smallest window": ({"server_max_window_bits": 8}, False),
}
BROWSER = OFFERS["what browsers offer"][0]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, database_template: Path) -> Iterator[Site]:
    """The site under uvicorn."""
    with site(tmp_path_factory.mktemp("frames"), database_template, "uvicorn") as running:
        yield running


def open_board(served: Site, offer: dict[str, Any] | None) -> Any:
    extensions = None if offer is None else [ClientPerMessageDeflateFactory(**offer)]
    given: dict[str, Any] = {"extensions": extensions, "compression": None, "max_size": None}
    given |= {"open_timeout": PATIENCE}
    return connect(served.ws + BOARD, origin=served.url, **given)


def codes(message: str) -> list[str]:
    return re.findall(r'data-symbol="([^"]*)"', message)


@pytest.mark.parametrize(("offer", "gets"), OFFERS.values(), ids=OFFERS)
def test_whatever_a_client_offers_it_reads_what_others_read(
    served: Site, offer: dict[str, Any], gets: bool
):
    with open_board(served, None) as plain, open_board(served, offer) as page:
        assert bool(page.protocol.extensions) == gets
        assert codes(page.recv(PATIENCE)) == codes(plain.recv(PATIENCE))
        later = {page.recv(PATIENCE) for _ in range(8)}
        # both hear the same pages' messages, if not from the same one on
        eventually(lambda: plain.recv(PATIENCE) in later, "the same message")


@pytest.mark.parametrize("compressed", [False, True])
def test_a_message_is_made_a_frame_once(compressed: bool):
    message = Message("<p>" * 1000)
    assert frame(message, compressed=compressed) is frame(message, compressed=compressed)
    assert len(frame(message, compressed=True)) < 100 < len(frame(message, compressed=False))


def first_frame(served: Site, path: str, *headers: str) -> bytes:
    """Return the header of the first frame that a socket gets: two bytes, then its length."""
    with create_connection(("127.0.0.1", served.port), timeout=PATIENCE) as connection:
        connection.sendall(handshake(served, *headers, path=path))
        received = connection.makefile("rb")
        while received.readline() != b"\r\n":
            pass
        return received.read(10)


def test_a_browser_gets_a_small_part_of_the_bytes(served: Site):
    page = served.get(BOARD.removeprefix("/ws"))
    codes = ",".join(re.findall(r'<tr id="[^"]*" class="quote" data-symbol="([^"]*)"', page))
    # how small depends on the prices; the first message of a board has drawings, too
    for path, part in ((f"/ws/quotes/?panel={codes}", 8), (BOARD, 6)):
        # RFC 6455, 5.2: a final text frame with a length of 64 bits, and one compressed, of 16 bits
        kind, form, *length = first_frame(served, path)
        assert (kind, form) == (0x81, 127)
        whole = int.from_bytes(bytes(length))
        deflate = "Sec-WebSocket-Extensions: permessage-deflate"
        kind, form, *length = first_frame(served, path, deflate)
        assert (kind, form) == (0xC1, 126)
        assert int.from_bytes(bytes(length[:2])) < whole / part, path


def test_a_message_that_is_too_large_when_unpacked_ends_its_socket(served: Site):
    before = served.log.read_text()
    with open_board(served, BROWSER) as page:
        page.send("0" * 10_000_000)
        assert end(page) == 1009
    assert "Traceback" not in served.log.read_text().removeprefix(before)


def test_what_can_not_be_unpacked_ends_its_socket(served: Site):
    before = served.log.read_text()
    with open_board(served, BROWSER) as page:
        page.socket.sendall(b"\xc1\x84\0\0\0\0\xff\xff\xff\xff")
        assert end(page) == 1002
    assert "Traceback" not in served.log.read_text().removeprefix(before)


@pytest.mark.parametrize("part", [b"\x01\x80\0\0\0\0", b"\x41\x85\0\0\0\0\xca\x49\x4c\x4a\x06"])
def test_a_message_in_parts_ends_its_socket_with_the_first_part(served: Site, part: bytes):
    before = served.log.read_text()
    with open_board(served, BROWSER) as page:
        page.socket.sendall(part + b"\x00\x80\0\0\0\0" * 1000)
        assert end(page) == 1009
    assert "Traceback" not in served.log.read_text().removeprefix(before)
    assert 'quotes_refused_total{reason="parts"}' in served.get("/metrics")
