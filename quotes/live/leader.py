"""The leader: runs the feed in the one process that holds its lease."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any, Protocol

from django.db import Error

from quotes import conf
from quotes.candles.tending import CandleHistory
from quotes.feed import records
from quotes.feed.batch import Batch
from quotes.feed.chains import load_chains
from quotes.feed.configured import configured_providers
from quotes.feed.feed import Feed
from quotes.live import layer, lease
from quotes.live.database import DatabaseThread
from quotes.live.tasks import Tasks
from quotes.providers import Provider
from quotes.quote import Quote, utc_now

logger = logging.getLogger(__name__)

RENEW_EVERY = 0.5  # seconds between two renewals of the lease, or two attempts to take it
COMPARED = timedelta(days=1)  # the feed's first prices are not compared with older ones
STORE_EVERY = 2.0  # seconds between two writes to the database
END_WITHIN = 3.0  # seconds to store the last quotes; the database may hang


class Live(Protocol):
    """The live parts of the process that the leader uses."""

    tasks: Tasks
    in_database: DatabaseThread
    in_lease: DatabaseThread  # for the lease, so that renewals do not wait for other work
    on_listing: set[Callable[[], None]]
    acts: int
    seen: tuple[int, int]  # (epoch, batch) of the newest batch that was accepted
    refused: dict[int, float]  # by epoch that was not accepted: when to look it up again

    async def take(self, epoch: int, batch: Batch, *, known: bool = False) -> None:
        """Accept a batch; `known` means that its epoch certainly belongs to this database."""


async def stand(live: Live) -> None:
    """Run the feed whenever its lease is free, forever."""
    await Candidate(live).stand()


class Candidate:
    """This process, as one of those that try to take the feed's lease."""

    def __init__(self, live: Live) -> None:
        self.live, self.holder = live, lease.this_process()
        self.history = CandleHistory(live.in_database)
        self.providers = configured_providers()  # kept from epoch to epoch with their budgets
        self.unanswered = False
        self.renewed = 0.0  # when the lease was last renewed, by the steady clock

    async def stand(self) -> None:
        """Run the feed whenever its lease is free, forever."""
        while True:
            epoch = await self._query(lease.take)
            if epoch is not None:
                logger.info("%s leads the feed, epoch %s", self.holder, epoch)
                await self._lead(epoch)
            await asyncio.sleep(RENEW_EVERY)

    async def _lead(self, epoch: int) -> None:
        async with asyncio.TaskGroup() as tasks:
            leader = Leader(self.live, epoch, self.history, self.providers)
            running = tasks.create_task(leader.run())
            try:
                await self._hold(epoch)
            finally:
                running.cancel()
                await asyncio.wait([running])  # it stores its last quotes
                with suppress(TimeoutError):
                    async with asyncio.timeout(END_WITHIN):
                        await self._query(lease.give_back, epoch)

    async def _hold(self, epoch: int) -> None:
        """Lead until the database reports that the lease is lost, or a newer feed is heard.

        If the database does not answer, the feed goes on: prices need no database.
        """
        renewing = asyncio.create_task(self._renew(epoch))
        try:
            while not renewing.done() and not self._is_replaced(epoch):
                await asyncio.wait([renewing], timeout=RENEW_EVERY)
            if renewing.done():
                renewing.result()  # raises an unexpected error
        finally:
            renewing.cancel()
        logger.warning("%s lost the feed's lease of epoch %s", self.holder, epoch)

    async def _renew(self, epoch: int) -> None:
        held: bool | None = True
        while held is not False:
            if held:
                self.renewed = time.monotonic()
            await asyncio.sleep(RENEW_EVERY)
            held = await self._query(lease.renew, epoch)

    def _is_replaced(self, epoch: int) -> bool:
        """Return whether a newer feed is heard.

        Without the database, the epoch of that feed can't be looked up. Then that feed replaces
        this one as soon as our lease may have ended.
        """
        ended = time.monotonic() - self.renewed > lease.LEASE.total_seconds()
        refused = max(self.live.refused, default=0)
        return self.live.seen[0] > epoch or (ended and refused > epoch)

    async def _query(self, question: Callable[..., Any], *given: Any) -> Any:
        """Query the database about the lease; return None, and log it, if there is no answer."""
        try:
            answer = await self.live.in_lease(question, self.holder, *given)
        except Error as error:
            if not self.unanswered:
                logger.warning("could not read the lease of the feed: %s", error)
            self.unanswered = True
            return None
        if self.unanswered:
            logger.info("the database answers again")
        self.unanswered = False
        return answer


class Leader:
    """The feed of one epoch: from its providers to the layer and the database."""

    def __init__(
        self, live: Live, epoch: int, history: CandleHistory, providers: dict[str, Provider]
    ) -> None:
        self.live, self.epoch, self.history = live, epoch, history
        self.providers = providers
        self.feed = Feed(self.publish, self.learn, history.take, conf.get("MAX_JUMP"))
        self.unstored: dict[str, tuple[records.Version, Quote]] = {}
        self.acts = live.acts

    async def run(self) -> None:
        """Run the feed, follow changes of symbols and boards, and store last quotes."""
        self.read_uses(await self.live.in_database(records.load_uses), {})
        await self.history.lead(self.epoch)
        self.remember(await self.live.in_database(records.load_last_quotes))
        await self.follow()
        self.live.on_listing.add(self.listing_changed)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.feed.run())
                tasks.create_task(self.record())
                tasks.create_task(self.history.maintain(self.feed, self.providers))
        finally:
            self.live.on_listing.discard(self.listing_changed)
            with suppress(TimeoutError):
                async with asyncio.timeout(END_WITHIN):
                    await self.store()
            await self.feed.aclose()

    def remember(self, last: Iterable[tuple[records.Version, Quote]]) -> None:
        """Give the feed the last prices of the previous feed, to compare its first prices with."""
        real = {name for name, provider in self.providers.items() if not provider.invented}
        oldest = utc_now() - COMPARED
        self.feed.remember(
            quote for _, quote in last if quote.provider in real and quote.received_at >= oldest
        )

    async def follow(self) -> None:
        """Give the feed the active symbols with their codes for each provider."""
        chains = await self.live.in_database(load_chains, list(self.providers))
        acted, self.acts = self.live.acts != self.acts, self.live.acts
        self.feed.follow(self.providers.values(), chains, acted)

    def read_uses(
        self, uses: Mapping[str, tuple[str, int]], reported: Mapping[str, tuple[str, int]]
    ) -> None:
        """Read the counts in the database. They already contain our `reported` requests."""
        for name, (month, total) in uses.items():
            if name in self.providers:
                reported_month, requests = reported.get(name, (month, 0))
                ours = requests if reported_month == month else 0
                self.providers[name].standing.budget.read_month(month, total, ours)

    def listing_changed(self) -> None:
        """Follow a change of symbols or boards, soon."""
        self.live.tasks.soon(self.follow)

    async def publish(self, batch: Batch) -> None:
        """Hand a batch to this process, and to the others through the layer.

        Its quotes are stored a little later.
        """
        version = (self.epoch, batch.number)
        self.unstored |= {quote.symbol: (version, quote) for quote in batch.quotes}
        await asyncio.gather(
            self.live.take(self.epoch, batch, known=True),
            layer.send_batch(self.epoch, batch),
        )

    async def learn(self, sizes: dict[str, Decimal]) -> None:
        """Store tick sizes and let every process read them."""
        await self.live.in_database(records.save_tick_sizes, sizes)
        await layer.send_listing()

    async def record(self) -> None:
        """Store everything every two seconds, forever."""
        while True:
            await asyncio.sleep(STORE_EVERY)
            await self.store()

    async def store(self) -> None:
        """Store everything that waits for the database; failures are logged."""
        await self.store_quotes()
        await self.store_held_prices()
        await self.store_uses()
        await self.history.write()

    async def store_quotes(self) -> None:
        """Store the quotes since the last time, and the number of the newest batch.

        After a failure the quotes wait for the next time.
        """
        newest, quotes, self.unstored = self.feed.number, self.unstored, {}
        try:
            if quotes:
                await self.live.in_database(records.save_last_quotes, quotes)
            await self.live.in_database(lease.mark_stored, self.epoch, newest)
        except BaseException as error:
            self.unstored = quotes | self.unstored
            if not isinstance(error, Exception):
                raise
            fault = not isinstance(error, Error)
            logger.warning(
                "could not store %d last quotes, keeping them: %s",
                len(quotes),
                error,
                exc_info=fault,
            )

    async def store_held_prices(self) -> None:
        """Store the held prices since the last time; after a failure they wait."""
        if held := self.feed.held_prices():
            try:
                await self.live.in_database(records.save_held_prices, held)
            except Error as error:
                logger.warning("could not store held prices, keeping them: %s", error)
            else:
                self.feed.held_prices_stored(held)

    async def store_uses(self) -> None:
        """Store the number of requests to providers with a monthly plan, and read the totals."""
        reports = {name: each.standing.budget.report() for name, each in self.providers.items()}
        uses = {name: report for name, report in reports.items() if report}
        if uses:
            try:
                self.read_uses(await self.live.in_database(records.add_uses, uses), uses)
            except Error as error:
                words = "could not store the number of requests to providers, keeping it: %s"
                logger.warning(words, error)
