"""The gate: accepts the newest quote of each symbol, in order of time, if it is plausible."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from math import inf

from quotes.feed.held import (
    ACCEPTED,
    CONFIRMED,
    CROSSED,
    DROPPED,
    REJECTED,
    REJECTED_FOR,
    SPLIT,
    UNPRICED,
    WAITS,
    Decision,
    Held,
)
from quotes.feed.splits import Split, Splits
from quotes.quote import Quote, utc_now
from quotes.sessions import OUT_OF_HOURS

MAX_HELD = 1000  # held prices that are kept until they are stored
REPORT_AGAIN = 60.0  # seconds after which a fault that comes and goes is reported again
# A price without a time keeps the exchange's last time for so long, then it gets that of receipt.
KEEPS_TIME = timedelta(seconds=30)
# After a poll without a time, older quotes are those of a delayed source, not of a stream.
DELAYED = timedelta(seconds=30)
INSISTENT = timedelta(minutes=1)  # polls that repeat a price for this time confirm it


@dataclass(slots=True)
class Gate:
    """Quotes on their way to the next batch: the newest of each symbol, in order of time."""

    max_jump: Callable[[str], Decimal | None] = lambda symbol: None  # as a fraction of the price
    accepted: Callable[[Quote], object] = lambda quote: None  # called with each accepted quote
    is_price: Callable[[Quote], bool] = lambda quote: quote.last > 0
    splits: Splits = field(default_factory=Splits)
    latest: dict[str, Quote] = field(default_factory=dict)
    changed: dict[str, Quote] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)  # waiting for a second sample, by symbol
    rejected: dict[tuple[str, str], Held] = field(default_factory=dict)  # by symbol and provider
    corrections: dict[str, Quote] = field(default_factory=dict)  # older prices that polls repeat
    faults: dict[str, str] = field(default_factory=dict)  # by symbol, if there is one
    reported: dict[str, dict[str, float]] = field(default_factory=dict)  # when, by symbol and fault
    unstored: deque[Held] = field(default_factory=lambda: deque(maxlen=MAX_HELD))
    count: int = 0  # accepted quotes
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    clock: Callable[[], float] = time.monotonic

    def add(self, quote: Quote, asked_at: datetime | None = None) -> bool:
        """Accept a quote unless a newer one is known or it is not plausible.

        Return whether it was accepted. `asked_at` is the time when a poll began: an answer without
        a time of its own may be older than a stream's newest quote. A quote whose time can't be
        true is accepted without it if it differs from the newest one, so that its age is counted
        from its last change. An older price is accepted if polls repeat it for a minute: then the
        newer one was wrong.
        """
        quote = self.splits.restated(quote)
        known, timed = self.latest.get(quote.symbol), without_false_time(quote)
        if known and not self._is_new(timed, known, asked_at, mistimed=timed is not quote):
            return False
        quote = uncrossed(timed)
        priced = self.is_price(quote)
        self._report(timed, UNPRICED if not priced else CROSSED if quote is not timed else "")
        if not priced or not (self._is_split(quote) or self._believed(quote, known, asked_at)):
            return False
        self._accept(quote)
        return True

    def decide(self, decision: Decision) -> None:
        """Accept or reject a held price, unless it is no longer held.

        One that is older than the newest quote is dropped: another source has sent that.
        A rejected price, and those near it from the same source, are held back without a record
        and without confirmation, for a day or until the source sends another price.
        """
        held = self._found(decision)
        if held is None or (held.outcome == REJECTED and not decision.accepts):
            return
        if held.outcome == WAITS:
            del self.held[decision.symbol]
        else:
            del self.rejected[_source(held.quote)]
        if decision.accepts:
            known = self.latest.get(decision.symbol)
            is_newest = known is None or known.received_at <= held.quote.received_at
            outcome = ACCEPTED if is_newest else DROPPED
            self.unstored.append(replace(held, outcome=outcome, until=None))
            if is_newest:
                self._accept(held.quote)
        else:
            until = decision.decided_at + REJECTED_FOR
            rejected = replace(held, outcome=REJECTED, until=until)
            self.rejected[_source(held.quote)] = rejected
            self.unstored.append(rejected)

    def end_deleted(self, decisions: Iterable[Decision]) -> None:
        """End the rejections that are not among all decisions: an operator deleted them.

        They are not stored again.
        """
        known = {(each.symbol, each.held_at) for each in decisions}
        self.rejected = {
            source: each
            for source, each in self.rejected.items()
            if (each.quote.symbol, each.quote.received_at) in known
        }

    def remember(self, quotes: Iterable[Quote]) -> None:
        """Compare the next quotes with these, which an earlier feed accepted."""
        self.latest |= {quote.symbol: quote for quote in quotes}

    def resume(self, held: Iterable[Held]) -> None:
        """Continue to hold prices that an earlier feed held, the oldest first."""
        for each in held:
            if each.outcome == WAITS:
                self.held[each.quote.symbol] = each
            else:
                self.rejected[_source(each.quote)] = each

    def follow_splits(self, splits: Iterable[Split]) -> None:
        """Look for these splits, also in the prices that wait."""
        self.splits.follow(splits)
        for quote in [each.quote for each in self.held.values()]:
            if self._is_split(quote):
                self._accept(quote)

    def forget(self, symbol: str) -> None:
        """Forget the quotes of a symbol: its code changed, so its next price may differ."""
        self.latest.pop(symbol, None)
        if waiting := self.held.pop(symbol, None):
            self.unstored.append(replace(waiting, outcome=DROPPED))
        for key in [each for each in self.rejected if each[0] == symbol]:
            self._end_rejection(key, utc_now())
        self.corrections.pop(symbol, None)
        self.faults.pop(symbol, None)
        self.reported.pop(symbol, None)

    def take(self) -> list[Quote]:
        """Return the quotes that were accepted since the last call."""
        quotes, self.changed = list(self.changed.values()), {}
        self.wake.clear()
        return quotes

    def stored(self, held: Iterable[Held]) -> None:
        """Forget held prices that are stored now."""
        for each in held:
            if self.unstored and self.unstored[0] is each:
                self.unstored.popleft()

    def _is_new(
        self, quote: Quote, known: Quote, asked_at: datetime | None, *, mistimed: bool
    ) -> bool:
        if mistimed and _says_the_same(uncrossed(quote), known):
            return False
        if _before_a_poll(quote, known):
            return False
        return not _late(quote, known, asked_at) or self._corrects(quote, known, asked_at)

    def _corrects(self, quote: Quote, known: Quote, asked_at: datetime | None) -> bool:
        if asked_at is None or not _may_correct(quote, known):
            return False
        first = self.corrections.get(quote.symbol)
        if first is None or (first.last, first.source_time) != (quote.last, quote.source_time):
            self.corrections[quote.symbol] = quote
            return False
        return quote.received_at - first.received_at >= INSISTENT

    def _report(self, quote: Quote, fault: str) -> None:
        symbol = quote.symbol
        if not fault:
            self.faults.pop(symbol, None)
            return
        before, self.faults[symbol] = self.faults.get(symbol), fault
        if fault == before:  # once, until the symbol has a good quote again
            return
        reported, now = self.reported.setdefault(symbol, {}), self.clock()
        if now - reported.get(fault, -inf) >= REPORT_AGAIN:
            reported[fault] = now
            known = self.latest.get(symbol)
            self.unstored.append(Held(quote, known.last if known else None, fault))

    def _accept(self, quote: Quote) -> None:
        quote, known = self.splits.restated(quote), self.latest.get(quote.symbol)
        self.corrections.pop(quote.symbol, None)
        self.accepted(quote)
        self.count += 1
        shown = _in_time(quote, known) if known else quote
        self.latest[quote.symbol] = self.changed[quote.symbol] = shown
        self.wake.set()

    def _believed(self, quote: Quote, known: Quote | None, asked_at: datetime | None) -> bool:
        limit = self.max_jump(quote.symbol)
        if limit is None or (known and quote.currency != known.currency):
            return True
        near = known is not None and _near(quote.last, known.last, limit)
        if self._is_rejected(quote, limit, near=near):
            return False
        waiting = self.held.get(quote.symbol)
        if waiting is not None and _late(quote, waiting.quote, None):
            confirmed = asked_at is not None and _insists(quote, waiting.quote)
            if not confirmed:
                return False
        agrees = waiting is not None and _near(quote.last, waiting.quote.last, limit)
        if waiting is not None:
            outcome = CONFIRMED if agrees and not near else DROPPED
            self.unstored.append(replace(waiting, outcome=outcome))
            del self.held[quote.symbol]
        if near or agrees or known is None:
            return True
        held = Held(quote, known.last, limit=limit, split=self.splits.expected(quote))
        self.held[quote.symbol] = held
        self.unstored.append(held)
        return False

    def _is_split(self, quote: Quote) -> bool:
        """Return whether a price is explained by a split; if so, it confirms the split."""
        known, split = self.latest.get(quote.symbol), self.splits.expected(quote)
        if known is None or split is None or quote.currency != known.currency:
            return False
        limit = self.max_jump(quote.symbol)
        if not split.explains(quote.last, known.last, limit):
            return False
        waiting = self.held.pop(quote.symbol, None)
        if waiting and waiting.quote is not quote:
            agrees = split.explains(waiting.quote.last, known.last, limit)
            self.unstored.append(replace(waiting, outcome=CONFIRMED if agrees else DROPPED))
        self.unstored.append(Held(quote, known.last, SPLIT, limit, split=split))
        self.splits.confirm(split)
        return True

    def _found(self, decision: Decision) -> Held | None:
        """Return the price that an operator decided about, if it waits or is rejected now."""
        held = [*self.held.values(), *self.rejected.values()]
        meant = (decision.symbol, decision.held_at)
        return next((h for h in held if (h.quote.symbol, h.quote.received_at) == meant), None)

    def _is_rejected(self, quote: Quote, limit: Decimal, *, near: bool) -> bool:
        """Return whether an operator rejected such a price; any other one ends the rejection."""
        rejected = self.rejected.get(_source(quote))
        if rejected is None:
            return False
        lasts = rejected.until is not None and quote.received_at < rejected.until
        if lasts and not near and _near(quote.last, rejected.quote.last, limit):
            return True
        self._end_rejection(_source(quote), quote.received_at)
        return False

    def _end_rejection(self, key: tuple[str, str], now: datetime) -> None:
        rejected = self.rejected.pop(key)
        self.unstored.append(replace(rejected, until=min(now, rejected.until or now)))


def uncrossed(quote: Quote) -> Quote:
    """Drop bid and ask if the bid is above the ask: one of them is wrong."""
    if quote.bid is None or quote.ask is None or quote.bid <= quote.ask:
        return quote
    return replace(quote, bid=None, ask=None)


def without_false_time(quote: Quote) -> Quote:
    """Drop a source's time that can't be true: a future one would keep out all later quotes."""
    return replace(quote, source_time=None) if quote.mistimed else quote


def _says_the_same(quote: Quote, known: Quote) -> bool:
    aside = {name: getattr(known, name) for name in ("received_at", "source_time", "sequence")}
    return replace(quote, **aside) == known


def _may_correct(quote: Quote, known: Quote) -> bool:
    # A poll may know less than a stream: it may be later by licence, or know only the prices of
    # regular hours. Times that differ without another price correct nothing.
    if quote.source_time is None or known.source_time is None or quote.last == known.last:
        return False
    alike = (quote.provider, quote.delay) == (known.provider, known.delay)
    return alike and known.session not in OUT_OF_HOURS


def _in_time(quote: Quote, known: Quote) -> Quote:
    """Keep the exchange's last time in a quote without one, if its price is the same or recent.

    The time of receipt would be later than the times of a stream's next quotes, so that the time
    on the page would go back.
    """
    if quote.source_time is not None or quote.provider != known.provider:
        return quote
    if known.source_time is None:
        return quote
    if quote.last != known.last and quote.received_at - known.source_time > KEEPS_TIME:
        return quote
    return replace(quote, source_time=known.source_time)


def _source(quote: Quote) -> tuple[str, str]:
    return quote.symbol, quote.provider


def _near(last: Decimal, before: Decimal, limit: Decimal) -> bool:
    return abs(last - before) <= abs(before) * limit


def _late(quote: Quote, known: Quote, asked_at: datetime | None) -> bool:
    if quote.provider != known.provider:  # their clocks and delays can't be compared
        return False
    return _older(quote, known, asked_at) or _repeats(quote, known)


def _insists(quote: Quote, waiting: Quote) -> bool:
    # after a close there is no other trade, and the source still reports this one
    return _repeats(quote, waiting) and quote.received_at - waiting.received_at >= INSISTENT


def _repeats(quote: Quote, known: Quote) -> bool:
    # without a time of its own, the same price again still shows that the source works
    if quote.source_time is None or quote.source_time != known.source_time:
        return False
    return replace(quote, received_at=known.received_at, sequence=known.sequence) == known


def _older(quote: Quote, known: Quote, asked_at: datetime | None) -> bool:
    if quote.source_time is None:
        return asked_at is not None and known.received_at > asked_at
    if known.source_time is not None:
        return quote.source_time < known.source_time
    return asked_at is not None and quote.source_time < known.received_at


def _before_a_poll(quote: Quote, known: Quote) -> bool:
    # a stream returns after a poll without a time
    if quote.provider != known.provider or quote.source_time is None or known.source_time:
        return False
    return timedelta(0) < known.received_at - quote.source_time <= DELAYED
