"""Work that may hang, beside the event loop: nobody waits for it at the end of the process."""

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
    """An event loop that a name server without an answer does not keep from ending."""

    async def getaddrinfo(self, *given: Any, **more: Any) -> Any:
        """Look up a name; asyncio's own thread for that is waited for at the end."""
        return await beside(lambda: socket.getaddrinfo(*given, **more))


async def beside(work: Callable[..., T], *given: Any) -> T:
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


def look_for_file(connection: Any) -> None:
    """Raise FileNotFoundError for want of SQLite's file: it would make an empty one."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite" and not name.startswith((":memory:", "file:")):
        Path(name).stat()


async def in_database(work: Callable[..., T], *given: Any) -> T:
    """Do some work with the database, on a connection of its own; raise TimeoutError if it hangs.

    The connection is of no pool, so it says at once why it can't be made.
    """

    def connected() -> T:
        alone = connections[DEFAULT_DB_ALIAS].copy()
        alone.settings_dict["OPTIONS"].pop("pool", None)
        connections[DEFAULT_DB_ALIAS] = alone
        look_for_file(alone)
        return work(*given)

    try:
        async with asyncio.timeout(PATIENCE):
            return await beside(connected)
    except TimeoutError as error:
        raise TimeoutError(f"the database gave no answer within {PATIENCE:g} s") from error
