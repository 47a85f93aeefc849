"""A stub of Finnhub: `python -m tests.stubs.finnhub --port 0`."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from quotes.providers import Instrument, make_provider
from quotes.quote import utc_now
from tests.servers import PATIENCE
from tests.stubs.exchange import Bench, Exchange, main, reply

KEY = "stub-key"
ZEROS = {"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}

# Made-up sessions as (last, high, low, open, close before).
MARKET = {
    "AAPL": (191.5, 192, 189, 190, 190.5),
    "BRK.B": (410.2, 411, 408.05, 409, 408.8),
    "MSFT": (370.1, 372.9, 368, 369, 371.3),
}
PLAIN = (10, 11, 9, 9.5, 9.6)
ISINS = {"AAPL": "US0378331005"}


class Finnhub(Exchange):
    """A stub of Finnhub, with one key of its free plan."""

    limited = (429, {"error": "API limit reached. Please try again later. Remaining Limit: 0"})
    refused = (401, {"error": "Invalid API key"})
    closed = (503, {"error": "Service Unavailable"})

    def __init__(
        self,
        port: int = 0,
        *,
        symbols: int = 50,  # in all subscriptions of a key
        heartbeat: float = 1.0,  # seconds from ping to ping
        retry_after: str = "7",
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(port, retry_after=retry_after)
        self.symbols, self.heartbeat, self.now = symbols, heartbeat, now
        self.market = {code: self.quote(*session) for code, session in MARKET.items()}
        self.requested: Counter[str] = Counter()  # requests for quotes, by symbol
        self.listening: set[str] = set()

    def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Return a quote, or the list of an exchange."""
        if self.headers.get("X-Finnhub-Token") != KEY:
            return self.refused
        code = query.get("symbol", "")
        if path == "/stock/candle" or code.startswith("^"):
            return 403, {"error": "You don't have access to this resource."}
        if path == "/quote":
            self.requested[code] += 1
            return 200, self.market.get(code, ZEROS)
        if path == "/stock/symbol":
            return 200, [_listed(each) for each in self.market if query["mic"] == "XNAS"]
        return 404, {"error": "Not Found"}

    async def tick(self, product: str, price: str, **fields: Any) -> None:
        """Trade a symbol at a price; other fields of the trade may be given too."""
        self.market[product] |= {"c": float(price), "t": int(self.now().timestamp())}
        await self.trade({"s": product, "p": float(price)} | fields)

    async def trade(self, *trades: dict[str, Any]) -> None:
        """Send some trades in one message."""
        moment = int(self.now().timestamp() * 1000)
        rows = [{"c": ["1"], "t": moment, "v": 5} | trade for trade in trades]
        if all(row["s"] in self.listening for row in rows) and self.mode != "empty":
            await self.send_all({"type": "trade", "data": rows})

    def enlist(self, *codes: str) -> None:
        """Trade more symbols, which cost 10."""
        for code in codes:
            self.market[code] = self.quote(*PLAIN)

    async def feed(self, connection: ServerConnection) -> None:
        """Take subscriptions, without acknowledging them, until the socket ends."""
        pings = asyncio.create_task(self._ping(connection))
        try:
            while self.mode != "drop":
                await self._subscribe(connection, json.loads(await connection.recv()))
            connection.transport.abort()
        finally:
            pings.cancel()
            self.listening.clear()

    async def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        answer = await super()._request(connection, request)
        if answer is not None or "Upgrade" not in request.headers:
            return answer
        if parse_qs(urlsplit(request.path).query).get("token") != [KEY]:
            return reply(*self.refused)
        return reply(*self.limited) if self.connections else None

    async def _subscribe(self, connection: ServerConnection, message: dict[str, str]) -> None:
        self.subscriptions.append(message)
        if len(self.listening | {message["symbol"]}) > self.symbols:
            error = {"type": "error", "msg": "Subscribing to too many symbols"}
            await self.send(connection, error)
        else:
            self.listening.add(message["symbol"])

    def quote(
        self, last: float, high: float, low: float, opened: float, before: float
    ) -> dict[str, Any]:
        """Return an answer with a trade two seconds ago."""
        change = {"d": last - before, "dp": (last - before) / before * 100}
        session = {"c": last, "h": high, "l": low, "o": opened, "pc": before}
        return session | change | {"t": int(self.now().timestamp()) - 2}

    async def _ping(self, connection: ServerConnection) -> None:
        while True:
            await asyncio.sleep(self.heartbeat)
            if self.mode != "empty":
                await self.send(connection, {"type": "ping"})


def _listed(code: str) -> dict[str, str | None]:
    return {
        "symbol": code,
        "displaySymbol": code,
        "description": f"{code} MADE UP INC",
        "type": "Common Stock",
        "currency": "USD",
        "mic": "XNAS",
        "figi": "",
        "isin": ISINS.get(code),  # None without a paid plan
    }


MANY = [f"C{number}" for number in range(10)]  # to enlist; one connection takes as many


@asynccontextmanager
async def bench(patience: float = PATIENCE) -> AsyncIterator[Bench]:
    """Set Finnhub up with its stub."""
    async with Finnhub(heartbeat=0.02) as stub:
        options = {"rest_url": stub.rest_url, "ws_url": stub.ws_url, "api_key": KEY}
        provider = make_provider("finnhub", options | {"timeout": patience, "silence": patience})
        known = [
            Instrument(symbol="AAPL", code="AAPL", kind="stock"),
            Instrument(symbol="BRK.B", code="BRK.B", kind="stock"),
        ]
        unknown = [
            Instrument(symbol="NOPE", code="NOPE", kind="stock"),
            Instrument(symbol="^GSPC", code="^GSPC", kind="index"),
        ]
        yield Bench(provider=provider, known=known, unknown=unknown, stub=stub)
        await provider.aclose()


if __name__ == "__main__":
    main(Finnhub)
