"""Streams over websockets for the providers: JSON objects come, or ProviderError is raised.

    async with Socket("wss://ws.kraken.com/v2", timeout=10, silence=10) as socket:
        await socket.send({"method": "subscribe", "params": {"channel": "ticker"}})
        while True:
            message = await socket.receive()

No pings are sent: a provider asks its source for heartbeats instead, because a socket on which
nothing came for `silence` seconds is taken for dead. To open, and for a message to leave, may
take `timeout` seconds. To come back is the feed's business.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from quotes.providers.kit.client import AGENT, cause, host, late, status_error
from quotes.providers.kit.errors import ProviderError
from quotes.quote import loads

MAX_BYTES = 2**20  # of one frame
MAX_UNREADABLE = 5  # frames in a row
BROKEN = (OSError, WebSocketException, UnicodeError)  # the last for a host that no resolver takes
WIRE = logging.getLogger(f"{__name__}.wire")
WIRE.setLevel(logging.INFO)  # below, websockets would log every frame and address, keys included


class EndedError(ProviderError):
    """Raised when a connection could not be made, or was ended by the other side."""


class SilentError(ProviderError):
    """Raised when nothing came for too long; the connection is still there, dead or only quiet."""


class Socket:
    """One connection to one source, open inside `async with`; the next one is a new Socket."""

    def __init__(self, url: str, timeout: float, silence: float, of: type = dict) -> None:
        self.url, self.timeout, self.silence = url, timeout, silence
        self.of = of  # what a frame holds: an object, or a list

    async def __aenter__(self) -> Self:
        with self._told():
            self.connection: ClientConnection = await Straight(
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
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.connection.close()

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a JSON object."""
        with self._told():
            async with asyncio.timeout(self.timeout):
                await self.connection.send(json.dumps(message))

    async def receive(self) -> Any:
        """Return the next JSON object (or list), and pass over a few frames that are none."""
        for _ in range(MAX_UNREADABLE):
            with self._told():
                message = read_frame(await self._frame(), self.of)
            if message is not None:
                return message
        raise ProviderError(f"{MAX_UNREADABLE} frames in a row could not be read")

    async def _frame(self) -> str | bytes:
        try:
            async with asyncio.timeout(self.silence):
                return await self.connection.recv()
        except TimeoutError as error:
            raise SilentError(f"silent for {self.silence:g} s") from error

    @contextmanager
    def _told(self) -> Iterator[None]:
        what = host(self.url)
        try:
            yield
        except InvalidStatus as error:
            given = next(iter(error.response.headers.get_all("Retry-After")), None)
            raise status_error(what, error.response.status_code, given) from error
        except TimeoutError as error:
            raise late(what, self.timeout) from error
        except BROKEN as error:
            raise EndedError(f"{what} ended the stream: {cause(error)}") from error


class Straight(connect):
    """Connects where it was told to and follows no redirect."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Take a redirect as the refusal it is."""
        return exc


def read_frame(frame: str | bytes, of: type = dict) -> Any:
    """Parse a frame of a stream; None for what is no JSON object, or none of another type."""
    try:
        message = loads(frame)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, of) else None
