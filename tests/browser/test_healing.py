"""Whatever breaks between page and server, the page says so, and heals without a reload."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import WebSocketRoute, expect

from tests.browser.conftest import BRISK, OpenTab
from tests.browser.proxy import Proxy
from tests.browser.tab import Tab
from tests.servers import Site, site

pytestmark = [pytest.mark.browser, pytest.mark.server]

DOUBTS = 20.0  # seconds until a page says that it is not live
HEALS = 40.0  # seconds until it is live again
PAGES = {
    "/boards/crypto/": "BTC-USD",
    "/symbols/BTC-USD/": "BTC-USD",
    "/embed/quotes/?symbols=BTC-USD,AAPL": "AAPL",
}
CODES = (1000, 1001, 1005, 1006, 1011, 1012, 1013, 4012, 4013)


@pytest.fixture
def servers(tmp_path: Path, database_template: Path) -> Iterator[dict[str, Site]]:
    """Two sites of the test's own, one under each server."""
    with ExitStack() as stack:
        running = {}
        for server in ("daphne", "uvicorn"):
            (folder := tmp_path / server).mkdir()
            running[server] = stack.enter_context(site(folder, database_template, server, **BRISK))
        yield running


def opened(tab: OpenTab, *urls: str) -> dict[Tab, str]:
    """Open a page of each sort at each site and wait until all are live."""
    pages = {tab(url + path): code for url in urls for path, code in PAGES.items()}
    for page, code in pages.items():
        page.live().mark(code)
    return pages


def doubt(pages: dict[Tab, str], since: float) -> None:
    """Wait until all pages say that they are not live."""
    for page in pages:
        ill = page.page.locator("#quotes-pulse .pulse-ill")
        expect(ill).to_be_visible(timeout=max(1.0, since + DOUBTS - time.monotonic()) * 1000)
        expect(ill).to_contain_text("Not live, last update")
        expect(page.page.locator("#quotes-pulse .pulse-well")).to_be_hidden()


def heal(pages: dict[Tab, str], since: float) -> None:
    """Wait until all pages are live again, by themselves and without a trace."""
    for page, code in pages.items():
        rows = page.rows()
        page.live(max(1.0, since + HEALS - time.monotonic()))
        assert not page.says_not_live()
        page.moves(code)
        assert page.same(code)
        assert page.loads == 1
        assert page.rows() == rows
        assert len(set(rows)) == len(rows)


def test_a_killed_server_is_noticed_and_its_successor_found(servers: dict[str, Site], tab: OpenTab):
    pages = opened(tab, *(each.url for each in servers.values()))
    for each in servers.values():
        each.kill()
    doubt(pages, time.monotonic())
    for each in servers.values():
        each.start()
    heal(pages, time.monotonic())
    assert all(set(page.codes()) == {1006} for page in pages)


def test_a_restart_brings_every_page_back(servers: dict[str, Site], tab: OpenTab):
    pages = opened(tab, *(each.url for each in servers.values()))
    for each in servers.values():
        each.stop()
    for each in servers.values():
        each.start()
    heal(pages, time.monotonic())
    for page in pages:
        assert page.codes()
        assert set(page.codes()) <= set(CODES)


def test_an_open_but_silent_socket_is_noticed_and_replaced(market: Site, tab: OpenTab, wire: Proxy):
    pages = opened(tab, wire.url)
    for page in pages:
        page.frames.clear()
    wire.silence()
    since = time.monotonic()
    for page in pages:
        page.until(lambda page=page: len(page.sockets) == 2, "a second socket", HEALS)
    heal(pages, since)
    for page in pages:
        assert len(page.sockets) == 2
        assert page.asked.count("/live/") == 1


def test_without_sockets_a_page_refreshes_itself_and_does_not_call_that_live(
    market: Site, tab: OpenTab, wire: Proxy
):
    board = tab(wire.url + "/boards/crypto/").live()
    board.mark("BTC-USD")
    wire.refuses_sockets = True
    wire.cut()
    doubt({board: "BTC-USD"}, time.monotonic())
    board.until(lambda: board.page.locator("#quotes-pulse.pulse-late").count(), "an HTTP answer")
    value = board.value("BTC-USD")
    asked = board.asked.count("/live/")
    assert asked
    board.until(lambda: board.value("BTC-USD") != value, "a price by HTTP", 20)
    assert board.asked.count("/live/") == asked + 1
    assert board.says_not_live()
    wire.refuses_sockets = False
    heal({board: "BTC-USD"}, time.monotonic())


def test_a_server_that_froze_and_thawed_is_live_again(servers: dict[str, Site], tab: OpenTab):
    pages = opened(tab, *(each.url for each in servers.values()))
    frozen = [each.process for each in servers.values() if each.process]
    for process in frozen:
        process.send_signal(signal.SIGSTOP)
    try:
        doubt(pages, time.monotonic())
    finally:
        for process in frozen:
            process.send_signal(signal.SIGCONT)
    heal(pages, time.monotonic())


def test_every_close_code_of_a_server_brings_the_page_back(market: Site, tab: OpenTab):
    routes: dict[int, list[WebSocketRoute]] = {code: [] for code in CODES}
    pages = {}

    def connect(code: int, route: WebSocketRoute) -> None:
        route.connect_to_server()
        routes[code].append(route)

    for code in CODES:
        page = pages[code] = tab()
        page.page.route_web_socket("**", lambda route, code=code: connect(code, route))
        page.open(market.url + "/symbols/BTC-USD/")
    for code in CODES:
        pages[code].live()
        routes[code][0].close(code=code)
    for code, page in pages.items():
        page.until(lambda code=code: len(routes[code]) == 2, f"a socket after {code}", 12)
        page.live()
        page.moves("BTC-USD")


def test_rows_keep_their_order_over_a_reconnect(market: Site, tab: OpenTab, wire: Proxy):
    board = tab(wire.url + "/boards/crypto/?sort=-percent").live()
    rows = board.rows()
    assert rows != sorted(rows)
    board.after_frames(8)
    assert board.rows() == rows
    wire.cut()
    board.until(lambda: len(board.sockets) == 2, "a second socket")
    board.after_frames(4)
    assert board.rows() == rows
    assert board.sockets[1] == board.sockets[0]
