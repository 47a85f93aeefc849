"""A wire between browser and server, with faults to switch on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Wire:
    """One connection through the proxy."""

    def __init__(self, browser: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.browser, self.server = browser, server
        self.is_socket = False
        self.silent = False

    def cut(self) -> None:
        """Break it off on both sides."""
        self.browser.transport.abort()
        self.server.transport.abort()


class Proxy:
    """Forwards bytes to a port, and disturbs connections as networks do."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.refuses_sockets = False
        self.hangs = False  # whether nothing passes, in either direction
        self.wires: set[Wire] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.loop = asyncio.new_event_loop()

    @property
    def url(self) -> str:
        """Its address over HTTP, without a last slash."""
        return f"http://127.0.0.1:{self.port}"

    def silence(self) -> None:
        """Stop forwarding answers on the sockets that are open; new ones work."""
        self.loop.call_soon_threadsafe(self._silence)

    def cut(self) -> None:
        """Break off the sockets that are open."""
        self.loop.call_soon_threadsafe(self._cut)

    def hang(self) -> None:
        """Let nothing pass on any connection, in either direction; accept new connections."""
        self.hangs = True

    def heal(self) -> None:
        """Let new connections work again, and break off all others, because they lost bytes."""
        self.hangs = False
        self.loop.call_soon_threadsafe(lambda: [wire.cut() for wire in list(self.wires)])

    def _silence(self) -> None:
        for wire in self.wires:
            wire.silent = wire.is_socket

    def _cut(self) -> None:
        for wire in list(self.wires):
            if wire.is_socket:
                wire.cut()

    async def serve(self, stop: asyncio.Event, ready: threading.Event) -> None:
        """Forward bytes until it is stopped."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()
        for wire in list(self.wires):
            wire.cut()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._pass_on(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, browser: asyncio.StreamWriter) -> None:
        try:
            answers, server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            browser.transport.abort()
            return
        wire = Wire(browser, server)
        self.wires.add(wire)
        try:
            await asyncio.gather(self._up(wire, reader), self._down(wire, answers))
        finally:
            self.wires.discard(wire)
            wire.cut()

    async def _up(self, wire: Wire, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while sent := await reader.read(65536):
                if b"upgrade: websocket" in sent.lower():
                    wire.is_socket = True
                    if self.refuses_sockets:
                        break
                if not self.hangs:
                    wire.server.write(sent)
        wire.cut()

    async def _down(self, wire: Wire, answers: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while sent := await answers.read(65536):
                if not wire.silent and not self.hangs:
                    wire.browser.write(sent)
        # on a dead line, the other side does not notice that this one closed
        if not wire.silent and not wire.browser.is_closing():
            wire.browser.close()


@contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    """Run a proxy to a port, in a thread: the browser keeps this one busy."""
    passing, ready = Proxy(target), threading.Event()
    stop = asyncio.Event()
    thread = threading.Thread(
        target=lambda: passing.loop.run_until_complete(passing.serve(stop, ready))
    )
    thread.start()
    assert ready.wait(5)
    try:
        yield passing
    finally:
        passing.loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        passing.loop.close()
