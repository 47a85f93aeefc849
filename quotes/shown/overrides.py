"""Overrides by operators: what pages show in place of the state of a symbol.

The store keeps the quote of the source: the feed, candles, charts and sorting do not know them.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from quotes.models import Override
from quotes.quote import Quote
from quotes.sessions import Session
from quotes.store import State

CONTRADICTING = ("source_time", "bid", "ask", "open", "high", "low", "delay", "session")


def painted(state: State) -> State:
    """Return a state as pages show it: with a fixed price, or halted, if the staff set that."""
    override = state.override
    if override is None or override.kind == Override.Kind.NOTE:
        return state
    if override.kind == Override.Kind.HALTED:
        return replace(state, session=Session("halted"), stale_minutes=None)
    return replace(state, quote=fixed(state, override), stale_minutes=None, fallback=False)


def fixed(state: State, override: Override) -> Quote:
    """Return a quote with a fixed price. It has no values that would contradict the price."""
    last = Decimal(f"{(override.price or Decimal(0)).normalize():f}")
    price: Any = {"last": last, "received_at": override.begins, "provider": ""}
    if state.quote is None:
        return Quote(symbol=state.symbol.code, currency=state.symbol.currency, **price)
    unknown: Any = dict.fromkeys(CONTRADICTING)
    return replace(state.quote, **price, **unknown)
