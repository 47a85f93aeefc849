"""Work that may hang, beside the event loop: the process can end without waiting for it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections

T = TypeVar("T")
PATIENCE = 10.0  # seconds for the database to do something


class Loop(asyncio.SelectorEventLoop):
    """An event loop that can end while a name server does not answer."""

    async def getaddrinfo(self, *given: Any, **more: Any) -> Any:
        """Look up a name in a thread of its own.

        A process does not end before asyncio's own threads do.
        """
        return await in_thread(lambda: socket.getaddrinfo(*given, **more))


async def in_thread(work: Callable[..., T], *given: Any) -> T:
    """Do some work in a thread of its own."""
    result: Future[T] = Future()

    def closed() -> T:
        try:
            return work(*given)
        finally:
            connections.close_all()  # only the thread that opened a connection can close it

    def settle() -> None:
        result.set_running_or_notify_cancel()
        try:
            result.set_result(closed())
        except BaseException as error:
            result.set_exception(error)

    Thread(target=settle, name="quotes-doctor", daemon=True).start()
    return await asyncio.wrap_future(result)


def require_file(connection: Any) -> None:
    """Raise FileNotFoundError if SQLite's file is missing: connecting would create an empty one."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite" and not name.startswith((":memory:", "file:")):
        Path(name).stat()


async def in_database(work: Callable[..., T], *given: Any) -> T:
    """Do some work on a database connection of its own; raise TimeoutError if that hangs.

    The connection is not taken from a pool, so that a failure has its own error, not a timeout.
    """

    def connected() -> T:
        alone = connections[DEFAULT_DB_ALIAS].copy()
        alone.settings_dict["OPTIONS"].pop("pool", None)
        connections[DEFAULT_DB_ALIAS] = alone
        require_file(alone)
        return work(*given)

    try:
        async with asyncio.timeout(PATIENCE):
            return await in_thread(connected)
    except TimeoutError as error:
        raise TimeoutError(f"the database did not answer within {PATIENCE:g} s") from error
