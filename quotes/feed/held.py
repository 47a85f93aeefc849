"""Held prices: quotes that the gate held back, and what operators decide about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from quotes.feed.splits import Split
from quotes.quote import Quote

UNPRICED, CROSSED = "no_price", "crossed"  # faults that a quote can have by itself
WAITS, CONFIRMED, DROPPED = "waits", "confirmed", "dropped"
ACCEPTED, REJECTED = "accepted", "rejected"  # by an operator
SPLIT = "split"  # accepted, because a split explains it
REJECTED_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Held:
    """A quote that was held back, or whose bid and ask were left out.

    A quote without a price is always held back. A quote whose price is too far from the last one
    waits for a second sample, or for an operator. If the bid is above the ask, the rest of the
    quote is accepted.
    """

    quote: Quote
    before: Decimal | None
    outcome: str = WAITS
    limit: Decimal | None = None  # the largest change, as a fraction, that needs no confirmation
    until: datetime | None = None  # when a rejection ends
    split: Split | None = None  # that explains the price, or was expected in its place


@dataclass(frozen=True, slots=True)
class Decision:
    """What an operator decided about the price of a symbol that was held at a moment."""

    symbol: str
    held_at: datetime
    accepts: bool
    decided_at: datetime
