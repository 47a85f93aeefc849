"""Yahoo Finance: stocks, funds and indices of the world, and crypto; unofficial, personal use only.

The addresses are not documented: batches of quotes (spark), history (chart), and a stream whose
frames are protobuf in base64 in JSON. Prices of some markets are in hundredths: pence, cents.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from math import ceil
from typing import Any, TypeVar
from urllib.parse import quote as escaped

from quotes.providers import Candle, Instrument, Plan, Provider, ProviderError
from quotes.providers.kit.backlog import Backlog
from quotes.providers.kit.batches import Groups, by_code
from quotes.providers.kit.client import NotFoundError, address, of_kind
from quotes.providers.kit.cooldown import cooldown
from quotes.providers.kit.faults import Faults
from quotes.providers.kit.merge import merge, repeat
from quotes.providers.kit.sockets import Socket
from quotes.providers.yahoo_wire import (
    DAY,
    Frame,
    Known,
    Market,
    Row,
    code_in,
    complaint,
    dig,
    read_candles,
    read_frame,
    read_row,
    read_spark,
)
from quotes.quote import Quote, plausible

NOTICE = (
    "Yahoo Finance has no public interface. Its unofficial addresses may change, or refuse "
    "requests, at any time. Their prices are for personal use only"
)
ACCEPTED = "personal-use"
AGENT = "Mozilla/5.0 (compatible; quoteboard)"  # Yahoo refuses names of another form
BATCH = 20  # symbols in one request
STREAMED = 100  # symbols of one connection, which forgets all others without an error
UNHEARD_AFTER = 120.0  # seconds until symbols that never tick are polled, and from poll to poll
WEEK = 604_800  # seconds: the most that one request may span with candles of a minute
STEPS = {60: "1m", 120: "2m", 300: "5m", 900: "15m", 1800: "30m", 3600: "60m", DAY: "1d"}
COOL_DOWN = 900.0  # seconds to back off after too many requests, or Yahoo bans us for a day
NO_CANDLES = "Data doesn't exist"

Read = TypeVar("Read")

OF_THE_DAY = ("bid", "ask", "open", "high", "low", "volume", "reference")
NEW_DAY: dict[str, Any] = {**dict.fromkeys(OF_THE_DAY), "reference_kind": "none"}


class Yahoo(Provider):
    """Reads Yahoo Finance, if the operator accepts the notice."""

    name = "yahoo"
    title = "Yahoo Finance"
    attribution = "Prices by Yahoo Finance, read unofficially, for personal use only"
    streams = True
    steps = STEPS
    adjusts = True
    poll_interval = 60.0
    plan = Plan(per_minute=20, batch=BATCH)  # a guess: Yahoo publishes no limit, and bans for days

    def __init__(
        self,
        rest_url: str = "https://query1.finance.yahoo.com",
        ws_url: str = "wss://streamer.finance.yahoo.com/?version=2",
        accept: str = "",
        *,
        timeout: float = 10.0,  # seconds for an answer, or for a socket to open
        silence: float = 60.0,  # seconds without a frame while markets are open
        beat: float = 15.0,  # seconds until a subscription is repeated
    ) -> None:
        if accept != ACCEPTED:
            raise ValueError(
                f"{NOTICE}. To accept these terms, set YAHOO_ACCEPT={ACCEPTED} (the option "
                f"accept={ACCEPTED!r}). The value now is {accept!r}."
            )
        super().__init__()
        agent = {"User-Agent": AGENT}
        self.rest = self.make_client(rest_url, timeout=timeout, headers=agent)
        self.ws_url = address(ws_url, "ws", "wss", query=True)
        self.timeout, self.silence, self.beat = timeout, silence, beat
        self.unheard_after = UNHEARD_AFTER
        self.faults = Faults(self.standing)

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        """Return the last price of the regular session; for crypto, the last price of the day."""
        known = await self._known(instruments)
        pairs = [(each, known.get(each.code)) for each in instruments]
        return [replace(found.quote, symbol=each.symbol) for each, found in pairs if found]

    async def candles(
        self, instrument: Instrument, step: int, start: datetime, end: datetime
    ) -> list[Candle]:
        """Return candles of 60, 120, 300, 900, 1800, 3600 or 86400 seconds, none without a trade.

        How far they reach back depends on their length:

        * one minute: one month
        * 2 to 30 minutes: 60 days
        * one hour: two years

        A candle of a day begins at 00:00 UTC of its date, in every market.
        """
        self.check_step(step)
        first, stop = ceil(start.timestamp()), ceil(min(end, datetime.now(UTC)).timestamp())
        span = WEEK if step == 60 else max(1, stop - first)
        found: dict[int, Candle] = {}
        for begin in range(first, stop, span):
            body = await self._chart(instrument.code, step, begin, min(begin + span, stop))
            if result := dig(body, "chart", "result", 0):
                found |= self._read(partial(read_candles, step=step), result, instrument) or {}
        return [found[moment] for moment in sorted(found) if first <= moment < stop]

    async def stream(self, instruments: Sequence[Instrument]) -> AsyncIterator[Quote]:
        """Yield a quote of each instrument at once, then every tick.

        There are no ticks outside trading hours. Symbols that never tick while their market is
        open are polled.
        """
        if not instruments:
            return
        connection = Connection(instruments, await self._known(instruments))
        # The market of a code that failed is not known, so the code could not be streamed.
        if any(not self.faults.rests(code) for code in self._failed(instruments)):
            raise ProviderError("yahoo did not answer for all symbols")
        if not connection.known:
            raise ProviderError("yahoo knows none of the codes")
        for quote in connection.quotes():
            yield quote
        codes = list(connection.known)
        chunks = [codes[i : i + STREAMED] for i in range(0, len(codes), STREAMED)]
        poll = partial(self._poll_unheard, connection, instruments)
        polls = repeat(poll, lambda: self.unheard_after, self.standing.back_off)
        with cooldown(COOL_DOWN):
            streams = [self._listen(connection, chunk) for chunk in chunks]
            async with aclosing(merge(polls, *streams)) as quotes:
                async for quote in quotes:
                    yield quote

    async def _listen(self, connection: Connection, codes: list[str]) -> AsyncGenerator[Quote]:
        markets = {connection.known[code].market for code in codes}
        backlog = Backlog(code_in, self.standing)
        async with Socket(self.ws_url, self.timeout, self.silence, backlog=backlog) as socket:
            beats = asyncio.create_task(self._keep_subscribed(socket, codes))
            try:
                while True:
                    socket.silence = self.silence + quiet(markets, datetime.now(UTC))
                    for quote in connection.take(await socket.receive()):
                        yield quote
            finally:
                beats.cancel()

    def _failed(self, instruments: Iterable[Instrument]) -> Groups:
        return by_code(each for each in instruments if self.faults.failures[each.code])

    async def _poll_unheard(
        self, connection: Connection, instruments: Iterable[Instrument]
    ) -> list[Quote]:
        failed = [group[0] for group in self._failed(instruments).values()]
        due = [*connection.unheard(datetime.now(UTC)), *failed]
        return connection.renew(await self._known(due)) if due else []

    async def _keep_subscribed(self, socket: Socket, codes: list[str]) -> None:
        with suppress(ProviderError):  # reading from the socket fails, too, and reports it
            while True:
                await socket.send({"subscribe": codes})
                await asyncio.sleep(self.beat)

    async def _known(self, instruments: Sequence[Instrument]) -> dict[str, Known]:
        rows = await self._rows([each.code for each in instruments])
        pairs = {each.code: (rows[each.code], each) for each in instruments if each.code in rows}
        return {
            code: known for code, pair in pairs.items() if (known := self._read(read_row, *pair))
        }

    def _read(
        self, read: Callable[[Any, Instrument], Read], answer: Any, instrument: Instrument
    ) -> Read | None:
        try:
            found = read(answer, instrument)
        except ValueError as error:
            self.standing.drop(instrument.code, f"{instrument.code} {error}")
            return None
        self.standing.found(instrument.code)
        return found

    async def _rows(self, codes: Sequence[str]) -> dict[str, Row]:
        found: dict[str, Row] = {}
        batches = self.faults.batches(dict.fromkeys(codes), BATCH)
        async for chunk, rows in self.faults.answers(batches, self._spark):
            # An empty answer proves nothing about a single code.
            unknown = [] if rows == {} else [code for code in chunk if code not in (rows or {})]
            for code in unknown:
                self.standing.drop(code, f"{code} is not known to Yahoo")
            found |= rows or {}
        return found

    async def _spark(self, codes: Sequence[str]) -> dict[str, Row] | None:
        params = {"symbols": ",".join(codes), "range": "1d", "interval": "5m"}
        try:
            return read_spark(await self._get("/v7/finance/spark", **params))
        except NotFoundError:
            return None

    async def _chart(self, code: str, step: int, first: int, stop: int) -> Any:
        path, slack = f"/v8/finance/chart/{escaped(code, safe='')}", DAY if step == DAY else 0
        span = {"period1": first - slack, "period2": stop + slack}
        try:
            return await self._get(path, **span, interval=STEPS[step], includePrePost="false")
        except NotFoundError as error:
            self.standing.drop(code, f"{code}: {error}")
            return {}
        except ProviderError as error:
            if NO_CANDLES in str(error):  # on a weekend, for example
                return {}
            raise

    async def _get(self, path: str, **params: str | int) -> Any:
        failed: ProviderError | None = None
        try:
            with cooldown(COOL_DOWN):
                body = of_kind(dict, path, await self.rest.get(path, params))
        except ProviderError as error:
            failed, body = error, error.body
        code, words = complaint(body)
        if failed is None and not code:
            return body
        if code == "Not Found":
            raise NotFoundError(words) from failed
        failed = failed or ProviderError(f"{path} answered with an error", body=body)
        raise ProviderError(
            f"{failed}: {words}" if words else str(failed),
            retry_after=failed.retry_after,
            refused=failed.refused or code == "Unauthorized",
            status=failed.status,
            body=body,
        ) from failed


class Connection:
    """Reads the frames of a stream, and keeps the newest quote of each code."""

    def __init__(self, instruments: Sequence[Instrument], known: dict[str, Known]) -> None:
        self.known = known
        self.groups = by_code(instruments)
        self.heard: set[str] = set()  # codes with a frame

    def quotes(self) -> list[Quote]:
        """Return the newest quote of each instrument."""
        known = self.known.items()
        return [quote for code, each in known for quote in self._each(code, each.quote)]

    def take(self, message: Mapping[str, Any]) -> list[Quote]:
        """Return the quotes in a message."""
        frame = read_frame(message)
        if frame:
            self.heard.add(frame.code)
        known = self.known.get(frame.code) if frame else None
        if not frame or not known:
            return []
        quote = apply_frame(frame, known, datetime.now(UTC))
        if quote is None:
            return []
        if known.market.kind.is_price(quote.last):
            self.known[frame.code] = Known(quote=quote, market=known.market)
        return self._each(frame.code, quote)

    def unheard(self, moment: datetime) -> list[Instrument]:
        """Return an instrument of each code that never ticked although its market is open."""
        codes = (code for code in self.known if code not in self.heard)
        return [
            self.groups[code][0]
            for code in codes
            if self.known[code].market.session(moment) in ("always", "regular")
        ]

    def renew(self, known: Mapping[str, Known]) -> list[Quote]:
        """Return the quotes of a poll, and keep those of codes that did not tick meanwhile."""
        still = {code: each for code, each in known.items() if code not in self.heard}
        self.known |= still
        return [quote for code, each in still.items() for quote in self._each(code, each.quote)]

    def _each(self, code: str, quote: Quote) -> list[Quote]:
        return [
            quote if quote.symbol == each.symbol else replace(quote, symbol=each.symbol)
            for each in self.groups[code]
        ]


def quiet(markets: Iterable[Market], moment: datetime) -> float:
    """Return the number of seconds for which all these markets stay closed."""
    return min(market.quiet(moment) for market in markets)


def apply_frame(frame: Frame, known: Known, now: datetime) -> Quote | None:
    """Update a quote with the fields that a frame has; return None if the frame is too old.

    A new day starts without the fields of the day before. In regular hours the range includes
    the last price. A frame without a price changes only the last price and the times.
    """
    quote, market, moment = known.quote, known.market, now
    if frame.time and plausible(frame.time, now):
        moment = frame.time
    if quote.source_time and moment < quote.time:
        return None
    last = market.convert(frame.last)
    if not market.kind.is_price(last):
        return replace(quote, last=last, received_at=now, source_time=frame.time)
    if market.day(moment) != market.day(quote.time):
        quote = replace(quote, **NEW_DAY)
    prices = {
        name: market.convert(number)
        for name, number in frame.prices.items()
        if market.kind.is_price(number)
    }
    bid, ask = prices.get("bid", quote.bid), prices.get("ask", quote.ask)
    if bid and ask and bid > ask:  # if the frame has only one of them, the other is older
        bid, ask = prices.get("bid"), prices.get("ask")
    session = frame.session if market.kind.extended else market.session(moment)
    session = "always" if market.crypto else session
    reference, kind = quote.reference, quote.reference_kind
    before = market.kind.price(frame.reference)
    if before and (market.crypto or not frame.of_today):
        reference = market.convert(before)
        kind = "rolling_24h" if market.crypto else "prev_close"
    high, low = prices.get("high", quote.high), prices.get("low", quote.low)
    if session in ("always", "regular"):
        high, low = high and max(high, last), low and min(low, last)
    volume = None if market.crypto else frame.volume or quote.volume
    return Quote(
        symbol=quote.symbol,
        provider=quote.provider,
        currency=quote.currency,
        last=last,
        received_at=now,
        source_time=frame.time,
        bid=bid,
        ask=ask,
        open=prices.get("open", quote.open),
        high=high,
        low=low,
        reference=reference,
        reference_kind=kind,
        volume=volume,
        volume_window=None if volume is None else "session",
        session=session,
        delay=quote.delay,
    )
