"""The chart of one symbol: a line or candles, with volume.

A bar of the chart may be several stored bars, joined so that each has 3 px on a wide screen. For
narrower screens, the drawing has the same bars a second time, joined once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cached_property

from quotes.charts import drawing
from quotes.charts.axes import FULL, Scale, scale_of
from quotes.charts.bars import DAY, Bar, percent_change
from quotes.charts.drawing import (
    READING_ROOM,
    Drawing,
    Label,
    Now,
    Reference,
    Summary,
    Texts,
    percent,
)
from quotes.charts.frame import Frame
from quotes.charts.path import SLOT, Candles, Placed, Point, area, candles, line, points
from quotes.charts.readings import Readings

PRICES = 820  # how far down prices are drawn if there is volume below them
VOLUMES = 840  # where the highest volume ends


@dataclass(frozen=True, kw_only=True)
class Chart:
    """How the bars of a frame are to be drawn.

    Keep it while all bars but the last are the same. `now` draws what changes with the last bar,
    `draw` draws everything.
    """

    frame: Frame
    texts: Texts
    kind: str = "candles"  # or "line"
    logarithmic: bool = False
    tick: Decimal = Decimal("0.01")  # the finest step of prices
    previous: Decimal | None = None  # the previous close, for a chart of one day
    events: Sequence[tuple[date, str]] = ()  # days after the first one, and what happened then

    def draw(self) -> Drawing:
        """Return all that a template needs."""
        frame, count = self.frame, self.frame.count
        before, wider = frame.placed[:-1], frame.wider[:-1]
        return Drawing(
            kind=self.kind,
            box=str(count * SLOT),
            room=str(self._room),
            fine=drawing.finest_size(count).name,
            lines=str(len(self._readings[-1].layout)),
            rows=str(len(self._readings[0].layout)),
            values=self._values,
            zone=drawing.zone_name(frame),
            times=drawing.time_labels(frame, self.texts, self._room),
            columns=tuple(each.columns() for each in self._readings),
            gaps=tuple(drawing.gap_label(*gap, count, self.texts.nothing) for gap in frame.gaps),
            events=tuple(
                drawing.event(frame.first_on(day), count, text) for day, text in self.events
            ),
            reference=self._reference,
            line="".join(line(run) for run in self._settled),
            area="".join(area(run, self.scale.bottom) for run in self._settled),
            bars=self._candles(before, frame.placed),
            joined=self._candles(wider, frame.wider),
            now=self._now(frame.placed[-1], frame.wider[-1]),
        )

    def now(self, newest: Bar) -> Now | None:
        """Return what changes with the newest stored bar, which belongs to the last one drawn.

        Return None if everything must be drawn again, because another bar began, or because the
        price has left the scale.
        """
        grown = self.frame.grown(newest)
        if grown is None or not (self.scale.holds(newest.low) and self.scale.holds(newest.high)):
            return None
        return self._now(*grown)

    # Values

    @cached_property
    def scale(self) -> Scale:
        """The heights of prices."""
        placed = self.frame.placed
        low, high = min(map(_low, placed)), max(map(_high, placed))
        bottom = PRICES if _most(placed) else FULL
        return scale_of(low, high, bottom=bottom, logarithmic=self.logarithmic)

    @cached_property
    def _values(self) -> tuple[Label, ...]:
        last = self.frame.placed[-1].bar.close
        return drawing.value_labels(self.scale, self.tick, self.texts.axis, last)

    @cached_property
    def _room(self) -> int:
        last = self.texts.price(self.frame.placed[-1].bar.close)
        return drawing.room([last, *(label.text for label in self._values)])

    @property
    def _base(self) -> Decimal:
        """The price from which the chart counts its change."""
        return self.frame.placed[0].bar.open if self.previous is None else self.previous

    @property
    def _reference(self) -> Reference | None:
        if self.previous is None:
            return None
        below = "below" if self.previous < self.scale.low else ""
        beyond = "above" if self.previous > self.scale.high else below
        y = percent(self.scale.at(self.previous), FULL)
        return Reference(y, self.texts.price(self.previous), beyond)

    @cached_property
    def _readings(self) -> list[Readings]:
        """The readings of the bars, and of those joined for narrow screens."""
        frame, count, texts, previous = self.frame, self.frame.count, self.texts, self.previous
        room = drawing.finest_size(count).width + self._room
        fine = Readings(row=frame.row, count=count, texts=texts, previous=previous, room=room)
        return [fine, replace(fine, row=frame.wider_row, room=READING_ROOM, width="joined")]

    # Shapes

    @cached_property
    def _runs(self) -> list[list[Point]]:
        """The points of the line, without those between which there is a gap."""
        placed, begins = self.frame.placed, {last + 1 for _, last in self.frame.gaps}
        runs: list[list[Point]] = []
        for each, point in zip(placed, points(placed, self.scale), strict=True):
            if not runs or each.first in begins:
                runs.append([])
            runs[-1].append(point)
        return runs

    @property
    def _settled(self) -> list[list[Point]]:
        """The same without the last point, which moves."""
        *runs, last = self._runs
        return [*runs, last[:-1]] if last[:-1] else runs

    def _candles(self, drawn: Sequence[Placed], of: Sequence[Placed]) -> Candles:
        """Draw bars; `of` are all bars that their volume is compared with."""
        return candles(drawn, self.scale, VOLUMES, _most(of))

    # The last bar

    def _now(self, last: Placed, wider: Placed) -> Now:
        bar, placed = last.bar, self.frame.placed
        end = (last.middle, self.scale.at(bar.close))
        segment = [*self._runs[-1][-2:-1], end]
        columns = zip(self._readings, (last, wider), strict=True)
        return Now(
            way=_way(bar.close - self._base),
            y=percent(end[1], FULL),
            price=self.texts.price(bar.close),
            bar=self._candles([last], [*placed, last]),
            joined=self._candles([wider], [*self.frame.wider, wider]),
            line=line(segment),
            area=area(segment, self.scale.bottom),
            columns=tuple(each.last(bar) for each, bar in columns),
            summary=self._summary(last),
        )

    def _summary(self, last: Placed) -> Summary:
        placed = [*self.frame.placed[:-1], last]
        low, high = min(placed, key=_low).bar, max(placed, key=_high).bar
        return Summary(
            last=self.texts.price(last.bar.close),
            change=self._moved(last.bar.close),
            way=_way(last.bar.close - self._base),
            reference=self.texts.price(self._base),
            since="" if self.previous is not None else self._when(placed[0].bar),
            low=self.texts.price(low.low),
            low_at=self._when(low),
            high=self.texts.price(high.high),
            high_at=self._when(high),
            timed=self._timed,
        )

    def _moved(self, close: Decimal) -> str:
        percentage = percent_change(close, self._base)
        if percentage is None:
            return self.texts.price(abs(close - self._base))
        return self.texts.percent(percentage)

    @cached_property
    def _timed(self) -> bool:
        """Whether the time of day is enough to date a bar, because all are of one day."""
        starts, zone = self.frame.starts, self.frame.drawn_zone
        one_day = len({each.astimezone(zone).date() for each in (starts[0], starts[-1])}) == 1
        return one_day and self.frame.drawn_step < DAY

    def _when(self, bar: Bar) -> str:
        start = bar.start.astimezone(self.frame.drawn_zone)
        if self._timed:
            return self.texts.mark(start, "time")
        return self.texts.when(start, self.frame.drawn_step)


def _low(placed: Placed) -> Decimal:
    return placed.bar.low


def _high(placed: Placed) -> Decimal:
    return placed.bar.high


def _most(placed: Sequence[Placed]) -> Decimal:
    """Return the highest volume; 0 if none is known."""
    return max((each.bar.volume or Decimal(0) for each in placed), default=Decimal(0))


def _way(change: Decimal) -> str:
    return "up" if change > 0 else "down" if change < 0 else "flat"
