"""A stub of Binance: `python -m tests.stubs.binance --port 0`."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Response

from quotes.providers import Instrument, make_provider
from tests.servers import PATIENCE
from tests.stubs.exchange import Bench, Exchange, main

MAX_MESSAGES = 5  # in any second
BATCH = 20  # symbols at the lowest weight
ROWS = 1000  # candles in one answer

# The list: base, quote, tick size, and made-up prices of the last 24 hours as (open, high, low,
# last, volume).
MARKET = {
    "BTCUSDT": ("BTC", "USDT", "0.01000000", "63000.00 65250.50 62750.25 64000.00 1200.50000000"),
    "BTCEUR": ("BTC", "EUR", "0.01000000", "58000.00 60100.00 57900.00 59000.00 310.25000000"),
    "ETHUSDT": ("ETH", "USDT", "0.01000000", "3300.00 3350.00 3150.00 3200.00 20500.12500000"),
    "ETHBTC": ("ETH", "BTC", "0.00001000", "0.05000 0.05200 0.04900 0.05125 900.50000000"),
    "BTCFDUSD": ("BTC", "FDUSD", "0.01000000", "63010.00 65260.00 62760.00 64010.00 80.50000000"),
    "PEPEUSDT": (
        "PEPE",
        "USDT",
        "0.00000001",
        "0.00000400 0.00000450 0.00000390 0.00000403 7000000.00",
    ),
    "币安人生USDT": ("币安人生", "USDT", "0.00001000", "0.10 0.12 0.09 0.11 5000.00000000"),
    "ZEROUSDT": ("ZERO", "USDT", "0.00010000", "0 0 0 0 0"),  # without a price
}
PLAIN = ("USDT", "0.01000000", "9.50 11.00 9.00 10.00 100.00000000")
HALTED = "OLDUSDT"  # listed, not traded, but still with a ticker


class Binance(Exchange):
    """A stub of Binance."""

    limited = (429, {"code": -1003, "msg": "Too much request weight used; IP banned until 17."})
    refused = (451, {"code": 0, "msg": "Service unavailable from a restricted location."})
    closed = (503, {"code": -1008, "msg": "Server is currently overloaded."})

    def __init__(
        self,
        port: int = 0,
        *,
        pulse: float = 1.0,  # seconds
        ping: float = 20.0,  # seconds
        retry_after: str = "7",
    ) -> None:
        super().__init__(port, retry_after=retry_after)
        self.pulse, self.ping = pulse, ping
        self.symbols = {code: _day(row[3]) for code, row in MARKET.items()}
        self.delisted: set[str] = set()  # only in the list of symbols
        self.requested: list[list[str]] = []  # the symbols of each request for tickers
        self.weight, self.pongs = 0, 0
        self.listed: dict[str, str] = {}  # the query of the list
        self.listeners: dict[ServerConnection, set[str]] = {}

    def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Return the list, tickers, or the candles of a symbol, and add their weight."""
        match path.removeprefix("/api/v3/"):
            case "exchangeInfo":
                self.weight, self.listed = self.weight + 20, query
                old = [self._symbol(HALTED, "BREAK")] if "symbolStatus" not in query else []
                return 200, {"symbols": [self._symbol(code) for code in self.symbols] + old}
            case "ticker/24hr":
                return self._tickers(query["symbols"])
            case "klines":
                self.weight += 2
                return self._candles(query)
        return 404, {}

    async def tick(self, product: str, price: str, **fields: Any) -> None:
        """Trade a symbol at a price; other fields of its ticker may be given too."""
        self.symbols[product] |= {"c": price, "b": price, "E": _now()}
        step = Decimal(MARKET[product][2]) if product in MARKET else Decimal("0.01")
        self.symbols[product]["a"] = f"{Decimal(price) + step:f}"
        self.symbols[product] |= fields
        name = f"{product.lower()}@ticker"
        event = {"e": "24hrTicker", "s": product} | self.symbols[product]
        for connection, wanted in list(self.listeners.items()):
            if name in wanted and self.mode != "empty":
                await self.send(connection, {"stream": name, "data": event})

    def enlist(self, *codes: str) -> None:
        """List more symbols, such as C1USDT, which cost 10."""
        for code in codes:
            self.symbols[code] = _day(PLAIN[2])

    async def shut_down(self) -> None:
        """Announce that the server is about to end its connections."""
        event = {"e": "serverShutdown", "E": _now()}
        await self.send_all({"stream": "!serverShutdown", "data": event})

    async def feed(self, connection: ServerConnection) -> None:
        """Take subscriptions until the socket ends."""
        assert connection.request
        url = urlsplit(connection.request.path)
        names = parse_qs(url.query).get("streams", [""])[0].split("/")
        if url.path != "/stream":
            await connection.close(1008, "not a combined stream")
            return
        self.listeners[connection] = set(names)
        tasks = [asyncio.create_task(each(connection)) for each in (self._beat, self._ping)]
        recent: deque[float] = deque(maxlen=MAX_MESSAGES)
        try:
            async for raw in connection:
                if len(recent) == MAX_MESSAGES and time.monotonic() - recent[0] < 1:
                    await connection.close(1008, "Too many requests")
                    return
                recent.append(time.monotonic())
                await self._subscribe(connection, json.loads(raw))
        finally:
            for task in tasks:
                task.cancel()
            del self.listeners[connection]

    async def _subscribe(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        self.subscriptions.append(message)
        if self.mode == "drop":
            connection.transport.abort()
        elif message.get("method") != "SUBSCRIBE":
            words = f"Invalid request: unknown variant {message.get('method')}"
            await self.send(connection, {"code": 2, "msg": words, "id": message.get("id")})
        else:
            # The exchange accepts streams of unknown symbols, too.
            self.listeners[connection].update(message["params"])
            await self.send(connection, {"result": None, "id": message["id"]})

    async def _beat(self, connection: ServerConnection) -> None:
        mini = {"e": "24hrMiniTicker", "s": "BTCUSDT", "c": "64000.00", "o": "63000.00"}
        name = "btcusdt@miniTicker"
        while True:
            await asyncio.sleep(self.pulse)
            if self.mode != "empty" and name in self.listeners[connection]:
                await self.send(connection, {"stream": name, "data": mini | {"E": _now()}})

    async def _ping(self, connection: ServerConnection) -> None:
        while True:
            await asyncio.sleep(self.ping)
            await (await connection.ping(str(_now())))
            self.pongs += 1

    def _answer(self, status: int, document: Any) -> Response:
        response = super()._answer(status, document)
        response.headers["X-MBX-USED-WEIGHT-1M"] = str(self.weight)
        return response

    def _tickers(self, symbols: str) -> tuple[int, Any]:
        if " " in symbols or "\\" in symbols:
            words = "Illegal characters found in parameter 'symbols'; legal range is '...'."
            return 400, {"code": -1100, "msg": words}
        codes = json.loads(symbols)
        self.requested.append(codes)
        self.weight += 2 if len(codes) <= BATCH else 40
        if not all(self._knows(code) for code in codes):
            return 400, {"code": -1121, "msg": "Invalid symbol."}
        return 200, [self._row(code) for code in sorted(codes)]

    def _candles(self, query: dict[str, str]) -> tuple[int, Any]:
        code, limit = query["symbol"], min(int(query.get("limit", 500)), ROWS)
        if not self._knows(code):
            return 400, {"code": -1121, "msg": "Invalid symbol."}
        first, last = int(query["startTime"]), int(query["endTime"])
        step = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}[query["interval"][-1]]
        step *= int(query["interval"][:-1])
        price = Decimal(self.symbols[code]["c"])
        prices = [str(price + each) for each in (-1, 2, -2, 0)]
        moments = range(-(-first // step) * step, last + 1, step)[:limit]
        return 200, [[m, *prices, "1.5", m + step - 1, "9", 3, "1", "1", "0"] for m in moments]

    def _knows(self, code: str) -> bool:
        return code == HALTED or (code in self.symbols and code not in self.delisted)

    def _row(self, code: str) -> dict[str, Any]:
        day = self.symbols.get(code) or _day(" ".join(["0.00000000"] * 5))
        names = {"c": "lastPrice", "b": "bidPrice", "a": "askPrice", "o": "openPrice"}
        names |= {"h": "highPrice", "l": "lowPrice", "v": "volume", "E": "closeTime"}
        return {"symbol": code, "prevClosePrice": "1.00"} | {names[n]: day[n] for n in names}

    def _symbol(self, code: str, status: str = "TRADING") -> dict[str, Any]:
        base, quoted, step, _ = MARKET.get(code) or (code.removesuffix("USDT"), *PLAIN)
        row = {"symbol": code, "status": status, "baseAsset": base, "quoteAsset": quoted}
        lot = {"filterType": "LOT_SIZE", "stepSize": "0.00001000"}
        return row | {"filters": [lot, {"filterType": "PRICE_FILTER", "tickSize": step}]}


def _day(words: str) -> dict[str, Any]:
    opened, high, low, last, volume = words.split()
    prices = {"o": opened, "h": high, "l": low, "c": last, "b": last, "a": last}
    return prices | {"v": volume, "x": "1.00", "E": _now()}


def _now() -> int:
    return time.time_ns() // 1_000_000


MANY = [f"C{number}USDT" for number in range(500)]  # to enlist; one connection takes as many


@asynccontextmanager
async def bench(patience: float = PATIENCE) -> AsyncIterator[Bench]:
    """Set Binance up with its stub; its code for our BTC-USD is in USDT."""
    async with Binance(pulse=0.02) as stub:
        options = {"rest_url": stub.rest_url, "ws_url": stub.ws_url}
        provider = make_provider("binance", options | {"timeout": patience, "silence": patience})
        known = [
            Instrument(symbol="BTC-USD", code="BTCUSDT", currency="USDT"),
            Instrument(symbol="BTC-EUR", code="BTCEUR", currency="EUR"),
        ]
        unknown = [Instrument(symbol="NOPE-USD", code="NOPEUSDT")]
        yield Bench(provider=provider, known=known, unknown=unknown, stub=stub)
        await provider.aclose()


if __name__ == "__main__":
    main(Binance)
