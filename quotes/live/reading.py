"""Reading: symbols, boards and last quotes from the database, and again what changed of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from itertools import chain
from typing import Literal, NamedTuple, Protocol

from django.db import Error

from quotes import sessions
from quotes.boards import Listed, load_changes, load_listed
from quotes.feed import records
from quotes.feed.records import NOTHING, Version
from quotes.fragments import Fragments
from quotes.live import journal, lease
from quotes.live.charts import Charts
from quotes.live.database import DatabaseThread
from quotes.live.hub import Hub
from quotes.live.ranking import Ranking
from quotes.live.rows import Rows
from quotes.live.sparklines import Sparklines
from quotes.live.tasks import Tasks
from quotes.models import MarketDay, Override, Symbol
from quotes.quote import Quote
from quotes.store import Store

logger = logging.getLogger(__name__)

READ_WITHIN = 1.0  # seconds that others wait until all is read
READ_AGAIN = 5.0  # seconds after which a database that did not answer is read again

What = Literal["changes", "quotes", "everything"]
Edited = Collection[str] | None  # the codes of symbols that may have been edited; None for all


class Found(NamedTuple):
    """What was found in the database; without `listed`, no symbol and no board changed."""

    number: int  # of the newest change
    listed: Listed | None = None
    overrides: Mapping[str, list[Override]] = {}
    hours: sessions.Corrections | None = None
    edited: Edited = None


class Live(Protocol):
    """The live parts of the process that show what was read."""

    store: Store
    rows: Rows
    ranking: Ranking
    hub: Hub
    charts: Charts
    sparklines: Sparklines
    fragments: Fragments
    tasks: Tasks
    in_database: DatabaseThread
    on_change: set[Callable[[Edited], None]]

    def put(self, quotes: Collection[tuple[Version, Quote]]) -> None:
        """Show quotes that did not arrive in a batch."""


class Reading:
    """What this process has read from the database, and what it is to read again."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.number = 0  # of the newest change that was read
        self.stored = NOTHING  # the version up to which last quotes were read
        self.wanted: set[What] = set()
        self.task: asyncio.Task[None] | None = None
        self.alone = asyncio.Lock()  # held while symbols and boards are read and listed

    async def soon(self, what: What) -> None:
        """Read something again; return after READ_WITHIN seconds even if it is not read yet."""
        self.wanted.add(what)
        if self.task is None or self.task.done():
            self.task = self.live.tasks.soon(self._run)
        await asyncio.wait([self.task], timeout=READ_WITHIN)

    async def everything(self) -> None:
        """Read symbols, boards, market days and last quotes, and show what changed."""
        async with self.alone:
            await self._take(await self.live.in_database(_read))

    async def changes(self) -> None:
        """Read what changed since the last time, and show it."""
        async with self.alone:
            known = self.live.rows.listed
            await self._take(await self.live.in_database(_read_changes, self.number, known))

    async def _take(self, found: Found) -> None:
        if found.hours is not None:
            sessions.correct(found.hours)
        if found.listed is not None:
            new = self._list(found.listed, found.overrides)
            await self._show(new, found.edited)
        self.number = found.number

    async def quotes(self) -> None:
        """Read the quotes that were stored since the last time; newer ones in the store stay."""
        stored, newer = await self.live.in_database(read_newer, self.stored)
        self.live.put(newer)
        self.stored = stored

    async def _run(self) -> None:
        """Read what is wanted. Repeat if more was wanted meanwhile, or if that failed.

        Only one task runs, because tasks would pile up while the database hangs.
        """
        failing = False
        while self.wanted:
            wanted, self.wanted = self.wanted, set()
            try:
                await (self.everything() if "everything" in wanted else self.changes())
                if "quotes" in wanted:
                    await self.quotes()
            except Error as error:
                level = logging.DEBUG if failing else logging.WARNING
                words = "could not read symbols, boards and last quotes, trying again: %s"
                logger.log(level, words, error)
                self.wanted |= wanted
                failing = True
                await asyncio.sleep(READ_AGAIN)

    def _list(self, listed: Listed, overrides: Mapping[str, list[Override]]) -> set[str]:
        """List these symbols and boards; return the codes of symbols that are new or edited."""
        # nothing waits here, so that no page mixes old parts with new ones
        known, chains = self.live.rows.listed, listed.chains
        symbols, before = known.symbols, known.chains
        self.live.rows.listed, self.live.store.chains = listed.keeping(known), chains
        new = self.live.store.keep(listed.symbols.values()) | self.live.store.override(overrides)
        edited = _edited(symbols, listed.symbols)
        edited |= {code for code in before.keys() | chains if before.get(code) != chains.get(code)}
        self.live.charts.renew(edited)
        self.live.sparklines.read_again(edited)
        self.live.fragments.known.read_again(edited)
        return new

    async def _show(self, new: set[str], edited: Edited) -> None:
        """Show new and edited symbols with their quotes, and update the rows of open pages."""
        try:
            if edited is None:
                await self.quotes()
            elif unpriced := {code for code in {*new, *edited} if self._lacks_quote(code)}:
                self.live.put(await self.live.in_database(records.load_last_quotes, unpriced))
        finally:  # what is listed already is not found as a change again
            self.live.ranking.settle()
            self.live.hub.publish(new)
            self._notify(edited)

    def _notify(self, edited: Edited) -> None:
        with self.live.rows.shared():
            for notify in list(self.live.on_change):
                try:
                    notify(edited)
                except Exception:
                    logger.exception("could not update the rows of a page")

    def _lacks_quote(self, code: str) -> bool:
        state = self.live.store.states.get(code)
        return state is not None and state.quote is None


def read_newer(than: Version) -> tuple[Version, list[tuple[Version, Quote]]]:
    """Return the version up to which quotes are stored, and those that are newer than another."""
    stored = lease.newest_stored()  # first, so that quotes stored meanwhile are read next time
    return stored, records.load_newer_quotes(than)


def _read() -> Found:
    """Read symbols, boards and market days."""
    number = lease.changes()  # first, because what changes meanwhile is to be read again
    return Found(number, load_listed(), Override.by_code(), MarketDay.corrections())


def _read_changes(number: int, known: Listed) -> Found:
    """Read what changed after a number, in one visit to the thread of the database.

    Each visit of its own would wait for the turn of a busy event loop.
    """
    changed = journal.since(number)
    if changed is None:
        return _read()
    hours = MarketDay.corrections() if changed.hours else None
    if not changed.symbols and not changed.boards:
        return Found(changed.number, hours=hours)
    listed = load_changes(known, changed.symbols, changed.boards)
    both = chain(known.symbols.values(), listed.symbols.values())
    edited = {each.code for each in both if each.pk in changed.symbols}
    return Found(changed.number, listed, Override.by_code(), hours, edited)


def _edited(before: Mapping[str, Symbol], now: Mapping[str, Symbol]) -> set[str]:
    """Return the codes of symbols with other candles, or other splits, than they had before."""
    edited = before.keys() ^ now.keys()
    return edited | {
        code
        for code in before.keys() & now.keys()
        if before[code] is not now[code] and _differ(before[code], now[code])
    }


def _differ(symbol: Symbol, edited: Symbol) -> bool:
    names = ("pk", "kind", "exchange", "start")
    unlike = any(getattr(symbol, name) != getattr(edited, name) for name in names)
    return unlike or symbol.adjustments != edited.adjustments
