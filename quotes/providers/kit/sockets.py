"""Streams over websockets for the providers: they receive JSON, or raise ProviderError.

    async with Socket("wss://ws.kraken.com/v2", timeout=10, silence=10) as socket:
        await socket.send({"method": "subscribe", "params": {"channel": "ticker"}})
        while True:
            message = await socket.receive()

A socket that receives nothing for `silence` seconds counts as failed. It sends no pings: the
provider requests heartbeats from its source instead. Opening the socket and sending a message
may take `timeout` seconds each. The feed decides when to open the next one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from quotes.providers.kit.backlog import Backlog, Frame
from quotes.providers.kit.client import AGENT, cause, host, status_error, timeout_error
from quotes.providers.kit.errors import ProviderError
from quotes.quote.values import loads

MAX_BYTES = 2**20  # of one frame
REST_EVERY = 0.02  # seconds of work, after which a backlog reads what has arrived
DRAIN_ROUNDS = 50  # each reads up to 256 KB
MAX_UNREADABLE = 5  # frames in a row
BROKEN = (OSError, WebSocketException, UnicodeError)  # the last for an invalid name of a host
WIRE = logging.getLogger(f"{__name__}.wire")
WIRE.setLevel(logging.INFO)  # at DEBUG, websockets logs every frame and address, with keys


class EndedError(ProviderError):
    """Raised when the source refuses or ends a connection."""


class SilentError(ProviderError):
    """Raised when no message came for too long; the connection has failed, or is just quiet."""


class Socket:
    """One connection to one source, open inside `async with`, never opened again."""

    def __init__(
        self,
        url: str,
        timeout: float,
        silence: float,
        of: type = dict,  # of the JSON in a frame: an object, or a list
        backlog: Backlog | None = None,  # for a stream that may be faster than this process
    ) -> None:
        self.url, self.timeout, self.silence = url, timeout, silence
        self.of, self.backlog = of, backlog
        self.reading: asyncio.Task[None] | None = None
        self.came = asyncio.Event()  # a frame came into the backlog, or the connection ended
        self.room = asyncio.Event()  # set after a frame was taken from the backlog
        self.rested_at = 0.0

    async def __aenter__(self) -> Self:
        with self._explained():
            self.connection: ClientConnection = await Direct(
                self.url,
                open_timeout=self.timeout,
                close_timeout=1,
                ping_interval=None,
                max_size=MAX_BYTES,
                compression=None,
                proxy=None,
                user_agent_header=AGENT,
                logger=WIRE,
            )
        if self.backlog is not None:
            self.reading = asyncio.create_task(self._read_into(self.backlog))
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self.reading:
            self.reading.cancel()
            await asyncio.wait([self.reading])
        await self.connection.close()

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a JSON object."""
        with self._explained():
            async with asyncio.timeout(self.timeout):
                await self.connection.send(json.dumps(message))

    async def receive(self) -> Any:
        """Return the next JSON object, or list; skip a few frames that can't be read."""
        for _ in range(MAX_UNREADABLE):
            frame = self._at_hand()
            if frame is None:
                with self._explained():
                    frame = await self._next()
            message = read_frame(frame, self.of)
            if message is not None:
                return message
        raise ProviderError(f"{MAX_UNREADABLE} frames in a row could not be read")

    def _at_hand(self) -> Frame | None:
        """Return the oldest waiting frame, unless other tasks are to run first."""
        if not self.backlog or self._rest_is_due():
            return None
        self.room.set()
        return self.backlog.pop()

    async def _next(self) -> Frame:
        try:
            async with asyncio.timeout(self.silence):
                if self.backlog is None or self.reading is None:
                    return await self.connection.recv()
                return await self._oldest(self.backlog, self.reading)
        except TimeoutError as error:
            raise SilentError(f"no message for {self.silence:g} s") from error

    async def _oldest(self, backlog: Backlog, reading: asyncio.Task[None]) -> Frame:
        if self._rest_is_due():
            await self._rest(backlog)
        while not backlog:
            if reading.done():
                reading.result()  # raises what ended the connection
            self.came.clear()
            await self.came.wait()
        self.room.set()
        return backlog.pop()

    async def _read_into(self, backlog: Backlog) -> None:
        try:
            while True:
                backlog.add(await self.connection.recv())
                self.came.set()
                while backlog.is_full():  # then the source has to wait
                    self.room.clear()
                    await self.room.wait()
        finally:
            self.came.set()

    def _rest_is_due(self) -> bool:
        return time.monotonic() - self.rested_at > REST_EVERY

    async def _rest(self, backlog: Backlog) -> None:
        """Let other tasks run, and read frames that wait in the kernel.

        All of them are read only before the backlog searches superseded ones among them.
        """
        for _ in range(1 if backlog.due else DRAIN_ROUNDS):
            arrived = backlog.arrived
            await asyncio.sleep(0)  # the loop reads from the connection
            await asyncio.sleep(0)  # the frames come into the backlog
            if backlog.arrived == arrived:
                break
        self.rested_at = time.monotonic()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        what = host(self.url)
        try:
            yield
        except InvalidStatus as error:
            retry_after = next(iter(error.response.headers.get_all("Retry-After")), None)
            raise status_error(what, error.response.status_code, retry_after) from error
        except TimeoutError as error:
            raise timeout_error(what, self.timeout) from error
        except BROKEN as error:
            raise EndedError(f"{what} ended the stream: {cause(error)}") from error


class Direct(connect):
    """Connects to the given address and follows no redirect."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return a redirect as an error."""
        return exc


def read_frame(frame: str | bytes, of: type = dict) -> Any:
    """Parse a frame of a stream; return None if it is not JSON of this type."""
    try:
        message = loads(frame)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, of) else None
