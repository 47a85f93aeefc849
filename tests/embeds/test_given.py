"""Values that a template gives to tags: taken as symbols, or named on the page."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from django.utils.functional import lazystr

from quotes.addresses import Address
from quotes.codes import MAX_CODE
from quotes.models import Board, BoardSymbol, Symbol
from tests.browser.tab import symbols_in
from tests.sockets import opened
from tests.test_templatetags import lasts, render, watched

SHOWN = [("AAPL", "101"), ("BTC-USD", "64000.01"), ("MSFT", "")]


def values() -> dict[str, Any]:
    return {
        "objects": list(Symbol.objects.all()),
        "queryset": Symbol.objects.all(),
        "codes": Symbol.objects.values_list("code"),
        "flat": Symbol.objects.values_list("code", flat=True),
        "nested": [["AAPL"], ("BTC-USD", [lazystr("msft")])],
        "text": " aapl, BTC-USD,,msft ",
        "lazy": lazystr("AAPL,BTC-USD,MSFT"),
    }


@pytest.mark.parametrize("name", ["objects", "queryset", "codes", "flat", "nested", "text", "lazy"])
def test_a_table_takes_symbols_in_any_form(listed: None, name: str):
    page = render("{% live_quotes given %}", given=values()[name])
    assert lasts(page) == SHOWN
    assert watched(page) == [("symbols", "AAPL,BTC-USD,MSFT")]
    assert "Unknown" not in page


def test_a_table_takes_the_symbols_of_a_board(listed: None):
    board = Board.objects.create(slug="mine", title="Mine")
    for position, code in enumerate(("MSFT", "AAPL")):
        symbol = Symbol.objects.get(code=code)
        BoardSymbol.objects.create(board=board, symbol=symbol, position=position)
    page = render("{% live_quotes board.symbols %}", board=board)
    assert sorted(lasts(page)) == [("AAPL", "101"), ("MSFT", "")]


def test_a_queryset_costs_one_query_for_all_of_its_rows(listed: None):
    with CaptureQueriesContext(connection) as by_codes:
        render("{% live_quotes given %}", given=["AAPL", "BTC-USD", "MSFT"])
    with CaptureQueriesContext(connection) as by_rows:
        render("{% live_quotes given %}", given=Symbol.objects.all())
    assert len(by_rows) == len(by_codes) + 1


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (None, "No symbol given"),
        ("", "No symbol given"),
        (" , ", "No symbol given"),
        (7203, "Unknown symbol: 7203"),
        (1.5, "Unknown symbol: 1.5"),
        (True, "Unknown symbol: TRUE"),
        (b"AAPL", "Unknown symbol: B&#x27;AAPL&#x27;"),
        (object, "Unknown symbol: &lt;CLASS &#x27;OBJECT&#x27;&gt;"),
        ("A\ud800", "Unknown symbol: A?"),
        ("x" * 5000, f"Unknown symbol: {'X' * MAX_CODE}…"),
    ],
)
@pytest.mark.parametrize("tag", ["live_quotes given 'AAPL'", "live_quote given"])
def test_any_other_value_is_named_and_costs_the_others_nothing(
    listed: None, given: Any, named: str, tag: str
):
    # a callable is called by the template, so it is given in a list
    page = render(f"{{% {tag} %}}", given=[given])
    assert named.replace("…", "&#8230;") in page
    assert lasts(page) == ([("AAPL", "101")] if "AAPL" in tag else [])


def test_a_price_takes_a_symbol_and_names_several(listed: None):
    symbol = Symbol.objects.get(code="AAPL")
    assert lasts(render("{% live_quote given %}", given=symbol)) == [("AAPL", "101")]
    page = render("{% live_quote given %}", given=["AAPL", "MSFT"])
    assert "Unknown symbol: AAPL, MSFT" in page


def fill(count: int) -> list[str]:
    codes = [f"S{number:03}" for number in range(count)]
    Symbol.objects.bulk_create(
        Symbol(code=code, name=code, kind="etf", currency="USD") for code in codes
    )
    return codes


def test_a_table_beyond_the_limit_shows_the_first_200_and_the_number_of_the_others(listed: None):
    codes = fill(250)
    page = render('{% live_quotes given %}{% live_quotes "AAPL" %}', given=codes)
    assert [code for code, _ in lasts(page)] == codes[:200]
    assert "and 50 more symbols, which are not live" in page
    assert "and 1 more symbol, which is not live" in page
    query = "&".join(f"{name}={value}" for name, value in watched(page))
    assert Address.read(QueryDict(query)).symbols == tuple(codes[:200])


async def test_the_socket_of_a_table_beyond_the_limit_opens(live_parts: Any, async_client: Any):
    codes = await sync_to_async(fill)(250)
    await live_parts.reload()
    page = render("{% live_quotes given %}", given=codes)
    answer = (await async_client.get("/live/", dict(watched(page)))).content.decode()
    [address] = re.findall(r'hx-ws:connect="([^"]*)"', answer)
    opened_page, first = await opened(html.unescape(address))
    await opened_page.disconnect()
    assert symbols_in(first) == codes[:200]


async def test_tags_that_do_not_know_each_other_get_a_socket_for_the_first_200_symbols(
    live_parts: Any, async_client: Any
):
    codes = await sync_to_async(fill)(300)
    await live_parts.reload()
    # two pieces from caches, or one that arrived later
    first, second = (",".join(each) for each in (codes[:150], codes[150:]))
    given = {"opening": 1, "symbols": [first, second], "price": "AAPL", "lang": "en"}
    answer = html.unescape((await async_client.get("/live/", given)).content.decode())
    [address] = re.findall(r'hx-ws:connect="([^"]*)"', answer)
    page, message = await opened(address)
    await page.disconnect()
    assert symbols_in(message) == ["AAPL", *codes[:199]]
    words = "is not live, because this page has too many symbols"
    assert re.findall(rf">(S\d+) {words}", answer) == codes[199:]


async def test_tags_with_too_long_codes_for_one_address_get_a_socket_for_the_first_ones(
    live_parts: Any, async_client: Any
):
    codes = [f"{number}{'中' * (MAX_CODE - 4)}" for number in range(40)]
    answer = (await async_client.get("/live/", {"price": codes, "lang": "en"})).content.decode()
    [address] = re.findall(r'hx-ws:connect="([^"]*)"', answer)
    page, message = await opened(html.unescape(address))
    await page.disconnect()
    watched_codes = [code for code in codes if f"Unknown symbol: {code}" in html.unescape(message)]
    assert watched_codes == codes[: len(watched_codes)] != []
    assert len(watched_codes) < len(codes)


def test_a_price_beyond_the_limit_stands_still_and_has_its_time(listed: None):
    page = render('{% live_quotes given %}<p>{% live_quote "AAPL" %}</p>', given=fill(200))
    line = page.partition("<p>")[2].rpartition("<p>")[2]
    assert re.search(r"AAPL Inc\. \(AAPL\): <b>101\.00&nbsp;USD</b>.*\d\d:\d\d:\d\d UTC\.", line)
    assert watched(line) == []


def test_symbols_that_a_page_shows_twice_count_once(listed: None):
    codes = fill(200)
    page = render("{% live_quotes given %}{% live_quotes given %}", given=codes)
    assert [code for code, _ in lasts(page)] == codes * 2
    assert "which are not live" not in page


def test_codes_that_are_too_long_for_one_address_are_left_out(listed: None):
    codes = [f"{number}{'中' * (MAX_CODE - 4)}" for number in range(100)]
    page = render("{% live_quotes given %}", given=codes)
    assert "more symbols, which are not live" in page
    [(_, shown)] = watched(page)
    assert Address(symbols=tuple(shown.split(","))).fits
