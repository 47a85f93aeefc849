"""Maintenance of candles by the leader: it writes, completes and prunes them.

This happens outside the path of the quotes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from itertools import groupby

from django.db import Error

from quotes import conf
from quotes.candles import archive
from quotes.candles.backfill import Backfill, InDatabase
from quotes.candles.growing import STEPS, Candles
from quotes.feed.feed import Feed
from quotes.providers import Provider
from quotes.quote import utc_now

logger = logging.getLogger(__name__)

MAINTAIN_EVERY = 10.0  # seconds
PRUNE_EVERY = timedelta(hours=1)
# from an interruption, or an error of the database, until candles are requested
STEADY_FOR = timedelta(seconds=30)
REQUEST_AGAIN_AFTER = timedelta(minutes=10)  # candles that providers did not send


class CandleHistory:
    """The candles of a process that may lead the feed.

    They stay when the process loses the lease: candles that could not be written without the
    database are written when it answers.
    """

    def __init__(self, in_database: InDatabase, clock: Callable[[], datetime] = utc_now) -> None:
        self.in_database, self.clock = in_database, clock
        self.candles = Candles()
        self.take = self.candles.take
        self.epoch = 0
        self.written_until = clock()  # all quotes accepted by then are in written candles
        self.writing = 0  # candles that are being written
        self.losses = 0  # how often candles were dropped because too many waited

    async def lead(self, epoch: int) -> None:
        """Begin an epoch: continue the candles of the previous feed."""
        self.epoch = epoch
        try:
            await self.write()
        except Error as error:
            logger.warning("could not store candles, keeping them: %s", error)
        await self.resume()

    async def resume(self, among: Collection[str] | None = None) -> None:
        """Continue the stored candles of symbols without current ones.

        These are all at the beginning. Later, they are those that were renamed or switched on.
        """
        try:
            zones = await self.in_database(archive.load_zones, among)
            self.candles.zones = zones if among is None else {**self.candles.zones, **zones}
            now, known = self.clock(), set(self.candles.series)
            for step in STEPS:  # one after the other, so that other tasks have their turn
                rows = await self.in_database(archive.load_newest, step, now, among)
                self.candles.restore([row for row in rows if row.symbol not in known], now)
        except Error as error:
            words = "could not read the newest candles, leaving out their volume: %s"
            logger.warning(words, error)

    async def write(self, most: int | None = None) -> None:
        """Write the changed candles; if that raises an error, keep them for the next time.

        With `most`, write those that wait longest.
        """
        began, due = self.clock(), self.candles.due(most)
        rows = [each.row() for each in due]
        self.writing = len(rows)
        try:
            if rows:
                await self.in_database(archive.save, self.epoch, rows)
        except BaseException:
            self.candles.failed(due)
            raise
        finally:
            self.writing = 0
        self.losses += bool(self.candles.dropped)
        self.written_until = min(began, self.candles.changed_since() or began)
        self.candles.written()

    def unwritten(self) -> int:
        """Return the number of candles that changed and are not stored."""
        return len(self.candles.changed) + self.writing

    def end(self) -> None:
        """End an epoch. Other feeds continue its candles. Unwritten candles are written later."""
        self.candles.close()

    async def maintain(self, feed: Feed, providers: Mapping[str, Provider]) -> None:
        """Extend spans, request missing candles and prune old ones, forever."""
        maintenance = Maintenance(self, feed, providers)
        try:
            while True:
                await asyncio.sleep(MAINTAIN_EVERY)
                try:
                    await maintenance.run_due()
                except Error as error:
                    logger.warning("could not maintain the candles, trying again: %s", error)
                except Exception:
                    logger.exception("could not maintain the candles, trying again")
        finally:
            maintenance.stop()


class Maintenance:
    """The work of one epoch on stored candles: spans, missing candles and pruning."""

    def __init__(
        self, history: CandleHistory, feed: Feed, providers: Mapping[str, Provider]
    ) -> None:
        self.history, self.candles, self.feed = history, history.candles, feed
        self.in_database, self.clock = history.in_database, history.clock
        self.providers = providers
        self.backfill = Backfill(self.in_database, providers, clock=self.clock)
        self.filling: asyncio.Task[None] | None = None
        self.prune_at = self.clock()
        self.feed_since: dict[str, datetime] = {}  # by symbol: when its quotes began to arrive
        self.arrivals: Mapping[str, object] = {}  # by symbol: differs after an interruption
        self.unsteady_since: dict[str, datetime] = {}  # by symbol: first of the interruptions
        self.request_at: dict[str, datetime] = {}  # when to request missing candles, by symbol
        self.chains: object = None  # the feed's chains at the last run

    async def run_due(self) -> None:
        """Do the work that is due, once."""
        now = self.clock()
        if self.feed.chains is not self.chains:
            zones = await self.in_database(archive.load_zones)
            self.candles.keep(zones, self.feed.chains)
            self.chains = self.feed.chains
        self._notice_interruptions(now)
        until = self.history.written_until
        for since, symbols in groupby(sorted(self.feed_since, key=self._since), self._since):
            await self.in_database(archive.extend_spans, list(symbols), since, until)
        if now >= self.prune_at:
            self.prune_at = now + PRUNE_EVERY
            await self._prune(now)
        due = [symbol for symbol, moment in self.request_at.items() if moment <= now]
        if due and (self.filling is None or self.filling.done()):
            self.filling = asyncio.create_task(self._fill(due))

    def stop(self) -> None:
        """Stop the requests for candles."""
        if self.filling is not None:
            self.filling.cancel()

    def _notice_interruptions(self, now: datetime) -> None:
        """Request the candles of each symbol whose quotes arrive again, or for the first time."""
        arrivals = {
            symbol: (*arrival, self.history.losses)
            for symbol, arrival in self.feed.arrivals().items()
        }
        for symbol in self.feed_since.keys() - arrivals.keys():
            del self.feed_since[symbol]
            self.request_at.pop(symbol, None)
        for symbol, arrival in arrivals.items():
            if self.arrivals.get(symbol) != arrival:
                since = now - self._between_polls(arrival[0])
                self.feed_since[symbol] = since.replace(microsecond=0)  # spans have whole seconds
                self.request_at[symbol] = self._settled_at(symbol, now)
        self.arrivals = arrivals

    def _settled_at(self, symbol: str, now: datetime) -> datetime:
        """Return when to request the candles of a symbol whose quotes were just interrupted."""
        if symbol not in self.arrivals:
            return now
        first = self.unsteady_since.setdefault(symbol, now)
        return min(now + STEADY_FOR, first + REQUEST_AGAIN_AFTER)

    def _between_polls(self, provider: str) -> timedelta:
        """Return the time in which a provider without a stream gives no quote."""
        polled = self.providers[provider]
        return timedelta(seconds=0.0 if polled.streams else polled.poll_interval)

    def _since(self, symbol: str) -> datetime:
        return self.feed_since[symbol]

    async def _prune(self, now: datetime) -> None:
        for pruning in await self.in_database(archive.prunings, now):
            while await self.in_database(archive.prune, *pruning) == archive.MAX_ROWS:
                pass

    async def _fill(self, symbols: Collection[str]) -> None:
        chains = {each: self.feed.chains[each] for each in symbols if each in self.feed.chains}
        counts: dict[str, int] = {}
        since = dict(self.feed_since)

        def on_done(symbol: str, count: int, complete: bool) -> None:
            counts[symbol] = count
            if complete and self.feed_since.get(symbol) == since[symbol]:
                self.request_at.pop(symbol, None)

        for symbol in symbols:
            self.request_at[symbol] = self.clock() + REQUEST_AGAIN_AFTER
            self.unsteady_since.pop(symbol, None)
        try:
            await self.backfill.fill(chains, reach(), since, on_done)
        except* Error as errors:
            words = "could not store candles from providers, requesting them again: %s"
            logger.warning(words, errors.exceptions[0])
            for symbol in self.request_at.keys() & set(symbols):
                self.request_at[symbol] = self.clock() + STEADY_FOR
        except* Exception:
            logger.exception("could not request candles from providers, trying again")
        if count := sum(counts.values()):
            filled = sum(map(bool, counts.values()))
            logger.info("stored %d candles of %d symbols from providers", count, filled)


def reach() -> dict[int, timedelta]:
    """Return the age of the oldest candles to request from providers, by step."""
    days = conf.get("BACKFILL")
    return {step: min(timedelta(days=days[step]), archive.kept(step)) for step in STEPS}
