"""The live parts of a process, built and wired in one place.

    provider ──> feed ──> layer ──> store ──> hub ──> fragment ──> consumer ──> page

Every process listens to the layer. The feed runs in the process that holds its lease.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import cycle, product

from django.db import Error, OperationalError, connection

from quotes import conf, sessions
from quotes.boards import Listed
from quotes.feed.batch import Batch
from quotes.feed.records import NOTHING, Version
from quotes.fragments import Fragments
from quotes.fragments.signs import BETWEEN, TURNS
from quotes.limits import Limits
from quotes.live import changes, layer, lease
from quotes.live.beat import Beat
from quotes.live.beside import Beside
from quotes.live.charts import Charts
from quotes.live.database import DatabaseThread
from quotes.live.hub import COHORTS, Hub
from quotes.live.leader import stand
from quotes.live.ranking import Ranking
from quotes.live.reading import Edited, Reading
from quotes.live.rows import Rows
from quotes.live.sparklines import Sparklines
from quotes.live.tasks import Tasks
from quotes.live.writer import STORE_EVERY, Writer
from quotes.models import Symbol
from quotes.quote import Quote, utc_now
from quotes.search import SymbolIndex
from quotes.store import Store
from quotes.watch import Watch

logger = logging.getLogger(__name__)

REFUSED_FOR = 1.0  # seconds until an epoch that is not ours is looked up again
LOOK_EVERY = 1.0  # seconds between two checks of ages and notes
LISTEN_EVERY = 0.25  # seconds between two checks of the beat
FIRST_BATCH = 2.0  # seconds that a process with the feed waits for its first batch
CATCH_UP = 1.0  # seconds that a process without the feed waits for the unwritten quotes
# seconds after which missed quotes are in the database: usually, and of many symbols
WRITTEN_BY = (STORE_EVERY + 0.3, STORE_EVERY * 4, STORE_EVERY * 8)
READING = 1.0  # seconds that quotes wait for an answer of the database
CONNECT_AGAIN = 1.0  # seconds between two attempts to connect to the database at the start
SETTLED_AFTER = 30.0  # seconds after the start; then each symbol usually has a price
CLOSED_WITHIN = 2.0  # seconds that the end waits for the answers of the last sockets


class Live:
    """The state and the tasks of one process, from the layer to the pages."""

    def __init__(self, clock: Callable[[], datetime] = utc_now) -> None:
        self.store = Store(stale_after=conf.get("STALE_AFTER"), clock=clock, heard=False)
        self.fragments = Fragments(self.store)
        self.rows = Rows(self.store, self.fragments)
        self.hub = Hub(self.fragments)
        self.limits = Limits()
        self.tasks = Tasks()
        self.in_database = DatabaseThread()
        self.in_feed = DatabaseThread("quotes-feed")
        self.in_lease = DatabaseThread("quotes-lease")
        self.sparklines = Sparklines(self)
        self.charts = Charts(self)
        self.ranking = Ranking(self)
        self.reading = Reading(self)
        self.fragments.charts = self.charts.message
        self.fragments.listed = lambda: self.rows.listed
        self.beat = Beat(now=clock)
        self.from_layer = Beat(now=clock)  # the same, for batches of the layer only
        self.seen = NOTHING  # (epoch, batch) of the newest message
        self.refused: dict[int, float] = {}  # when to look an epoch up again, by epoch
        self.counts: Counter[str] = Counter()  # batches, gaps
        self.received = asyncio.Event()  # set with the first quotes from the layer
        self.caught_up = asyncio.Event()  # set when the feed has answered this process
        self.notes: dict[Watch, str] = {}
        self.indexed: Mapping[str, Symbol] | None = None  # what the index was made of
        self._index = SymbolIndex(())
        # called when symbols or boards change, with the codes that may have been edited
        self.on_change: set[Callable[[Edited], None]] = set()
        self.is_polled = False  # read for one request, whose page has no socket
        self.writer: Writer | None = None  # of the feed, while this process leads

    @property
    def listed(self) -> Listed:
        """The active symbols and the boards."""
        return self.rows.listed

    @property
    def index(self) -> SymbolIndex:
        """The active symbols, to be searched."""
        listed = self.listed  # templates of errors read it in other threads
        if self.indexed is not listed.symbols:  # a ranked board changes without them
            boards = [each for each in listed.boards.values() if not each.sort]
            on_boards = [code for board in boards for code in board.codes]
            symbols = listed.symbols
            self._index = SymbolIndex(
                symbols[code] for code in dict.fromkeys([*on_boards, *symbols])
            )
            self.indexed = symbols
        return self._index

    @property
    def newest(self) -> datetime:
        """When the newest quote arrived; without quotes, when this process began."""
        known = [state.quote.received_at for state in self.store.states.values() if state.quote]
        return max(known, default=self.beat.began_at)

    async def start(self, *, pages: bool = True, feed: bool = False) -> None:
        """Load symbols, boards and last quotes, then listen to the layer.

        With `feed`, also try to take the feed's lease.
        """
        await self.begin()
        self.warn_of_calendar()
        self.tasks.keep(self.listen)
        self.tasks.keep(partial(changes.look, self))
        if pages:
            self.tasks.keep(lambda: self.hub.run(conf.get("PACE")))
            self.tasks.keep(self.look)
            self.tasks.keep(self.pulse)
            self.tasks.keep(self.ranking.run)
            self.tasks.keep(Beside(self).run)
            self.tasks.keep(self.charts.run)
        self.tasks.keep(self.watch_beat)
        self.tasks.soon(settle)
        if feed:
            self.tasks.keep(partial(stand, self))
            with suppress(TimeoutError):  # so that the very first page has prices
                await asyncio.wait_for(self.received.wait(), FIRST_BATCH)
        elif pages and not layer.in_memory():
            with suppress(TimeoutError):  # so that pages that come from another process go on
                await asyncio.wait_for(self.caught_up.wait(), CATCH_UP)
        if pages:
            self.tasks.keep(self.sparklines.run)  # they are many, and prices come first

    async def begin(self) -> None:
        """Read all, again and again until that succeeds: a process may start before its database.

        The database may also go away again after the first answer.
        """
        waited = False
        while True:
            reached = False
            try:
                await self.in_lease(_connect)
                reached = True
                layer.enter(await self.in_lease(lease.deployment))
                await self.reload()
            except OperationalError as error:
                if reached and "no such table" in str(error):
                    raise  # other databases than SQLite report this by another error
                if not waited:
                    logger.warning("waiting for the database: %s", error)
                waited = True
                await asyncio.sleep(CONNECT_AGAIN)
            else:
                break
        if waited:
            logger.info("the database is there")

    async def stop(self) -> None:
        """End all tasks of `start`."""
        await self.tasks.stop()
        await self.in_lease.close()
        await self.in_feed.close()
        await self.in_database.close()

    async def close_sockets(self, code: int) -> None:
        """Refuse new sockets, and close the open ones with a code, one after the other.

        Wait until the clients have answered. If the process ended earlier, the system would reset
        their connections, and they would not get the code.
        """
        self.limits.server_ends = True
        await self.hub.close(code)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSED_WITHIN):
                await self.limits.empty.wait()

    # Symbols, boards and last quotes

    @property
    def changes(self) -> int:
        """The number of the newest change of symbols and boards that was read."""
        return self.reading.number

    async def reload(self) -> None:
        """Read symbols, boards and last quotes, and show what changed."""
        await self.reading.everything()

    async def refresh(self) -> None:
        """Read what changed, unless that takes long: then it is shown later."""
        await self.reading.soon("changes")

    async def refresh_quotes(self) -> None:
        """Read the quotes that were stored since the last time."""
        await self.reading.soon("quotes")

    def put(self, quotes: Iterable[tuple[Version, Quote]]) -> None:
        """Show quotes that did not arrive in a batch; newer ones in the store stay."""
        for version, quote in quotes:
            self.hub.publish(self.store.put(version, [quote]))

    def warn_of_calendar(self) -> None:
        """Log the exchanges whose calendar ends soon."""
        markets = {(each.exchange, each.kind) for each in self.listed.symbols.values()}
        ends = sessions.last_days(markets, self.store.clock().date())
        if ends:
            days = ", ".join(f"{name} ({day})" for name, day in ends.items())
            logger.warning(
                "the calendar of market hours ends soon: %s; nothing to do before that day", days
            )

    # Messages from the layer

    async def listen(self) -> None:
        """Read batches and notices of changes from the layer, forever."""
        async for message in layer.listen(lambda: self.seen):
            match message:
                case layer.Published(epoch, batch):
                    await self.take(epoch, batch)
                case layer.Unwritten(epoch, quotes):
                    await self.take_unwritten(epoch, quotes)
                case layer.Joined(channel) if self.writer:
                    await self.writer.send_unwritten(channel)
                case layer.Change(listed):
                    await self.reading.soon("changes" if listed else "everything")

    async def take(self, epoch: int, batch: Batch, *, known: bool = False) -> None:
        """Put a batch into the store; after a gap, read the missed quotes from the database.

        `known` means that its epoch certainly belongs to our database.
        """
        version = (epoch, batch.number)
        if version <= self.seen:
            return
        newer = epoch > self.seen[0]
        if newer and not known and not await self.begins(epoch):
            layer.ignored["foreign"] += 1
            return
        if version <= self.seen:  # a newer one came meanwhile
            return
        missed = version != (self.seen[0], self.seen[1] + 1)
        first, self.seen = self.seen == NOTHING, version
        self.counts["batches"] += 1
        self.from_layer.hear()
        self.heard()
        self.hub.publish(self.store.put(version, batch.quotes))
        self.hub.publish(self.store.fail(batch.outages))
        if batch.quotes:
            self.received.set()
        if missed:
            if not first:  # before the first one, everything was read at the start
                self.counts["gaps"] += not newer
                await self.refresh_quotes()
            for wait in WRITTEN_BY:
                asyncio.get_running_loop().call_later(wait, self.tasks.soon, self.refresh_quotes)

    async def take_unwritten(self, epoch: int, quotes: list[tuple[int, Quote]]) -> None:
        """Show the quotes that a feed could not write, and those that it wrote until now.

        So a process that starts while the feed waits for its database shows no earlier prices
        than the processes that were there before it.
        """
        if epoch > self.seen[0] and not await self.begins(epoch):
            layer.ignored["foreign"] += 1
            return
        self.put([((epoch, number), quote) for number, quote in quotes])
        with suppress(Error, TimeoutError):  # what can't be read is among the unwritten quotes
            async with asyncio.timeout(READING):
                await self.reading.quotes()
        self.caught_up.set()

    async def begins(self, epoch: int) -> bool:
        """Return whether a new epoch belongs to our database.

        If the database does not answer, refuse the new epoch while batches of the old one arrive,
        and accept it when they have stopped.
        """
        if self.beat.clock() < self.refused.get(epoch, 0.0):
            return False
        try:
            async with asyncio.timeout(READING):
                begins = epoch <= await self.in_lease(lease.epoch)
        except (Error, TimeoutError):
            begins = self.beat.stopped or self.seen == NOTHING
        self.refused = {} if begins else {epoch: self.beat.clock() + REFUSED_FOR}
        return begins

    def silence(self) -> float:
        """Return the seconds since the newest batch from the layer."""
        return self.from_layer.silence

    def show(self, quotes: list[tuple[Version, Quote]]) -> None:
        """Show quotes from the database, of a feed that works but is not heard."""
        self.heard()
        self.put(quotes)

    # Stale prices, notes and pulses

    async def look(self) -> None:
        """Once a second, show which prices became stale and which notes changed."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self.hub.publish(self.store.age())
            self.hub.send(self.changed_notes)
            self.notes = {watch: self.notes[watch] for watch in self.hub.watches}

    def changed_notes(self, watch: Watch) -> str:
        """Return a page's notes if they differ from the last ones sent, else ""."""
        notes = self.fragments.about(watch)
        if self.notes.get(watch) == notes:
            return ""
        self.notes[watch] = notes
        return notes

    async def pulse(self) -> None:
        """Send every page its pulse, one cohort after the other.

        Pages that get it at the same moment also send requests at the same moment after a silence.
        """
        for turn, cohort in cycle(product(TURNS, range(COHORTS))):
            await asyncio.sleep(conf.get("PULSE") / COHORTS)
            self.send_sign(turn, cohort)

    def send_sign(self, turn: int = BETWEEN, cohort: int | None = None) -> None:
        """Send every page, or a cohort, the pulse of the process as it is now."""
        editions = {watch.edition for watch in self.hub.watches}
        signs = {each: self.fragments.signs.sign(each, turn=turn) for each in editions}
        self.hub.send(lambda watch: signs[watch.edition], cohort)

    async def watch_beat(self) -> None:
        """Notice when the feed falls silent, forever."""
        while True:
            await asyncio.sleep(LISTEN_EVERY)
            if self.beat.listen():
                self.prices_stopped()

    def prices_stopped(self) -> None:
        """Show on all pages that the process no longer hears the feed."""
        at = self.store.stop(self.beat.heard_at or self.newest)
        logger.warning(
            "no batch of the feed for %.0f s: pages show that prices stopped at %s",
            self.beat.silence,
            at.isoformat(timespec="seconds"),
        )
        self.send_sign()

    def heard(self) -> None:
        """Note that a batch was accepted, and show it if pages were not live."""
        silence, first = self.beat.silence, self.beat.heard_at is None
        had_stopped = self.beat.hear()
        if had_stopped:
            logger.info("batches of the feed arrive again, after %.0f s", silence)
        if had_stopped or first:
            self.store.stopped_at, self.store.heard = None, True
            self.send_sign()


async def settle() -> None:
    """Leave what was read at the start out of each search for garbage: it stays."""
    await asyncio.sleep(SETTLED_AFTER)
    gc.collect()
    gc.freeze()


def _connect() -> None:
    connection.ensure_connection()  # the connection of the thread that runs this
