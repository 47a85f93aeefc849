"""Changes: after one of symbols, boards or market days is committed, every process is notified."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from asgiref.sync import async_to_sync
from django.db import DEFAULT_DB_ALIAS, Error, models, transaction
from django.db.models.signals import post_delete, post_save

from quotes.candles.backfill import InDatabase
from quotes.live import journal, layer, lease
from quotes.live.database import DatabaseThread
from quotes.live.journal import Thing
from quotes.models import (
    Alias,
    Board,
    BoardSymbol,
    Change,
    MarketDay,
    Override,
    ProviderSymbol,
    Split,
    Symbol,
)

LOOK_EVERY = 1.0  # seconds

# What a process reads again after a row of these was saved or deleted.
THINGS: dict[type[models.Model], Callable[[Any], Thing]] = {
    Symbol: lambda row: (Change.What.SYMBOL, row.pk),
    ProviderSymbol: lambda row: (Change.What.SYMBOL, row.symbol_id),
    Alias: lambda row: (Change.What.SYMBOL, row.symbol_id),
    Override: lambda row: (Change.What.SYMBOL, row.symbol_id),
    Split: lambda row: (Change.What.SYMBOL, row.symbol_id),
    Board: lambda row: (Change.What.BOARD, row.pk),
    BoardSymbol: lambda row: (Change.What.BOARD, row.board_id),
    MarketDay: lambda row: (Change.What.HOURS, 0),
}


class Live(Protocol):
    """The attributes of `live.Live` that `look` uses."""

    in_database: DatabaseThread

    @property
    def changes(self) -> int:
        """The number of the newest change of symbols and boards that was read."""

    async def refresh(self) -> None:
        """Read the symbols, boards and market days that changed."""


async def look(live: Live) -> None:
    """Look for changes once a second, forever: the layer may have lost the notice of one.

    Another process may even have ended between a transaction and its notice. So a mark that was
    there a second ago is counted here.
    """
    before: set[int] = set()
    while True:
        await asyncio.sleep(LOOK_EVERY)
        with suppress(Error):  # an outage of the database is logged by others
            found, number = await live.in_database(_look)
            if lost := found & before:
                await live.in_database(journal.enter_lost, lost)
            before = found
            if lost or number != live.changes:
                await live.refresh()


def _look() -> tuple[set[int], int]:
    return journal.marks(), lease.changes()


@dataclass(eq=False)
class Notice:
    """What a transaction has changed so far; called after it, it notifies every process."""

    marked: int | None  # outside of a transaction, nothing lies between a change and its notice
    things: set[Thing] = field(default_factory=set)

    def __call__(self) -> None:
        send(self.things, self.marked)


def changed(sender: type[models.Model], instance: models.Model, using: str, **kwargs: Any) -> None:
    """After the transaction, notify every process once."""
    notify([THINGS[sender](instance)], using)


def notify(things: Collection[Thing], using: str = DEFAULT_DB_ALIAS) -> None:
    """After the transaction, notify every process once that these things changed."""
    connection = transaction.get_connection(using)
    # a form saves a board and its hundred positions in one transaction
    waiting = (each for _, each, *_ in connection.run_on_commit if isinstance(each, Notice))
    notice = next(waiting, None)
    if is_new := notice is None:
        notice = Notice(journal.mark(using) if connection.in_atomic_block else None)
    notice.things.update(things)
    if is_new:
        transaction.on_commit(notice, using=using, robust=True)


for model in THINGS:
    post_save.connect(changed, sender=model)
    post_delete.connect(changed, sender=model)


def send(things: Collection[Thing] = (), marked: int | None = None) -> None:
    """Notify every process that these things changed, or without any that everything may have."""
    listed = False
    try:
        layer.enter(lease.deployment())
        journal.enter(things, marked)
        listed = True
    finally:  # one of the two notices is enough for the processes that share a layer
        async_to_sync(layer.send_change)(listed=listed)


async def announce(in_database: InDatabase, symbols: Collection[int]) -> None:
    """Notify every process that symbols changed, by their keys; for the event loop."""
    if symbols:
        await in_database(journal.enter, [(Change.What.SYMBOL, key) for key in symbols])
        await layer.send_change()
