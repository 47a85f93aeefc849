"""Orders: the rows of a board stay sorted while their values change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotes import orders
from quotes.models import Symbol
from quotes.orders import MAX_ORDERS, SORTS, Order, Orders
from quotes.quote import Quote
from quotes.store import State

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
CODES = ("MSFT", "AAPL", "NEW", "SPY", "TSLA", "IBM")
SYMBOLS = {code: Symbol(code=code, name=code.title(), kind="stock") for code in CODES}

lasts = st.none() | st.sampled_from([Decimal(1), Decimal(2), Decimal("2.0"), Decimal(3)])
changes = st.dictionaries(st.sampled_from(CODES), lasts | st.just("gone"), max_size=4)


def state(code: str, last: Decimal | None) -> State:
    if last is None:
        return State(SYMBOLS[code])
    return State(
        SYMBOLS[code],
        Quote(symbol=code, provider="simulated", currency="USD", last=last, received_at=NOON),
    )


def plainly(states: Mapping[str, State], sort: str) -> list[str]:
    """Sort the codes as they are described: without a value last, equal ones as they were."""
    key = SORTS[sort.removeprefix("-")]
    values = {code: key(states[code]) for code in CODES if code in states}
    known = [code for code, value in values.items() if value is not None]
    known.sort(key=lambda code: values[code], reverse=sort.startswith("-"))
    return known + [code for code, value in values.items() if value is None]


@pytest.mark.parametrize("most_moved", [0, 2, 1000])
@given(steps=st.lists(changes, max_size=6), sort=st.sampled_from(["last", "-last", "-symbol"]))
def test_an_order_that_follows_changes_is_that_of_a_new_one(
    most_moved: int, steps: list[dict[str, Decimal | str | None]], sort: str
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orders, "MAX_MOVED", most_moved)
        patch.setattr(orders, "SORT_EVERY", 0.0)
        states = {code: state(code, None) for code in CODES}
        order = Order(CODES, sort)
        for step in [{}, *steps]:
            for code, last in step.items():
                states.pop(code, None)
                if not isinstance(last, str):
                    states[code] = state(code, last)
            assert order.sorted(states) == plainly(states, sort)


def test_while_everything_changes_the_order_stays_for_a_second(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(orders, "MAX_MOVED", 2)
    order, now = Order(CODES, "last"), [0.0]
    monkeypatch.setattr(orders.time, "monotonic", lambda: now[0])
    rising = {code: state(code, Decimal(place)) for place, code in enumerate(CODES)}
    falling = {code: state(code, Decimal(-place)) for place, code in enumerate(CODES)}
    assert order.sorted(rising) == [*CODES]
    now[0] = 0.9
    assert order.sorted(falling) == [*CODES]
    del falling["SPY"]
    assert "SPY" not in order.sorted(falling)
    now[0] = 1.0
    assert order.sorted(falling) == ["IBM", "TSLA", "NEW", "AAPL", "MSFT"]


def test_only_the_orders_that_visitors_chose_lately_are_kept():
    kept = Orders()
    states = {code: state(code, None) for code in CODES}
    for number in range(MAX_ORDERS + 5):
        kept.sorted(f"{number}", CODES, "symbol", states)
        kept.sorted("0", CODES, "symbol", states)
    assert len(kept.kept) == MAX_ORDERS
    assert ("0", "symbol") in kept.kept


def test_a_symbol_that_was_renamed_finds_its_place():
    order = Order(CODES, "name")
    states = {code: state(code, None) for code in CODES}
    assert order.sorted(states)[0] == "AAPL"
    renamed = Symbol(code="AAPL", name="Zeppelin", kind="stock")
    states["AAPL"] = replace(states["AAPL"], symbol=renamed)
    assert order.sorted(states)[-1] == "AAPL"
