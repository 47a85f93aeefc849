"""Candles: open, high, low, close and volume, made from all quotes that the feed accepts.

A quote belongs to the minute, five minutes, hour and day of its own time. Days are days of UTC.
Stocks have the days of their exchange instead, so that a day contains whole sessions. The start of
a day is 00:00 UTC of its date. Quotes from before or after a session are not part of a candle.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from itertools import islice
from typing import NamedTuple

from quotes.quote import Quote
from quotes.quote.values import EPOCH

logger = logging.getLogger(__name__)

DAY = 86_400
STEPS = (60, 300, 3600, DAY)  # seconds
MICROSECOND = timedelta(microseconds=1)
MAX_LATENESS = timedelta(hours=1)  # prices that arrive later than this are ignored
# candles that wait to be written: half an hour of 500 symbols, or a few minutes of any number
MAX_WAITING, MAX_WAITING_EACH = 20_000, 8
NO_TRADE = ("closed", "break", "halted")  # in these sessions, prices without a time are ignored
EXTENDED = ("pre", "post")
BEFORE_OPEN = ("pre", "closed")  # sessions after which a counter may restart on the same day

Key = tuple[str, int, int]  # symbol, step, and start in seconds since 1970


class Row(NamedTuple):
    """A candle as the database stores it."""

    symbol: str
    step: int  # seconds
    start: int  # seconds since 1970
    opened: int  # time of its first quote, in microseconds after its start
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    closed: int  # time of its last quote, in microseconds after its start
    volume: Decimal | None
    counter: Decimal | None  # the session's volume so far, as its provider counts it
    provider: str  # its close is from this provider
    mixed: bool  # whether it contains quotes of other providers
    as_of: int | None = None  # when a provider sent it that adjusts candles for splits


class Growing:
    """A candle that quotes are added to. Times are aware UTC."""

    __slots__ = (
        "begins", "close", "closed", "counter", "ends", "high", "low", "mixed", "open", "opened",
        "provider", "start", "step", "symbol", "volume", "volume_lost",
    )  # fmt: skip

    def __init__(self, quote: Quote, made: datetime, step: int, period: Period) -> None:
        self.symbol, self.step = quote.symbol, step
        self.start, self.begins, self.ends = period
        self.open = self.high = self.low = self.close = quote.last
        self.opened = self.closed = made
        self.volume: Decimal | None = None
        self.counter: Decimal | None = None
        self.volume_lost = False  # whether its volume can no longer be known
        self.provider, self.mixed = quote.provider, False

    @property
    def key(self) -> Key:
        """Symbol, step and start, which identify a candle."""
        return self.symbol, self.step, self.start

    def add(self, quote: Quote, made: datetime) -> None:
        """Add a quote; `made` is its time, which is within the candle."""
        last = quote.last
        if last > self.high:
            self.high = last
        elif last < self.low:
            self.low = last
        if quote.provider != self.provider:
            self.mixed = self.volume_lost = True
        if made >= self.closed:
            self.closed, self.close, self.provider = made, last, quote.provider
        elif made < self.opened:
            self.opened, self.open = made, last

    def count(self, reading: Reading, before: Reading | None, traded: Decimal | None) -> None:
        """Add the volume that was traded between two readings.

        If the first reading is too old, or `traded` is None, the volume of the candle is lost.
        """
        near = before is not None and before.made >= self.begins - (self.ends - self.begins)
        if traded is None or not near or self.volume_lost:
            self.volume_lost = True
        else:
            self.volume = (self.volume or 0) + traded
        self.counter = reading.value

    def row(self) -> Row:
        """Return the row to write for the candle as it is now."""
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
            None if self.volume_lost else self.volume,
            self.counter,
            self.provider,
            self.mixed,
        )


class Reading(NamedTuple):
    """A reading of a provider's counter: the session's volume up to a moment."""

    made: datetime
    value: Decimal
    provider: str
    day: date  # of the exchange, or UTC
    session: str | None = None

    def traded_since(self, before: Reading | None) -> Decimal | None:
        """Return the volume that was traded since an earlier reading; None if it is not known.

        A new session counts from 0. A counter that falls within a session was corrected.
        """
        if before is None or before.provider != self.provider:
            return None
        fell, another_day = self.value < before.value, self.day != before.day
        opens = before.session in BEFORE_OPEN and self.session not in BEFORE_OPEN
        if fell:
            return self.value if another_day or opens else None
        return None if another_day else self.value - before.value


class Series:
    """The current candles of one symbol, one for each step, and the last reading of its volume."""

    __slots__ = ("growing", "reading", "zone")

    def __init__(self, zone: tzinfo | None) -> None:
        self.zone = zone  # of its exchange; None if that is not known
        self.growing: list[Growing | None] = [None] * len(STEPS)
        self.reading: Reading | None = None


class Candles:
    """The current candles of all symbols, and the candles that are not written yet."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self.max_waiting = max_waiting
        self.zones: Mapping[str, tzinfo] = {}  # of exchanges, by symbol, if they are known
        self.series: dict[str, Series] = {}  # by symbol
        self.waiting: dict[Key, Growing] = {}  # candles that are over and may not be written yet
        # since when each candle has quotes that are not written; the first that changed is first
        self.changed: dict[Growing, datetime] = {}
        self.dropped = 0  # since all waiting candles were written

    def take(self, quote: Quote) -> None:
        """Add a quote that the feed accepted; call this in the order of arrival."""
        series = self.series.get(quote.symbol)
        if series is None:
            series = self.series[quote.symbol] = Series(self.zones.get(quote.symbol))
        made = quote.source_time or quote.received_at
        grown: list[Growing] = []
        if is_counted(quote):
            for index, growing in enumerate(series.growing):
                if growing is None or not growing.begins <= made < growing.ends:
                    growing = self._other(series, index, quote, made)  # noqa: PLW2901
                growing.add(quote, made)
                self.changed.setdefault(growing, quote.received_at)
                grown.append(growing)
        if quote.volume is not None and quote.volume_window == "session":
            _count(series, quote, made, grown)

    def keep(self, zones: Mapping[str, tzinfo], symbols: Collection[str]) -> None:
        """Keep the current candles of these symbols and zones; close all others, to be written."""
        self.zones = zones
        for symbol in [*self.series]:
            series = self.series[symbol]
            if symbol not in symbols or series.zone != zones.get(symbol):
                for growing in filter(None, series.growing):
                    self._wait(growing)
                del self.series[symbol]

    def close(self) -> None:
        """Close all current candles; those that changed wait to be written."""
        for growing in list(self.changed):
            self._wait(growing)
        self.series.clear()

    def due(self, most: int | None = None) -> dict[Growing, datetime]:
        """Return the changed candles, for the caller to write.

        With `most`, return at most so many, those that wait longest. Afterwards the caller calls
        `written`, or `failed` with the same candles.
        """
        due = dict(islice(self.changed.items(), most))
        for each in due:
            del self.changed[each]
        return due

    def changed_since(self) -> datetime | None:
        """Return when the first quote arrived that is in no written candle; None without one."""
        return next(iter(self.changed.values()), None)

    def written(self) -> None:
        """Forget the waiting candles that are written; those that changed since then stay."""
        for key in [key for key, each in self.waiting.items() if each not in self.changed]:
            del self.waiting[key]
        self.dropped = 0

    def failed(self, due: Mapping[Growing, datetime]) -> None:
        """Let candles be due again, because they could not be written."""
        others = ((each, since) for each, since in self.changed.items() if each not in due)
        self.changed = {**due, **dict(others)}

    def restore(self, rows: Iterable[Row], now: datetime) -> None:
        """Continue the candles and the counters of another feed."""
        for row in rows:
            series = self.series.setdefault(row.symbol, Series(self.zones.get(row.symbol)))
            period = period_of(row.step, now, series.zone)
            made = EPOCH + timedelta(seconds=row.start) + row.closed * MICROSECOND
            if row.counter is not None and (series.reading is None or series.reading.made < made):
                day = _day(made, series.zone)
                series.reading = Reading(made, row.counter, row.provider, day)
            if period[0] == row.start:
                series.growing[STEPS.index(row.step)] = _restored(row, period)

    def _other(self, series: Series, index: int, quote: Quote, made: datetime) -> Growing:
        """Return the candle of a time that is outside the current one, before or after it."""
        growing, step = series.growing[index], STEPS[index]
        period = period_of(step, made, series.zone)
        found = self.waiting.pop((quote.symbol, step, period[0]), None)
        found = found or Growing(quote, made, step, period)
        if growing is not None and made < growing.begins:
            self._wait(found)
            return found
        if growing is not None:
            self._wait(growing)
        series.growing[index] = found
        return found

    def _wait(self, growing: Growing) -> None:
        self.waiting[growing.key] = growing
        most = max(self.max_waiting, MAX_WAITING_EACH * len(self.series))
        if len(self.waiting) <= most:
            return
        dropped = self.waiting.pop(next(iter(self.waiting)))
        self.changed.pop(dropped, None)
        if not self.dropped:
            words = "more than %d candles wait for the database, dropping the oldest"
            logger.warning(words, most)
        self.dropped += 1


def is_counted(quote: Quote) -> bool:
    """Return whether the price of a quote belongs to candles."""
    if quote.session in EXTENDED:
        return False
    if quote.source_time is None:
        return quote.session not in NO_TRADE
    return quote.received_at - quote.source_time <= MAX_LATENESS


Period = tuple[int, datetime, datetime]  # start in seconds since 1970; begin and end, aware UTC


def period_of(step: int, moment: datetime, zone: tzinfo | None = None) -> Period:
    """Return the period of the candle that a moment belongs to.

    With the zone of an exchange, a day begins and ends at midnight there.
    """
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


def _count(series: Series, quote: Quote, made: datetime, grown: Iterable[Growing]) -> None:
    before = series.reading
    if quote.volume is None or (before is not None and made < before.made):
        return  # the reading of a later quote contains this volume already
    day = _day(made, series.zone)
    reading = Reading(made, quote.volume, quote.provider, day, quote.session)
    series.reading, traded = reading, reading.traded_since(before)
    for growing in grown:
        if growing.step == DAY and series.zone is not None:
            growing.volume = growing.counter = reading.value  # the day is one session
        else:
            growing.count(reading, before, traded)


def _restored(row: Row, period: Period) -> Growing:
    growing = Growing.__new__(Growing)
    growing.symbol, growing.step = row.symbol, row.step
    growing.start, growing.begins, growing.ends = period
    growing.open, growing.high, growing.low, growing.close = row[4:8]
    begins = EPOCH + timedelta(seconds=row.start)
    growing.opened = begins + row.opened * MICROSECOND
    growing.closed = begins + row.closed * MICROSECOND
    growing.volume, growing.counter = row.volume, row.counter
    growing.volume_lost = row.mixed or (row.volume is None and row.counter is not None)
    growing.provider, growing.mixed = row.provider, row.mixed
    return growing
