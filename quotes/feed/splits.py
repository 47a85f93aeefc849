"""Splits for the feed: the jumps that they explain, and prices from before a split."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from quotes import sessions
from quotes.quote import Quote

OF_BEFORE = ("open", "high", "low", "reference")  # values that a source may send unadjusted


@dataclass(frozen=True, slots=True)
class Split:
    """A split of a symbol, which a price confirms from the opening of its day on."""

    key: int  # of its row
    symbol: str
    exchange: str
    kind: str
    day: date
    new: int
    old: int
    confirmed: bool = False

    def __str__(self) -> str:
        return f"{self.new}:{self.old}"

    def adjusted(self, price: Decimal) -> Decimal:
        """Return a price from before the split as it would be after it."""
        return price * self.old / self.new

    def is_due(self, quote: Quote) -> bool:
        """Return whether a quote may be the first one after the split, or is from its day."""
        traded = sessions.day_of(self.exchange, self.kind, quote.time)
        if self.confirmed:
            return traded == self.day
        return traded >= self.day and not self.is_over(quote.time)

    def is_over(self, now: datetime) -> bool:
        """Return whether the next trading day has ended, too."""
        return is_over(self.day, self.exchange, self.kind, now)

    def explains(self, last: Decimal, before: Decimal, limit: Decimal | None) -> bool:
        """Return whether a price is what the split makes of the one before it."""
        expected = self.adjusted(before)
        near = limit is None or abs(last - expected) <= abs(expected) * limit
        return near and _is_nearer(last, expected, before)

    def restated(self, quote: Quote) -> Quote:
        """Return a quote of its day, whose values from before the split are adjusted.

        The price shows which values these are. A value that is neither clearly from before the
        split nor clearly from after it is left out.
        """
        before = quote.last * self.new / self.old
        changed: dict[str, Any] = {}
        for name in OF_BEFORE:
            value = getattr(quote, name)
            if value is None or _is_nearer(value, quote.last, before):
                continue
            is_raw = _is_nearer(value, before, quote.last)
            changed[name] = self.adjusted(value) if is_raw else None
        if "reference" in changed and changed["reference"] is None:
            changed["reference_kind"] = "none"
        return replace(quote, **changed)


@dataclass(slots=True)
class Splits:
    """The splits of all symbols that a price may confirm, or has confirmed lately."""

    by_symbol: dict[str, list[Split]] = field(default_factory=dict)
    # those that a price has confirmed, as they were then: a corrected one is expected again
    seen: set[Split] = field(default_factory=set)

    def follow(self, splits: Iterable[Split]) -> None:
        """Look for these splits, and for no others."""
        self.by_symbol = {}
        for each in splits:
            split = replace(each, confirmed=each.confirmed or each in self.seen)
            self.by_symbol.setdefault(each.symbol, []).append(split)

    def expected(self, quote: Quote) -> Split | None:
        """Return the split that a quote may confirm."""
        return self._of(quote, confirmed=False)

    def confirm(self, split: Split) -> None:
        """Note that a price has confirmed a split."""
        self.seen.add(split)
        self.follow([each for some in self.by_symbol.values() for each in some])

    def restated(self, quote: Quote) -> Quote:
        """Return a quote without values from before a split of its day."""
        split = self._of(quote, confirmed=True)
        return split.restated(quote) if split else quote

    def _of(self, quote: Quote, *, confirmed: bool) -> Split | None:
        known = self.by_symbol.get(quote.symbol)
        if not known:  # as of nearly every symbol
            return None
        some = (split for split in known if split.confirmed == confirmed)
        return next((split for split in some if split.is_due(quote)), None)


def is_over(day: date, exchange: str, kind: str, now: datetime) -> bool:
    """Return whether a trading day after this one has ended: its split is no longer expected."""
    return sessions.last_traded_day(exchange, kind, now) > day


def _is_nearer(value: Decimal, to: Decimal, than: Decimal) -> bool:
    """Return whether a value is in the third of the way that is at one of two prices.

    The way is measured in percent, as splits are: from 100 to 25, the thirds end at 63 and 40.
    """
    return value**3 < to * to * than if to < than else value**3 > to * to * than
