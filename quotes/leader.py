"""The leader: runs the feed in the one process of all that holds its lease."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Protocol

from quotes import conf, layer, records
from quotes.feed import Batch, Feed
from quotes.providers import Provider, make_provider
from quotes.quote import Quote

logger = logging.getLogger(__name__)

RENEW_EVERY = 2.0  # seconds between two renewals of the lease
RECORD_EVERY = 2.0  # seconds between two writes of last quotes


class Process(Protocol):
    """What the leader needs of the process that it runs in."""

    on_listing: set[Callable[[Any], None]]

    async def in_database(self, read: Callable[..., Any], *given: Any) -> Any:
        """Run a function that uses the database, beside the event loop."""

    def soon(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do some work in the background."""


async def stand(process: Process) -> None:
    """Run the feed whenever its lease is free, for ever."""
    holder = records.this_process()
    while True:
        epoch = await process.in_database(records.lead, holder)
        if epoch is not None:
            logger.info("%s leads the feed, epoch %s", holder, epoch)
            await _lead(process, holder, epoch)
        await asyncio.sleep(RENEW_EVERY)


async def _lead(process: Process, holder: str, epoch: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(Leader(process, epoch).run())
        try:
            while await process.in_database(records.still_leads, holder, epoch):  # noqa: ASYNC110
                await asyncio.sleep(RENEW_EVERY)
            logger.warning("%s lost the feed's lease of epoch %s", holder, epoch)
        finally:
            running.cancel()
            await asyncio.wait([running])  # it writes down what it has
            await process.in_database(records.step_down, holder, epoch)


class Leader:
    """The feed of one epoch: from its providers to the layer and the database."""

    def __init__(self, process: Process, epoch: int) -> None:
        self.process, self.epoch = process, epoch
        self.feed = Feed(self.publish, self.learn)
        self.providers: dict[str, Provider] = {
            name: make_provider(name, conf.get("PROVIDER_OPTIONS").get(name, {}))
            for name in conf.get("PROVIDERS")
        }
        self.unwritten: dict[str, tuple[records.Version, Quote]] = {}

    async def run(self) -> None:
        """Run the feed, follow what is listed, and write down last quotes."""
        await self.follow()
        self.process.on_listing.add(self.listing_changed)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.feed.run())
                tasks.create_task(self.record())
        finally:
            self.process.on_listing.discard(self.listing_changed)
            await self.write()
            await self.feed.aclose()

    async def follow(self) -> None:
        """Let each provider watch the symbols that are its own now."""
        wanted = [(name, provider.needs_code) for name, provider in self.providers.items()]
        divided = await self.process.in_database(records.load_instruments, wanted)
        for name, provider in self.providers.items():
            self.feed.watch(provider, divided[name])

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
            logger.exception("could not write %d last quotes, keeping them", len(quotes))
