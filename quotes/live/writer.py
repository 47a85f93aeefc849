"""Writer: writes the quotes, candles and counts of a feed to the database every second.

Prices do not wait for it. Without the database, the newest quote of each symbol, the candles, the
held prices and the numbers of requests stay in memory until they can be written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from itertools import islice

from django.db import Error

from quotes.candles.backfill import InDatabase
from quotes.candles.tending import CandleHistory
from quotes.feed import records
from quotes.feed.batch import Batch
from quotes.feed.feed import Feed
from quotes.live import changes, layer, lease
from quotes.providers import Provider
from quotes.quote import Quote

logger = logging.getLogger(__name__)

STORE_EVERY = 1.0  # seconds; a process that missed quotes reads them soon afterwards
MAX_ROWS = 5000  # last quotes, and candles, in one write; what waits longest comes first


class Writer:
    """The quotes, candles, held prices and counts of one epoch that are not in the database yet."""

    def __init__(
        self,
        in_database: InDatabase,
        epoch: int,
        feed: Feed,
        providers: Mapping[str, Provider],
        history: CandleHistory,
    ) -> None:
        self.in_database, self.epoch = in_database, epoch
        self.feed, self.providers, self.history = feed, providers, history
        self.quotes: dict[str, tuple[records.Version, Quote]] = {}
        self.writing: dict[str, tuple[records.Version, Quote]] = {}  # that are being written
        self.writes = {
            "last quotes": self._write_quotes,
            "held prices": self._write_held_prices,
            "numbers of requests": self._write_uses,
            "candles": self._write_candles,
        }
        self.failing: set[str] = set()  # what could not be stored the last time
        self.most: int | None = MAX_ROWS  # of each kind in one write

    def add(self, batch: Batch) -> None:
        """Keep the quotes of a batch until the next write."""
        version = (self.epoch, batch.number)
        self.quotes |= {quote.symbol: (version, quote) for quote in batch.quotes}

    def waiting(self) -> dict[str, int]:
        """Return how many quotes, candles and held prices wait to be written."""
        return {
            "quotes": len(self.quotes) + len(self.writing),
            "candles": self.history.unwritten(),
            "held_prices": len(self.feed.held_prices()),
        }

    async def send_unwritten(self, channel: str) -> None:
        """Send a process that joined the layer the quotes that it can't read yet."""
        quotes = (self.writing | self.quotes).values()
        numbered = ((number, quote) for (_, number), quote in quotes)
        await layer.send_unwritten(channel, self.epoch, numbered)

    async def keep_writing(self) -> None:
        """Write everything every second, forever."""
        while True:
            await asyncio.sleep(STORE_EVERY)
            await self.write()

    async def write_all(self) -> None:
        """Write everything that waits, as the last write of an epoch."""
        self.most = None
        await self.write()

    async def write(self) -> None:
        """Write what waits, at most MAX_ROWS of a kind. What fails is repeated the next time."""
        for what, write in self.writes.items():
            await self._attempt(what, write)

    def take_uses(self, uses: records.Uses, reported: records.Uses) -> None:
        """Take over the counts in the database. They already contain our `reported` requests."""
        for name, (month, total) in uses.items():
            if name in self.providers:
                reported_month, requests = reported.get(name, (month, 0))
                ours = requests if reported_month == month else 0
                self.providers[name].standing.budget.read_month(month, total, ours)

    async def _attempt(self, what: str, write: Callable[[], Awaitable[None]]) -> None:
        try:
            await write()
        except Exception as error:
            # one line per outage, not one for each attempt
            level = logging.DEBUG if what in self.failing else logging.WARNING
            self.failing.add(what)
            fault = not isinstance(error, Error)
            logger.log(level, "could not store %s, keeping them: %s", what, error, exc_info=fault)
        else:
            if what in self.failing:
                logger.info("%s are stored again", what)
            self.failing.discard(what)

    async def _write_quotes(self) -> None:
        newest, some = self.feed.number, list(islice(self.quotes, self.most))
        self.writing = {code: self.quotes.pop(code) for code in some}
        left = min((number for (_, number), _ in self.quotes.values()), default=newest + 1)
        try:
            if self.writing:
                await self.in_database(records.save_last_quotes, self.writing)
            await self.in_database(lease.mark_stored, self.epoch, left - 1)
        except BaseException:
            self.quotes = self.writing | self.quotes
            raise
        finally:
            self.writing = {}

    async def _write_candles(self) -> None:
        await self.history.write(self.most)

    async def _write_held_prices(self) -> None:
        if held := self.feed.held_prices():
            split = await self.in_database(records.save_held_prices, held)
            await changes.announce(self.in_database, split)
            self.feed.held_prices_stored(held)

    async def _write_uses(self) -> None:
        reports = {name: each.standing.budget.report() for name, each in self.providers.items()}
        if uses := {name: report for name, report in reports.items() if report}:
            self.take_uses(await self.in_database(records.add_uses, uses), uses)
