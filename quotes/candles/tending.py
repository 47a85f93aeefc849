"""History: what the feed's leader does for candles, beside the path of the quotes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from itertools import groupby

from django.db import Error

from quotes import conf
from quotes.candles import archive
from quotes.candles.backfill import MAX_GAP, Backfill, InDatabase
from quotes.candles.growing import STEPS, Candles
from quotes.feed.feed import Feed
from quotes.providers import Provider
from quotes.quote import utc_now

logger = logging.getLogger(__name__)

TEND_EVERY = 10.0  # seconds between two looks at what is there and what is missing
PRUNE_EVERY = timedelta(hours=1)
ASK_AGAIN = timedelta(minutes=10)  # for what providers did not tell


class History:
    """The candles of a process that stands for the feed's lease.

    They outlive a lease: what could not be written while the database was away is written when
    this process leads again.
    """

    def __init__(self, in_database: InDatabase, clock: Callable[[], datetime] = utc_now) -> None:
        self.in_database, self.clock = in_database, clock
        self.candles = Candles()
        self.take = self.candles.take
        self.epoch = 0

    async def lead(self, epoch: int) -> None:
        """Begin an epoch: go on with the candles that the feed before this one began."""
        self.epoch = epoch
        await self.write()
        try:
            self.candles.zones = await self.in_database(archive.load_zones)
            now = self.clock()
            self.candles.restore(await self.in_database(archive.load_newest, now), now)
        except Error as error:
            logger.warning("could not read the newest candles, their volume is lost: %s", error)

    async def write(self) -> None:
        """Write down the candles that changed; what can't be written waits for the next time."""
        due = self.candles.due()
        rows = [each.row() for each in due]
        try:
            if rows:
                await self.in_database(archive.save, self.epoch, rows)
        except BaseException as error:
            self.candles.failed(due)
            if not isinstance(error, Exception):
                raise
            fault = not isinstance(error, Error)
            words = "could not write %d candles, keeping them: %s"
            logger.warning(words, len(rows), error, exc_info=fault)
        else:
            self.candles.written()

    async def tend(self, feed: Feed, providers: Mapping[str, Provider]) -> None:
        """Note what is there, have asked for what is missing, and prune what is old, for ever."""
        tending = Tending(self, feed, providers)
        try:
            while True:
                await asyncio.sleep(TEND_EVERY)
                try:
                    await tending.look()
                except Error as error:
                    logger.warning("could not tend the candles, trying again: %s", error)
                except Exception:
                    logger.exception("the candles are not tended, trying again")
        finally:
            tending.stop()


class Tending:
    """What is known of the candles of all symbols during one epoch."""

    def __init__(self, history: History, feed: Feed, providers: Mapping[str, Provider]) -> None:
        self.candles, self.feed = history.candles, feed
        self.in_database, self.clock = history.in_database, history.clock
        self.backfill = Backfill(self.in_database, providers, clock=self.clock)
        self.filling: asyncio.Task[None] | None = None
        self.since = self.prune_at = self.clock()  # the last look, or the beginning
        self.well_since: dict[str, datetime] = {}  # symbols whose quotes come, and since when
        self.ask_at: dict[str, datetime] = {}  # of which something may be missing
        self.listed: object = None

    async def look(self) -> None:
        """Do once what is due."""
        now = self.clock()
        if self.feed.chains is not self.listed:
            zones = await self.in_database(archive.load_zones)
            self.candles.keep(zones, self.feed.chains)
            self.listed = self.feed.chains
        self._note_who_is_well(now)
        for since, symbols in groupby(sorted(self.well_since, key=self._since), self._since):
            await self.in_database(archive.extend_spans, list(symbols), since - MAX_GAP, now)
        if now >= self.prune_at:
            self.prune_at = now + PRUNE_EVERY
            await self._prune(now)
        due = [symbol for symbol, moment in self.ask_at.items() if moment <= now]
        if due and (self.filling is None or self.filling.done()):
            self.filling = asyncio.create_task(self._fill(due))

    def stop(self) -> None:
        """Ask for nothing more."""
        if self.filling is not None:
            self.filling.cancel()

    def _note_who_is_well(self, now: datetime) -> None:
        failing = self.feed.outages()
        well = {symbol for symbol, name in self.feed.in_use.items() if name not in failing}
        came, went = well - self.well_since.keys(), self.well_since.keys() - well
        for symbol in went:
            del self.well_since[symbol]
            self.ask_at.pop(symbol, None)
        since, self.since = self.since, now
        for symbol in came:
            self.well_since[symbol] = since
            self.ask_at[symbol] = now

    def _since(self, symbol: str) -> datetime:
        return self.well_since[symbol]

    async def _prune(self, now: datetime) -> None:
        for pruning in await self.in_database(archive.prunings, now):
            while await self.in_database(archive.prune, *pruning) == archive.MAX_ROWS:
                pass

    async def _fill(self, symbols: Collection[str]) -> None:
        chains = {each: self.feed.chains[each] for each in symbols if each in self.feed.chains}
        counts: dict[str, int] = {}

        def done(symbol: str, count: int, complete: bool) -> None:
            counts[symbol] = count
            if complete:
                self.ask_at.pop(symbol, None)

        for symbol in symbols:
            self.ask_at[symbol] = self.clock() + ASK_AGAIN
        try:
            await self.backfill.fill(chains, reach(), dict(self.well_since), done)
        except* Error as errors:
            words = "could not write down what providers told, asking again: %s"
            logger.warning(words, errors.exceptions[0])
        except* Exception:
            logger.exception("providers were not asked for candles, asking again")
        if count := sum(counts.values()):
            told = sum(map(bool, counts.values()))
            logger.info("providers told %d candles of %d symbols", count, told)


def reach() -> dict[int, timedelta]:
    """Return how far back providers are asked for candles, by step."""
    days = conf.get("BACKFILL")
    return {step: min(timedelta(days=days[step]), archive.kept(step)) for step in STEPS}
