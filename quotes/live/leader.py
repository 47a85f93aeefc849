"""The leader: runs the feed in the one process that holds its lease."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Protocol

from django.db import Error

from quotes import conf
from quotes.candles.tending import CandleHistory
from quotes.feed import records
from quotes.feed.batch import Batch
from quotes.feed.chains import load_chains
from quotes.feed.configured import configured_providers
from quotes.feed.feed import Chain, Feed
from quotes.feed.held import Held
from quotes.live import changes, layer, lease
from quotes.live.beat import Beat
from quotes.live.database import DatabaseThread
from quotes.live.instruments import DailyLists
from quotes.live.missing import Missing
from quotes.live.reading import Edited
from quotes.live.tasks import Tasks
from quotes.live.writer import Writer
from quotes.providers import Provider
from quotes.quote import Quote, utc_now

logger = logging.getLogger(__name__)

RENEW_EVERY = 0.5  # seconds between two renewals of the lease, or two attempts to take it
COMPARED = timedelta(days=1)  # the feed's first prices are not compared with older ones
BEATING = 2.0  # seconds: a refused epoch that is not refused again by then is no longer heard
BEGIN_AGAIN = 5.0  # seconds after a feed could not begin, so that another process may lead
FOLLOW_AGAIN = 1.0  # seconds after which codes that could not be read are read again
BEGIN_WITHIN = 10.0  # seconds without an answer while a feed begins; the database may hang
END_WITHIN = 3.0  # seconds to store the last quotes; the database may hang


class Live(Protocol):
    """The live parts of the process that the leader uses."""

    tasks: Tasks
    beat: Beat
    in_database: DatabaseThread
    in_feed: DatabaseThread  # for what the feed stores, so that edits and pages do not wait for it
    in_lease: DatabaseThread  # for the lease, so that renewals do not wait for other work
    on_change: set[Callable[[Edited], None]]

    @property
    def changes(self) -> int:
        """The number of the newest change of symbols and boards that was read."""

    seen: tuple[int, int]  # (epoch, batch) of the newest batch that was accepted
    writer: Writer | None  # of the feed, while this process leads
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
        self.history = CandleHistory(live.in_feed)
        self.providers = configured_providers()  # kept from epoch to epoch with their budgets
        self.unanswered = False
        self.keeps_candles = False  # whether the last write of an earlier epoch's candles failed
        self.renewed = 0.0  # when the lease was last renewed, by the steady clock

    async def stand(self) -> None:
        """Run the feed whenever its lease is free, forever."""
        while True:
            epoch = await self._query(lease.take)
            if epoch is not None:
                logger.info("%s leads the feed, epoch %s", self.holder, epoch)
                if not await self._lead(epoch):
                    await asyncio.sleep(BEGIN_AGAIN)
            if self.history.candles.waiting:
                await self._write_rest()
            await asyncio.sleep(RENEW_EVERY)

    async def _lead(self, epoch: int) -> bool:
        """Lead until the lease is lost; return whether the feed could begin."""
        async with asyncio.TaskGroup() as tasks:
            leader = Leader(self.live, epoch, self.history, self.providers)
            running = tasks.create_task(leader.run())
            try:
                await self._hold(epoch, running)
            finally:
                running.cancel()
                await asyncio.wait([running])  # it stores its last quotes
                with suppress(TimeoutError):
                    async with asyncio.timeout(END_WITHIN):
                        await self._query(lease.give_back, epoch)
        return leader.began

    async def _write_rest(self) -> None:
        """Write the candles that could not be written while this process led."""
        try:
            async with asyncio.timeout(END_WITHIN):
                await self.history.write()
        except (Error, TimeoutError) as error:
            # one line per outage, not one for each attempt
            level = logging.DEBUG if self.keeps_candles else logging.WARNING
            words = "could not store earlier candles, keeping them: %s"
            logger.log(level, words, str(error) or "no answer")
            self.keeps_candles = True
        else:
            self.keeps_candles = False

    async def _hold(self, epoch: int, running: asyncio.Task[None]) -> None:
        """Lead until the database reports that the lease is lost, or a newer feed is heard.

        If the database does not answer, the feed goes on: prices need no database. A feed that
        could not begin gives the lease back.
        """
        renewing = asyncio.create_task(self._renew(epoch))
        both = (renewing, running)
        try:
            while not any(each.done() for each in both) and not self._is_replaced(epoch):
                await asyncio.wait(both, timeout=RENEW_EVERY, return_when=asyncio.FIRST_COMPLETED)
            if renewing.done():
                renewing.result()  # raises an unexpected error
        finally:
            renewing.cancel()
        if not running.done():
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
        now = self.live.beat.clock()
        beating = [each for each, until in self.live.refused.items() if now < until + BEATING]
        refused = max(beating, default=0)
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
        self.writer = Writer(live.in_feed, epoch, self.feed, providers, history)
        self.chains: dict[str, Chain] = {}  # by code, sorted
        self.changes = live.changes
        self.began = False
        self.unread = False  # whether the last reading of codes failed; a line per outage

    async def run(self) -> None:
        """Run the feed, follow changes of symbols and boards, and store what it accepts."""
        try:
            await self._begin()
        except (Error, TimeoutError) as error:
            words = "could not read what the feed needs, giving the lease back: %s"
            logger.warning(words, str(error) or f"no answer within {BEGIN_WITHIN:.0f} s")
            return
        self.began = True
        self.live.on_change.add(self.symbols_changed)
        self.live.writer = self.writer
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.feed.run())
                tasks.create_task(self.writer.keep_writing())
                tasks.create_task(self.history.maintain(self.feed, self.providers))
                tasks.create_task(DailyLists(self.providers).keep())
                tasks.create_task(Missing(self.feed, self.live.in_database).run())
        finally:
            self.live.writer = None
            self.live.on_change.discard(self.symbols_changed)
            with suppress(TimeoutError):
                async with asyncio.timeout(END_WITHIN):
                    await self.writer.write_all()
            self.history.end()
            await self.feed.aclose()

    async def _begin(self) -> None:
        """Begin; raise TimeoutError if the database gives no answer for BEGIN_WITHIN seconds.

        With many symbols on a busy machine, all the answers together take longer.
        """
        beginning = asyncio.create_task(self.begin())
        try:
            while not beginning.done():
                answers = self._answers()
                await asyncio.wait([beginning], timeout=BEGIN_WITHIN)
                if not beginning.done() and self._answers() == answers:
                    raise TimeoutError
            await beginning
        finally:
            beginning.cancel()
            await asyncio.wait([beginning])

    def _answers(self) -> int:
        return self.live.in_database.answers + self.live.in_feed.answers

    async def begin(self) -> None:
        """Continue from what earlier feeds stored."""
        self.writer.take_uses(await self.live.in_database(records.load_uses), {})
        await self.history.lead(self.epoch)
        oldest = utc_now() - COMPARED
        held = await self.live.in_database(records.resume_held_prices, oldest)
        split = {each.symbol for each in await self.live.in_database(records.load_splits)}
        last = [
            quote
            for _, quote in await self.live.in_database(records.load_last_quotes)
            # only a price from before a split can show whether the source made it
            if quote.received_at >= oldest or quote.symbol in split
        ]
        self.remember(last, held)
        await self.follow()

    def remember(self, last: Iterable[Quote], held: Iterable[Held]) -> None:
        """Give the feed the last prices of the previous feed, to compare its first prices with."""
        real = {name for name, provider in self.providers.items() if not provider.invented}
        self.feed.remember((quote for quote in last if quote.provider in real), held)

    async def follow(self, edited: Edited = None) -> None:
        """Give the feed the active symbols with their codes, their splits, and decisions.

        Read those of the symbols that may have been edited, or of all.
        """
        read = await self.live.in_database(load_chains, list(self.providers), edited)
        kept = {} if edited is None else {c: v for c, v in self.chains.items() if c not in edited}
        self.chains = dict(sorted((kept | read).items()))  # in another order streams would restart
        acted, self.changes = self.live.changes != self.changes, self.live.changes
        if self.feed.chains and (new := self.chains.keys() - self.feed.chains.keys()):
            await self.history.resume(new)  # before the first quote of a renamed symbol
        self.feed.follow(self.providers.values(), self.chains, acted)
        self.feed.follow_splits(await self.live.in_database(records.load_splits))
        self.feed.decide(await self.live.in_database(records.load_decisions))

    def symbols_changed(self, edited: Edited) -> None:
        """Follow a change of symbols or boards, soon."""
        self.live.tasks.soon(partial(self._follow, edited))

    async def _follow(self, edited: Edited) -> None:
        """Follow a change; repeat it while the database does not answer."""
        while not self.feed.ended:
            try:
                await self.follow(edited)
            except Error as error:
                words = "could not read the codes of symbols for providers, trying again: %s"
                logger.log(logging.DEBUG if self.unread else logging.WARNING, words, error)
                self.unread = True
                await asyncio.sleep(FOLLOW_AGAIN)
            else:
                self.unread = False
                return

    async def publish(self, batch: Batch) -> None:
        """Hand a batch to this process, and to the others through the layer.

        Its quotes are stored a little later. A layer in memory has no other process.
        """
        self.writer.add(batch)
        taken = self.live.take(self.epoch, batch, known=True)
        if layer.in_memory():
            await taken
        else:
            await asyncio.gather(taken, layer.send_batch(self.epoch, batch))

    async def learn(self, sizes: dict[str, Decimal]) -> None:
        """Store tick sizes and let every process read them."""
        saved = await self.live.in_database(records.save_tick_sizes, sizes)
        await changes.announce(self.live.in_database, saved)
