"""Candles from before a split: adjusted once when they are read, and stored as they were."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from quotes.candles import archive
from quotes.candles.adjusting import Adjustment
from quotes.candles.archive import Span
from quotes.candles.backfill import rows_of
from quotes.candles.figures import figures
from quotes.candles.growing import DAY, Row
from quotes.models import Candle, Split, Symbol
from quotes.providers import Candle as Sent
from quotes.providers import provider_class

MONDAY = date(2026, 3, 2)  # of the split
OPENS = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 2, 5, 0, tzinfo=UTC)  # in New York
SINCE, UNTIL = OPENS - timedelta(days=400), OPENS + timedelta(days=10)
FOUR = Adjustment(MONDAY, MIDNIGHT, 4, 1)
prices = st.decimals("0.0001", "100000", places=4)
shares = st.integers(1, 100_000)


def bar(day: int, close: str, as_of: datetime | None = None) -> Row:
    """The candle of a day of March with a volume of 1000 shares; 0 is the last day of February."""
    start = datetime(2026, 2, 28, tzinfo=UTC) + timedelta(days=day)
    price, seen = Decimal(close), None if as_of is None else int(as_of.timestamp())
    numbers = (price, price + 1, price - 1, price, 1, Decimal(1000), None)
    return Row("AAPL", DAY, int(start.timestamp()), 0, *numbers, "bourse", False, seen)


def minute(start: datetime, close: str) -> Row:
    price = [Decimal(close)] * 4
    return Row("AAPL", 300, int(start.timestamp()), 0, *price, 1, None, None, "bourse", False)


@pytest.fixture
def apple(db: None) -> Symbol:
    given = {"name": "Apple", "kind": "stock", "exchange": "NASDAQ", "currency": "USD"}
    return Symbol.objects.create(code="AAPL", **given)


def split(symbol: Symbol, day: date = MONDAY, new: int = 4, **more: Any) -> Split:
    """A split that the first price of its day confirmed."""
    return Split.objects.create(symbol=symbol, day=day, new=new, **{"confirmed_at": OPENS} | more)


def closes(step: int = DAY) -> list[str]:
    return [f"{each.close:f}" for each in archive.load("AAPL", step, SINCE, UNTIL)]


def stored() -> list[tuple[Any, ...]]:
    return list(Candle.objects.order_by("step", "start").values_list())


def test_own_candles_from_before_a_split_are_adjusted_and_their_volume_the_other_way(
    apple: Symbol,
):
    archive.save(1, [bar(1, "271.64"), bar(2, "68.50")])
    before = stored()
    split(apple)
    first, last = archive.load("AAPL", DAY, SINCE, UNTIL)
    assert (first.close, first.high, first.low, first.volume) == (
        Decimal("67.91"), Decimal("68.16"), Decimal("67.66"), 4000,
    )  # fmt: skip
    assert (last.close, last.high, last.volume) == (Decimal("68.50"), Decimal("69.50"), 1000)
    assert stored() == before


@pytest.mark.parametrize("undo", ["delete", "switch off", "correct"])
def test_without_the_split_all_candles_are_as_before(apple: Symbol, undo: str):
    archive.save(1, [bar(1, "271.64"), bar(2, "68.50")])
    before = archive.load("AAPL", DAY, SINCE, UNTIL)
    made = split(apple, new=3, old=2)
    assert archive.load("AAPL", DAY, SINCE, UNTIL) != before
    changes = {"switch off": {"adjusts": False}, "correct": {"confirmed_at": None}}
    if undo == "delete":
        made.delete()
    else:
        Split.objects.update(**changes[undo])
    assert archive.load("AAPL", DAY, SINCE, UNTIL) == before


def test_candles_that_a_provider_has_adjusted_are_not_adjusted_again(apple: Symbol):
    later, earlier = OPENS + timedelta(hours=1), OPENS - timedelta(days=1)
    archive.save(1, [bar(-1, "260", earlier), bar(0, "66", later), bar(1, "272")])
    split(apple)
    assert closes() == ["65", "66", "68"]


def test_two_splits_both_adjust_what_is_older_than_both(apple: Symbol):
    archive.save(1, [bar(-20, "1000"), bar(1, "600"), bar(2, "150")])
    split(apple, day=date(2026, 2, 16), new=2)
    split(apple)
    assert closes() == ["125", "150", "150"]


def test_minutes_are_adjusted_up_to_midnight_at_the_exchange(apple: Symbol):
    five = timedelta(minutes=5)
    archive.save(1, [minute(MIDNIGHT - five, "272"), minute(MIDNIGHT, "68")])
    split(apple)
    assert closes(300) == ["68", "68"]
    found = archive.load_closes(["AAPL"], 300, SINCE, UNTIL)["AAPL"]
    assert [close for _, close in found] == [68, 68]


def test_a_market_that_never_closes_has_old_prices_until_the_price_that_confirms(apple: Symbol):
    Symbol.objects.update(kind="crypto", exchange="")
    five = timedelta(minutes=5)
    archive.save(1, [minute(OPENS - five, "272"), minute(OPENS, "68")])
    split(apple, price="68")
    assert closes(300) == ["68", "68"]


def test_a_market_that_never_closes_has_new_prices_from_the_day_of_a_split_confirmed_by_hand(
    apple: Symbol,
):
    Symbol.objects.update(kind="crypto", exchange="")
    midnight = datetime.combine(MONDAY, time(), UTC)
    archive.save(1, [minute(midnight - timedelta(minutes=5), "272"), minute(OPENS, "68")])
    split(apple, confirmed_at=OPENS + timedelta(days=3))
    assert closes(300) == ["68", "68"]


def test_the_range_of_a_year_and_changes_count_in_new_shares(apple: Symbol):
    days = range(-398, 5)
    archive.save(1, [bar(day, "272" if day < 2 else "68") for day in days])
    split(apple)
    found = figures(archive.load("AAPL", DAY, SINCE, UNTIL), date(2026, 3, 4))
    assert (found.low, found.high) == (67, 69)
    assert set(found.bases.values()) == {Decimal(68)}


def test_adjusted_candles_of_a_provider_replace_those_of_the_feed(apple: Symbol):
    archive.save(1, [bar(0, "260"), bar(1, "272"), bar(2, "68")])
    split(apple)
    later = OPENS + timedelta(days=3)
    span = Span(SINCE, later)
    archive.save_with_span([bar(1, "68", later), bar(2, "68", later)], "AAPL", DAY, span)
    found = archive.load("AAPL", DAY, SINCE, UNTIL)
    assert [(each.close, each.high) for each in found] == [
        (65, Decimal("65.25")), (68, 69), (68, 69),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "adjusts"), [("alpaca", True), ("yahoo", True), ("kraken", False)]
)
def test_candles_are_marked_if_their_provider_adjusts_them(name: str, adjusts: bool):
    assert provider_class(name).adjusts == adjusts
    sent = [Sent(start=OPENS, open=Decimal(1), high=Decimal(1), low=Decimal(1), close=Decimal(1))]
    [row] = rows_of("AAPL", 300, sent, name, OPENS, adjusts=adjusts)
    assert row.as_of == (int(OPENS.timestamp()) if adjusts else None)


@given(st.tuples(prices, prices), shares, shares)
def test_the_reverse_of_a_split_gives_every_price_back(
    numbers: tuple[Decimal, Decimal], new: int, old: int
):
    assume(new != old)
    price, volume = numbers
    there = replace(FOUR, new=new, old=old)
    back = replace(FOUR, new=old, old=new)
    candle = Sent(start=OPENS, open=price, high=price, low=price, close=price, volume=volume)
    again = back.candle(there.candle(candle))
    for name in ("open", "high", "low", "close", "volume"):
        assert round(getattr(again, name), 4) == getattr(candle, name)
