from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.asyncio.client import connect

from quotes.providers import Instrument, ProviderError, make_provider
from quotes.providers.finnhub import (
    COOL_DOWN,
    MARKETS,
    PER_MINUTE,
    REMEMBERED,
    SHARE,
    STREAMED,
    Finnhub,
    day,
    read_instrument,
    read_quote,
    read_trade,
)
from quotes.providers.kit.faults import QUARANTINE, REST
from quotes.quote import Quote
from quotes.quote.values import loads
from tests.junk import JSON, over_the_wire, sane
from tests.servers import PATIENCE
from tests.streams import Reader, read_stream
from tests.stubs.exchange import process, reply
from tests.stubs.finnhub import KEY, ZEROS
from tests.stubs.finnhub import Finnhub as Stub

NOW = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)  # noon in New York
QUOTE = '{"c": 191.50, "d": 1.0, "dp": 0.52, "h": 192, "l": 189, "o": 190, "pc": 190.5, "t": %d}'
FRIDAY = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)  # the close, in New York at 16:00


def instrument(code: str, symbol: str = "", currency: str = "USD") -> Instrument:
    return Instrument(symbol=symbol or code, code=code, kind="stock", currency=currency)


BEGUN = time.monotonic()


def afternoon() -> datetime:
    """Return the time of a clock that ticks on from a Monday's noon: no day begins in a test."""
    return NOW + timedelta(seconds=time.monotonic() - BEGUN)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0  # seconds

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quotes.providers.finnhub.PACE", 0)


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with Stub(heartbeat=0.02, now=afternoon) as found:
        yield found


@asynccontextmanager
async def reading(stub: Stub, **options: Any) -> AsyncIterator[Finnhub]:
    given = {"rest_url": stub.rest_url, "ws_url": stub.ws_url, "api_key": KEY, "now": stub.now}
    provider = Finnhub(**given | {"timeout": PATIENCE, "silence": PATIENCE} | options)
    provider.poll_interval = 60.0
    try:
        yield provider
    finally:
        await provider.aclose()


@pytest.fixture
async def provider(stub: Stub) -> AsyncIterator[Finnhub]:
    async with reading(stub) as found:
        yield found


@asynccontextmanager
async def on_a_clock(stub: Stub) -> AsyncIterator[tuple[Finnhub, Clock]]:
    clock = Clock()
    async with reading(stub, clock=clock) as provider:
        provider.standing.budget.clock = clock
        yield provider, clock


def streaming(provider: Finnhub, *codes: str) -> AbstractAsyncContextManager[Reader]:
    return read_stream(provider, *map(instrument, codes))


@asynccontextmanager
async def listening(stub: Stub, provider: Finnhub, *codes: str) -> AsyncIterator[Reader]:
    """Read a stream, from when all codes are subscribed and their first quotes were read."""
    wanted = set(codes)
    async with streaming(provider, *codes) as stream:
        for _ in codes:
            await anext(stream)
        await stub.until(lambda: stub.listening >= wanted)
        yield stream


async def failure(provider: Finnhub, *codes: str) -> ProviderError:
    async with streaming(provider, *codes) as stream:
        with pytest.raises(ProviderError) as caught:
            [quote async for quote in stream]
    return caught.value


async def symbols(provider: Finnhub, *codes: str) -> list[str]:
    return [quote.symbol for quote in await provider.quotes([*map(instrument, codes)])]


def many(stub: Stub, count: int) -> list[str]:
    codes = [f"S{number}" for number in range(count)]
    stub.enlist(*codes)
    return codes


# quotes


def test_an_answer_becomes_a_quote() -> None:
    quote = read_quote("AAPL", loads(QUOTE % 1790000000), NOW)
    assert quote == Quote(
        symbol="AAPL",
        provider="finnhub",
        currency="",
        last=Decimal("191.50"),
        received_at=NOW,
        source_time=datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC),
        open=Decimal(190),
        high=Decimal(192),
        low=Decimal(189),
        reference=Decimal("190.5"),
        reference_kind="prev_close",
        delay=0,
    )
    assert str(quote.last) == "191.50"
    assert quote.change == Decimal("1.00")


async def test_the_currency_comes_from_the_instrument(provider: Finnhub) -> None:
    instruments = [instrument("AAPL"), instrument("AAPL", "APPLE", "EUR")]
    quotes = await provider.quotes(instruments)
    assert [(quote.symbol, quote.currency) for quote in quotes] == [
        ("AAPL", "USD"),
        ("APPLE", "EUR"),
    ]
    assert all(quote.bid is quote.ask is quote.volume is None for quote in quotes)


@pytest.mark.parametrize(
    "no_price", [0, "0", "", "NaN", -1, None, [], {}, True, "Infinity", "1e99999"]
)
def test_a_field_that_is_not_a_price_is_none_and_as_last_not_above_0(no_price: Any) -> None:
    body = loads(QUOTE % 1790000000)
    quote = read_quote("AAPL", body | {"c": no_price}, NOW)
    assert quote
    assert quote.last <= 0
    quote = read_quote("AAPL", body | {"o": no_price, "pc": no_price}, NOW)
    assert quote
    assert quote.open is quote.reference is quote.change is None
    assert quote.reference_kind == "none"


@pytest.mark.parametrize("no_time", [0, -1, None, "1790000000", True, 10**30, Decimal("1.5"), []])
def test_an_invalid_time_is_none(no_time: Any) -> None:
    quote = read_quote("AAPL", loads(QUOTE % 1) | {"t": no_time}, NOW)
    assert quote
    assert quote.source_time is None


async def test_zeros_mean_an_unknown_symbol_that_is_set_aside(stub: Stub) -> None:
    async with on_a_clock(stub) as (provider, clock):
        for _ in range(3):
            assert await symbols(provider, "NOPE", "AAPL") == ["AAPL"]
        assert provider.standing.unknown == {"NOPE": "NOPE has no price"}
        assert stub.requested == {"NOPE": 1, "AAPL": 3}
        stub.enlist("NOPE")
        clock.now += QUARANTINE
        assert set(await symbols(provider, "NOPE", "AAPL")) == {"AAPL", "NOPE"}
        assert provider.standing.unknown == {}


async def test_a_known_symbol_without_a_price_is_reported_and_changes_nothing(
    stub: Stub, provider: Finnhub
) -> None:
    assert await symbols(provider, "AAPL") == ["AAPL"]
    known = provider.known["AAPL"]
    stub.market["AAPL"] |= {"c": 0}
    [quote] = await provider.quotes([instrument("AAPL")])
    assert (quote.symbol, quote.currency, quote.last) == ("AAPL", "USD", 0)
    assert (provider.known["AAPL"], provider.polled["AAPL"]) == (known, known)
    assert provider.standing.unknown == {}


async def test_a_symbol_outside_of_the_plan_is_set_aside(stub: Stub) -> None:
    async with on_a_clock(stub) as (provider, _):
        for _ in range(3):
            assert await symbols(provider, "^GSPC", "AAPL") == ["AAPL"]
    assert provider.standing.unknown == {"^GSPC": "^GSPC is not part of the plan"}
    assert stub.requests == {"/quote": 4}


@pytest.mark.parametrize("document", [[], "sorry"])
async def test_a_symbol_that_fails_does_not_stop_the_others(document: Any) -> None:
    class Partly(Stub):
        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            return (200, document) if query["symbol"] == "BAD" else super().rest(path, query)

    async with Partly() as stub, on_a_clock(stub) as (provider, clock):
        stub.enlist("BAD")
        assert await symbols(provider, "BAD", "AAPL") == ["AAPL"]
        assert await symbols(provider, "BAD", "AAPL") == ["AAPL"]
        assert list(provider.standing.resting) == ["BAD"]
        assert provider.standing.unknown == {}  # Finnhub may have it
        clock.now += REST
        document = {"c": 5, "d": 0, "dp": 0, "h": 5, "l": 5, "o": 5, "pc": 5, "t": 1}
        assert set(await symbols(provider, "BAD", "AAPL")) == {"AAPL", "BAD"}
        assert provider.standing.resting == {}


async def test_an_empty_answer_drops_no_code() -> None:
    async with answering(200, {}) as provider:
        assert await symbols(provider, "AAPL") == []
        assert provider.standing.unknown == {}


@asynccontextmanager
async def answering(status: int, document: Any) -> AsyncIterator[Finnhub]:
    """Read a stub that gives the same answer to all requests."""

    class Odd(Stub):
        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            return status, document

    async with Odd() as stub, reading(stub) as provider:
        yield provider


LIMIT = "API limit reached. Please try again later. Remaining Limit: 0"


@pytest.mark.parametrize(
    ("status", "document", "refused", "words"),
    [
        (401, {"error": "Invalid API key"}, True, "401 unauthorized: Invalid API key"),
        (403, {"error": "Your account is closed"}, True, "403 forbidden: Your account is closed"),
        (429, {"error": LIMIT}, False, f"429 too many requests: {LIMIT}"),
        (200, {"error": LIMIT}, False, f"/quote answered with an error: {LIMIT}"),
        (200, {"error": "Invalid API key."}, True, "/quote answered with an error: Invalid"),
        (200, [], False, "a JSON list, not a JSON object"),
        (502, "odd", False, "502 bad gateway"),
    ],
)
async def test_an_error_has_the_words_of_the_source(
    status: int, document: Any, refused: bool, words: str
) -> None:
    async with answering(status, document) as provider:
        with pytest.raises(ProviderError, match=re.escape(words)) as caught:
            await symbols(provider, "AAPL")
        assert caught.value.refused is refused
        assert provider.standing.unknown == {}


@pytest.mark.parametrize("retry_after", ["", "7"])
async def test_too_many_requests_cause_a_back_off(retry_after: str) -> None:
    async with Stub(retry_after=retry_after) as stub, reading(stub) as provider:
        stub.mode = "rate_limited"
        with pytest.raises(ProviderError, match=r"429 .*: API limit reached") as caught:
            await symbols(provider, "AAPL")
    assert caught.value.retry_after == float(retry_after or COOL_DOWN)


async def test_a_200_may_mean_too_many_requests() -> None:
    async with answering(200, {"error": LIMIT}) as provider:
        with pytest.raises(ProviderError) as caught:
            await symbols(provider, "AAPL")
    assert caught.value.retry_after == COOL_DOWN


# turns


async def test_a_few_symbols_are_all_requested_each_time(stub: Stub, provider: Finnhub) -> None:
    for _ in range(3):
        assert await symbols(provider, "MSFT", "AAPL", "BRK.B") == ["MSFT", "AAPL", "BRK.B"]
    assert set(stub.requested.values()) == {3}


async def test_all_are_requested_at_first_and_then_a_share_of_them_in_turn(stub: Stub) -> None:
    codes = many(stub, 25)
    async with on_a_clock(stub) as (provider, clock):
        assert await symbols(provider, *codes) == codes
        shares = []
        for _ in range(5):
            clock.now += 12
            shares.append(await symbols(provider, *codes))
    assert [each for share in shares for each in share] == codes + codes[:SHARE]
    assert [len(share) for share in shares] == [SHARE, SHARE, 5, 0, SHARE]  # 50 in each minute


async def test_many_symbols_never_exceed_the_requests_of_a_minute(stub: Stub) -> None:
    codes = many(stub, 173)
    spent: list[tuple[float, int]] = []
    async with on_a_clock(stub) as (provider, clock):
        for _ in range(60):
            before = stub.requested.total()
            await symbols(provider, *codes)
            spent.append((clock.now, stub.requested.total() - before))
            clock.now += 12
    for end, _ in spent:
        assert sum(count for when, count in spent if end - 60 < when <= end) <= PER_MINUTE
    assert stub.requested.total() >= 11 * PER_MINUTE  # in twelve minutes
    assert set(stub.requested) == set(codes)
    assert max(stub.requested.values()) - min(stub.requested.values()) <= 1


async def test_nothing_is_requested_when_the_minute_is_spent(stub: Stub) -> None:
    codes = many(stub, 60)
    async with on_a_clock(stub) as (provider, clock):
        provider.standing.budget.sleep = no_sleep
        assert await symbols(provider, *codes) == codes[:PER_MINUTE]
        assert await symbols(provider, *codes) == []
        clock.now += 60
        assert await symbols(provider, *codes) == codes[PER_MINUTE:]
    assert stub.requested.total() == 60


async def no_sleep(seconds: float) -> None:
    raise AssertionError(f"it waits {seconds} s")


async def test_other_requests_count_too(stub: Stub) -> None:
    codes = many(stub, 60)
    async with on_a_clock(stub) as (provider, _):
        await provider.instruments()
        assert len(await symbols(provider, *codes)) == PER_MINUTE - len(MARKETS)


async def test_a_new_symbol_comes_first(stub: Stub) -> None:
    codes = many(stub, 25)
    async with on_a_clock(stub) as (provider, _):
        await symbols(provider, *codes)
        assert await symbols(provider, *codes, "MSFT") == ["MSFT", *codes[: SHARE - 1]]


async def test_turns_continue_after_a_failure(stub: Stub) -> None:
    codes = many(stub, 20)
    async with on_a_clock(stub) as (provider, _):
        await symbols(provider, *codes)
        stub.mode = "maintenance"
        with pytest.raises(ProviderError, match="503 service unavailable: Service Unavailable"):
            await symbols(provider, *codes)
        stub.mode = "ok"
        assert await symbols(provider, *codes) == codes[1 : SHARE + 1]


# keys


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "A key is missing, set FINNHUB_API_KEY"),
        ({"api_key": "\n"}, "A key is missing, set FINNHUB_API_KEY"),
        ({"api_key": "ключ"}, "FINNHUB_API_KEY is not a valid key"),
        ({"api_key": "two words"}, "FINNHUB_API_KEY is not a valid key"),
    ],
)
def test_a_missing_key_is_an_error_at_the_start(options: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        make_provider("finnhub", options)
    assert "ключ" not in str(caught.value)


CANARY = "c&n=ry#0123?456789%"


async def test_no_key_is_ever_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    paths: list[str] = []

    class Echo(Stub):
        """Repeats the key in every error."""

        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            assert self.headers["X-Finnhub-Token"] == CANARY
            assert "token" not in query
            return (200, {"c": 191.5}) if path == "/quote" else (401, {"error": f"not {CANARY}"})

        async def feed(self, connection: Any) -> None:
            paths.append(connection.request.path)
            await connection.recv()
            await self.send(connection, {"type": "error", "msg": f"Invalid API key {CANARY}"})

        async def _request(self, connection: Any, request: Any) -> Any:
            return await super(Stub, self)._request(connection, request)

    async with Echo() as stub, reading(stub, api_key=CANARY) as provider:
        errors = [await failure(provider, "AAPL")]
        with pytest.raises(ProviderError) as caught:
            await provider.instruments()
        errors.append(caught.value)
        assert CANARY not in repr(provider)
    assert paths == ["/?token=c%26n%3Dry%230123%3F456789%25"]
    for error in errors:
        assert error.refused
        assert CANARY not in f"{error} {error!r}"
        assert "…" in str(error)
    ours = [each for each in caplog.records if not each.name.startswith("websockets.server")]
    logged = "".join(each.getMessage() for each in ours)
    assert CANARY not in logged
    assert "%230123" not in logged


async def test_a_failed_handshake_does_not_show_the_key(stub: Stub) -> None:
    class Wary(Stub):
        def _fault(self, upgrade: bool) -> Any:
            return reply(401, {"error": "Invalid API key"}) if upgrade else None

    async with Wary() as wary, reading(wary) as provider:
        error = await failure(provider, "AAPL")
    assert error.refused
    assert KEY not in str(error)


# instruments


async def test_the_lists_of_the_exchanges_are_instruments(stub: Stub, provider: Finnhub) -> None:
    listed = {each.code: each for each in await provider.instruments()}
    assert set(listed) == set(stub.market)
    apple = listed["AAPL"]
    assert (apple.name, apple.kind, apple.currency) == ("AAPL MADE UP INC", "stock", "USD")
    assert stub.requests == {"/stock/symbol": len(MARKETS)}


def test_funds_and_stocks_have_their_kind() -> None:
    fund = read_instrument({"symbol": "SPY", "type": "ETP", "currency": ""})
    assert fund
    assert (fund.kind, fund.currency) == ("etf", "USD")
    invalid: list[Any] = [None, [], {}, {"symbol": ""}, {"symbol": 7}]
    assert list(map(read_instrument, invalid)) == [None] * 5


async def test_there_are_no_candles(stub: Stub, provider: Finnhub) -> None:
    assert await provider.candles(instrument("AAPL"), 60, NOW - timedelta(days=1), NOW) == []
    assert stub.requests.total() == 0


# stream


async def test_a_stream_begins_with_the_quotes_of_rest(stub: Stub, provider: Finnhub) -> None:
    async with listening(stub, provider, "AAPL", "MSFT"):
        pass
    assert stub.requests == {"/quote": 2}
    assert stub.subscriptions == [
        {"type": "subscribe", "symbol": "AAPL"},
        {"type": "subscribe", "symbol": "MSFT"},
    ]


async def test_a_trade_updates_the_quote(stub: Stub, provider: Finnhub) -> None:
    async with listening(stub, provider, "AAPL") as stream:
        await stub.tick("AAPL", "193.25")
        quote = await anext(stream)
        assert (str(quote.last), str(quote.high), quote.low) == ("193.25", "193.25", 189)
        assert (quote.open, str(quote.reference), quote.currency) == (190, "190.5", "USD")
        assert quote.change == Decimal("2.75")
        await stub.tick("AAPL", "188.5")
        quote = await anext(stream)
        assert (str(quote.high), str(quote.low)) == ("193.25", "188.5")


def at(milliseconds: int) -> int:
    """Return a time some milliseconds from now, as the stream writes it."""
    return int(afternoon().timestamp() * 1000) + milliseconds


async def test_of_several_trades_the_newest_is_the_last(stub: Stub, provider: Finnhub) -> None:
    async with listening(stub, provider, "AAPL", "MSFT") as stream:
        soon = at(0)
        await stub.trade(
            {"s": "AAPL", "p": 195.5, "t": soon + 2},
            {"s": "MSFT", "p": 371, "t": soon},
            {"s": "AAPL", "p": 196.5, "t": soon + 1},
            {"s": "AAPL", "p": 187.5, "t": soon},
            {"s": "AAPL", "p": 195.25, "t": soon + 2},
        )
        quotes = {quote.symbol: quote for quote in [await anext(stream), await anext(stream)]}
        apple = quotes["AAPL"]
        assert (str(apple.last), str(apple.high), str(apple.low)) == ("195.25", "196.5", "187.5")
        assert quotes["MSFT"].last == 371
        await stub.trade({"s": "MSFT", "p": 372})
        assert (await anext(stream)).last == 372  # the message has no other quote


TRADES = """{"type":"trade","data":[
    {"p":7296.89,"s":"BINANCE:BTCUSDT","t":1575526691134,"v":0.011467,"c":null},
    {"p":7297.01,"s":"BINANCE:BTCUSDT","t":1575526691140,"v":0,"c":null},
    {"p":191.53,"s":"AAPL","t":1575526691136,"v":5,"c":["1","12"]},
    {"p":371.25,"s":"MSFT","t":1575526691137,"v":5,"c":null}]}"""


def test_documented_trades_are_read() -> None:
    provider = Finnhub(api_key=KEY)
    bitcoin = instrument("BINANCE:BTCUSDT", "BTC-USDT", "USDT")
    groups = {"BINANCE:BTCUSDT": [bitcoin], "AAPL": [instrument("AAPL")]}
    found = {quote.symbol: quote for quote in provider._take(loads(TRADES), groups)}
    assert set(found) == {"BTC-USDT", "AAPL"}
    coin, share = found["BTC-USDT"], found["AAPL"]
    assert coin == Quote(
        symbol="BTC-USDT",
        provider="finnhub",
        currency="USDT",
        last=Decimal("7297.01"),
        received_at=coin.received_at,
        source_time=datetime(2019, 12, 5, 6, 18, 11, 140000, tzinfo=UTC),
        delay=0,
    )
    assert (str(share.last), share.currency, share.volume) == ("191.53", "USD", None)


async def test_a_price_may_change_without_a_trade(stub: Stub, provider: Finnhub) -> None:
    async with listening(stub, provider, "AAPL") as stream:
        await stub.trade({"s": "AAPL", "p": 191.75, "v": 0, "c": None})
        quote = await anext(stream)
    assert (str(quote.last), quote.volume) == ("191.75", None)


async def test_times_are_in_milliseconds(stub: Stub, provider: Finnhub) -> None:
    async with listening(stub, provider, "AAPL") as stream:
        moment = at(1)
        await stub.trade({"s": "AAPL", "p": 191.75, "t": moment})
        found = (await anext(stream)).source_time
    assert found
    assert found == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment)


async def test_a_late_or_invalid_trade_changes_nothing(stub: Stub, provider: Finnhub) -> None:
    async with listening(stub, provider, "AAPL") as stream:
        for odd in (
            {"s": "AAPL", "p": 1, "t": at(-60_000)},
            {"s": "AAPL", "p": 3, "t": None},
        ):
            await stub.trade(odd)
        for odd in (
            {"type": "trade"},
            {"type": "trade", "data": {}},
            {"type": "trade", "data": [None, 7, [], {}, {"s": ["AAPL"], "p": 1, "t": 1}]},
            {"type": ["trade"], "data": []},
            {"type": "news", "data": [{"s": "AAPL", "p": 4, "t": at(1)}]},
            {"type": "trade", "data": [{"s": "MSFT", "p": 5, "t": at(1)}]},  # not requested
            {},
        ):
            await stub.send_all(odd)
        await stub.tick("AAPL", "191.75")
        quote = await anext(stream)
    assert (str(quote.last), quote.high, quote.low) == ("191.75", 192, 189)


@pytest.mark.parametrize("distance", [10**9, 3_600_000, -(10**12)])  # milliseconds
async def test_a_trade_with_a_false_time_is_passed_on_and_changes_nothing(
    stub: Stub, provider: Finnhub, distance: int
) -> None:
    async with listening(stub, provider, "AAPL") as stream:
        await stub.trade({"s": "AAPL", "p": 400, "t": at(distance)})
        quote = await anext(stream)
        assert (quote.mistimed, quote.last) == (True, 400)
        await stub.tick("AAPL", "191.75")
        quote = await anext(stream)
    assert (str(quote.last), quote.high, quote.low) == ("191.75", 192, 189)


@pytest.mark.parametrize("no_price", [0, -1, None, "", "NaN"])
async def test_a_trade_without_a_price_is_reported_and_changes_nothing(
    stub: Stub, provider: Finnhub, no_price: Any
) -> None:
    async with listening(stub, provider, "AAPL") as stream:
        await stub.trade({"s": "AAPL", "p": no_price})
        quote = await anext(stream)
        assert (quote.symbol, quote.currency, quote.last <= 0) == ("AAPL", "USD", True)
        await stub.tick("AAPL", "191.75")
        quote = await anext(stream)
    assert (str(quote.last), quote.high, quote.low) == ("191.75", 192, 189)


async def test_pings_keep_the_stream_alive_without_quotes(stub: Stub) -> None:
    async with (
        reading(stub, silence=1.0) as provider,
        listening(stub, provider, "AAPL") as stream,
    ):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.0):
                await anext(stream)


async def test_a_silent_stream_ends(stub: Stub) -> None:
    async with (
        reading(stub, silence=0.5) as provider,
        listening(stub, provider, "AAPL") as stream,
    ):
        stub.mode = "silent"
        with pytest.raises(ProviderError, match=r"^no message for 0\.5 s$"):
            await anext(stream)


async def test_a_second_connection_is_refused(stub: Stub, provider: Finnhub) -> None:
    async with listening(stub, provider, "AAPL"), reading(stub) as other:
        assert "answered 429 too many requests" in str(await failure(other, "AAPL"))


async def test_symbols_above_the_50_of_a_free_key_are_polled(stub: Stub) -> None:
    codes = many(stub, STREAMED + 3)
    async with on_a_clock(stub) as (provider, clock):
        provider.poll_interval = 0.02
        async with streaming(provider, *codes) as stream:
            await stub.until(lambda: len(stub.subscriptions) == STREAMED)
            assert stub.listening == set(codes[:STREAMED])
            stub.market[codes[-1]] |= {"c": 12.5}
            clock.now += 60
            await stream.until(lambda quote: str(quote.last) == "12.5")


async def test_a_smaller_subscription_does_not_affect_the_other_symbols() -> None:
    async with (
        Stub(heartbeat=0.02, symbols=1, now=afternoon) as stub,
        reading(stub) as provider,
        streaming(provider, "AAPL", "MSFT") as stream,
    ):
        await stub.until(lambda: len(stub.subscriptions) == 2)
        await stub.until(lambda: stub.listening)
        await stub.tick("AAPL", "191.75")
        await stream.until(lambda quote: str(quote.last) == "191.75")


async def test_unknown_symbols_are_not_subscribed_to(stub: Stub, provider: Finnhub) -> None:
    async with streaming(provider, "NOPE", "AAPL", "^GSPC"):
        await stub.until(lambda: stub.listening)
    assert [each["symbol"] for each in stub.subscriptions] == ["AAPL"]


async def test_a_stream_of_only_unknown_symbols_is_an_error(stub: Stub, provider: Finnhub) -> None:
    assert str(await failure(provider, "NOPE", "^GSPC")) == "finnhub knows none of the codes"
    assert stub.connects == 0


@pytest.mark.parametrize(
    ("words", "refused"), [("Invalid API key", True), ("Server is restarting", False)]
)
async def test_an_error_ends_the_stream(
    stub: Stub, provider: Finnhub, words: str, refused: bool
) -> None:
    async with listening(stub, provider, "AAPL") as stream:
        await stub.send_all({"type": "error", "msg": words})
        with pytest.raises(ProviderError, match=f"answered with an error: {words}") as caught:
            await anext(stream)
    assert caught.value.refused is refused


async def test_an_error_about_a_symbol_does_not_end_the_stream(
    stub: Stub, provider: Finnhub
) -> None:
    async with listening(stub, provider, "AAPL") as stream:
        await stub.send_all({"type": "error", "msg": "Invalid symbol"})
        await stub.tick("AAPL", "191.75")
        assert str((await anext(stream)).last) == "191.75"


async def test_a_new_stream_begins_with_all_known_quotes(stub: Stub) -> None:
    codes = many(stub, 25)
    async with on_a_clock(stub) as (provider, _):
        async with listening(stub, provider, *codes) as stream:
            await stub.tick("S24", "10.75")
            await anext(stream)
            stub.cut()
            with pytest.raises(ProviderError, match="ended the stream"):
                await anext(stream)
        async with listening(stub, provider, *codes) as stream:
            assert provider.known["S24"].last == Decimal("10.75")
    assert stub.requested.total() == 25 + SHARE


async def test_out_of_hours_symbols_are_not_polled_beside_the_stream(
    stub: Stub, provider: Finnhub
) -> None:
    provider.poll_interval = 0.02
    provider.may_differ = lambda each, got_at: each.code == "MSFT"
    async with listening(stub, provider, "AAPL", "MSFT"):
        await stub.until(lambda: stub.requested["MSFT"] > 3)
    assert stub.requested["AAPL"] == 1


async def test_out_of_hours_each_symbol_is_requested_until_it_has_a_quote(stub: Stub) -> None:
    codes = many(stub, PER_MINUTE + 15)
    async with on_a_clock(stub) as (provider, clock):
        provider.poll_interval = 0.01
        provider.may_differ = lambda each, got_at: got_at is None
        async with streaming(provider, *codes) as stream:
            await stub.until(lambda: stub.requested.total() == PER_MINUTE)
            clock.now += 60
            await stub.until(lambda: stub.requested.total() == len(codes))
            await stub.tick("S0", "12.5")
            await stream.until(lambda quote: str(quote.last) == "12.5")
    assert set(stub.requested.values()) == {1}


@pytest.mark.parametrize(("age", "repeated"), [(REMEMBERED / 2, True), (REMEMBERED, False)])
async def test_a_new_stream_repeats_only_quotes_that_are_fresh(
    stub: Stub, age: timedelta, repeated: bool
) -> None:
    codes = many(stub, PER_MINUTE)
    async with on_a_clock(stub) as (provider, _):
        provider.now = lambda: NOW
        assert await symbols(provider, *codes) == codes  # the minute is spent
        then = NOW - age
        provider.known["S0"] = replace(provider.known["S0"], received_at=then)
        async with streaming(provider, *codes) as stream:
            came = [(await anext(stream)).symbol for _ in codes[1:]]
        assert came == (codes[:-1] if repeated else codes[1:])


async def test_a_failed_poll_does_not_end_the_stream(stub: Stub, provider: Finnhub) -> None:
    provider.poll_interval = 0.2
    async with listening(stub, provider, "AAPL") as stream:
        before = stub.requests.total()
        stub.mode = "maintenance"
        await stub.until(lambda: stub.requests.total() > before)
        stub.mode = "ok"
        await stub.tick("AAPL", "191.75")
        await stream.until(lambda quote: str(quote.last) == "191.75")
    assert stub.connects == 1


# days


class Fed:
    """A provider whose answers and trades come from the test."""

    def __init__(self, code: str = "AAPL") -> None:
        self.code = code
        self.provider = Finnhub(api_key=KEY, now=lambda: FRIDAY + timedelta(days=30))
        self.groups = {code: [instrument(code)]}

    def rest(self, moment: datetime, **changes: Any) -> Quote:
        body = loads(QUOTE % moment.timestamp()) | changes
        assert self.provider._take_quote(self.code, body, self.groups[self.code])
        return self.provider.known[self.code]

    def trade(self, price: str, moment: datetime) -> Quote:
        row = {"s": self.code, "p": Decimal(price), "t": int(moment.timestamp() * 1000)}
        moved = self.provider._take({"type": "trade", "data": [row]}, self.groups)
        assert [each.symbol for each in moved] == [self.code]
        return self.provider.known[self.code]


HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_a_trade_after_hours_is_of_the_same_day_and_not_part_of_its_range() -> None:
    fed = Fed()
    fed.rest(FRIDAY)
    after_hours = fed.trade("192.5", FRIDAY + 3.99 * HOUR)
    assert (after_hours.last, after_hours.reference) == (Decimal("192.5"), Decimal("190.5"))
    assert (after_hours.open, after_hours.high, after_hours.low) == (190, 192, 189)


@pytest.mark.parametrize(
    ("minutes", "high"),
    [(-391, 192), (-390, 193), (-1, 193), (0, 193), (2.9, 193), (3, 192), (200, 192)],
)
def test_a_trade_moves_the_range_until_the_closing_auction(minutes: float, high: int) -> None:
    fed = Fed()
    fed.rest(FRIDAY - 7 * HOUR)  # before the opening of 9:30
    assert fed.trade("193", FRIDAY + minutes * HOUR / 60).high == high


def test_only_a_close_is_the_reference_of_the_next_day() -> None:
    fed = Fed()
    noon = FRIDAY - DAY - 4 * HOUR
    fed.provider.now = lambda: noon
    fed.rest(noon)  # and then no answer until the next day
    fed.provider.now = lambda: FRIDAY
    morning = fed.trade("193.5", FRIDAY - 7 * HOUR)
    assert (morning.last, morning.reference) == (Decimal("193.5"), None)
    assert morning.reference_kind == "none"


def test_until_rest_has_a_new_day_its_price_is_the_previous_close() -> None:
    fed = Fed()
    fed.rest(FRIDAY - 3 * DAY)  # a close
    fed.trade("192.5", FRIDAY - 3 * DAY + 2 * HOUR)  # after hours, so it is not a close
    morning = fed.trade("193.5", FRIDAY - 2 * DAY - 10 * HOUR)
    assert (morning.reference, morning.change) == (Decimal("191.50"), Decimal("2.00"))
    assert morning.reference_kind == "prev_close"
    assert morning.open is morning.high is morning.low is None
    quote = fed.rest(FRIDAY - 2 * DAY - 5 * HOUR, c=194, o=193, h=195, l=192, pc=Decimal("191.6"))
    assert (quote.last, quote.open, quote.high, quote.reference) == (
        194,
        193,
        195,
        Decimal("191.6"),
    )


def test_an_answer_that_is_older_than_a_trade_does_not_replace_it() -> None:
    fed = Fed()
    fed.rest(FRIDAY - 4 * HOUR)
    fed.trade("195", FRIDAY - 3 * HOUR)
    fed.trade("193", FRIDAY - 2 * HOUR)
    quote = fed.rest(FRIDAY - 2.5 * HOUR, h=194)
    assert (quote.last, quote.source_time) == (193, FRIDAY - 2 * HOUR)
    assert quote.high == 194  # 195 was corrected
    assert fed.rest(FRIDAY, h=194).last == Decimal("191.50")


def test_a_symbol_without_an_answer_from_rest_begins_with_a_trade() -> None:
    quote = Fed().trade("191.75", FRIDAY)
    assert (quote.last, quote.reference, quote.reference_kind) == (Decimal("191.75"), None, "none")
    assert quote.open is quote.high is quote.low is None


@pytest.mark.parametrize(
    ("code", "moment", "found"),
    [
        ("AAPL", "2026-01-06T00:59:59+00:00", 5),  # the end of a day in winter
        ("AAPL", "2026-01-06T09:00:00+00:00", 6),
        ("AAPL", "2026-07-06T23:59:59+00:00", 6),  # the same in summer
        ("AAPL", "2026-07-06T08:00:00+00:00", 6),
        ("BINANCE:BTCUSDT", "2026-01-05T23:59:59+00:00", 5),
        ("BINANCE:BTCUSDT", "2026-01-06T00:00:00+00:00", 6),
    ],
)
def test_a_day_is_a_day_in_new_york_and_for_crypto_in_utc(
    code: str, moment: str, found: int
) -> None:
    assert day(code, datetime.fromisoformat(moment)).day == found


# any input


BODY = st.dictionaries(st.sampled_from(["c", "h", "l", "o", "pc", "t", "d", "dp"]), JSON)
ROW = st.dictionaries(st.sampled_from(["s", "p", "t", "v", "c"]), JSON | st.just("AAPL"))


@given(BODY)
@example({"t": 2**70})
@example({"t": 253402300800})
def test_no_answer_leads_to_an_invalid_price(changes: dict[str, Any]) -> None:
    body = {"c": 191, "h": 192, "l": 189, "o": 190, "pc": 190, "t": 1790000000}
    quote = read_quote("AAPL", over_the_wire(body | changes), NOW)
    assert sane(quote)
    assert quote is None or quote.time.tzinfo


@given(st.lists(ROW | JSON), JSON)
def test_every_message_of_a_socket_is_a_quote_or_an_error(rows: list[Any], kind: Any) -> None:
    fed = Fed()
    fed.rest(FRIDAY)
    for message in (
        {"type": "trade", "data": rows},
        {"type": "error", "msg": kind},
        {"type": kind},
    ):
        try:
            assert all(map(sane, fed.provider._take(over_the_wire(message), fed.groups)))
        except ProviderError:
            assert message["type"] == "error"
    assert sane(fed.provider.known["AAPL"])


@given(st.lists(JSON | ROW))
def test_every_row_of_a_list_is_read_or_left_out(rows: list[Any]) -> None:
    came = over_the_wire(rows)
    assert all(each is None or each.code for each in map(read_instrument, came))
    assert all(each is None or each[1].is_finite() for each in map(read_trade, came))


PRICE = st.decimals(min_value=Decimal("0.0001"), max_value=Decimal(10**6), places=4)


@given(st.lists(st.tuples(PRICE, st.integers(-5, 60)), max_size=30))
def test_high_and_low_include_the_last_and_time_only_increases(
    steps: list[tuple[Decimal, int]],
) -> None:
    fed, moment = Fed(), FRIDAY - 3 * HOUR
    before = fed.rest(moment)
    for price, seconds in steps:
        moment += timedelta(seconds=seconds)
        row = {"s": "AAPL", "p": price, "t": int(moment.timestamp() * 1000)}
        moved = fed.provider._take({"type": "trade", "data": [row]}, fed.groups)
        quote = fed.provider.known["AAPL"]
        assert quote.low
        assert quote.high
        assert quote.low <= quote.last <= quote.high
        assert quote.time >= before.time
        assert [each.symbol for each in moved] == (["AAPL"] if moment >= before.time else [])
        assert (quote.open, quote.reference) == (before.open, before.reference)
        before = quote


# the stub


async def test_the_stub_accepts_one_connection_with_its_key_and_refuses_candles(stub: Stub) -> None:
    for token, status in (("", 401), ("wrong", 401)):
        with pytest.raises(Exception, match=f"HTTP {status}"):
            await connect(
                f"{stub.ws_url}/?token={token}", proxy=None, open_timeout=PATIENCE
            ).__aenter__()
    async with httpx.AsyncClient(base_url=stub.rest_url) as client:
        headers = {"X-Finnhub-Token": KEY}
        assert (await client.get("/stock/candle?symbol=AAPL", headers=headers)).status_code == 403
        assert (await client.get("/quote?symbol=NOPE", headers=headers)).json() == ZEROS
        assert (await client.get("/quote?symbol=AAPL")).status_code == 401


@pytest.mark.server
async def test_the_stub_is_a_process_that_can_be_steered() -> None:
    async with process("finnhub") as where, httpx.AsyncClient(base_url=f"http://{where}") as steer:
        provider = Finnhub(f"http://{where}", f"ws://{where}", api_key=KEY)
        async with streaming(provider, "AAPL") as stream:
            while not (await steer.get("/_state")).json()["subscriptions"]:
                pass
            await steer.get("/_tick?product=AAPL&price=199.5")
            await stream.until(lambda quote: str(quote.last) == "199.5")
            await steer.get("/_mode?to=drop")
            with pytest.raises(ProviderError):
                [quote async for quote in stream]
        await provider.aclose()
