"""The live parts of a process, built and wired in one place.

    provider ──> feed ──> layer ──> store ──> hub ──> fragment ──> consumer ──> page

Every process listens to the layer. The feed runs in the process that holds its lease.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from itertools import cycle
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import Error, connections

from quotes import conf, sessions
from quotes.addresses import Address
from quotes.boards import BoardView, Catalogue, Selection, load_catalogue, select
from quotes.feed import records
from quotes.feed.feed import Batch
from quotes.fragments import Fragments, Watch, addressed
from quotes.limits import Limits
from quotes.live import layer
from quotes.live.hub import COHORTS, Hub
from quotes.live.leader import RECORD_EVERY, stand
from quotes.store import Store

logger = logging.getLogger(__name__)

MOST_LOGGED = 20  # statements that debug mode keeps; elsewhere the next request forgets them
BEAT = 1.0  # seconds between two looks at ages and notes
RESTART_AFTER = 1.0  # seconds
FIRST_BATCH = 2.0  # seconds that a process which runs the feed waits for it at its start
# seconds after which what a process missed is in the database, mostly and for sure
WRITTEN_BY = (RECORD_EVERY + 0.5, RECORD_EVERY * 3)
READING = 1.0  # seconds that quotes wait for the database, so that new symbols are known first
READ_AGAIN = 5.0  # seconds after which a database that did not answer is asked again

T = TypeVar("T")
Rechoose = Callable[[Address], tuple[Address, str]]
OnListing = Callable[[Rechoose], None]


class Live:
    """What one process knows and does, from the layer to the pages."""

    def __init__(self) -> None:
        self.catalogue = Catalogue()
        self.store = Store(stale_after=conf.get("STALE_AFTER"))
        self.fragments = Fragments(self.store)
        self.hub = Hub(self.fragments)
        self.limits = Limits()
        self.seen = (0, 0)  # (epoch, batch) of the newest message
        self.counts: Counter[str] = Counter()  # batches, gaps
        self.heard = asyncio.Event()  # set with the first quotes from the layer
        self.notes: dict[Watch, str] = {}
        self.on_listing: set[OnListing] = set()  # told when what is listed changed
        self.acts = 0  # how often somebody said that it did
        self.database = ThreadPoolExecutor(1, thread_name_prefix="quotes-database")
        self.tasks: set[asyncio.Task[None]] = set()
        self.stopped = False

    async def start(self, *, pages: bool = True, feed: bool = False) -> None:
        """Load what is known and begin to listen; `feed` also stands for the feed's lease."""
        await self.reload()
        self.warn_of_calendar()
        self._keep(self.listen)
        if pages:
            self._keep(lambda: self.hub.run(conf.get("PACE")))
            self._keep(self.beat)
            self._keep(self.pulse)
        if feed:
            self._keep(partial(stand, self))
            with suppress(TimeoutError):
                # so that the first page of all has prices
                await asyncio.wait_for(self.heard.wait(), FIRST_BATCH)

    async def stop(self) -> None:
        """End all tasks of `start`."""
        self.stopped = True  # a TaskGroup that fails while it is cancelled would go on
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.in_database(connections.close_all)
        self.database.shutdown(wait=False)

    # What is listed, and last quotes

    async def reload(self) -> None:
        """Read what is listed and all last quotes, and show what differs."""
        self.catalogue = await self.in_database(load_catalogue)
        chains = await self.in_database(records.load_chains, conf.get("PROVIDERS"))
        self.store.asked_of = {code: tuple(chain) for code, chain in chains.items()}
        changed = self.store.keep(self.catalogue.symbols.values())
        await self.catch_up()
        self.hub.publish(changed)
        rechoose = cache(self.rechoose)  # pages of the same address get the same rows
        for tell in list(self.on_listing):
            try:
                tell(rechoose)
            except Exception:
                logger.exception("a page could not be told what is listed now")

    async def catch_up(self) -> None:
        """Read the last quotes from the database; what is newer here stays."""
        for version, quote in await self.in_database(records.load_last_quotes):
            self.hub.publish(self.store.put(version, [quote]))

    def warn_of_calendar(self) -> None:
        """Let the log say of which exchanges the hours will soon not be known any more."""
        listed = {symbol.exchange for symbol in self.catalogue.symbols.values()}
        ends = sessions.ending(listed, self.store.clock().date())
        if ends:
            said = ", ".join(f"{name} ({day})" for name, day in ends.items())
            logger.warning("market hours are known until these days only: %s", said)

    # The layer, in

    async def listen(self) -> None:
        """Take what the feed and the admin say through the layer, for ever."""
        async for heard in layer.listen():
            if heard.batch is None:
                self.acts += heard.acted
                await self.refresh()
            else:
                await self.take(heard.epoch, heard.batch)

    async def take(self, epoch: int, batch: Batch) -> None:
        """Put a batch into the store; after a gap, read what was missed from the database."""
        version = (epoch, batch.number)
        if version <= self.seen:
            return
        missed = batch.number > 1 and version != (self.seen[0], self.seen[1] + 1)
        self.seen = version
        self.counts["batches"] += 1
        self.hub.publish(self.store.put(version, batch.quotes))
        self.store.outages = batch.outages
        if batch.quotes:
            self.heard.set()
        if missed:
            self.counts["gaps"] += 1
            await self.refresh()
            for wait in WRITTEN_BY:
                asyncio.get_running_loop().call_later(wait, self.soon, self.reread)

    async def refresh(self) -> None:
        """Read everything anew; a database that takes its time does not keep quotes waiting."""
        await asyncio.wait([self.soon(self.reread)], timeout=READING)

    async def reread(self) -> None:
        """Read everything anew, and if the database does not answer, again a little later."""
        try:
            await self.reload()
        except Error as error:
            logger.warning("could not read what is listed, trying again: %s", error)
            asyncio.get_running_loop().call_later(READ_AGAIN, self.soon, self.reread)

    # Pages, beside the quotes

    def choose(self, address: Address) -> tuple[Address, Selection]:
        """Choose a board's rows anew; return the address that watches them, and the choice."""
        board = self.catalogue.boards.get(address.board, BoardView(address.board))
        rows = select(board, self.store.states, address.query, conf.get("PAGE_SIZE"))
        return replace(address, symbols=rows.codes, mark=board.mark), rows

    def rechoose(self, address: Address) -> tuple[Address, str]:
        """Choose a board's rows anew; return their address, and the message that shows them."""
        chosen, _ = self.choose(address)
        rows = [self.fragments.paint("row", code, chosen.language) for code in chosen.symbols]
        tbody = self.fragments.render("quotes/_rows.html", chosen.language, {"rows": rows})
        return chosen, addressed(tbody, "outerMorph")

    def outdated(self, address: Address) -> bool:
        """Whether a board changed since a page chose its rows."""
        board = self.catalogue.boards.get(address.board, BoardView(address.board))
        return bool(address.board) and address.mark not in ("", board.mark)

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
        """Give every page its sign of life, cohort after cohort.

        Pages that were told in the same moment would also ask in the same moment, were a server
        silent for long.
        """
        for cohort in cycle(range(COHORTS)):
            await asyncio.sleep(conf.get("PULSE") / COHORTS)
            languages = {watch.language for watch in self.hub.watches}
            pulses = {each: addressed(self.fragments.pulse(each)) for each in languages}
            self.hub.tell(partial(_in_language, pulses), cohort)

    # Work beside

    async def in_database(self, read: Callable[..., T], *given: Any) -> T:
        """Run a function that uses the database in the one thread kept for that."""

        def with_a_good_connection() -> T:
            for connection in connections.all(initialized_only=True):
                connection.close_at = None  # this thread is none of a request: it keeps them
                if connection.queries_log.maxlen != MOST_LOGGED:
                    connection.queries_log = deque(connection.queries_log, MOST_LOGGED)
                connection.close_if_unusable_or_obsolete()
            return read(*given)

        run = sync_to_async(with_a_good_connection, thread_sensitive=False, executor=self.database)
        return await run()

    def soon(self, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Do some work in the background, once; its failure is logged."""
        return self._begin(_logged(work))

    def _keep(self, work: Callable[[], Awaitable[None]]) -> None:
        self._begin(self._for_ever(work))

    async def _for_ever(self, work: Callable[[], Awaitable[None]]) -> None:
        while not self.stopped:
            await _logged(work)
            await asyncio.sleep(RESTART_AFTER)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task


def _in_language(texts: dict[str, str], watch: Watch) -> str:
    return texts[watch.language]


async def _logged(work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except Exception:
        logger.exception("a live part died")
