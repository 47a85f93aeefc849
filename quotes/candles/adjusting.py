"""Candles from before a split, as prices after it. They are adjusted when they are read.

Stored candles stay as they are, so a split that is deleted or switched off leaves no trace.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal

from quotes import sessions
from quotes.candles.growing import DAY
from quotes.models import Split
from quotes.providers import Candle

MORE_DECIMALS = 6  # of an adjusted number, where a division has no end


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What a confirmed split does to the candles of its symbol from before it."""

    day: date
    since: datetime  # the first moment with new shares
    new: int
    old: int
    applies: bool = True  # whether the operator wants it

    def concerns(self, start: datetime, as_of: datetime | None, step: int) -> bool:
        """Return whether a candle is from before the split, and its source has not adjusted it."""
        before = start.date() < self.day if step == DAY else start < self.since
        return before and (as_of is None or as_of < self.since)

    def price(self, price: Decimal) -> Decimal:
        """Return a price as it would be after the split."""
        return _times(price, self.old, self.new)

    def candle(self, candle: Candle) -> Candle:
        """Return a candle as it would be after the split."""
        volume = candle.volume
        return replace(
            candle,
            open=self.price(candle.open),
            high=self.price(candle.high),
            low=self.price(candle.low),
            close=self.price(candle.close),
            volume=None if volume is None else _times(volume, self.new, self.old),
        )


def load(codes: Collection[str]) -> dict[str, list[Adjustment]]:
    """Return the adjustments of some symbols, by code."""
    found: dict[str, list[Adjustment]] = {}
    rows = Split.objects.filter(symbol__code__in=codes, confirmed_at__isnull=False)
    for row in rows.select_related("symbol"):
        symbol = row.symbol
        since = _begin(row, sessions.zone(symbol.exchange, symbol.kind))
        adjustment = Adjustment(row.day, since, row.new, row.old, row.adjusts)
        found.setdefault(symbol.code, []).append(adjustment)
    return found


def applied(
    some: Iterable[Adjustment], start: datetime, as_of: datetime | None, step: int
) -> list[Adjustment]:
    """Return those of some adjustments that a stored candle needs."""
    return [each for each in some if each.applies and each.concerns(start, as_of, step)]


def _begin(split: Split, zone: object) -> datetime:
    midnight = datetime.combine(split.day, time(), zone or UTC)  # type: ignore[arg-type]
    # a market that never closes has old shares until the price that confirms the split, if one did
    at = split.confirmed_at if split.price and not zone else None
    return max(midnight, at or midnight)


def _times(number: Decimal, factor: int, divisor: int) -> Decimal:
    result = number * factor / divisor
    decimals = MORE_DECIMALS - min(0, int(number.as_tuple().exponent))
    if -int(result.as_tuple().exponent) <= decimals:
        return result
    return result.quantize(Decimal(1).scaleb(-decimals))
