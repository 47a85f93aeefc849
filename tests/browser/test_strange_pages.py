"""Quotes in pages with styles of their own: neither changes the looks of the other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import OFTEN, OpenTab
from tests.browser.strange import STYLES
from tests.browser.tab import Tab
from tests.servers import Site, site
from tests.snippets import snippets

pytestmark = [pytest.mark.browser, pytest.mark.server]

CODES = ("BTC-USD", "SHIB-USD", "ADA-USD", "NOPE")  # as in tests.browser.strange
VIEWS = [("light", {"width": 360, "height": 900}), ("dark", {"width": 1280, "height": 900})]
# Every property of every element of the site and of its pseudo-elements, except our own properties,
# which change no other element.
OWN = r"""() => {
    document.querySelector(".search input").focus();
    const names = [...getComputedStyle(document.body)]
        .filter((name) => !name.startsWith("--quotes-")).sort();
    const found = [];
    for (const element of document.querySelectorAll("html, body, body *")) {
        if (element.parentElement?.closest(".place, .line")) continue;
        if (element.closest("#quotes-end")) continue;
        for (const part of ["", "::before", "::after", "::marker", "::placeholder"]) {
            const style = getComputedStyle(element, part || null);
            if (/before|after/.test(part) && style.content === "none") continue;
            if (part === "::marker" && element.tagName !== "LI") continue;
            if (part === "::placeholder" && !element.matches("input")) continue;
            found.push(`${element.tagName} ${element.className} ${part}\n` + names.map(
                (name) => `${name}: ${style.getPropertyValue(name)}`).join("\n"));
        }
    }
    return found;
}"""

# How a quote looks: all rows get the same text, because the market moves meanwhile.
LOOKS = r"""([roots, condition]) => {
    const names = `animation-name background-color border-bottom border-left border-right border-top
        border-collapse border-radius bottom box-shadow box-sizing clip-path color content display
        flex float font-family font-size font-style font-variant-numeric font-weight gap hyphens
        letter-spacing line-height margin max-width min-height min-width opacity overflow padding
        position table-layout text-align text-decoration text-indent text-overflow text-shadow
        text-transform text-wrap transition-duration vertical-align visibility white-space
        word-break word-spacing z-index fill stroke stroke-dasharray stroke-width`.split(/\s+/);
    for (const row of document.querySelectorAll(".quote[data-way]")) {
        row.dataset.way = "up";
        row.dataset.condition = condition;
        row.removeAttribute("data-flash");
    }
    for (const figure of document.querySelectorAll(".quote[data-way] [data-field]")) {
        if (/\d/.test(figure.textContent)) figure.textContent = "4,321.09";
    }
    document.querySelector(".quotes-pulse").className = "quotes-pulse pulse-live";
    const found = {};
    const root = document.querySelector(roots);
    const from = root.getBoundingClientRect();
    for (const element of [root, ...root.querySelectorAll("*")]) {
        if (element.closest(".quotes-tiny, [hidden], input") && !element.matches("sub")) continue;
        const classes = element.getAttribute("class") ?? "";
        const label = [element.tagName, classes.replace(/htmx\S*/g, "").trim(),
            element.dataset.field, Object.keys(found).length].join(" ");
        for (const part of ["", "::before", "::after"]) {
            const style = getComputedStyle(element, part || null);
            if (part && style.content === "none") continue;
            found[label + part] = Object.fromEntries(names.map((name) =>
                [name, style.getPropertyValue(name)
                    .replace(/^0px \w+ .*/, "none").replace(/^auto$/, "0px")]));
        }
        if (element.matches(".quotes-whole")) found[label].bottom = "";
        if (element.matches("table, tr, th, td, a, svg")) {
            const box = element.getBoundingClientRect();
            const sizes = [box.x - from.x, box.y - from.y, box.width, box.height];
            found[label].box = sizes.map((size) => Math.round(8 * size) / 8).join(" ");
        }
    }
    return found;
}"""
FOOT = (".quotes-notes", ".quotes-sources", ".quotes-pulse")
INHERITED = {"color", "font-family", "font-style", "hyphens", "letter-spacing", "line-height"}
INHERITED |= {"text-align", "text-indent", "word-spacing"}
TYPE = """(element) => {
    const {color, fontFamily, fontSize, fontStyle, letterSpacing} = getComputedStyle(element);
    return [color, fontFamily, fontSize, fontStyle, letterSpacing];
}"""
ROW = """(row) => {
    const from = row.getBoundingClientRect();
    const bottom = (part) => row.querySelector(part).getBoundingClientRect().bottom - from.top;
    return {height: from.height, code: bottom(".quotes-code"), price: bottom(".c-last"),
        percent: bottom("[data-field='change-percent']")};
}"""
TYPE_OF_OURS = """.place { color-scheme: var(--quotes-scheme);
    font-family: var(--quotes-font); color: var(--quotes-ink); }"""
COLOUR = "(element) => getComputedStyle(element).color"
# whatever the market does
COLOUR_OF_GAIN = """(arrow) => {
    arrow.closest('.quote-price').dataset.way = 'up';
    return getComputedStyle(arrow).color;
}"""
COLOURS = [  # theme, gain and muted in it
    ("light", "rgb(8, 120, 58)", "rgb(89, 97, 114)"),
    ("dark", "rgb(65, 208, 134)", "rgb(152, 161, 178)"),
]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory, few_symbols: Path) -> Iterator[Site]:
    """Another site."""
    settings = {"DJANGO_SETTINGS_MODULE": "tests.browser.elsewhere"}
    folder = tmp_path_factory.mktemp("elsewhere")
    with site(folder, few_symbols, **(OFTEN | settings)) as running:
        yield running


def address(site: Site, style: str, theme: str, place: str = "") -> str:
    """Return the address of the strange page: with quotes in a place of it, or without."""
    asked = [f"quotes={place}"] * bool(place) + ["dark=1"] * (theme == "dark")
    return f"{site.url}/strange/{style}/?{'&'.join(asked)}"


def embedded(site: Site, theme: str) -> str:
    """Return the address of the same table in a page of ours."""
    return f"{site.url}/embed/quotes/?symbols={','.join(CODES)}&theme={theme}"


def drawn(page: Tab) -> None:
    """Wait until all prices have their sparklines."""
    lines = page.page.locator(".quotes-spark path:last-child")
    page.until(lambda: lines.count() == len(CODES) - 1, "their sparklines")


def looks(page: Page, root: str, condition: str = "live") -> dict[str, Any]:
    """Return the look of every element of some quotes, by its kind."""
    page.mouse.move(-1, -1)  # a row below the pointer has a background
    found: dict[str, Any] = page.evaluate(LOOKS, [root, condition])
    if root in FOOT:
        first = next(iter(found.values()))
        first["flex"] = first["margin"] = ""  # the foot of an embed has another layout
    return found


def differences(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return where two looks differ, in words that can be read."""
    if one.keys() != other.keys():
        return {"elements": sorted(one.keys() ^ other.keys())}
    return {
        element: {
            n: (one[element][n], v) for n, v in other[element].items() if one[element][n] != v
        }
        for element in one
        if one[element] != other[element]
    }


def changes(before: list[str], after: list[str]) -> list[str]:
    """Return the elements that look different, and the difference."""
    assert len(before) == len(after)
    pairs = zip(before, after, strict=True)
    return [
        f"{new.partition(chr(10))[0]}: {set(new.splitlines()) - set(old.splitlines())}"
        for old, new in pairs
        if old != new
    ]


@pytest.mark.parametrize(("theme", "size"), VIEWS)
@pytest.mark.parametrize("style", STYLES)
def test_nothing_of_a_strange_page_changes(
    elsewhere: Site, tab: OpenTab, style: str, theme: str, size: dict[str, int]
):
    without, within = tab(viewport=size), tab(viewport=size)
    without.open(address(elsewhere, style, theme))
    within.open(address(elsewhere, style, theme, "body")).moves("BTC-USD")
    before, after = without.page.evaluate(OWN), within.page.evaluate(OWN)
    assert len(before) > 80
    assert changes(before, after) == []


@pytest.mark.parametrize(("theme", "size"), VIEWS)
def test_a_table_in_a_strange_page_looks_as_in_ours_except_for_its_type(
    elsewhere: Site, tab: OpenTab, theme: str, size: dict[str, int]
):
    ours, theirs = tab(viewport=size), tab(viewport=size)
    drawn(ours.open(embedded(elsewhere, theme)).live())
    parts = product((".quotes-table", *FOOT), ("live", "stale", "closed"))
    as_ours = {each: looks(ours.page, *each) for each in parts}
    assert all(as_ours.values())
    for style in STYLES:
        for place in ("body", "head"):  # after the site's own styles, and before them
            drawn(theirs.open(address(elsewhere, style, theme, place)).live())
            theirs.page.add_style_tag(content=TYPE_OF_OURS)
            for (part, condition), here in as_ours.items():
                there = looks(theirs.page, part, condition)
                assert differences(here, there) == {}, f"{part} {condition} {style} {place}"


@pytest.mark.parametrize(("theme", "gain", "muted"), COLOURS)
@pytest.mark.parametrize("style", STYLES)
def test_a_price_has_the_type_of_its_line_and_the_rest_of_ours(
    elsewhere: Site, tab: OpenTab, style: str, theme: str, gain: str, muted: str
):
    ours, theirs = tab(), tab()
    ours.open(f"{elsewhere.url}/line/").moves("AAPL")
    ours.page.evaluate("(theme) => { document.documentElement.style.colorScheme = theme }", theme)
    theirs.open(address(elsewhere, style, theme, "line")).moves("BTC-USD")
    line = theirs.page.locator("p.line").evaluate(TYPE)
    assert theirs.page.locator("p.line data").evaluate(TYPE) == line
    for part in (".quote-price", ".live-quote-foot"):
        here, there = (looks(each.page, part) for each in (ours, theirs))
        for look in (*here.values(), *there.values()):
            for name in INHERITED:
                look.pop(name)
        assert differences(here, there) == {}
    assert theirs.page.locator(".quote-price .quotes-arrow").evaluate(COLOUR_OF_GAIN) == gain
    assert theirs.page.locator(".quote-price .quotes-currency").evaluate(COLOUR) == muted


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("style", STYLES)
def test_a_table_has_the_font_and_the_colour_of_its_page(
    elsewhere: Site, tab: OpenTab, style: str, theme: str
):
    page = tab(address(elsewhere, style, theme, "body")).live().page
    colour, font, *_ = page.locator(".place").evaluate(TYPE)
    for part in (".quotes-table data", ".quotes-table .quotes-code"):
        assert page.locator(part).first.evaluate(TYPE)[:2] == [colour, font]


SCHEME = "(element) => getComputedStyle(element).colorScheme"
WRAP = """([around, within]) => {
    const [outer, inner] = [around, within].map((markup) => {
        const template = document.createElement("template");
        template.innerHTML = markup;
        return template.content.firstChild;
    });
    document.body.append(outer);
    outer.append(inner);
    inner.append(...document.querySelectorAll(".place, p.line"));
}"""


@pytest.mark.parametrize(
    ("around", "within", "scheme"),
    [
        ("<div>", "<div>", "normal"),
        ('<div class="dark">', "<div>", "dark"),
        ('<div data-bs-theme="dark">', "<div>", "dark"),
        ('<div data-theme="light">', '<div data-theme="dark">', "dark"),
        ('<div data-bs-theme="dark">', '<div data-bs-theme="light">', "light"),
        ('<div data-mode="dark">', '<div data-color-mode="light">', "light"),
    ],
)
def test_quotes_are_light_or_dark_as_the_nearest_element_states(
    elsewhere: Site, tab: OpenTab, around: str, within: str, scheme: str
):
    page = tab(address(elsewhere, "bare", "light", "body")).live().page
    page.evaluate(WRAP, [around, within])
    for part in (".live-quotes", ".quotes-inline", ".live-quote-foot"):
        assert page.locator(part).first.evaluate(SCHEME) == scheme
    assert page.locator(".place").evaluate(SCHEME) == "normal", "the page itself does not change"


def test_a_site_changes_our_looks_as_the_documents_say(elsewhere: Site, tab: OpenTab):
    page = tab(address(elsewhere, "bare", "light", "body")).live().page
    theme, night, padding = snippets("css")
    gain = "getComputedStyle(document.body).getPropertyValue('--quotes-gain')"
    page.add_style_tag(content=theme)  # in the head, and ours come later
    assert page.evaluate(gain) == "light-dark(#0b4fa8, #7ab8ff)"
    name = page.locator(".quotes-name").first
    assert name.evaluate(COLOUR) == "rgb(89, 97, 114)"
    page.add_style_tag(content=night)
    page.locator("html").evaluate("(root) => { root.className = 'night'; }")
    assert name.evaluate(COLOUR) == "rgb(152, 161, 178)"
    row = page.locator(".quotes-entries .quote[data-way]").first
    usual = row.evaluate(ROW)
    page.add_style_tag(content=padding)
    padded = row.evaluate(ROW)
    assert padded["height"] > usual["height"] + 8
    for each in (usual, padded):
        assert each["code"] == pytest.approx(each["price"], abs=3), "both stand on one line"
        assert 0 < each["percent"] < each["height"]
