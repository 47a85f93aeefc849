"""What an operator types finds one candidate for each instrument, the most likely one first."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from quotes.instruments import lists
from quotes.instruments.search import Candidate, find
from quotes.models import ProviderSymbol, Symbol
from quotes.providers import Instrument as Listed

pytestmark = pytest.mark.django_db

PROVIDERS = ["coinbase", "kraken", "binance", "coingecko", "alpaca", "finnhub"]


def row(code: str, name: str, **fields: Any) -> Listed:
    return Listed(symbol="", code=code, name=name, **fields)


def share(code: str, name: str, exchange: str = "NASDAQ", **fields: Any) -> Listed:
    return row(code, name, kind="stock", exchange=exchange, **fields)


@pytest.fixture
def stored(db: None) -> None:
    """The lists of six providers."""
    cent, dime = Decimal("0.01"), Decimal("0.1")
    lists.store(
        "coinbase",
        [
            row("BTC-USD", "BTC/USD", tick_size=cent),
            row("BTC-EUR", "BTC/EUR", currency="EUR", tick_size=cent),
            row("ETH-BTC", "ETH/BTC", currency="BTC"),
            row("PEPE-USD", "PEPE/USD"),
        ],
    )
    lists.store("kraken", [row("XXBTZUSD", "BTC/USD", tick_size=dime)])
    lists.store("binance", [row("BTCUSDT", "BTC/USDT", currency="USDT")])
    lists.store(
        "coingecko",
        [
            row("bitcoin", "Bitcoin", base="BTC"),
            row("pepe", "Pepe", base="PEPE"),
            row("based-pepe", "Based Pepe", base="PEPE"),
        ],
    )
    lists.store(
        "alpaca",
        [
            row("BTC/USD", "Bitcoin / US Dollar"),
            share("AAPL", "Apple Inc. Common Stock"),
            share("APLE", "Apple Hospitality REIT, Inc.", "NYSE"),
            share("BRK.B", "Berkshire Hathaway Inc. Class B", "NYSE"),
            share("SPY", "SPDR S&P 500 ETF Trust", "NYSE ARCA"),
            share("F", "Ford Motor Company", "NYSE"),
            share("BTC", "A trust with a code that is also a coin's"),
        ],
    )
    lists.store(
        "finnhub",
        [
            share("AAPL", "APPLE INC", isin="US0378331005"),
            share("BRK.B", "BERKSHIRE HATHAWAY INC-CL B", "NYSE"),
            row("SPY", "SPDR S&P 500 ETF TRUST", kind="etf", exchange="NYSE ARCA"),
        ],
    )


def first(text: str) -> Candidate:
    return find(text, PROVIDERS).candidates[0]


def symbols(text: str) -> list[str]:
    return [each.symbol for each in find(text, PROVIDERS).candidates]


@pytest.mark.parametrize(
    ("typed", "symbol"),
    [
        ("btc", "BTC-USD"),
        ("BTC/USD", "BTC-USD"),
        ("btc usd", "BTC-USD"),
        ("btcusd", "BTC-USD"),
        ("xbt/usd", "BTC-USD"),
        ("XXBTZUSD", "BTC-USD"),
        ("BTCUSDT", "BTC-USDT"),
        ("bitcoin", "BTC-USD"),
        ("COINBASE:BTCEUR", "BTC-EUR"),
        ("kraken:btc", "BTC-USD"),
        ("apple", "AAPL"),
        ("apple hosp", "APLE"),
        ("NYSE:apple", "APLE"),
        ("BRK-B", "BRK.B"),
        ("brk/b", "BRK.B"),
        ("berkshire b", "BRK.B"),
        ("US0378331005", "AAPL"),
        ("f", "F"),
        ("  spy ", "SPY"),
    ],
)
def test_the_first_candidate_is_the_one_that_was_meant(stored: None, typed: str, symbol: str):
    assert first(typed).symbol == symbol


@pytest.mark.parametrize("typed", ["", "  ", ":", "…", "zzz", "apple zzz", "%", "_", "x" * 1000])
def test_what_is_in_no_list_finds_nothing(stored: None, typed: str):
    assert symbols(typed) == []


def test_one_candidate_has_the_rows_of_all_lists(stored: None):
    bitcoin = first("btc/usd")
    assert {row.provider: row.code for row in bitcoin.rows} == {
        "coinbase": "BTC-USD",
        "kraken": "XXBTZUSD",
        "coingecko": "bitcoin",
        "alpaca": "BTC/USD",
    }
    assert (bitcoin.name, bitcoin.kind, bitcoin.exchange) == ("Bitcoin", "crypto", "CRYPTO")
    assert bitcoin.tick_size == Decimal("0.01")  # the smallest: no digit of a price is lost


def test_a_share_has_its_exchange_and_the_kind_of_the_list_that_knows_it(stored: None):
    fund = first("spy")
    assert (fund.kind, fund.exchange, fund.currency) == ("etf", "NYSE ARCA", "USD")
    assert fund.name == "SPDR S&P 500 ETF Trust"  # not in capitals
    assert first("aapl").name == "Apple Inc."  # all have common stock
    assert first("apple").isin == "US0378331005"


def test_a_pair_has_the_name_of_its_coin(stored: None):
    assert first("BTC-EUR").name == "Bitcoin / EUR"
    assert first("ETH-BTC").name == "ETH/BTC"  # no list and no symbol names it
    Symbol.objects.create(code="ETH-USD", name="Ethereum", kind="crypto", currency="USD")
    assert first("ETH-BTC").name == "Ethereum / BTC"


def test_coins_with_the_same_short_name_are_candidates_of_their_own(stored: None):
    found = find("pepe", PROVIDERS).candidates
    assert [[row.code for row in each.rows] for each in found] == [
        ["PEPE-USD"],
        ["based-pepe"],
        ["pepe"],
    ]
    frog = Symbol.objects.create(code="PEPE-USD", name="Pepe", kind="crypto", currency="USD")
    ProviderSymbol.objects.create(symbol=frog, provider="coingecko", code="pepe")
    known, other = find("pepe", PROVIDERS).candidates
    assert ([row.code for row in known.rows], known.listed) == (["PEPE-USD", "pepe"], frog)
    # the code of the other one is not free any more
    assert (other.symbol, other.name, other.listed) == ("BASED-PEPE-USD", "Based Pepe", None)


def test_dollars_come_first_although_euros_have_more_sources(stored: None):
    lists.store("kraken", [row("XXBTZEUR", "BTC/EUR", currency="EUR")])
    assert [each.symbol for each in find("btc", ["coinbase", "kraken"]).candidates][:2] == [
        "BTC-USD",
        "BTC-EUR",
    ]


def test_only_the_lists_of_the_given_providers_are_searched(stored: None):
    assert [row.provider for row in find("btc", ["kraken"]).candidates[0].rows] == ["kraken"]
    assert find("apple", ["kraken"]).candidates == []


def test_a_candidate_that_is_a_symbol_already_names_it(stored: None):
    bitcoin = Symbol.objects.create(code="XBT", name="Bitcoin", kind="crypto", currency="USD")
    assert first("btcusd").listed is None
    ProviderSymbol.objects.create(symbol=bitcoin, provider="kraken", code="XXBTZUSD")
    assert first("btcusd").listed == bitcoin
    apple = Symbol.objects.create(code="AAPL", name="Apple", kind="stock", currency="USD")
    assert first("apple").listed == apple


def test_a_code_that_a_symbol_uses_for_another_currency_is_not_the_same(stored: None):
    bitcoin = Symbol.objects.create(code="BTC-USD", name="Bitcoin", kind="crypto", currency="USD")
    ProviderSymbol.objects.create(symbol=bitcoin, provider="binance", code="BTCUSDT")
    assert first("btcusdt").listed is None


def test_many_matches_are_bounded_and_said_to_be_more(db: None):
    trusts = [share(f"T{number}", f"Trust number{number}") for number in range(1000)]
    lists.store("alpaca", trusts)
    for typed in ("trust", "t", "trust num"):
        found = find(typed, PROVIDERS)
        assert (len(found.candidates), found.more) == (25, True)
    assert symbols("trust number77") == ["T77", *(f"T77{digit}" for digit in range(10))]


def test_the_likeliest_are_found_among_very_many(db: None):
    many = [share(f"Z{number}", f"Fund of Apple number{number}") for number in range(1000)]
    lists.store("alpaca", [*many, share("AAPL", "Apple Inc."), share("APPLE", "Zest")])
    assert symbols("apple")[:2] == ["APPLE", "AAPL"]


def test_the_number_of_queries_does_not_depend_on_the_number_of_candidates(stored: None):
    with CaptureQueriesContext(connection) as few:
        find("bitcoin", PROVIDERS)
    lists.store("finnhub", [share(f"B{n}", f"Bitcoin fund {n}") for n in range(200)])
    with CaptureQueriesContext(connection) as many:
        assert len(find("bitcoin", PROVIDERS).candidates) == 25
    assert len(many) <= len(few) + 1


@pytest.mark.parametrize("typed", ["btc", "BTC/USD", "apple hosp", "US0378331005"])
def test_no_search_reads_a_whole_table(stored: None, typed: str):
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL reads small tables as a whole, because that is faster")
    with CaptureQueriesContext(connection) as queries:
        find(typed, PROVIDERS)
    plans = []
    for query in [each["sql"] for each in queries if "quotes_instrument" in each["sql"]]:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {query}")
            plans += [row[3] for row in cursor.fetchall()]
    assert plans
    # the index of a provider alone has its whole list
    assert [plan for plan in plans if re.match(r"SCAN quotes_|.*\(provider=\?\)", plan)] == []
