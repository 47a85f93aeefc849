from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.http11 import Response

from quotes.providers import Instrument, ProviderError
from quotes.providers.binance import (
    COLUMNS,
    MAX_AGE,
    MAX_STREAMS,
    ROW,
    TICK,
    Binance,
    read_day,
    read_symbol,
    take,
)
from quotes.providers.kit.batches import KEPT
from quotes.providers.kit.klines import read_klines
from quotes.quote import Quote
from quotes.quote.values import MILLISECOND, SECOND
from tests.junk import EVER, JSON, over_the_wire, sane
from tests.servers import PATIENCE
from tests.streams import open_stream
from tests.stubs.binance import Binance as Stub
from tests.stubs.exchange import Exchange, process

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
DAY = {  # a row of the ticker over REST, as documented
    "symbol": "BNBBTC",
    "prevClosePrice": "0.10002000",
    "lastPrice": "4.00000200",
    "bidPrice": "4.00000000",
    "askPrice": "4.00000200",
    "openPrice": "99.00000000",
    "highPrice": "100.00000000",
    "lowPrice": "0.10000000",
    "volume": "8913.30000000",
    "quoteVolume": "15.30000000",
    "closeTime": 1499869899040,
}
EVENT = {  # of a stream, as documented
    "e": "24hrTicker",
    "E": 1672515782136,
    "s": "BNBBTC",
    "x": "0.0009",
    "c": "0.0025",
    "b": "0.0024",
    "a": "0.0026",
    "o": "0.0010",
    "h": "0.0025",
    "l": "0.0010",
    "v": "10000",
    "q": "18",
    "C": 86400000,
}


def instrument(code: str, symbol: str = "", currency: str = "USD") -> Instrument:
    return Instrument(symbol=symbol or code, code=code, currency=currency)


COIN = instrument("BNBBTC", symbol="BNB-BTC", currency="BTC")


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with Stub(pulse=0.02) as found:
        yield found


@asynccontextmanager
async def reading(stub: Stub, **options: Any) -> AsyncIterator[Binance]:
    addresses = {"rest_url": stub.rest_url, "ws_url": stub.ws_url}
    provider = Binance(**addresses | {"timeout": PATIENCE, "silence": PATIENCE} | options)
    try:
        yield provider
    finally:
        await provider.aclose()


@pytest.fixture
async def provider(stub: Stub) -> AsyncIterator[Binance]:
    async with reading(stub) as found:
        yield found


def streaming(provider: Binance, *codes: str) -> AbstractAsyncContextManager[AsyncIterator[Quote]]:
    return open_stream(provider, *map(instrument, codes))


async def quotes(provider: Binance, *codes: str) -> list[Quote]:
    return await provider.quotes([instrument(code) for code in codes])


async def failure(provider: Binance, *codes: str) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await quotes(provider, *codes)
    return caught.value


# quotes


def test_a_row_becomes_a_quote() -> None:
    quote = read_day(DAY, ROW, COIN, NOW)
    assert quote == Quote(
        symbol="BNB-BTC",
        provider="binance",
        currency="BTC",
        last=Decimal("4.00000200"),
        received_at=NOW,
        source_time=datetime(2017, 7, 12, 14, 31, 39, 40_000, tzinfo=UTC),
        bid=Decimal("4.00000000"),
        ask=Decimal("4.00000200"),
        open=Decimal("99.00000000"),
        high=Decimal("100.00000000"),
        low=Decimal("0.10000000"),
        reference=Decimal("99.00000000"),  # not the close of the day before
        reference_kind="rolling_24h",
        volume=Decimal("8913.30000000"),  # in coins, not in money
        volume_window="24h",
        session="always",
        delay=0,
    )
    assert (str(quote.last), str(quote.low)) == ("4.00000200", "0.10000000")


async def test_a_price_is_in_the_currency_of_its_pair(provider: Binance) -> None:
    bitcoin = instrument("BTCUSDT", symbol="BTC-USD", currency="USD")
    (quote,) = await provider.quotes([bitcoin])
    assert (quote.symbol, quote.currency) == ("BTC-USD", "USDT")
    seen = [quote.currency for quote in await quotes(provider, "BTCFDUSD", "BTCEUR", "ETHBTC")]
    assert seen == ["FDUSD", "EUR", "BTC"]
    async with aclosing(provider.stream([bitcoin])) as stream:  # type: ignore[type-var]
        assert (await anext(stream)).currency == "USDT"


async def test_an_answer_in_another_order_is_read_by_its_keys(provider: Binance) -> None:
    codes = ["ETHUSDT", "BTCUSDT", "PEPEUSDT", "BTCEUR"]
    seen = [(quote.symbol, str(quote.last)) for quote in await quotes(provider, *codes)]
    assert seen == list(zip(codes, ["3200.00", "64000.00", "0.00000403", "59000.00"], strict=True))


async def test_requests_have_twenty_symbols_because_that_costs_least(
    stub: Stub, provider: Binance
) -> None:
    codes = [f"C{number}USDT" for number in range(41)]
    stub.enlist(*codes)
    assert [quote.symbol for quote in await quotes(provider, *codes)] == codes
    assert [len(batch) for batch in stub.requested] == [20, 20, 1]
    assert stub.weight == provider.standing.budget.spent_in_minute() == 20 + 3 * 2


async def test_symbols_may_be_written_in_any_script(stub: Stub, provider: Binance) -> None:
    (quote,) = await quotes(provider, "币安人生USDT")
    assert quote.last == Decimal("0.11")
    async with streaming(provider, "币安人生USDT") as stream:
        await anext(stream)
        await stub.until(lambda: stub.subscriptions)
        await stub.tick("币安人生USDT", "0.12")
        assert (await anext(stream)).last == Decimal("0.12")


async def test_two_symbols_may_share_a_code(provider: Binance) -> None:
    instruments = [
        instrument("BTCUSDT", symbol="BTC-USD"),
        instrument("BTCUSDT", symbol="BTC-USDT"),
    ]
    assert [quote.symbol for quote in await provider.quotes(instruments)] == ["BTC-USD", "BTC-USDT"]


async def test_zeros_are_not_a_price(provider: Binance) -> None:
    seen = [(each.symbol, each.last > 0) for each in await quotes(provider, "ZEROUSDT", "BTCEUR")]
    assert seen == [("ZEROUSDT", False), ("BTCEUR", True)]
    assert provider.standing.unknown == {}


async def test_a_symbol_that_is_not_traded_is_dropped_before_the_request(
    stub: Stub, provider: Binance
) -> None:
    assert len(await quotes(provider, "NOPEUSDT", "OLDUSDT", "A B", "BTCEUR")) == 1
    assert provider.standing.unknown == {
        code: f"{code} is not in the list of instruments" for code in ("NOPEUSDT", "OLDUSDT", "A B")
    }
    assert stub.requested == [["BTCEUR"]]


async def test_a_listed_symbol_that_is_invalid_does_not_affect_the_others(
    stub: Stub, provider: Binance
) -> None:
    stub.delisted.add("ETHUSDT")
    codes = ["BTCUSDT", "ETHUSDT", "BTCEUR", "PEPEUSDT"]
    assert {quote.symbol for quote in await quotes(provider, *codes)} == {*codes} - {"ETHUSDT"}
    assert provider.standing.unknown == {"ETHUSDT": "binance rejects the request: Invalid symbol."}
    before = len(stub.requested)
    assert len(await quotes(provider, *codes)) == 3
    assert stub.requested[before:] == [["BTCUSDT", "BTCEUR", "PEPEUSDT"]]


async def test_a_symbol_with_illegal_characters_does_not_affect_the_others(
    stub: Stub, provider: Binance
) -> None:
    stub.enlist("A BUSDT")
    assert len(await quotes(provider, "BTCUSDT", "A BUSDT", "BTCEUR")) == 2
    assert "Illegal characters" in provider.standing.unknown["A BUSDT"]


async def test_a_symbol_that_is_listed_again_is_requested_again(stub: Stub) -> None:
    clock = Clock()
    async with reading(stub, clock=clock) as provider:
        stub.delisted.add("ETHUSDT")
        assert await quotes(provider, "ETHUSDT") == []
        stub.delisted.clear()
        assert await quotes(provider, "ETHUSDT") == []
        clock.now += KEPT
        assert len(await quotes(provider, "ETHUSDT")) == 1
    assert provider.standing.unknown == {}


# errors and budget


@pytest.mark.parametrize(
    ("status", "code", "msg", "retry_after", "refused"),
    [
        (429, -1003, "Too much request weight used; current limit is 6000", 7, False),
        (418, -1003, "Way too much request weight used; IP banned until 17", 7, False),
        (403, -1000, "Blocked", 7, True),
        (451, 0, "Service unavailable from a restricted location", 7, True),
        (400, -1102, "Param was malformed.", 7, False),
        (503, -1008, "Server is currently overloaded", 7, False),
    ],
)
async def test_an_error_has_the_words_of_the_exchange(
    stub: Stub,
    provider: Binance,
    status: int,
    code: int,
    msg: str,
    retry_after: float,
    refused: bool,
) -> None:
    stub.limited = (status, {"code": code, "msg": msg})
    stub.mode = "rate_limited"
    error = await failure(provider, "BTCUSDT")
    assert f"/api/v3/exchangeInfo answered {status}" in str(error)
    assert str(error).endswith(f": {msg}")
    assert (error.retry_after, error.refused) == (retry_after, refused)
    assert provider.standing.unknown == {}


async def test_an_error_without_words_has_its_status(stub: Stub, provider: Binance) -> None:
    stub.limited = (502, [])
    stub.mode = "rate_limited"
    assert str(await failure(provider, "BTCUSDT")).endswith("answered 502 bad gateway")


@pytest.mark.parametrize(
    ("document", "words", "refused"),
    [
        ({"code": -1000, "msg": "An unknown error"}, "an error: An unknown error", False),
        ({"code": 0, "msg": "from a restricted location"}, "a restricted location", True),
        ([], "a JSON list, not a JSON object", False),
        ({"symbols": {}}, "a JSON object, not a JSON list", False),
        ({"symbols": [7, {}, {"symbol": "BTCUSDT"}]}, "the list of the source is empty", False),
    ],
)
async def test_a_200_may_be_an_error(document: Any, words: str, refused: bool) -> None:
    class Odd(Stub):
        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            return 200, document

    async with Odd() as stub, reading(stub) as provider:
        error = await failure(provider, "BTCUSDT")
    assert words in str(error)
    assert error.refused is refused


async def test_every_request_counts_even_without_the_sources_count() -> None:
    class Quiet(Stub):
        def _answer(self, status: int, document: Any) -> Response:
            return Exchange._answer(self, status, document)

    async with Quiet() as stub, reading(stub) as provider:
        await quotes(provider, "BTCUSDT")
        await provider.candles(instrument("BTCUSDT"), 60, NOON, NOON + timedelta(minutes=1))
    assert provider.standing.budget.spent_in_minute() == stub.weight == 20 + 2 + 2


async def test_a_higher_count_of_the_source_is_taken_over(stub: Stub, provider: Binance) -> None:
    stub.weight = 3000  # of another client at the same address
    await quotes(provider, "BTCUSDT")
    assert provider.standing.budget.spent_in_minute() == stub.weight == 3022


async def test_requests_wait_for_the_budget(stub: Stub, provider: Binance) -> None:
    clock = Clock()
    provider.standing.budget.clock, provider.standing.budget.sleep = clock, clock.sleep
    stub.weight = 4200 - 22
    await quotes(provider, "BTCUSDT")
    assert clock.now == 1000
    await quotes(provider, "BTCUSDT")
    assert clock.now == 1060


# instruments and candles


async def test_only_traded_symbols_are_instruments(stub: Stub, provider: Binance) -> None:
    listed = {each.code: each for each in await provider.instruments()}
    assert set(listed) == set(stub.symbols)
    assert (listed["BTCFDUSD"].currency, listed["BTCFDUSD"].name) == ("FDUSD", "BTC/FDUSD")
    assert listed["PEPEUSDT"].tick_size == Decimal("0.00000001")
    short = {"permissions": "SPOT", "showPermissionSets": "false", "symbolStatus": "TRADING"}
    assert stub.listed == short  # the whole list is too long for one answer


@pytest.mark.parametrize("filters", [None, [], [7, {"filterType": "LOT_SIZE"}], {"tickSize": 1}])
def test_a_symbol_may_have_no_tick_size(filters: Any) -> None:
    row = {"symbol": "AB", "status": "TRADING", "baseAsset": "A", "quoteAsset": "B"}
    found = read_symbol(row | {"filters": filters})
    assert found
    assert found.tick_size is None
    assert read_symbol(row | {"status": "BREAK"}) is None


async def test_candles_of_a_long_time_come_in_several_answers(
    stub: Stub, provider: Binance
) -> None:
    end = NOON + timedelta(minutes=2500)
    candles = await provider.candles(instrument("BTCUSDT"), 60, NOON, end)
    assert [each.start for each in candles] == [NOON + timedelta(minutes=m) for m in range(2500)]
    assert stub.requests == {"/api/v3/klines": 3}
    assert stub.weight == provider.standing.budget.spent_in_minute() == 6


async def test_the_end_of_the_period_is_excluded(stub: Stub, provider: Binance) -> None:
    start, end = NOON + timedelta(seconds=1), NOON + timedelta(minutes=1000)
    candles = await provider.candles(instrument("BTCUSDT"), 300, start, end)
    assert (candles[0].start.minute, len(candles)) == (5, 199)
    assert stub.requests.total() == 1


async def test_no_candle_of_the_future_is_requested(stub: Stub, provider: Binance) -> None:
    now, far = datetime.now(UTC), datetime.max.replace(tzinfo=UTC)
    bitcoin = instrument("BTCUSDT")
    assert await provider.candles(bitcoin, 60, now + timedelta(days=1), far) == []
    assert await provider.candles(bitcoin, 86_400, now - timedelta(days=5), far)
    assert stub.requests.total() == 1


async def test_steps_that_it_lacks_are_refused(provider: Binance) -> None:
    with pytest.raises(ProviderError, match="binance has no candles of 42 s, must be one of: 60,"):
        await provider.candles(instrument("BTCUSDT"), 42, NOON, NOON)


@pytest.mark.parametrize("code", ["NOPEUSDT", "../time", "A B?c=d#e/f&symbol=BTCUSDT"])
async def test_an_unknown_symbol_has_no_candles(provider: Binance, code: str) -> None:
    assert await provider.candles(instrument(code), 60, NOON, NOON + timedelta(hours=1)) == []
    assert provider.standing.unknown == {code: "binance rejects the request: Invalid symbol."}


def test_no_digit_of_a_candle_is_lost() -> None:
    prices = ["0.01634790", "0.80000000", "0.01575800", "0.01577100", "148976.11427815"]
    rows = [[1499040000000, *prices, 1499644799999, "2434.19055334", 308, "1", "2", "0"]]
    start = datetime(2017, 7, 3, tzinfo=UTC)
    [candle] = read_klines(rows, COLUMNS, start, start + SECOND, MILLISECOND).values()
    assert [str(each) for each in (candle.open, candle.high, candle.low)] == prices[:3]
    assert [str(candle.close), str(candle.volume)] == prices[3:]
    assert candle.start == datetime(2017, 7, 3, tzinfo=UTC)


# stream


def test_an_event_becomes_a_quote() -> None:
    (quote,) = take({"stream": "bnbbtc@ticker", "data": EVENT}, {"BNBBTC": [COIN]})
    assert quote == Quote(
        symbol="BNB-BTC",
        provider="binance",
        currency="BTC",
        last=Decimal("0.0025"),
        received_at=quote.received_at,
        source_time=datetime(2022, 12, 31, 19, 43, 2, 136_000, tzinfo=UTC),
        bid=Decimal("0.0024"),
        ask=Decimal("0.0026"),
        open=Decimal("0.0010"),
        high=Decimal("0.0025"),
        low=Decimal("0.0010"),
        reference=Decimal("0.0010"),  # not x, the trade before
        reference_kind="rolling_24h",
        volume=Decimal(10000),
        volume_window="24h",
        session="always",
        delay=0,
    )


async def test_a_stream_begins_with_a_quote_of_each(stub: Stub, provider: Binance) -> None:
    codes = [code for code in stub.symbols if code != "ZEROUSDT"]
    async with streaming(provider, *codes, "ZEROUSDT", "NOPEUSDT") as stream:
        came = [(await anext(stream)).symbol for _ in codes]
    assert came == codes
    assert set(provider.standing.unknown) == {"NOPEUSDT"}  # the stream itself does not reject it


async def test_a_tick_has_the_values_that_were_sent(stub: Stub, provider: Binance) -> None:
    async with streaming(provider, "BTCUSDT") as stream:
        first = await anext(stream)
        await stub.until(lambda: stub.subscriptions)
        await stub.tick("BTCUSDT", "64000.010")
        quote = await anext(stream)
    assert str(quote.last) == str(quote.bid) == "64000.010"
    assert quote.ask == Decimal("64000.020")
    assert first.source_time
    assert quote.source_time
    assert first.source_time <= quote.source_time


async def test_a_subscription_has_the_documented_form(stub: Stub, provider: Binance) -> None:
    async with streaming(provider, "BTCUSDT", "ETHBTC") as stream:
        await anext(stream)
        await stub.until(lambda: stub.subscriptions)
        (wanted,) = stub.listeners.values()
        assert wanted == {"btcusdt@miniTicker", "btcusdt@ticker", "ethbtc@ticker"}
    names = ["btcusdt@ticker", "ethbtc@ticker"]
    assert stub.subscriptions == [{"method": "SUBSCRIBE", "params": names, "id": 1}]


async def test_a_tick_during_the_first_poll_is_not_missed(stub: Stub, provider: Binance) -> None:
    async with streaming(provider, "BTCUSDT") as stream:
        await anext(stream)
        await stub.until(lambda: stub.subscriptions)
        await stub.tick("BTCUSDT", "64001.00")
        await stub.tick("BTCUSDT", "64002.00")
        seen = [str((await anext(stream)).last) for _ in range(2)]
    assert seen == ["64001.00", "64002.00"]


async def test_the_largest_subscription_fits_five_messages(stub: Stub) -> None:
    codes = [f"C{number}USDT" for number in range(MAX_STREAMS - 1)]
    stub.enlist(*codes)
    async with reading(stub) as provider, streaming(provider, *codes) as stream:
        came = [(await anext(stream)).symbol for _ in codes]
        await stub.tick("C1022USDT", "11.00")
        assert (await anext(stream)).last == Decimal("11.00")
        (wanted,) = stub.listeners.values()
        assert len(wanted) == MAX_STREAMS
    assert came == codes
    assert len(stub.subscriptions) == 4


async def test_too_many_symbols_for_a_stream_are_an_error(stub: Stub, provider: Binance) -> None:
    codes = [f"C{number}USDT" for number in range(MAX_STREAMS)]
    stub.enlist(*codes)
    async with streaming(provider, *codes) as stream:
        with pytest.raises(ProviderError, match="binance streams at most 1023 symbols, not 1024"):
            await anext(stream)
    assert stub.connects == 0


async def test_a_stream_of_only_unknown_symbols_is_an_error(stub: Stub, provider: Binance) -> None:
    async with streaming(provider, "NOPEUSDT", "OLDUSDT") as stream:
        with pytest.raises(ProviderError, match="binance knows none of the codes"):
            await anext(stream)
    assert stub.connects == 0


async def test_a_shutdown_message_ends_the_stream_at_once(stub: Stub, provider: Binance) -> None:
    async with streaming(provider, "BTCUSDT") as stream:
        await anext(stream)
        await stub.shut_down()
        with pytest.raises(ProviderError, match="binance is about to end the stream"):
            await anext(stream)
    async with streaming(provider, "BTCUSDT") as stream:
        await anext(stream)


@pytest.mark.parametrize(
    "message",
    [
        {"e": "serverShutdown", "E": 1770123456789},
        {"code": 2, "msg": "Invalid request: too many parameters", "id": 1},
        {"error": {"code": 3, "msg": "Invalid JSON"}, "id": 1},
    ],
)
async def test_an_event_or_error_without_wrapping_ends_the_stream(
    stub: Stub, provider: Binance, message: dict[str, Any]
) -> None:
    async with streaming(provider, "BTCUSDT") as stream:
        await anext(stream)
        await stub.send_all(message)
        with pytest.raises(ProviderError, match=r"about to end|Invalid"):
            await anext(stream)


async def test_a_stream_ends_before_the_exchange_ends_it(stub: Stub) -> None:
    clock = Clock()
    async with reading(stub, clock=clock) as provider, streaming(provider, "BTCUSDT") as stream:
        await anext(stream)
        await stub.until(lambda: stub.subscriptions)
        clock.now += MAX_AGE - 1
        await stub.tick("BTCUSDT", "64001.00")
        assert (await anext(stream)).last == Decimal("64001.00")
        clock.now += 1
        with pytest.raises(ProviderError, match="the stream is 23 hours old"):
            await anext(stream)


async def test_a_quiet_symbol_does_not_end_the_stream(stub: Stub) -> None:
    async with reading(stub, silence=0.5) as provider, streaming(provider, "ZEROUSDT") as stream:
        assert (await anext(stream)).last == 0
        waiting = asyncio.create_task(anext(stream))  # type: ignore[arg-type]
        done, _ = await asyncio.wait([waiting], timeout=0.8)
        assert not done
        stub.mode = "silent"
        with pytest.raises(ProviderError, match=r"no message for 0\.5 s"):
            await waiting


async def test_pings_are_answered() -> None:
    async with (
        Stub(pulse=60, ping=0.02) as stub,
        reading(stub) as provider,
        streaming(provider, "BTCUSDT") as stream,
    ):
        await anext(stream)
        await stub.until(lambda: stub.pongs >= 3)


async def test_messages_of_other_kinds_are_skipped(stub: Stub, provider: Binance) -> None:
    async with streaming(provider, "BTCUSDT") as stream:
        await anext(stream)
        await stub.until(lambda: stub.subscriptions)
        for odd in ({}, {"e": ["24hrTicker"]}, {"stream": "x", "data": []}, {"result": None}):
            await stub.send_all(odd)
        for odd in (EVENT, {"e": "24hrTicker"}, {"e": "24hrTicker", "s": ["BTCUSDT"]}):
            await stub.send_all({"stream": "bnbbtc@ticker", "data": odd})
        await stub.tick("BTCUSDT", "64001.00")
        assert (await anext(stream)).last == Decimal("64001.00")


async def test_the_list_is_not_read_at_every_connection(stub: Stub, provider: Binance) -> None:
    for _ in range(3):
        async with streaming(provider, "BTCUSDT") as stream:
            await anext(stream)
    assert stub.requests == {"/api/v3/exchangeInfo": 1, "/api/v3/ticker/24hr": 3}


@pytest.mark.parametrize(
    ("rest_url", "ws_url"),
    [("wss://example.com", "wss://example.com"), ("https://example.com", "https://example.com")],
)
def test_an_address_of_the_wrong_kind_is_refused(rest_url: str, ws_url: str) -> None:
    with pytest.raises(ValueError, match="Unexpected address"):
        Binance(rest_url, ws_url)


# any input


@pytest.mark.parametrize("no_price", ["0.00000000", "0", "", "NaN", "-1", None, [], {}, True])
def test_a_field_that_is_not_a_price_is_none_and_as_last_not_above_0(no_price: Any) -> None:
    assert read_day(DAY | {"lastPrice": no_price}, ROW, COIN, NOW).last <= 0
    quote = read_day(DAY | {"bidPrice": no_price, "openPrice": no_price}, ROW, COIN, NOW)
    assert quote.bid is quote.open is quote.reference is None
    assert (quote.ask, quote.reference_kind) == (Decimal("4.00000200"), "none")


def test_a_bid_above_the_ask_is_left_to_the_feed() -> None:
    quote = read_day(DAY | {"bidPrice": "4.00000201"}, ROW, COIN, NOW)
    assert (str(quote.bid), str(quote.ask)) == ("4.00000201", "4.00000200")


@pytest.mark.parametrize("no_time", [0, -1, None, "1499869899040", 10**30, True, Decimal("1.5")])
def test_an_invalid_time_is_none(no_time: Any) -> None:
    quote = read_day(DAY | {"closeTime": no_time}, ROW, COIN, NOW)
    assert quote
    assert quote.source_time is None


PRICES = st.decimals(min_value=Decimal("1e-12"), max_value=Decimal("1e12"), places=12)


@given(st.dictionaries(st.sampled_from(sorted(DAY)), JSON))
@example({"lastPrice": "1e999999999999"})
def test_no_row_leads_to_an_invalid_price(changes: dict[str, Any]) -> None:
    assert sane(read_day(over_the_wire(DAY | changes), ROW, COIN, NOW))


@given(st.dictionaries(st.sampled_from([*EVENT, "msg", "data", "error"]), JSON), JSON)
def test_every_message_of_a_socket_is_a_quote_or_an_error(
    changes: dict[str, Any], kind: Any
) -> None:
    for message in (EVENT | changes, {"data": EVENT | changes}, {"e": kind} | changes):
        try:
            assert all(map(sane, take(over_the_wire(message), {"BNBBTC": [COIN]})))
        except ProviderError:
            assert message.keys() & {"msg", "error"}


@given(st.lists(JSON | st.lists(JSON, min_size=6, max_size=7)))
def test_every_row_of_a_list_is_read_or_left_out(rows: list[Any]) -> None:
    came = over_the_wire(rows)
    candles = read_klines(came, COLUMNS, *EVER, MILLISECOND).values()
    assert all(candle.low > 0 and candle.close > 0 for candle in candles)
    row = {"symbol": "AB", "status": "TRADING", "quoteAsset": "B", "filters": came}
    assert all(each is None or each.code for each in map(read_symbol, [*came, row]))


@given(PRICES)
def test_every_digit_is_kept(price: Decimal) -> None:
    quote = read_day(EVENT | {"c": f"{price:f}", "a": f"{price:f}", "b": ""}, TICK, COIN, NOW)
    assert quote
    assert f"{quote.last:f}" == f"{quote.ask:f}" == f"{price:f}"


# the stub


async def test_the_stub_ends_a_socket_with_too_many_messages(stub: Stub) -> None:
    async with connect(
        f"{stub.ws_url}/stream?streams=a", proxy=None, open_timeout=PATIENCE
    ) as socket:
        for number in range(6):
            await socket.send(json.dumps({"method": "SUBSCRIBE", "params": [], "id": number}))
        async with asyncio.timeout(PATIENCE):
            await socket.wait_closed()
    assert len(stub.subscriptions) == 5


async def test_the_stub_rejects_spaces_between_symbols(stub: Stub) -> None:
    async with httpx.AsyncClient(base_url=stub.rest_url) as client:
        symbols = {"symbols": '["BTCUSDT", "BTCEUR"]'}
        answer = await client.get("/api/v3/ticker/24hr", params=symbols)
    assert (answer.status_code, answer.json()["code"]) == (400, -1100)


@pytest.mark.server
async def test_the_stub_is_a_process_that_can_be_steered() -> None:
    async with process("binance") as where, httpx.AsyncClient(base_url=f"http://{where}") as steer:
        provider = Binance(f"http://{where}", f"ws://{where}")
        async with streaming(provider, "BTCUSDT") as stream:
            await anext(stream)
            while not (await steer.get("/_state")).json()["subscriptions"]:
                continue
            await steer.get("/_tick?product=BTCUSDT&price=64123.00")
            assert (await anext(stream)).last == Decimal("64123.00")
            await steer.get("/_mode?to=drop")
            with pytest.raises(ProviderError):
                await anext(stream)
        await provider.aclose()
