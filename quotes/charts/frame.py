"""The frame of a chart: bars joined so that there is room for each, and their slots."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo
from functools import cached_property
from itertools import pairwise, takewhile
from statistics import mode
from typing import NamedTuple

from quotes.charts.axes import LEAST_BAR, SIZES, is_steep
from quotes.charts.bars import DAY, Bar, Period, grown, joined, longer, start_of, zone_of
from quotes.charts.path import BODY, SLOT, Placed
from quotes.charts.slots import fitting, slots, spans

SHORTEST_GAP = 3  # slots of less than a day without a bar, across which no line is drawn
FEWEST_BARS, MAX_BARS = (size.width // LEAST_BAR for size in (SIZES[0], SIZES[-1]))


class Row(NamedTuple):
    """Bars of one step, side by side."""

    step: int  # seconds
    zone: tzinfo  # in which their starts are shown
    slots: Mapping[datetime, tuple[int, int]]  # the first and the last, also of a step without bar
    placed: Sequence[Placed]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The bars of a range, at least one, and their slots."""

    bars: Sequence[Bar]  # of one step, in order
    step: int  # seconds
    zone: tzinfo  # of the exchange
    hours: Sequence[Period] = ()  # of trading in the range; without any, gaps are not known

    @cached_property
    def _drawn(self) -> tuple[list[Bar], int]:
        return fitting(self.bars, self.step, self.zone, self.hours, MAX_BARS)

    @property
    def drawn_step(self) -> int:
        """The seconds of a bar as it is drawn."""
        return self._drawn[1]

    @property
    def drawn_zone(self) -> tzinfo:
        """The zone in which the starts of drawn bars are shown."""
        return zone_of(self.drawn_step, self.zone)

    @cached_property
    def starts(self) -> list[datetime]:
        """The starts of all slots."""
        return slots(self.bars, self.step, self.drawn_step, self.zone, self.hours)

    @property
    def count(self) -> int:
        """The number of slots."""
        return len(self.starts)

    @cached_property
    def placed(self) -> list[Placed]:
        """The bars as they are drawn, each in its slot."""
        *placed, last = self.place(self._drawn[0])
        return [*placed, self._with_newest(last, self.bars[-1])]

    @cached_property
    def row(self) -> Row:
        """The bars as they are drawn where there is room for each."""
        places = {start: (place, place) for place, start in enumerate(self.starts)}
        return Row(self.drawn_step, self.drawn_zone, places, self.placed)

    @cached_property
    def wider_row(self) -> Row:
        """The bars joined for narrow screens; the same bars if they are few."""
        step, filled = self.drawn_step, spans(self.starts, self.drawn_step, self.drawn_zone)
        for step in (self.drawn_step, *longer(self.drawn_step)):
            filled = spans(self.starts, step, self.drawn_zone)
            if len(filled) <= FEWEST_BARS:
                break
        bars = joined((each.bar for each in self.placed), step, self.drawn_zone)
        usual = mode(last - first + 1 for first, last in filled.values())
        *wider, last = (_joined(bar, *filled[bar.start], usual) for bar in bars)
        wider.append(self._wider_with(last, self.placed[-1]))
        return Row(step, zone_of(step, self.zone), filled, wider)

    @property
    def wider(self) -> Sequence[Placed]:
        """The bars of `wider_row`."""
        return self.wider_row.placed

    @cached_property
    def gaps(self) -> list[tuple[int, int]]:
        """The first and the last slot of each gap."""
        shortest = 1 if self.drawn_step >= DAY else SHORTEST_GAP
        between = ((one.last + 1, other.first - 1) for one, other in pairwise(self.placed))
        return [(first, last) for first, last in between if last - first + 1 >= shortest]

    @property
    def is_steep(self) -> bool:
        """Whether prices differ so much that a logarithmic scale suits them better."""
        low = min(each.bar.low for each in self.placed)
        return is_steep(low, max(each.bar.high for each in self.placed))

    def place(self, bars: Iterable[Bar]) -> list[Placed]:
        """Put bars of the drawn step into their slots; leave out those that have none."""
        places = {start: place for place, start in enumerate(self.starts)}
        found = ((bar, places.get(bar.start)) for bar in bars)
        return [Placed(bar, place, place) for bar, place in found if place is not None]

    def start(self, moment: datetime) -> datetime:
        """Return the start of the drawn step that a stored bar belongs to."""
        return start_of(moment, self.drawn_step, zone_of(self.step, self.zone))

    def first_on(self, day: date) -> int:
        """Return the slot of the first bar that began on a day, or later."""
        midnight = datetime.combine(day, time(), zone_of(self.step, self.zone))
        return bisect_left(self.starts, self.start(midnight))

    @property
    def days(self) -> tuple[date, date]:
        """The days of the first and the last stored bar."""
        zone = zone_of(self.step, self.zone)
        first, last = (bar.start.astimezone(zone).date() for bar in (self.bars[0], self.bars[-1]))
        return first, last

    def grown(self, newest: Bar) -> tuple[Placed, Placed] | None:
        """Return the last bar, and that for narrow screens, with the newest stored bar in it.

        Return None if the newest bar belongs to another bar than the last one.
        """
        if self.start(newest.start) != self.placed[-1].bar.start:
            return None
        last = self._with_newest(self.placed[-1], newest)
        return last, self._wider_with(self.wider[-1], last)

    def _with_newest(self, last: Placed, newest: Bar) -> Placed:
        before = (bar for bar in reversed(self.bars) if bar.start < newest.start)
        inside = takewhile(lambda bar: self.start(bar.start) == last.bar.start, before)
        return last._replace(bar=grown(last.bar.start, [*inside][::-1], newest))

    def _wider_with(self, wide: Placed, last: Placed) -> Placed:
        narrow = [each.bar for each in self.placed[:-1] if each.first >= wide.first]
        return wide._replace(bar=grown(wide.bar.start, narrow, last.bar))


def _joined(bar: Bar, first: int, last: int, usual: int) -> Placed:
    """Place a joined bar. All bodies have one width; only a part of a step may lack room for it."""
    return Placed(bar, first, last, min(usual * BODY, (last - first + 1) * SLOT - 2))
