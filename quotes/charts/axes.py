"""Axes: where values and times are drawn, and which of them have labels.

Heights count from the top of the drawing, in thousandths of it. A drawing is shown in three sizes,
from the smallest phone to the widest screen; each size has its own labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from itertools import pairwise
from math import ceil, log, log10
from typing import NamedTuple

from quotes.charts.bars import DAY, HOUR, MINUTE, MONTH, QUARTER, WEEK, YEAR, first_day
from quotes.charts.widths import LABEL, width

FULL = 1000
ROOM = Decimal("0.05")  # of the range of values, above the highest and below the lowest
FLAT = Decimal("0.005")  # of a value that never changes
APART = 40  # px between two labels of values, at least
BETWEEN = 24  # px between two labels of times, at least
FEWEST_LABELS = 3  # of times
LEAST_BAR = 3  # px from a bar to the next one, at least
STEEP = 3  # times the lowest value
NICE = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5))
ROUND = tuple(
    [*map(Decimal, each.split())] for each in ("1 1.5 2 3 4 6 8", "1 2 3 5", "1 2 5", "1 3", "1")
)  # values with labels within a power of ten, on a logarithmic scale


class Size(NamedTuple):
    """A size of the drawing: its name, and its smallest width and its height without labels."""

    name: str
    width: int  # px
    height: int  # px


SIZES = (Size("s", 232, 216), Size("m", 528, 296), Size("l", 792, 376))  # chart.css has them, too


@dataclass(frozen=True, slots=True)
class Scale:
    """The heights of values: the highest value is at 0, the lowest at `bottom`."""

    low: Decimal
    high: Decimal
    bottom: int = FULL
    logarithmic: bool = False

    def at(self, value: Decimal) -> int:
        """Return the height of a value; values outside the scale are at its edge."""
        if value >= self.high:
            return 0
        if value <= self.low:
            return self.bottom
        if not self.logarithmic:
            return round((self.high - value) / (self.high - self.low) * self.bottom)
        part = (log(self.high) - log(value)) / (log(self.high) - log(self.low))
        return round(part * self.bottom)

    def holds(self, value: Decimal) -> bool:
        """Return whether a value is within the scale."""
        return self.low <= value <= self.high

    def ticks(self, pixels: float, finest: Decimal) -> list[tuple[Decimal, Decimal]]:
        """Return the values with labels, and the step of each, on a scale of so many pixels.

        They are at least 40 px apart and multiples of their step. `finest` is the tick size.
        """
        if self.logarithmic and is_steep(self.low, self.high):
            return [each for each in self._round(pixels) if each[1] >= finest]
        least = (self.high - self.low) * APART / Decimal(pixels)
        if self.logarithmic:  # labels are closest at the top
            least = self.high * (1 - (self.low / self.high) ** (Decimal(APART) / Decimal(pixels)))
        step = nice(least, finest)
        first = _multiple(self.low, step)
        count = int((self.high - first) // step) + 1 if first <= self.high else 0
        return [(first + n * step, step) for n in range(count)]

    def _round(self, pixels: float) -> Iterator[tuple[Decimal, Decimal]]:
        """Yield the values with the same first digits in each power of ten, and their steps."""
        room = pixels / log10(self.high / self.low)  # px, of a power of ten
        digits = next((each for each in ROUND if _least(each) * room >= APART), ROUND[-1])
        every = ceil(APART / room)
        for power in range(self.low.adjusted(), self.high.adjusted() + 1):
            for digit in digits if power % every == 0 else ():
                if self.holds(value := digit.scaleb(power)):
                    yield value, Decimal("1" if _is_whole(digit) else "0.5").scaleb(power)


def scale_of(
    lowest: Decimal, highest: Decimal, *, bottom: int = FULL, logarithmic: bool = False
) -> Scale:
    """Return a scale with room above and below the values.

    It never begins below zero if no value does. If all values are the same, they are in the middle.
    Only a scale above zero can be logarithmic.
    """
    room = (highest - lowest) * ROOM or abs(highest) * FLAT or Decimal(1)
    if logarithmic and lowest > 0:
        factor = (highest / lowest) ** ROOM if highest > lowest else 1 + FLAT
        return Scale(lowest / factor, highest * factor, bottom, logarithmic=True)
    low = lowest - room
    return Scale(max(low, Decimal(0)) if lowest >= 0 else low, highest + room, bottom)


def is_steep(lowest: Decimal, highest: Decimal) -> bool:
    """Return whether values differ so much that a logarithmic scale suits them better."""
    return lowest > 0 and highest > STEEP * lowest


def nice(least: Decimal, finest: Decimal) -> Decimal:
    """Return the smallest step of at least this size: 1, 2, 2.5 or 5 times a power of ten.

    It is not finer than the tick size, and a multiple of it if one of them is.
    """
    least = max(least, finest)
    power = least.adjusted()
    steps = [each.scaleb(power + n) for n in range(3) for each in NICE]
    large = [step for step in steps if step >= least]
    return next((step for step in large if _is_whole(step / finest)), large[0])


def _least(digits: Sequence[Decimal]) -> float:
    """Return the smallest part of a power of ten that is between two values."""
    return min(log10(other / one) for one, other in pairwise([*digits, Decimal(10)]))


def _is_whole(number: Decimal) -> bool:
    return number == number.to_integral_value()


def _multiple(value: Decimal, step: Decimal) -> Decimal:
    """Return the smallest multiple of a step that is not below a value."""
    return (value / step).to_integral_value(ROUND_CEILING) * step


class Rung(NamedTuple):
    """A step of the labels of times, and how they are written."""

    step: int  # seconds
    unit: str  # "time", "day", "month" or "year"


LADDER = (
    *(Rung(MINUTE * n, "time") for n in (5, 15, 30)),
    *(Rung(HOUR * n, "time") for n in (1, 2, 3, 6, 12)),
    *(Rung(step, "day") for step in (DAY, WEEK)),
    *(Rung(step, "month") for step in (MONTH, QUARTER)),
    *(Rung(YEAR * n, "year") for n in (1, 2, 5, 10, 25)),
)
HIGHER = {"time": "day", "day": "year", "month": "year", "year": ""}  # the next unit of a label
Text = Callable[[datetime, str], str]  # of a moment, in a unit


class Mark(NamedTuple):
    """A label of the time axis: its slot, its text, and whether a higher unit begins there."""

    slot: int
    text: str
    higher: bool


def marks(starts: Sequence[datetime], step: int, pixels: float, text: Text) -> list[Mark]:
    """Return the labels of an axis of this width, by the finest rung for which there is room.

    If these are fewer than three, some of the labels of the rung before are taken instead.
    The starts of the slots are in the zone to be shown, `step` is what is between them. The first
    label of a higher unit states that unit. Labels are at least 24 px apart, and inside of the
    axis.
    """
    per_slot = pixels / max(1, len(starts))
    few: list[Mark] = []
    for rung in LADDER:
        if rung.step < step or (rung.unit == "time" and rung.step % step):
            continue
        found = [m for m in _begun(starts, rung, text) if _is_inside(m, per_slot, pixels)]
        if fit := _fitting(found[_is_hidden(found, per_slot) :], per_slot):
            return fit if len(fit) >= FEWEST_LABELS else max(fit, few, key=len)
        thinned = (_fitting(found, per_slot, every) for every in (2, 3, 4))
        few = next(filter(None, thinned), few)
    return few


def _fitting(found: Sequence[Mark], per_slot: float, every: int = 1) -> list[Mark]:
    """Return the labels of a higher unit, and each of the others or fewer, if there is room.

    The others need room without those of a higher unit, too. Otherwise, one odd time would be left
    between two dates.
    """
    higher = [mark for mark in found if mark.higher]
    some = sorted([*higher, *[mark for mark in found if not mark.higher][::every]])
    beside = (pair for pair in pairwise(some) if not any(mark.higher for mark in pair))
    if _crowded(higher, per_slot) or any(not _apart(*pair, per_slot) for pair in beside):
        return []
    return [m for m in some if m.higher or all(_apart(m, each, per_slot) for each in higher)]


def extent(mark: Mark, per_slot: float) -> tuple[float, float]:
    """Return where a label begins and ends, in pixels; in the first slot, it begins at the edge."""
    wide = width(mark.text, LABEL)
    begins = (mark.slot + 0.5) * per_slot - wide / 2 if mark.slot else 0.0
    return begins, begins + wide


def _is_inside(mark: Mark, per_slot: float, pixels: float) -> bool:
    begins, ends = extent(mark, per_slot)
    return begins >= 0 and ends <= pixels


def _begun(starts: Sequence[datetime], rung: Rung, text: Text) -> Iterator[Mark]:
    """Yield a label for each slot in which a step of the rung begins."""
    if starts and (rung.unit == "time" or _bucket(starts[0], rung) == starts[0].date()):
        higher = rung.unit == "time"
        yield Mark(0, text(starts[0], HIGHER[rung.unit] if higher else rung.unit), higher)
    for slot, (before, start) in enumerate(pairwise(starts), 1):
        if _is_higher(before, start, rung.unit):
            yield Mark(slot, text(start, HIGHER[rung.unit]), higher=True)
        elif _bucket(before, rung) != _bucket(start, rung):
            yield Mark(slot, text(start, rung.unit), higher=False)


def _bucket(moment: datetime, rung: Rung) -> object:
    """Return what all moments of a step of the rung have in common."""
    day = moment.date()
    if rung.unit == "time":
        return day, (moment.hour * HOUR + moment.minute * MINUTE) // rung.step
    if rung.unit == "year":
        years = rung.step // YEAR
        return day.replace(day.year // years * years or 1, 1, 1)
    return first_day(day, rung.step)


def _is_higher(before: datetime, start: datetime, unit: str) -> bool:
    if HIGHER[unit] == "day":
        return before.date() != start.date()
    return HIGHER[unit] == "year" and before.year != start.year


def _is_hidden(found: Sequence[Mark], per_slot: float) -> bool:
    """Return whether the label of the first slot has no room before the next one of its rank."""
    if len(found) < 2 or found[0].slot:
        return False
    return found[0].higher == found[1].higher and not _apart(found[0], found[1], per_slot)


def _apart(one: Mark, other: Mark, per_slot: float) -> bool:
    (_, ends), (begins, _) = (extent(mark, per_slot) for mark in sorted((one, other)))
    return begins - ends >= BETWEEN


def _crowded(found: Sequence[Mark], per_slot: float) -> bool:
    return not all(_apart(one, other, per_slot) for one, other in pairwise(found))
