"""Coinbase Exchange: crypto in dollars, euros and pounds, without a key.

REST tells all products in one answer, without bid, ask and time; the stream tells all of it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from math import ceil
from typing import Any
from urllib.parse import quote as escaped

from quotes.providers import Candle, Instrument, Plan, Provider, ProviderError
from quotes.providers.kit.batches import Asked, by_code
from quotes.providers.kit.cache import StreamCache
from quotes.providers.kit.client import NotFoundError, address, of_kind
from quotes.providers.kit.cooldown import cooldown
from quotes.providers.kit.errors import excerpt
from quotes.providers.kit.klines import read_klines
from quotes.providers.kit.sockets import EndedError, Socket
from quotes.providers.kit.standing import Standing
from quotes.quote import Quote, amount, last_price, price, utc

STEPS = (60, 300, 900, 3600, 21_600, 86_400)  # seconds of a candle
COLUMNS = ("time", "low", "high", "open", "close", "volume")  # of a candle
ROWS = 300  # candles in one answer, at most
PACE = 0.1  # seconds between two answers: ten a second are free
PER_MINUTE = 480  # requests: 600 in all, and others may share our address
COOL_DOWN = 10.0  # seconds to stay away when that was too often; it does not say for how long
PATIENCE = 3.0  # seconds that a stream waits for the list of products before it does without
CHUNK = 50  # products in one subscription
HANDFUL = 10  # products whose heartbeats, one a second each, may all come
GONE = {"delisted": "is delisted", None: "is not a valid product"}  # by status; None: not listed

day_quote = partial(Quote, provider="coinbase", volume_window="24h", session="always", delay=0)


class Coinbase(Provider):
    """Reads the public market data of Coinbase Exchange."""

    name = "coinbase"
    title = "Coinbase"
    attribution = "Prices by Coinbase"
    streams = True
    steps = STEPS
    poll_interval = 5.0  # as long as the exchange itself keeps an answer
    plan = Plan(per_minute=PER_MINUTE)

    def __init__(
        self,
        rest_url: str = "https://api.exchange.coinbase.com",
        ws_url: str = "wss://ws-feed.exchange.coinbase.com",
        *,
        timeout: float = 10.0,  # seconds for an answer, or for a socket to open
        silence: float = 10.0,  # seconds without any message, after which a stream is dead
    ) -> None:
        super().__init__()
        self.rest = self.make_client(rest_url, timeout=timeout)
        self.ws_url = address(ws_url, "ws", "wss")
        self.timeout, self.silence = timeout, silence
        self.cache = StreamCache("bid", "ask")

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        """Return what the last 24 hours of each product were like."""
        if not instruments:
            return []
        stats, now = await self._get("/products/stats", dict), datetime.now(UTC)
        told = [read_stats(stats.get(each.code), each, now) for each in instruments]
        return [self.cache.complete(quote) for quote in told if quote]

    async def instruments(self) -> list[Instrument]:
        """Return the products that are traded now."""
        rows = await self._get("/products", list)
        return [found for found in map(read_product, rows) if found]

    async def candles(
        self, instrument: Instrument, step: int, start: datetime, end: datetime
    ) -> list[Candle]:
        """Return candles of 60, 300, 900, 3600, 21600 or 86400 seconds, none of quiet times."""
        self.check_step(step)
        first = ceil(start.timestamp() / step) * step
        stop = ceil(min(end, datetime.now(UTC)).timestamp())
        found: dict[datetime, Candle] = {}
        for begin in range(first, stop, ROWS * step):
            await asyncio.sleep(PACE if begin > first else 0)
            rows = await self._rows(instrument.code, step, begin, stop)
            found |= read_klines(rows, COLUMNS, start, end)
        return [found[moment] for moment in sorted(found)]

    async def stream(self, instruments: Sequence[Instrument]) -> AsyncIterator[Quote]:
        """Yield a quote of each product at once, then every tick, until the connection ends."""
        if not instruments:
            return
        asked = by_code(instruments)
        await self._leave_out_what_is_gone(asked)
        with self.cache.open(), cooldown(COOL_DOWN):
            while asked:
                connection = Connection(asked, self.standing)
                try:
                    async with Socket(self.ws_url, self.timeout, self.silence) as socket:
                        while asked:
                            while connection.due:
                                await socket.send(connection.due.pop(0))
                            for quote in connection.take(await socket.receive()):
                                self.cache.remember(quote)
                                yield quote
                except EndedError:
                    # Having named a bad product the exchange may hang up. The others go on at
                    # once: each such round has a product less, so there are few of them.
                    if not connection.refused:
                        raise
        raise ProviderError("coinbase knows none of the products")

    async def _get(self, path: str, kind: type, **params: str | int) -> Any:
        try:
            with cooldown(COOL_DOWN):
                body = await self.rest.get(path, params)
        except ProviderError as error:
            if said := complaint(error.body):
                error.args = (f"{error}: {said}",)
            raise
        if (said := complaint(body)) is not None:
            limited = "rate limit" in said.casefold()
            raise ProviderError(
                f"{path} answered with an error: {said}",
                retry_after=COOL_DOWN if limited else None,
            )
        return of_kind(kind, path, body)

    async def _rows(self, code: str, step: int, begin: int, stop: int) -> Any:
        path = f"/products/{escaped(code, safe='')}/candles"
        end = min(begin + (ROWS - 1) * step, stop)  # the end is part of what comes
        span = [f"{datetime.fromtimestamp(each, UTC):%Y-%m-%dT%H:%M:%SZ}" for each in (begin, end)]
        try:
            return await self._get(path, list, granularity=step, start=span[0], end=span[1])
        except NotFoundError:
            self.standing.drop(code, f"{code} {GONE[None]}")
            return []

    async def _leave_out_what_is_gone(self, asked: Asked) -> None:
        # One bad product costs its whole subscription, so they are looked up first; but a stream
        # must neither wait long for that nor fail with it.
        with suppress(ProviderError, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                status = read_status(await self._get("/products", list))
            for code in [code for code in asked if status and status.get(code) in GONE]:
                self.standing.drop(code, f"{code} {GONE[status.get(code)]}")
                del asked[code]


class Connection:
    """What one connection asks for, and what it has told so far."""

    def __init__(self, asked: Asked, standing: Standing) -> None:
        self.asked, self.standing = asked, standing  # a bad product leaves one for the other
        self.refused = False  # whether one did
        self.sequences: dict[str, int] = {}
        self.codes = set(asked)
        self._ask()

    def take(self, message: Mapping[str, Any]) -> list[Quote]:
        """Return the quotes in a message; raise ProviderError where it ends the connection."""
        kind = message.get("type")
        if kind == "ticker":
            return self._tick(message)
        if kind == "error":
            self._refuse(excerpt(message.get("reason") or message.get("message")))
        return []  # new kinds may come at any time

    def _tick(self, message: Mapping[str, Any]) -> list[Quote]:
        code, now = str(message.get("product_id")), datetime.now(UTC)
        asked = self.asked.get(code, [])
        quotes = [read_ticker(message, each, now) for each in asked]
        if quotes and quotes[0].last > 0:  # what has no price orders nothing
            if not self._is_new(code, quotes[0].sequence):
                return []
            self.standing.found(code)
        return quotes

    def _is_new(self, code: str, sequence: int | None) -> bool:
        seen = self.sequences.get(code, -1)
        self.sequences[code] = max(seen, sequence or 0)
        return sequence is None or sequence > seen

    def _refuse(self, said: str) -> None:
        named = self.codes.intersection(re.findall(r"[\w-]+", said))
        if not named:
            raise ProviderError(f"the stream answered with an error: {said}")
        for code in named & self.asked.keys():
            self.refused = True
            self.standing.drop(code, said)
            del self.asked[code]
            self._ask()

    def _ask(self) -> None:
        codes = list(self.asked)
        self.chunks = [codes[i : i + CHUNK] for i in range(0, len(codes), CHUNK)]
        self.pulse = next(iter(codes), "")  # of many, the one whose heartbeats are heard
        few = len(codes) <= HANDFUL
        channels = ["ticker", "heartbeat"] if few else ["ticker"]
        wanted = [(chunk, channels) for chunk in self.chunks]
        wanted += [] if few else [([self.pulse], ["heartbeat"])]
        self.due = [{"type": "subscribe", "product_ids": p, "channels": c} for p, c in wanted]


def read_ticker(message: Mapping[str, Any], instrument: Instrument, now: datetime) -> Quote:
    """Turn a ticker message into a quote."""
    day = {name: message.get(f"{name}_24h") for name in ("open", "high", "low", "volume")}
    told: dict[str, Any] = {"source_time": utc(message.get("time"))}
    told |= {side: price(message.get(f"best_{side}")) for side in ("bid", "ask")}
    if type(message.get("sequence")) is int:
        told["sequence"] = message["sequence"]
    return _quote(instrument, now, day | {"last": message.get("price")}, **told)


def read_stats(row: Any, instrument: Instrument, now: datetime) -> Quote | None:
    """Turn a product's statistics into a quote; None where there are none."""
    day = row.get("stats_24hour") if isinstance(row, dict) else None
    return _quote(instrument, now, day) if isinstance(day, dict) else None


def read_product(row: Any) -> Instrument | None:
    """Turn a row of the list of products into an instrument; None where it is not traded."""
    code = row.get("id") if isinstance(row, dict) else None
    if not isinstance(code, str) or row.get("status") != "online" or row.get("trading_disabled"):
        return None
    name, tick_size = str(row.get("display_name") or ""), price(row.get("quote_increment"))
    return Instrument(symbol="", code=code, currency=currency(code), tick_size=tick_size, name=name)


def read_status(rows: Iterable[Any]) -> dict[str, str]:
    """Tell the status of each product in the list of products."""
    products = (row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str))
    return {row["id"]: str(row.get("status")) for row in products}


def complaint(body: Any) -> str | None:
    """Read the words of an error, whatever the status that it came with; None where it is none."""
    said = body.get("message") if isinstance(body, dict) else None
    return excerpt(said) if isinstance(said, str) else None


def currency(code: str) -> str:
    """Read the currency off a product's id: its base_currency lies for BTCAUCTION-USD."""
    return code.rpartition("-")[2]


def _quote(instrument: Instrument, now: datetime, day: Any, **told: Any) -> Quote:
    told |= {name: price(day.get(name)) for name in ("open", "high", "low")}
    return day_quote(
        symbol=instrument.symbol,
        currency=currency(instrument.code),
        last=last_price(day.get("last")),
        received_at=now,
        reference=told["open"],
        reference_kind="rolling_24h" if told["open"] else "none",
        volume=amount(day.get("volume")),
        **told,
    )
