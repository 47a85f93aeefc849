"""Exact ticks of one exchange: which cells flash, and what pages show when it fails."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from quotes.store import FLASH_EVERY
from tests.browser.conftest import Exchange, OpenTab
from tests.browser.tab import Tab, symbols_in
from tests.servers import Site, eventually

pytestmark = [pytest.mark.browser, pytest.mark.server]


@pytest.fixture
def board(quiet: Site, exchange: Exchange, tab: OpenTab) -> Tab:
    """The crypto board, with fresh prices."""
    exchange.mode("ok")
    page = tab(quiet.url + "/boards/crypto/", reduced_motion="no-preference").live()
    eventually(exchange.heard, "the site listens to the exchange")
    to(page, exchange, "BTC-USD", f"{Decimal(page.value('BTC-USD')) + 1}")
    return page


def to(page: Tab, exchange: Exchange, code: str, price: str) -> None:
    """Move a symbol to a price, and wait until the page shows it."""
    exchange.tick(code, price)
    expect(page.row(code).locator("data")).to_have_attribute("value", price)


def rested(page: Tab) -> None:
    """Wait until another flash of the same cell is allowed."""
    page.page.evaluate(f"new Promise((done) => setTimeout(done, {FLASH_EVERY * 1000 + 100}))")


def flashes(page: Tab) -> list[str]:
    """Return the cells that flashed since the last call, with their flash."""
    page.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    return [str(flash) for flash in page.page.evaluate("quotesTest.flashes.splice(0)")]


def test_a_price_that_moves_flashes_the_way_it_went(board: Tab, exchange: Exchange):
    rested(board)
    flashes(board)
    seen = []
    for price in ("70011.00", "70012.00", "70011.50", "69999.99"):
        to(board, exchange, "BTC-USD", price)
        seen += board.until(lambda: flashes(board), "a flash")
        rested(board)
    shown = "BTC-USD last "
    assert [flash[:-2] for flash in seen] == [shown + way for way in ("up", "up", "down", "down")]
    turns = [flash[-1] for flash in seen]
    assert turns in (list("1212"), list("2121")), "the same name twice would flash once"
    assert board.field("BTC-USD", "last") == "69,999.99"


def test_a_tick_at_the_same_price_does_not_flash(
    board: Tab, quiet: Site, exchange: Exchange, tab: OpenTab
):
    to(board, exchange, "BTC-USD", "64100.00")
    rested(board)
    later = tab(quiet.url + "/boards/crypto/", reduced_motion="no-preference").live()
    # which has not seen that move
    pages = (board, later)
    for page in pages:
        flashes(page)
    before = board.row("BTC-USD").locator("[data-field=time]").get_attribute("datetime") or ""
    exchange.tick("BTC-USD", "64100.00")
    for page in pages:
        time = page.row("BTC-USD").locator("[data-field=time]")
        expect(time).not_to_have_attribute("datetime", before)
    assert [flashes(page) for page in pages] == [[], []]


def test_a_move_flashes_the_price_and_nothing_else(board: Tab, exchange: Exchange):
    rested(board)
    flashes(board)
    to(board, exchange, "BTC-USD", "64201.00")
    (flash,) = board.until(lambda: flashes(board), "a flash")
    assert re.fullmatch(r"BTC-USD last (up|down)-[12]", flash)


def test_visitors_who_want_less_motion_get_no_flash(
    board: Tab, quiet: Site, exchange: Exchange, tab: OpenTab
):
    calm = tab(quiet.url + "/boards/crypto/", reduced_motion="reduce").live()
    rested(board)
    to(calm, exchange, "BTC-USD", "64300.00")
    assert flashes(calm) == []
    style = "(cell) => getComputedStyle(cell).animationName"
    assert calm.row("BTC-USD").locator("data").evaluate(style) == "none"
    # the pulse's clock must run all the same
    assert calm.page.locator(".pulse-ill").evaluate(style) != "none"


def test_a_price_that_moved_before_the_socket_opened_shows_at_once_and_does_not_flash(
    board: Tab, quiet: Site, exchange: Exchange, tab: OpenTab
):
    to(board, exchange, "ETH-USD", "3201.00")
    late = tab(reduced_motion="no-preference")
    late.hold("**/*.js")
    late.page.goto(quiet.url + "/boards/crypto/", wait_until="commit")
    late.until(lambda: late.held, "scripts are requested")
    to(board, exchange, "ETH-USD", "3202.00")
    late.release()
    expect(late.row("ETH-USD").locator("data")).to_have_attribute("value", "3202.00")
    assert flashes(late) == []
    assert symbols_in(late.frames[0]) == late.rows()


def test_only_what_moved_is_sent(board: Tab, exchange: Exchange):
    count = len(board.frames)
    to(board, exchange, "DOGE-USD", "0.12350")
    moved = [code for frame in board.frames[count:] for code in symbols_in(frame)]
    assert moved.count("DOGE-USD") == 1
    assert set(moved) <= {"DOGE-USD", "SOL-USD"}  # Solana grows old beside it


DIMMED = """(row) => {
    const colour = (part) => getComputedStyle(row.querySelector(part)).color;
    const price = colour("[data-field=last]");
    return row.dataset.condition === "stale" && price === colour(".quotes-name")
        && price !== colour("a") && colour("[data-field=state]") !== price;
}"""


def test_an_old_price_is_dimmed_and_shows_its_age(board: Tab, exchange: Exchange):
    to(board, exchange, "SOL-USD", "151.40")
    row = board.row("SOL-USD")
    expect(row).to_have_attribute("data-condition", "stale")
    # a poll beside the stream may make the price new for a second, between two looks too
    board.until(lambda: "old" in board.field("SOL-USD", "state"), "its age")
    assert board.field("SOL-USD", "last") == "151.40"
    board.until(lambda: row.evaluate(DIMMED), "the price is dimmed like its name, its age is not")
    to(board, exchange, "SOL-USD", "151.50")
    fresh = [frame for frame in board.frames if 'value="151.50"' in frame]
    assert 'data-condition="live"' in fresh[0]


def test_a_source_that_fails_is_named_once_and_nothing_moves_on_the_page(
    board: Tab, quiet: Site, exchange: Exchange, tab: OpenTab
):
    front = tab(quiet.url + "/").live()
    symbol = tab(quiet.url + "/symbols/BTC-USD/").live()
    pages = (board, front, symbol)
    shown = [(page.rows(), page.value("BTC-USD")) for page in pages]
    for page in pages:
        page.page.evaluate("quotesTest.shifts = []")
    exchange.close()
    for page, (rows, value) in zip(pages, shown, strict=True):
        note = page.page.locator(".note-outage")
        expect(note).to_be_visible()
        assert re.fullmatch(
            r"Prices from Coinbase unavailable since \d\d:\d\d(:\d\d)?", note.inner_text()
        )
        assert note.count() == 1
        pulse = page.page.locator(".quotes-pulse")
        expect(pulse.get_by_text("Provider down")).to_be_visible()
        expect(pulse.get_by_text("Live", exact=True)).to_be_hidden()
        assert page.rows() == rows
        assert page.value("BTC-USD") == value
    exchange.mode("ok")
    for page in pages:
        expect(page.page.locator(".note-outage")).to_have_count(0)
        expect(page.page.locator(".pulse-down")).to_be_hidden()
        page.live()
        assert page.shifts() == []
    to(board, exchange, "BTC-USD", "64400.00")
