"""The base of all stubs: a port with REST and a socket, and faults to switch on.

    async with Coinbase() as stub:
        stub.mode = "rate_limited"
        await stub.tick("BTC-USD", "64000.01")

As a process it prints its port on a line and is controlled over HTTP: `/_mode?to=drop`,
`/_tick?product=BTC-USD&price=64000.01`, `/_cut`, `/_state`.

Each module also has a `bench`, which sets the stub and its provider up for the contract. Those
with `MANY`, the codes for `enlist`, are in the benchmark of adapters.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from quotes.providers import Instrument, Provider
from tests.servers import until

ROOT = Path(__file__).resolve().parents[2]
MODES = (
    "ok",
    "rate_limited",  # 429 with Retry-After
    "unauthorized",  # 401
    "maintenance",  # 503
    "slow",  # no answer until the mode changes
    "garbage",  # HTML with 200; frames that are not JSON
    "truncated",  # half of the JSON
    "empty",  # an empty document; a socket that only acknowledges
    "silent",  # a socket that sends nothing
    "drop",  # sockets are cut off
)


class Exchange:
    """A stub server; a subclass has the answers of one exchange."""

    limited: tuple[int, Any] = (429, {"message": "Public rate limit exceeded"})
    refused: tuple[int, Any] = (401, {"message": "Unauthorized."})
    closed: tuple[int, Any] = (503, {"message": "Service Unavailable"})

    def __init__(self, port: int = 0, *, retry_after: str = "7") -> None:
        self.port, self.retry_after = port, retry_after
        self.requests: Counter[str] = Counter()  # by path
        self.headers = Headers()  # of the newest request
        self.sockets = 0  # open now
        self.connects = 0  # ever
        self.subscriptions: list[dict[str, Any]] = []  # the messages, in order
        self.connections: set[ServerConnection] = set()
        self._mode = "ok"
        self._turned = asyncio.Event()  # set when the mode changes
        self._server: Server | None = None

    @property
    def mode(self) -> str:
        """The current fault, one of MODES; setting it also affects open sockets."""
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        if mode not in MODES:
            raise ValueError(f"Unknown mode {mode!r}, must be one of: {', '.join(MODES)}")
        self._mode = mode
        self._turn()
        if mode == "drop":
            self.cut()

    @property
    def rest_url(self) -> str:
        """The address of REST."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """The address of sockets."""
        return f"ws://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._socket,
            "127.0.0.1",
            self.port,
            process_request=self._request,
            ping_interval=None,
            open_timeout=None,
            close_timeout=0.2,
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._turn()
        await settle()
        self._server.close()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Abort all sockets, without a close frame."""
        for connection in list(self.connections):
            connection.transport.abort()

    def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Return the status and the document of a REST request."""
        raise NotImplementedError

    async def feed(self, connection: ServerConnection) -> None:
        """Serve one socket until it ends."""
        raise NotImplementedError

    async def tick(self, product: str, price: str, **fields: Any) -> None:
        """Change the price of a product, and send it to all listeners."""
        raise NotImplementedError

    def steer(self, path: str, query: dict[str, str]) -> Any:
        """Do what only this stub can do, over HTTP; return None if it cannot."""

    def state(self) -> dict[str, Any]:
        """Return what happened so far, for tests in another process."""
        return {
            "mode": self.mode,
            "requests": self.requests,
            "sockets": self.sockets,
            "connects": self.connects,
            "subscriptions": self.subscriptions,
        }

    async def send(self, connection: ServerConnection, message: Any) -> None:
        """Send a message with the fault of the mode."""
        if self.mode in ("silent", "drop"):
            return
        text = json.dumps(message)
        if self.mode == "garbage":
            text = "<html>\x00"
        if self.mode == "truncated":
            text = text[: len(text) // 2]
        with suppress(ConnectionClosed):
            await connection.send(text)

    async def send_all(self, message: Any) -> None:
        """Send a message to all sockets; bytes and strings unchanged."""
        for connection in list(self.connections):
            if isinstance(message, str | bytes):
                await connection.send(message)
            else:
                await self.send(connection, message)

    async def hang_up(self) -> None:
        """Close all sockets like a server that restarts."""
        for connection in list(self.connections):
            await connection.close(1001, "restart")

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition."""
        await until(condition)

    async def _socket(self, connection: ServerConnection) -> None:
        self.connections.add(connection)
        self.sockets += 1
        self.connects += 1
        try:
            with suppress(ConnectionClosed):
                await self.feed(connection)
        finally:
            self.sockets -= 1
            self.connections.discard(connection)

    async def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        url = urlsplit(request.path)
        query, self.headers = dict(parse_qsl(url.query)), request.headers
        if url.path.startswith("/_"):
            return await self._steer(url.path, query)
        upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
        if not upgrade:
            self.requests[url.path] += 1
        if self.mode == "slow":
            await self._turned.wait()
        if fault := self._fault(upgrade):
            return fault
        return None if upgrade else self._answer(*self.rest(url.path, query))

    def _fault(self, upgrade: bool) -> Response | None:
        if self.mode == "rate_limited":
            return reply(*self.limited, Retry_After=self.retry_after)
        if self.mode == "unauthorized":
            return reply(*self.refused)
        if self.mode == "maintenance":
            return reply(*self.closed)
        if self.mode == "garbage" and not upgrade:
            return raw(200, b"<html><title>Back soon</title></html>", "text/html")
        return None

    def _answer(self, status: int, document: Any) -> Response:
        if self.mode == "empty" and status == 200:
            document = type(document)()
        body = json.dumps(document).encode()
        return raw(status, body[: len(body) // 2] if self.mode == "truncated" else body)

    async def _steer(self, path: str, query: dict[str, str]) -> Response:
        try:
            if path == "/_mode":
                self.mode = query["to"]
            elif path == "/_tick":
                await self.tick(**query)
            elif path == "/_cut":
                self.cut()
            elif path != "/_state":
                found = self.steer(path, query)
                status = 404 if found is None else 200
                return reply(status, found or {"message": f"no {path}"})
        except (KeyError, TypeError, ValueError) as error:
            return reply(400, {"message": str(error)})
        return reply(200, self.state())

    def _turn(self) -> None:
        self._turned.set()
        self._turned = asyncio.Event()


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A provider with known and unknown instruments, and its stub."""

    provider: Provider
    known: Sequence[Instrument]
    unknown: Sequence[Instrument] = ()
    stub: Exchange | None = None
    retry_after: float | None = 7  # of its error when it is rate limited
    step: int = 300  # seconds of its candles
    start: datetime = datetime(2026, 1, 5, 12, 0, 30, tzinfo=UTC)  # of an hour with candles

    @property
    def instruments(self) -> list[Instrument]:
        """All instruments, the unknown ones first."""
        return [*self.unknown, *self.known]

    @property
    def symbols(self) -> set[str]:
        """The symbols of all expected quotes."""
        return {instrument.symbol for instrument in self.known}


async def settle() -> None:
    """Let the server handle connections that it just accepted, so that it can close them."""
    for _ in range(10):
        await asyncio.sleep(0)


def reply(status: int, document: Any, **headers: str) -> Response:
    """Return an answer of JSON or bytes, with headers like `Retry_After`."""
    if isinstance(document, bytes):
        return raw(status, document, "text/plain", **headers)
    return raw(status, json.dumps(document).encode(), **headers)


def raw(status: int, body: bytes, kind: str = "application/json", **headers: str) -> Response:
    """Return an answer of bytes, after which the connection ends."""
    given = {"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, "", Headers(given), body)


@asynccontextmanager
async def process(name: str) -> AsyncIterator[str]:
    """Run a stub as a process of its own; yield its host and port."""
    command = [sys.executable, "-m", f"tests.stubs.{name}", "--port", "0"]
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=pipe)
    assert running.stdout
    try:
        yield f"127.0.0.1:{int(await running.stdout.readline())}"
    finally:
        running.terminate()
        await running.communicate()
    assert running.returncode == 0


async def run(make: Callable[..., Exchange], port: int) -> None:
    """Serve until a signal comes."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with make(port=port) as stub:
        print(stub.port, flush=True)  # noqa: T201
        await stop.wait()


def main(make: Callable[..., Exchange]) -> None:
    """Run a stub as a process of its own."""
    parser = argparse.ArgumentParser(description=make.__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    asyncio.run(run(make, parser.parse_args().port))
