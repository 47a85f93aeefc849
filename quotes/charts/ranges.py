"""Ranges: how far back a chart goes, and from which stored bars it is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from quotes.charts.bars import DAY, HOUR, MINUTE, Bar, Period

DAY_LONG = timedelta(days=1)
PARTS = 50  # of a range, of which one may be missing
FIRST_MINUTES = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Range:
    """A range of a chart. Either days of trading, or time back from today, or all there is."""

    name: str  # as in addresses: "1d"
    steps: tuple[int, ...]  # seconds of the stored bars, the finest first
    days: int = 0  # of trading
    months: int = 0
    this_year: bool = False

    @property
    def kind(self) -> str:
        """How it is drawn unless a visitor chooses: "line" up to two days, else "candles"."""
        return "line" if 0 < self.days <= 2 else "candles"

    def since(self, now: datetime, zone: tzinfo, hours: Iterable[Period] = ()) -> datetime | None:
        """Return the aware time from which bars are needed; None for all there are.

        `hours` are the newest times of trading, in order; days of trading are counted by them.
        Without any, the market is taken to be always open. `zone` is that of the exchange. A date
        is 00:00 UTC, as the starts of daily bars are.
        """
        if self.days:
            return self._opened(now, zone, [each for each in hours if each.begins <= now])
        today = now.astimezone(zone).date()
        if self.this_year:
            return datetime.combine(today.replace(month=1, day=1), time(), UTC)
        return datetime.combine(_back(today, self.months), time(), UTC) if self.months else None

    def stored(self, since: datetime | None, now: datetime, kept: Mapping[int, float]) -> list[int]:
        """Return the steps of stored bars to look for, the finest first.

        `kept` is for how many days the bars of a step are kept. Steps that are not kept for long
        enough are left out, except for the last one.
        """
        *finer, last = self.steps
        if since is None:
            return [last]
        far = (now - since) / DAY_LONG
        return [step for step in finer if kept.get(step, 0) >= far] + [last]

    def _opened(self, now: datetime, zone: tzinfo, hours: Sequence[Period]) -> datetime:
        """Return when the first of the newest days of trading began."""
        if not hours or hours[-1].ends - hours[-1].begins > DAY_LONG:
            newest = min([now, *(each.ends for each in hours[-1:])])
            return newest - self.days * DAY_LONG
        dates = [each.begins.astimezone(zone).date() for each in hours]
        first = sorted(set(dates))[-self.days :][0]
        return hours[dates.index(first)].begins


RANGES = {
    each.name: each
    for each in (
        Range("1d", (MINUTE, 5 * MINUTE, HOUR), days=1),
        Range("5d", (5 * MINUTE, HOUR), days=5),
        Range("1m", (HOUR, DAY), months=1),
        Range("6m", (DAY,), months=6),
        Range("ytd", (DAY,), this_year=True),
        Range("1y", (DAY,), months=12),
        Range("5y", (DAY,), months=60),
        Range("all", (DAY,)),
    )
}


def reaches(bars: Sequence[Bar], opened: datetime | None) -> bool:
    """Return whether bars reach back to the first trading of a range; None for all there are.

    A fiftieth may be missing, and the first minutes, in which there may be no trade.
    """
    if not bars or opened is None:
        return bool(bars)
    missing = max((bars[-1].start - opened) / PARTS, FIRST_MINUTES)
    return bars[0].start - opened <= missing


def begins_late(bars: Sequence[Bar], opened: datetime | None) -> bool:
    """Return whether bars lack a tenth of a range, and more than a day."""
    if opened is None:
        return False
    first, last = bars[0].start, bars[-1].start
    return first - opened > max((last - opened) / 10, DAY_LONG)


def _back(day: date, months: int) -> date:
    """Return the same day so many months before, or the last one of that month."""
    month = day.year * 12 + day.month - 1 - months
    year, month = divmod(month, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    raise AssertionError
