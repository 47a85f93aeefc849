"""Finnhub: stocks of the United States, with a free key.

REST returns one symbol per request, and few requests are free. The stream sends trades, which
update the quotes from REST. Times are in seconds in REST, in milliseconds in the stream. Candles
need a paid plan. Wire format: https://finnhub.io/docs/api (quote, websocket-trades)
"""

from __future__ import annotations

import asyncio
import re
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
from quotes.providers.kit.backlog import Backlog
from quotes.providers.kit.batches import Groups, by_code
from quotes.providers.kit.client import address, of_kind
from quotes.providers.kit.cooldown import cooldown
from quotes.providers.kit.errors import excerpt
from quotes.providers.kit.faults import Faults
from quotes.providers.kit.merge import merge, repeat
from quotes.providers.kit.options import needed_key
from quotes.providers.kit.sockets import Socket
from quotes.quote import Quote, plausible, utc_now
from quotes.quote.values import MILLISECOND, SECOND, last_price, price, since_1970
from quotes.sessions import is_out_of_hours, price_label

PER_MINUTE = 50  # requests; 60 are free, but Finnhub counts them on arrival
SHARE = 10  # requests in one call of `quotes`, so that the minute is spent evenly
COOL_DOWN = 60.0  # seconds to back off after too many requests: Finnhub counts by the minute
PACE = 1 / 30  # seconds from one request to the next
STREAMED = 50  # symbols that a free key may stream
MARKET = "XNYS"  # all stocks have the hours of this market
MARKETS = {  # the exchanges, with their names in the calendar; over the counter is left out
    "XNYS": "NYSE",
    "XNAS": "NASDAQ",
    "XASE": "NYSE AMERICAN",
    "ARCX": "NYSE ARCA",
    "BATS": "CBOE BZX",
}
REMEMBERED = timedelta(minutes=2)  # age of the quotes that a new stream repeats
TRADE = re.compile(r'"s":\s*"([^"]*)"')  # in a frame of any number of trades
NIGHT = timedelta(hours=5)  # from midnight UTC to that in New York; in summer 4, without trades


class Finnhub(Provider):
    """Reads the market data of Finnhub, under the limits of its free plan.

    Each call of `quotes` requests the symbols that waited longest, at most 50 in a minute.
    """

    name = "finnhub"
    title = "Finnhub"
    attribution = "Prices by Finnhub"
    max_bytes = 8 * 2**20  # for the list of all symbols of a market
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
        silence: float = 90.0,  # seconds without a message or ping until a stream has failed
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__()
        self.key = needed_key("FINNHUB_API_KEY", api_key)
        headers = {"X-Finnhub-Token": self.key}
        self.rest = self.make_client(rest_url, timeout=timeout, headers=headers)
        self.ws_url = address(ws_url, "ws", "wss")
        self.timeout, self.silence, self.now = timeout, silence, now
        self.polled: dict[str, Quote] = {}  # by code: the last quote from REST
        self.known: dict[str, Quote] = {}  # the same, updated by the trades since
        self.faults = Faults(self.standing, clock)
        self.turns: dict[str, int] = {}  # code: the number of its last request
        self.turn = count(1)

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        """Return the last price and the day of the symbols that are next in turn.

        Symbols that were never requested come first. The list is empty when all requests of the
        minute are used.
        """
        return [quote async for quote in self._poll(by_code(instruments))]

    async def instruments(self) -> list[Instrument]:
        """Return the stocks and funds at the exchanges of the United States."""
        found: list[Instrument] = []
        for market, name in MARKETS.items():
            rows = await self._get("/stock/symbol", list, exchange="US", mic=market)
            found += [each for row in rows if (each := read_instrument(row, name))]
        return found

    async def stream(self, instruments: Sequence[Instrument]) -> AsyncIterator[Quote]:
        """Yield the last quote of each symbol, then each trade, until the connection ends.

        All symbols are polled in turn, too; a free key streams only 50 of them.
        """
        if not instruments:
            return
        groups = by_code(instruments)
        now = self.now()
        known = [code for code in groups if code in self.known]
        fresh = [code for code in known if now - self.known[code].received_at < REMEMBERED]
        async with aclosing(self._poll(groups)) as quotes:
            async for quote in quotes:
                yield quote
        for quote in [q for code in fresh for q in quotes_of(self.known[code], groups[code])]:
            yield quote
        codes = self.faults.accepted(groups)
        if not codes:
            raise ProviderError("finnhub knows none of the codes")

        def poll() -> Awaitable[list[Quote]]:
            return self.quotes([each for each in instruments if self._may_differ(each)])

        polls = repeat(poll, lambda: self.poll_interval, self.standing.back_off)
        async with aclosing(merge(polls, self._listen(codes[:STREAMED], groups))) as quotes:
            async for quote in quotes:
                yield quote

    def _may_differ(self, instrument: Instrument) -> bool:
        polled = self.polled.get(instrument.code)
        return self.may_differ(instrument, polled.received_at if polled else None)

    def _next(self, codes: Iterable[str]) -> list[str]:
        due = sorted(self.faults.due(codes), key=lambda code: self.turns.get(code, 0))
        new = sum(code not in self.turns for code in due)
        left = max(0, PER_MINUTE - self.standing.budget.spent_in_minute())
        return due[: min(left, max(new, SHARE))]

    async def _poll(self, groups: Groups) -> AsyncGenerator[Quote]:
        batches = self.faults.batches(self._next(groups), 1)
        async for (code,), body in self.faults.answers(batches, self._fetch):
            for quote in self._take_quote(code, body, groups[code]) if body else ():
                yield quote

    async def _fetch(self, codes: Sequence[str]) -> dict[str, Any] | None:
        (code,) = codes
        await asyncio.sleep(PACE)
        self.turns[code] = next(self.turn)
        try:
            found: dict[str, Any] = await self._get("/quote", dict, symbol=code)
        except ProviderError as error:
            if not is_beyond_the_plan(error):
                raise
            self.faults.set_aside(code, f"{code} is not part of the plan")
            return None
        return found

    def _take_quote(
        self, code: str, body: Mapping[str, Any], instruments: Iterable[Instrument]
    ) -> list[Quote]:
        now = self.now()
        polled, known = read_quote(code, body, now), self.known.get(code)
        if polled is None:
            if body.keys() >= {"c", "t"}:  # Finnhub answers zeros for an unknown symbol
                self.faults.set_aside(code, f"{code} has no price")
            return []
        self.standing.found(code)
        if polled.last <= 0:  # the feed reports it; here it changes nothing
            return quotes_of(polled, instruments)
        self.polled[code] = self.known[code] = polled
        if known and known.time > polled.time:
            self._move(code, known.last, known.time, now)
        return quotes_of(self.known[code], instruments)

    async def _listen(self, codes: Sequence[str], groups: Groups) -> AsyncGenerator[Quote]:
        # Finnhub reads the key only here. No error and no log message shows an address's query.
        url = f"{self.ws_url}?token={escaped(self.key, safe='')}"
        backlog = Backlog(TRADE.findall, self.standing)
        async with Socket(url, self.timeout, self.silence, backlog=backlog) as socket:
            for code in codes:
                await socket.send({"type": "subscribe", "symbol": code})
            while True:
                for quote in self._take(await socket.receive(), groups):
                    yield quote

    def _take(self, message: Mapping[str, Any], groups: Groups) -> list[Quote]:
        words = str(message.get("msg"))
        # Such an error does not name the symbol, whether bad or one too many. REST polls all.
        if message.get("type") == "error" and "symbol" not in words.casefold():
            raise self._error("the stream", words)
        if message.get("type") != "trade":
            return []  # a ping, or a new kind
        now, data = self.now(), message.get("data")
        trades = [read_trade(row) for row in data] if isinstance(data, list) else []
        mine = [trade for trade in trades if trade and trade[0] in groups]
        moved: dict[str, None] = {}
        faulty: list[Quote] = []
        for code, last, moment in sorted(mine, key=lambda trade: trade[2]):
            known = self.known.get(code)
            timed = plausible(moment, now)
            if timed and known and moment < known.time:
                continue
            if timed and last > 0:
                self._move(code, last, moment, now)
                moved[code] = None
            else:  # the feed reports its price or time; here it changes nothing
                faulty += [traded(each, last, moment, now) for each in groups[code]]
        return faulty + [q for code in moved for q in quotes_of(self.known[code], groups[code])]

    def _move(self, code: str, last: Decimal, moment: datetime, now: datetime) -> None:
        polled, known = self.polled.get(code), self.known.get(code)
        quote = known or traded(Instrument(symbol=code, code=code, currency=""), last, moment, now)
        if polled and day(code, moment) > day(code, polled.time):  # REST has no price of it yet
            quote = replace(quote, open=None, high=None, low=None)
            reference = closing_price(polled, moment)
            kind = "prev_close" if reference else "none"
            quote = replace(quote, reference=reference, reference_kind=kind)
        quote = replace(quote, last=last, source_time=moment, received_at=now)
        if is_in_hours(code, moment):
            high, low = quote.high and max(quote.high, last), quote.low and min(quote.low, last)
            quote = replace(quote, high=high, low=low)
        self.known[code] = quote
        self.standing.found(code)

    async def _get(self, path: str, kind: type, **params: str) -> Any:
        try:
            with cooldown(COOL_DOWN):
                body = await self.rest.get(path, params)
        except ProviderError as error:
            if isinstance(error.body, dict) and (words := error.body.get("error")):
                error.args = (f"{error}: {excerpt(words, self.key)}",)
            raise
        if isinstance(body, dict) and (words := body.get("error")):
            raise self._error(path, words)
        return of_kind(kind, path, body)

    def _error(self, what: str, words: object) -> ProviderError:
        lowered = str(words).casefold()
        return ProviderError(
            f"{what} answered with an error: {excerpt(words, self.key)}",
            refused="api key" in lowered,
            retry_after=COOL_DOWN if "limit reached" in lowered else None,
            body={"error": words},
        )


def quotes_of(quote: Quote, instruments: Iterable[Instrument]) -> list[Quote]:
    """Return a quote of a code for each of its instruments."""
    return [replace(quote, symbol=i.symbol, currency=i.currency) for i in instruments]


def read_quote(code: str, body: Mapping[str, Any], now: datetime) -> Quote | None:
    """Turn an answer into a quote without a currency; return None without a price and a time."""
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
    """Return the code, the price (0 without one) and the time of a trade; None if it is invalid.

    A trade with the volume 0 is a change of price without a trade.
    """
    if not isinstance(row, dict):
        return None
    code, moment = row.get("s"), since_1970(row.get("t"), MILLISECOND)
    return (code, last_price(row.get("p")), moment) if isinstance(code, str) and moment else None


def traded(instrument: Instrument, last: Decimal, moment: datetime, now: datetime) -> Quote:
    """Return a quote that contains only the last price and its time."""
    return Quote(
        symbol=instrument.symbol,
        provider="finnhub",
        currency=instrument.currency,
        last=last,
        received_at=now,
        source_time=moment,
        delay=0,
    )


def read_instrument(row: Any, exchange: str = "") -> Instrument | None:
    """Turn a row of the list of symbols into an instrument; return None without a symbol."""
    code = row.get("symbol") if isinstance(row, dict) else None
    if not isinstance(code, str) or not code:
        return None
    kind = "etf" if row.get("type") in ("ETP", "ETF") else "stock"
    currency, name = str(row.get("currency") or "USD"), str(row.get("description") or "")
    return Instrument(
        symbol="",
        code=code,
        kind=kind,
        exchange=exchange,
        currency=currency,
        name=name,
        isin=str(row.get("isin") or ""),
    )


def is_in_hours(code: str, moment: datetime) -> bool:
    """Return whether a trade at this time belongs to the high and low of its day."""
    return ":" in code or not is_out_of_hours(MARKET, "stock", moment)


def closing_price(polled: Quote, moment: datetime) -> Decimal | None:
    """Return the price of an answer if it is the close of the last trading day before a moment."""
    of = price_label(MARKET, "stock", moment, polled.time, polled.received_at)
    return polled.last if of == "close" else None


def day(code: str, moment: datetime) -> date:
    """Return the local day of a trade: in UTC for codes like BINANCE:BTCUSDT, else in New York."""
    return (moment - (timedelta() if ":" in code else NIGHT)).date()


def is_beyond_the_plan(error: ProviderError) -> bool:
    """Return whether an error is about a symbol outside of the plan, and not about the key."""
    words = error.body.get("error") if isinstance(error.body, dict) else None
    return "access to this resource" in str(words)
