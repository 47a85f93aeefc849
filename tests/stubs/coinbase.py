"""A stub of Coinbase Exchange: `python -m tests.stubs.coinbase --port 0`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from websockets.asyncio.server import ServerConnection

from quotes.providers import Instrument, make_provider
from tests.servers import PATIENCE
from tests.stubs.exchange import Bench, Exchange, main

ROWS = 300

# The list: made-up prices of the last 24 hours as (open, high, low, last, volume, step).
MARKET = {
    "BTC-USD": ("63000.00", "65250.50", "62750.25", "64000.00", "1200.50000000", "0.01"),
    "BTC-EUR": ("58000.00", "60100.00", "57900.00", "59000.00", "310.25000000", "0.01"),
    "ETH-USD": ("3300.00", "3350.00", "3150.00", "3200.00", "20500.12500000", "0.01"),
    "SOL-USD": ("150.00", "155.50", "148.20", "151.30", "99000.000", "0.01"),
    "DOGE-USD": ("0.12000", "0.12600", "0.11900", "0.12340", "5000000.0", "0.00001"),
    "TINY-USD": (
        "0.0000120000",
        "0.0000130000",
        "0.0000110000",
        "0.0000123400",
        "7000000000",
        "0.0000000001",
    ),
}
PLAIN = ("9.50", "11.00", "9.00", "10.00", "100", "0.01")
ODD = {  # listed, but not traded: status, trading_disabled
    "QUIET-USD": ("online", False),  # without statistics
    "HALTED-USD": ("online", True),
    "OLD-USD": ("delisted", True),
}


class Coinbase(Exchange):
    """A stub of Coinbase Exchange."""

    def __init__(
        self,
        port: int = 0,
        *,
        patience: float = PATIENCE,  # seconds until the first subscription
        heartbeat: float = 1.0,  # seconds
        hangs_up: bool = False,  # whether a bad product ends the socket
        retry_after: str = "7",
    ) -> None:
        super().__init__(port, retry_after=retry_after)
        self.patience, self.heartbeat, self.hangs_up = patience, heartbeat, hangs_up
        self.products = {code: _ticker(code, number) for number, code in enumerate(MARKET)}
        self.listeners: dict[ServerConnection, dict[str, set[str]]] = {}

    def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Return the list, the statistics, or the candles of a product."""
        match path.strip("/").split("/"):
            case ["products"]:
                rows = [_row(code, *odd) for code, odd in ODD.items()]
                return 200, [_row(code) for code in self.products] + rows
            case ["products", "stats"]:
                return 200, {"QUIET-USD": {"stats_24hour": {}}} | {
                    code: {"stats_24hour": _stats(ticker)} for code, ticker in self.products.items()
                }
            case ["products", code, "candles"] if code in self.products:
                return self._candles(code, query)
        return 404, {"message": "NotFound"}

    async def tick(self, product: str, price: str, **fields: Any) -> None:
        """Trade a product at a price; other fields of its ticker may be given too."""
        ticker = self.products[product]
        bid, ask = Decimal(price), Decimal(price) + Decimal(MARKET.get(product, PLAIN)[5])
        ticker |= {"price": price, "best_bid": f"{bid:f}", "best_ask": f"{ask:f}", "time": _now()}
        ticker |= {"sequence": ticker["sequence"] + 1} | fields
        for connection, wanted in list(self.listeners.items()):
            if product in wanted["ticker"]:
                await self._publish(connection, product)

    def enlist(self, *codes: str) -> None:
        """List more products, which cost 10."""
        for code in codes:
            self.products[code] = _ticker(code, len(self.products))

    def state(self) -> dict[str, Any]:
        """Return what happened so far, and the ticker of each product."""
        return super().state() | {"products": self.products}

    async def feed(self, connection: ServerConnection) -> None:
        """Take subscriptions until the socket ends."""
        self.listeners[connection] = {"ticker": set(), "heartbeat": set()}
        beats = asyncio.create_task(self._beat(connection))
        try:
            async with asyncio.timeout(self.patience):
                going = await self._subscribe(connection, await connection.recv())
            while going:
                going = await self._subscribe(connection, await connection.recv())
        except TimeoutError:
            return
        finally:
            beats.cancel()
            del self.listeners[connection]

    async def _subscribe(self, connection: ServerConnection, raw: str | bytes) -> bool:
        message = json.loads(raw)
        self.subscriptions.append(message)
        if self.mode == "drop":
            connection.transport.abort()
            return False
        codes, channels = message.get("product_ids", []), message.get("channels", [])
        if bad := next((code for code in codes if self._reason(code)), None):
            reason = self._reason(bad)
            error = {"type": "error", "message": "Failed to subscribe", "reason": reason}
            await self.send(connection, error)
            return not self.hangs_up
        await self._acknowledge(connection, codes, channels)
        return True

    async def _acknowledge(
        self, connection: ServerConnection, codes: list[str], channels: list[str]
    ) -> None:
        wanted = self.listeners[connection]
        for channel in channels:
            wanted[channel].update(codes)
        subscribed = [{"name": name, "product_ids": sorted(wanted[name])} for name in wanted]
        await self.send(connection, {"type": "subscriptions", "channels": subscribed})
        for code in codes if "ticker" in channels else []:
            await self._publish(connection, code)

    async def _publish(self, connection: ServerConnection, code: str) -> None:
        if code in self.products and self.mode != "empty":
            await self.send(connection, self.products[code])

    async def _beat(self, connection: ServerConnection) -> None:
        number = 0
        while True:
            await asyncio.sleep(self.heartbeat)
            number += 1
            if self.mode == "empty":
                continue
            for code in sorted(self.listeners[connection]["heartbeat"]):
                beat = {"type": "heartbeat", "sequence": number, "last_trade_id": 20}
                await self.send(connection, beat | {"product_id": code, "time": _now()})

    def _reason(self, code: str) -> str:
        if code in self.products or code in ("QUIET-USD", "HALTED-USD"):
            return ""
        return f"{code} is delisted" if code in ODD else f"{code} is not a valid product"

    def _candles(self, code: str, query: dict[str, str]) -> tuple[int, Any]:
        step = int(query.get("granularity", 60))
        first, last = (_seconds(query[name]) for name in ("start", "end"))
        if (last - first) // step + 1 > ROWS:
            return 400, {"message": "granularity too small for the requested time range"}
        price = float(self.products[code]["price"])
        moments = range(-(-first // step) * step, last + 1, step)
        # As from the exchange: the newest first, and no row for the tenth candle, without trades.
        return 200, [
            [moment, price - 2, price + 2, price - 1, price + 1, 1.5]
            for moment in reversed(moments)
            if moment // step % 10
        ]


def _ticker(code: str, number: int) -> dict[str, Any]:
    opened, high, low, last, volume, step = MARKET.get(code, PLAIN)
    return {
        "type": "ticker",
        "sequence": 1000 * (number + 1),
        "product_id": code,
        "price": last,
        "open_24h": opened,
        "volume_24h": volume,
        "low_24h": low,
        "high_24h": high,
        "volume_30d": "1000000",
        "best_bid": last,
        "best_bid_size": "0.5",
        "best_ask": f"{Decimal(last) + Decimal(step):f}",
        "best_ask_size": "0.25",
        "side": "buy",
        "time": _now(),
        "trade_id": 77,
        "last_size": "0.01",
    }


def _row(code: str, status: str = "online", trading_disabled: bool = False) -> dict[str, Any]:
    base, _, currency = code.rpartition("-")
    return {
        "id": code,
        "base_currency": base,
        "quote_currency": currency,
        "quote_increment": MARKET.get(code, PLAIN)[5],
        "base_increment": "0.00000001",
        "display_name": f"{base}/{currency}",
        "status": status,
        "trading_disabled": trading_disabled,
    }


def _stats(ticker: dict[str, Any]) -> dict[str, str]:
    names = {"open": "open_24h", "high": "high_24h", "low": "low_24h"}
    names |= {"last": "price", "volume": "volume_24h"}
    return {name: ticker[theirs] for name, theirs in names.items()}


def _seconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp())


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


MANY = [f"C{number}-USD" for number in range(500)]  # to enlist; one connection takes as many


@asynccontextmanager
async def bench(patience: float = PATIENCE) -> AsyncIterator[Bench]:
    """Set Coinbase up with its stub."""
    async with Coinbase(heartbeat=0.02) as stub:
        options = {"rest_url": stub.rest_url, "ws_url": stub.ws_url}
        provider = make_provider("coinbase", options | {"timeout": patience, "silence": patience})
        known = [
            Instrument(symbol="BTC-USD", code="BTC-USD"),
            Instrument(symbol="BTC-EUR", code="BTC-EUR", currency="EUR"),
        ]
        unknown = [Instrument(symbol="NOPE-USD", code="NOPE-USD")]
        yield Bench(provider=provider, known=known, unknown=unknown, stub=stub)
        await provider.aclose()


if __name__ == "__main__":
    main(Coinbase)
