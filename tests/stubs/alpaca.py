"""A stub of Alpaca's market data: `python -m tests.stubs.alpaca --port 0`."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

from websockets.asyncio.server import ServerConnection

from quotes.providers import Instrument, make_provider
from tests.servers import PATIENCE
from tests.stubs.exchange import Bench, Exchange, main

KEY, SECRET = "PKSTUB", "stub-secret"
CHANNELS = ("trades", "quotes", "dailyBars")
# Those who subscribe to trades get their cancels (x) and corrections (c) too.
KINDS = {"t": "trades", "x": "trades", "c": "trades", "q": "quotes", "d": "dailyBars"}
CRYPTO = "/v1beta3/crypto/us"
BARS = 1000  # in one page
STEPS = {"Min": 60, "Hour": 3600, "Day": 86_400}
NAME = r"[A-Z0-9.]+(/[A-Z]+)?"  # any other symbol is invalid

# Made-up sessions as (close before, open, high, low, last, volume).
MARKET = {
    "AAPL": (160.62, 160.59, 161.92, 159.76, 161.25, 31749),
    "BRK.B": (340.5, 341, 344.18, 339.9, 343.07, 1204),
    "MSFT": (300.43, 301, 303.6, 299.05, 302.115, 22870),
    "BTC/USD": (63000, 63000.5, 65250.5, 62750.25, 64000, 1.20054),
    "ETH/USD": (3300.1, 3300.1, 3350, 3150.2, 3200, 20.5),
}
PLAIN = (9.5, 9.6, 11, 9, 10, 100)
NAMES = {"AAPL": "Apple Inc. Common Stock"}


class Alpaca(Exchange):
    """A stub of Alpaca, with one account on its free plan."""

    limited = (429, {"message": "too many requests."})
    refused = (403, {"message": "forbidden."})

    def __init__(
        self,
        port: int = 0,
        *,
        symbols: int = 30,  # in all subscriptions of one connection
        patience: float = PATIENCE,  # seconds until the login
        retry_after: str = "7",
    ) -> None:
        super().__init__(port, retry_after=retry_after)
        self.symbols, self.patience = symbols, patience
        self.snapshots = {code: _snapshot(*session) for code, session in MARKET.items()}
        self.before: dict[str, Any] = {}  # snapshots before the last tick
        self.queries: list[dict[str, str]] = []  # of REST, in order
        self.listeners: dict[ServerConnection, dict[str, list[str]]] = {}  # after their login

    def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Return snapshots, bars, or the list of assets."""
        self.queries.append(query)
        login = self.headers.get("APCA-API-KEY-ID"), self.headers.get("APCA-API-SECRET-KEY")
        if login != (KEY, SECRET):
            return self.refused
        crypto = path.startswith(CRYPTO)
        codes = query.get("symbols", "").split(",")
        for code in codes if "symbols" in query else []:
            if not re.fullmatch(NAME, code) or ("/" in code) is not crypto:
                return 400, {"message": f"code=400, message=invalid symbol: {code}"}
        match path.removeprefix(CRYPTO if crypto else "/v2/stocks"):
            case "/snapshots":
                rows = {code: self.snapshots[code] for code in codes if code in self.snapshots}
                return 200, {"snapshots": rows} if crypto else rows
            case "/bars":
                return 200, self._bars(codes[0], query)
            case "/v2/assets":
                return 200, [_asset(code) for code in self._assets(query["asset_class"])]
        return 404, {"message": "Not Found"}

    async def tick(self, product: str, price: str, **fields: Any) -> None:
        """Trade a symbol at a price; other fields of the trade may be given too."""
        row, last = self.snapshots[product], float(price)
        self.before[product] = deepcopy(row)
        trade = {"p": last, "s": 1, "t": now(), "c": ["@"], "i": 40, "x": "V", "z": "C"} | fields
        day = row["dailyBar"]
        day |= {"h": max(day["h"], last), "l": min(day["l"], last), "c": last}
        row["latestTrade"] = trade
        await self.publish({"T": "t", "S": product} | trade)

    async def cancel(self, product: str) -> None:
        """Cancel the last tick of a symbol. REST returns it until `forget` is called."""
        trade = self.snapshots[product]["latestTrade"]
        named = {name: trade[name] for name in "ixpsz"}
        await self.publish({"T": "x", "S": product, "a": "C", "t": now()} | named)

    def forget(self, product: str) -> None:
        """Return from REST what it returned before the last tick of a symbol."""
        self.snapshots[product] = self.before.pop(product)

    async def publish(self, *messages: dict[str, Any]) -> None:
        """Send messages, in one frame, to the sockets that subscribed to all of them."""
        for connection, wanted in list(self.listeners.items()):
            if all(each["S"] in wanted[KINDS[each["T"]]] for each in messages):
                await self.send(connection, list(messages))

    def enlist(self, *codes: str) -> None:
        """Trade more symbols, which cost 10."""
        for code in codes:
            self.snapshots[code] = _snapshot(*PLAIN)

    async def feed(self, connection: ServerConnection) -> None:
        """Let one account log in and subscribe, until the socket ends."""
        await self.send(connection, [{"T": "success", "msg": "connected"}])
        try:
            if not await self._log_in(connection):
                return
            while self.mode != "drop":
                await self._subscribe(connection, json.loads(await connection.recv()))
            connection.transport.abort()
        finally:
            self.listeners.pop(connection, None)

    async def _log_in(self, connection: ServerConnection) -> bool:
        try:
            async with asyncio.timeout(self.patience):
                message = json.loads(await connection.recv())
        except TimeoutError:
            await self._fail(connection, 404, "auth timeout")
            return False
        if message != {"action": "auth", "key": KEY, "secret": SECRET}:
            await self._fail(connection, 402, "auth failed")
            return False
        if path(connection) in [path(each) for each in self.listeners]:
            await self._fail(connection, 406, "connection limit exceeded")
            return False
        self.listeners[connection] = {channel: [] for channel in CHANNELS}
        await self.send(connection, [{"T": "success", "msg": "authenticated"}])
        return True

    async def _subscribe(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        self.subscriptions.append(message)
        wanted = self.listeners[connection]
        more = {
            each: [*dict.fromkeys([*wanted[each], *message.get(each, [])])] for each in CHANNELS
        }
        if message.get("action") != "subscribe":
            await self._fail(connection, 400, "invalid syntax")
        elif len({*more["trades"], *more["quotes"]}) > self.symbols:
            await self._fail(connection, 405, "symbol limit exceeded")
        else:
            self.listeners[connection] = more
            with_trades = dict.fromkeys(("corrections", "cancelErrors"), more["trades"])
            await self.send(connection, [{"T": "subscription", "bars": [], **more, **with_trades}])
            if path(connection) == "/v2/test" and self.mode != "empty":
                await self.publish(
                    {"T": "q", "S": "FAKEPACA", "bp": 133.85, "ap": 135.77, "t": now()}
                )
                await self.publish({"T": "t", "S": "FAKEPACA", "p": 134.56, "s": 42, "t": now()})

    async def _fail(self, connection: ServerConnection, code: int, words: str) -> None:
        await self.send(connection, [{"T": "error", "code": code, "msg": words}])

    def _assets(self, kind: str) -> list[str]:
        return [code for code in self.snapshots if ("/" in code) is (kind == "crypto")]

    def _bars(self, code: str, query: dict[str, str]) -> dict[str, Any]:
        if code not in self.snapshots:
            return {"bars": {}, "next_page_token": None}
        count, unit = re.findall(r"(\d+)(\w+)", query["timeframe"])[0]
        step = int(count) * STEPS[unit]
        first, last = (_seconds(query[name]) for name in ("start", "end"))
        first = max(-(-first // step) * step, int(query.get("page_token", "0")))
        page = min(BARS, int(query["limit"]))
        moments = list(range(first, last + 1, step))  # including the end, as Alpaca does
        token = str(moments[page]) if len(moments) > page else None
        return {"bars": {code: [_bar(each) for each in moments[:page]]}, "next_page_token": token}


def path(connection: ServerConnection) -> str:
    """Return the path of a socket, which decides its stream."""
    assert connection.request
    return connection.request.path


def now() -> str:
    """Return the current time with nanoseconds, as Alpaca does."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}206Z"


def midnight(days: int = 0) -> str:
    """Return the start of a day in New York, some days from today."""
    begun = datetime.now(UTC) - timedelta(hours=5) + timedelta(days=days)
    return f"{begun:%Y-%m-%d}T05:00:00Z"


def _snapshot(
    before: float, opened: float, high: float, low: float, last: float, volume: float
) -> dict[str, Any]:
    day = {"o": opened, "h": high, "l": low, "c": last, "v": volume, "n": 186, "vw": last}
    old = {"o": before, "h": before, "l": before, "c": before, "v": volume, "n": 6, "vw": before}
    return {
        "latestTrade": {"t": now(), "x": "V", "p": last, "s": 200, "c": ["@"], "i": 39, "z": "C"},
        "latestQuote": {"t": now(), "ax": "V", "ap": last, "as": 2, "bx": "V", "bp": low, "bs": 5},
        "minuteBar": {"t": now(), **day},
        "dailyBar": {"t": midnight(), **day},
        "prevDailyBar": {"t": midnight(-1), **old},
    }


def _asset(code: str) -> dict[str, Any]:
    crypto = "/" in code
    asset = {
        "id": "00000000-0000-4000-8000-000000000000",
        "class": "crypto" if crypto else "us_equity",
        "exchange": "CRYPTO" if crypto else "NASDAQ",
        "symbol": code,
        "name": NAMES.get(code, f"{code} Made-up"),
        "status": "active",
        "tradable": True,
    }
    return asset | ({"price_increment": "0.01"} if crypto else {})


def _bar(moment: int) -> dict[str, Any]:
    begun = f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return {"t": begun, "o": 174, "h": 174.84, "l": 172.31, "c": 174.61, "v": 85998, "n": 9}


def _seconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp())


MANY = [f"C{number}" for number in range(25)]  # to enlist; one connection takes as many


@asynccontextmanager
async def bench(patience: float = PATIENCE) -> AsyncIterator[Bench]:
    """Set Alpaca up with its stub: two streams, one of stocks and one of crypto."""
    async with Alpaca() as stub:
        options = {
            "rest_url": stub.rest_url,
            "ws_url": stub.ws_url,
            "assets_url": stub.rest_url,
            "api_key": KEY,
            "api_secret": SECRET,
        }
        provider = make_provider("alpaca", options | {"timeout": patience, "silence": patience})
        known = [
            Instrument(symbol="AAPL", code="AAPL", kind="stock"),
            Instrument(symbol="BTC-USD", code="BTC/USD"),
            Instrument(symbol="BRK.B", code="BRK.B", kind="stock"),
        ]
        unknown = [
            Instrument(symbol="BRK-A", code="BRK-A", kind="stock"),
            Instrument(symbol="NOPE", code="NOPE", kind="stock"),
        ]
        yield Bench(provider=provider, known=known, unknown=unknown, stub=stub)
        await provider.aclose()


if __name__ == "__main__":
    main(Alpaca)
