"""The database beside the event loop, in a thread that does not keep a process from ending."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from traceback import clear_frames
from typing import Any, TypeVar

from django.db import OperationalError, connections

MAX_LOGGED = 20  # statements kept in debug mode; in other threads, each request deletes them
CLOSE_WITHIN = 1.0  # seconds; a database that hangs does not keep a process from ending

T = TypeVar("T")
Work = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]


class DatabaseThread:
    """Runs functions that use the database, one after the other, and keeps their connections."""

    def __init__(self, name: str = "quotes-database") -> None:
        self.name = name
        self.waiting: SimpleQueue[Work | None] = SimpleQueue()
        self.thread: Thread | None = None
        self.answers = 0  # results and errors so far: while this rises, the database does not hang

    async def __call__(self, read: Callable[..., T], *given: Any) -> T:
        """Run a function in the thread and return its result."""
        if self.thread is None:
            self.thread = Thread(target=self._run, name=self.name, daemon=True)
            self.thread.start()
        result: Future[T] = Future()
        self.waiting.put((result, read, given))
        return await asyncio.wrap_future(result)

    async def close(self) -> None:
        """Close the connections and end the thread, unless the database hangs."""
        if self.thread is not None:
            with suppress(Exception):  # each driver has exceptions of its own
                async with asyncio.timeout(CLOSE_WITHIN):
                    await self(connections.close_all)
            self.waiting.put(None)
            self.thread = None

    def _run(self) -> None:
        while work := self.waiting.get():
            result, read, given = work
            if result.set_running_or_notify_cancel():
                try:
                    _keep_good_connections()
                    result.set_result(read(*given))
                except BaseException as error:
                    _release_cursors(error)
                    result.set_exception(error)
                self.answers += 1
                del result, read, given, work  # a traceback keeps all that they refer to


def _release_cursors(error: BaseException) -> None:
    """Release here what the frames of an error refer to, not in the thread that handles it.

    SQLite locks a connection while it waits for another process. Another thread that releases a
    cursor of this connection waits as well, and with the event loop all prices do.
    """
    raised: BaseException | None = error
    while raised is not None:
        clear_frames(raised.__traceback__)
        raised = raised.__cause__ or raised.__context__


def _keep_good_connections() -> None:
    for connection in connections.all(initialized_only=True):
        connection.close_at = None  # no request ends here, so the connection is kept
        if connection.queries_log.maxlen != MAX_LOGGED:
            connection.queries_log = deque(connection.queries_log, MAX_LOGGED)
        connection.close_if_unusable_or_obsolete()
        if connection.vendor == "sqlite":
            _keep_its_file(connection)


def _keep_its_file(connection: Any) -> None:
    """Reconnect if the file of a connection was replaced; raise OperationalError if it is gone.

    SQLite would go on with the deleted file, and lose what it writes there.
    """
    path = Path(connection.settings_dict["NAME"])
    if connection.connection is None or not path.is_absolute() or connection.is_in_memory_db():
        return
    try:
        found = path.stat()
    except FileNotFoundError:
        raise OperationalError(f"the file {path} is gone: restore a backup of it") from None
    opened = getattr(connection, "quotes_file", None)
    if opened is None or connection.connection is not opened[0]:
        connection.quotes_file = connection.connection, found.st_ino
    elif opened[1] != found.st_ino:
        connection.close()


def read_now(read: Callable[[], T]) -> T:
    """Run a function that reads the database, also where Django allows that to no function.

    Templates of an async view are rendered in its event loop. Then the function gets a thread.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return read()
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_read_and_close, read).result()


def _read_and_close(read: Callable[[], T]) -> T:
    try:
        return read()
    finally:
        connections.close_all()  # those of this thread
