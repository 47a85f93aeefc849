"""Every page in every state, at each width, in both languages and schemes, and on paper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser import looks
from tests.browser.conftest import OpenTab
from tests.browser.states import states
from tests.browser.tab import Tab
from tests.servers import Site

pytestmark = [pytest.mark.browser, pytest.mark.server]

WIDTHS = (320, 390, 768, 1280, 1440, 1920, 2560)
# the height that bars which do not scroll cover, in percent
BARS = """[...document.querySelectorAll("body *")]
    .filter((place) => ["fixed", "sticky"].includes(getComputedStyle(place).position)
        && place.checkVisibility({visibilityProperty: true}) && place.clientHeight > 1
        && !place.matches("th + *"))
    .map((place) => place.getBoundingClientRect())
    .filter(({top, bottom}) => bottom > 0 && top < innerHeight)
    .reduce((sum, {height}) => sum + height, 0) / innerHeight * 100"""
LINE = "(place) => getComputedStyle(place).textDecorationLine"
PAINTED = """(place) => [place, "::before"].some((part) => {
    const style = part === place ? getComputedStyle(place) : getComputedStyle(place, part);
    return style.forcedColorAdjust === "none" && (style.backgroundImage !== "none"
        || style.backgroundColor !== "rgba(0, 0, 0, 0)");
})"""
# Codes, names and states whose letters are not in the order of a page from left to right
DISORDERED = """[...document.querySelectorAll(
    ".quote :is(.quotes-code, .quotes-name, .quotes-title, .quotes-currency, .quotes-late), "
    + "bdi, .empty b, .suggestions a > b")]
    .filter((place) => place.checkVisibility({visibilityProperty: true})
        && place.firstChild instanceof Text && /[a-z]/i.test(place.textContent))
    .filter((place) => {
        const [text, range] = [place.firstChild, document.createRange()];
        const box = (at) => {
            range.setStart(text, at);
            range.setEnd(text, at + 1);
            return range.getBoundingClientRect();
        };
        const [first, last] = [box(0), box(text.length - 1)];
        return first.top === last.top && first.left > last.left;
    })
    .map((place) => place.textContent)"""
# Where the digits of prices begin and end
DIGITS = """(place) => [...place.querySelectorAll("[data-field=last], [data-field=change-percent]")]
    .map((number) => {
        const text = document.createRange();
        text.selectNodeContents(number);
        const {left, right} = text.getBoundingClientRect();
        return [left, right];
    })"""
EDGES = """(place) => [...place.children].map((part) => {
    const text = document.createRange();
    text.selectNodeContents(part);
    return text.getBoundingClientRect().right;
})"""
LATE = """document.querySelectorAll('.quotes-pulse').forEach((pulse) =>
    pulse.className = 'quotes-pulse pulse-late over-10-minutes')"""
PAGES = {
    "front": "/",
    "board": "/boards/all/",
    "page two": "/boards/all/?page=2",
    "sorted": "/boards/all/?sort=-percent",
    "filtered": "/boards/all/?q=o&kind=stock",
    "nothing filtered": "/boards/all/?q=zzzz",
    "empty board": "/boards/none/",
    "crypto": "/boards/few/",
    "always open": "/symbols/BTC-JPY/",
    "stale": "/symbols/SHIB-USD/",
    "no price": "/symbols/XMR-USD/",
    "closed": "/symbols/MSFT/",
    "halted": "/symbols/005930.KS/",
    "after hours": "/symbols/AFTER/",
    "index": "/symbols/^IXIC/",
    "pair": "/symbols/EUR%2FUSD/",
    "arabic": "/symbols/7010.SR/",
    "long code": "/symbols/BOND 2.1 %25 15.06.2033 (EUR%2FUSD; MINI)/",
    "results": "/search/?q=o",
    "no result": "/search/?q=zzzz",
    "search": "/search/",
    "error": "/missing/",
    "embed": "/embed/quotes/?symbols=BTC-JPY,ETH-BTC,SHIB-USD,US0378331005,005930.KS,^IXIC,NOPE",
}
ONE_EACH = (
    "front",
    "board",
    "nothing filtered",
    "stale",
    "after hours",
    "results",
    "search",
    "error",
    "embed",
)


@pytest.fixture(scope="module")
def every_state(
    tmp_path_factory: pytest.TempPathFactory, database_template: Path
) -> Iterator[Site]:
    """The site with every state of a row, and two sources that can't be reached."""
    with states(tmp_path_factory.mktemp("states"), database_template) as running:
        yield running


def opened(page: Tab, site: Site, name: str) -> Page:
    """Open a page and keep it as it is."""
    page.open(site.url + PAGES[name])
    page.page.evaluate("document.getElementById('quotes-socket')?.remove()")
    return page.page


def found(page: Page, **views: Any) -> dict[str, list[str]]:
    """Return the faults at each width, in each of these views of the page."""
    faults = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        faults[f"{width} px"] = looks.faults(page)
    page.emulate_media(color_scheme="dark")
    faults["dark"] = looks.faults(page)
    page.emulate_media(color_scheme="light", forced_colors="active")
    faults["forced colours"] = looks.faults(page)
    page.emulate_media(forced_colors="none", media="print")
    faults["print"] = looks.faults(page)
    page.emulate_media(media="screen")
    page.evaluate("document.documentElement.dir = 'rtl'")
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        faults[f"right to left, {width} px"] = looks.faults(page)
    page.evaluate("document.documentElement.dir = 'ltr'")
    page.evaluate(LATE)
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        faults[f"not live, {width} px"] = looks.faults(page)
    return {view: each for view, each in faults.items() if each}


@pytest.mark.parametrize("locale", ["de-DE", "en-US"])
def test_no_text_is_tiny_cut_covered_or_without_an_edge(
    every_state: Site, tab: OpenTab, locale: str
):
    page = tab(locale=locale)
    faults = {name: found(opened(page, every_state, name)) for name in PAGES}
    assert {name: each for name, each in faults.items() if each} == {}


def test_axe_finds_nothing(every_state: Site, tab: OpenTab):
    page = tab(reduced_motion="reduce")
    faults = {}
    for name in ONE_EACH:
        opened(page, every_state, name)
        for width, scheme in ((1280, "light"), (390, "dark")):
            page.page.set_viewport_size({"width": width, "height": 900})
            page.page.emulate_media(color_scheme=scheme)
            faults[f"{name}, {width} px, {scheme}"] = violations(page.page)
        page.page.evaluate(LATE)
        faults[f"{name}, not live"] = violations(page.page)
    assert {view: each for view, each in faults.items() if each} == {}


@pytest.mark.parametrize(("width", "height"), [(320, 256), (390, 844), (768, 900), (1280, 800)])
def test_each_place_with_the_focus_has_a_whole_ring(
    every_state: Site, tab: OpenTab, width: int, height: int
):
    page = tab(viewport={"width": width, "height": height}, reduced_motion="reduce")
    faults = {}
    for name in ("front", "board", "nothing filtered", "closed", "results", "embed"):
        faults[name] = looks.unfocused(opened(page, every_state, name))
    assert {name: each for name, each in faults.items() if each} == {}


# a row of 36 px has a line of one
@pytest.mark.parametrize(
    ("width", "least", "touch"),
    [(320, 44, True), (820, 44, True), (1280, 36, False), (1440, 36, False)],
)
def test_targets_are_44_px_for_a_finger_and_36_for_a_mouse(
    every_state: Site, tab: OpenTab, width: int, least: int, *, touch: bool
):
    page = tab(viewport={"width": width, "height": 844}, has_touch=touch, is_mobile=touch)
    faults = {}
    for name in ("front", "board", "nothing filtered", "closed", "results", "error", "embed"):
        faults[name] = looks.small_targets(opened(page, every_state, name), least)
    assert {name: each for name, each in faults.items() if each} == {}


def test_suggestions_are_whole_and_large_enough(every_state: Site, tab: OpenTab):
    page = tab(every_state.url + "/boards/all/", locale="de-DE")
    expect(page.page.locator(".pulse-down")).to_be_visible()
    page.page.get_by_role("searchbox", name="Alle Symbole").press_sequentially("co")
    expect(page.page.locator(".suggestions a").first).to_be_visible()
    assert looks.faults(page.page) == []
    assert looks.small_targets(page.page, 36, ".suggestions") == []
    assert violations(page.page) == []


def test_bars_leave_most_of_a_page_at_400_percent_to_its_rows(every_state: Site, tab: OpenTab):
    page = tab(viewport={"width": 320, "height": 256})
    opened(page, every_state, "board").evaluate(LATE)
    for width in (320, 1280):
        page.page.set_viewport_size({"width": width, "height": 256})
        page.page.evaluate("scrollTo(0, 300)")
        assert page.page.evaluate(BARS) <= 50, width
        assert looks.faults(page.page) == []


def test_forced_colours_keep_every_state(every_state: Site, tab: OpenTab):
    page = tab(forced_colors="active", viewport={"width": 1280, "height": 800})
    shown = opened(page, every_state, "sorted")
    for current in (".boards a[aria-current]", ".kinds a[aria-current]", "[aria-sort] a"):
        assert shown.locator(current).evaluate(LINE) == "underline", current
    for painted in (".pulse-down", "meter"):
        assert shown.locator(painted).first.evaluate(PAINTED), painted
    embed = opened(page, every_state, "embed")
    for edged in (".note-outage", ".pulse-ill"):
        assert embed.locator(edged).evaluate("(place) => place.offsetWidth > place.clientWidth")


def test_paper_has_the_prices_and_their_time_and_nothing_to_press(every_state: Site, tab: OpenTab):
    page = tab(locale="de-DE", color_scheme="dark", viewport={"width": 794, "height": 1000})
    shown = opened(page, every_state, "board")
    paper = shown.locator(".pulse-paper")
    expect(paper).to_be_hidden()
    shown.emulate_media(media="print")
    expect(paper).to_have_text(re.compile(r"Kurse vom \d+\. \w+ \d{4}, \d\d:\d\d:\d\d CES?T"))
    expect(paper).to_be_in_viewport(ratio=1)
    pressed = "input, button, summary, .more, .boards, .kinds, .pages, .pulse-down"
    expect(shown.locator(pressed).locator("visible=true")).to_have_count(0)
    assert shown.locator("thead").evaluate("(head) => getComputedStyle(head).display") == (
        "table-header-group"  # which is repeated on each sheet
    )
    for part, name, value in (
        ("thead th", "position", "static"),
        ("tr.quote", "breakInside", "avoid"),
        ("tr.quote .quotes-arrow", "color", "rgb(0, 0, 0)"),
        ("tr.quote [data-field=change-percent]", "color", "rgb(0, 0, 0)"),
        ("tr.quote .quotes-code", "color", "rgb(20, 23, 31)"),
    ):
        look = f"(place) => getComputedStyle(place).{name}"
        assert shown.locator(part).first.evaluate(look) == value, (part, name)
    page.open(every_state.url + "/symbols/BTC-JPY/?range=1y")
    expect(shown.locator(".quotes-chart")).to_be_visible()
    expect(shown.locator(pressed).locator("visible=true")).to_have_count(0)


def test_texts_keep_their_order_in_a_page_from_right_to_left(every_state: Site, tab: OpenTab):
    page = tab(viewport={"width": 1280, "height": 900})
    shown = opened(page, every_state, "page two")
    shown.evaluate("document.documentElement.dir = 'rtl'")
    assert shown.evaluate(DISORDERED) == []
    shown.set_viewport_size({"width": 390, "height": 900})
    assert shown.evaluate(DISORDERED) == []
    mask = "(place) => getComputedStyle(place).maskImage"
    assert "to left" in shown.locator(".boards").evaluate(mask)
    for name in ("arabic", "always open", "no result", "error", "empty board", "embed"):
        opened(page, every_state, name).evaluate("document.documentElement.dir = 'rtl'")
        shown.evaluate(LATE)
        assert shown.evaluate(DISORDERED) == [], name


def test_suggestions_keep_their_order_in_a_page_from_right_to_left(every_state: Site, tab: OpenTab):
    shown = opened(tab(), every_state, "board")
    shown.evaluate("document.documentElement.dir = 'rtl'")
    shown.get_by_role("searchbox", name="Search all symbols").press_sequentially("co")
    expect(shown.locator(".suggestions a").first).to_be_visible()
    assert shown.evaluate(DISORDERED) == []


def test_numbers_have_the_same_edge_in_a_page_from_right_to_left(every_state: Site, tab: OpenTab):
    page = tab(viewport={"width": 390, "height": 900})
    shown = opened(page, every_state, "board")
    shown.evaluate("document.documentElement.dir = 'rtl'")
    for row in shown.locator("tr.quote").all():
        (last, _), (percent, _) = row.evaluate(DIGITS)
        assert last == pytest.approx(percent, abs=1)
    opened(page, every_state, "closed").evaluate("document.documentElement.dir = 'rtl'")
    (_, last), _ = shown.locator(".quote-panel").evaluate(DIGITS)
    arrow = shown.locator(".panel-move .quotes-arrow").bounding_box()
    assert arrow
    assert last == pytest.approx(arrow["x"] + arrow["width"], abs=1)
    opened(page, every_state, "after hours").evaluate("document.documentElement.dir = 'rtl'")
    for period in shown.locator(".periods div").all():
        name, percent = period.evaluate(EDGES)
        assert name == pytest.approx(percent, abs=1)


def box(page: Page, part: str) -> dict[str, float]:
    found = page.locator(part).first.bounding_box()
    assert found
    return dict(found)


def test_a_wide_page_of_a_symbol_has_its_change_beside_the_price(every_state: Site, tab: OpenTab):
    page = tab(viewport={"width": 1440, "height": 900})
    shown = opened(page, every_state, "after hours")
    last, move = box(shown, ".panel-last"), box(shown, ".panel-move")
    assert last["x"] + last["width"] < move["x"]
    assert last["y"] < move["y"] < move["y"] + move["height"] <= last["y"] + last["height"]
    state, outside = box(shown, ".panel-state"), box(shown, ".panel-outside")
    assert state["x"] + state["width"] < outside["x"]
    assert box(shown, ".charts")["y"] == pytest.approx(box(shown, ".panel-figures")["y"], abs=1)


@pytest.mark.parametrize("width", [768, 1440])
def test_a_price_after_hours_moves_nothing_below_it(every_state: Site, tab: OpenTab, width: int):
    page = tab(viewport={"width": width, "height": 900})
    shown = opened(page, every_state, "after hours")
    before = box(shown, ".charts")
    shown.locator(".panel-outside").evaluate("(line) => line.remove()")
    assert box(shown, ".charts") == before


@pytest.mark.parametrize("width", [390, 1440])
def test_a_symbol_without_bars_has_a_text_of_its_height(
    every_state: Site, tab: OpenTab, width: int
):
    page = tab(viewport={"width": width, "height": 900})
    shown = opened(page, every_state, "no price")
    expect(shown.locator(".chart-none")).to_have_text("There are no prices to draw yet.")
    assert box(shown, ".charts")["height"] < 100
    expect(shown.locator(".charts .kinds >> visible=true")).to_have_count(1)
    expect(shown.locator(".compare")).to_be_hidden()


def test_the_pager_stands_still(every_state: Site, tab: OpenTab):
    page = tab()
    places = """[...document.querySelectorAll('.pages > *')].map((place) => {
        const {x, width, height} = place.getBoundingClientRect(); return [x, width, height]; })"""
    first = opened(page, every_state, "board").evaluate(places)
    assert len(first) == 3
    assert opened(page, every_state, "page two").evaluate(places) == first


def violations(page: Page) -> list[str]:
    """Return all findings of axe."""
    return [
        f"{each['id']}: {node['html'][:100]}"
        for each in Axe().run(page).response["violations"]
        for node in each["nodes"][:3]
    ]
