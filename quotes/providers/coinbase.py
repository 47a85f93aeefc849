"""Coinbase Exchange: crypto in dollars, euros and pounds, without a key.

REST returns all products in one answer, without bid, ask and time. The stream has all fields.
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
from quotes.providers.kit.backlog import Backlog, found_by
from quotes.providers.kit.batches import Groups, by_code
from quotes.providers.kit.cache import StreamCache
from quotes.providers.kit.client import NotFoundError, address, of_kind
from quotes.providers.kit.cooldown import cooldown
from quotes.providers.kit.errors import excerpt
from quotes.providers.kit.klines import read_klines
from quotes.providers.kit.sockets import EndedError, Socket
from quotes.providers.kit.standing import Standing
from quotes.quote import Quote
from quotes.quote.values import amount, last_price, price, utc

STEPS = (60, 300, 900, 3600, 21_600, 86_400)  # seconds of a candle
COLUMNS = ("time", "low", "high", "open", "close", "volume")  # of a candle
ROWS = 300  # candles in one answer, at most
PACE = 0.1  # seconds between two answers: ten a second are free
PER_MINUTE = 480  # requests: 600 in all, and others may share our address
COOL_DOWN = 10.0  # seconds to back off after too many requests
PATIENCE = 3.0  # seconds that a stream waits for the list of products; then it starts without
CHUNK = 50  # products in one subscription
HANDFUL = 10  # with more products than this, only one of them sends heartbeats, one a second
GONE = {"delisted": "is delisted", None: "is not a valid product"}  # by status; None: missing
TICK = re.compile(r'^\{"type":\s*"ticker",.*?"product_id":\s*"([^"]*)"')

day_quote = partial(Quote, provider="coinbase", volume_window="24h", session="always", delay=0)


class Coinbase(Provider):
    """Reads the public market data of Coinbase Exchange."""

    name = "coinbase"
    title = "Coinbase"
    attribution = "Prices by Coinbase"
    streams = True
    steps = STEPS
    poll_interval = 5.0  # the exchange caches answers for the same time
    plan = Plan(per_minute=PER_MINUTE)

    def __init__(
        self,
        rest_url: str = "https://api.exchange.coinbase.com",
        ws_url: str = "wss://ws-feed.exchange.coinbase.com",
        *,
        timeout: float = 10.0,  # seconds for an answer, or for a socket to open
        silence: float = 10.0,  # seconds without a message until a stream has failed
    ) -> None:
        super().__init__()
        self.rest = self.make_client(rest_url, timeout=timeout)
        self.ws_url = address(ws_url, "ws", "wss", query=True)
        self.timeout, self.silence = timeout, silence
        self.cache = StreamCache("bid", "ask")

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        """Return the last price of each product, and its last 24 hours."""
        if not instruments:
            return []
        stats, now = await self._get("/products/stats", dict), datetime.now(UTC)
        quotes = [read_stats(stats.get(each.code), each, now) for each in instruments]
        return [self.cache.complete(quote) for quote in quotes if quote]

    async def instruments(self) -> list[Instrument]:
        """Return the products that are traded now."""
        rows = await self._get("/products", list)
        return [found for found in map(read_product, rows) if found]

    async def candles(
        self, instrument: Instrument, step: int, start: datetime, end: datetime
    ) -> list[Candle]:
        """Return candles of 60, 300, 900, 3600, 21600 or 86400 seconds, none without a trade."""
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
        groups = by_code(instruments)
        await self._drop_gone(groups)
        with self.cache.open(), cooldown(COOL_DOWN):
            while groups:
                connection = Connection(groups, self.standing)
                try:
                    async with self._socket() as socket:
                        while groups:
                            while connection.due:
                                await socket.send(connection.due.pop(0))
                            for quote in connection.take(await socket.receive()):
                                self.cache.remember(quote)
                                yield quote
                except EndedError:
                    # The exchange may end the connection after it named a bad product. We connect
                    # again at once: every round has fewer products, so there are few rounds.
                    if not connection.refused:
                        raise
        raise ProviderError("coinbase knows none of the codes")

    def _socket(self) -> Socket:
        backlog = Backlog(found_by(TICK), self.standing)
        return Socket(self.ws_url, self.timeout, self.silence, backlog=backlog)

    async def _get(self, path: str, kind: type, **params: str | int) -> Any:
        try:
            with cooldown(COOL_DOWN):
                body = await self.rest.get(path, params)
        except ProviderError as error:
            if words := complaint(error.body):
                error.args = (f"{error}: {words}",)
            raise
        if (words := complaint(body)) is not None:
            limited = "rate limit" in words.casefold()
            raise ProviderError(
                f"{path} answered with an error: {words}",
                retry_after=COOL_DOWN if limited else None,
            )
        return of_kind(kind, path, body)

    async def _rows(self, code: str, step: int, begin: int, stop: int) -> Any:
        path = f"/products/{escaped(code, safe='')}/candles"
        end = min(begin + (ROWS - 1) * step, stop)  # the answer includes the end
        span = [f"{datetime.fromtimestamp(each, UTC):%Y-%m-%dT%H:%M:%SZ}" for each in (begin, end)]
        try:
            return await self._get(path, list, granularity=step, start=span[0], end=span[1])
        except NotFoundError:
            self.standing.drop(code, f"{code} {GONE[None]}")
            return []

    async def _drop_gone(self, groups: Groups) -> None:
        # One bad product spoils its whole subscription, so we look all up first. The stream must
        # not wait long for that, and not fail with it.
        with suppress(ProviderError, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                status = read_status(await self._get("/products", list))
            for code in [code for code in groups if status and status.get(code) in GONE]:
                self.standing.drop(code, f"{code} {GONE[status.get(code)]}")
                del groups[code]


class Connection:
    """Subscribes to products, drops those that the exchange refuses, and reads the ticks."""

    def __init__(self, groups: Groups, standing: Standing) -> None:
        self.groups, self.standing = groups, standing  # a refused product leaves the groups
        self.refused = False  # whether one was refused
        self.sequences: dict[str, int] = {}
        self.codes = set(groups)
        self._subscribe()

    def take(self, message: Mapping[str, Any]) -> list[Quote]:
        """Return the quotes in a message; raise ProviderError for an error."""
        kind = message.get("type")
        if kind == "ticker":
            return self._tick(message)
        if kind == "error":
            self._refuse(excerpt(message.get("reason") or message.get("message")))
        return []  # Coinbase may add kinds of messages at any time

    def _tick(self, message: Mapping[str, Any]) -> list[Quote]:
        code, now = str(message.get("product_id")), datetime.now(UTC)
        group = self.groups.get(code, [])
        quotes = [read_ticker(message, each, now) for each in group]
        if quotes and quotes[0].last > 0:  # a message without a price must not hide a later one
            if not self._is_new(code, quotes[0].sequence):
                return []
            self.standing.found(code)
        return quotes

    def _is_new(self, code: str, sequence: int | None) -> bool:
        seen = self.sequences.get(code, -1)
        self.sequences[code] = max(seen, sequence or 0)
        return sequence is None or sequence > seen

    def _refuse(self, words: str) -> None:
        named = self.codes.intersection(re.findall(r"[\w-]+", words))
        if not named:
            raise ProviderError(f"the stream answered with an error: {words}")
        for code in named & self.groups.keys():
            self.refused = True
            self.standing.drop(code, words)
            del self.groups[code]
            self._subscribe()

    def _subscribe(self) -> None:
        codes = list(self.groups)
        self.chunks = [codes[i : i + CHUNK] for i in range(0, len(codes), CHUNK)]
        self.pulse = next(iter(codes), "")  # of many products, the one that sends heartbeats
        few = len(codes) <= HANDFUL
        channels = ["ticker", "heartbeat"] if few else ["ticker"]
        pairs = [(chunk, channels) for chunk in self.chunks]
        pairs += [] if few else [([self.pulse], ["heartbeat"])]
        self.due = [{"type": "subscribe", "product_ids": p, "channels": c} for p, c in pairs]


def read_ticker(message: Mapping[str, Any], instrument: Instrument, now: datetime) -> Quote:
    """Turn a ticker message into a quote."""
    opened, sequence = price(message.get("open_24h")), message.get("sequence")
    return day_quote(
        symbol=instrument.symbol,
        currency=currency(instrument.code),
        last=last_price(message.get("price")),
        received_at=now,
        source_time=utc(message.get("time")),
        bid=price(message.get("best_bid")),
        ask=price(message.get("best_ask")),
        open=opened,
        high=price(message.get("high_24h")),
        low=price(message.get("low_24h")),
        reference=opened,
        reference_kind="rolling_24h" if opened else "none",
        volume=amount(message.get("volume_24h")),
        sequence=sequence if type(sequence) is int else None,
    )


def read_stats(row: Any, instrument: Instrument, now: datetime) -> Quote | None:
    """Turn a product's statistics into a quote; return None if there are none."""
    day = row.get("stats_24hour") if isinstance(row, dict) else None
    if not isinstance(day, dict):
        return None
    opened = price(day.get("open"))
    return day_quote(
        symbol=instrument.symbol,
        currency=currency(instrument.code),
        last=last_price(day.get("last")),
        received_at=now,
        open=opened,
        high=price(day.get("high")),
        low=price(day.get("low")),
        reference=opened,
        reference_kind="rolling_24h" if opened else "none",
        volume=amount(day.get("volume")),
    )


def read_product(row: Any) -> Instrument | None:
    """Turn a row of the list of products into an instrument; return None if it is not traded."""
    code = row.get("id") if isinstance(row, dict) else None
    if not isinstance(code, str) or row.get("status") != "online" or row.get("trading_disabled"):
        return None
    name, tick_size = str(row.get("display_name") or ""), price(row.get("quote_increment"))
    return Instrument(symbol="", code=code, currency=currency(code), tick_size=tick_size, name=name)


def read_status(rows: Iterable[Any]) -> dict[str, str]:
    """Return the status of each product in the list, by code."""
    products = (row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str))
    return {row["id"]: str(row.get("status")) for row in products}


def complaint(body: Any) -> str | None:
    """Return the text of an error, which may have any status; None if it is not an error."""
    words = body.get("message") if isinstance(body, dict) else None
    return excerpt(words) if isinstance(words, str) else None


def currency(code: str) -> str:
    """Return the currency in a product's id; its base_currency is wrong for BTCAUCTION-USD."""
    return code.rpartition("-")[2]
