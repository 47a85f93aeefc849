"""What happens to the live parts of this process: quotes come, or candles can't be read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asgiref.sync import sync_to_async
from django.db import connection

from quotes.feed.batch import Batch
from quotes.live import layer
from quotes.live.live import Live
from quotes.quote import Quote
from tests.servers import until


async def tell(parts: Live, *quotes: Quote) -> None:
    """Send a batch through the layer, as the feed does, and wait until it has been taken."""
    version = (1, parts.seen[1] + 1)
    await layer.send_batch(version[0], Batch(version[1], list(quotes), {}))
    await until(lambda: parts.seen >= version)


@asynccontextmanager
async def without_candles() -> AsyncIterator[None]:
    """Let no candle be read inside the block, as if the database did not answer."""
    await sync_to_async(_execute)("ALTER TABLE quotes_candle RENAME TO gone")
    try:
        yield
    finally:
        await sync_to_async(_execute)("ALTER TABLE gone RENAME TO quotes_candle")


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
