"""Quotes in other people's pages: tags in their templates, frames on their sites."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SEEDED, OpenTab
from tests.browser.foreign import foreign
from tests.servers import Site, site
from tests.test_docs import EMBEDDING

pytestmark = [pytest.mark.browser, pytest.mark.server]

VALUES = """(code) => [...document.querySelectorAll(`.quote[data-symbol='${code}'] data`)]
    .map((place) => place.value)"""
DOUBLE_IDS = """() => {
    const ids = [...document.querySelectorAll("[id]")].map(({id}) => id);
    return ids.filter((id, place) => ids.indexOf(id) !== place);
}"""
# The next pulse takes the classes away, so each script sets them and measures in one step.
LONG_STOPPED = """(pulse) => {
    pulse.classList.replace("pulse-live", "pulse-stopped");
    pulse.classList.add("over-10-minutes");
    %s
}"""
FILLED = LONG_STOPPED % "return document.documentElement.scrollHeight;"
IN_VIEW = (
    LONG_STOPPED
    % """const {top, bottom, height} = pulse.querySelector(".pulse-ill").getBoundingClientRect();
    return height > 0 && top >= 0 && bottom <= innerHeight;"""
)
FRAME = """<!doctype html><title>Host</title>
<iframe src="http://127.0.0.1:{port}/embed/quotes/?symbols=BTC-USD,AAPL"></iframe>"""
GROUND = "(place) => getComputedStyle(place).backgroundColor"
SURFACE = "getComputedStyle(document.body).backgroundColor"
WIDTH = """(place, text) => {
    place.textContent = text;
    return place.getBoundingClientRect().width;
}"""
LISTED = ("ADA-USD", "AVAX-USD", "BCH-USD", "BTC-USD", "DOGE-USD", "ETH-USD", "LTC-USD", "SOL-USD")
LISTED += ("XRP-USD",)


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """Another site, on another host name."""
    with foreign(FRAME) as origin:
        yield origin


@pytest.fixture(scope="module")
def framed(
    host: str, tmp_path_factory: pytest.TempPathFactory, few_symbols: Path
) -> Iterator[Site]:
    """A site that lets the other one frame its embeds, and has an article with tags."""
    more = {
        "QUOTES_EMBED_ORIGINS": host,
        "DJANGO_SETTINGS_MODULE": "tests.browser.elsewhere",
    }
    with site(tmp_path_factory.mktemp("framed"), few_symbols, **(SEEDED | more)) as running:
        yield running


def test_a_frame_on_a_listed_site_is_live(host: str, framed: Site, tab: OpenTab):
    page = tab(f"{host}/{framed.port}")
    frame = page.page.frame_locator("iframe")
    expect(frame.locator(".pulse-live")).to_be_visible()
    price = frame.locator("[data-symbol='BTC-USD'] data")
    expect(price).not_to_have_attribute("value", price.get_attribute("value") or "")
    assert page.page.context.cookies() == []


def test_a_frame_on_any_other_site_stays_empty(host: str, market: Site, tab: OpenTab):
    page = tab(f"{host}/{market.port}")
    page.until(lambda: page.complaints, "the browser's complaint")
    assert "frame-ancestors" in page.complaints[0]
    assert not page.sockets


@pytest.mark.parametrize(
    ("scheme", "theme", "dark"),
    [
        ("light", "auto", False),
        ("dark", "auto", True),
        ("light", "dark", True),
        ("dark", "light", False),
    ],
)
def test_the_theme_is_that_of_the_address_or_the_visitors_own(
    market: Site, tab: OpenTab, scheme: str, theme: str, *, dark: bool
):
    page = tab(market.url + f"/embed/quotes/?symbols=BTC-USD&theme={theme}", color_scheme=scheme)
    ink = page.row("BTC-USD").locator("data").evaluate("(price) => getComputedStyle(price).color")
    assert (ink == "rgb(233, 236, 242)") == dark


def test_an_embed_in_german_is_german_whatever_the_browser_speaks(market: Site, tab: OpenTab):
    page = tab(market.url + "/embed/quotes/?symbols=BTC-USD&lang=de", locale="en-US").live()
    assert page.page.locator("html").get_attribute("lang") == "de"
    for _ in range(3):
        page.moves("BTC-USD")
        assert page.field("BTC-USD", "last")[-3] == ","


@pytest.mark.parametrize("height", [90, 240])
@pytest.mark.parametrize("language", ["en", "de"])
def test_the_state_of_an_embed_is_in_view_at_any_height(
    market: Site, tab: OpenTab, language: str, height: int
):
    path = f"/embed/quotes/?symbols=BTC-USD,AAPL,ETH-USD,MSFT&lang={language}"
    for width in (300, 420):
        page = tab(market.url + path, viewport={"width": width, "height": height}).live().page
        expect(page.locator(".pulse-well")).to_be_in_viewport(ratio=1)
        assert page.locator(".quotes-pulse").evaluate(IN_VIEW)
        assert page.locator(".live-quotes-foot").evaluate(GROUND) == page.evaluate(SURFACE)


@pytest.mark.parametrize("language", ["en", "de"])
def test_an_iframe_of_the_height_in_the_documents_shows_all_of_its_rows(
    market: Site, tab: OpenTab, language: str
):
    sizes = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) \|$", EMBEDDING, re.MULTILINE)
    codes = [*LISTED[:9], "AAPL"]
    assert len(sizes) == 4
    for rows, *heights in sizes:
        for width, height in zip((420, 300), heights, strict=True):
            symbols = ",".join(codes[-int(rows) :])
            page = tab(viewport={"width": width, "height": 50})
            page.open(f"{market.url}/embed/quotes/?symbols={symbols}&lang={language}").live()
            filled = page.page.locator(".quotes-pulse").evaluate(FILLED)
            assert int(height) - 40 < filled <= int(height), (rows, width)


def test_thousands_are_apart_where_a_space_divides_them(market: Site, tab: OpenTab):
    page = tab(market.url + "/embed/quotes/?symbols=BTC-USD").live()
    together, apart = (
        page.row("BTC-USD").locator("data").evaluate(WIDTH, text)
        for text in ("77678,70", "77\N{NO-BREAK SPACE}678,70")
    )
    assert apart > together + 2


def test_tables_of_the_front_page_share_one_socket(market: Site, tab: OpenTab):
    page = tab(market.url + "/").live()
    page.moves("BTC-USD")
    page.moves("AAPL")
    assert len(page.sockets) == 1
    assert page.page.evaluate(DOUBLE_IDS) == []


def test_tags_of_a_strange_page_share_one_socket_and_agree(framed: Site, tab: OpenTab):
    page = tab(framed.url + "/article/").live()
    assert len(page.page.evaluate(VALUES, "BTC-USD")) == 3
    first = page.page.evaluate(VALUES, "BTC-USD")[0]

    def moved() -> bool:
        values = page.page.evaluate(VALUES, "BTC-USD")
        assert len(set(values)) == 1, "all places of a symbol move at once"
        return values[0] != first

    page.until(moved, "a move of all places")
    page.moves("ETH-USD")
    assert len(page.sockets) == 1
    assert page.page.evaluate(DOUBLE_IDS) == []
    for kind in (".css", ".js"):
        loaded = [path for path in page.asked if path.endswith(kind)]
        assert len(loaded) == len(set(loaded)) == {".css": 3, ".js": 1}[kind]
    assert page.asked.count("/live/") == 1
    expect(page.page.get_by_text("Unknown symbol: NOPE")).to_be_visible()
    assert page.complaints == []
    assert page.violations() == []


@pytest.mark.parametrize("path", ["/article/", "/embed/quotes/?symbols=BTC-USD,AAPL"])
def test_below_a_table_stands_what_changes_are_measured_from_and_prices_not_for(
    framed: Site, tab: OpenTab, path: str
):
    page = tab(framed.url + path, viewport={"width": 390, "height": 800})
    text = "Change: over 24 h for crypto, otherwise vs prev. close · "
    text += "For information only, not for trading"
    for _ in range(2):  # at once, and still so once the socket has spoken
        expect(page.page.get_by_text(text).filter(visible=True)).to_have_count(1)
        page.live() if "embed" in path else page.moves("ETH-USD")


@pytest.mark.parametrize("script", [True, False])
def test_a_price_in_a_line_shows_as_text_what_a_finger_can_not_point_at(
    framed: Site, tab: OpenTab, *, script: bool
):
    page = tab(viewport={"width": 390, "height": 800}, java_script_enabled=script)
    page.open(framed.url + "/line/")
    if script:
        page.moves("AAPL")
    line = page.page.locator("p")
    assert re.fullmatch(
        r"Apple stands at [\d.]+\sUSD [▲▼•] [+−]?[\d.]+% vs prev\. close simulated"
        r" ?For information only, not for trading\.",
        " ".join(line.inner_text().split()),
    )
    expect(line.get_by_text("not for trading")).to_be_visible()


def test_a_sentence_states_once_that_its_price_is_simulated(framed: Site, tab: OpenTab):
    for path in ("/line/", "/line-and-table/"):
        page = tab(framed.url + path)
        page.moves("AAPL")
        sentence = page.page.locator("p").first.inner_text()
        assert sentence.casefold().count("simulated") == 1, path


def test_the_notes_of_a_page_are_below_its_table_also_if_a_price_comes_before(
    framed: Site, tab: OpenTab
):
    for scripted in (True, False):
        page = tab(framed.url + "/line-and-table/", java_script_enabled=scripted).page
        notes = page.get_by_text("not for trading").filter(visible=True)
        expect(notes).to_have_count(1)
        expect(page.locator(".live-quotes").filter(has=notes)).to_be_visible()


def test_the_state_stands_at_the_edge_of_a_header_without_a_search(framed: Site, tab: OpenTab):
    page = tab(viewport={"width": 390, "height": 800}).open(framed.url + "/boards/crypto/").page
    state = page.locator(".top .quotes-pulse")
    edge = "(place) => place.getBoundingClientRect().right"
    usual = state.evaluate(edge)
    search = page.locator(".search, .search-link")
    search.evaluate_all("(all) => all.forEach((each) => each.remove())")
    assert state.evaluate(edge) == usual


def test_tags_of_a_strange_page_are_complete_without_javascript(framed: Site, tab: OpenTab):
    page = tab(framed.url + "/article/", java_script_enabled=False)
    for code in ("BTC-USD", "AAPL", "ETH-USD"):
        assert float(page.value(code)) > 0
        assert "%" in page.field(code, "change-percent")
