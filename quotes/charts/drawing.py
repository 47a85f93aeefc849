"""What a template needs to draw a chart, as strings; and what all kinds of charts share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import chain, islice
from typing import NamedTuple, Protocol

from quotes.charts.axes import FULL, LEAST_BAR, SIZES, Mark, Scale, Size, marks
from quotes.charts.bars import DAY, Bar
from quotes.charts.frame import Frame
from quotes.charts.path import Candles
from quotes.charts.widths import GAP, LABEL, lines, width

MAX_SERIES = 5
ROOMS = (56, 72, 88, 112)  # px at the right for the labels of values: chart.css has them, too
PADDING = 10  # px around such a label
TAG = 15  # px from the last price, where its tag covers a label
READING_ROOM = 288  # px for the reading on the narrowest phone
LEADING = 1.3  # em from a line of a reading to the next

Write = Callable[[Decimal, Decimal], str]  # a value, with the digits of the step between two
Reading = tuple[Sequence[str], ...]  # items; each sequence of them begins on a line of its own
Layout = tuple[int, ...]  # how many items each line has


class Texts(Protocol):
    """How a language writes what a chart shows. All texts are plain, not markup."""

    def price(self, value: Decimal) -> str:
        """Write a price."""

    def axis(self, value: Decimal, step: Decimal) -> str:
        """Write a price on the axis, with the digits of the step between two labels."""

    def percent(self, value: Decimal) -> str:
        """Write a percentage without its sign."""

    def percent_axis(self, value: Decimal, step: Decimal) -> str:
        """Write a percentage on the axis with its sign."""

    def mark(self, moment: datetime, unit: str) -> str:
        """Write a time on the axis as its "time", "day", "month" or "year"."""

    def when(self, start: datetime, step: int) -> str:
        """Write when a bar of this step began, in full, with the zone of a time of day."""

    def period(self, start: datetime, step: int) -> str:
        """Write when a bar of this step began and ended, in full."""

    @property
    def nothing(self) -> str:
        """Return the text of a gap."""

    def reading(
        self, when: str, bar: Bar | None, change: Decimal | None, *, short: bool = False
    ) -> Reading:
        """Write the values of a bar, item by item; the same number of items without a bar.

        A short one is for phones.
        """

    def comparison(self, when: str, changes: Sequence[tuple[str, Decimal | None]]) -> Reading:
        """Write the changes of symbols, item by item."""


class Label(NamedTuple):
    """A label of an axis."""

    at: str  # percent of the width, or of the height from the top
    text: str
    sizes: str  # in which it is shown: "s m l"
    edge: str = ""  # percent of the width where a day or a year begins; "" without a line there


class Item(NamedTuple):
    """The change of a symbol in a comparison."""

    series: int  # the number of its line, from 1
    text: str


class Line(NamedTuple):
    """A line of a reading."""

    down: str  # from the first line
    text: str
    items: tuple[Item, ...] = ()  # of a comparison


class Column(NamedTuple):
    """The place where a bar is hovered, tapped or clicked, and what can be read then."""

    x: str  # percent of the width
    width: str  # the same
    lines: tuple[Line, ...]


class Columns(NamedTuple):
    """The columns of some bars, and the widths in which they are shown."""

    width: str  # "fine" or "joined"
    each: tuple[Column, ...]


class Reference(NamedTuple):
    """The previous close: its height, or the edge beyond which it is."""

    y: str  # percent from the top
    text: str
    beyond: str  # "", "above" or "below" the drawing


class Event(NamedTuple):
    """A line from top to bottom with a text, such as of a split."""

    at: str  # percent from the left
    text: str
    side: str  # of the line on which the text has room: "before" or "after"


class Series(NamedTuple):
    """The line of a symbol in a comparison."""

    name: str
    change: str  # up to the end, in percent
    path: str


class Partial(NamedTuple):
    """A symbol of a comparison that has prices only in a part of the range, or none at all."""

    name: str
    begins: str = ""
    ends: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """The values of the text alternative."""

    last: str
    change: str  # without a sign: in percent, or as a price if it began at 0
    way: str  # "up", "down" or "flat"
    reference: str  # from which it changed
    since: str  # when that was; "" for the previous close
    low: str
    low_at: str  # a time of day, or in full
    high: str
    high_at: str
    timed: bool  # whether these are times of day


@dataclass(frozen=True, slots=True)
class Now:
    """The last bar, and all that changes with it."""

    way: str  # "up", "down" or "flat"
    y: str  # of the last price, in percent from the top
    price: str
    bar: Candles
    joined: Candles
    line: str
    area: str
    columns: tuple[Columns, ...]  # of one column each
    summary: Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A chart, for a template. Paths are in a box of `box` by 1000 units.

    All values are strings, because templates may write a number with separators.
    """

    kind: str  # "line", "candles" or "comparison"
    box: str
    room: str  # px at the right for the labels of values
    fine: str  # the smallest size in which bars are not joined: "m" or "l"
    lines: str  # of the reading where bars are joined
    rows: str  # lines of the reading where they are not
    values: tuple[Label, ...]
    times: tuple[Label, ...]
    columns: tuple[Columns, ...]  # without that of the last bar
    zone: str = ""  # of the times of day on the axis: "EST"
    gaps: tuple[Label, ...] = ()
    events: tuple[Event, ...] = ()
    reference: Reference | None = None
    line: str = ""
    area: str = ""
    bars: Candles | None = None  # all but the last
    joined: Candles | None = None  # the same, joined for narrower screens
    now: Now | None = None
    series: tuple[Series, ...] = ()
    partial: tuple[Partial, ...] = ()


def percent(part: float, whole: float) -> str:
    """Write a part of the width or the height in percent, to a fortieth of a pixel."""
    text = f"{part / whole * 100:.2f}".rstrip("0").rstrip(".")
    return text.removeprefix("0") or "0"


def value_labels(
    scale: Scale, finest: Decimal, write: Write, last: Decimal | None = None
) -> tuple[Label, ...]:
    """Return the labels of values for all sizes; a label that the tag of `last` covers is empty.

    `write` writes a value and its step.
    """
    sizes: dict[tuple[Decimal, str], list[Size]] = {}
    for size in SIZES:
        for value, step in scale.ticks(size.height * scale.bottom / FULL, finest):
            beside = FULL if last is None else abs(scale.at(value) - scale.at(last))
            text = "" if beside * size.height < TAG * FULL else write(value, step)
            sizes.setdefault((value, text), []).append(size)
    return tuple(
        Label(percent(scale.at(value), FULL), text, _names(shown))
        for (value, text), shown in sorted(sizes.items())
    )


def time_labels(frame: Frame, texts: Texts, right: int) -> tuple[Label, ...]:
    """Return the labels of times for all sizes, beside this room for the labels of values."""
    local = [start.astimezone(frame.drawn_zone) for start in frame.starts]
    sizes: dict[Mark, list[Size]] = {}
    for size in SIZES:
        wide = size.width if size is not SIZES[0] else READING_ROOM - right
        for mark in marks(local, frame.drawn_step, wide, texts.mark):
            sizes.setdefault(mark, []).append(size)
    return tuple(
        Label(
            percent(mark.slot + 0.5 if mark.slot else 0, frame.count),
            mark.text,
            _names(shown),
            percent(mark.slot, frame.count) if mark.higher and mark.slot else "",
        )
        for mark, shown in sorted(sizes.items())
    )


def zone_name(frame: Frame) -> str:
    """Return the zone of the times on the axis; "" for dates, both names around a change of it."""
    if frame.drawn_step >= DAY:
        return ""
    ends = (start.astimezone(frame.drawn_zone) for start in (frame.starts[0], frame.starts[-1]))
    return "/".join(dict.fromkeys(f"{end:%Z}" for end in ends))


def layout(readings: Sequence[Reading], room: int = READING_ROOM) -> Layout:
    """Return how many items stand on each line, so that all readings fit in so many pixels.

    Each sequence of items begins on a line of its own, unless all have room on one.
    """
    whole = lines([[*chain(*each)] for each in readings], room)
    if len(whole) == 1:
        return tuple(whole)
    return tuple(chain(*(lines(rows, room) for rows in zip(*readings, strict=True))))


def column(first: int, last: int, count: int, lines: Iterable[Line]) -> Column:
    """Return the column of some slots."""
    return Column(percent(first, count), percent(last - first + 1, count), tuple(lines))


def set_in_lines(reading: Reading, counts: Layout) -> Iterator[Line]:
    """Yield the lines of a reading, without those that are empty."""
    for place, items in enumerate(items_of_lines(reading, counts)):
        if text := GAP.join(filter(None, items)):
            yield Line(down(place), text)


def items_of_lines(reading: Reading, counts: Layout) -> Iterator[Sequence[str]]:
    """Yield the items of each line of a reading."""
    items = chain(*reading)
    return ([*islice(items, number)] for number in counts)


def down(place: int) -> str:
    """Return how far a line of a reading is below the first one."""
    return f"{place * LEADING:g}em" if place else ""


def room(labels: Iterable[str]) -> int:
    """Return how many pixels the labels of values need at the right, as much as the widest."""
    widest = max((width(text, LABEL, bold=True) for text in labels), default=0) + PADDING
    return next((each for each in ROOMS if each >= widest), ROOMS[-1])


def finest_size(count: int) -> Size:
    """Return the smallest size, above that of phones, in which so many bars have 3 px each.

    If there is none, return the largest.
    """
    wide = (size for size in SIZES[1:] if count * LEAST_BAR <= size.width)
    return next(wide, SIZES[-1])


def gap_label(first: int, last: int, count: int, text: str) -> Label:
    """Return the text in the middle of a gap, in the sizes in which it has room there."""
    needed = (width(text, LABEL) + PADDING) * count / (last - first + 1)
    sizes = (size for size in SIZES if size.width >= needed)
    return Label(percent((first + last + 1) / 2, count), text, _names(sizes))


def event(slot: int, count: int, text: str) -> Event:
    """Return the mark of what happened at the beginning of a slot."""
    return Event(percent(slot, count), text, "after" if slot < count / 2 else "before")


def _names(sizes: Iterable[Size]) -> str:
    return " ".join(size.name for size in sizes)
