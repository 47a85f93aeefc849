"""The site's ASGI application with its live parts, in a thread that works only while it is used."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from html import unescape
from threading import Thread
from typing import Any, TypeVar

from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.db import connections
from django.http import QueryDict

from quotes.addresses import Address
from quotes.asgi import site_application
from quotes.live import Live
from quotes.live.database import DatabaseThread

PATIENCE = 60.0  # seconds for what takes a moment, also on a busy machine
HOST = b"testserver"  # as in the requests of Django's test client
OPENER = re.compile(r'"[^"]*/live/\?(opening=1[^"]*)"')  # in any attribute
WATCHED = re.compile(r'class="quotes-watch" name="([^"]*)" value="([^"]*)"')
NO_QUOTES = (
    "this page has no quotes that could be live: use a tag such as {{% live_quote %}} in it. "
    "It begins with: {}"
)

T = TypeVar("T")


class SharedDatabase(DatabaseThread):
    """Runs functions that use the database over connections of another thread, which waits."""

    def __init__(self, shared: Iterable[Any]) -> None:
        self.executor = ThreadPoolExecutor(1, initializer=_use, initargs=(shared,))

    async def __call__(self, read: Callable[..., T], *given: Any) -> T:
        """Run a function and return its result."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.executor, partial(read, *given))

    async def close(self) -> None:
        """End the thread; the connections stay open."""
        self.executor.shutdown()


def _use(shared: Iterable[Any]) -> None:
    for connection in shared:
        connections[connection.alias] = connection


class Server:
    """Runs work of the live parts, one piece after the other, and keeps sockets open."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.application = application_of(getattr(settings, "ASGI_APPLICATION", None))
        self.loop = asyncio.new_event_loop()
        self.thread = Thread(target=self.loop.run_forever, name="live_quotes", daemon=True)
        self.sockets: list[WebsocketCommunicator] = []
        self.shared = connections.all(initialized_only=True)

    def start(self) -> None:
        """Start the thread. The database is used over the connections of the test.

        So what a test has written is there, even if it is never committed.
        """
        for connection in self.shared:
            connection.inc_thread_sharing()
        self.live.in_database = SharedDatabase(self.shared)
        self.thread.start()

    def stop(self) -> None:
        """Close all sockets, and end the thread."""
        self.run(self._close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        for connection in self.shared:
            connection.dec_thread_sharing()

    def run(self, work: Callable[[], Awaitable[None] | None]) -> None:
        """Do some work, and all that follows from it."""
        __tracebackhide__ = True
        asyncio.run_coroutine_threadsafe(self._run(work), self.loop).result(PATIENCE)

    def open(self, path: str) -> Callable[[], list[str]]:
        """Open a socket; return what reads the messages that have arrived since the last call."""
        __tracebackhide__ = True
        headers = [(b"host", HOST), (b"origin", b"http://" + HOST)]
        socket = WebsocketCommunicator(self.application, path, headers)
        socket.scope["extensions"] = {"websocket.http.response": {}}  # with the cause of a refusal
        self.run(lambda: self._open(socket, path))
        return lambda: self._received(socket)

    async def _run(self, work: Callable[[], Awaitable[None] | None]) -> None:
        done = work()
        if inspect.isawaitable(done):
            await done
        self.live.hub.flush()
        while tasks := list(self.live.tasks.running):  # they read figures and charts
            await asyncio.wait(tasks)
            self.live.hub.flush()

    async def _open(self, socket: WebsocketCommunicator, path: str) -> None:
        self.sockets.append(socket)
        await socket.send_input({"type": "websocket.connect"})
        answer = await socket.receive_output(PATIENCE)
        if answer["type"] == "websocket.accept":
            socket.output_queue.put_nowait(await socket.receive_output(PATIENCE))
            return
        with suppress(TimeoutError):
            answer |= await socket.receive_output()
        cause = answer.get("body", b"").decode() or "its ASGI application gives no cause"
        raise ConnectionError(
            f"the socket {path} is refused with {answer.get('status', 403)}: {cause}"
        )

    def _received(self, socket: WebsocketCommunicator) -> list[str]:
        found = [socket.output_queue.get_nowait() for _ in range(socket.output_queue.qsize())]
        return [each["text"] for each in found if "text" in each]

    async def _close(self) -> None:
        tasks = [socket.future for socket in self.sockets]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self.live.stop()


@cache
def application_of(name: str | None) -> Any:
    """Return the application that our servers run, made once: each time sets up the log again."""
    return site_application()


def socket_of(html: str) -> str:
    """Return the address of the socket that a page opens; raise ValueError if it has none.

    A page names all that its quotes watch, and its opener how they are written.
    """
    __tracebackhide__ = True
    watched = [(name, unescape(value)) for name, value in WATCHED.findall(html)]
    if not watched:
        raise ValueError(NO_QUOTES.format(repr(html[:300])))
    params = QueryDict(mutable=True)
    for opener in OPENER.findall(html)[:1]:
        params.update(QueryDict(unescape(opener)))
    for name, value in watched:
        params.appendlist(name, value)
    return Address.read(params).socket
