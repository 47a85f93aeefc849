"""Sparklines: the last session of each symbol in a table, drawn once for all pages.

Rows are sent with each tick, and sparklines only when they are drawn again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Any, Protocol

from django.db import Error

from quotes import sessions
from quotes.boards import Listed
from quotes.candles import archive
from quotes.charts.sparkline import Price, sparkline, thinned
from quotes.fragments import NO_SPARK, Fragments, Spark
from quotes.live.database import DatabaseThread
from quotes.live.hub import Hub
from quotes.store import State, Store
from quotes.watch import ROWS

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds between two looks for symbols that are watched and not drawn
DRAW_EVERY = timedelta(seconds=45)
STEP = 300  # seconds of a candle
ALWAYS = 500  # symbols that are drawn although no page shows them, so that new pages have them
TOGETHER = 20  # symbols whose prices are read in one statement
PAUSE = 0.05  # seconds between two such statements, in which others use the database
DAY = timedelta(days=1)
LATE = timedelta(minutes=10)  # candles that are older have all their prices
READ_AGAIN = timedelta(minutes=15)  # after which all is read again: gaps may be complete by then
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Live(Protocol):
    """The attributes of `live.Live` that `Sparklines` uses."""

    store: Store
    fragments: Fragments
    hub: Hub
    in_database: DatabaseThread

    @property
    def listed(self) -> Listed:
        """The active symbols and the boards."""


class Sparklines:
    """Reads the prices of the last session from the candles, and draws them.

    Pages wait for none of this. A page that was opened before is sent the drawing later.
    """

    def __init__(self, live: Live) -> None:
        self.live = live
        self.prices: dict[str, list[Price]] = {}  # of the session, by code, in order of time
        self.read_at: dict[str, datetime] = {}  # when all of these prices were read
        self.drawn_at = NEVER
        self.known_at = NEVER  # up to when all prices were read

    async def run(self) -> None:
        """Draw the sparklines of all pages again and again, forever."""
        while True:
            now, shown = self.live.store.clock(), self.shown()
            if abs(now - self.drawn_at) >= DRAW_EVERY:  # the clock may be set back
                self.keep(shown)
                await self.renew(shown, now)
                self.drawn_at = now
            elif missing := shown - self.live.fragments.sparks.keys():
                await self.renew(missing, now)
            await asyncio.sleep(LOOK_EVERY)

    def keep(self, shown: Collection[str]) -> None:
        """Forget what no page shows any more."""
        kept: tuple[dict[str, Any], ...] = (self.prices, self.read_at, self.live.fragments.sparks)
        for by_code in kept:
            for code in by_code.keys() - shown:
                del by_code[code]

    def read_again(self, edited: Collection[str]) -> None:
        """Read the prices of these symbols again, because the symbols were edited."""
        for code in edited:
            self.read_at.pop(code, None)

    def shown(self) -> set[str]:
        """Return the codes in tables of all pages, and the first codes of the boards."""
        boards = self.live.listed.boards.values()
        first = islice((code for board in boards for code in board.codes), ALWAYS)
        watched = (code for watch in self.live.hub.watches for code in watch.of(*ROWS))
        return {*first, *watched} & self.live.store.states.keys()

    async def renew(self, codes: set[str], now: datetime) -> None:
        """Draw the sparklines of these symbols, and send those that changed to their pages."""
        try:
            await self._read(codes, now)
        except Error as error:  # pages keep the last drawing; others log the outage
            logger.debug("could not read the prices of sparklines: %s", error)
            return
        states, sparks = self.live.store.states, self.live.fragments.sparks
        read = self.read_at.keys() & codes & states.keys()
        drawn = {code: self._drawn(states[code], now) for code in read}
        changed = {code for code, spark in drawn.items() if sparks.get(code, NO_SPARK) != spark}
        sparks |= drawn
        if changed:
            self.live.hub.send(partial(self.live.fragments.sparklines, codes=changed))

    async def _read(self, codes: set[str], now: datetime) -> None:
        due = {code for code in codes if now - self.read_at.get(code, NEVER) > READ_AGAIN}
        for since, some in self._together(due, now):
            self.prices |= {code: [] for code in some}
            await self._take(some, since, now)
            self.read_at |= dict.fromkeys(some, now)
            await asyncio.sleep(PAUSE)
        await self._take(codes - due, self.known_at - LATE, now)
        if codes >= self.prices.keys():
            self.known_at = now

    def _together(self, codes: set[str], now: datetime) -> Iterator[tuple[datetime, list[str]]]:
        """Yield the beginning of a session, and some of these symbols that share it, each once."""
        states = self.live.store.states
        sharing: dict[datetime, list[str]] = {}
        for code in codes & states.keys():
            sharing.setdefault(_window(states[code], now)[0], []).append(code)
        for since, some in sharing.items():
            for first in range(0, len(some), TOGETHER):
                yield since, some[first : first + TOGETHER]

    async def _take(self, codes: Collection[str], since: datetime, now: datetime) -> None:
        found = await self.live.in_database(archive.load_closes, codes, STEP, since, now)
        for code in self.prices.keys() & codes:
            before = [price for price in self.prices[code] if price[0] < since]
            self.prices[code] = before + found.get(code, [])

    def _drawn(self, state: State, now: datetime) -> Spark:
        code, (begins, ends) = state.symbol.code, _window(state, now)
        prices = [price for price in self.prices[code] if begins <= price[0] <= ends]
        self.prices[code] = thinned(prices, begins, ends)
        line = sparkline(prices, begins, ends, _reference(state, ends, now))
        if line is None:
            return NO_SPARK
        closes = [close for _, close in prices]
        return Spark(line.path, line.reference, min(closes), max(closes))


def _reference(state: State, ends: datetime, now: datetime) -> Decimal | None:
    """Return the reference of a quote, unless it is from a day after the session that is shown.

    Before the market opens, the reference is the close of that session.
    """
    quote, market = state.quote, (state.symbol.exchange, state.symbol.kind)
    if quote is None:
        return None
    is_later = now > ends and sessions.is_after_day(*market, ends, quote.time)
    return None if is_later else quote.reference


def _window(state: State, now: datetime) -> tuple[datetime, datetime]:
    """Return the beginning and the end of the session that a sparkline shows.

    A market that never closes, or whose hours are not known, has the last 24 hours. A
    simulated market may never close, but its past has the hours of its exchange.
    """
    symbol = state.symbol
    return sessions.last_trading(symbol.exchange, symbol.kind, now) or (now - DAY, now)
