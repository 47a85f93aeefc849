"""Coinbase Exchange: crypto in dollars, euros and pounds, without a key.

REST tells all products in one answer, without bid, ask and time; the stream tells all of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from math import ceil
from typing import Any
from urllib.parse import quote as escaped

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from quotes.providers import Candle, Instrument, Provider, ProviderError
from quotes.providers.http import (
    AGENT,
    Client,
    NotFoundError,
    address,
    cause,
    host,
    late,
    status_error,
)
from quotes.quote import Quote, decimal, loads, utc

STEPS = (60, 300, 900, 3600, 21_600, 86_400)  # seconds of a candle
ROWS = 300  # candles in one answer, at most
PACE = 0.1  # seconds between two answers: ten a second are free
PATIENCE = 3.0  # seconds that a stream waits for the list of products before it does without
CHUNK = 50  # products in one subscription
HANDFUL = 10  # products whose heartbeats, one a second each, may all come
MOST_FRAME = 2**20  # bytes
MOST_GARBAGE = 5  # frames in a row
MOST_DIGITS = 40  # before, or zeros after, the point of a number
MOST_WORDS = 200  # characters of what the exchange says about an error
GONE = {"delisted": "is delisted", "missing": "is not a valid product"}
BROKEN = (OSError, WebSocketException, UnicodeError)

Asked = dict[str, list[Instrument]]  # by code: two symbols may share one


class Coinbase(Provider):
    """Reads the public market data of Coinbase Exchange."""

    name = "coinbase"
    title = "Coinbase"
    attribution = "Prices by Coinbase"
    streams = True
    poll_interval = 5.0  # as long as the exchange itself keeps an answer

    def __init__(
        self,
        rest_url: str = "https://api.exchange.coinbase.com",
        ws_url: str = "wss://ws-feed.exchange.coinbase.com",
        *,
        timeout: float = 10.0,  # seconds for an answer, or for a socket to open
        silence: float = 10.0,  # seconds without any message, after which a stream is dead
    ) -> None:
        super().__init__()
        self.rest = Client(rest_url, timeout=timeout)
        self.ws_url = address(ws_url, "ws", "wss")
        self.timeout, self.silence = timeout, silence

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        """Return what the last 24 hours of each product were like."""
        if not instruments:
            return []
        stats, now = await self._get("/products/stats", dict), datetime.now(UTC)
        read = (read_stats(stats.get(each.code), each, now) for each in instruments)
        return [quote for quote in read if quote]

    async def instruments(self) -> list[Instrument]:
        """Return the products that are traded now."""
        rows = await self._get("/products", list)
        return [found for found in map(read_product, rows) if found]

    async def candles(
        self, instrument: Instrument, step: int, start: datetime, end: datetime
    ) -> list[Candle]:
        """Return candles of 60, 300, 900, 3600, 21600 or 86400 seconds, none of quiet times."""
        if step not in STEPS:
            allowed = ", ".join(map(str, STEPS))
            raise ProviderError(f"no candles of {step} s at coinbase, must be one of: {allowed}")
        first = ceil(start.timestamp() / step) * step
        stop = ceil(min(end, datetime.now(UTC)).timestamp())
        found: dict[int, Candle] = {}
        for begin in range(first, stop, ROWS * step):
            await asyncio.sleep(PACE if begin > first else 0)
            last = begin + (ROWS - 1) * step  # the end is part of what comes
            rows = await self._rows(instrument.code, step, begin, min(last, stop))
            found.update(read_candles(rows, first, stop))
        return [found[moment] for moment in sorted(found)]

    async def stream(self, instruments: Sequence[Instrument]) -> AsyncIterator[Quote]:
        """Yield a quote of each product at once, then every tick, until the connection ends."""
        asked = await self._listed(by_code(instruments)) if instruments else {}
        while asked:
            session = Session(asked, self.unknown)
            try:
                async with self._connect() as socket:
                    while asked:
                        await self._send(socket, session.due)
                        for quote in session.take(await self._receive(socket)):
                            yield quote
            except BROKEN as error:
                # Having named a bad product the exchange may hang up. The others go on at once:
                # each such round has a product less, so there are few of them.
                if not session.refused:
                    raise self._stream_error(error) from error
        if instruments:
            raise ProviderError("coinbase knows none of the products")

    async def aclose(self) -> None:
        """Close the connections that are kept between calls."""
        await self.rest.aclose()

    async def _get(self, path: str, kind: type, **params: str | int) -> Any:
        body = await self.rest.get(path, params)
        said = body.get("message") if isinstance(body, dict) else None
        if isinstance(said, str):
            raise ProviderError(f"{path} answered with an error: {said[:MOST_WORDS]}")
        if not isinstance(body, kind):
            given = type(body).__name__
            raise ProviderError(f"{path} answered with a {given}, not a {kind.__name__}")
        return body

    async def _rows(self, code: str, step: int, begin: int, end: int) -> list[Any]:
        path, span = f"/products/{escaped(code, safe='')}/candles", (iso(begin), iso(end))
        try:
            rows = await self._get(path, list, granularity=step, start=span[0], end=span[1])
        except NotFoundError:
            self.unknown[code] = f"{code} is not a valid product"
            return []
        return list(rows)

    async def _listed(self, asked: Asked) -> Asked:
        # One bad product costs its whole subscription, so they are looked up first; but a stream
        # must neither wait long for that nor fail with it.
        try:
            async with asyncio.timeout(PATIENCE):
                status = read_status(await self._get("/products", list))
        except (ProviderError, TimeoutError):
            return asked
        gone = [code for code in asked if status and status.get(code, "missing") in GONE]
        for code in gone:
            self.unknown[code] = f"{code} {GONE[status.get(code, 'missing')]}"
        return {code: asked[code] for code in asked if code not in gone}

    def _connect(self) -> connect:
        return Straight(
            self.ws_url,
            open_timeout=self.timeout,
            close_timeout=1,
            ping_interval=None,  # heartbeats and `silence` tell more than pongs
            max_size=MOST_FRAME,
            compression=None,
            proxy=None,
            user_agent_header=AGENT,
        )

    async def _send(self, socket: ClientConnection, due: list[dict[str, Any]]) -> None:
        while due:
            async with asyncio.timeout(self.timeout):
                await socket.send(json.dumps(due.pop(0)))

    async def _receive(self, socket: ClientConnection) -> dict[str, Any]:
        for _ in range(MOST_GARBAGE):
            try:
                async with asyncio.timeout(self.silence):
                    frame = await socket.recv()
            except TimeoutError as error:
                raise ProviderError(f"silent for {self.silence:g} s") from error
            message = read_frame(frame)
            if message is not None:
                return message
        raise ProviderError(f"{MOST_GARBAGE} frames in a row could not be read")

    def _stream_error(self, error: Exception) -> ProviderError:
        what = host(self.ws_url)
        if isinstance(error, InvalidStatus):
            given = error.response.headers.get_all("Retry-After")
            return status_error(what, error.response.status_code, next(iter(given), None))
        if isinstance(error, TimeoutError):
            return late(what, self.timeout)
        return ProviderError(f"{what} ended the stream: {cause(error)}")


class Straight(connect):
    """Connects where it was told to and follows no redirect."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Take a redirect as the refusal it is."""
        return exc


class Session:
    """What one connection asks for, and what it has told so far."""

    def __init__(self, asked: Asked, unknown: dict[str, str]) -> None:
        self.asked, self.unknown = asked, unknown  # a bad product moves from one to the other
        self.refused = False  # whether one did since the last acknowledgement
        self.sequences: dict[str, int] = {}
        self.codes = list(asked)
        self.chunks = [self.codes[i : i + CHUNK] for i in range(0, len(asked), CHUNK)]
        few = len(asked) <= HANDFUL
        self.channels = ["ticker", "heartbeat"] if few else ["ticker"]
        self.pulse = "" if few else self.codes[0]  # the one product whose heartbeats are heard
        self.due = [subscription(chunk, self.channels) for chunk in self.chunks]
        if self.pulse:
            self.due.append(subscription([self.pulse], ["heartbeat"]))

    def take(self, message: Mapping[str, Any]) -> list[Quote]:
        """Return the quotes in a message; raise ProviderError where it ends the session."""
        kind = message.get("type")
        if kind == "ticker":
            return self._tick(message)
        if kind == "error":
            self._refuse(str(message.get("reason") or message.get("message"))[:MOST_WORDS])
        elif kind == "subscriptions":
            self.refused = False
        return []  # new kinds may come at any time

    def _tick(self, message: Mapping[str, Any]) -> list[Quote]:
        code, now = message.get("product_id"), datetime.now(UTC)
        instruments = self.asked.get(code, []) if isinstance(code, str) else []
        read = [read_ticker(message, each, now) for each in instruments]
        quotes = [quote for quote in read if quote]
        if not quotes or not self._is_new(quotes[0]):
            return []
        self.unknown.pop(str(code), None)
        return quotes

    def _is_new(self, quote: Quote) -> bool:
        if quote.sequence is None:
            return True
        seen = self.sequences.setdefault(quote.symbol, quote.sequence - 1)
        self.sequences[quote.symbol] = max(seen, quote.sequence)
        return quote.sequence > seen

    def _refuse(self, said: str) -> None:
        named = {word.strip(".,:;'\"") for word in said.split()}.intersection(self.codes)
        if not named:
            raise ProviderError(f"the stream answered with an error: {said}")
        for code in named.intersection(self.asked):
            self.refused = True
            self.unknown[code] = said
            del self.asked[code]
            self._ask_again_without(code)

    def _ask_again_without(self, code: str) -> None:
        chunk = next(chunk for chunk in self.chunks if code in chunk)
        chunk.remove(code)
        if chunk:
            self.due.append(subscription(chunk, self.channels))
        if code == self.pulse and self.asked:
            self.pulse = next(iter(self.asked))
            self.due.append(subscription([self.pulse], ["heartbeat"]))


def subscription(codes: Sequence[str], channels: Sequence[str]) -> dict[str, Any]:
    """Build the message that asks for channels of products."""
    return {"type": "subscribe", "product_ids": [*codes], "channels": [*channels]}


def by_code(instruments: Iterable[Instrument]) -> Asked:
    """Group instruments by what the exchange calls them."""
    asked: Asked = {}
    for instrument in instruments:
        asked.setdefault(instrument.code, []).append(instrument)
    return asked


def iso(moment: int) -> str:
    """Write a time in seconds since 1970 as the exchange does."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_frame(frame: str | bytes) -> dict[str, Any] | None:
    """Parse a frame of the stream; None for what is no JSON object."""
    try:
        message = loads(frame)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def read_ticker(message: Mapping[str, Any], instrument: Instrument, now: datetime) -> Quote | None:
    """Turn a ticker message into a quote; None where it has no price."""
    last = _price(message.get("price"))
    if last is None:
        return None
    bid, ask = _price(message.get("best_bid")), _price(message.get("best_ask"))
    if bid and ask and bid > ask:
        bid = ask = None
    sequence = message.get("sequence")
    return Quote(
        **_common(instrument, last, _price(message.get("open_24h")), now),
        source_time=_time(message.get("time")),
        bid=bid,
        ask=ask,
        high=_price(message.get("high_24h")),
        low=_price(message.get("low_24h")),
        volume=_volume(message.get("volume_24h")),
        sequence=sequence if type(sequence) is int else None,
    )


def read_stats(row: Any, instrument: Instrument, now: datetime) -> Quote | None:
    """Turn a product's statistics into a quote; None where they are empty."""
    stats = row.get("stats_24hour") if isinstance(row, dict) else None
    if not isinstance(stats, dict) or (last := _price(stats.get("last"))) is None:
        return None
    return Quote(
        **_common(instrument, last, _price(stats.get("open")), now),
        high=_price(stats.get("high")),
        low=_price(stats.get("low")),
        volume=_volume(stats.get("volume")),
    )


def read_product(row: Any) -> Instrument | None:
    """Turn a row of the list of products into an instrument; None where it is not traded."""
    code = row.get("id") if isinstance(row, dict) else None
    if not isinstance(code, str) or row.get("status") != "online" or row.get("trading_disabled"):
        return None
    name, tick_size = row.get("display_name"), _price(row.get("quote_increment"))
    return Instrument(
        symbol="",
        code=code,
        currency=currency(code),
        tick_size=tick_size,
        name=name if isinstance(name, str) else "",
    )


def read_status(rows: Iterable[Any]) -> dict[str, str]:
    """Tell the status of each product in the list of products."""
    products = (row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str))
    return {row["id"]: str(row.get("status")) for row in products}


def read_candles(rows: Iterable[Any], first: int, stop: int) -> Iterator[tuple[int, Candle]]:
    """Yield the sound candles from `first` to before `stop`, with the seconds they begin at."""
    for row in rows:
        moment = row[0] if isinstance(row, list) and len(row) >= 6 else None
        if type(moment) is not int or not first <= moment < stop:
            continue
        low, high, opened, close = map(_price, row[1:5])
        if low and high and opened and close:
            start, volume = datetime.fromtimestamp(moment, UTC), _volume(row[5])
            yield (
                moment,
                Candle(start=start, open=opened, high=high, low=low, close=close, volume=volume),
            )


def currency(code: str) -> str:
    """Read the currency off a product's id: its base_currency lies for BTCAUCTION-USD."""
    return code.rpartition("-")[2]


def _common(
    instrument: Instrument, last: Decimal, opened: Decimal | None, now: datetime
) -> dict[str, Any]:
    return {
        "symbol": instrument.symbol,
        "provider": Coinbase.name,
        "currency": currency(instrument.code),
        "last": last,
        "received_at": now,
        "open": opened,
        "reference": opened,
        "reference_kind": "rolling_24h" if opened else "none",
        "volume_window": "24h",
        "session": "always",
        "delay": 0,
    }


def _price(value: Any) -> Decimal | None:
    number = _number(value)
    return number if number is not None and number > 0 else None


def _volume(value: Any) -> Decimal | None:
    number = _number(value)
    return number if number is not None and number >= 0 else None


def _number(value: Any) -> Decimal | None:
    # Decimal takes a list for its digits, and 1E+999999999 for a number, which nobody can
    # subtract from or write out.
    number = None if isinstance(value, list) else decimal(value)
    return number if number is not None and abs(number.adjusted()) < MOST_DIGITS else None


def _time(value: Any) -> datetime | None:
    try:
        return utc(value)
    except OverflowError:  # the year 1 or 9999, beyond the edge in UTC
        return None
