"""Listings: after a change of symbols or boards is committed, every process is notified."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from quotes.live import layer, lease
from quotes.models import Board, BoardSymbol, ProviderSymbol, Symbol


@receiver([post_save, post_delete], sender=Symbol)
@receiver([post_save, post_delete], sender=ProviderSymbol)
@receiver([post_save, post_delete], sender=Board)
@receiver([post_save, post_delete], sender=BoardSymbol)
def changed(using: str, **kwargs: Any) -> None:
    """After the transaction, notify every process once."""
    connection = transaction.get_connection(using)
    # a form saves a board and its hundred positions in one transaction
    if not any(function is send for _, function, *_ in connection.run_on_commit):
        transaction.on_commit(send, using=using, robust=True)


def send() -> None:
    """Notify every process that symbols or boards changed."""
    layer.enter(lease.deployment())
    lease.count_listing()
    async_to_sync(layer.send_listing)()
