"""Splits that were entered ahead: a price confirms them, and values from before are adjusted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from quotes.feed.gate import Gate
from quotes.feed.splits import Split, Splits
from quotes.quote import Quote
from tests.feed.test_feed import quote

FRIDAY, MONDAY, TUESDAY, WEDNESDAY = (date(2026, 2, 27), *(date(2026, 3, d) for d in (2, 3, 4)))
FOUR = Split(1, "AAPL", "NASDAQ", "stock", MONDAY, 4, 1)
TEN_TO_ONE = replace(FOUR, new=1, old=10)


def at(day: date, clock: str) -> datetime:
    """A moment on the clock of UTC: New York opens at 14:30 and closes at 21:00."""
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=UTC)


def priced(last: str, moment: datetime, **more: Any) -> Quote:
    return quote("AAPL", last, source_time=moment, received_at=moment, **more)


def gate(*splits: Split, before: str = "272") -> Gate:
    """A gate with the last price of Friday."""
    found = Gate(lambda symbol: Decimal("0.3"), splits=Splits())
    found.follow_splits(splits)
    assert found.add(priced(before, at(FRIDAY, "20:59")))
    found.take()
    return found


def outcomes(found: Gate) -> list[tuple[str, str]]:
    return [(str(each.quote.last), each.outcome) for each in found.unstored]


@pytest.mark.parametrize(
    ("split", "first"),
    [(FOUR, "68.50"), (FOUR, "61"), (TEN_TO_ONE, "2705"), (replace(FOUR, new=3, old=2), "180")],
)
def test_a_price_that_a_split_explains_is_shown_at_once(split: Split, first: str):
    found = gate(split)
    assert found.add(priced(first, at(MONDAY, "14:30")))
    assert [str(each.last) for each in found.take()] == [first]
    assert outcomes(found) == [(first, "split")]
    assert str(found.unstored[0].split) == str(split)
    assert not found.add(priced("1.00", at(MONDAY, "14:31")))


@pytest.mark.parametrize("moment", [at(FRIDAY, "21:30"), at(MONDAY, "05:00")])
def test_before_its_day_it_explains_nothing(moment: datetime):
    found = gate(FOUR)
    assert not found.add(priced("68.50", moment))
    assert outcomes(found) == [("68.50", "waits")]
    assert found.unstored[0].split is None


def test_a_price_that_contradicts_its_ratio_is_held_and_the_split_is_named():
    found = gate(replace(FOUR, new=10))
    assert not found.add(priced("68.50", at(MONDAY, "14:30")))
    assert outcomes(found) == [("68.50", "waits")]
    assert str(found.unstored[0].split) == "10:1"
    found.follow_splits([FOUR])  # the operator corrects it
    assert [str(each.last) for each in found.take()] == ["68.50"]
    assert outcomes(found) == [("68.50", "waits"), ("68.50", "split")]


@pytest.mark.parametrize("corrected", [{"day": TUESDAY}, {"new": 2}])
def test_a_split_that_is_corrected_after_a_price_confirmed_it_is_expected_again(
    corrected: dict[str, Any],
):
    found = gate(FOUR)
    assert found.add(priced("68.50", at(MONDAY, "14:30")))
    found.follow_splits([FOUR])  # as it was read before the price was stored
    assert not found.add(priced("17.10", at(MONDAY, "14:31")))
    split = replace(FOUR, **corrected)
    found.follow_splits([split])
    first = str(split.adjusted(Decimal("68.50")))
    assert found.add(priced(first, at(split.day, "14:32")))
    assert outcomes(found)[-1] == (first, "split")


def test_a_price_as_before_does_not_confirm_it():
    found = gate(replace(FOUR, new=3, old=2))
    assert found.add(priced("250", at(MONDAY, "14:30")))
    assert outcomes(found) == []
    assert found.add(priced("175", at(MONDAY, "14:31")))
    assert outcomes(found) == [("175", "split")]


def test_it_is_expected_until_the_trading_after_its_day_has_ended():
    for moment, seen in ((at(TUESDAY, "20:59"), True), (at(WEDNESDAY, "14:30"), False)):
        found = gate(FOUR)
        assert found.add(priced("68", moment)) == seen
        assert FOUR.is_over(moment) != seen


def test_a_market_without_known_hours_counts_in_days_of_utc():
    split = replace(FOUR, exchange="")
    assert not split.is_due(priced("68", at(FRIDAY, "23:59") + timedelta(days=2)))
    assert split.is_due(priced("68", at(MONDAY, "00:00")))
    assert split.is_due(priced("68", at(TUESDAY, "23:59")))
    assert not split.is_due(priced("68", at(WEDNESDAY, "00:00")))


@pytest.mark.parametrize(
    ("reference", "expected", "change"),
    [
        ("272", "68", "0.50"),  # the source has not adjusted it
        ("68", "68", "0.50"),
        ("66.40", "66.40", "2.10"),
        ("136", None, None),  # neither of both
    ],
)
def test_the_previous_close_is_adjusted_only_where_the_source_did_not(
    reference: str, expected: str | None, change: str | None
):
    found, kind = gate(FOUR), {"reference_kind": "prev_close"}
    for second, last in enumerate(("68.50", "68.50")):
        moment = at(MONDAY, "14:30") + timedelta(seconds=second)
        found.add(priced(last, moment, reference=Decimal(reference), **kind))
        [shown] = found.take()
        assert shown.reference == (None if expected is None else Decimal(expected))
        assert shown.change == (None if change is None else Decimal(change))
        assert shown.reference_kind == ("none" if expected is None else "prev_close")
    later = priced("70", at(TUESDAY, "14:30"), reference=Decimal(68), **kind)
    assert found.add(later)
    assert found.take() == [later]


def test_a_poll_that_repeats_a_price_of_the_day_is_not_an_update():
    found = gate(FOUR)
    raw = priced("68.50", at(MONDAY, "14:30"), reference=Decimal(272), reference_kind="prev_close")
    assert found.add(raw)
    later = replace(raw, received_at=raw.received_at + timedelta(seconds=5))
    assert not found.add(later, asked_at=later.received_at)


def test_a_feed_that_starts_on_the_day_goes_on_to_adjust():
    found = gate(replace(FOUR, confirmed=True), before="68")
    found.add(priced("68.50", at(MONDAY, "15:00"), reference=Decimal(272)))
    assert found.take()[0].reference == 68


@given(st.decimals("0.01", "5000", places=2), st.integers(1, 50), st.integers(1, 50))
def test_a_value_of_before_becomes_the_one_that_the_split_makes_of_it(
    close: Decimal, new: int, old: int
):
    assume(new != old)
    split = replace(FOUR, new=new, old=old, confirmed=True)
    last = split.adjusted(close)
    raw = priced("1", at(MONDAY, "15:00"), reference=close)
    assert split.restated(replace(raw, last=last)).reference == last
