"""Quotes in pages of a site that has htmx of its own: they move, and nothing of it changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OFTEN, OpenTab
from tests.browser.tab import Tab
from tests.browser.test_embedding import DOUBLE_IDS
from tests.servers import Site, site
from tests.snippets import snippets

pytestmark = [pytest.mark.browser, pytest.mark.server]

# names of sites: their server, and their QUOTES["HTMX"]
SITES = {
    "daphne": ("daphne", "2"),
    "uvicorn": ("uvicorn", "2"),
    "4": ("daphne", "4"),
    "unset": ("daphne", ""),
}
ORDERS = ("before", "deferred", "after")  # where the page loads its own htmx
VERSION = "htmx.version.split('.')[0]"
SOURCES = "[...document.scripts].map(({src}) => new URL(src).pathname)"
LINE = ".quotes-spark path:last-child"
SHAPE = re.compile(r"M\d")
SWITCH = "from quotes.models import Symbol; s = Symbol.objects.get(code='ETH-USD'); s.active = {}; "
SWITCH += "s.save()"
TWICE = "This page loads htmx twice"


Sites = Callable[[str], Site]


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory, few_symbols: Path) -> Iterator[Sites]:
    """Return a function that starts a site of these tests alone, once, with a fast pulse."""
    env = OFTEN | {"DJANGO_SETTINGS_MODULE": "tests.browser.with_htmx"}
    with ExitStack() as stack:

        @cache
        def started(name: str) -> Site:
            server, env["HTMX_OF_SITE"] = SITES[name]
            folder = tmp_path_factory.mktemp(name)
            return stack.enter_context(site(folder, few_symbols, server, **env))

        yield started


def click(page: Tab) -> list[str]:
    """Click on each button of the site's own, wait for the answers, and return the requests."""
    for method in ("GET", "POST"):
        page.page.get_by_role("button", name=method).click()
        expect(page.page.locator("#answer")).to_have_text(method)
    return [path for path in page.asked if path == "/mirror/"]


def scripts(page: Tab) -> set[str]:
    """Return the names of the scripts that a page has loaded."""
    return {path.rpartition("/")[2] for path in page.asked if path.endswith(".js")}


def move(page: Tab) -> None:
    """Wait until a row and a price in a line have moved."""
    line = page.page.locator(".quote-price data")
    before = line.get_attribute("value") or ""
    page.moves("ETH-USD")
    expect(line).not_to_have_attribute("value", before)


@pytest.mark.parametrize("order", ORDERS)
def test_a_page_keeps_its_htmx_2_and_sends_each_request_once(
    sites: Sites, tab: OpenTab, order: str
):
    url = f"{sites('daphne').url}/page/2/{order}/"
    without, page = tab(f"{url}?without"), tab(url).live()
    move(page)
    assert click(page) == click(without) == ["/mirror/"] * 2
    assert page.page.evaluate(VERSION) == without.page.evaluate(VERSION) == "2"
    assert scripts(page) == {"htmx-2.min.js", "ws-for-htmx-2.js"}
    assert page.page.url == url
    page.until(lambda: len(page.sockets) == page.asked.count("/live/"), "a socket per request")
    assert page.complaints == page.violations() == []


def test_a_sparkline_stays_in_a_row_that_htmx_2_replaces(sites: Sites, tab: OpenTab):
    page = tab(sites("daphne").url + "/page/2/before/").live()
    line = page.row("ETH-USD").locator(LINE)
    expect(line).to_have_attribute("d", SHAPE)
    for _ in range(3):
        page.moves("ETH-USD")
        assert line.count() == 1


def test_a_symbol_that_is_switched_off_and_on_leaves_and_returns(sites: Sites, tab: OpenTab):
    server = sites("daphne")
    page = tab(server.url + "/page/2/before/").live()
    expect(page.row("NOPE")).to_contain_text("Unknown symbol: NOPE")
    server.manage("shell", "--verbosity", "0", "-c", SWITCH.format(False))
    expect(page.row("ETH-USD")).to_contain_text("Unknown symbol: ETH-USD")
    server.manage("shell", "--verbosity", "0", "-c", SWITCH.format(True))
    page.moves("ETH-USD", "")
    move(page)
    assert page.rows() == ["BTC-USD", "ETH-USD", "NOPE", "BTC-USD"]


def test_a_piece_that_htmx_2_inserts_later_is_live_over_one_socket(sites: Sites, tab: OpenTab):
    page = tab(sites("daphne").url + "/page/2/before/?without")
    for opened in (1, 2):
        page.page.get_by_role("button", name="Later").click()
        page.until(lambda opened=opened: len(page.sockets) >= opened, "a socket for the piece")
        page.live()
        move(page)
        assert page.page.evaluate(DOUBLE_IDS) == []
    page.until(lambda: len(page.sockets) - len(page.codes()) == 1, "the other sockets are closed")
    assert page.complaints == page.violations() == []


def test_the_documented_line_makes_a_part_live_that_a_script_inserted(sites: Sites, tab: OpenTab):
    page = tab(sites("daphne").url + "/page/2/before/").live()
    line = snippets("js")[0].replace("/part/", "/piece/?symbol=SOL-USD")
    page.page.locator("#later").evaluate(f"async (element) => {{ {line} }}")
    page.moves("SOL-USD")
    assert page.complaints == page.violations() == []


def test_our_own_pages_have_our_htmx(sites: Sites, tab: OpenTab):
    for path in ("/boards/crypto/", "/symbols/ETH-USD/", "/embed/quotes/?symbols=ETH-USD"):
        page = tab(sites("daphne").url + path).live()
        assert scripts(page) == {"htmx-4-with-ws.js"}
        page.moves("ETH-USD")


def test_a_page_with_htmx_4_keeps_it_and_sends_each_request_once(sites: Sites, tab: OpenTab):
    page = tab(sites("4").url + "/page/4/before/").live()
    move(page)
    assert click(page) == ["/mirror/"] * 2
    assert [path for path in page.asked if path.endswith(".js")] == page.page.evaluate(SOURCES)
    assert scripts(page) == {"htmx-4.min.js", "hx-ws-4.min.js"}
    assert page.complaints == page.violations() == []


@pytest.mark.parametrize("version", [2, 4])
def test_a_developer_sees_that_a_page_has_htmx_twice(sites: Sites, tab: OpenTab, version: int):
    for path, twice in (
        (f"{version}/before", True),
        (f"{version}/after", True),
        ("0/before", False),
    ):
        page = tab(f"{sites('unset').url}/page/{path}/").page
        expect(page.get_by_text(TWICE)).to_be_visible(visible=twice)
    page = tab(sites("daphne").url + "/page/2/before/").page
    expect(page.get_by_text(TWICE)).to_have_count(0)


def test_a_page_whose_stylesheets_are_refused_is_not_said_to_have_htmx_twice(
    sites: Sites, tab: OpenTab
):
    page = tab()
    page.page.route("**/*.css", lambda route: route.abort())
    page.open(sites("unset").url + "/page/0/before/")
    expect(page.page.get_by_text("not for trading").first).to_be_visible()
    expect(page.page.get_by_text(TWICE)).to_be_visible(visible=False)


def test_a_page_with_htmx_2_recovers_after_a_restart_and_a_crash(sites: Sites, tab: OpenTab):
    servers = {name: sites(name) for name in ("daphne", "uvicorn")}
    pages = {name: tab(each.url + "/page/2/before/").live() for name, each in servers.items()}
    for end in (Site.stop, Site.kill):
        for each in servers.values():
            end(each)
        for page in pages.values():
            expect(page.page.locator(".pulse-ill").first).to_be_visible()
        for each in servers.values():
            each.start()
        for page in pages.values():
            page.live()
            move(page)
    assert pages["uvicorn"].codes()[0] == 1012
    assert pages["daphne"].codes()[0] == 4012
    for page in pages.values():
        assert page.loads == 1
        assert page.page.evaluate(DOUBLE_IDS) == []
