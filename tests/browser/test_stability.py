"""The focus, selection and input of a reader survive the updates, and nothing jumps."""

from __future__ import annotations

import pytest

from tests.browser.conftest import OpenTab
from tests.servers import Site

pytestmark = [pytest.mark.browser, pytest.mark.server]

MANY = 8  # frames, at two a second
PAGES = {
    "/": "BTC-USD",
    "/boards/crypto/": "BTC-USD",
    "/boards/stock-market/": "AAPL",
    "/symbols/BTC-USD/": "BTC-USD",
    "/embed/quotes/?symbols=BTC-USD,AAPL": "BTC-USD",
}
# a price below 0.0001 is written with elements of its own, and need not stay there
DRAWN = ".quotes-chart *, .quotes-spark *"  # a chart grows, a sparkline may come later
SAME = f"*:not(.quotes-tiny, .quotes-tiny *, .quotes-whole, {DRAWN})"
NODES = f"document.querySelectorAll('{SAME}').length"


def test_twenty_seconds_of_updates_move_nothing_and_ask_for_nothing(market: Site, tab: OpenTab):
    pages = {
        tab(market.url + path, reduced_motion="no-preference").live(): code
        for path, code in PAGES.items()
    }
    counts = {}
    for page, code in pages.items():
        page.mark(code)
        counts[page] = page.page.evaluate(NODES), len(page.asked)
    first = next(iter(pages))
    beats: set[str] = set()

    def beat() -> bool:
        beats.add(first.page.locator(".quotes-pulse time").get_attribute("datetime") or "")
        return len(beats) >= 5 and all(len(page.frames) > MANY for page in pages)

    first.until(beat, "four pulses, and many frames to each page")
    for page, code in pages.items():
        assert page.shifts() == [], page.page.url
        assert page.complaints == [], page.page.url
        assert page.violations() == [], page.page.url
        nodes, asked = counts[page]
        assert page.asked[asked:] == [], page.page.url
        assert page.page.evaluate(NODES) == nodes, page.page.url
        assert len(page.sockets) == 1
        assert page.same(code)


def test_keyboard_focus_on_a_row_stays(market: Site, tab: OpenTab):
    page = tab(market.url + "/boards/crypto/").live()
    page.mark("SOL-USD")
    page.row("SOL-USD").get_by_role("link").focus()
    page.after_frames(MANY)
    assert page.same("SOL-USD")
    focused = "document.activeElement.closest('.quote')?.dataset.symbol"
    assert page.page.evaluate(focused) == "SOL-USD"
    page.page.keyboard.press("Tab")
    assert page.page.evaluate(focused) == "XRP-USD"


def test_a_selection_in_a_name_stays(market: Site, tab: OpenTab):
    page = tab(market.url + "/boards/crypto/").live()
    name = page.row("ETH-USD").locator(".quotes-name")
    name.evaluate(
        "(name) => getSelection().setBaseAndExtent(name.firstChild, 1, name.firstChild, 5)"
    )
    page.after_frames(MANY)
    assert page.page.evaluate("getSelection().toString()") == "ther"
    assert page.field("ETH-USD", "last")


def test_the_scroll_position_stays(market: Site, tab: OpenTab):
    page = tab(market.url + "/boards/crypto/").live()
    page.page.evaluate("scrollTo(0, 700)")
    place = "document.querySelector(\"[data-symbol='DOT-USD']\").getBoundingClientRect().top"
    page.until(lambda: page.page.evaluate("scrollY") == 700, "the page scrolls")
    before = page.page.evaluate(place)
    page.after_frames(MANY)
    assert page.page.evaluate("scrollY") == 700
    assert page.page.evaluate(place) == before


def test_a_half_typed_search_stays(market: Site, tab: OpenTab):
    page = tab(market.url + "/boards/crypto/").live()
    page.page.get_by_role("searchbox", name="Filter this board").press_sequentially("bitc")
    page.after_frames(MANY // 2)
    page.page.keyboard.type("oin")
    page.page.keyboard.press("Enter")
    page.page.wait_for_url("**/?q=bitcoin")
    assert "BTC-USD" in page.rows()


def test_prices_keep_their_width_when_they_flash(market: Site, tab: OpenTab):
    page = tab(market.url + "/boards/crypto/", reduced_motion="no-preference").live()
    boxes = """[...document.querySelectorAll('.quote > *')].map((cell) => {
        const {x, y, width, height} = cell.getBoundingClientRect();
        return [x, y, width, height].join(' ');
    }).join()"""
    before = page.page.evaluate(boxes)
    page.after_frames(MANY // 2)
    assert page.page.evaluate(boxes) == before
