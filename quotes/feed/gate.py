"""What the feed lets through: of each symbol the newest, in order, where it can be believed."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from math import inf

from quotes.quote import Quote

MOST_AHEAD = timedelta(seconds=5)  # that a source's clock may be before ours
MOST_HELD = 1000  # prices held back that are remembered until somebody lists them
LISTED_AGAIN = 60.0  # seconds after which a fault that comes and goes is listed once more
INSISTENT = timedelta(minutes=1)  # for so long a poll must tell the same, to confirm itself
UNPRICED, CROSSED = "no_price", "crossed"  # what may be wrong with a quote by itself


@dataclass(frozen=True, slots=True)
class Held:
    """A quote that was held back: it has no price, or one that is too far from the one before.

    Or one whose bid was above its ask, of which only the rest was taken.
    """

    quote: Quote
    before: Decimal | None
    outcome: str = "waits"  # then "confirmed" by a second sample, or "dropped"; or what is wrong


@dataclass(slots=True)
class Pending:
    """Quotes on their way to the next batch: per symbol the newest, in order of time."""

    max_jump: Callable[[str], Decimal | None] = lambda symbol: None  # as a part of the price
    latest: dict[str, Quote] = field(default_factory=dict)
    changed: dict[str, Quote] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)  # waiting for a second sample, by symbol
    faults: dict[str, str] = field(default_factory=dict)  # symbol: what is wrong with it, or ""
    listed: dict[str, dict[str, float]] = field(default_factory=dict)  # symbol: when, by fault
    told: deque[Held] = field(default_factory=lambda: deque(maxlen=MOST_HELD))  # yet to be listed
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    accepted: Callable[[Quote], object] = lambda quote: None  # told of each that is taken
    clock: Callable[[], float] = time.monotonic

    def add(self, quote: Quote, asked_at: datetime | None = None) -> bool:
        """Take a quote unless a newer one is known, or it can't be believed; say whether it was.

        `asked_at` is when a poll began: an answer without a time of its own may be older than
        what a stream said since.
        """
        told = timely(quote)
        known = self.latest.get(quote.symbol)
        if known is not None and _late(told, known, asked_at):
            return False
        quote = uncrossed(told)
        self._remark(told, UNPRICED if told.last <= 0 else CROSSED if quote is not told else "")
        if quote.last <= 0 or (known and not self._believed(quote, known, asked_at)):
            return False
        self.latest[quote.symbol] = self.changed[quote.symbol] = quote
        self.accepted(quote)
        self.wake.set()
        return True

    def forget(self, symbol: str) -> None:
        """Take the next quote of a symbol as the first: it is asked for as another one."""
        self.latest.pop(symbol, None)
        self.held.pop(symbol, None)
        self.faults.pop(symbol, None)
        self.listed.pop(symbol, None)

    def take(self) -> list[Quote]:
        """Hand over what came since the last call."""
        quotes, self.changed = list(self.changed.values()), {}
        self.wake.clear()
        return quotes

    def _remark(self, quote: Quote, fault: str) -> None:
        symbol = quote.symbol
        before, self.faults[symbol] = self.faults.get(symbol, ""), fault
        if not fault or fault == before:  # listed once, until it is well again
            return
        listed, now = self.listed.setdefault(symbol, {}), self.clock()
        if now - listed.get(fault, -inf) >= LISTED_AGAIN:
            listed[fault] = now
            known = self.latest.get(symbol)
            self.told.append(Held(quote, known.last if known else None, fault))

    def _believed(self, quote: Quote, known: Quote, asked_at: datetime | None) -> bool:
        limit = self.max_jump(quote.symbol)
        if limit is None or quote.currency != known.currency:
            return True
        waiting = self.held.get(quote.symbol)
        if waiting is not None and _late(quote, waiting.quote, None):
            confirmed = asked_at is not None and _insists(quote, waiting.quote)
            if not confirmed:
                return False
        near = _near(quote.last, known.last, limit)
        agrees = waiting is not None and _near(quote.last, waiting.quote.last, limit)
        if waiting is not None:
            outcome = "confirmed" if agrees and not near else "dropped"
            self.told.append(replace(waiting, outcome=outcome))
            del self.held[quote.symbol]
        if near or agrees:
            return True
        self.held[quote.symbol] = Held(quote, known.last)
        self.told.append(self.held[quote.symbol])
        return False


def uncrossed(quote: Quote) -> Quote:
    """Drop a bid above its ask: one of them is wrong, and nobody knows which."""
    if quote.bid is None or quote.ask is None or quote.bid <= quote.ask:
        return quote
    return replace(quote, bid=None, ask=None)


def timely(quote: Quote) -> Quote:
    """Drop a source's time that is yet to come: it would keep out all that follow."""
    if quote.source_time is None or quote.source_time <= quote.received_at + MOST_AHEAD:
        return quote
    return replace(quote, source_time=None)


def _near(last: Decimal, before: Decimal, limit: Decimal) -> bool:
    return abs(last - before) <= before * limit


def _late(quote: Quote, known: Quote, asked_at: datetime | None) -> bool:
    if quote.provider != known.provider:  # their clocks and delays can't be compared
        return False
    return _older(quote, known, asked_at) or _said_before(quote, known)


def _insists(quote: Quote, waiting: Quote) -> bool:
    # no other trade came, as after a close, and the source still stands by this one
    return _said_before(quote, waiting) and quote.received_at - waiting.received_at >= INSISTENT


def _said_before(quote: Quote, known: Quote) -> bool:
    # without a time of its own, a price that stays is still a sign of life
    if quote.source_time is None or quote.source_time != known.source_time:
        return False
    return replace(quote, received_at=known.received_at, sequence=known.sequence) == known


def _older(quote: Quote, known: Quote, asked_at: datetime | None) -> bool:
    if quote.source_time is None:
        return asked_at is not None and known.received_at > asked_at
    if known.source_time is not None:
        return quote.source_time < known.source_time
    return asked_at is not None and quote.source_time < known.received_at
