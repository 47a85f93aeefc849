"""Several symbols in one chart, in percent from the start of the range."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property

from quotes.charts import drawing
from quotes.charts.axes import Scale, scale_of
from quotes.charts.bars import DAY, Bar, joined, percent_change, zone_of
from quotes.charts.drawing import (
    MAX_SERIES,
    READING_ROOM,
    Columns,
    Drawing,
    Item,
    Layout,
    Line,
    Partial,
    Reading,
    Series,
    Texts,
)
from quotes.charts.frame import Frame, Row
from quotes.charts.path import SLOT, line
from quotes.charts.widths import GAP

FINEST = Decimal("0.01")  # the finest step of percentages
SOME = 2  # bars that a symbol may lack at an end of any range


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Up to five symbols; the bars and the hours of the first one are the frame of all.

    The others' bars have the same step. Their bars outside of its hours are left out.
    """

    frame: Frame
    texts: Texts
    names: Sequence[str]  # the first one is that of the frame
    others: Sequence[Sequence[Bar]]  # of the other symbols

    def draw(self) -> Drawing:
        """Return all that a template needs; raise ValueError for more than five symbols."""
        if len(self.names) > MAX_SERIES:
            raise ValueError(f"{len(self.names)} symbols to compare, at most {MAX_SERIES} can be")
        frame, count = self.frame, self.frame.count
        values = drawing.value_labels(self.scale, FINEST, self.texts.percent_axis)
        right = drawing.room(label.text for label in values)
        size = drawing.finest_size(count)
        rows, fine = self._columns(frame.row, size.width + right, "fine")
        lines, joined = self._columns(frame.wider_row, READING_ROOM, "joined")
        return Drawing(
            kind="comparison",
            box=str(count * SLOT),
            room=str(right),
            fine=size.name,
            lines=str(lines),
            rows=str(rows),
            values=values,
            zone=drawing.zone_name(frame),
            times=drawing.time_labels(frame, self.texts, right),
            columns=(fine, joined),
            series=tuple(self._series()),
            partial=tuple(self._partial()),
        )

    @cached_property
    def changes(self) -> list[dict[datetime, Decimal]]:
        """For each symbol, its change in percent since its first bar, by the start of a bar."""
        zone = zone_of(self.frame.step, self.frame.zone)
        others = [joined(bars, self.frame.drawn_step, zone) for bars in self.others]
        placed = [self.frame.placed, *map(self.frame.place, others)]
        return [_changes([each.bar for each in one]) for one in placed]

    @cached_property
    def scale(self) -> Scale:
        """The heights of changes."""
        values = [Decimal(0), *(change for one in self.changes for change in one.values())]
        return scale_of(min(values), max(values))

    @cached_property
    def rows(self) -> list[tuple[datetime, list[Decimal | None]]]:
        """For each slot up to the last bar, the newest change of each symbol until then."""
        found = []
        newest: list[Decimal | None] = [None] * len(self.names)
        last = max((max(one) for one in self.changes if one), default=self.frame.starts[0])
        for start in self.frame.starts[: bisect_right(self.frame.starts, last)]:
            newest = [one.get(start, n) for one, n in zip(self.changes, newest, strict=True)]
            found.append((start, newest))
        return found

    def when(self, start: datetime) -> str:
        """Write when a slot begins."""
        return self.texts.when(start.astimezone(self.frame.drawn_zone), self.frame.drawn_step)

    def _columns(self, row: Row, room: int, width: str) -> tuple[int, Columns]:
        """Return how many lines the readings of a row have, and its columns."""
        end = len(self.rows) - 1
        shown = [(start, *slots) for start, slots in row.slots.items() if slots[0] <= end]
        readings = [self._reading(row, start, min(last, end)) for start, _, last in shown]
        counts = drawing.layout(readings, room)
        columns = (
            drawing.column(first, last, self.frame.count, _lines(reading, counts))
            for (_, first, last), reading in zip(shown, readings, strict=True)
        )
        return len(counts), Columns(width, tuple(columns))

    def _reading(self, row: Row, start: datetime, last: int) -> Reading:
        when = self.texts.period(start.astimezone(row.zone), row.step)
        return self.texts.comparison(when, [*zip(self.names, self.rows[last][1], strict=True)])

    def _partial(self) -> Iterator[Partial]:
        """Yield the symbols that lack a tenth of the range, and some bars, at one of its ends."""
        starts = [start for start, _ in self.rows]
        apart = min(len(starts) // 10 + SOME, len(starts) - 1)
        for name, changes in zip(self.names, self.changes, strict=True):
            if not changes:
                yield Partial(name)
            elif min(changes) > starts[apart] or max(changes) < starts[-1 - apart]:
                yield Partial(name, *map(self._moment, (min(changes), max(changes))))

    def _moment(self, start: datetime) -> str:
        step = min(self.frame.drawn_step, DAY)
        return self.texts.when(start.astimezone(self.frame.drawn_zone), step)

    def _series(self) -> list[Series]:
        places = {start: place for place, start in enumerate(self.frame.starts)}
        found = []
        for name, changes in zip(self.names, self.changes, strict=True):
            points = [
                (places[start] * SLOT + SLOT // 2, self.scale.at(change))
                for start, change in changes.items()
            ]
            last = self.texts.percent_axis([*changes.values()][-1], FINEST) if changes else ""
            found.append(Series(name, last, line(points) if points else ""))
        return found


def _changes(bars: Sequence[Bar]) -> dict[datetime, Decimal]:
    return {
        bar.start: changed
        for bar in bars
        if (changed := percent_change(bar.close, bars[0].close)) is not None
    }


def _lines(reading: Reading, counts: Layout) -> Iterator[Line]:
    """Yield the lines of a reading: a time, and the symbols in the order of their series."""
    series = 0
    for place, texts in enumerate(drawing.items_of_lines(reading, counts)):
        items = [Item(n, GAP * (n > series) + text) for n, text in enumerate(texts, series)]
        series += len(texts)
        when = "" if place else texts[0]
        yield Line(drawing.down(place), when, tuple(items if place else items[1:]))
