"""Boards that fill themselves, on open pages: by what is edited, and by prices at a calm pace."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import transaction
from django.test import Client

from quotes.addresses import Address
from quotes.live import ranking
from quotes.models import Board, ProviderSymbol, Symbol
from quotes.testing.market import LiveQuotes
from tests.market import tell
from tests.servers import until
from tests.sockets import Page, opened

RISES = (("A", "101"), ("B", "110"))
ROW = re.compile(r'<tr [^>]*data-symbol="([^"]*)"')


def make_symbol(code: str, **given: str) -> Symbol:
    values = {"name": code, "kind": "stock", "currency": "USD", "exchange": "NASDAQ"} | given
    return Symbol.objects.create(code=code, **values)


def make_board(slug: str, filling: str = "all", **rule: Any) -> Board:
    return Board.objects.create(slug=slug, title=slug.title(), filling=filling, **rule)


def rows(client: Client, path: str) -> list[str]:
    """The symbols in the table of a page, from the top."""
    return ROW.findall(client.get(path).content.decode())


# What is edited


async def open_board(parts: Any, slug: str) -> Page:
    """Open the page of a board, and read its first message."""
    await until(lambda: slug in parts.listed.boards)
    address, _ = parts.rows.choose(Address(board=slug, language="en"))
    page, _ = await opened(address.socket)
    return page


async def made(make: Callable[[], None]) -> None:
    """Make symbols and boards in one transaction, so that a process reads them together."""
    await sync_to_async(transaction.atomic(make))()


async def renewed(page: Page) -> list[str]:
    """Return the symbols of the rows that a page gets next."""
    while "quotes-rows" not in (frame := await page.receive_from()):
        pass
    return ROW.findall(frame.partition("</tbody>")[0])


@pytest.mark.parametrize(
    ("rule", "other", "edited"),
    [
        ({"kinds": ["stock"]}, {"kinds": ["etf", "fund"]}, {"kind": "etf"}),
        ({"exchange": "NASDAQ"}, {"exchange": "XETRA"}, {"exchange": "XETRA"}),
        ({"currency": "USD"}, {"currency": "EUR"}, {"currency": "EUR"}),
    ],
    ids=["kind", "exchange", "currency"],
)
async def test_an_edited_symbol_moves_between_open_boards(
    live_parts: Any, rule: Any, other: Any, edited: dict[str, str]
):
    def make() -> None:
        for code in ("AAPL", "MSFT"):
            make_symbol(code)
        make_board("one", **rule)
        make_board("two", **other)

    def edit() -> None:
        for name, value in edited.items():
            symbol = Symbol.objects.get(code="AAPL")
            setattr(symbol, name, value)
            symbol.save()

    await made(make)
    one, two = [await open_board(live_parts, slug) for slug in ("one", "two")]
    await sync_to_async(edit)()
    assert await renewed(one) == ["MSFT"]
    assert await renewed(two) == ["AAPL"]
    for page in (one, two):
        await page.disconnect()


async def test_another_first_provider_moves_a_symbol(live_parts: Any, settings: Any):
    settings.QUOTES = settings.QUOTES | {"PROVIDERS": ["coinbase", "kraken"]}

    def make() -> None:
        for name in ("coinbase", "kraken"):
            symbol, _ = Symbol.objects.get_or_create(code="BTC-USD", kind="crypto")
            ProviderSymbol.objects.create(symbol=symbol, provider=name, code="X")
            make_board(name, source=name)

    def prefer_kraken() -> None:
        row = ProviderSymbol.objects.get(provider="kraken")
        row.position = 1
        row.save()

    await made(make)
    first, second = [await open_board(live_parts, slug) for slug in ("coinbase", "kraken")]
    await sync_to_async(prefer_kraken)()
    assert await renewed(first) == []
    assert await renewed(second) == ["BTC-USD"]
    for page in (first, second):
        await page.disconnect()


async def test_an_edited_rule_shows_other_symbols_on_its_open_board(live_parts: Any):
    def make() -> None:
        make_symbol("AAPL")
        make_symbol("SPY", kind="etf")
        make_board("mine", kinds=["stock"])

    def edit() -> None:
        board = Board.objects.get(slug="mine")
        board.kinds = ["etf"]
        board.save()

    await made(make)
    page = await open_board(live_parts, "mine")
    await sync_to_async(edit)()
    assert await renewed(page) == ["SPY"]
    await page.disconnect()


# What prices decide


@pytest.fixture
def each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a process choose once a second."""
    monkeypatch.setattr(ranking, "EVERY", 1)


async def test_a_process_chooses_by_its_own_clock_and_its_open_pages_follow(
    each_second: None, live_parts: Any, make_quote: Callable[..., Any]
):
    def make() -> None:
        for code in "AB":
            make_symbol(code)
        make_board("rises", "rises", number=1)

    await made(make)
    await until(lambda: "rises" in live_parts.listed.boards)
    now = live_parts.store.clock()
    await tell(live_parts, *(make_quote(code, last, received_at=now) for code, last in RISES))
    await until(lambda: live_parts.listed.boards["rises"].codes == ("B",))
    page = await open_board(live_parts, "rises")
    plain, first = await opened("/ws/boards/rises/")
    assert ROW.findall(first) == ["B"]
    await tell(live_parts, make_quote("A", "120", received_at=now))
    assert await renewed(page) == ["A"]
    while 'data-symbol="A"' not in await plain.receive_from():
        pass
    for each in (page, plain):
        await each.disconnect()


@pytest.fixture
def market(live_quotes: LiveQuotes) -> LiveQuotes:
    """Four shares, of which the board “rises” shows two."""
    for code in "ABCD":
        make_symbol(code)
    make_board("rises", "rises", number=2)
    return live_quotes


def move(market: LiveQuotes, **percents: int) -> None:
    for code, percent in percents.items():
        market.push(code, 100 + percent, reference="100")


def test_the_largest_rises_follow_prices_every_ten_seconds(market: LiveQuotes, client: Client):
    move(market, A=1, B=2, C=3, D=-4)
    market.clock.shift(seconds=10)
    assert rows(client, "/boards/rises/") == ["C", "B"]
    page = market.open(client.get("/boards/rises/"))
    page.read()
    move(market, A=9)
    market.clock.shift(seconds=9)
    assert not any("quotes-rows" in each.html for each in page.read())
    assert rows(client, "/boards/rises/") == ["C", "B"]
    market.clock.shift(seconds=1)
    [renewal] = [each for each in page.read() if "quotes-rows" in each.html]
    assert [each.symbol for each in renewal.fragments] == ["A", "C"]
    assert rows(client, "/boards/rises/") == ["A", "C"]
    assert page["A"]["change-percent"] == "+9.00%"


def test_the_rows_of_an_open_page_do_not_change_places(market: LiveQuotes, client: Client):
    move(market, A=1, B=2, C=3)
    market.clock.shift(seconds=10)
    page = market.open(client.get("/boards/rises/"))
    page.read()
    move(market, B=8)
    market.clock.shift(seconds=10)
    assert not any("quotes-rows" in each.html for each in page.read())
    assert rows(client, "/boards/rises/") == ["B", "C"]


def test_falls_never_show_rises_and_the_page_says_what_it_shows(market: LiveQuotes, client: Client):
    make_board("falls", "falls", number=3)
    move(market, A=1, B=-2, C=-3)
    market.clock.shift(seconds=10)
    assert rows(client, "/boards/falls/") == ["C", "B"]
    page = client.get("/boards/falls/").content.decode()
    assert "The largest falls, chosen again every 10 s" in page
    assert "The largest rises, chosen again every 10 s" in client.get("/boards/rises/").text
    assert "chosen again" not in client.get("/").text


def test_turnovers_are_compared_in_one_currency(market: LiveQuotes, client: Client):
    make_symbol("YEN", currency="JPY")
    make_board("traded", "traded", number=3, currency="USD")
    for code, last, volume in (("A", 1, 900), ("B", 500, 2), ("YEN", 9000, 9000)):
        market.push(code, last, volume=volume)
    market.clock.shift(seconds=10)
    assert rows(client, "/boards/traded/") == ["B", "A"]


def test_the_front_page_shows_the_largest_first(market: LiveQuotes, client: Client):
    move(market, A=1, B=2, C=3)
    market.clock.shift(seconds=10)
    assert rows(client, "/") == ["C", "B"]


def test_a_board_that_finds_nothing_says_so_and_leads_the_staff_to_its_rule(
    market: LiveQuotes, client: Client, admin_client: Client
):
    page = client.get("/boards/rises/").content.decode()
    assert "No symbol belongs on this board now." in page
    assert "/admin/" not in page
    link = f'<a href="/admin/quotes/board/{Board.objects.get().pk}/change/">Change the rule</a>'
    assert link in admin_client.get("/boards/rises/").content.decode()
    move(market, A=1)
    market.clock.shift(seconds=10)
    assert link not in admin_client.get("/boards/rises/").content.decode()
