"""A stub of Kraken: `python -m tests.stubs.kraken --port 0`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Response

from quotes.providers import Instrument, make_provider
from tests.servers import PATIENCE
from tests.stubs.exchange import Bench, Exchange, main, reply

ROWS = 720

# The list: altname, wsname, tick size, and made-up prices of the last 24 hours as (open, high,
# low, last, volume, the open of today).
MARKET = {
    "XXBTZUSD": ("XBTUSD", "XBT/USD", "0.1", "63000.0 65250.5 62750.2 64000.0 1200.5 63500.0"),
    "XXBTZEUR": ("XBTEUR", "XBT/EUR", "0.1", "58000.0 60100.0 57900.0 59000.0 310.25 58500.0"),
    "XETHZUSD": ("ETHUSD", "ETH/USD", "0.01", "3300.00 3350.00 3150.00 3200.00 20500.1 3250.00"),
    "XETHXXBT": ("ETHXBT", "ETH/XBT", "0.00001", "0.05 0.052 0.049 0.05125 900.5 0.0505"),
    "XDGUSD": ("XDGUSD", "XDG/USD", "0.0000001", "0.12 0.126 0.119 0.1234 5000000 0.121"),
    "SOLUSD": ("SOLUSD", "SOL/USD", "0.01", "150.00 155.50 148.20 151.30 99000.5 152.00"),
    "AIOUSD": ("AIOUSD", "AIO/USD", "0.0001", "0.1 0.12 0.09 0.11 5000 0.1"),
    "AIOZUSD": ("AIOZUSD", "AIOZ/USD", "0.0001", "0.5 0.6 0.4 0.55 7000 0.5"),
    "DEADUSD": ("DEADUSD", "DEAD/USD", "0.001", "0 0 0 0 0 0"),  # without trades
}
PLAIN = ("", "", "0.01", "9.50 11.00 9.00 10.00 100 9.80")
BETTER_NAMES = {"XBT": "BTC", "XDG": "DOGE"}
UNKNOWN = "EQuery:Unknown asset pair"


class Kraken(Exchange):
    """A stub of Kraken."""

    refused = (403, {"message": "Forbidden"})
    errors_by_mode = {
        "rate_limited": "EAPI:Rate limit exceeded",
        "maintenance": "EService:Unavailable",
    }

    def __init__(
        self,
        port: int = 0,
        *,
        heartbeat: float = 1.0,  # seconds
        now: datetime | None = None,  # the end of all candles
        retry_after: str = "7",
    ) -> None:
        super().__init__(port, retry_after=retry_after)
        self.heartbeat, self.now, self.system = heartbeat, now, "online"
        self.pairs = {code: _day(MARKET[code][3]) for code in MARKET}
        self.delisted: set[str] = set()  # only in the list of pairs
        self.errors: list[str] = []  # in every answer of REST
        self.requested: list[str] = []  # the pairs of each request for tickers
        self.listeners: dict[ServerConnection, set[str]] = {}

    def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Return the envelope, which has errors with the status 200, too."""
        if self.errors:
            return 200, {"error": self.errors}
        result = self._result(path.removeprefix("/0/public/"), query)
        return 200, {"error": [UNKNOWN]} if result is None else {"error": [], "result": result}

    async def tick(self, product: str, price: str, **fields: Any) -> None:
        """Trade a pair at a price; other fields of its ticker may be given too."""
        self.pairs[product] |= {"last": price, "bid": price, "timestamp": _now()}
        self.pairs[product]["ask"] = f"{Decimal(price) + Decimal(self._row(product)[2]):f}"
        self.pairs[product] |= fields
        for connection, wanted in list(self.listeners.items()):
            if product in wanted:
                await self._publish(connection, product, "update")

    def enlist(self, *codes: str) -> None:
        """List more pairs, such as C1USD, which cost 10."""
        for code in codes:
            self.pairs[code] = _day(PLAIN[3])

    async def feed(self, connection: ServerConnection) -> None:
        """Send the state of the exchange, then take subscriptions until the socket ends."""
        self.listeners[connection] = set()
        beats = asyncio.create_task(self._beat(connection))
        status = {"version": "2.0.10", "system": self.system, "api_version": "v2"}
        try:
            await self.send(connection, {"channel": "status", "type": "update", "data": [status]})
            async for raw in connection:
                await self._subscribe(connection, json.loads(raw))
        finally:
            beats.cancel()
            del self.listeners[connection]

    async def _subscribe(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        self.subscriptions.append(message)
        if self.mode == "drop":
            connection.transport.abort()
            return
        codes = {self._name(code): code for code in self.pairs if code not in self.delisted}
        for name in message["params"]["symbol"]:
            answer = {"method": "subscribe", "time_in": _now(), "time_out": _now()}
            if name in codes:
                result = {"channel": "ticker", "symbol": name, "snapshot": True}
                await self.send(connection, answer | {"success": True, "result": result})
                self.listeners[connection].add(codes[name])
                await self._publish(connection, codes[name], "snapshot")
            else:
                error = {"error": f"Currency pair not supported {name}", "symbol": name}
                await self.send(connection, answer | {"success": False} | error)

    async def _publish(self, connection: ServerConnection, code: str, kind: str) -> None:
        if self.mode == "empty":
            return
        day = self.pairs[code]
        change = Decimal(day["last"]) - Decimal(day["open"])
        row = {name: float(day[name]) for name in ("last", "bid", "ask", "high", "low", "volume")}
        row |= {"symbol": self._name(code), "timestamp": day["timestamp"], "change": float(change)}
        await self.send(connection, {"channel": "ticker", "type": kind, "data": [row]})

    async def _beat(self, connection: ServerConnection) -> None:
        while True:
            await asyncio.sleep(self.heartbeat)
            if self.mode != "empty" and self.listeners[connection]:
                await self.send(connection, {"channel": "heartbeat"})

    def _fault(self, upgrade: bool) -> Response | None:
        if not upgrade and self.mode in self.errors_by_mode:
            return reply(200, {"error": [self.errors_by_mode[self.mode]]})
        return super()._fault(upgrade)

    def _result(self, what: str, query: dict[str, str]) -> Any:
        if what == "AssetPairs":
            return {code: self._listed(code) for code in self.pairs}
        names = {self._row(code)[0]: code for code in self.pairs}
        message = query.get("pair", "").split(",")
        codes = [names.get(name, name) for name in message]
        if not all(code in self.pairs and code not in self.delisted for code in codes):
            return None
        if what == "Ticker":
            self.requested.append(query["pair"])
            return {code: _ticker(self.pairs[code]) for code in codes}
        return self._candles(codes[0], int(query["interval"]) * 60, int(query["since"]))

    def _row(self, code: str) -> tuple[str, str, str, str]:
        base = code.removesuffix("USD")
        return MARKET.get(code) or (code, f"{base}/USD", *PLAIN[2:])

    def _name(self, code: str) -> str:
        sides = self._row(code)[1].split("/")
        return "/".join(BETTER_NAMES.get(side, side) for side in sides)

    def _listed(self, code: str) -> dict[str, str]:
        altname, wsname, tick_size, _ = self._row(code)
        status = "cancel_only" if code == "DEADUSD" else "online"
        return {"altname": altname, "wsname": wsname, "tick_size": tick_size, "status": status}

    def _candles(self, code: str, step: int, since: int) -> Any:
        # As from the exchange: always the newest 720, the oldest first, also without trades.
        end = int((self.now or datetime.now(UTC)).timestamp()) // step * step
        first = max(end - (ROWS - 1) * step, (since // step + 1) * step)
        price = Decimal(self.pairs[code]["last"])
        opened, high, low = (str(price + each) for each in (-1, 2, -2))
        rows = [
            [moment, opened, high, low, str(price), str(price), "1.50000000", 3]
            for moment in range(first, end + 1, step)
        ]
        return {code: rows, "last": end - step}


def _day(words: str) -> dict[str, str]:
    opened, high, low, last, volume, today = words.split()
    prices = {"open": opened, "high": high, "low": low, "last": last, "today": today}
    return prices | {"volume": volume, "bid": last, "ask": last, "timestamp": _now()}


def _ticker(day: dict[str, str]) -> dict[str, Any]:
    today = {"h": day["today"], "l": day["today"], "v": "1.00000000"}
    rolling = {"h": day["high"], "l": day["low"], "v": day["volume"]}
    both = {name: [today[name], rolling[name]] for name in rolling}
    prices = {"a": [day["ask"], "1", "1.000"], "b": [day["bid"], "1", "1.000"]}
    return both | prices | {"c": [day["last"], "0.01"], "t": [35, 3276], "o": day["today"]}


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


MANY = [f"C{number}USD" for number in range(500)]  # to enlist; one connection takes as many


@asynccontextmanager
async def bench(patience: float = PATIENCE) -> AsyncIterator[Bench]:
    """Set Kraken up with its stub, whose candles end at its own time."""
    async with Kraken(heartbeat=0.02, now=datetime(2026, 1, 5, 13, 30, tzinfo=UTC)) as stub:
        options = {"rest_url": stub.rest_url, "ws_url": stub.ws_url}
        provider = make_provider("kraken", options | {"timeout": patience, "silence": patience})
        known = [
            Instrument(symbol="BTC-USD", code="XXBTZUSD"),
            Instrument(symbol="BTC-EUR", code="XXBTZEUR", currency="EUR"),
        ]
        unknown = [Instrument(symbol="NOPE-USD", code="NOPEUSD")]
        yield Bench(provider=provider, known=known, unknown=unknown, stub=stub, retry_after=15)
        await provider.aclose()


if __name__ == "__main__":
    main(Kraken)
