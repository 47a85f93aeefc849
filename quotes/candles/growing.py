"""Candles: open, high, low, close and volume, made of every quote that the feed lets through.

A quote belongs to the minute, five minutes, hour and day of its own time. Days are those of UTC,
and of stocks the days of their exchange, so that a session is never cut; a day is named by its
date at 00:00 UTC. What was told before or after a session is no part of a candle.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import NamedTuple

from quotes.quote import EPOCH, Quote

logger = logging.getLogger(__name__)

DAY = 86_400
STEPS = (60, 300, 3600, DAY)  # seconds
MICROSECOND = timedelta(microseconds=1)
MOST_LATE = timedelta(hours=1)  # that a price may be old when it comes: it is history, not news
MOST_WAITING = 20_000  # candles that wait to be written: half an hour of 500 symbols
NO_TRADE = ("closed", "break", "halted")  # sessions in which a price is news only by its own time
EXTENDED = ("pre", "post")
BEFORE = ("pre", "closed")  # sessions after which a counter may begin anew on the same day

Key = tuple[str, int, int]  # symbol, step, and start in seconds since 1970


class Row(NamedTuple):
    """A candle as it is written down."""

    symbol: str
    step: int  # seconds
    start: int  # seconds since 1970
    opened: int  # when its first quote was made, in microseconds after its start
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    closed: int  # when its last quote was made, in microseconds after its start
    volume: Decimal | None
    counter: Decimal | None  # what the source had counted of the session's volume by then
    provider: str  # who told its close
    mixed: bool  # whether others told of it too


class Growing:
    """A candle that quotes are added to. Times are aware UTC."""

    __slots__ = (
        "begins", "close", "closed", "counter", "dirty", "ends", "high", "lost", "low", "mixed",
        "open", "opened", "provider", "start", "step", "symbol", "volume",
    )  # fmt: skip

    def __init__(self, quote: Quote, made: datetime, step: int, span: Span) -> None:
        self.symbol, self.step = quote.symbol, step
        self.start, self.begins, self.ends = span
        self.open = self.high = self.low = self.close = quote.last
        self.opened = self.closed = made
        self.volume: Decimal | None = None
        self.counter: Decimal | None = None
        self.lost = False  # whether its volume can't be known any more
        self.provider, self.mixed = quote.provider, False
        self.dirty = True  # whether it differs from what was written

    @property
    def key(self) -> Key:
        """What there is one candle of."""
        return self.symbol, self.step, self.start

    def add(self, quote: Quote, made: datetime) -> None:
        """Add a quote that was made at a moment within."""
        last = quote.last
        if last > self.high:
            self.high = last
        elif last < self.low:
            self.low = last
        if quote.provider != self.provider:
            self.mixed = self.lost = True
        if made >= self.closed:
            self.closed, self.close, self.provider = made, last, quote.provider
        elif made < self.opened:
            self.opened, self.open = made, last
        self.dirty = True

    def count(self, told: Told, before: Told | None, rise: Decimal | None) -> None:
        """Add what was traded between two tellings of the counter, if that was within."""
        near = before is not None and before.made >= self.begins - (self.ends - self.begins)
        if rise is None or not near or self.lost:
            self.lost = True
        else:
            self.volume = (self.volume or 0) + rise
        self.counter = told.value

    def row(self) -> Row:
        """Return it as it is now, to be written."""
        return Row(
            self.symbol,
            self.step,
            self.start,
            (self.opened - EPOCH) // MICROSECOND - self.start * 1_000_000,
            self.open,
            self.high,
            self.low,
            self.close,
            (self.closed - EPOCH) // MICROSECOND - self.start * 1_000_000,
            None if self.lost else self.volume,
            self.counter,
            self.provider,
            self.mixed,
        )


class Told(NamedTuple):
    """What a source had counted of its session's volume at a moment."""

    made: datetime
    value: Decimal
    provider: str
    day: date  # of the exchange, or UTC
    session: str | None = None

    def since(self, before: Told | None) -> Decimal | None:
        """Return what was traded since; None where that can't be known.

        A new session is counted from nothing. A counter that falls within one was corrected.
        """
        if before is None or before.provider != self.provider:
            return None
        fell, another_day = self.value < before.value, self.day != before.day
        opens = before.session in BEFORE and self.session not in BEFORE
        if fell:
            return self.value if another_day or opens else None
        return None if another_day else self.value - before.value


class Line:
    """The candles of one symbol that grow now, by step, and the volume that was told last."""

    __slots__ = ("growing", "told", "zone")

    def __init__(self, zone: tzinfo | None) -> None:
        self.zone = zone  # of its exchange; None where that is not known
        self.growing: list[Growing | None] = [None] * len(STEPS)
        self.told: Told | None = None


class Candles:
    """The candles that grow now, and those that wait to be written: never more than a few."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self.most_waiting = most_waiting
        self.zones: Mapping[str, tzinfo] = {}  # of the symbols' exchanges, where they are known
        self.lines: dict[str, Line] = {}
        self.waiting: dict[Key, Growing] = {}  # over, and perhaps not written yet
        self.lost = 0  # since all that waited was written

    def take(self, quote: Quote) -> None:
        """Add a quote that the feed accepted, in the order in which it came."""
        line = self.lines.get(quote.symbol)
        if line is None:
            line = self.lines[quote.symbol] = Line(self.zones.get(quote.symbol))
        made = quote.source_time
        if made is None:
            made, counts = quote.received_at, quote.session not in NO_TRADE
        else:
            counts = quote.received_at - made <= MOST_LATE
        grown: list[Growing] = []
        if counts and quote.session not in EXTENDED:
            for index, growing in enumerate(line.growing):
                if growing is None or not growing.begins <= made < growing.ends:
                    growing = self._turn(line, index, quote, made)  # noqa: PLW2901
                growing.add(quote, made)
                grown.append(growing)
        if quote.volume is not None and quote.volume_window == "session":
            _count(line, quote, made, grown)

    def keep(self, zones: Mapping[str, tzinfo], symbols: Collection[str]) -> None:
        """Go on with these symbols, whose exchanges have these zones, and with no others."""
        self.zones = zones
        for symbol in [*self.lines]:
            line = self.lines[symbol]
            if symbol not in symbols or line.zone != zones.get(symbol):
                for growing in filter(None, line.growing):
                    self._wait(growing)
                del self.lines[symbol]

    def due(self) -> list[Growing]:
        """Return what is to be written, and count it as written; see `written` and `failed`."""
        growing = (each for line in self.lines.values() for each in line.growing if each)
        due = [each for each in (*self.waiting.values(), *growing) if each.dirty]
        for each in due:
            each.dirty = False
        return due

    def written(self) -> None:
        """Forget what is over and was written; what changed meanwhile waits for the next time."""
        for key in [key for key, each in self.waiting.items() if not each.dirty]:
            del self.waiting[key]
        self.lost = 0

    def failed(self, due: Iterable[Growing]) -> None:
        """Let what could not be written wait for the next time."""
        for each in due:
            each.dirty = True

    def restore(self, rows: Iterable[Row], now: datetime) -> None:
        """Go on with candles that another feed began, and with the volume that it had counted."""
        for row in rows:
            line = self.lines.setdefault(row.symbol, Line(self.zones.get(row.symbol)))
            span = stretch(row.step, now, line.zone)
            made = EPOCH + timedelta(seconds=row.start) + row.closed * MICROSECOND
            if row.counter is not None and (line.told is None or line.told.made < made):
                line.told = Told(made, row.counter, row.provider, _day(made, line.zone))
            if span[0] == row.start:
                line.growing[STEPS.index(row.step)] = _restored(row, span)

    def _turn(self, line: Line, index: int, quote: Quote, made: datetime) -> Growing:
        """Return the candle of a moment that is not the one that grows: a later or an older one."""
        growing, step = line.growing[index], STEPS[index]
        span = stretch(step, made, line.zone)
        found = self.waiting.pop((quote.symbol, step, span[0]), None)
        found = found or Growing(quote, made, step, span)
        if growing is not None and made < growing.begins:
            self._wait(found)
            return found
        if growing is not None:
            self._wait(growing)
        line.growing[index] = found
        return found

    def _wait(self, growing: Growing) -> None:
        self.waiting[growing.key] = growing
        if len(self.waiting) <= self.most_waiting:
            return
        del self.waiting[next(iter(self.waiting))]
        if not self.lost:
            logger.warning("more than %d candles wait, the oldest are lost", self.most_waiting)
        self.lost += 1


Span = tuple[int, datetime, datetime]  # start in seconds since 1970, begin and end


def stretch(step: int, moment: datetime, zone: tzinfo | None = None) -> Span:
    """Return the start of the candle that a moment belongs to, and from when to when it grows."""
    if step < DAY or zone is None:
        start = (moment - EPOCH) // timedelta(seconds=step) * step
        begins = EPOCH + timedelta(seconds=start)
        return start, begins, begins + timedelta(seconds=step)
    day = moment.astimezone(zone).date()
    begins, ends = (
        datetime.combine(each, time(), zone).astimezone(UTC)
        for each in (day, day + timedelta(days=1))
    )
    return (day - EPOCH.date()).days * DAY, begins, ends


def _day(moment: datetime, zone: tzinfo | None) -> date:
    return moment.astimezone(zone or UTC).date()


def _count(line: Line, quote: Quote, made: datetime, grown: Iterable[Growing]) -> None:
    before = line.told
    if quote.volume is None or (before is not None and made < before.made):
        return  # what comes late was counted with what came before it
    told = Told(made, quote.volume, quote.provider, _day(made, line.zone), quote.session)
    line.told, rise = told, told.since(before)
    for growing in grown:
        if growing.step == DAY and line.zone is not None:
            growing.volume = growing.counter = told.value  # the session's own
        else:
            growing.count(told, before, rise)


def _restored(row: Row, span: Span) -> Growing:
    growing = Growing.__new__(Growing)
    growing.symbol, growing.step = row.symbol, row.step
    growing.start, growing.begins, growing.ends = span
    growing.open, growing.high, growing.low, growing.close = row[4:8]
    begins = EPOCH + timedelta(seconds=row.start)
    growing.opened = begins + row.opened * MICROSECOND
    growing.closed = begins + row.closed * MICROSECOND
    growing.volume, growing.counter = row.volume, row.counter
    growing.lost = row.mixed or (row.volume is None and row.counter is not None)
    growing.provider, growing.mixed = row.provider, row.mixed
    growing.dirty = False
    return growing
