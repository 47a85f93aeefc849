"""An instrument of a list gets the code that we would give it, and terms that find it."""

from __future__ import annotations

from typing import Any

import pytest

from quotes.instruments.terms import key, symbol_of, terms_of, words
from quotes.providers import Instrument


def listed(code: str, **fields: Any) -> Instrument:
    return Instrument(symbol="", code=code, **fields)


@pytest.mark.parametrize(
    ("instrument", "expected"),
    [
        (listed("BTC-USD"), "BTC-USD"),
        (listed("BTC/USD", name="Bitcoin / US Dollar"), "BTC-USD"),
        (listed("XXBTZEUR", currency="EUR", name="BTC/EUR"), "BTC-EUR"),
        (listed("BTCUSDT", currency="USDT", name="BTC/USDT"), "BTC-USDT"),
        (listed("BTCAUCTION-USD"), "BTCAUCTION-USD"),
        (listed("bitcoin", name="Bitcoin", base="BTC"), "BTC-USD"),
        (listed("unheard-of", name="Unheard"), "UNHEARD-OF"),  # nothing shows its currency
        (listed("AAPL", kind="stock"), "AAPL"),
        (listed("BRK-B", kind="stock"), "BRK.B"),
        (listed("BRK/B", kind="stock"), "BRK.B"),
        (listed("7203.T", kind="stock", currency="JPY"), "7203.T"),
        (listed("A,B", kind="stock"), ""),  # a comma separates symbols in an address
    ],
    ids=lambda given: given.code if isinstance(given, Instrument) else "",
)
def test_the_code_that_we_would_give(instrument: Instrument, expected: str):
    assert symbol_of(instrument) == expected


@pytest.mark.parametrize("text", ["BRK-B", "brk.b", " BRK/B ", "Brk B"])
def test_spellings_of_a_code_have_one_key(text: str):
    assert key(text) == "BRKB"


def test_words_have_no_accents_and_come_once():
    assert words("L’Oréal S.A. — l'oreal") == ["L", "OREAL", "S", "A"]


def test_a_share_is_found_by_its_code_its_isin_and_the_words_of_its_name():
    apple = listed("AAPL", kind="stock", name="Apple Inc. – A share", isin="US0378331005")
    assert terms_of(apple) == {"AAPL": 0, "US0378331005": 0, "APPLE": 1, "INC": 2, "SHARE": 2}


def test_a_pair_is_found_by_both_of_its_codes_and_by_what_it_prices():
    pair = listed("XXBTZUSD", name="BTC/USD")
    assert list(terms_of(pair)) == ["XXBTZUSD", "BTCUSD", "BTC", "USD"]


def test_a_share_with_a_code_of_one_letter_is_found_by_it():
    assert terms_of(listed("F", kind="stock", name="Ford Motor")) == {"F": 0, "FORD": 1, "MOTOR": 2}


def test_a_long_name_has_a_bounded_number_of_terms():
    long = listed("X", kind="stock", name=" ".join(f"word{number}" for number in range(100)))
    assert len(terms_of(long)) == 12
