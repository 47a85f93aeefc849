"""Beside the layer: quotes from the database, while the layer brings none."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from django.db import Error

from quotes import conf
from quotes.feed.records import NOTHING, Version
from quotes.live import layer
from quotes.live.database import DatabaseThread
from quotes.live.reading import read_newer
from quotes.quote import Quote

logger = logging.getLogger(__name__)

READ_EVERY = 1.0  # seconds
SILENT_AFTER = 2.0  # seconds without a batch; the feed sends at least one a second


class Live(Protocol):
    """The attributes of `live.Live` that `Beside` uses."""

    in_database: DatabaseThread
    seen: Version

    def silence(self) -> float:
        """Return the seconds since the newest batch from the layer."""

    def show(self, quotes: list[tuple[Version, Quote]]) -> None:
        """Show quotes of a feed that works."""


class Beside:
    """Reads the stored quotes of the feed while its batches do not arrive.

    So a second process of a site with the in-memory layer is live, and pages stay live while Redis
    is away. Only a batch that was stored since the last look shows that the feed works, and only
    if it is newer than all batches that were heard.
    """

    def __init__(self, live: Live) -> None:
        self.live = live
        self.newest = NOTHING  # the version up to which quotes were read
        self.stored: Version | None = None  # the newest stored batch at the last look
        self.reads = False

    async def run(self) -> None:
        """Read once a second while the layer is silent, forever."""
        while True:
            await asyncio.sleep(READ_EVERY)
            never = self.live.seen == NOTHING
            if never or self.live.silence() >= SILENT_AFTER:
                await self._read()
                continue
            self.newest = self.stored = self.live.seen
            if self.reads:
                logger.info("the layer brings batches of the feed again")
                self.reads = False

    async def _read(self) -> None:
        try:
            stored, quotes = await self.live.in_database(read_newer, self.newest)
        except Error:  # if this lasts, prices stop, which is logged
            return
        before, self.stored = self.stored, stored
        if before is None or stored <= max(before, self.live.seen):
            return
        if not self.reads:
            hint = f"; set {conf.LAYER}" if layer.in_memory() else ""
            logger.warning("the layer is silent, reading quotes from the database%s", hint)
            self.reads = True
        self.newest = stored
        self.live.show(quotes)
