"""Slots: the places of bars on the time axis, so that closed hours take no room.

A slot without a bar is a gap. Gaps are known only where the hours of trading are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import groupby

from quotes.charts.bars import DAY, Bar, Period, joined, longer, start_of, zone_of


def slots(
    bars: Iterable[Bar], of_step: int, step: int, zone: tzinfo, hours: Iterable[Period]
) -> list[datetime]:
    """Return the starts of all steps within the hours of trading, and of all bars, in order.

    `of_step` is that of the bars, and `zone` that of the exchange.
    """
    reading = zone_of(of_step, zone)
    found = {start_of(bar.start, step, reading) for bar in bars}
    for period in hours:
        found.update(start_of(moment, step, zone) for moment in _moments(period, step))
    return sorted(found)


def fitting(
    bars: Sequence[Bar], step: int, zone: tzinfo, hours: Sequence[Period], most: int
) -> tuple[list[Bar], int]:
    """Return the bars, joined to the first step of which at most so many have slots, and the step.

    Bars that are too many even for the longest step are joined to that.
    """
    fits = step
    for fits in (step, *longer(step)):
        if _fewest(hours, fits) <= most and len(slots(bars, step, fits, zone, hours)) <= most:
            break
    return joined(bars, fits, zone_of(step, zone)), fits


def spans(starts: Sequence[datetime], step: int, zone: tzinfo) -> dict[datetime, tuple[int, int]]:
    """Return the first and the last slot of each longer step, by its start."""
    found = {}
    numbered = groupby(enumerate(starts), lambda slot: start_of(slot[1], step, zone))
    for start, group in numbered:
        places = [place for place, _ in group]
        found[start] = (places[0], places[-1])
    return found


def _moments(period: Period, step: int) -> Iterator[datetime]:
    """Yield moments of a period, at least one in each of its steps."""
    moment, apart = period.begins, timedelta(seconds=min(step, DAY))
    while moment < period.ends:
        yield moment
        moment += apart
    yield period.ends - datetime.resolution


def _fewest(hours: Iterable[Period], step: int) -> float:
    """Return how many steps the hours have at least, without looking at each."""
    if step >= DAY:
        return 0
    return sum(((each.ends - each.begins).total_seconds() // step for each in hours), 0.0)
