"""Lists of instruments are stored as a whole, or refused as a whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from quotes.instruments import lists
from quotes.instruments.lists import RefusedList
from quotes.models import Instrument, InstrumentList, InstrumentTerm
from quotes.providers import Instrument as Listed
from quotes.quote import utc_now

pytestmark = pytest.mark.django_db


def coin(base: str, **fields: Any) -> Listed:
    return Listed(symbol="", code=f"{base}-USD", name=f"{base}/USD", **fields)


COINS = [coin("BTC", tick_size=Decimal("0.01")), coin("ETH"), coin("SOL")]


def codes(provider: str = "coinbase") -> list[str]:
    rows = Instrument.objects.filter(provider=provider).order_by("code")
    return list(rows.values_list("code", flat=True))


def terms(code: str) -> set[str]:
    return {str(each) for each in InstrumentTerm.objects.filter(instrument__code=code)}


def test_a_list_is_stored_with_the_time_and_the_number_of_its_instruments():
    before = utc_now()
    assert lists.store("coinbase", COINS) == 3
    state = InstrumentList.objects.get()
    assert (str(state), state.error) == ("coinbase: 3", "")
    assert state.read_at is not None
    assert before <= state.read_at <= utc_now()
    bitcoin = Instrument.objects.get(code="BTC-USD")
    assert (bitcoin.symbol, bitcoin.base, bitcoin.tick_size) == ("BTC-USD", "BTC", Decimal("0.01"))
    assert terms("BTC-USD") == {"BTCUSD", "BTC", "USD"}


def test_a_new_list_replaces_the_one_before_and_no_other():
    lists.store("coinbase", COINS)
    lists.store("kraken", [coin("BTC")])
    kept = Instrument.objects.get(provider="coinbase", code="BTC-USD").pk
    lists.store("coinbase", [COINS[0], replace(COINS[1], name="Ether"), coin("DOGE")])
    assert codes() == ["BTC-USD", "DOGE-USD", "ETH-USD"]
    assert Instrument.objects.get(provider="coinbase", code="BTC-USD").pk == kept
    assert "ETHER" in terms("ETH-USD")
    assert terms("SOL-USD") == set()
    assert codes("kraken") == ["BTC-USD"]


def test_an_equal_list_is_not_written_again():
    lists.store("coinbase", COINS)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        lists.store("coinbase", COINS)
    assert not [each for each in queries if "INSERT INTO quotes_instrument " in each["sql"]]


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        ([], "the list is empty"),
        ([COINS[0]], "the list has 1 instruments, and the one before has 3: keeping that one"),
        (
            [*COINS, *(coin(base, currency="?") for base in "ABC")],
            "only 3 of 6 rows of the list are valid instruments",
        ),
        (
            [coin(f"C{number}") for number in range(12)],
            "the list has 12 instruments, and the others have 1: at most 12 are stored",
        ),
    ],
    ids=["empty", "shorter", "invalid", "too long"],
)
def test_a_list_that_can_not_be_right_is_refused_and_the_one_before_is_kept(
    listed: list[Listed], reason: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lists, "MAX_INSTRUMENTS", 12)
    lists.store("kraken", [coin("BTC")])
    lists.store("coinbase", COINS)
    read_at = InstrumentList.objects.get(provider="coinbase").read_at
    with pytest.raises(RefusedList) as refused:
        lists.store("coinbase", listed)
    assert str(refused.value) == reason
    lists.failed("coinbase", reason)
    state = InstrumentList.objects.get(provider="coinbase")
    assert (state.read_at, state.error, state.count) == (read_at, reason, 3)
    assert codes() == ["BTC-USD", "ETH-USD", "SOL-USD"]


def test_a_shorter_list_is_accepted_if_the_operator_says_so():
    lists.store("coinbase", COINS)
    assert lists.store("coinbase", COINS[:1], shorter=True) == 1
    assert codes() == ["BTC-USD"]


@pytest.mark.parametrize(
    "nonsense",
    [
        {"code": ""},
        {"code": "X\n-USD"},
        {"code": "X" * 61},
        {"kind": "option"},
        {"currency": "usd"},
    ],
    ids=str,
)
def test_a_row_that_can_be_no_symbol_is_left_out(nonsense: dict[str, str]):
    many = [coin(f"C{number}") for number in range(20)]
    assert lists.store("coinbase", [*many, replace(coin("X"), **nonsense)]) == 20


def test_the_texts_of_a_source_are_cut_and_printable():
    lists.store("coinbase", [replace(COINS[0], name="\x1b[31mRed " + "x" * 200, isin="no isin")])
    row = Instrument.objects.get()
    assert row.name.startswith(r"\x1b[31mRed xxx")
    assert len(row.name) == 100
    assert row.isin == ""


def test_a_list_is_due_once_a_day_and_an_hour_after_a_failure():
    names = ["coinbase", "kraken", "simulated"]  # the last one has no list
    assert lists.due(names) == ["coinbase", "kraken"]
    lists.store("coinbase", COINS)
    lists.failed("kraken", "down")
    assert lists.due(names) == []
    InstrumentList.objects.update(tried_at=utc_now() - timedelta(hours=1))
    assert lists.due(names) == ["kraken"]
    InstrumentList.objects.update(tried_at=utc_now() - timedelta(days=1))
    assert lists.due(names) == ["coinbase", "kraken"]
