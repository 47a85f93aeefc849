"""After any fault between page and server, the page shows it, and recovers without a reload."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import WebSocketRoute, expect

from tests.browser.conftest import OFTEN, OpenTab
from tests.browser.proxy import Proxy, proxy
from tests.browser.tab import Tab
from tests.servers import Site, site

pytestmark = [pytest.mark.browser, pytest.mark.server]

PAGES = {
    "/boards/crypto/": "BTC-USD",
    "/symbols/BTC-USD/": "BTC-USD",
    "/embed/quotes/?symbols=BTC-USD,AAPL": "AAPL",
}
CODES = (1000, 1001, 1005, 1006, 1011, 1012, 1013, 4012, 4013)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, few_symbols: Path) -> Iterator[dict[str, Site]]:
    """Two sites for these tests alone, one under each server, with a fast pulse."""
    env = OFTEN | {"DJANGO_SETTINGS_MODULE": "tests.browser.brisk"}
    with ExitStack() as stack:
        yield {
            server: stack.enter_context(
                site(tmp_path_factory.mktemp(server), few_symbols, server, **env)
            )
            for server in ("daphne", "uvicorn")
        }


@pytest.fixture
def servers(both: dict[str, Site]) -> dict[str, Site]:
    """Both sites, started again where a test that failed left one dead."""
    for each in both.values():
        if each.process is None:
            each.start()
    return both


def opened(tab: OpenTab, servers: dict[str, Site]) -> dict[Tab, str]:
    """Open each kind of page under daphne, and one under uvicorn, where only the codes differ."""
    pages = {tab(servers["daphne"].url + path): code for path, code in PAGES.items()}
    pages |= {tab(servers["uvicorn"].url + "/symbols/BTC-USD/"): "BTC-USD"}
    return live(pages)


def live(pages: dict[Tab, str]) -> dict[Tab, str]:
    """Wait until all pages are live."""
    for page, code in pages.items():
        page.live().mark(code)
    return pages


def doubt(pages: dict[Tab, str]) -> None:
    """Wait until all pages show that they are not live."""
    for page in pages:
        ill = page.page.locator(".quotes-pulse .pulse-ill")
        expect(ill).to_be_visible()
        expect(ill).to_contain_text("Prices stopped at")
        expect(page.page.locator(".quotes-pulse .pulse-well")).to_be_hidden()
        announced = page.page.locator("#quotes-announcement")
        expect(announced).to_match_aria_snapshot("- status: Prices are not live.")


def heal(pages: dict[Tab, str]) -> None:
    """Wait until all pages are live again, by themselves and without a trace."""
    rows = {page: page.rows() for page in pages}
    for page in pages:
        page.live()
        page.until(lambda page=page: not page.says_not_live(), "no longer in doubt")
        expect(page.page.locator("#quotes-announcement .announced-silence")).to_be_hidden()
    move(pages)
    for page, code in pages.items():
        assert page.same(code)
        assert page.loads == 1
        assert page.rows() == rows[page]
        assert len(set(rows[page])) == len(rows[page])


def move(pages: dict[Tab, str]) -> None:
    """Wait until prices have changed on all pages, which wait at the same time."""
    before = {page: page.value(code) for page, code in pages.items()}
    for page, code in pages.items():
        page.moves(code, before[page])


def test_a_page_requests_quotes_again_as_soon_as_it_is_in_doubt(
    market: Site, servers: dict[str, Site], tab: OpenTab
):
    for url, seconds in ((market.url, 15), (servers["daphne"].url, 2)):
        page = tab(url + "/symbols/BTC-USD/").live().page
        # in one step, because a pulse may come between two
        clock = "getComputedStyle(document.querySelector('.quotes-pulse .pulse-ill'))"
        assert page.evaluate(f"{clock}.animationDelay") == f"{seconds}s"
        assert page.locator("#quotes-retry").get_attribute("hx-trigger") == f"every {seconds}s"


def test_a_killed_server_is_noticed_and_its_successor_found(servers: dict[str, Site], tab: OpenTab):
    pages = opened(tab, servers)
    for each in servers.values():
        each.kill()
    doubt(pages)
    for each in servers.values():
        each.start()
    heal(pages)
    assert all(page.codes()[0] == 1006 for page in pages)


def test_a_restart_brings_every_page_back(servers: dict[str, Site], tab: OpenTab):
    pages = opened(tab, servers)
    for each in servers.values():
        each.stop()
    for each in servers.values():
        each.start()
    heal(pages)
    for page in pages:
        assert page.codes()
        assert set(page.codes()) <= set(CODES)


def test_an_open_but_silent_socket_is_noticed_and_replaced(market: Site, tab: OpenTab, wire: Proxy):
    # with the clocks that visitors have: after 15 seconds
    pages = live({tab(wire.url + path): code for path, code in PAGES.items()})
    for page in pages:
        page.frames.clear()
    wire.silence()
    for page in pages:
        page.until(lambda page=page: len(page.sockets) == 2, "a second socket")
    heal(pages)
    for page in pages:
        assert len(page.sockets) == 2
        assert page.asked.count("/live/") == 1


def test_without_sockets_a_page_refreshes_itself_and_does_not_call_that_live(
    servers: dict[str, Site], tab: OpenTab
):
    with proxy(servers["daphne"].port) as wire:
        board = tab(wire.url + "/boards/crypto/").live()
        board.mark("BTC-USD")
        wire.refuses_sockets = True
        wire.cut()
        doubt({board: "BTC-USD"})
        late = board.page.locator(".quotes-pulse.pulse-late time")
        board.until(late.count, "an HTTP answer")
        answers = {late.get_attribute("datetime")}
        value, asked = board.value("BTC-USD"), board.asked.count("/live/")

        def another_price() -> bool:
            answers.add(late.get_attribute("datetime"))
            return board.value("BTC-USD") != value

        board.until(another_price, "a price by HTTP")
        assert asked < board.asked.count("/live/") <= asked + len(answers)
        assert board.says_not_live()
        wire.refuses_sockets = False
        heal({board: "BTC-USD"})


@pytest.mark.parametrize("what", ["nothing passes", "sockets are refused", "the server is killed"])
def test_the_end_of_a_silence_that_only_the_page_noticed_is_announced(
    servers: dict[str, Site], tab: OpenTab, what: str
):
    server = servers["uvicorn"]
    with proxy(server.port) as wire:
        page = tab(wire.url + "/symbols/BTC-USD/").live()
        page.mark("BTC-USD")

        def is_silent() -> bool:
            page.listen().after_frames(4)
            return page.heard() == []  # neither at the opening nor at a pulse

        # on a busy machine, a pulse may come so late that the page notices it
        page.until(is_silent, "four frames in time, without an announcement")
        if what == "nothing passes":
            wire.hang()
        elif what == "sockets are refused":
            wire.refuses_sockets = True
            wire.cut()
        else:
            server.kill()
        doubt({page: "BTC-USD"})
        if server.process is None:
            server.start()
        wire.refuses_sockets = False
        wire.heal()
        page.until(lambda: len(page.heard()) > 1, "another announcement")
        heal({page: "BTC-USD"})
        page.after_frames(4)
        heard = page.heard()
        assert heard[:2] == ["Prices are not live.", "Prices are live again."]
        # on a busy machine, pulses may be late again: each silence is announced once
        assert all(before != after for before, after in pairwise(heard))


def test_a_break_that_no_page_noticed_is_not_announced(market: Site, tab: OpenTab, wire: Proxy):
    # with the clocks that visitors have; a browser also closes the socket of a hidden page
    page = tab(wire.url + "/symbols/BTC-USD/").live().listen()
    wire.cut()
    page.until(lambda: len(page.sockets) == 2, "a second socket")
    page.frames.clear()
    page.until(lambda: any("quotes-pulse" in frame for frame in page.frames), "a pulse")
    assert page.heard() == []


def test_a_server_that_froze_and_thawed_is_live_again(servers: dict[str, Site], tab: OpenTab):
    pages = opened(tab, servers)
    frozen = [each.process for each in servers.values() if each.process]
    for process in frozen:
        process.send_signal(signal.SIGSTOP)
    try:
        doubt(pages)
    finally:
        for process in frozen:
            process.send_signal(signal.SIGCONT)
    heal(pages)


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
        page.until(lambda code=code: len(routes[code]) == 2, f"a socket after {code}")
        page.live()
    move(dict.fromkeys(pages.values(), "BTC-USD"))


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
