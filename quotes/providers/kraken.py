"""Kraken: crypto in dollars, euros and pounds, without a key.

A pair has two names: XXBTZUSD in REST, which is its code here, and BTC/USD in the stream, which is
its name. Wire formats: https://docs.kraken.com/api-reference/market-data (REST, where errors have
the status 200), https://docs.kraken.com/exchange/api-reference/spot-websocket-v2 (the stream)
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from math import ceil
from typing import Any

from quotes.providers import Candle, Instrument, Plan, Provider, ProviderError
from quotes.providers.kit.backlog import Backlog, found_by
from quotes.providers.kit.batches import Codes, Groups
from quotes.providers.kit.cache import StreamCache
from quotes.providers.kit.client import address, of_kind
from quotes.providers.kit.cooldown import cooldown
from quotes.providers.kit.errors import RejectedError, excerpt
from quotes.providers.kit.klines import read_klines
from quotes.providers.kit.sockets import Socket
from quotes.providers.kit.standing import Standing
from quotes.quote import Quote
from quotes.quote.values import amount, decimal, last_price, price, utc

STEPS = (60, 300, 900, 1800, 3600, 14_400, 86_400)  # seconds of a candle
COLUMNS = ("time", "open", "high", "low", "close", "average", "volume")  # of a candle
CHUNK = 50  # pairs in one request or subscription
PACE = 1.0  # seconds between two requests: one a second is safe
COOL_DOWN = 15.0  # seconds to back off after too many requests, or Kraken locks us out
LOCKED_OUT = 900.0  # seconds
BACK_OFF = {  # seconds, by the words of an error
    "Rate limit exceeded": COOL_DOWN,
    "Too many requests": COOL_DOWN,
    "Exceeded msg rate": COOL_DOWN,
    "Temporary lockout": LOCKED_OUT,
}
BETTER_NAMES = {"XBT": "BTC", "XDG": "DOGE"}  # of the stream, by the names of the list
PLACES = {  # in a row of Ticker: a key and an index; index 0 is today, 1 the last 24 hours
    "last": ("c", 0),
    "bid": ("b", 0),
    "ask": ("a", 0),
    "high": ("h", 1),
    "low": ("l", 1),
    "volume": ("v", 1),
}
# Frames with one pair only. One with several pairs must never be left out.
TICK = re.compile(
    r'^\{"channel":\s*"ticker",\s*"type":\s*"update",\s*'
    r'"data":\s*\[\{[^{}]*?"symbol":\s*"([^"]*)"[^{}]*\}\]'
)

day_quote = partial(Quote, provider="kraken", volume_window="24h", session="always", delay=0)


class Kraken(Provider):
    """Reads the public market data of Kraken."""

    name = "kraken"
    title = "Kraken"
    attribution = "Prices by Kraken"
    streams = True
    steps = STEPS
    poll_interval = 3.0
    plan = Plan(per_minute=60, batch=CHUNK)

    def __init__(
        self,
        rest_url: str = "https://api.kraken.com",
        ws_url: str = "wss://ws.kraken.com/v2",
        *,
        timeout: float = 10.0,  # seconds for an answer, or for a socket to open
        silence: float = 10.0,  # seconds without message or heartbeat until a stream has failed
    ) -> None:
        super().__init__()
        self.rest = self.make_client(rest_url, timeout=timeout)
        self.ws_url = address(ws_url, "ws", "wss", query=True)
        self.timeout, self.silence = timeout, silence
        self.codes = Codes(self._read_list, self.standing)
        # In REST the change is measured from 00:00 UTC, in the stream from 24 hours ago.
        self.cache = StreamCache("open", "reference", "reference_kind")

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        """Return the last price of each pair, its change since 00:00 UTC, and its last 24 hours.

        While a stream is open, the change of a pair is measured from 24 hours ago, too.
        """
        if not instruments:
            return []
        groups = await self.codes.find(instruments)
        rows, now = await self.codes.rows(self._rows, groups, CHUNK, PACE), datetime.now(UTC)
        pairs = [(rows.get(code), each) for code, group in groups.items() for each in group]
        quotes = [quote for row, each in pairs if (quote := read_row(row, each, now))]
        return [self.cache.complete(quote) for quote in quotes]

    async def instruments(self) -> list[Instrument]:
        """Return the pairs that are traded now."""
        rows = await self._pairs()
        online = {code: row for code, row in rows.items() if row.get("status") == "online"}
        return [found for code, row in online.items() if (found := read_pair(code, row))]

    async def candles(
        self, instrument: Instrument, step: int, start: datetime, end: datetime
    ) -> list[Candle]:
        """Return candles of 60, 300, 900, 1800, 3600, 14400 or 86400 seconds.

        Kraken keeps the last 720 of each step, and the one that is not complete.
        """
        self.check_step(step)
        first, stop = ceil(start.timestamp()), ceil(end.timestamp())
        if first >= stop:
            return []
        try:
            body = await self._get(
                "OHLC", pair=instrument.code, interval=step // 60, since=first - 1
            )
        except RejectedError as error:
            self.standing.drop(instrument.code, str(error))
            return []
        # The key of the rows may differ from the requested code; only the rows are a list.
        rows = [row for each in body.values() if isinstance(each, list) for row in each]
        found = read_klines(rows, COLUMNS, start, end)
        return [found[moment] for moment in sorted(found)]

    async def stream(self, instruments: Sequence[Instrument]) -> AsyncIterator[Quote]:
        """Yield a quote of each pair at once, then one at every trade, until the stream ends."""
        if not instruments:
            return
        found = await self.codes.find(instruments)
        groups = {group[0].name: group for group in found.values()}
        if groups:
            with self.cache.open(), cooldown(COOL_DOWN):
                async with self._socket() as socket:
                    for message in subscriptions(list(groups)):
                        await socket.send(message)
                    while groups:
                        for quote in take(await socket.receive(), groups, self.standing):
                            self.cache.remember(quote)
                            yield quote
        raise ProviderError("kraken knows none of the codes")

    def _socket(self) -> Socket:
        backlog = Backlog(found_by(TICK), self.standing)
        return Socket(self.ws_url, self.timeout, self.silence, backlog=backlog)

    async def _get(self, what: str, **params: str | int) -> dict[str, Any]:
        path = f"/0/public/{what}"
        with cooldown(COOL_DOWN):
            body = of_kind(dict, path, await self.rest.get(path, params))
        words = [str(each) for each in _list(body.get("error"))]
        if errors := [each for each in words if not each.startswith("W")]:  # W is a warning
            raise error_of(path, excerpt(", ".join(errors)))
        result: dict[str, Any] = of_kind(dict, path, body.get("result"))
        return result

    async def _rows(self, codes: Sequence[str]) -> dict[str, Any]:
        return await self._get("Ticker", pair=",".join(codes))

    async def _pairs(self) -> dict[str, dict[str, Any]]:
        rows = await self._get("AssetPairs")
        return {code: row for code, row in rows.items() if isinstance(row, dict)}

    async def _read_list(self) -> dict[str, Instrument]:
        rows = await self._pairs()
        found = {code: pair for code, row in rows.items() if (pair := read_pair(code, row))}
        for code, pair in list(found.items()):
            for name in (rows[code].get("altname"), pair.name, pair.name.replace("/", "")):
                found.setdefault(str(name), pair)
        return found


def error_of(what: str, words: str) -> ProviderError:
    """Return the exception for an error in an answer, or in the stream."""
    if "Unknown asset pair" in words:
        return RejectedError(f"kraken rejects the request: {words}")
    return ProviderError(
        f"{what} answered with an error: {words}",
        retry_after=next((seconds for known, seconds in BACK_OFF.items() if known in words), None),
        refused="Permission denied" in words,
    )


def subscriptions(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the messages that subscribe to pairs, by their names in the stream."""
    chunks = [list(names[i : i + CHUNK]) for i in range(0, len(names), CHUNK)]
    params = {"channel": "ticker", "event_trigger": "trades", "snapshot": True}
    return [{"method": "subscribe", "params": params | {"symbol": chunk}} for chunk in chunks]


def take(message: Mapping[str, Any], groups: Groups, standing: Standing) -> list[Quote]:
    """Return the quotes in a message of a stream; raise ProviderError if it ends the stream.

    A pair that the stream refuses leaves the groups, which are by name, and is dropped.
    """
    channel, now = message.get("channel"), datetime.now(UTC)
    rows = [row for row in _list(message.get("data")) if isinstance(row, dict)]
    if channel == "ticker":
        pairs = [(row, each) for row in rows for each in groups.get(str(row.get("symbol")), [])]
        return [read_tick(row, each, now) for row, each in pairs]
    if channel == "status" and any(row.get("system") == "maintenance" for row in rows):
        raise ProviderError("kraken is closed for maintenance")
    if words := excerpt(message.get("error") or message.get("Error") or ""):
        refused = groups.pop(str(message.get("symbol")), None)
        if refused is None:
            raise error_of("the stream", words)
        for each in refused:
            standing.drop(each.code, words)
    return []  # Kraken may add channels at any time


def read_row(row: Any, instrument: Instrument, now: datetime) -> Quote | None:
    """Turn a row of Ticker into a quote; return None if it is not a row."""
    if not isinstance(row, dict):
        return None
    day = {name: _at(row.get(key), index) for name, (key, index) in PLACES.items()}
    opened = price(row.get("o"))
    kind = "utc_day" if opened else "none"
    return _quote(instrument, now, day, open=opened, reference=opened, reference_kind=kind)


def read_tick(row: Mapping[str, Any], instrument: Instrument, now: datetime) -> Quote:
    """Turn a row of the ticker channel into a quote."""
    last, change = price(row.get("last")), decimal(row.get("change"))
    before = None if last is None or change is None else price(last - change)  # 24 hours ago
    fields = {"reference": before, "reference_kind": "rolling_24h" if before else "none"}
    return _quote(instrument, now, row, source_time=utc(row.get("timestamp")), **fields)


def read_pair(code: str, row: Mapping[str, Any]) -> Instrument | None:
    """Turn a row of AssetPairs into an instrument; return None if the stream has no name for it."""
    base, _, quoted = str(row.get("wsname") or "").partition("/")
    if not (base and quoted):
        return None
    currency = BETTER_NAMES.get(quoted, quoted)
    name = f"{BETTER_NAMES.get(base, base)}/{currency}"
    tick_size = price(row.get("tick_size"))
    return Instrument(symbol="", code=code, currency=currency, tick_size=tick_size, name=name)


def _quote(
    instrument: Instrument,
    now: datetime,
    day: Mapping[str, Any],
    **fields: Any,
) -> Quote:
    fields |= {name: price(day.get(name)) for name in ("bid", "ask", "high", "low")}
    return day_quote(
        symbol=instrument.symbol,
        currency=instrument.currency,
        last=last_price(day.get("last")),
        received_at=now,
        volume=amount(day.get("volume")),
        **fields,
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _at(value: Any, index: int) -> Any:
    return value[index] if isinstance(value, list) and len(value) > index else None
