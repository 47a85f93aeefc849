"""The live parts of a process, built and wired in one place.

    provider ──> feed ──> layer ──> store ──> hub ──> fragment ──> consumer ──> page

Every process listens to the layer. The feed runs in the process that holds its lease.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.db import close_old_connections

from quotes import conf, records
from quotes.addresses import Address
from quotes.boards import Catalogue, Selection, load_catalogue, select
from quotes.feed import Batch, Feed
from quotes.fragments import Fragments, Watch, addressed
from quotes.hub import Hub
from quotes.providers import Provider, make_provider
from quotes.quote import Quote
from quotes.store import Store

logger = logging.getLogger(__name__)

GROUP = "quotes"
BEAT = 1.0  # seconds between two looks at ages and notes
RECORD_EVERY = 2.0  # seconds between two writes of last quotes
RENEW_EVERY = 2.0  # seconds between two renewals of the feed's lease
REJOIN_EVERY = 60.0  # seconds; layers forget the members of a group in time
RESTART_AFTER = 1.0  # seconds
FIRST_BATCH = 2.0  # seconds that a process which runs the feed waits for it at its start

T = TypeVar("T")


class Live:
    """What one process knows and does, from the layer to the pages."""

    def __init__(self) -> None:
        self.catalogue = Catalogue()
        self.store = Store(stale_after=conf.get("STALE_AFTER"))
        self.fragments = Fragments(self.store)
        self.hub = Hub(self.fragments)
        self.seen = (0, 0)  # (epoch, batch) of the newest message
        self.heard = asyncio.Event()  # set with the first quotes from the layer
        self.notes: dict[Watch, str] = {}
        self.on_listing: set[Callable[[], None]] = set()  # told when what is listed changed
        self.database = ThreadPoolExecutor(1, thread_name_prefix="quotes-database")
        self.tasks: set[asyncio.Task[None]] = set()

    async def start(self, *, pages: bool = True, feed: bool = False) -> None:
        """Load what is known and begin to listen; `feed` also stands for the feed's lease."""
        await self.reload()
        self._keep(self.listen)
        if pages:
            self._keep(lambda: self.hub.run(conf.get("PACE")))
            self._keep(self.beat)
            self._keep(self.pulse)
        if feed:
            self._keep(self.stand)
            with suppress(TimeoutError):
                # so that the first page of all has prices
                await asyncio.wait_for(self.heard.wait(), FIRST_BATCH)

    async def stop(self) -> None:
        """End all tasks of `start`."""
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.in_database(close_old_connections)
        self.database.shutdown(wait=False)

    # What is listed, and last quotes

    async def reload(self) -> None:
        """Read what is listed and all last quotes, and show what differs."""
        self.catalogue = await self.in_database(load_catalogue)
        changed = self.store.keep(self.catalogue.symbols.values())
        await self.catch_up()
        self.hub.publish(changed)
        for tell in list(self.on_listing):
            tell()

    async def catch_up(self) -> None:
        """Read the last quotes from the database; what is newer here stays."""
        for version, quote in await self.in_database(records.load_last_quotes):
            self.hub.publish(self.store.put(version, [quote]))

    # The layer, in

    async def listen(self) -> None:
        """Take what the feed and the admin say through the layer, for ever."""
        layer = get_channel_layer(conf.get("CHANNEL_LAYER"))
        channel = await layer.new_channel()
        await layer.group_add(GROUP, channel)
        joined = asyncio.get_running_loop().time()
        try:
            while True:
                await self.take(await layer.receive(channel))
                if asyncio.get_running_loop().time() - joined > REJOIN_EVERY:
                    await layer.group_add(GROUP, channel)
                    joined = asyncio.get_running_loop().time()
        finally:
            await layer.group_discard(GROUP, channel)

    async def take(self, message: dict[str, Any]) -> None:
        """Take one message of the layer: a batch of the feed, or word that listings changed."""
        if message["type"] == "quotes.listing":
            await self.reload()
        elif message["type"] == "quotes.batch":
            await self.take_batch(message)

    async def take_batch(self, message: dict[str, Any]) -> None:
        """Put a batch into the store; after a gap, read what was missed from the database."""
        version = (message["epoch"], message["number"])
        if version <= self.seen:
            return
        missed = version[1] > 1 and version != (self.seen[0], self.seen[1] + 1)
        self.seen = version
        quotes = [Quote.from_wire(values) for values in message["quotes"]]
        self.hub.publish(self.store.put(version, quotes))
        if quotes:
            self.heard.set()
        self.store.outages = {
            name: datetime.fromisoformat(since) for name, since in message["outages"].items()
        }
        if missed:
            # what was missed is written down within RECORD_EVERY
            await self.catch_up()
            asyncio.get_running_loop().call_later(2 * RECORD_EVERY, self.soon, self.catch_up)

    # Pages, beside the quotes

    def choose(self, address: Address) -> tuple[Address, Selection]:
        """Choose a board's rows anew; return the address that watches them, and the choice."""
        board = self.catalogue.boards[address.board]
        rows = select(board, self.store.states, address.query, conf.get("PAGE_SIZE"))
        return replace(address, symbols=rows.codes, mark=board.mark), rows

    def rows(self, address: Address) -> str:
        """Return the message that gives a board's page other rows."""
        rows = [self.fragments.paint("row", code, address.language) for code in address.symbols]
        tbody = self.fragments.render("quotes/_rows.html", address.language, {"rows": rows})
        return addressed(tbody, "outerMorph")

    def outdated(self, address: Address) -> bool:
        """Whether a board changed since a page chose its rows."""
        board = self.catalogue.boards.get(address.board)
        return bool(address.mark) and (board is None or board.mark != address.mark)

    async def beat(self) -> None:
        """Once a second, show what grew old and what is to be said of the sources."""
        while True:
            await asyncio.sleep(BEAT)
            self.hub.publish(self.store.age())
            self.hub.tell(self.changed_notes)
            self.notes = {watch: self.notes[watch] for watch in self.hub.watches}

    def changed_notes(self, watch: Watch) -> str:
        """Return a page's notes if they are not what it was told last."""
        notes = self.fragments.about(watch)
        if self.notes.get(watch) == notes:
            return ""
        self.notes[watch] = notes
        return notes

    async def pulse(self) -> None:
        """Give every page its sign of life."""
        while True:
            await asyncio.sleep(conf.get("PULSE"))
            pulses: dict[str, str] = {}
            for language in {watch.language for watch in self.hub.watches}:
                pulses[language] = addressed(self.fragments.pulse(language))
            self.hub.tell(partial(_in_language, pulses))

    # The feed

    async def stand(self) -> None:
        """Run the feed whenever its lease is free, for ever."""
        holder = records.this_process()
        while True:
            epoch = await self.in_database(records.lead, holder)
            if epoch is not None:
                logger.info("%s leads the feed, epoch %s", holder, epoch)
                await self.lead(holder, epoch)
            await asyncio.sleep(RENEW_EVERY)

    async def lead(self, holder: str, epoch: int) -> None:
        """Run the feed until its lease is lost."""
        leading = Leading(self, epoch)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(leading.run())
            try:
                while await self.in_database(records.still_leads, holder, epoch):  # noqa: ASYNC110
                    await asyncio.sleep(RENEW_EVERY)
                logger.warning("%s lost the feed's lease of epoch %s", holder, epoch)
            finally:
                running.cancel()
                await self.in_database(records.step_down, holder, epoch)

    async def in_database(self, read: Callable[..., T], *given: Any) -> T:
        """Run a function that uses the database in the one thread kept for that."""

        def with_a_good_connection() -> T:
            close_old_connections()
            return read(*given)

        run = sync_to_async(with_a_good_connection, thread_sensitive=False, executor=self.database)
        return await run()

    def soon(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do some work in the background, once; its failure is logged."""
        self._begin(_logged(work))

    def _keep(self, work: Callable[[], Awaitable[None]]) -> None:
        self._begin(_for_ever(work))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


class Leading:
    """The feed of the process that leads: from its providers to the layer and the database."""

    def __init__(self, live: Live, epoch: int) -> None:
        self.live, self.epoch = live, epoch
        self.feed = Feed(self.publish, self.learn)
        self.providers: dict[str, Provider] = {
            name: make_provider(name, conf.get("PROVIDER_OPTIONS").get(name, {}))
            for name in conf.get("PROVIDERS")
        }
        self.unwritten: dict[str, tuple[records.Version, Quote]] = {}

    async def run(self) -> None:
        """Run the feed, follow what is listed, and write down last quotes."""
        await self.follow()
        self.live.on_listing.add(self.listing_changed)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.feed.run())
                tasks.create_task(self.record())
        finally:
            self.live.on_listing.discard(self.listing_changed)
            await self.write()
            await self.feed.aclose()

    async def follow(self) -> None:
        """Let each provider watch the symbols that are its own now."""
        wanted = [(name, provider.needs_code) for name, provider in self.providers.items()]
        divided = await self.live.in_database(records.load_instruments, wanted)
        for name, provider in self.providers.items():
            self.feed.watch(provider, divided[name])

    def listing_changed(self) -> None:
        """Follow what is listed, soon."""
        self.live.soon(self.follow)

    async def publish(self, batch: Batch) -> None:
        """Send a batch through the layer; the quotes in it are written down a little later."""
        version = (self.epoch, batch.number)
        self.unwritten |= {quote.symbol: (version, quote) for quote in batch.quotes}
        await send(
            {
                "type": "quotes.batch",
                "epoch": self.epoch,
                "number": batch.number,
                "quotes": [quote.to_wire() for quote in batch.quotes],
                "outages": {name: since.isoformat() for name, since in batch.outages.items()},
            }
        )

    async def learn(self, sizes: dict[str, Decimal]) -> None:
        """Write down tick sizes and let every process know."""
        await self.live.in_database(records.save_tick_sizes, sizes)
        await send({"type": "quotes.listing"})

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
            await self.live.in_database(records.save_last_quotes, quotes)
        except Exception:
            logger.exception("could not write %d last quotes, keeping them", len(quotes))
            self.unwritten = quotes | self.unwritten


def _in_language(texts: dict[str, str], watch: Watch) -> str:
    return texts[watch.language]


async def send(message: dict[str, Any]) -> None:
    """Send a message to every process; one that can't be sent is logged, and not tried again."""
    try:
        await get_channel_layer(conf.get("CHANNEL_LAYER")).group_send(GROUP, message)
    except Exception as error:
        logger.warning("the layer did not take a message: %s", error)


async def _logged(work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except Exception:
        logger.exception("a live part died")


async def _for_ever(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await _logged(work)
        await asyncio.sleep(RESTART_AFTER)


_live: Live | None = None
_starting: asyncio.Task[None] | None = None


def current() -> Live | None:
    """Return the live parts of this process, or None where none run."""
    return _live


async def ensure_started() -> Live:
    """Start the live parts of this process, once, and return them."""
    global _live, _starting  # noqa: PLW0603
    if _live is None or _starting is None:
        _live = Live()
        _starting = asyncio.create_task(_live.start(feed=conf.get("FEED") == "inline"))
    try:
        await asyncio.shield(_starting)
    except Exception:
        await stop()  # the next one may try again
        raise
    return _live


async def stop() -> None:
    """Stop the live parts of this process."""
    global _live, _starting
    stopping, _live, _starting = _live, None, None
    if stopping is not None:
        await stopping.stop()
