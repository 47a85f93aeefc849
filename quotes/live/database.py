"""The database beside the event loop, in one thread of the live parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections

MAX_LOGGED = 20  # statements kept in debug mode; in a view, the next request forgets them

T = TypeVar("T")


class DatabaseThread:
    """Runs functions that use the database, one after the other, and keeps their connections."""

    def __init__(self) -> None:
        self.executor = ThreadPoolExecutor(1, thread_name_prefix="quotes-database")

    async def __call__(self, read: Callable[..., T], *given: Any) -> T:
        """Run a function in the thread and return its result."""

        def with_a_good_connection() -> T:
            for connection in connections.all(initialized_only=True):
                connection.close_at = None  # no request ends here, so the connection is kept
                if connection.queries_log.maxlen != MAX_LOGGED:
                    connection.queries_log = deque(connection.queries_log, MAX_LOGGED)
                connection.close_if_unusable_or_obsolete()
            return read(*given)

        run = sync_to_async(with_a_good_connection, thread_sensitive=False, executor=self.executor)
        return await run()

    async def close(self) -> None:
        """Close the connections and end the thread."""
        await self(connections.close_all)
        self.executor.shutdown(wait=False)
