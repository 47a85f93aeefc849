"""Figures from daily candles: the range of 52 weeks, the average volume, and earlier closes.

A day here is the day of a candle: that of the exchange, or of UTC. No figure is made of candles
that do not reach far enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from quotes.providers import Candle
from quotes.quote import Quote

WEEKS_52 = timedelta(weeks=52)
MAX_GAP = timedelta(days=14)  # the longest time without trading, such as around a New Year
REACH = timedelta(days=366) + MAX_GAP  # the oldest candle that a figure is made of
COUNTED = {"5D": 5}  # days of trading, by period
MONTHS = {"1M": 1, "1Y": 12}
PERIODS = ("5D", "1M", "YTD", "1Y")
VOLUME_DAYS = (5, 30)  # of an average volume: at least, and at most


class Close(NamedTuple):
    """The last price of a day of trading."""

    day: date
    last: Decimal


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a symbol on one day. A figure that is not known is None, or missing."""

    low: Decimal | None = None  # of 52 weeks
    high: Decimal | None = None
    volume: Decimal | None = None  # average of a day
    volume_days: int = 0  # the number of days in that average
    bases: Mapping[str, Decimal] = field(default_factory=dict)  # closes, by period that they begin
    closes: tuple[Close, ...] = ()  # the newest two, the oldest first; the day itself included

    def changes(self, last: Decimal) -> dict[str, Decimal]:
        """Return the change from each base to a price, in percent of the base's size."""
        return {
            period: (last - base) / abs(base) * 100 for period, base in self.bases.items() if base
        }

    def range_with(self, quote: Quote) -> tuple[Decimal, Decimal] | None:
        """Return the lowest and the highest price of 52 weeks, those of a quote's day included."""
        if self.low is None or self.high is None:
            return None
        low, high = quote.low, quote.high
        return (
            self.low if low is None else min(self.low, low),
            self.high if high is None else max(self.high, high),
        )


NOTHING = Figures()


def figures(candles: Sequence[Candle], day: date) -> Figures:
    """Return the figures of a day. The candles are daily ones of one symbol, the oldest first."""
    known = [each for each in candles if _day(each) <= day]
    before = [each for each in known if _day(each) < day]
    year = [each for each in known if _day(each) > day - WEEKS_52]
    whole = bool(known) and _day(known[0]) <= day - WEEKS_52 + MAX_GAP
    volume, days = _average_volume(before)
    return Figures(
        low=min(each.low for each in year) if whole and year else None,
        high=max(each.high for each in year) if whole and year else None,
        volume=volume,
        volume_days=days,
        bases=dict(_bases(before, day)),
        closes=tuple(Close(_day(each), each.close) for each in known[-2:]),
    )


def _bases(before: Sequence[Candle], day: date) -> Iterator[tuple[str, Decimal]]:
    for period, count in COUNTED.items():
        if len(before) >= count and day - _day(before[-count]) <= MAX_GAP:
            yield period, before[-count].close
    begins = {period: _months_before(day, months) for period, months in MONTHS.items()}
    begins["YTD"] = date(day.year - 1, 12, 31)
    for period, begin in begins.items():
        base = next((each for each in reversed(before) if _day(each) <= begin), None)
        if base is not None and begin - _day(base) <= MAX_GAP:
            yield period, base.close


def _average_volume(before: Sequence[Candle]) -> tuple[Decimal | None, int]:
    least, most = VOLUME_DAYS
    volumes = [each.volume for each in before if each.volume is not None][-most:]
    total = sum(volumes, Decimal(0))
    if len(volumes) < least or not total:
        return None, 0
    return total / len(volumes), len(volumes)


def _months_before(day: date, months: int) -> date:
    """Return the same day some months earlier, or the last day of that month."""
    first = day.year * 12 + day.month - 1 - months
    year, month = divmod(first, 12)
    following = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    return min(date(year, month + 1, 1) + timedelta(day.day - 1), following - timedelta(1))


def _day(candle: Candle) -> date:
    return candle.start.date()
