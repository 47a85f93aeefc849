"""A stub of Yahoo Finance: `python -m tests.stubs.yahoo --port 0`."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

from websockets.asyncio.server import ServerConnection

from quotes.providers import Instrument, make_provider
from tests.servers import PATIENCE
from tests.stubs.exchange import Bench, Exchange, main

BATCH = 20  # symbols in one request of spark
STEPS = {"1m": 60, "2m": 120, "5m": 300, "15m": 900, "30m": 1800, "60m": 3600, "1d": 86_400}
WEEK = 7 * 86_400
STREAMED = 100  # symbols of one connection; it forgets all others

# Made-up prices: (unit, kind, previous close, price, high, low, volume, seconds from UTC).
MARKET = {
    "AAPL": ("USD", "EQUITY", 100.0, 101.0, 101.5, 99.25, 32129951, -18000),
    "SHEL.L": ("GBp", "EQUITY", 2700.0, 2743.5, 2750.0, 2690.5, 4500000, 0),
    "SAP.DE": ("EUR", "EQUITY", 208.4, 210.05, 211.0, 207.95, 900000, 3600),
    "^GSPC": ("USD", "INDEX", 6845.5, 6850.25, 0, 0, 0, -18000),
    "BTC-USD": ("USD", "CRYPTOCURRENCY", 93000.0, 94745.08, 95227.55, 92517.22, 59712028672, 0),
}

ZONES = {-18000: "America/New_York", 0: "UTC", 3600: "Europe/Berlin"}

# The fields of a frame: number and type.
FIELDS = {
    "id": (1, "text"),
    "price": (2, "float"),
    "time": (3, "signed"),
    "currency": (4, "text"),
    "exchange": (5, "text"),
    "quote_type": (6, "varint"),
    "market_hours": (7, "varint"),
    "change_percent": (8, "float"),
    "day_volume": (9, "signed"),
    "day_high": (10, "float"),
    "day_low": (11, "float"),
    "change": (12, "float"),
    "short_name": (13, "text"),
    "open_price": (15, "float"),
    "previous_close": (16, "float"),
    "bid": (23, "float"),
    "ask": (25, "float"),
    "price_hint": (27, "signed"),
    "market_cap": (33, "double"),
}


def refusal(name: str, code: str, description: str) -> dict[str, Any]:
    """Return an error in the form of the address with this name."""
    return {name: {"result": None, "error": {"code": code, "description": description}}}


class Yahoo(Exchange):
    """A stub of Yahoo Finance."""

    limited = (429, b"Too Many Requests\r\n")
    refused = (401, refusal("finance", "Unauthorized", "Invalid Crumb"))
    closed = (503, b"<html><title>Will be right back</title></html>")

    def __init__(
        self,
        port: int = 0,
        *,
        pulse: float = 1.0,  # seconds between two frames of all watched symbols
        flat: bool = False,  # whether spark uses its other form
        session: str = "regular",  # or "pre", "post", "closed"
        retry_after: str = "7",
    ) -> None:
        super().__init__(port, retry_after=retry_after)
        self.pulse, self.flat, self.session = pulse, flat, session
        self.metas = {code: _meta(code, *values) for code, values in MARKET.items()}
        self.watched: dict[ServerConnection, list[str]] = {}
        self.queries: list[dict[str, str]] = []

    def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Return spark, a chart, or the error of an address that requires a crumb."""
        self.queries.append(query)
        match path.strip("/").split("/"):
            case ["v7", "finance", "spark"]:
                return self._spark(query["symbols"].split(","))
            case ["v8", "finance", "chart", code]:
                return self._chart(unquote(code), query)
        return self.refused

    async def tick(self, product: str, price: str, **fields: Any) -> None:
        """Trade a symbol at a price in its unit; other fields of its frame may be given too."""
        self.metas[product]["regularMarketPrice"] = float(price)
        await self._publish(product, **fields)

    def enlist(self, *codes: str) -> None:
        """List more symbols, which cost 10 dollars."""
        for code in codes:
            self.metas[code] = _meta(code, "USD", "EQUITY", 9.5, 10.0, 11.0, 9.0, 100, -18000)

    def frame(self, code: str, **fields: Any) -> dict[str, Any]:
        """Return the message of a tick; a field that is None is left out."""
        meta = self.metas[code]
        price, before = meta["regularMarketPrice"], meta["previousClose"]
        values = {
            "id": code,
            "price": price,
            "time": int(time.time() * 1000),
            "exchange": "NMS",
            "quote_type": 41 if meta["instrumentType"] == "CRYPTOCURRENCY" else 8,
            "market_hours": 1,
            "change_percent": (price - before) / before * 100,
            "change": price - before,
            "price_hint": 2,
        }
        return {"type": "pricing", "message": b64encode(encode(**values | fields)).decode()}

    async def feed(self, connection: ServerConnection) -> None:
        """Take subscriptions until the socket ends; each one replaces the last."""
        self.watched[connection] = []
        pulses = asyncio.create_task(self._pulse(connection))
        try:
            async for raw in connection:
                message = json.loads(raw)
                self.subscriptions.append(message)
                if self.mode == "drop":
                    connection.transport.abort()
                taken = message["subscribe"][:STREAMED]
                self.watched[connection] = [c for c in taken if c in self.metas]
        finally:
            pulses.cancel()
            del self.watched[connection]

    async def _pulse(self, connection: ServerConnection) -> None:
        while True:
            await asyncio.sleep(self.pulse)
            if self.mode != "empty":
                for code in self.watched[connection]:
                    await self.send(connection, self.frame(code))

    async def _publish(self, code: str, **fields: Any) -> None:
        for connection, codes in list(self.watched.items()):
            if code in codes and self.mode != "empty":
                await self.send(connection, self.frame(code, **fields))

    def _spark(self, codes: list[str]) -> tuple[int, Any]:
        if len(codes) > BATCH:
            return 400, refusal("spark", "Bad Request", "Too many symbols")
        found = [code for code in codes if code in self.metas]
        if not found:
            return 404, refusal("spark", "Not Found", "No data found for spark symbols")
        if self.flat:
            return 200, {code: self._flat(code) for code in found}
        rows = [{"symbol": code, "response": [self._response(code)]} for code in found]
        return 200, {"spark": {"result": rows, "error": None}}

    def _response(self, code: str) -> dict[str, Any]:
        flat = self._flat(code)
        times, closes = flat["timestamp"], flat["close"]
        return {
            "meta": self.metas[code] | {"currentTradingPeriod": hours(self.session)},
            "timestamp": times,
            "indicators": {"quote": [{"close": closes}]},
        }

    def _flat(self, code: str) -> dict[str, Any]:
        meta, now = self.metas[code], int(time.time())
        before, price = meta["previousClose"], meta["regularMarketPrice"]
        return {
            "symbol": code,
            "timestamp": [now - 900, now - 600, now - 300, now],
            "close": [before, None, price, None],
            "previousClose": before,
            "chartPreviousClose": before,
            "dataGranularity": 300,
            "start": None,
            "end": None,
        }

    def _chart(self, code: str, query: dict[str, str]) -> tuple[int, Any]:
        if code not in self.metas:
            words = "No data found, symbol may be delisted"
            return 404, refusal("chart", "Not Found", words)
        step = STEPS[query["interval"]]
        first, stop = int(query["period1"]), int(query["period2"])
        if step == 60 and stop - first > WEEK:
            words = "1m data not available. Only 8 days worth of 1m granularity data are allowed"
            return 422, refusal("chart", "Unprocessable Entity", words)
        price, now = self.metas[code]["regularMarketPrice"], int(time.time())
        # A day begins when the market opens; the last row may be a tick of this moment.
        opens = 9 * 3600 + 1800 - self.metas[code]["gmtoffset"] if step == STEPS["1d"] else 0
        times = list(range(-(-(first - opens) // step) * step + opens, stop, step))
        times += [now] if first <= now <= stop else []
        prices = {"open": price, "high": price * 1.02, "low": price * 0.97, "close": price * 1.01}
        # Every tenth has no trade.
        bars = {
            name: [None if moment // step % 10 == 0 else each for moment in times]
            for name, each in (prices | {"volume": 1000}).items()
        }
        result: dict[str, Any] = {"meta": self.metas[code], "indicators": {"quote": [bars]}}
        if times:
            result["timestamp"] = times
        else:
            result["indicators"] = {"quote": [{}]}
        return 200, {"chart": {"result": [result], "error": None}}


def _meta(
    code: str,
    unit: str,
    kind: str,
    before: float,
    price: float,
    high: float,
    low: float,
    volume: int,
    offset: int,
) -> dict[str, Any]:
    return {
        "currency": unit,
        "symbol": code,
        "instrumentType": kind,
        "regularMarketTime": int(time.time()) - 1,
        "hasPrePostMarketData": kind == "EQUITY",
        "gmtoffset": offset,
        "exchangeTimezoneName": ZONES[offset],
        "regularMarketPrice": price,
        "regularMarketDayHigh": high,
        "regularMarketDayLow": low,
        "regularMarketVolume": volume,
        "chartPreviousClose": before,
        "previousClose": before,
        "priceHint": 2,
    }


def hours(session: str) -> dict[str, dict[str, int]]:
    """Return the hours of a day on which this session is now."""
    opened = {"pre": 3600, "regular": -3600, "post": -5 * 3600, "closed": -10 * 3600}[session]
    start = int(time.time()) + opened
    ends = [start - 2 * 3600, start, start + 4 * 3600, start + 8 * 3600]
    names = ("pre", "regular", "post")
    return {name: {"start": ends[i], "end": ends[i + 1]} for i, name in enumerate(names)}


def encode(**fields: Any) -> bytes:
    """Return the fields of a frame as protobuf, which leaves out zeros."""
    return b"".join(_field(*FIELDS[name], value) for name, value in fields.items() if value)


def _field(number: int, kind: str, value: Any) -> bytes:
    if kind == "varint":
        return _varint(number << 3) + _varint(value)
    if kind == "signed":
        return _varint(number << 3) + _varint(value << 1 ^ value >> 63)
    if kind == "text":
        raw: bytes = value.encode()
        return _varint(number << 3 | 2) + _varint(len(raw)) + raw
    if kind == "double":
        return _varint(number << 3 | 1) + struct.pack("<d", value)
    return _varint(number << 3 | 5) + struct.pack("<f", value)


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes([*written, number])


MANY = [f"C{number}" for number in range(100)]  # to enlist; one connection takes as many


@asynccontextmanager
async def bench(patience: float = PATIENCE) -> AsyncIterator[Bench]:
    """Set Yahoo up with its stub, in dollars and in pence, by day and around the clock."""
    async with Yahoo(pulse=0.02) as stub:
        options = {"rest_url": stub.rest_url, "ws_url": stub.ws_url, "accept": "personal-use"}
        provider = make_provider("yahoo", options | {"timeout": patience, "silence": patience})
        known = [
            Instrument(symbol="AAPL", code="AAPL", kind="stock"),
            Instrument(symbol="SHEL.L", code="SHEL.L", kind="stock", currency="GBP"),
            Instrument(symbol="BTC-USD", code="BTC-USD"),
        ]
        unknown = [Instrument(symbol="NOPE", code="NOPE", kind="stock")]
        yield Bench(provider=provider, known=known, unknown=unknown, stub=stub)
        await provider.aclose()


if __name__ == "__main__":
    main(Yahoo)
