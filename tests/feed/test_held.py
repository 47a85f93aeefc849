"""Held prices that an operator accepts or rejects."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from quotes.feed.gate import Gate
from quotes.feed.held import Decision
from quotes.quote import Quote
from tests.feed.test_feed import NOON, quote

DAY = timedelta(days=1)


@pytest.fixture
def gate() -> Gate:
    """A gate with a price of 100, and one of 200 that waits."""
    gate = Gate(lambda symbol: Decimal("0.1"))
    gate.add(quote("AAPL", "100", 0))
    gate.add(quote("AAPL", "200", 1))
    gate.take()
    return gate


def decided(gate: Gate, about: Quote, *, accepts: bool) -> None:
    gate.decide(Decision(about.symbol, about.received_at, accepts, NOON))


def outcomes(gate: Gate) -> list[tuple[str, str]]:
    return [(str(each.quote.last), each.outcome) for each in gate.unstored]


def test_an_accepted_price_is_shown_at_once_and_the_next_are_compared_with_it(gate: Gate):
    decided(gate, quote("AAPL", "200", 1), accepts=True)
    assert [str(each.last) for each in gate.take()] == ["200"]
    assert gate.add(quote("AAPL", "201", 2))
    assert not gate.add(quote("AAPL", "100", 3))
    assert outcomes(gate) == [("200", "waits"), ("200", "accepted"), ("100", "waits")]


def test_a_rejected_price_is_not_confirmed_by_those_near_it(gate: Gate):
    decided(gate, quote("AAPL", "200", 1), accepts=False)
    for second in (2, 3, 100, 200):  # a stream, and polls that insist
        assert not gate.add(quote("AAPL", "199", second), NOON + timedelta(seconds=second))
    assert gate.take() == []
    assert outcomes(gate) == [("200", "waits"), ("200", "rejected")]
    assert gate.unstored[-1].until == NOON + DAY


@pytest.mark.parametrize(("other", "shown"), [("101", True), ("150", False)])
def test_another_price_of_the_source_ends_the_rejection(gate: Gate, other: str, shown: bool):
    decided(gate, quote("AAPL", "200", 1), accepts=False)
    assert gate.add(quote("AAPL", other, 2)) == shown
    assert not gate.add(quote("AAPL", "200", 3))
    assert gate.add(quote("AAPL", "200", 4))  # confirmed like any other price
    assert ("200", "rejected", NOON + timedelta(seconds=2)) in [
        (str(each.quote.last), each.outcome, each.until) for each in gate.unstored
    ]


def test_a_price_of_another_source_does_not_end_it(gate: Gate):
    decided(gate, quote("AAPL", "200", 1), accepts=False)
    assert gate.add(quote("AAPL", "101", 2, provider="exchange"))
    assert not gate.add(quote("AAPL", "200", 3))
    assert not gate.add(quote("AAPL", "200", 4))


def test_a_rejection_ends_after_a_day(gate: Gate):
    decided(gate, quote("AAPL", "200", 1), accepts=False)
    assert not gate.add(quote("AAPL", "200", DAY.total_seconds() - 1))
    assert not gate.add(quote("AAPL", "200", DAY.total_seconds()))
    assert gate.add(quote("AAPL", "200", DAY.total_seconds() + 1))
    assert [outcome for _, outcome in outcomes(gate)[-2:]] == ["waits", "confirmed"]


def test_a_rejection_is_undone(gate: Gate):
    decided(gate, quote("AAPL", "200", 1), accepts=False)
    decided(gate, quote("AAPL", "200", 1), accepts=False)  # read again: nothing more happens
    decided(gate, quote("AAPL", "200", 1), accepts=True)
    assert [str(each.last) for each in gate.take()] == ["200"]
    assert gate.add(quote("AAPL", "201", 2))
    assert outcomes(gate)[1:] == [("200", "rejected"), ("200", "accepted")]


def test_a_rejected_price_does_not_replace_a_newer_one_of_another_source(gate: Gate):
    decided(gate, quote("AAPL", "200", 1), accepts=False)
    assert gate.add(quote("AAPL", "101", 2, provider="exchange"))
    gate.take()
    decided(gate, quote("AAPL", "200", 1), accepts=True)
    assert gate.take() == []
    assert outcomes(gate)[1:] == [("200", "rejected"), ("200", "dropped")]
    assert gate.add(quote("AAPL", "102", 3, provider="exchange"))
    assert not gate.add(quote("AAPL", "200", 4))
    assert gate.add(quote("AAPL", "200", 5))  # the rejection has ended


@pytest.mark.parametrize("accepts", [True, False])
def test_a_decision_about_a_price_that_is_no_longer_held_changes_nothing(gate: Gate, accepts: bool):
    assert gate.add(quote("AAPL", "101", 2))
    assert not gate.add(quote("AAPL", "300", 3))
    gate.take()
    before = outcomes(gate)
    decided(gate, quote("AAPL", "200", 1), accepts=accepts)
    assert gate.take() == []
    assert outcomes(gate) == before
    assert gate.held["AAPL"].quote.last == 300


def test_a_symbol_whose_code_changed_holds_nothing(gate: Gate):
    decided(gate, quote("AAPL", "200", 1), accepts=False)
    gate.add(quote("AAPL", "50", 2, provider="exchange"))
    gate.forget("AAPL")
    assert outcomes(gate)[-2:] == [("50", "dropped"), ("200", "rejected")]
    assert gate.add(quote("AAPL", "200", 3))


def test_a_new_gate_goes_on_with_what_waits_and_what_is_rejected(gate: Gate):
    later = Gate(lambda symbol: Decimal("0.1"))
    later.remember(gate.latest.values())
    later.resume(gate.held.values())
    decided(later, quote("AAPL", "200", 1), accepts=False)
    last = Gate(lambda symbol: Decimal("0.1"))  # without the last price, which was too old
    last.resume(later.rejected.values())
    assert not last.add(quote("AAPL", "200", 2))
    assert last.add(quote("AAPL", "100", 3))


def test_a_rejection_that_is_no_longer_among_the_decisions_ends_and_is_not_stored(gate: Gate):
    about = quote("AAPL", "200", 1)
    decided(gate, about, accepts=False)
    kept = Decision(about.symbol, about.received_at, False, NOON)
    gate.end_deleted([kept])
    assert not gate.add(quote("AAPL", "200", 2))
    stored = outcomes(gate)
    gate.end_deleted([])
    assert outcomes(gate) == stored
    assert not gate.add(quote("AAPL", "200", 3))  # waits again
    assert gate.add(quote("AAPL", "200", 4))
