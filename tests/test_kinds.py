"""Kinds: what differs between a share, a currency pair, a future and the others."""

from __future__ import annotations

import re
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from quotes import kinds
from quotes.kinds import KINDS
from quotes.models import Symbol
from tests.servers import ROOT

DAY = 86_400  # seconds
prices = st.decimals(Decimal("0.000001"), Decimal(10**7), allow_nan=False, places=8).filter(bool)


def test_a_symbol_can_have_each_of_them_and_no_other() -> None:
    assert set(Symbol.Kind.values) == KINDS.keys()


def test_the_documents_have_their_limits() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    row = r"^\| `(\w+)` \|(?:[^|]*\|){2} (\d+) (s|days) \| over (\d+) % \|"
    rows = re.findall(row, text, re.MULTILINE)
    assert {
        name: (int(age) * (DAY if unit == "days" else 1), int(percent) / 100)
        for name, age, unit, percent in rows
    } == {name: (kind.stale_after, kind.max_jump) for name, kind in KINDS.items()}


def test_only_a_future_may_cost_less_than_nothing() -> None:
    assert [name for name in KINDS if kinds.of(name).is_price(Decimal("-37.63"))] == ["future"]
    assert not any(kind.is_price(Decimal(0)) for kind in KINDS.values())
    assert all(kind.price(Decimal("1.5")) == Decimal("1.5") for kind in KINDS.values())
    assert KINDS["stock"].price(Decimal(-1)) is None
    assert KINDS["future"].price(None) is None


@given(prices)
def test_a_pair_of_currencies_shows_six_figures_and_two_decimals_at_least(price: Decimal) -> None:
    digits = Symbol(kind="currency").digits_near(price)
    assert digits is not None
    assert digits >= 2
    assert price.adjusted() + 1 + digits >= 6
    assert digits == 2 or price.adjusted() + 1 + digits == 6


def test_a_tick_size_has_the_last_word() -> None:
    pair = Symbol(kind="currency", tick_size=Decimal("0.0001"))
    assert pair.digits_near(Decimal("1.08459")) == 4
    assert Symbol(kind="stock").digits_near(Decimal("1.08459")) is None


def test_an_unknown_kind_is_treated_as_a_share() -> None:
    assert kinds.of("house") == KINDS["stock"]
