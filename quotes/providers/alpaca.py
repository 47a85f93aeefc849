"""Alpaca: stocks of the United States and crypto (BTC/USD), with a free key.

With that key, prices of stocks are from IEX now, or from all exchanges 15 minutes ago.

REST returns a snapshot of each symbol. The stream sends trades, quotes and daily bars, each of
which replaces its part of the snapshot. Times are RFC 3339 with nanoseconds. Wire formats:
https://docs.alpaca.markets/reference, https://docs.alpaca.markets/docs/streaming-market-data
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from quotes.providers import Candle, Instrument, Plan, Provider, ProviderError
from quotes.providers.alpaca_stream import (
    Connection,
    Row,
    Snapshot,
    currency,
    is_crypto,
    ticks_in,
)
from quotes.providers.kit.backlog import Backlog
from quotes.providers.kit.batches import Groups, by_code
from quotes.providers.kit.client import Client, address, of_kind, timeout_error
from quotes.providers.kit.cooldown import cooldown
from quotes.providers.kit.errors import excerpt
from quotes.providers.kit.faults import Faults
from quotes.providers.kit.merge import merge, repeat
from quotes.providers.kit.options import needed_key
from quotes.providers.kit.sockets import SilentError, Socket
from quotes.quote import Quote
from quotes.quote.values import amount, price, utc

IEX = "iex"
FEEDS = {IEX: 0, "sip": 0, "delayed_sip": 900}  # delay in seconds, by feed
STEPS = {  # seconds of a candle
    60: "1Min",
    300: "5Min",
    900: "15Min",
    1800: "30Min",
    3600: "1Hour",
    86_400: "1Day",
}
ROWS = 10_000  # bars in one answer, at most
BATCH = 100  # symbols in one request
EXCHANGES = {  # of assets, with their names in the calendar
    "NASDAQ": "NASDAQ",
    "NYSE": "NYSE",
    "AMEX": "NYSE AMERICAN",
    "ARCA": "NYSE ARCA",
    "NYSEARCA": "NYSE ARCA",
    "BATS": "CBOE BZX",
}
COOL_DOWN = 60.0  # seconds to back off after too many requests: Alpaca counts by the minute
COLUMNS = ("open", "high", "low", "close")  # of a candle; Alpaca uses the first letters

Params = dict[str, str | int]


class Market(NamedTuple):
    """The addresses and parameters of one kind of symbol."""

    path: str
    stream: str
    snapshot_params: Params = {}  # of every request for snapshots
    bar_params: Params = {}  # of every request for bars
    key: str = ""  # of the snapshots in an answer, if they have one
    delay: int = 0  # seconds


class Alpaca(Provider):
    """Reads the market data of Alpaca, under the limits of its free plan."""

    name = "alpaca"
    title = "Alpaca"
    # An instance has one feed, this line belongs to the class: it must be true for all FEEDS.
    attribution = "Prices by Alpaca. Stock prices are from IEX or from all US exchanges"
    max_bytes = 16 * 2**20  # for the list of all assets
    streams = True
    steps = STEPS
    adjusts = True
    poll_interval = 2.0
    plan = Plan(per_minute=200, batch=BATCH)

    def __init__(
        self,
        rest_url: str = "https://data.alpaca.markets",
        ws_url: str = "wss://stream.data.alpaca.markets",
        *,
        api_key: str = "",
        api_secret: str = "",
        feed: str = IEX,
        assets_url: str = "https://paper-api.alpaca.markets",  # without "paper-" for a live account
        timeout: float = 10.0,  # seconds for an answer, or for a socket to open
        silence: float = 30.0,  # seconds without a message until a stream is probed
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if feed not in FEEDS:
            raise ValueError(f"Unexpected feed {feed!r}, must be one of: {', '.join(FEEDS)}")
        super().__init__()
        self.login = {
            "key": needed_key("ALPACA_API_KEY", api_key),
            "secret": needed_key("ALPACA_API_SECRET", api_secret),
        }
        headers = {
            "APCA-API-KEY-ID": self.login["key"],
            "APCA-API-SECRET-KEY": self.login["secret"],
        }
        self.rest = self.make_client(rest_url, timeout=timeout, headers=headers)
        self.assets = self.make_client(assets_url, timeout=timeout, headers=headers)
        self.ws_url = address(ws_url, "ws", "wss")
        # Bars of a delayed feed have the name of the feed without the delay.
        bar_params: Params = {"feed": feed.removeprefix("delayed_"), "adjustment": "split"}
        self.stocks = Market(
            "/v2/stocks", f"/v2/{feed}", {"feed": feed}, bar_params, delay=FEEDS[feed]
        )
        self.crypto = Market("/v1beta3/crypto/us", "/v1beta3/crypto/us", key="snapshots")
        self.timeout, self.silence = timeout, silence
        self.snapshots: dict[str, Snapshot] = {}  # by code
        self.cancelled: dict[str, Collection[Row]] = {}  # by code: trades of earlier streams
        self.got_at: dict[str, datetime] = {}  # code: when its last snapshot came
        self.faults = Faults(self.standing, clock)

    @classmethod
    def title_for(cls, kind: str, options: Mapping[str, Any]) -> str:
        """Return the title, with IEX for its stocks: all their figures are that exchange's own."""
        from_iex = kind != "crypto" and options.get("feed", IEX) == IEX
        return f"{cls.title} (IEX)" if from_iex else cls.title

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        """Return the last trade of each symbol, its session, and the close of the one before."""
        found = await self._read(by_code(instruments))
        now = datetime.now(UTC)
        found &= self.snapshots.keys()  # a stream that began meanwhile cleared them
        return [self._quote(each, now) for each in instruments if each.code in found]

    async def instruments(self) -> list[Instrument]:
        """Return the active stocks and crypto pairs; only the pairs have a tick size."""
        found: list[Instrument] = []
        for kind in ("us_equity", "crypto"):
            params: Params = {"status": "active", "asset_class": kind}
            rows = await self._get(self.assets, "/v2/assets", list, params)
            found += [asset for asset in map(read_asset, rows) if asset]
        return found

    async def candles(
        self, instrument: Instrument, step: int, start: datetime, end: datetime
    ) -> list[Candle]:
        """Return candles of 60, 300, 900, 1800, 3600 or 86400 seconds, none without a trade.

        Candles of a day begin at midnight in New York. Prices of stocks are adjusted for all splits
        since then.
        """
        self.check_step(step)
        market, now = self._market(instrument.code), datetime.now(UTC)
        until = min(end, now - timedelta(seconds=market.delay))
        if start >= until:
            return []
        params: Params = {"symbols": instrument.code, "timeframe": STEPS[step], "limit": ROWS}
        params |= market.bar_params | {"start": rfc3339(start), "end": rfc3339(until)}
        found = dict(read_bars(await self._bars(market, instrument.code, params), start, end))
        return [found[moment] for moment in sorted(found)]

    async def stream(self, instruments: Sequence[Instrument]) -> AsyncIterator[Quote]:
        """Yield a quote of each symbol at once, then one for every change.

        If the plan does not stream all symbols, the others are polled. So is a symbol whose last
        trade was cancelled, until the trade before it is known. Raise ProviderError if a
        connection ends or no longer responds, or if no symbol has a price.
        """
        if not instruments:
            return
        self.cancelled |= {code: each.cancelled for code, each in self.snapshots.items()}
        self.snapshots.clear()
        for quote in await self._all(instruments):
            yield quote
        groups = by_code(instruments)
        connections = [self._connection(market, groups) for market in (self.stocks, self.crypto)]
        connections = [each for each in connections if each.codes]

        async def poll() -> list[Quote]:
            due = [i for i in instruments if self.may_differ(i, self.got_at.get(i.code))]
            known = [each for each in due if not self.standing.why(each.code)]
            return await (self._all(due) if known else self.quotes(due))

        def interval() -> float:
            all_streamed = not any(each.waiting for each in connections)
            return self.silence if all_streamed else min(self.poll_interval, self.silence)

        async def recheck() -> list[Quote]:
            return await self.quotes([each for each in instruments if self._is_doubtful(each)])

        polls = repeat(poll, interval, self.standing.back_off)
        rechecks = repeat(recheck, lambda: self.poll_interval, self.standing.back_off)
        streams = [self._listen(each, groups) for each in connections]
        async with aclosing(merge(polls, rechecks, *streams)) as quotes:
            async for quote in quotes:
                yield quote

    async def check(self) -> Quote:
        """Return a quote of FAKEPACA, a test symbol that trades day and night.

        It shows that the keys and the stream work. Raise ProviderError if they do not.
        """
        fake = Instrument(symbol="FAKEPACA", code="FAKEPACA", kind="stock")
        connection = Connection("/v2/test", self.login, [fake.code], self._snapshot)
        try:
            async with (
                asyncio.timeout(self.timeout),
                aclosing(self._listen(connection, {fake.code: [fake]})) as quotes,
            ):
                return await anext(quote async for quote in quotes if quote.last > 0)
        except TimeoutError as error:
            raise timeout_error("the test stream of alpaca", self.timeout) from error

    def _market(self, code: str) -> Market:
        return self.crypto if is_crypto(code) else self.stocks

    def _due(self, market: Market, codes: Iterable[str]) -> list[str]:
        here = [code for code in codes if self._market(code) is market]
        for code in here:
            if "," in code:  # Alpaca would read several symbols
                self._set_aside(code)
        return self.faults.accepted(here)

    def _connection(self, market: Market, groups: Groups) -> Connection:
        # Codes without a snapshot come last: they must not take the place of one that has a price.
        codes = sorted(self._due(market, groups), key=lambda code: code not in self.snapshots)
        return Connection(market.stream, self.login, codes, self._snapshot)

    def _quote(self, instrument: Instrument, now: datetime) -> Quote:
        code = instrument.code
        return self.snapshots[code].quote(instrument, self._market(code).delay, now)

    def _snapshot(self, code: str) -> Snapshot:
        if code not in self.snapshots:
            self.snapshots[code] = Snapshot(is_crypto(code), self.cancelled.get(code, ()))
        return self.snapshots[code]

    def _is_doubtful(self, instrument: Instrument) -> bool:
        known = self.snapshots.get(instrument.code)
        return known is not None and known.is_doubtful

    async def _all(self, instruments: Sequence[Instrument]) -> list[Quote]:
        if quotes := await self.quotes(instruments):
            return quotes
        raise ProviderError("alpaca has no price for any symbol")

    async def _listen(self, connection: Connection, groups: Groups) -> AsyncGenerator[Quote]:
        url, quiet = f"{self.ws_url}{connection.path}", False
        backlog = Backlog(ticks_in, self.standing)
        async with Socket(url, self.timeout, self.silence, list, backlog) as socket:
            while True:
                while connection.due:
                    await socket.send(connection.due.pop(0))
                try:
                    frame, quiet = await socket.receive(), False
                except SilentError:
                    # Out of hours there are no trades. A connection has failed if it ignores a
                    # probe.
                    if quiet or not connection.given:
                        raise
                    quiet = True
                    connection.probe()
                    continue
                now = datetime.now(UTC)
                for each in [each for code in connection.take(frame) for each in groups[code]]:
                    yield self._quote(each, now)

    async def _read(self, codes: Iterable[str]) -> set[str]:
        rows: dict[str, Any] = {}
        answered: list[str] = []
        due = [self._due(market, codes) for market in (self.stocks, self.crypto)]
        batches = [batch for each in due for batch in self.faults.batches(each, BATCH)]
        async for batch, found_rows in self.faults.answers(batches, self._rows):
            rows |= found_rows
            answered += batch
        found = {code for code in answered if isinstance(rows.get(code), dict)}
        now = datetime.now(UTC)
        for code in found:
            self.got_at[code] = now
            self._snapshot(code).update(rows[code])
            self.standing.found(code)
        for market in (self.stocks, self.crypto):
            self._drop_missing(self._due(market, answered), found)
        return found

    def _drop_missing(self, answered: Sequence[str], found: Collection[str]) -> None:
        missing = [code for code in answered if code not in found]
        if len(missing) < len(answered):  # an empty answer proves nothing about a single code
            for code in missing:
                self.standing.drop(code, f"{code} has no snapshot")

    async def _rows(self, codes: Sequence[str]) -> dict[str, Any]:
        market = self._market(codes[0])
        path = f"{market.path}/snapshots"
        while codes:
            params = market.snapshot_params | {"symbols": ",".join(codes)}
            try:
                body = await self._get(self.rest, path, dict, params)
            except ProviderError as error:
                # One bad symbol spoils the whole batch, and the error names only one of several.
                bad = self._rejected(error, codes)
                if not bad:
                    raise
                codes = [code for code in codes if code not in bad]
            else:
                rows = body.get(market.key) or {} if market.key else body
                found: dict[str, Any] = of_kind(dict, path, rows)
                return found
        return {}

    async def _bars(self, market: Market, code: str, params: Params) -> list[Any]:
        rows: list[Any] = []
        while True:
            try:
                body = await self._get(self.rest, f"{market.path}/bars", dict, params)
            except ProviderError as error:
                if not self._rejected(error, [code]):
                    raise
                return []
            found, token = body.get("bars"), body.get("next_page_token")
            bars = found.get(code) if isinstance(found, dict) else None
            rows += bars if isinstance(bars, list) else []
            if not bars or not token or token == params.get("page_token"):
                return rows
            params = params | {"page_token": str(token)}

    def _rejected(self, error: ProviderError, codes: Sequence[str]) -> list[str]:
        message = error.body.get("message") if isinstance(error.body, dict) else None
        named = str(message).casefold().partition("invalid symbol")[2].strip(" :.")
        words = {named, *re.split(r"[\s:,]+", named)}
        bad = [code for code in codes if code.casefold() in words]
        for code in bad:
            self._set_aside(code)
        return bad

    def _set_aside(self, code: str) -> None:
        self.faults.set_aside(code, f"{code} is not a valid symbol")

    async def _get(self, client: Client, path: str, kind: type, params: Params) -> Any:
        secrets = self.login.values()
        try:
            with cooldown(COOL_DOWN):
                body = await client.get(path, params)
        except ProviderError as error:
            if isinstance(error.body, dict) and (words := error.body.get("message")):
                error.args = (f"{error}: {excerpt(words, *secrets)}",)
            raise
        if isinstance(body, dict) and isinstance(words := body.get("message"), str):
            raise ProviderError(
                f"{path} answered with an error: {excerpt(words, *secrets)}",
                refused=str(body.get("code")).startswith(("401", "403")),
                retry_after=COOL_DOWN if "too many requests" in words else None,
                body=body,
            )
        return of_kind(kind, path, body)


def read_asset(row: Any) -> Instrument | None:
    """Turn a row of the list of assets into an instrument; return None if it is not active."""
    code = row.get("symbol") if isinstance(row, dict) else None
    if not isinstance(code, str) or not code or row.get("status") != "active":
        return None
    return Instrument(
        symbol="",
        code=code,
        kind="crypto" if is_crypto(code) else "stock",
        exchange="" if is_crypto(code) else EXCHANGES.get(str(row.get("exchange")), ""),
        currency=currency(code),
        tick_size=price(row.get("price_increment")),
        name=str(row.get("name") or ""),
    )


def read_bars(
    rows: Iterable[Any], start: datetime, end: datetime
) -> Iterator[tuple[datetime, Candle]]:
    """Yield the valid candles from `start` to before `end`, with their start."""
    for row in rows:
        begun = utc(row.get("t")) if isinstance(row, dict) else None
        if begun is None or not start <= begun < end:
            continue
        prices: dict[str, Any] = {name: price(row.get(name[0])) for name in COLUMNS}
        if all(prices.values()):
            yield begun, Candle(start=begun, volume=amount(row.get("v")), **prices)


def rfc3339(moment: datetime) -> str:
    """Return a time in the format that Alpaca reads."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
