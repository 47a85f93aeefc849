"""Polled: the live parts for one request of a WSGI server, under which none can run.

Such a server runs each async view in an event loop that ends with it. So everything is read from
the database for each request. The feed runs beside it, with `manage.py runfeed`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from asgiref.sync import sync_to_async

from quotes import conf
from quotes.live import lease
from quotes.live.database import DatabaseThread
from quotes.live.live import Live

logger = logging.getLogger(__name__)

T = TypeVar("T")


class RequestThread(DatabaseThread):
    """Runs functions in the thread of the request, which has a connection to the database."""

    async def __call__(self, read: Callable[..., T], *given: object) -> T:
        """Run a function and return its result."""
        return await sync_to_async(read)(*given)


async def read() -> Live:
    """Read symbols, boards and last quotes; note since when no feed runs."""
    live = Live()
    live.is_polled, live.in_database = True, RequestThread()
    await live.reload()
    if await live.in_database(lease.is_held):
        live.heard()
    else:
        live.store.stop(live.newest)
        if conf.get("FEED") == "inline":
            _explain()
    return live


@cache
def _explain() -> None:
    """Log once that this server can't run the feed."""
    logger.warning(
        "no feed runs, and a WSGI server can't run it: set QUOTES['FEED'] to 'external', and run "
        "manage.py runfeed beside it"
    )
