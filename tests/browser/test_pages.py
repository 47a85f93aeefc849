"""Pages as plain pages: their links, searches and texts."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html import unescape
from itertools import product
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page, expect

from tests.browser.conftest import SEEDED, STAFF, OpenTab
from tests.browser.tab import Tab, symbols_in
from tests.examples import examples
from tests.servers import Site, manage, site

pytestmark = [pytest.mark.browser, pytest.mark.server]


def opened(page: Tab) -> bool:
    """Return whether a message had all rows of the page: that is the first one to a socket."""
    return page.rows() in map(symbols_in, page.frames)


def sent(page: Tab) -> set[str]:
    """Return the symbols in all frames that the page received."""
    return {code for frame in page.frames for code in symbols_in(frame)}


def fresh(page: Tab) -> None:
    """Wait until a page that was just opened is live, with its own frames only."""
    page.live()
    assert opened(page)
    page.frames.clear()
    page.after_frames(6)


def test_a_search_shows_and_receives_its_rows_only(market: Site, tab: OpenTab):
    page = tab(market.url + "/boards/crypto/").live()
    field = page.page.get_by_role("searchbox", name="Filter this board")
    field.fill("litecoin")
    field.press("Enter")
    page.page.wait_for_url("**/boards/crypto/?q=litecoin")
    fresh(page)
    rows = page.rows()
    assert "LTC-USD" in rows
    assert len(rows) < 10
    assert sent(page) <= set(rows)
    assert field.input_value() == "litecoin"
    page.page.get_by_role("link", name="Show all").click()
    page.live()
    assert len(page.rows()) == 50


def test_a_filter_narrows_the_board_as_a_visitor_types(market: Site, tab: OpenTab):
    page = tab(market.url + "/boards/stock-market/").live()
    field = page.page.get_by_role("searchbox", name="Filter this board")
    field.press_sequentially("microso")
    expect(page.row("AAPL")).to_have_count(0)
    assert page.rows() == ["MSFT"]
    page.page.wait_for_url("**/boards/stock-market/?q=microso")
    assert page.page.evaluate("document.activeElement.id") == "q"
    assert field.input_value() == "microso"
    page.frames.clear()
    page.moves("MSFT")
    assert sent(page) == {"MSFT"}
    field.fill("")
    expect(page.row("AAPL")).to_have_count(1)
    assert len(page.rows()) == 50
    page.moves("AAPL")
    assert page.loads == 1
    assert page.complaints == []


def test_suggestions_come_as_a_visitor_types_and_enter_goes_to_the_first(
    market: Site, tab: OpenTab
):
    page = tab(market.url + "/boards/crypto/").live()
    field = page.page.get_by_role("searchbox", name="Search all symbols")
    field.press_sequentially("micros")
    first = page.page.locator(".suggestions").get_by_role("link").first
    expect(first).to_contain_text("MSFT")
    expect(first).to_be_visible()
    page.page.locator("h1").click()
    expect(first).to_be_hidden()
    field.press("Enter")
    page.page.wait_for_url("**/symbols/MSFT/**")
    assert page.complaints == []


@pytest.mark.parametrize(
    ("path", "width", "name"),
    [("/boards/crypto/", 1280, "#search"), ("/search/", 390, "#search-page")],
)
def test_suggestions_can_be_used_and_left_with_the_keyboard(
    market: Site, tab: OpenTab, path: str, width: int, name: str
):
    page = tab(market.url + path, viewport={"width": width, "height": 800}).live().page
    field, panel = page.locator(name), page.locator(f"{name} + .suggestions")
    links = panel.get_by_role("link")
    field.press_sequentially("bitco")
    expect(links.first).to_be_visible()
    page.keyboard.press("Tab")
    expect(links.first).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(field).to_be_focused()
    for _ in range(links.count() + 2):  # past the links and the button
        expect(panel).to_be_visible()
        page.keyboard.press("Tab")
    expect(panel).to_be_hidden()
    field.press("Escape")
    expect(field).to_have_value("")
    field.press_sequentially("bitco")
    expect(links.nth(1)).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    target = links.nth(1).get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{target}")


def test_a_search_without_results_shows_that_and_leads_back(market: Site, tab: OpenTab):
    page = tab(market.url + "/boards/crypto/?q=zzzz").live()
    assert page.rows() == []
    expect(page.page.get_by_text("No symbol on this board matches “zzzz”.")).to_be_visible()
    page.page.locator(".empty").get_by_role("link", name="Show all").click()
    page.live()
    assert page.rows()


@pytest.mark.parametrize("scripts", [True, False])
def test_a_heading_sorts_and_turns_and_lets_go(market: Site, tab: OpenTab, *, scripts: bool):
    page = tab(market.url + "/boards/crypto/", java_script_enabled=scripts)
    listed = page.rows()
    heading = page.page.get_by_role("columnheader", name="Symbol")
    for query, order, wanted in (
        ("sort=symbol", "ascending", None),
        ("sort=-symbol", "descending", None),
        ("", None, listed),
    ):
        heading.get_by_role("link").click()
        page.page.wait_for_url(lambda url, query=query: urlsplit(url).query == query)
        page.until(lambda order=order: heading.get_attribute("aria-sort") == order, f"{order}")
        rows = page.rows()
        assert rows == (wanted or sorted(rows, reverse=order == "descending"))


def test_the_focus_stays_on_the_heading_that_sorts(market: Site, tab: OpenTab):
    page = tab(market.url + "/boards/stock-market/").live()
    board, heading = page.page, page.page.locator("#by-symbol")
    heading.focus()
    for sort, order in (("symbol", "ascending"), ("-symbol", "descending")):
        board.keyboard.press("Enter")
        board.wait_for_url(f"**/boards/stock-market/?sort={sort}")
        expect(board.locator("thead th.c-symbol")).to_have_attribute("aria-sort", order)
        rows = page.rows()
        assert rows == sorted(rows, reverse=order == "descending")
        expect(heading).to_be_focused()
        assert heading.evaluate("(link) => link.matches(':focus-visible')")
        expect(board.locator("col.c-symbol")).to_have_class("c-symbol sorted")
    page.live()
    page.any_moves()
    board.get_by_role("searchbox", name="Filter this board").press_sequentially("micros")
    board.wait_for_url("**/boards/stock-market/?q=micros&sort=-symbol")
    assert page.loads == 1
    board.go_back()
    board.wait_for_url("**/boards/stock-market/?sort=symbol")
    expect(board.locator("thead th.c-symbol")).to_have_attribute("aria-sort", "ascending")
    page.live()
    page.any_moves()
    assert page.complaints == []


def test_a_sorted_board_stays_live_in_that_order(market: Site, tab: OpenTab):
    page = tab(market.url + "/boards/stock-market/?sort=-last")
    fresh(page)
    rows = page.rows()
    values = [float(page.value(code)) for code in rows]
    assert values == pytest.approx(sorted(values, reverse=True), rel=0.02)
    assert "sort=-last" in page.sockets[0]
    page.after_frames(8)
    assert page.rows() == rows


def test_a_kind_filters_and_keeps_the_search(market: Site, tab: OpenTab):
    page = tab(market.url + "/boards/stock-market/?q=s&sort=symbol")
    page.page.get_by_role("link", name="ETF", exact=True).click()
    page.page.wait_for_url("**kind=etf**")
    fresh(page)
    rows = page.rows()
    assert rows == sorted(rows)
    assert "AAPL" not in rows
    assert sent(page) <= set(rows)
    query = parse_qs(urlsplit(page.page.url).query)
    assert query == {"q": ["s"], "kind": ["etf"], "sort": ["symbol"]}
    assert page.page.get_by_role("link", name="ETF", exact=True).get_attribute("aria-current")


def test_pages_of_a_board_share_no_row_and_lose_none(market: Site, tab: OpenTab):
    page = tab(market.url + "/boards/stock-market/")
    seen: list[str] = []
    while True:
        page.live()
        seen += page.rows()
        assert opened(page)
        following = page.page.get_by_role("link", name="Next", exact=True)
        if not following.count():
            break
        following.click()
        page.page.wait_for_url(re.compile(r"page=\d"))
    assert len(seen) == len(set(seen)) == 180
    page.page.get_by_role("link", name="Previous").click()
    page.page.wait_for_url("**page=3**")


def test_a_row_leads_to_its_symbol_and_that_back_to_its_board(market: Site, tab: OpenTab):
    page = tab(market.url + "/boards/crypto/").live()
    page.row("BTC-USD").get_by_role("link").click()
    page.page.wait_for_url("**/symbols/BTC-USD/")
    page.live()
    assert page.page.locator("main").get_by_role("link", name="Crypto").count() == 1
    page.page.go_back()
    page.live()
    page.moves("BTC-USD")


EDGES = """(card) => {
    const box = (name) => card.querySelector(name).getBoundingClientRect();
    const {left, right} = card.getBoundingClientRect();
    return [box("h2 a").left - left, box(".c-symbol a").left - left, box(".more a").left - left,
        right - box(".c-last").right].map(Math.round);
}"""


def test_on_a_phone_titles_rows_and_links_of_a_card_have_the_same_edges(market: Site, tab: OpenTab):
    page = tab(market.url + "/", viewport={"width": 390, "height": 844})
    for card in page.page.locator(".front").all():
        assert len(set(card.evaluate(EDGES))) == 1


@pytest.mark.parametrize("width", [390, 1280])
def test_a_name_is_whole_where_there_is_room(market: Site, tab: OpenTab, width: int):
    page = tab(market.url + "/boards/stock-market/", viewport={"width": width, "height": 844})
    for code in ("MSFT", "NVDA", "GOOGL"):
        name = page.row(code).locator(".quotes-name")
        assert name.evaluate("(name) => name.scrollWidth <= name.clientWidth"), code


CODES = ["US0378331005", "WMWMWMWMWMWM", "BRK.B-PREF-A"]
LONGEST = "LONG-" * 11 + "LONG"  # 59 characters
CUT = """[...document.querySelectorAll(".c-symbol a, .quotes-code")].filter((place) => {
    const {left, right} = place.getBoundingClientRect();
    return place.scrollWidth > place.clientWidth + 1 && place.clientWidth
        || left < 0 || right > innerWidth;
}).map((place) => place.textContent)"""
LINES = """(code) => {
    const text = document.createRange();
    text.selectNodeContents(code);
    return text.getClientRects().length;
}"""
COVERED = """[...document.querySelectorAll(".quote .quotes-code")].filter((code) => {
    const text = document.createRange();
    text.selectNodeContents(code);
    const {bottom, right} = text.getBoundingClientRect();
    const row = code.closest("tr");
    return [".quotes-name", "data"].some((other) => {
        const box = row.querySelector(other).getBoundingClientRect();
        return box.left < right && box.top < bottom - 2;
    });
}).map((code) => code.textContent)"""
MANY = f"""
from quotes.models import Board, BoardSymbol, Symbol
for place, code in enumerate({[*CODES, LONGEST]}):
    symbol = Symbol.objects.create(
        code=code, name="A name of a symbol", kind="stock", currency="USD", start=1234567
    )
    for number in range(7):
        board, _ = Board.objects.get_or_create(
            slug=f"long-{{number}}", defaults={{"title": f"Title of the board {{number}}"}}
        )
        BoardSymbol.objects.create(board=board, symbol=symbol, position=place)
"""


@pytest.fixture(scope="module")
def long_codes(tmp_path_factory: pytest.TempPathFactory, few_symbols: Path) -> Iterator[Site]:
    """The site with long codes, and seven boards more."""
    folder = tmp_path_factory.mktemp("long")
    listed = shutil.copy(few_symbols, folder / "listed.sqlite3")
    manage("shell", "--verbosity", "0", "-c", MANY, DATABASE_URL=f"sqlite:///{listed}")
    with site(folder, listed, "daphne", **SEEDED) as running:
        yield running


def reach_boards(page: Tab, count: int) -> None:
    """Show each board's link: in the header, which scrolls on a phone, or in the menu beside."""
    menu = page.page.locator(".every-board")
    if menu.is_visible():
        menu.locator("summary").click()
        links = menu.get_by_role("link")
    else:
        links = page.page.locator(".boards").get_by_role("link")
    assert links.count() == count
    for link in links.all():
        link.scroll_into_view_if_needed()
        assert link.evaluate("(link) => link.scrollWidth <= link.clientWidth")
        expect(link).to_be_in_viewport(ratio=0.99)
    if menu.is_visible():
        menu.locator("summary").click()


def test_no_code_and_no_board_is_cut_at_any_width(long_codes: Site, tab: OpenTab):
    page = tab()
    for path in ("/boards/long-0/", "/"):
        page.open(long_codes.url + path)
        expect(page.row(LONGEST).locator("data").first).to_have_text(re.compile(r"\d"))
        for width in (320, 390, 480, 705, 768, 1280):
            page.page.set_viewport_size({"width": width, "height": 900})
            assert page.page.evaluate(CUT) == [], (path, width)
            assert page.page.evaluate(COVERED) == [], (path, width)
            reach_boards(page, 9)
            wide = page.page.evaluate("document.documentElement.scrollWidth")
            assert wide == width, (path, width)
        for width, code in product((390, 480), (CODES[0], CODES[2])):
            page.page.set_viewport_size({"width": width, "height": 900})
            lines = page.row(code).locator(".quotes-code").first.evaluate(LINES)
            assert lines == 1, (path, width, code)


@pytest.mark.parametrize("path", ["/boards/nowhere/", "/symbols/NOPE/", "/nowhere/"])
def test_what_is_not_there_is_a_404(market: Site, tab: OpenTab, path: str):
    page = tab()
    answer = page.page.goto(market.url + path)
    assert answer is not None
    assert answer.status == 404


def test_unknown_symbols_are_named(market: Site, tab: OpenTab):
    page = tab(market.url + "/embed/quotes/?symbols=BTC-USD,NOPE,<b>x").live()
    page.moves("BTC-USD")
    expect(page.page.locator(".note-unknown")).to_be_hidden()  # their rows state it
    assert page.rows() == ["BTC-USD", "NOPE", "<B>X"]
    for code in ("NOPE", "<B>X"):
        expect(page.row(code)).to_have_text(f"Unknown symbol: {code}")


STRANGE = (
    "'", '"', "a'b\"c", "\\", "A\\", "]", "[X]", "X'] , *", "A&B", "&AMP;", "<I>", "A B", "A  B",
    "Ä", "株式", "شركة", "🙂", "A\u0301", "%41", "A;B", "A:B", "#1", "{X}", "$1", "\u200b",
    "X" * 61,
)  # fmt: skip


def test_an_unknown_code_of_any_characters_stops_no_other_price(market: Site, tab: OpenTab):
    query = urlencode({"symbols": ",".join(("BTC-USD", *STRANGE))})
    page = tab(f"{market.url}/embed/quotes/?{query}").live()
    page.moves("BTC-USD")
    assert page.page.locator("tr.quote").count() > 20
    assert not page.says_not_live()
    assert page.complaints == []


LISTED = (
    "BRK'B", 'SAY "X"', "A\\B", "X'] ; *", "M&M", "BTC/USD", "<B>X", "{X}", "%41", "#1?", "A+B",
    "ÄÖÜ", "株式", "شركة", "🙂", "=1+1", "BOND 2.1 % 15.06.2033 (EUR/USD; MINI)",
)  # fmt: skip
MAKE = """
from quotes.models import Symbol
for code in {codes!r}:
    symbol = Symbol(code=code, name=code, kind="stock", currency="USD")
    symbol.full_clean()
    symbol.save()
"""
DELETE = "from quotes.models import Symbol; Symbol.objects.filter(code__in={codes!r}).delete()"


def test_symbols_of_any_characters_move_and_have_pages(market: Site, tab: OpenTab):
    market.manage("shell", "--no-imports", "-c", MAKE.format(codes=LISTED))
    page = tab(f"{market.url}/embed/quotes/?{urlencode({'symbols': ','.join(LISTED)})}").live()
    expect(page.page.locator("[data-condition='unknown']")).to_have_count(0)  # a second later
    page.frames.clear()
    page.until(lambda: {unescape(code) for code in sent(page)} >= set(LISTED), "a frame of each")
    assert page.rows() == list(LISTED)
    links = page.page.locator("tr.quote a").evaluate_all("links => links.map(({href}) => href)")
    for code, link in zip(LISTED, links, strict=True):
        answer = page.page.goto(link)
        assert answer is not None
        assert answer.status == 200, code
        assert page.page.locator(".quote-panel").get_attribute("data-symbol") == code
        page.live()
    assert page.complaints == []
    market.manage("shell", "--no-imports", "-c", DELETE.format(codes=LISTED))


@settings(examples(3), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(codes=st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=40))
def test_unknown_codes_of_any_text_stop_no_other_price(
    market: Site, tab: OpenTab, codes: list[str]
):
    query = urlencode({"symbols": ",".join(("BTC-USD", *codes))}, errors="replace")
    page = tab(f"{market.url}/embed/quotes/?{query}").live()
    assert page.complaints == []  # htmx complains of a selector that it can't read
    page.page.close()


def test_pages_and_admin_break_no_rule_and_ask_no_stranger(market: Site, tab: OpenTab):
    market.manage("createsuperuser", "--noinput")
    page = tab()
    paths = ["/", "/boards/crypto/", "/boards/stock-market/", "/symbols/BTC-USD/"]
    for path in [*paths, "/embed/quotes/?symbols=BTC-USD"]:
        page.open(market.url + path).live()
        assert page.violations() == [], path
    page.open(market.url + "/admin/")
    assert page.violations() == []
    sign_in(page.page)
    for link in ("Symbols", "AAPL"):
        page.page.get_by_role("link", name=link, exact=True).first.click()
        page.page.wait_for_load_state()
        assert page.violations() == [], link
    for link in ("Boards", "Crypto"):
        page.page.get_by_role("link", name=link, exact=True).first.click()
        page.page.wait_for_load_state()
        assert page.violations() == [], link
    assert page.complaints == []


def sign_in(page: Page) -> None:
    """Sign in to the admin as Alice."""
    page.get_by_label("Username").fill(STAFF["DJANGO_SUPERUSER_USERNAME"])
    page.get_by_label("Password").fill(STAFF["DJANGO_SUPERUSER_PASSWORD"])
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/")
