"""Kraken: crypto in dollars, euros and pounds, without a key.

Wire formats: https://docs.kraken.com/api-reference/market-data (REST, where errors come with 200)
and https://docs.kraken.com/exchange/api-reference/spot-websocket-v2 (the stream). Two names of one
pair: XXBTZUSD over REST, which is its code here, and BTC/USD on the stream, which is its name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from math import ceil
from typing import Any

from quotes.providers import Candle, Instrument, Plan, Provider, ProviderError
from quotes.providers.kit.batches import Asked, Codes, RejectedError
from quotes.providers.kit.cache import StreamCache
from quotes.providers.kit.client import address, of_kind
from quotes.providers.kit.cooldown import cooldown
from quotes.providers.kit.errors import excerpt
from quotes.providers.kit.klines import read_klines
from quotes.providers.kit.sockets import Socket
from quotes.providers.kit.standing import Standing
from quotes.quote import Quote, amount, decimal, last_price, price, utc

STEPS = (60, 300, 900, 1800, 3600, 14_400, 86_400)  # seconds of a candle
COLUMNS = ("time", "open", "high", "low", "close", "average", "volume")  # of a candle
CHUNK = 50  # pairs in one request or subscription
PACE = 1.0  # seconds between two requests for one batch: one a second is safe
COOL_DOWN = 15.0  # seconds to stay away: its counter falls slowly, and who goes on is locked out
LOCKED_OUT = 900.0  # seconds
AWAY = {  # seconds to stay away, by what the exchange says
    "Rate limit exceeded": COOL_DOWN,
    "Too many requests": COOL_DOWN,
    "Exceeded msg rate": COOL_DOWN,
    "Temporary lockout": LOCKED_OUT,
}
BETTER_NAMES = {"XBT": "BTC", "XDG": "DOGE"}  # what the stream calls what the list calls so
PLACES = {  # in a row of Ticker; of what is told twice, today's comes before that of 24 hours
    "last": ("c", 0),
    "bid": ("b", 0),
    "ask": ("a", 0),
    "high": ("h", 1),
    "low": ("l", 1),
    "volume": ("v", 1),
}

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
        silence: float = 10.0,  # seconds without even a heartbeat, after which a stream is dead
    ) -> None:
        super().__init__()
        self.rest = self.make_client(rest_url, timeout=timeout)
        self.ws_url = address(ws_url, "ws", "wss")
        self.timeout, self.silence = timeout, silence
        self.codes = Codes(self._listed, self.standing)
        # Over REST the day began at 00:00 UTC, on the stream 24 hours ago.
        self.cache = StreamCache("open", "reference", "reference_kind")

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        """Return the last price of each pair, its change since 00:00 UTC, and its last 24 hours.

        While a stream is open, the change of a pair is that of 24 hours, too.
        """
        if not instruments:
            return []
        asked = await self.codes.find(instruments)
        rows, now = await self.codes.rows(self._rows, asked, CHUNK, PACE), datetime.now(UTC)
        wanted = [(rows.get(code), each) for code, group in asked.items() for each in group]
        told = [quote for row, each in wanted if (quote := read_row(row, each, now))]
        return [self.cache.complete(quote) for quote in told]

    async def instruments(self) -> list[Instrument]:
        """Return the pairs that are traded now."""
        rows = await self._pairs()
        online = {code: row for code, row in rows.items() if row.get("status") == "online"}
        return [found for code, row in online.items() if (found := read_pair(code, row))]

    async def candles(
        self, instrument: Instrument, step: int, start: datetime, end: datetime
    ) -> list[Candle]:
        """Return candles of 60, 300, 900, 1800, 3600, 14400 or 86400 seconds.

        Kraken keeps the last 720 of each step, and the one that is not over yet.
        """
        self.check_step(step)
        first, stop = ceil(start.timestamp()), ceil(end.timestamp())
        if first >= stop:
            return []
        try:
            told = await self._get(
                "OHLC", pair=instrument.code, interval=step // 60, since=first - 1
            )
        except RejectedError as error:
            self.standing.drop(instrument.code, str(error))
            return []
        # The pair has another key than it was asked by; beside it is only where to read on.
        rows = [row for each in told.values() if isinstance(each, list) for row in each]
        found = read_klines(rows, COLUMNS, start, end)
        return [found[moment] for moment in sorted(found)]

    async def stream(self, instruments: Sequence[Instrument]) -> AsyncIterator[Quote]:
        """Yield a quote of each pair at once, then one at every trade, until the stream ends."""
        if not instruments:
            return
        found = await self.codes.find(instruments)
        asked = {group[0].name: group for group in found.values()}
        if asked:
            with self.cache.open(), cooldown(COOL_DOWN):
                async with Socket(self.ws_url, self.timeout, self.silence) as socket:
                    for message in subscriptions(list(asked)):
                        await socket.send(message)
                    while asked:
                        for quote in take(await socket.receive(), asked, self.standing):
                            self.cache.remember(quote)
                            yield quote
        raise ProviderError("kraken knows none of the pairs")

    async def _get(self, what: str, **params: str | int) -> dict[str, Any]:
        path = f"/0/public/{what}"
        with cooldown(COOL_DOWN):
            body = of_kind(dict, path, await self.rest.get(path, params))
        said = [str(each) for each in _list(body.get("error"))]
        if wrong := [each for each in said if not each.startswith("W")]:  # those only warn
            raise error_of(path, excerpt(", ".join(wrong)))
        result: dict[str, Any] = of_kind(dict, path, body.get("result"))
        return result

    async def _rows(self, codes: Sequence[str]) -> dict[str, Any]:
        return await self._get("Ticker", pair=",".join(codes))

    async def _pairs(self) -> dict[str, dict[str, Any]]:
        rows = await self._get("AssetPairs")
        return {code: row for code, row in rows.items() if isinstance(row, dict)}

    async def _listed(self) -> dict[str, Instrument]:
        rows = await self._pairs()
        found = {code: pair for code, row in rows.items() if (pair := read_pair(code, row))}
        for code, pair in list(found.items()):
            for name in (rows[code].get("altname"), pair.name, pair.name.replace("/", "")):
                found.setdefault(str(name), pair)
        return found


def error_of(what: str, said: str) -> ProviderError:
    """Tell what an error in the body of an answer, or on the stream, means."""
    if "Unknown asset pair" in said:
        return RejectedError(f"kraken says {said}")
    return ProviderError(
        f"{what} answered with an error: {said}",
        retry_after=next((seconds for words, seconds in AWAY.items() if words in said), None),
        refused="Permission denied" in said,
    )


def subscriptions(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the messages that ask for pairs by the names the stream has for them."""
    chunks = [list(names[i : i + CHUNK]) for i in range(0, len(names), CHUNK)]
    wanted = {"channel": "ticker", "event_trigger": "trades", "snapshot": True}
    return [{"method": "subscribe", "params": wanted | {"symbol": chunk}} for chunk in chunks]


def take(message: Mapping[str, Any], asked: Asked, standing: Standing) -> list[Quote]:
    """Return the quotes in a message of a stream; raise ProviderError where it ends the stream.

    A pair that the stream refuses is removed from `asked`, which is by name, and dropped.
    """
    channel, now = message.get("channel"), datetime.now(UTC)
    rows = [row for row in _list(message.get("data")) if isinstance(row, dict)]
    if channel == "ticker":
        wanted = [(row, each) for row in rows for each in asked.get(str(row.get("symbol")), [])]
        return [read_tick(row, each, now) for row, each in wanted]
    if channel == "status" and any(row.get("system") == "maintenance" for row in rows):
        raise ProviderError("kraken is closed for maintenance")
    if said := excerpt(message.get("error") or message.get("Error") or ""):
        refused = asked.pop(str(message.get("symbol")), None)
        if refused is None:
            raise error_of("the stream", said)
        for each in refused:
            standing.drop(each.code, said)
    return []  # new channels may come at any time


def read_row(row: Any, instrument: Instrument, now: datetime) -> Quote | None:
    """Turn a row of Ticker into a quote; None where there is none."""
    if not isinstance(row, dict):
        return None
    told = {name: _at(row.get(theirs), index) for name, (theirs, index) in PLACES.items()}
    opened = price(row.get("o"))
    kind = "utc_day" if opened else "none"
    return _quote(instrument, now, told, opened, reference_kind=kind)


def read_tick(row: Mapping[str, Any], instrument: Instrument, now: datetime) -> Quote:
    """Turn a row of the ticker channel into a quote."""
    last, change = price(row.get("last")), decimal(row.get("change"))
    opened = None if last is None or change is None else price(last - change)
    kind, source_time = "rolling_24h" if opened else "none", utc(row.get("timestamp"))
    return _quote(instrument, now, row, opened, reference_kind=kind, source_time=source_time)


def read_pair(code: str, row: Mapping[str, Any]) -> Instrument | None:
    """Turn a row of AssetPairs into an instrument; None where the stream has no name for it."""
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
    opened: Decimal | None,
    **told: Any,
) -> Quote:
    told |= {name: price(day.get(name)) for name in ("bid", "ask", "high", "low")}
    return day_quote(
        symbol=instrument.symbol,
        currency=instrument.currency,
        last=last_price(day.get("last")),
        received_at=now,
        open=opened,
        reference=opened,
        volume=amount(day.get("volume")),
        **told,
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _at(value: Any, index: int) -> Any:
    return value[index] if isinstance(value, list) and len(value) > index else None
