"""The leader: runs the feed in the one process of all that holds its lease."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Protocol

from django.db import Error

from quotes import conf
from quotes.candles.tending import History
from quotes.feed import records
from quotes.feed.configured import configured_providers
from quotes.feed.feed import Batch, Feed
from quotes.live import layer
from quotes.providers import Provider
from quotes.quote import Quote, utc_now

logger = logging.getLogger(__name__)

RENEW_EVERY = 0.5  # seconds between two renewals of the lease, or two looks whether it is free
HELD = (records.LEASE - timedelta(seconds=0.5)).total_seconds()  # it is given up before it ends
COMPARED = timedelta(days=1)  # so long a last price is what the next ones may not jump from
RECORD_EVERY = 2.0  # seconds between two writes of last quotes


class Process(Protocol):
    """What the leader needs of the process that it runs in."""

    on_listing: set[Callable[[Any], None]]
    acts: int

    async def in_database(self, read: Callable[..., Any], *given: Any) -> Any:
        """Run a function that uses the database, beside the event loop."""

    def soon(self, work: Callable[[], Awaitable[None]]) -> Any:
        """Do some work in the background."""


async def stand(process: Process) -> None:
    """Run the feed whenever its lease is free, for ever."""
    await Candidate(process).stand()


class Candidate:
    """This process among those that stand for the feed's lease."""

    def __init__(self, process: Process) -> None:
        self.process, self.holder = process, records.this_process()
        self.history = History(process.in_database)
        self.providers = configured_providers()  # kept from epoch to epoch with their budgets
        self.clock = asyncio.get_running_loop().time
        self.unanswered = False

    async def stand(self) -> None:
        """Run the feed whenever its lease is free, for ever."""
        while True:
            asked_at = self.clock()
            epoch = await self._ask(records.lead)
            if epoch is not None:
                logger.info("%s leads the feed, epoch %s", self.holder, epoch)
                await self._lead(epoch, asked_at)
            await asyncio.sleep(RENEW_EVERY)

    async def _lead(self, epoch: int, since: float) -> None:
        async with asyncio.TaskGroup() as tasks:
            leader = Leader(self.process, epoch, self.history, self.providers)
            running = tasks.create_task(leader.run())
            try:
                await self._hold(epoch, since)
            finally:
                running.cancel()
                await asyncio.wait([running])  # it writes down what it has
                await self._ask(records.step_down, epoch)

    async def _hold(self, epoch: int, since: float) -> None:
        """Renew the lease until it is lost, or, if the database is, until shortly before its end.

        Its end is told by our own clock and counts from when we asked, not from the answer.
        """
        try:
            while True:
                async with asyncio.timeout_at(since + HELD):
                    await asyncio.sleep(RENEW_EVERY)
                    asked_at = self.clock()
                    held = await self._ask(records.still_leads, epoch)
                if held is False:
                    logger.warning("%s lost the feed's lease of epoch %s", self.holder, epoch)
                    return
                since = asked_at if held else since
        except TimeoutError:
            logger.warning("%s gives up epoch %s, which it can't renew", self.holder, epoch)

    async def _ask(self, question: Callable[..., Any], *given: Any) -> Any:
        """Ask the database about the lease; None if it does not answer, of which the log tells."""
        try:
            answer = await self.process.in_database(question, self.holder, *given)
        except Error as error:
            if not self.unanswered:
                logger.warning("the database does not say who leads the feed: %s", error)
            self.unanswered = True
            return None
        if self.unanswered:
            logger.info("the database answers again")
        self.unanswered = False
        return answer


class Leader:
    """The feed of one epoch: from its providers to the layer and the database."""

    def __init__(
        self, process: Process, epoch: int, history: History, providers: dict[str, Provider]
    ) -> None:
        self.process, self.epoch, self.history = process, epoch, history
        self.providers = providers
        self.feed = Feed(self.publish, self.learn, conf.get("MAX_JUMP"))
        self.feed.pending.accepted = history.take
        self.unwritten: dict[str, tuple[records.Version, Quote]] = {}
        self.acts = process.acts

    async def run(self) -> None:
        """Run the feed, follow what is listed, and write down last quotes."""
        self.hear_uses(await self.process.in_database(records.load_uses), {})
        await self.history.lead(self.epoch)
        self.remember(await self.process.in_database(records.load_last_quotes))
        await self.follow()
        self.process.on_listing.add(self.listing_changed)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.feed.run())
                tasks.create_task(self.record())
                tasks.create_task(self.history.tend(self.feed, self.providers))
        finally:
            self.process.on_listing.discard(self.listing_changed)
            await self.write()
            await self.write_beside()
            await self.history.write()
            await self.feed.aclose()

    def remember(self, last: Iterable[tuple[records.Version, Quote]]) -> None:
        """Let the feed compare its first prices with the last ones of the feed before it."""
        real = {name for name, provider in self.providers.items() if not provider.invented}
        oldest = utc_now() - COMPARED
        for _, quote in last:
            if quote.provider in real and quote.received_at >= oldest:
                self.feed.pending.latest[quote.symbol] = quote

    async def follow(self) -> None:
        """Let the feed know what is listed, and what each provider has of it."""
        chains = await self.process.in_database(records.load_chains, list(self.providers))
        acted, self.acts = self.process.acts != self.acts, self.process.acts
        self.feed.follow(self.providers.values(), chains, acted)

    def hear_uses(
        self, uses: Mapping[str, tuple[str, int]], more: Mapping[str, tuple[str, int]]
    ) -> None:
        """Let the budgets go on where the database is, to which we told `more`."""
        for name, (month, requests) in uses.items():
            if name in self.providers:
                told_of, told = more.get(name, (month, 0))
                told = told if told_of == month else 0
                self.providers[name].budget.hear_month(month, requests, told)

    def listing_changed(self, _rechoose: Any) -> None:
        """Follow what is listed, soon."""
        self.process.soon(self.follow)

    async def publish(self, batch: Batch) -> None:
        """Send a batch through the layer; the quotes in it are written down a little later."""
        version = (self.epoch, batch.number)
        self.unwritten |= {quote.symbol: (version, quote) for quote in batch.quotes}
        await layer.send_batch(self.epoch, batch)

    async def learn(self, sizes: dict[str, Decimal]) -> None:
        """Write down tick sizes and let every process know."""
        await self.process.in_database(records.save_tick_sizes, sizes)
        await layer.send_listing()

    async def record(self) -> None:
        """Write down last quotes every two seconds, for ever."""
        while True:
            await asyncio.sleep(RECORD_EVERY)
            await self.write()
            await self.write_beside()
            await self.history.write()

    async def write(self) -> None:
        """Write down what came since the last time; what can't be written waits for the next."""
        quotes, self.unwritten = self.unwritten, {}
        if not quotes:
            return
        try:
            await self.process.in_database(records.save_last_quotes, quotes)
        except BaseException as error:
            self.unwritten = quotes | self.unwritten
            if not isinstance(error, Exception):
                raise
            fault = not isinstance(error, Error)
            words = "could not write %d last quotes, keeping them: %s"
            logger.warning(words, len(quotes), error, exc_info=fault)

    async def write_beside(self) -> None:
        """Write down what was held back, and how often the providers with a plan were asked."""
        told, more = self.feed.pending.told, self.uses()
        held = list(told)
        try:
            if held:
                await self.process.in_database(records.save_held_prices, held)
            if more:
                self.hear_uses(await self.process.in_database(records.add_uses, more), more)
        except Error as error:
            logger.warning("could not write what was held back, keeping it: %s", error)
            return
        for _ in held:
            told.popleft()

    def uses(self) -> dict[str, tuple[str, int]]:
        """Return the month and what was spent that the database lacks, by provider."""
        told = {name: provider.budget.news() for name, provider in self.providers.items()}
        return {name: news for name, news in told.items() if news}
