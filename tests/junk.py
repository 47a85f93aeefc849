"""Junk: values that a stranger may send in place of valid ones, and the results they may have."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from quotes.quote import Quote
from quotes.quote.values import loads

WORDS = st.text(max_size=12)
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.decimals().map(str)
FLAT = VALUES | st.lists(VALUES, max_size=4) | st.dictionaries(WORDS, VALUES, max_size=4)
JSON = FLAT | st.lists(FLAT, max_size=2) | st.dictionaries(WORDS, FLAT, max_size=2)
EVER = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
PRICES = ("bid", "ask", "open", "high", "low", "reference")


def over_the_wire(value: Any) -> Any:
    """Return a value as it arrives."""
    return loads(json.dumps(value, default=str))


def sane(quote: Quote | None) -> bool:
    """Return whether all prices are valid; a missing last price is a number, too."""
    if quote is None:
        return True
    prices = [price for name in PRICES if (price := getattr(quote, name)) is not None]
    return quote.last.is_finite() and all(price.is_finite() and price > 0 for price in prices)
