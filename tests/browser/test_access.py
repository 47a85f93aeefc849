"""Readable by everybody: on any screen, in both schemes, without truncated prices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import Exchange, OpenTab
from tests.browser.tab import Tab
from tests.servers import Site

pytestmark = [pytest.mark.browser, pytest.mark.server]

WIDTHS = (320, 768, 1280, 1920)
SCHEMES = ("light", "dark")
PAGES = {
    "front": "/",
    "board": "/boards/crypto/",
    "stocks": "/boards/stock-market/",
    "symbol": "/symbols/BTC-USD/",
    "small symbol": "/symbols/SHIB-USD/",
    "embed": "/embed/quotes/?symbols=BTC-USD,AAPL,SHIB-USD,NOPE",
    "nothing found": "/boards/crypto/?q=zzzz",
    "page two": "/boards/crypto/?page=2&sort=-percent",
    "search": "/search/?q=bitcoin",
    "no result": "/search/?q=zzzz",
}
WIDER = """() => {
    const {scrollWidth, clientWidth} = document.documentElement;
    return scrollWidth - clientWidth;
}"""
CUT = """() => [...document.querySelectorAll(
    ".quote :is(.c-last, .c-percent, .c-change, .c-state), .panel-last, .panel-move")]
    .filter((cell) => cell.offsetParent && cell.scrollWidth > cell.clientWidth)
    .map((cell) => cell.closest("[data-symbol]").dataset.symbol + " " + cell.innerText)"""
TINY = """() => [...document.querySelectorAll("body *")]
    .filter((place) => place.checkVisibility({visibilityProperty: true})
        && !place.closest(".quotes-whole")
        && [...place.childNodes].some((node) => node.nodeType == 3 && node.data.trim())
        && parseFloat(getComputedStyle(place).fontSize) < 11)
    .map((place) => `${place.className} ${getComputedStyle(place).fontSize} ${place.innerText}`)"""
# numbers whose first character, such as a sign, is not to the left of their last one
BACKWARDS = """() => [...document.querySelectorAll(".quote [data-field]")]
    .filter((place) => /^[+−]?[0-9]/.test(place.textContent) && place.dataset.field != "state")
    .filter((place) => place.checkVisibility() && place.childElementCount == 0)
    .filter((place) => {
        const [text, range] = [place.firstChild, document.createRange()];
        const left = (at) => {
            range.setStart(text, at);
            range.setEnd(text, at + 1);
            return range.getBoundingClientRect().left;
        };
        return left(0) >= left(text.length - 1);
    })
    .map((place) => place.dataset.field + " " + place.innerText)"""
# links in tables whose ring of focus is missing, cut off, or crosses their text
BAD_RINGS = """() => [...document.querySelectorAll("table a")]
    .filter((link) => link.checkVisibility())
    .filter((link) => {
        link.focus();
        const around = [link];
        while (around.at(-1).parentElement) around.push(around.at(-1).parentElement);
        const ring = around.find((place) => getComputedStyle(place).outlineStyle !== "none");
        if (!ring) return true;
        const [box, text] = [ring.getBoundingClientRect(), document.createRange()];
        text.selectNodeContents(link);
        const {left, right} = text.getBoundingClientRect();
        const offset = parseFloat(getComputedStyle(ring).outlineOffset);
        const within = (place) => place.getBoundingClientRect().left <= box.left - offset - 2;
        return left < box.left - offset + 2 || right > box.right + offset - 2
            || around.slice(around.indexOf(ring) + 1)
                .some((place) => getComputedStyle(place).overflow !== "visible" && !within(place));
    })
    .map((link) => link.innerText)"""
SMALL = """() => [...document.querySelectorAll("a, button, input:not([type=hidden])")]
    .filter((target) => target.checkVisibility() && !target.closest("p, .quotes-whole, .skip"))
    .map((target) => [target.innerText || target.name, target.getBoundingClientRect()])
    .filter(([, box]) => box.height < 24 || box.width < 24)
    .map(([name, box]) => `${name} ${box.width} x ${box.height}`)"""


@pytest.mark.parametrize("name", PAGES)
def test_no_page_scrolls_sideways(market: Site, tab: OpenTab, name: str):
    page = tab(market.url + PAGES[name]).live().page
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(WIDER) <= 0, f"{name} at {width} px, {scheme}"


@pytest.mark.parametrize("name", ["front", "board", "stocks", "symbol", "embed", "page two"])
def test_price_percentage_and_state_are_never_cut_off(market: Site, tab: OpenTab, name: str):
    page = tab(market.url + PAGES[name]).live().page
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(CUT) == [], f"{name} at {width} px"


def test_each_number_of_the_wide_board_is_whole(market: Site, tab: OpenTab):
    page = tab(locale="de-DE", viewport={"width": 1280, "height": 800})
    for path in ("/boards/crypto/?page=3", "/boards/stock-market/?kind=index"):
        page.open(market.url + path)  # the longest numbers
        cut = page.page.evaluate(CUT.replace(".c-state", ".c-bid, .c-ask, .c-day, .c-volume"))
        assert cut == [], path


def test_a_long_german_volume_is_never_cut_off(market: Site, tab: OpenTab):
    page = tab(locale="de-DE", viewport={"width": 1280, "height": 800})
    page.open(market.url + "/boards/crypto/").live()
    with still(page):
        volume = page.row("BTC-USD").locator(".c-volume")
        volume.evaluate("(cell) => cell.textContent = '888,88\u00a0Mio.'")
        for width in (1280, 1100):
            page.page.set_viewport_size({"width": width, "height": 800})
            assert volume.evaluate("(cell) => cell.scrollWidth <= cell.clientWidth"), width


@pytest.mark.parametrize("name", ["board", "small symbol", "embed"])
def test_numbers_keep_their_sign_in_front_in_a_page_from_right_to_left(
    market: Site, tab: OpenTab, name: str
):
    page = tab(market.url + PAGES[name]).live().page
    assert page.evaluate(BACKWARDS) == []
    page.evaluate("document.documentElement.dir = 'rtl'")
    assert page.locator("[data-field='change-percent']").first.is_visible()
    assert page.evaluate(BACKWARDS) == []
    assert page.evaluate(WIDER) <= 0


def test_targets_are_large_enough_for_a_thumb(market: Site, tab: OpenTab):
    page = tab(viewport={"width": 320, "height": 640}, has_touch=True)
    small = {}
    for name in ("front", "board", "stocks", "symbol"):
        page.open(market.url + PAGES[name]).live()
        if found := page.page.evaluate(SMALL):
            small[name] = found[:3]
    assert small == {}


@pytest.mark.parametrize("name", ["front", "board", "search"])
def test_the_ring_of_focus_is_whole_and_clear_of_the_text(market: Site, tab: OpenTab, name: str):
    page = tab(market.url + PAGES[name]).live()
    page.page.keyboard.press("Tab")  # so that the browser shows the focus
    for width in (320, 1280):
        page.page.set_viewport_size({"width": width, "height": 800})
        assert page.page.evaluate(BAD_RINGS) == [], f"{name} at {width} px"


@pytest.mark.parametrize("name", PAGES)
def test_no_text_is_smaller_than_11_px(market: Site, tab: OpenTab, name: str):
    page = tab(market.url + PAGES[name]).live().page
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(TINY) == [], f"{name} at {width} px"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["front", "board", "stocks", "symbol", "embed", "search"])
def test_axe_finds_nothing_serious(market: Site, tab: OpenTab, name: str, scheme: str):
    # without flashes, which would come and go under its eyes
    page = tab(market.url + PAGES[name], color_scheme=scheme, reduced_motion="reduce").live()
    with still(page):
        assert serious(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_serious_where_prices_are_old_or_missing(
    quiet: Site, exchange: Exchange, tab: OpenTab, scheme: str
):
    exchange.mode("ok")
    page = tab(quiet.url + "/boards/crypto/", color_scheme=scheme, reduced_motion="reduce").live()
    exchange.tick("SOL-USD", "151.40")
    expect(page.row("SOL-USD")).to_have_attribute("data-condition", "stale")
    expect(page.row("XMR-USD")).to_have_attribute("data-condition", "none")
    with still(page):
        assert serious(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_warning_of_a_page_that_is_not_live_is_readable(
    market: Site, tab: OpenTab, scheme: str
):
    page = tab(viewport={"width": 320, "height": 640}, color_scheme=scheme)
    page.open(market.url + "/boards/crypto/").live()
    with still(page):
        page.page.locator(".quotes-pulse").evaluate(
            "(pulse) => pulse.className = 'quotes-pulse pulse-late'"
        )
        expect(page.page.locator(".pulse-ill")).to_be_visible()
        assert serious(page) == []
        covered = page.page.evaluate(
            """() => {
                const ill = document.querySelector(".pulse-ill").getBoundingClientRect();
                return [".brand", ".top nav", ".quotes-note"].filter((name) => {
                    const other = document.querySelector(name)?.getBoundingClientRect();
                    return other && other.right > ill.left && other.left < ill.right
                        && other.bottom > ill.top && other.top < ill.bottom;
                });
            }"""
        )
        assert covered == []


@contextmanager
def still(page: Tab) -> Iterator[None]:
    """Keep the socket from changing the page while it is looked at."""
    page.page.evaluate("document.getElementById('quotes-socket').remove()")
    page.page.evaluate("new Promise((done) => setTimeout(done, 50))")
    yield


def serious(page: Tab) -> list[str]:
    """Return the serious and critical findings of axe."""
    found: list[dict[str, Any]] = Axe().run(page.page).response["violations"]
    return [
        f"{each['id']}: {node['target']} {node['any'][0]['message'] if node['any'] else ''}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"][:3]
    ]
