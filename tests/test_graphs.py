"""The charts of symbol pages: any query is answered, and the numbers are there as text."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Event
from typing import Any
from urllib.parse import urlencode

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from quotes.boards import Listed
from quotes.charts.bars import DAY, Bar
from quotes.charts.frame import Frame
from quotes.charts.ranges import RANGES
from quotes.graphs import Choice, as_csv, closes_as_csv, table
from quotes.models import Symbol
from tests.live.test_charts import market, read

__all__ = ["market"]  # a fixture
MARCH = datetime(2026, 3, 2, tzinfo=UTC)
BARS = [
    Bar(MARCH, *map(Decimal, ("100.5", "102", "99.75", "101", "1500000"))),
    Bar(MARCH + timedelta(days=1), *map(Decimal, ("101", "103", "100", "99.99"))),
]
ANYTHING = st.lists(
    st.tuples(
        st.sampled_from(["range", "kind", "scale", "with", "zone", "x"]),
        st.sampled_from([*RANGES, "line", "log", "BTC-USD", "A,B,C,D,E,F,G"])
        | st.text(max_size=80),
    ),
    max_size=6,
).map(urlencode)


def of(code: str, query: str, codes: Iterable[str]) -> Choice:
    """Return what a query chooses for a symbol, if there are symbols with these codes."""
    return Choice(QueryDict(query), code, Listed({each: Symbol(code=each) for each in codes}))


def choice(query: str = "") -> Choice:
    return of("AAPL", query, ("AAPL", "SPY", "BTC-USD"))


@given(ANYTHING)
def test_any_query_is_a_chart_and_its_link_is_the_same_chart(query: str):
    asked = choice(query)
    again = choice(asked.link().removeprefix("?"))
    assert again.form == asked.form
    assert again.errors == []
    assert asked.context()["ranges"]


@pytest.mark.parametrize(
    ("query", "current"),
    [
        ("range=all", "Logarithmic"),
        ("range=all&scale=linear", "Linear"),
        ("range=5y", "Linear"),
        ("range=5y&scale=log", "Logarithmic"),
    ],
)
def test_the_scale_that_is_drawn_is_the_current_one(query: str, current: str):
    scales = choice(query).context(steep=True)["scales"]
    assert [name for name, _, is_current in scales if is_current] == [current]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("range=2w", "There is no range “2w”. Choose one of: 1d, 5d, 1m, 6m, ytd, 1y, 5y, all."),
        ("kind=pie", "There is no kind of chart “pie”. Choose one of: line, candles."),
        ("scale=cubic", "There is no scale “cubic”. Choose one of: linear, log."),
        ("with=NOPE", "There is no symbol “NOPE”."),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(query: str, error: str):
    assert choice(query).errors == [error]


def test_at_most_five_symbols_are_compared():
    codes = [f"S{n}" for n in range(9)]
    asked = of("AAPL", f"with={','.join(codes)}", codes)
    assert asked.form.others == tuple(codes[:4])
    assert asked.errors == ["At most 5 symbols can be compared."]


def test_a_symbol_is_not_compared_with_itself_and_none_twice():
    assert choice("with=aapl,spy,SPY&with=btc-usd").form.others == ("SPY", "BTC-USD")


@pytest.mark.parametrize(
    ("typed", "found", "first", "others"),
    [
        ("spy", [], False, ("SPY",)),
        ("bitcoin", ["BTC-USD"], False, ("BTC-USD",)),
        ("b", ["AAPL", "BTC-USD", "SPY"], True, ("BTC-USD",)),
    ],
)
def test_a_typed_text_adds_the_symbol_that_it_means(
    typed: str, found: list[str], first: bool, others: tuple[str, ...]
):
    asked = choice()
    asked.add(typed, found, first=first)
    assert asked.form.others == others
    assert (asked.typed, asked.wrong) == ("", "")


@pytest.mark.parametrize(
    ("typed", "found", "wrong", "near"),
    [
        ("b", ["BTC-USD", "ETH-USD", "AAPL"], "There is no symbol “b”.", ["BTC-USD", "ETH-USD"]),
        ("SPX", [], "There is no symbol “SPX”.", ["SPY"]),
        ("aapl", [], "AAPL is already in the chart.", ["SPY"]),
    ],
)
def test_a_text_that_adds_no_symbol_stays_with_what_it_may_mean(
    typed: str, found: list[str], wrong: str, near: list[str]
):
    asked = choice("range=1y")
    asked.add(typed, found, ["AAPL", "SPY"])
    assert (asked.typed, asked.wrong, asked.near) == (typed, wrong, near)
    assert asked.form.others == ()
    assert asked.adding("SPY") == "?range=1y&add=SPY"


def test_a_symbol_too_many_is_not_added():
    asked = of("S0", "with=S1,S2,S3,S4", [f"S{n}" for n in range(9)])
    asked.add("S5", [])
    assert asked.wrong == "At most 5 symbols can be compared."


def test_a_link_changes_one_thing_and_keeps_the_rest():
    asked = choice("range=1y&kind=line&with=SPY")
    assert asked.link(range="5y") == "?range=5y&kind=line&with=SPY"
    assert asked.link(others=()) == "?range=1y&kind=line"
    assert choice().link() == "?"


def test_the_table_has_the_newest_bar_first_with_its_change():
    symbol = Symbol(code="AAPL", kind="stock", currency="USD", tick_size=Decimal("0.01"))
    frame = Frame(bars=BARS, step=DAY, zone=UTC)
    assert table(symbol, frame, "en") == [
        ("3 Mar 2026", ("99.99", "−1.00%", "", "101.00", "103.00", "100.00")),
        ("2 Mar 2026", ("101.00", "", "1.50M", "100.50", "102.00", "99.75")),
    ]
    when, values = table(symbol, frame, "de")[0]
    assert (when, values[0], values[3]) == ("3. Mär 2026", "99,99", "101,00")


def test_a_file_has_all_digits_and_times_in_utc():
    symbol = Symbol(code="AAPL", currency="USD")
    rows = list(csv.DictReader(io.StringIO(as_csv(symbol, BARS))))
    assert rows[0] == {
        "symbol": "AAPL", "currency": "USD", "start": "2026-03-02T00:00:00+00:00",
        "open": "100.5", "high": "102", "low": "99.75", "close": "101", "volume": "1500000",
    }  # fmt: skip
    assert rows[1]["volume"] == ""


def test_a_file_of_a_comparison_has_a_column_of_closes_for_each_symbol():
    symbols = [Symbol(code="AAPL", currency="USD"), Symbol(code="^SPX")]
    later = Bar(MARCH + timedelta(days=2), *[Decimal(7)] * 4)
    rows = list(csv.reader(io.StringIO(closes_as_csv(symbols, [BARS, [BARS[1], later]]))))
    assert rows == [
        ["start", "AAPL (USD)", "^SPX"],
        ["2026-03-02T00:00:00+00:00", "101", ""],
        ["2026-03-03T00:00:00+00:00", "99.99", "99.99"],
    ]


async def test_a_page_with_a_wrong_query_states_what_is_wrong_and_shows_the_first_range(
    market: Any, async_client: Any
):
    page = await read(async_client, "/symbols/BTC-USD/?range=%3Cb%3E&with=NOPE&kind=pie")
    assert "There is no range “&lt;b&gt;”." in page
    assert "There is no symbol “NOPE”." in page
    assert 'name="chart" value="1d/BTC-USD"' in page


async def test_the_values_of_a_chart_are_a_file(market: Any, async_client: Any):
    response = await async_client.get("/symbols/BTC-USD/bars.csv?range=1y")
    rows = list(csv.DictReader(io.StringIO(response.content.decode())))
    assert response["Content-Type"].startswith("text/csv")
    assert response["Content-Disposition"] == 'attachment; filename="BTC-USD-1y.csv"'
    assert {(row["symbol"], row["currency"]) for row in rows} == {("BTC-USD", "USD")}
    assert [row["close"] for row in rows] == [str(c) for c in range(64_000, 64_700, 100)]
    page = await read(async_client, "/symbols/BTC-USD/?range=1y")
    assert 'href="/symbols/BTC-USD/bars.csv?range=1y"' in page
    assert page.count('<th scope="row">') == len(rows)


async def test_a_comparison_has_a_table_and_a_file(market: Any, async_client: Any):
    page = await read(async_client, "/symbols/BTC-USD/?range=1y&with=ETH-USD")
    table = page.partition("<table><thead>")[2].partition("</table>")[0]
    heads = re.findall(r'<th scope="col">([^<]*)', table)
    assert heads == ["Date", "BTC-USD", "ETH-USD"]
    rows = re.findall(r'<th scope="row">([^<]*)</th><td>([^<\n]*)<td>([^<\n]*)', table)
    assert rows[0] == ("4 Mar 2026", "+0.94%", "+20.00%")
    assert rows[-1] == ("26 Feb 2026", "0.00%", "0.00%")
    assert 'href="/symbols/BTC-USD/bars.csv?range=1y&amp;with=ETH-USD"' in page
    response = await async_client.get("/symbols/BTC-USD/bars.csv?range=1y&with=ETH-USD")
    file = list(csv.reader(io.StringIO(response.content.decode())))
    assert file[0] == ["start", "BTC-USD (USD)", "ETH-USD (USD)"]
    assert file[-1] == ["2026-03-04T00:00:00+00:00", "64600", "3600"]
    assert response["Content-Disposition"] == 'attachment; filename="BTC-USD-ETH-USD-1y.csv"'


async def test_a_file_without_bars_has_the_names_of_its_columns(market: Any, async_client: Any):
    response = await async_client.get("/symbols/AAPL/bars.csv?range=1y&with=ETH-USD")
    assert response.content == b"start,AAPL (USD)\r\n"


@pytest.mark.parametrize(
    ("path", "status"),
    [("/symbols/NOPE/bars.csv", 404), ("/symbols/BTC-USD/bars.csv?range=2w", 400)],
)
async def test_a_file_that_can_not_be_made_is_refused_in_words(
    market: Any, async_client: Any, path: str, status: int
):
    response = await async_client.get(path)
    assert response.status_code == status
    assert "There is no" in response.content.decode()


async def test_a_file_is_refused_while_the_database_hangs(
    market: Any, async_client: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("quotes.views.FILE_WITHIN", 0.05)
    answers = Event()
    hanging = asyncio.create_task(market.in_database(answers.wait))
    try:
        response = await async_client.get("/symbols/BTC-USD/bars.csv?range=1y")
    finally:
        answers.set()
        await hanging
    assert response.status_code == 503
    assert response.content == b"The database does not answer. Try again later."


def test_a_query_with_thousands_of_unknown_symbols_has_few_errors():
    asked = choice("with=" + ",".join(f"NOPE{n}" for n in range(15_000)) + ",SPY")
    assert len(asked.errors) == 5
    assert asked.form.others == ("SPY",)
