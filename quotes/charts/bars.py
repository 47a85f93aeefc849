"""Bars: the prices of a period, and how they are joined to longer periods."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

MINUTE, HOUR, DAY = 60, 3600, 86_400
# The calendar decides how long these are; the number is only their name.
WEEK, MONTH, QUARTER, YEAR = 7 * DAY, 30 * DAY, 91 * DAY, 365 * DAY
STEPS = (
    *(MINUTE * n for n in (1, 2, 5, 10, 15, 30)), *(HOUR * n for n in (1, 2, 4)),
    DAY, WEEK, MONTH, QUARTER, YEAR,
)  # fmt: skip


class Bar(NamedTuple):
    """The prices of a period, and the volume if it is known."""

    start: datetime  # aware; of a day or more, 00:00 UTC of its date at the exchange
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal | None = None


class Period(NamedTuple):
    """A time of trading, from an aware datetime to another."""

    begins: datetime
    ends: datetime


def percent_change(value: Decimal, since: Decimal | None) -> Decimal | None:
    """Return a change in percent of the size of an earlier price; None if that is 0 or unknown."""
    return (value - since) / abs(since) * 100 if since else None


def zone_of(step: int, zone: tzinfo) -> tzinfo:
    """Return the zone in which the starts of such bars are read: days are dates already."""
    return UTC if step >= DAY else zone


def start_of(moment: datetime, step: int, zone: tzinfo) -> datetime:
    """Return the start, in UTC, of the step that a moment belongs to.

    More than an hour counts by the clock of a zone, less by UTC, as the bars are stored.
    """
    local = moment.astimezone(UTC).astimezone(zone if step > HOUR else UTC)
    if step >= DAY:
        return datetime.combine(first_day(local.date(), step), time(), UTC)
    seconds = (local.hour * 60 + local.minute) * 60 + local.second
    into = timedelta(seconds=seconds % step, microseconds=local.microsecond)
    return (local - into).astimezone(UTC)


def joined(bars: Iterable[Bar], step: int, zone: tzinfo) -> list[Bar]:
    """Return bars of a longer step; bars are in order of time.

    A bar has the first open, the highest high, the lowest low, the last close and the sum of the
    volumes, which is None if one of them is.
    """
    return [
        join(start, list(group))
        for start, group in groupby(bars, lambda bar: start_of(bar.start, step, zone))
    ]


def longer(step: int) -> Sequence[int]:
    """Return the steps that bars of this step can be joined to, the next one first."""
    return [each for each in STEPS if each > step and (each >= DAY or each % step == 0)]


def join(start: datetime, bars: Sequence[Bar]) -> Bar:
    """Return the bar of the whole time of some bars, at least one."""
    volumes = [bar.volume for bar in bars if bar.volume is not None]
    return Bar(
        start,
        bars[0].open,
        max(bar.high for bar in bars),
        min(bar.low for bar in bars),
        bars[-1].close,
        sum(volumes, Decimal(0)) if len(volumes) == len(bars) else None,
    )


def grown(start: datetime, before: Sequence[Bar], newest: Bar) -> Bar:
    """Return the bar of some bars and the newest one, whose volume may not be known yet."""
    bar = join(start, [*before, newest])
    return bar._replace(volume=join(start, before).volume) if before and bar.volume is None else bar


def first_day(day: date, step: int) -> date:
    """Return the first date of the day, week, month, quarter or year that a date belongs to."""
    if step == DAY:
        return day
    if step == WEEK:
        return day - timedelta(days=day.weekday())
    months = {MONTH: 1, QUARTER: 3, YEAR: 12}[step]
    return date(day.year, (day.month - 1) // months * months + 1, 1)
