"""Reading: symbols, boards and last quotes from the database, and again what changed of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Literal, Protocol

from django.db import Error

from quotes import sessions
from quotes.boards import Listed, load_changes, load_listed
from quotes.feed import records
from quotes.feed.records import NOTHING
from quotes.fragments import Fragments
from quotes.live import journal, lease
from quotes.live.charts import Charts
from quotes.live.database import DatabaseThread
from quotes.live.hub import Hub
from quotes.live.journal import Changed
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

    def put(self, quotes: Collection[tuple[records.Version, Quote]]) -> None:
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
            await self._everything()

    async def _everything(self) -> None:
        query = self.live.in_database
        number = await query(lease.changes)
        listed = await query(load_listed)
        corrections = await query(MarketDay.corrections)
        overrides = await query(Override.by_code)
        sessions.correct(corrections)
        new = self._list(listed, overrides)
        await self._show(new, None)
        self.number = number

    async def changes(self) -> None:
        """Read what changed since the last time, and show it."""
        async with self.alone:
            await self._changes()

    async def _changes(self) -> None:
        query = self.live.in_database
        changed = await query(journal.since, self.number)
        if changed is None:
            await self._everything()
            return
        if changed.hours:
            sessions.correct(await query(MarketDay.corrections))
        if changed.symbols or changed.boards:
            await self._read(changed)
        self.number = changed.number

    async def _read(self, changed: Changed) -> None:
        query, known = self.live.in_database, self.live.rows.listed
        listed = await query(load_changes, known, changed.symbols, changed.boards)
        both = [*known.symbols.values(), *listed.symbols.values()]
        edited = {each.code for each in both if each.pk in changed.symbols}
        overrides = await query(Override.by_code)
        new = self._list(listed, overrides)
        await self._show(new, edited)

    async def quotes(self) -> None:
        """Read the quotes that were stored since the last time; newer ones in the store stay."""
        stored = await self.live.in_database(lease.newest_stored)
        self.live.put(await self.live.in_database(records.load_newer_quotes, self.stored))
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
