"""Bars: the candles that charts show, read once for all charts and grown by the quotes."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Protocol

from django.db import Error

from quotes import sessions
from quotes.candles import archive
from quotes.candles.growing import is_counted, period_of
from quotes.charts.bars import Bar
from quotes.live.database import DatabaseThread
from quotes.quote import Quote
from quotes.quote.values import EPOCH
from quotes.store import Store

logger = logging.getLogger(__name__)

READ_AGAIN = timedelta(seconds=55)  # after which the newest candles are read again
READ_ALL = timedelta(hours=1)  # after which all are: gaps may have been completed by then
WAIT = 0.5  # seconds for what is read again; the database may hang
MAX_KEPT = 200_000  # bars of all series, of about 600 bytes
MAX_BARS = 20_000  # of one series
ALL = EPOCH + timedelta(days=1)  # before any candle

Key = tuple[str, int]  # the code of a symbol, and the step in seconds


@dataclass(slots=True)
class Series:
    """The bars of one symbol and step, in order."""

    since: datetime  # they are complete from here on, as far as they are stored
    all_at: datetime  # when all were read
    read_at: datetime  # when the newest were
    used_at: datetime
    bars: list[Bar] = field(default_factory=list)

    def grow(self, quote: Quote, step: int, zone: tzinfo | None) -> None:
        """Add a quote to the last bar, or begin the next one."""
        if not is_counted(quote):
            return
        start = EPOCH + timedelta(seconds=period_of(step, quote.time, zone)[0])
        last, price = (self.bars[-1] if self.bars else None), quote.last
        if last is None or last.start < start:
            self.bars.append(Bar(start, price, price, price, price))
        elif last.start == start:
            high, low = max(last.high, price), min(last.low, price)
            self.bars[-1] = last._replace(high=high, low=low, close=price)


class Live(Protocol):
    """The attributes of `live.Live` that `Bars` uses."""

    in_database: DatabaseThread
    store: Store


class Bars:
    """The series of all charts that are open, or were open before."""

    def __init__(self, live: Live, clock: Callable[[], datetime]) -> None:
        self.live, self.clock = live, clock
        self.series: dict[Key, Series] = {}  # the one that was used last is the last one
        self.locks: dict[Key, asyncio.Lock] = {}  # so that each is read once
        self.shown: set[Key] = set()  # by charts of open pages
        self.drops: Counter[str] = Counter()  # how often the series of a code were dropped

    async def read(self, code: str, step: int, since: datetime | None) -> Sequence[Bar]:
        """Return the bars from a time on, or all of them. Read those that are not in memory.

        Raise the errors of the database if it does not answer and none are in memory.
        """
        key, since, drops = (code, step), since or ALL, self.drops[code]
        async with self.locks.setdefault(key, asyncio.Lock()):
            series = self.series.get(key)
            if series is None or series.since > since:
                series = await self._read(key, since)
            else:
                series = await self._renewed(key, series)
        if self.drops[code] == drops:  # else it may be of the symbol as it was before
            self.series.pop(key, None)
            self.series[key] = series
        self._make_room(key)
        self.newest(code, step)
        return [bar for bar in series.bars if bar.start >= since]

    def _make_room(self, used: Key) -> None:
        """Drop those series that were used first, but none that an open page shows."""
        spare = sum(len(each.bars) for each in self.series.values()) - MAX_KEPT
        for key in [each for each in self.series if each not in self.shown and each != used]:
            if spare <= 0:
                break
            spare -= len(self.series[key].bars)
            self._drop(key)

    def forget(self, unused: timedelta) -> None:
        """Forget the series that were not used for some time."""
        now = self.clock()
        for key in [key for key, each in self.series.items() if abs(now - each.used_at) > unused]:
            self._drop(key)

    def drop(self, codes: Collection[str]) -> None:
        """Forget the series of some symbols, also those that are being read."""
        self.drops.update(codes)
        for key in [key for key in self.series if key[0] in codes]:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        del self.series[key]
        lock = self.locks.get(key)
        if lock and not lock.locked():
            del self.locks[key]

    async def _read(self, key: Key, since: datetime) -> Series:
        now = self.clock()
        return Series(since, now, now, now, await self._load(*key, since, now))

    async def _renewed(self, key: Key, series: Series) -> Series:
        """Return a series with the newest candles, or as it is if the database does not answer."""
        now = self.clock()
        try:
            async with asyncio.timeout(WAIT):
                if abs(now - series.all_at) > READ_ALL:
                    return await self._read(key, series.since)
                if abs(now - series.read_at) > READ_AGAIN:
                    newest = series.bars[-2:][0].start if series.bars else series.since
                    kept = [bar for bar in series.bars if bar.start < newest]
                    series.bars = kept + await self._load(*key, newest, now)
                    series.read_at = now
        except (Error, TimeoutError) as error:
            logger.debug("could not read the newest candles of %s: %s", key[0], error)
        return series

    def newest(self, code: str, step: int) -> Bar | None:
        """Return the last bar of a series in memory, grown by the newest quote of its symbol."""
        series, state = self.series.get((code, step)), self.live.store.states.get(code)
        if series is None or state is None:
            return None
        series.used_at = self.clock()
        if state.quote is not None:
            zone = sessions.zone(state.symbol.exchange, state.symbol.kind)
            series.grow(state.quote, step, zone)
        return series.bars[-1] if series.bars else None

    async def _load(self, code: str, step: int, since: datetime, now: datetime) -> list[Bar]:
        until = now + timedelta(days=1)  # a day at an exchange may begin tomorrow in UTC
        found = await self.live.in_database(archive.load, code, step, since, until, MAX_BARS)
        return [Bar(c.start, c.open, c.high, c.low, c.close, c.volume) for c in found]
