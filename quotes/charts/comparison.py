"""Several symbols in one chart, in percent from the start of the range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property

from quotes.charts import drawing
from quotes.charts.axes import Scale, scale_of
from quotes.charts.bars import Bar, joined, percent_change, zone_of
from quotes.charts.drawing import MOST_SERIES, Drawing, Reading, Series, Texts, percent
from quotes.charts.frame import Frame
from quotes.charts.path import SLOT, line

FINEST = Decimal("0.01")  # the finest step of percentages


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
        if len(self.names) > MOST_SERIES:
            raise ValueError(f"{len(self.names)} symbols to compare, at most {MOST_SERIES} can be")
        frame, count = self.frame, self.frame.count
        values = drawing.value_labels(self.scale, FINEST, self.texts.percent_axis)
        right = drawing.room(label.text for label in values)
        readings = [self._reading(start) for start in self._read]
        counts = drawing.layout(readings)
        return Drawing(
            kind="comparison",
            box=str(count * SLOT),
            room=str(right),
            fine=drawing.finest_size(count),
            reading=str(sum(map(len, counts))),
            column=percent(1, count),
            values=values,
            zone=drawing.zone_name(frame),
            times=drawing.time_labels(frame, self.texts, right),
            columns=tuple(
                drawing.column(place, count, reading, counts)
                for place, reading in enumerate(readings)
            ),
            series=tuple(self._series()),
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

    @property
    def _read(self) -> Sequence[datetime]:
        last = max((max(one) for one in self.changes if one), default=self.frame.starts[0])
        return [start for start in self.frame.starts if start <= last]

    def _reading(self, start: datetime) -> Reading:
        zoned = start.astimezone(self.frame.drawn_zone)
        changes = [(n, c.get(start)) for n, c in zip(self.names, self.changes, strict=True)]
        return self.texts.comparison(self.texts.when(zoned, self.frame.drawn_step), changes)

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
