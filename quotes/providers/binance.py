"""Binance: crypto, mostly in USDT, without a key, from the hosts for market data.

Wire formats: https://github.com/binance/binance-spot-api-docs (rest-api.md, web-socket-streams.md).
A price of BTCUSDT is in USDT, never in dollars, even if it is shown for the symbol BTC-USD.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from math import ceil
from typing import Any

from quotes.providers import Candle, Instrument, Plan, Provider, ProviderError
from quotes.providers.kit.backlog import Backlog, found_by
from quotes.providers.kit.batches import Codes, Groups
from quotes.providers.kit.client import address, of_kind
from quotes.providers.kit.errors import RejectedError, excerpt
from quotes.providers.kit.klines import read_klines
from quotes.providers.kit.sockets import Socket
from quotes.quote import Quote
from quotes.quote.values import MILLISECOND, amount, last_price, price, since_1970

STEPS = {  # the exchange's name of a candle, by its seconds
    60: "1m", 180: "3m", 300: "5m", 900: "15m", 1800: "30m", 3600: "1h", 7200: "2h",
    14_400: "4h", 21_600: "6h", 28_800: "8h", 43_200: "12h", 86_400: "1d",
}  # fmt: skip
COLUMNS = ("time", "open", "high", "low", "close", "volume")  # the first ones of a candle
ROWS = 1000  # candles in one answer, at most
CHUNK = 20  # symbols in one request: with 21 it costs 40 instead of 2
WEIGHT, WEIGHT_OF_LIST = 2, 20  # of 6000 a minute, of which 70 % are used
MAX_STREAMS = 1024  # on one connection, with the pulse
STREAMS = 256  # in one message: four messages are enough, five a second are allowed
PULSE = "btcusdt@miniTicker"  # comes every second, even if no other symbol is traded
MAX_AGE = 23 * 3600.0  # seconds: the exchange ends a connection after 24 hours
REJECTED = (-1100, -1121)  # illegal characters, invalid symbol
FRAME = re.compile(r'^\{"stream":\s*"[^"]*@ticker",\s*"data":\s*\{[^{}]*?"s":\s*"([^"]*)"')
PRICES = ("bid", "ask", "open", "high", "low")
ROW = {  # of the ticker over REST
    "last": "lastPrice", "bid": "bidPrice", "ask": "askPrice", "open": "openPrice",
    "high": "highPrice", "low": "lowPrice", "volume": "volume", "time": "closeTime",
}  # fmt: skip
TICK = {  # of the ticker on a stream
    "last": "c", "bid": "b", "ask": "a", "open": "o",
    "high": "h", "low": "l", "volume": "v", "time": "E",
}  # fmt: skip

day_quote = partial(Quote, provider="binance", volume_window="24h", session="always", delay=0)


class Binance(Provider):
    """Reads the public market data of Binance."""

    name = "binance"
    title = "Binance"
    attribution = "Prices by Binance"
    max_bytes = 8 * 2**20  # for the list of all symbols, which has 4 MB
    streams = True
    steps = STEPS
    poll_interval = 2.0
    plan = Plan(per_minute=4200, batch=CHUNK)

    def __init__(
        self,
        rest_url: str = "https://data-api.binance.vision",
        ws_url: str = "wss://data-stream.binance.vision",
        *,
        timeout: float = 10.0,  # seconds for an answer, or for a socket to open
        silence: float = 60.0,  # seconds without a message until a stream has failed
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        used = "X-MBX-USED-WEIGHT-1M"
        self.rest = self.make_client(rest_url, timeout=timeout, used=used)
        self.ws_url = address(ws_url, "ws", "wss")
        self.timeout, self.silence, self.clock = timeout, silence, clock
        self.codes = Codes(self._read_list, self.standing, clock)

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        """Return the last price of each symbol, and its last 24 hours."""
        if not instruments:
            return []
        return await self._quotes(await self.codes.find(instruments))

    async def instruments(self) -> list[Instrument]:
        """Return the symbols that are traded now."""
        return list((await self._read_list()).values())

    async def candles(
        self, instrument: Instrument, step: int, start: datetime, end: datetime
    ) -> list[Candle]:
        """Return candles of 60 seconds to a day; the last one may not be complete."""
        self.check_step(step)
        first = ceil(start.timestamp() / step) * step
        stop = ceil(min(end, datetime.now(UTC)).timestamp())
        found: dict[datetime, Candle] = {}
        try:
            for begin in range(first, stop, ROWS * step):
                rows = await self._candles(instrument.code, step, begin, stop)
                found |= read_klines(rows, COLUMNS, start, end, MILLISECOND)
        except RejectedError as error:
            self.standing.drop(instrument.code, str(error))
        return [found[moment] for moment in sorted(found)]

    async def stream(self, instruments: Sequence[Instrument]) -> AsyncIterator[Quote]:
        """Yield a quote of each symbol at once, then one a second if it changed, for 23 hours."""
        if not instruments:
            return
        groups = await self.codes.find(instruments)
        if not groups:
            raise ProviderError("binance knows none of the codes")
        if len(groups) >= MAX_STREAMS:
            most = MAX_STREAMS - 1
            raise ProviderError(f"binance streams at most {most} symbols, not {len(groups)}")
        until = self.clock() + MAX_AGE
        url = f"{self.ws_url}/stream?streams={PULSE}"
        backlog = Backlog(found_by(FRAME), self.standing)
        async with Socket(url, self.timeout, self.silence, backlog=backlog) as socket:
            for message in subscriptions(list(groups)):
                await socket.send(message)
            # The stream sends a symbol at its next change, which may be hours later.
            for quote in await self._quotes(groups):
                yield quote
            while self.clock() < until:
                for quote in take(await socket.receive(), groups):
                    yield quote
        raise ProviderError("the stream is 23 hours old; binance ends streams after 24 hours")

    async def _quotes(self, groups: Groups) -> list[Quote]:
        rows, now = await self.codes.rows(self._rows, groups, CHUNK), datetime.now(UTC)
        pairs = [(rows.get(code), each) for code, group in groups.items() for each in group]
        return [read_day(row, ROW, each, now) for row, each in pairs if row]

    async def _get(self, path: str, kind: type, weight: int, **params: str | int) -> Any:
        try:
            body = await self.rest.get(path, params, weight)
        except ProviderError as error:
            if isinstance(error.body, dict) and "msg" in error.body:
                raise explained(error, error.body) from error
            raise
        if isinstance(body, dict) and "msg" in body:
            raise explained(ProviderError(f"{path} answered with an error"), body)
        return of_kind(kind, path, body)

    async def _rows(self, codes: Sequence[str]) -> dict[str, Any]:
        # Binance rejects spaces between the codes as illegal characters.
        symbols = json.dumps(list(codes), separators=(",", ":"), ensure_ascii=False)
        rows = await self._get("/api/v3/ticker/24hr", list, WEIGHT, symbols=symbols)
        return {str(row.get("symbol")): row for row in rows if isinstance(row, dict)}

    async def _candles(self, code: str, step: int, begin: int, stop: int) -> Any:
        params: dict[str, str | int] = {"symbol": code, "interval": STEPS[step], "limit": ROWS}
        params |= {"startTime": begin * 1000, "endTime": stop * 1000}
        return await self._get("/api/v3/klines", list, WEIGHT, **params)

    async def _read_list(self) -> dict[str, Instrument]:
        # The answer has 4 MB; symbols that are no longer traded would more than double it.
        params = {"permissions": "SPOT", "showPermissionSets": "false", "symbolStatus": "TRADING"}
        body = await self._get("/api/v3/exchangeInfo", dict, WEIGHT_OF_LIST, **params)
        rows = of_kind(list, "/api/v3/exchangeInfo", body.get("symbols"))
        return {found.code: found for found in map(read_symbol, rows) if found}


def explained(error: ProviderError, body: Mapping[str, Any]) -> ProviderError:
    """Return an error that contains the exchange's own text."""
    words = excerpt(body["msg"])
    if body.get("code") in REJECTED:
        return RejectedError(f"binance rejects the request: {words}")
    refused = error.refused or "restricted location" in words
    return ProviderError(f"{error}: {words}", retry_after=error.retry_after, refused=refused)


def subscriptions(codes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the messages that subscribe to the tickers of symbols."""
    names = [f"{code.lower()}@ticker" for code in codes]
    chunks = [names[i : i + STREAMS] for i in range(0, len(names), STREAMS)]
    return [
        {"method": "SUBSCRIBE", "params": chunk, "id": number}
        for number, chunk in enumerate(chunks, 1)
    ]


def take(message: Mapping[str, Any], groups: Groups) -> list[Quote]:
    """Return the quotes in a message of a stream; raise ProviderError if it ends the stream."""
    data, now = message.get("data"), datetime.now(UTC)
    event = data if isinstance(data, dict) else message  # answers to subscriptions have no data
    kind = event.get("e")
    if kind == "24hrTicker":
        group = groups.get(str(event.get("s")), [])
        return [read_day(event, TICK, each, now) for each in group]
    if kind == "serverShutdown":
        raise ProviderError("binance is about to end the stream")
    if words := message.get("msg") or message.get("error"):
        raise ProviderError(f"the stream answered with an error: {excerpt(words)}")
    return []  # Binance may add kinds of messages at any time


def read_day(
    row: Mapping[str, Any], names: Mapping[str, str], instrument: Instrument, now: datetime
) -> Quote:
    """Turn a ticker into a quote; a delisted symbol has the price 0."""
    prices: dict[str, Any] = {name: price(row.get(names[name])) for name in PRICES}
    return day_quote(
        symbol=instrument.symbol,
        currency=instrument.currency,
        last=last_price(row.get(names["last"])),
        received_at=now,
        source_time=since_1970(row.get(names["time"]), MILLISECOND),
        reference=prices["open"],
        reference_kind="rolling_24h" if prices["open"] else "none",
        volume=amount(row.get(names["volume"])),
        **prices,
    )


def read_symbol(row: Any) -> Instrument | None:
    """Turn a row of the list of symbols into an instrument; return None if it is not traded."""
    if not isinstance(row, dict) or row.get("status") != "TRADING":
        return None
    code, base, currency = (row.get(name) for name in ("symbol", "baseAsset", "quoteAsset"))
    if not (code and currency and isinstance(code, str) and isinstance(currency, str)):
        return None
    filters = row.get("filters")
    rules = (
        [each for each in filters if isinstance(each, dict)] if isinstance(filters, list) else []
    )
    sizes = (price(each["tickSize"]) for each in rules if "tickSize" in each)
    tick_size, name = next(sizes, None), f"{base}/{currency}"
    return Instrument(symbol="", code=code, currency=currency, tick_size=tick_size, name=name)
