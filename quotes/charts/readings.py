"""Readings: the values of each bar, in the column where it is hovered, tapped or clicked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property

from quotes.charts import drawing
from quotes.charts.bars import Bar, percent_change
from quotes.charts.drawing import READING_ROOM, Column, Columns, Layout, Reading, Texts
from quotes.charts.frame import Row
from quotes.charts.path import Placed


@dataclass(frozen=True, kw_only=True)
class Readings:
    """The columns of a row of bars."""

    row: Row
    count: int  # slots of the chart
    texts: Texts
    previous: Decimal | None  # the close before the first bar
    room: int  # px
    width: str = "fine"  # or "joined"

    @cached_property
    def layout(self) -> Layout:
        """How the readings are set in lines."""
        return drawing.layout([reading for _, reading in self._all], self.room)

    def columns(self) -> Columns:
        """Return the columns of all steps but the last."""
        return Columns(self.width, tuple(self._column(*each) for each in self._all[:-1]))

    def last(self, placed: Placed) -> Columns:
        """Return the column of the last bar as it is now."""
        earlier = self.row.placed[-2:-1]
        before = earlier[0].bar.close if earlier else self.previous
        reading = self._reading(placed.bar.start, placed.bar, before)
        return Columns(self.width, (self._column(placed.bar.start, reading),))

    @cached_property
    def _all(self) -> list[tuple[datetime, Reading]]:
        return [*self._read()]

    def _read(self) -> Iterator[tuple[datetime, Reading]]:
        """Yield the start and the reading of each step up to the last bar, also in gaps."""
        bars, before = {each.bar.start: each.bar for each in self.row.placed}, self.previous
        last = self.row.placed[-1].bar.start
        for start in self.row.slots:
            if start > last:
                break
            bar = bars.get(start)
            yield start, self._reading(start, bar, before)
            before = before if bar is None else bar.close

    def _reading(self, start: datetime, bar: Bar | None, before: Decimal | None) -> Reading:
        when = self.texts.period(start.astimezone(self.row.zone), self.row.step)
        moved = percent_change(bar.close, before) if bar else None
        return self.texts.reading(when, bar, moved, short=self.room <= READING_ROOM)

    def _column(self, start: datetime, reading: Reading) -> Column:
        lines = drawing.set_in_lines(reading, self.layout)
        return drawing.column(*self.row.slots[start], self.count, lines)
