"""Prices that move by themselves, and a page that is complete before they do."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenTab
from tests.browser.tab import Tab, symbols_in
from tests.servers import Site

pytestmark = [pytest.mark.browser, pytest.mark.server]

PAGES = {
    "/": "BTC-USD",
    "/boards/crypto/": "BTC-USD",
    "/boards/stock-market/": "AAPL",
    "/symbols/BTC-USD/": "BTC-USD",
    "/embed/quotes/?symbols=BTC-USD,AAPL": "AAPL",
}
PRICE = re.compile(
    r'data-symbol="BTC-USD".*?<data data-field="last" value="([\d.]+)">([^<]+)</data>', re.DOTALL
)


@pytest.mark.parametrize("path", PAGES)
def test_prices_move_without_a_reload(market: Site, tab: OpenTab, path: str):
    code = PAGES[path]
    page = tab(market.url + path).live()
    page.mark(code)
    page.moves(code)
    page.moves(code)
    assert page.same(code)
    assert page.loads == 1
    assert "/live/" not in page.asked


@pytest.mark.parametrize("path", [*PAGES, "/boards/stock-market/?page=2"])
def test_without_javascript_every_symbol_is_complete(market: Site, tab: OpenTab, path: str):
    page = tab(market.url + path, java_script_enabled=False)
    rows = page.rows()
    assert rows
    assert not page.sockets
    now = datetime.now(UTC)
    for code in rows:
        for name in ("last", "change", "change-percent"):
            if name == "change" and not page.row(code).locator("[data-field=change]").count():
                continue  # short tables have no room for it
            assert re.search(r"\d", page.field(code, name)), f"{code} has no {name}"
        time = page.row(code).locator("[data-field=time]").get_attribute("datetime") or ""
        age = now - datetime.fromisoformat(time)
        assert timedelta(seconds=-5) < age < timedelta(minutes=2), f"{code} is of {time}"


def test_without_javascript_a_board_shows_that_and_offers_a_refresh(market: Site, tab: OpenTab):
    page = tab(market.url + "/boards/crypto/?sort=-last", java_script_enabled=False)
    before = page.value("BTC-USD")
    refresh = page.page.get_by_role("link", name="Refresh")
    page.until(lambda: refresh.click() or page.value("BTC-USD") != before, "a newer price")
    assert page.page.url.endswith("?sort=-last")


def test_the_first_frame_of_the_one_socket_is_the_snapshot(market: Site, tab: OpenTab):
    page = tab(market.url + "/boards/crypto/")
    page.until(lambda: page.frames, "a frame")
    assert len(page.sockets) == 1
    assert "/live/" not in page.asked
    assert symbols_in(page.frames[0]) == page.rows()


def test_the_socket_opens_although_its_script_comes_late(market: Site, tab: OpenTab):
    page = tab()
    page.hold("**/*.js")
    page.page.goto(market.url + "/boards/crypto/", wait_until="commit")
    page.until(lambda: page.held, "the script is requested")
    expect(page.row("BTC-USD")).to_be_visible()
    page.release()
    page.until(lambda: page.frames, "the snapshot")
    assert "/live/" not in page.asked


def test_the_snapshot_brings_every_row_and_flashes_none(market: Site, tab: OpenTab):
    page = tab(market.url + "/boards/stock-market/").live()
    assert symbols_in(page.frames[0]) == page.rows()
    assert len(page.rows()) == 50
    assert "data-flash" not in page.frames[0]
    page.until(lambda: any("data-flash" in frame for frame in page.frames[1:]), "a flash")


def test_two_tabs_show_the_same_prices(market: Site, tab: OpenTab):
    one, other = tab(market.url + "/boards/crypto/"), tab(market.url + "/symbols/BTC-USD/")
    one.live()
    other.live()
    seen: tuple[set[str], set[str]] = (set(), set())

    def both_saw() -> bool:
        seen[0].add(one.value("BTC-USD"))
        seen[1].add(other.value("BTC-USD"))
        return len(seen[0] & seen[1]) >= 3

    one.until(both_saw, "three prices that both showed")


def test_germans_read_german_numbers_at_first_paint_and_after(market: Site, tab: OpenTab):
    german = tab(market.url + "/boards/crypto/", locale="de-DE").live()
    english = tab(market.url + "/boards/crypto/", locale="en-US").live()
    for page, marks in ((german, (",", ".")), (english, (".", ","))):
        page.until(lambda page=page: len(prices(page.frames)) > 3, "prices of BTC-USD")
        first = page.page.request.get(page.page.url, headers=accepts(page)).text()
        assert f'<html lang="{accepts(page)["Accept-Language"][:2]}"' in first
        for value, text in PRICE.findall(first) + prices(page.frames):
            assert text == written(value, *marks)


def prices(frames: list[str]) -> list[tuple[str, str]]:
    """Return the prices of Bitcoin in frames, as machines and as people read them."""
    return [found for frame in frames for found in PRICE.findall(frame)]


def written(value: str, decimal: str, thousand: str) -> str:
    """Write a price with two decimals and these separators."""
    return f"{Decimal(value):,.2f}".translate({ord(","): thousand, ord("."): decimal})


def accepts(page: Tab) -> dict[str, str]:
    """Return the header that names a page's language."""
    language = page.page.evaluate("navigator.language")
    return {"Accept-Language": language}
