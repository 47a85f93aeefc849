"""Finnhub: stocks of the United States, with a free key.

REST tells of one symbol in a request, and few requests are free; the stream tells trades, which
move what REST told. Wire format: https://finnhub.io/docs/api (quote, websocket-trades); REST has
times in seconds, the stream in milliseconds. There are no candles without a paid plan.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from urllib.parse import quote as escaped

from quotes.providers import Instrument, Plan, Provider, ProviderError
from quotes.providers.kit.batches import Asked, by_code
from quotes.providers.kit.client import address, of_kind
from quotes.providers.kit.cooldown import cooldown
from quotes.providers.kit.errors import excerpt
from quotes.providers.kit.merge import merge, repeat
from quotes.providers.kit.options import needed_key
from quotes.providers.kit.sockets import Socket
from quotes.quote import MILLISECOND, SECOND, Quote, last_price, price, since_1970, utc_now

PER_MINUTE = 50  # requests; 60 are free, but Finnhub counts when they arrive
SHARE = 10  # requests for quotes in one call, so that the minute is spent evenly
COOL_DOWN = 60.0  # seconds to stay away when that was too often: it counts by the minute
PACE = 1 / 30  # seconds from one request to the next
STREAMED = 50  # symbols that a free key may stream
QUARANTINE = 900.0  # seconds that a symbol without a price is not asked again
MARKETS = ("XNYS", "XNAS", "XASE", "ARCX", "BATS")  # the exchanges, and not what is traded beside
REMEMBERED = timedelta(minutes=2)  # for so long a quote is told again when a stream begins
NIGHT = timedelta(hours=5)  # from midnight in UTC to one in New York, give or take a quiet hour
MAX_AHEAD = timedelta(days=1)  # that a trade may be of the future before it is no trade


class Finnhub(Provider):
    """Reads the market data of Finnhub, under the limits of its free plan.

    Each call of `quotes` asks for some symbols, those that waited longest, and the next one for
    others: 50 in a minute, however many there are.
    """

    name = "finnhub"
    title = "Finnhub"
    attribution = "Prices by Finnhub"
    streams = True
    sizes = False
    poll_interval = 60.0 * SHARE / PER_MINUTE
    plan = Plan(per_minute=PER_MINUTE, batch=1)

    def __init__(
        self,
        rest_url: str = "https://finnhub.io/api/v1",
        ws_url: str = "wss://ws.finnhub.io",
        *,
        api_key: str = "",
        timeout: float = 10.0,  # seconds for an answer, or for a socket to open
        silence: float = 90.0,  # seconds without even a ping, after which a stream is dead
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__()
        self.key = needed_key("FINNHUB_API_KEY", api_key)
        headers = {"X-Finnhub-Token": self.key}
        self.rest = self.make_client(rest_url, timeout=timeout, headers=headers)
        self.ws_url = address(ws_url, "ws", "wss")
        self.timeout, self.silence, self.clock, self.now = timeout, silence, clock, now
        self.told: dict[str, Quote] = {}  # by code: what REST told last
        self.known: dict[str, Quote] = {}  # the same, moved by the trades since
        self.quarantine: dict[str, float] = {}  # code: until when
        self.turns: dict[str, int] = {}  # code: when it was asked last, counted in requests
        self.turn = count(1)

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        """Return the last price and the day of those symbols whose turn it is.

        Whoever was never asked comes first. Where the minute is spent, nothing is returned.
        """
        return [quote async for quote in self._ask(by_code(instruments))]

    async def instruments(self) -> list[Instrument]:
        """Return what is listed at the exchanges of the United States."""
        found: list[Instrument] = []
        for market in MARKETS:
            rows = await self._get("/stock/symbol", list, exchange="US", mic=market)
            found += [listed for listed in map(read_listed, rows) if listed]
        return found

    async def stream(self, instruments: Sequence[Instrument]) -> AsyncIterator[Quote]:
        """Yield what is known of each symbol, then each trade, until the connection ends.

        Symbols above the 50 of a free key are asked over REST in turn, like all the others.
        """
        if not instruments:
            return
        asked = by_code(instruments)
        now = self.now()
        fresh = (code for code in asked if code in self.known)
        known = [code for code in fresh if now - self.known[code].received_at < REMEMBERED]
        async with aclosing(self._ask(asked)) as quotes:
            async for quote in quotes:
                yield quote
        for quote in [q for code in known for q in quotes_of(self.known[code], asked[code])]:
            yield quote
        codes = self._due(asked)
        if not codes:
            raise ProviderError("finnhub knows none of the symbols")

        def poll() -> Awaitable[list[Quote]]:
            return self.quotes([each for each in instruments if self._may_differ(each)])

        polls = repeat(poll, lambda: self.poll_interval, self.standing.back_off)
        async with aclosing(merge(polls, self._listen(codes[:STREAMED], asked))) as quotes:
            async for quote in quotes:
                yield quote

    def _may_differ(self, instrument: Instrument) -> bool:
        told = self.told.get(instrument.code)
        return self.may_differ(instrument, told.received_at if told else None)

    def _due(self, codes: Iterable[str]) -> list[str]:
        now = self.clock()
        return [code for code in codes if self.quarantine.get(code, now) <= now]

    def _next(self, codes: Iterable[str]) -> list[str]:
        due = sorted(self._due(codes), key=lambda code: self.turns.get(code, 0))
        new = sum(code not in self.turns for code in due)
        left = max(0, PER_MINUTE - self.standing.budget.spent_in_minute())
        return due[: min(left, max(new, SHARE))]

    async def _ask(self, asked: Asked) -> AsyncGenerator[Quote]:
        for number, code in enumerate(self._next(asked)):
            await asyncio.sleep(PACE if number else 0)
            self.turns[code] = next(self.turn)
            try:
                body = await self._get("/quote", dict, symbol=code)
            except ProviderError as error:
                if not is_beyond_the_plan(error):
                    raise
                self._set_aside(code, f"{code} is not part of the plan")
                continue
            for quote in self._take_quote(code, body, asked[code]):
                yield quote

    def _take_quote(
        self, code: str, body: Mapping[str, Any], instruments: Iterable[Instrument]
    ) -> list[Quote]:
        now = self.now()
        told, known = read_quote(code, body, now), self.known.get(code)
        if told is None:
            if body.keys() >= {"c", "t"}:  # zeros, for what it does not know
                self._set_aside(code, f"{code} has no price")
            return []
        self.standing.found(code)
        if told.last <= 0:  # it changes nothing, but the feed is to know
            return quotes_of(told, instruments)
        self.told[code] = self.known[code] = told
        if known and known.time > told.time:
            self._move(code, known.last, known.time, now)
        return quotes_of(self.known[code], instruments)

    def _set_aside(self, code: str, why: str) -> None:
        self.standing.drop(code, why)
        self.quarantine[code] = self.clock() + QUARANTINE

    async def _listen(self, codes: Sequence[str], asked: Asked) -> AsyncGenerator[Quote]:
        # Finnhub takes the key nowhere else. No error and no log line shows an address's query.
        url = f"{self.ws_url}?token={escaped(self.key, safe='')}"
        async with Socket(url, self.timeout, self.silence) as socket:
            for code in codes:
                await socket.send({"type": "subscribe", "symbol": code})
            while True:
                for quote in self._take(await socket.receive(), asked):
                    yield quote

    def _take(self, message: Mapping[str, Any], asked: Asked) -> list[Quote]:
        said = str(message.get("msg"))
        # One symbol too many, or a bad one, is not named; REST is asked for it like for all.
        if message.get("type") == "error" and "symbol" not in said.casefold():
            raise self._error("the stream", said)
        if message.get("type") != "trade":
            return []  # a ping, or what is new
        now, data = self.now(), message.get("data")
        trades = [read_trade(row) for row in data] if isinstance(data, list) else []
        mine = [trade for trade in trades if trade and trade[0] in asked]
        moved: dict[str, None] = {}
        unpriced: list[Quote] = []
        for code, last, moment in sorted(mine, key=lambda trade: trade[2]):
            known = self.known.get(code)
            if moment > now + MAX_AHEAD or (known and moment < known.time):
                continue
            if last > 0:
                self._move(code, last, moment, now)
                moved[code] = None
            else:  # it moves nothing, but the feed is to know
                unpriced += [traded(each, last, moment, now) for each in asked[code]]
        return unpriced + [q for code in moved for q in quotes_of(self.known[code], asked[code])]

    def _move(self, code: str, last: Decimal, moment: datetime, now: datetime) -> None:
        told, known = self.told.get(code), self.known.get(code)
        quote = known or traded(Instrument(symbol=code, code=code, currency=""), last, moment, now)
        if told and day(code, moment) > day(code, told.time):
            # REST does not know of that day yet: its price is the close of the one before.
            quote = replace(quote, open=None, high=None, low=None)
            quote = replace(quote, reference=told.last, reference_kind="prev_close")
        self.known[code] = replace(
            quote,
            last=last,
            source_time=moment,
            received_at=now,
            high=quote.high and max(quote.high, last),
            low=quote.low and min(quote.low, last),
        )
        self.standing.found(code)

    async def _get(self, path: str, kind: type, **asked: str) -> Any:
        try:
            with cooldown(COOL_DOWN):
                body = await self.rest.get(path, asked)
        except ProviderError as error:
            if isinstance(error.body, dict) and (said := error.body.get("error")):
                error.args = (f"{error}: {excerpt(said, self.key)}",)
            raise
        if isinstance(body, dict) and (said := body.get("error")):
            raise self._error(path, said)
        return of_kind(kind, path, body)

    def _error(self, what: str, said: object) -> ProviderError:
        words = str(said).casefold()
        return ProviderError(
            f"{what} answered with an error: {excerpt(said, self.key)}",
            refused="api key" in words,
            retry_after=COOL_DOWN if "limit reached" in words else None,
            body={"error": said},
        )


def quotes_of(quote: Quote, instruments: Iterable[Instrument]) -> list[Quote]:
    """Say a quote of a code for each instrument that has it."""
    return [replace(quote, symbol=i.symbol, currency=i.currency) for i in instruments]


def read_quote(code: str, body: Mapping[str, Any], now: datetime) -> Quote | None:
    """Turn an answer into a quote without a currency; None where it has no price and no time."""
    last, made = last_price(body.get("c")), since_1970(body.get("t"), SECOND)
    if last <= 0 and made is None:
        return None
    reference = price(body.get("pc"))
    return Quote(
        symbol=code,
        provider="finnhub",
        currency="",
        last=last,
        received_at=now,
        source_time=made,
        open=price(body.get("o")),
        high=price(body.get("h")),
        low=price(body.get("l")),
        reference=reference,
        reference_kind="prev_close" if reference else "none",
        delay=0,
    )


def read_trade(row: Any) -> tuple[str, Decimal, datetime] | None:
    """Read the code, the price (0 where there is none) and the time of a trade; None without these.

    A volume of 0 says that the price moved without a trade.
    """
    if not isinstance(row, dict):
        return None
    code, moment = row.get("s"), since_1970(row.get("t"), MILLISECOND)
    return (code, last_price(row.get("p")), moment) if isinstance(code, str) and moment else None


def traded(instrument: Instrument, last: Decimal, moment: datetime, now: datetime) -> Quote:
    """Return a quote that a trade alone tells of."""
    return Quote(
        symbol=instrument.symbol,
        provider="finnhub",
        currency=instrument.currency,
        last=last,
        received_at=now,
        source_time=moment,
        delay=0,
    )


def read_listed(row: Any) -> Instrument | None:
    """Turn a row of the list of symbols into an instrument."""
    code = row.get("symbol") if isinstance(row, dict) else None
    if not isinstance(code, str) or not code:
        return None
    kind = "etf" if row.get("type") in ("ETP", "ETF") else "stock"
    currency, name = str(row.get("currency") or "USD"), str(row.get("description") or "")
    return Instrument(symbol="", code=code, kind=kind, currency=currency, name=name)


def day(code: str, moment: datetime) -> date:
    """Tell the day of a trade where it was made: of BINANCE:BTCUSDT in UTC, else in New York."""
    return (moment - (timedelta() if ":" in code else NIGHT)).date()


def is_beyond_the_plan(error: ProviderError) -> bool:
    """Tell a symbol that the plan does not hold from a key that is not good."""
    said = error.body.get("error") if isinstance(error.body, dict) else None
    return "access to this resource" in str(said)
