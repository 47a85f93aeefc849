"""The lists of instruments, which the leader reads once a day for the admin's search."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from django.db import Error

from quotes.instruments import lists
from quotes.instruments.lists import RefusedList
from quotes.live.database import DatabaseThread
from quotes.providers import Provider, ProviderError

logger = logging.getLogger(__name__)

BEGIN_AFTER = 30.0  # seconds: a feed that begins has more urgent requests
LOOK_EVERY = 60.0  # seconds


class DailyLists:
    """Reads each provider's list of instruments once a day, outside the path of the quotes."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self.providers = providers
        # a thread of its own, because quotes are not to wait for a long list
        self.in_database = DatabaseThread("quotes-instruments")

    async def keep(self) -> None:
        """Read the lists that are due, forever."""
        try:
            await asyncio.sleep(BEGIN_AFTER)
            while True:
                try:
                    await self.read_due()
                except Error as error:
                    logger.warning("could not store lists of instruments, trying again: %s", error)
                except Exception:
                    logger.exception("could not store lists of instruments, trying again")
                await asyncio.sleep(LOOK_EVERY)
        finally:
            await self.in_database.close()

    async def read_due(self) -> None:
        """Read the lists that are due, once."""
        for name in await self.in_database(lists.due, list(self.providers)):
            await self._read(name)

    async def _read(self, name: str) -> None:
        try:
            listed = await self.providers[name].instruments()
            count = await self.in_database(lists.store, name, listed)
        except (ProviderError, RefusedList) as error:
            await self.in_database(lists.failed, name, str(error))
            logger.warning("%s: no new list of instruments, trying again in 1 h: %s", name, error)
        else:
            logger.info("%s: stored %d instruments", name, count)
