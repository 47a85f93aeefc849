"""Known figures: read once per symbol and minute, however many pages of this process show them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Protocol

from django.db import Error

from quotes import sessions
from quotes.candles import archive
from quotes.candles.backfill import InDatabase
from quotes.candles.figures import NOTHING, REACH, Figures, figures
from quotes.candles.growing import DAY
from quotes.store import State, Store

logger = logging.getLogger(__name__)

READ_EVERY = 60.0  # seconds
WAIT = 0.25  # seconds that a page waits for its figures
MAX_KNOWN = 1000  # symbols


class Live(Protocol):
    """The attributes of `live.Live` that `Known` uses."""

    store: Store
    hub: Any  # live.hub.Hub
    tasks: Any  # live.tasks.Tasks

    @property
    def in_database(self) -> InDatabase:
        """Run a function that uses the database."""


class Known:
    """The figures of the symbols whose pages are open."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.live: Live | None = None  # until a page needs figures
        self.figures: dict[str, Figures] = {}
        self.read_at: dict[str, tuple[date, float]] = {}  # for which day, and when
        self.reading: dict[str, asyncio.Task[None]] = {}
        self.missed: set[str] = set()  # codes that pages show without figures
        self.failing = False

    def of(self, state: State) -> Figures:
        """Return the figures of a symbol, and read them again if they are a minute old."""
        code = state.symbol.code
        self._renew(state)
        if code not in self.figures:
            self.missed.add(code)
        return self.figures.get(code, NOTHING)

    async def prepare(self, live: Live, codes: Iterable[str]) -> None:
        """Read the figures of these symbols that are not known yet.

        Return after WAIT seconds even if the database has not answered: a page then opens without
        them, and shows them as soon as they are read.
        """
        self.live = live
        wanted = [code for code in codes if code in live.store.states]
        for code in wanted:
            self._renew(live.store.states[code])
        reading = {code: self.reading[code] for code in wanted if code in self.reading}
        missing = {code: task for code, task in reading.items() if code not in self.figures}
        if missing:
            began = min(self.read_at[code][1] for code in missing)
            left = began + WAIT - self.clock()  # a database that hangs delays only the first page
            await asyncio.wait(missing.values(), timeout=max(0, left))

    def _renew(self, state: State) -> None:
        code, quote = state.symbol.code, state.quote
        if self.live is None or quote is None or code in self.reading:
            return
        day = sessions.day_of(state.symbol.exchange, state.symbol.kind, quote.time)
        read_for, read_at = self.read_at.get(code, (None, 0.0))
        if read_for == day and self.clock() - read_at < READ_EVERY:
            return
        self.read_at[code] = day, self.clock()
        self.reading[code] = self.live.tasks.soon(partial(self._read, self.live, code, day))

    async def _read(self, live: Live, code: str, day: date) -> None:
        try:
            self._put(code, await live.in_database(_load, code, day))
        except Error as error:
            level = logging.DEBUG if self.failing else logging.WARNING
            words = "could not read daily candles, showing pages without their figures: %s"
            logger.log(level, words, error)
            self.failing = True
        else:
            self.failing = False
            if code in self.missed and self.figures[code] != NOTHING:
                live.hub.publish({code})
            self.missed.discard(code)
        finally:
            del self.reading[code]

    def read_again(self, edited: Collection[str]) -> None:
        """Read the figures of these symbols again, because the symbols were edited."""
        for code in self.figures.keys() & edited:
            self.read_at.pop(code, None)
            self.missed.add(code)
            if self.live and (state := self.live.store.states.get(code)):
                self._renew(state)

    def _put(self, code: str, new: Figures) -> None:
        if self.figures.get(code) != new:  # else fragments that were made of them stay
            self.figures[code] = new
        while len(self.figures) > MAX_KNOWN:
            del self.figures[next(iter(self.figures))]


def _load(code: str, day: date) -> Figures:
    # candles of an exchange's day start at 00:00 UTC of its date, too
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return figures(archive.load(code, DAY, start - REACH, start + timedelta(days=1)), day)
