"""Changes: after one of symbols, boards or market days is committed, every process is notified."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Protocol

from asgiref.sync import async_to_sync
from django.db import Error, transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from quotes.live import layer, lease
from quotes.live.database import DatabaseThread
from quotes.models import Board, BoardSymbol, MarketDay, ProviderSymbol, Split, Symbol

LOOK_EVERY = 1.0  # seconds


class Live(Protocol):
    """The attributes of `live.Live` that `look` uses."""

    in_database: DatabaseThread
    changes: int  # changes of symbols and boards that were read

    async def refresh(self) -> None:
        """Read symbols, boards and last quotes again."""


async def look(live: Live) -> None:
    """Look for changes once a second, forever: the layer may have lost the notice of one."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        with suppress(Error):  # an outage of the database is logged by others
            if await live.in_database(lease.changes) != live.changes:
                await live.refresh()


@receiver([post_save, post_delete], sender=Symbol)
@receiver([post_save, post_delete], sender=ProviderSymbol)
@receiver([post_save, post_delete], sender=Split)
@receiver([post_save, post_delete], sender=Board)
@receiver([post_save, post_delete], sender=BoardSymbol)
@receiver([post_save, post_delete], sender=MarketDay)
def changed(using: str, **kwargs: Any) -> None:
    """After the transaction, notify every process once."""
    connection = transaction.get_connection(using)
    # a form saves a board and its hundred positions in one transaction
    if not any(function is send for _, function, *_ in connection.run_on_commit):
        transaction.on_commit(send, using=using, robust=True)


def send() -> None:
    """Notify every process that symbols or boards changed."""
    try:
        layer.enter(lease.deployment())
        lease.count_change()
    finally:  # one of the two notices is enough for the processes that share a layer
        async_to_sync(layer.send_change)()
