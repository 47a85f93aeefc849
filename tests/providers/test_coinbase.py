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

from quotes.providers import Instrument, Plan, ProviderError
from quotes.providers.coinbase import (
    CHUNK,
    COLUMNS,
    COOL_DOWN,
    HANDFUL,
    PER_MINUTE,
    Coinbase,
    Connection,
    read_product,
    read_stats,
    read_status,
    read_ticker,
)
from quotes.providers.kit.batches import by_code
from quotes.providers.kit.budgets import Budget
from quotes.providers.kit.klines import read_klines
from quotes.providers.kit.sockets import read_frame
from quotes.providers.kit.standing import Standing
from quotes.quote import Quote
from quotes.quote.values import SECOND, loads
from tests.examples import examples
from tests.junk import EVER, JSON, over_the_wire, sane
from tests.servers import PATIENCE
from tests.streams import open_stream
from tests.stubs.coinbase import Coinbase as Stub
from tests.stubs.exchange import process, reply

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
NOBODY = "http://127.0.0.1:1"
TICKER = {
    "type": "ticker",
    "sequence": 7,
    "product_id": "BTC-USD",
    "price": "64000.10",
    "open_24h": "63000.00",
    "volume_24h": "1200.50000000",
    "low_24h": "62750.25",
    "high_24h": "65250.50",
    "best_bid": "64000.00",
    "best_ask": "64000.10",
    "time": "2026-11-23T11:59:59.123456789Z",
}


def instrument(code: str, symbol: str = "") -> Instrument:
    return Instrument(symbol=symbol or code, code=code)


def read(**changes: Any) -> Quote | None:
    return read_ticker(TICKER | changes, instrument("BTC-USD"), NOW)


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with Stub(heartbeat=0.02) as found:
        yield found


@asynccontextmanager
async def reading(stub: Stub, **options: Any) -> AsyncIterator[Coinbase]:
    addresses = {"rest_url": stub.rest_url, "ws_url": stub.ws_url}
    provider = Coinbase(**addresses | {"timeout": PATIENCE, "silence": PATIENCE} | options)
    try:
        yield provider
    finally:
        await provider.aclose()


@pytest.fixture
async def provider(stub: Stub) -> AsyncIterator[Coinbase]:
    async with reading(stub) as found:
        yield found


def streaming(provider: Coinbase, *codes: str) -> AbstractAsyncContextManager[AsyncIterator[Quote]]:
    return open_stream(provider, *map(instrument, codes))


async def failure(provider: Coinbase, *codes: str) -> ProviderError:
    async with streaming(provider, *codes) as stream:
        with pytest.raises(ProviderError) as caught:
            [quote async for quote in stream]
    return caught.value


# quotes


async def test_a_poll_beside_the_stream_keeps_its_bid_ask_and_time(
    stub: Stub, provider: Coinbase
) -> None:
    async with streaming(provider, "BTC-USD") as stream:
        tick = await anext(stream)
        bitcoin, ether = await provider.quotes([instrument("BTC-USD"), instrument("ETH-USD")])
        assert (bitcoin.bid, bitcoin.ask) == (tick.bid, tick.ask) != (None, None)
        assert bitcoin.source_time == tick.source_time is not None
        assert (ether.bid, ether.ask, ether.source_time) == (None, None, None)
        stub.products["BTC-USD"]["price"] = "64000.07"  # not yet sent by the stream
        (bitcoin,) = await provider.quotes([instrument("BTC-USD")])
        assert (str(bitcoin.last), bitcoin.source_time) == ("64000.07", None)
    (bitcoin,) = await provider.quotes([instrument("BTC-USD")])
    assert (bitcoin.bid, bitcoin.ask) == (None, None)  # the stream that would update them is closed


async def test_prices_come_exactly_as_sent(provider: Coinbase) -> None:
    (quote,) = await provider.quotes([instrument("TINY-USD")])
    assert str(quote.last) == str(Decimal("0.0000123400"))
    assert quote.last.as_tuple().exponent == -10
    assert str(quote.volume) == "7000000000"


async def test_quotes_have_the_last_24_hours(provider: Coinbase) -> None:
    (quote,) = await provider.quotes([instrument("BTC-EUR")])
    assert quote.currency == "EUR"
    assert quote.reference == quote.open == Decimal("58000.00")
    assert quote.change == Decimal("1000.00")
    assert (quote.high, quote.low) == (Decimal("60100.00"), Decimal("57900.00"))
    assert (quote.reference_kind, quote.volume_window) == ("rolling_24h", "24h")
    assert (quote.session, quote.delay) == ("always", 0)
    assert (quote.source_time, quote.bid, quote.ask) == (None, None, None)


async def test_one_request_returns_all_products(stub: Stub, provider: Coinbase) -> None:
    quotes = await provider.quotes([instrument(code) for code in stub.products])
    assert len(quotes) == len(stub.products)
    assert stub.requests == {"/products/stats": 1}


async def test_a_product_without_a_price_has_a_quote_without_one(
    stub: Stub, provider: Coinbase
) -> None:
    await stub.tick("ETH-USD", "0")
    codes = ["QUIET-USD", "ETH-USD", "NOPE-USD", "SOL-USD"]
    quotes = await provider.quotes([instrument(code) for code in codes])
    seen = [(quote.symbol, quote.last > 0) for quote in quotes]
    assert seen == [("QUIET-USD", False), ("ETH-USD", False), ("SOL-USD", True)]


async def test_two_symbols_may_share_a_product(provider: Coinbase) -> None:
    instruments = [instrument("BTC-USD"), instrument("BTC-USD", symbol="XBT-USD")]
    assert [quote.symbol for quote in await provider.quotes(instruments)] == ["BTC-USD", "XBT-USD"]
    async with aclosing(provider.stream(instruments)) as stream:  # type: ignore[type-var]
        assert [(await anext(stream)).symbol for _ in instruments] == ["BTC-USD", "XBT-USD"]


STATS = """{
    "NEAR-USD": {
        "stats_30day": {"volume": "131000000.514", "rfq_volume": "923000.884772"},
        "stats_24hour": {"open": "1.8", "high": "1.858", "low": "1.786", "last": "1.847",
                         "volume": "2183000.5", "rfq_volume": "19000.910319"}
    },
    "AURORA-USD": {"stats_24hour": {"open": "0.0175", "high": "0.0181", "low": "0.0172",
                                    "last": "0.0178", "volume": "100.0"}},
    "QUIET-USD": {"stats_30day": {"volume": "7"}, "stats_24hour": {}},
    "GONE-USD": {}
}"""


def answering(status: int, document: Any) -> Stub:
    """Return a stub that gives the same answer to all requests."""

    class Odd(Stub):
        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            return status, document

    return Odd()


async def test_documented_statistics_are_read() -> None:
    codes = ["NEAR-USD", "AURORA-USD", "QUIET-USD", "GONE-USD"]
    async with answering(200, json.loads(STATS)) as stub, reading(stub) as provider:
        near, aurora, quiet = await provider.quotes([instrument(code) for code in codes])
    assert near == Quote(
        symbol="NEAR-USD",
        provider="coinbase",
        currency="USD",
        last=Decimal("1.847"),
        received_at=near.received_at,
        open=Decimal("1.8"),
        high=Decimal("1.858"),
        low=Decimal("1.786"),
        reference=Decimal("1.8"),
        reference_kind="rolling_24h",
        volume=Decimal("2183000.5"),
        volume_window="24h",
        session="always",
        delay=0,
    )
    assert [str(each) for each in (aurora.last, aurora.open, aurora.volume)] == [
        "0.0178", "0.0175", "100.0"
    ]  # fmt: skip
    assert (quiet.last, quiet.open, quiet.volume, quiet.reference_kind) == (0, None, None, "none")


@pytest.mark.parametrize(
    ("document", "words", "retry_after"),
    [
        ({"message": "Public rate limit exceeded"}, "error: Public rate limit", COOL_DOWN),
        ({"message": "Internal server error"}, "error: Internal server error", None),
        ({"message": ""}, "an error: ", None),
        ([], "a JSON list, not a JSON object", None),
        (None, "null, not a JSON object", None),
    ],
)
async def test_a_200_may_be_an_error(document: Any, words: str, retry_after: float | None) -> None:
    async with answering(200, document) as stub, reading(stub) as provider:
        words = f"/products/stats answered with .*{words}"
        with pytest.raises(ProviderError, match=words) as caught:
            await provider.quotes([instrument("BTC-USD")])
    assert caught.value.retry_after == retry_after


@pytest.mark.parametrize("retry_after", ["", "7"])
async def test_too_many_requests_cause_a_back_off(retry_after: str) -> None:
    async with Stub(retry_after=retry_after) as stub, reading(stub) as provider:
        stub.mode = "rate_limited"
        with pytest.raises(ProviderError, match="429 too many requests") as caught:
            await provider.quotes([instrument("BTC-USD")])
        errors = [caught.value, await failure(provider, "BTC-USD")]
    assert [error.retry_after for error in errors] == [float(retry_after or COOL_DOWN)] * 2


async def test_requests_count_and_a_back_off_stops_them(stub: Stub, provider: Coinbase) -> None:
    await provider.quotes([instrument("BTC-USD")])
    await provider.candles(instrument("BTC-USD"), 60, NOON, NOON + timedelta(minutes=301))
    assert provider.standing.budget.spent_in_minute() == 3
    assert provider.standing.budget.plan.per_minute == PER_MINUTE
    provider.standing.budget.back_off(60)
    with pytest.raises(ProviderError, match="backing off"):
        await provider.quotes([instrument("BTC-USD")])
    assert stub.requests.total() == 3


# instruments and candles


async def test_only_traded_symbols_are_instruments(stub: Stub, provider: Coinbase) -> None:
    listed = {each.code: each for each in await provider.instruments()}
    assert set(listed) == {*stub.products, "QUIET-USD"}
    assert listed["BTC-EUR"].currency == "EUR"
    assert listed["DOGE-USD"].tick_size == Decimal("0.00001")
    assert listed["DOGE-USD"].name == "DOGE/USD"


def test_the_id_contains_the_currency() -> None:
    auction = {"id": "BTCAUCTION-USD", "base_currency": "BTC", "status": "online"}
    found = read_product(auction)
    assert found
    assert (found.code, found.currency, found.tick_size) == ("BTCAUCTION-USD", "USD", None)


async def test_candles_of_a_long_time_come_in_several_answers(
    stub: Stub, provider: Coinbase
) -> None:
    candles = await provider.candles(instrument("BTC-USD"), 60, NOON, NOON + timedelta(minutes=700))
    assert stub.requests == {"/products/BTC-USD/candles": 3}
    assert len(candles) == 630  # every tenth minute has no trade
    assert candles == sorted(candles, key=lambda candle: candle.start)
    assert candles[0].start == NOON + timedelta(minutes=1)
    assert candles[-1].start == NOON + timedelta(minutes=699)


async def test_300_candles_are_one_answer(stub: Stub, provider: Coinbase) -> None:
    await provider.candles(instrument("BTC-USD"), 300, NOON, NOON + timedelta(minutes=1500))
    assert stub.requests.total() == 1


async def test_too_many_candles_at_once_are_an_error_in_the_words_of_the_exchange() -> None:
    words = "granularity too small for the requested time range. Count of aggregations requested"
    document = {"message": f"{words} exceeds 300"}
    async with answering(400, document) as stub, reading(stub) as provider:
        with pytest.raises(ProviderError, match=f"400 bad request: {words} exceeds 300") as caught:
            await provider.candles(instrument("BTC-USD"), 60, NOON, NOON + timedelta(minutes=5))
        assert (caught.value.refused, caught.value.retry_after) == (False, None)
        assert provider.standing.unknown == {}


async def test_the_end_of_the_period_is_excluded(provider: Coinbase) -> None:
    start, end = NOON + timedelta(seconds=1), NOON + timedelta(minutes=3)
    candles = await provider.candles(instrument("BTC-USD"), 60, start, end)
    assert [candle.start.minute for candle in candles] == [1, 2]


async def test_no_candle_of_the_future_is_requested(stub: Stub, provider: Coinbase) -> None:
    now = datetime.now(UTC)
    far = datetime.max.replace(tzinfo=UTC)
    assert await provider.candles(instrument("BTC-USD"), 60, now + timedelta(days=1), far) == []
    assert await provider.candles(instrument("BTC-USD"), 86_400, now - timedelta(days=5), far)
    assert stub.requests.total() == 1


async def test_steps_that_it_lacks_are_refused(provider: Coinbase) -> None:
    with pytest.raises(ProviderError, match="coinbase has no candles of 42 s, must be one of: 60,"):
        await provider.candles(instrument("BTC-USD"), 42, NOON, NOON)


@pytest.mark.parametrize("code", ["NOPE-USD", "../stats", "A B?c=d#e/f"])
async def test_an_unknown_product_has_no_candles(provider: Coinbase, code: str) -> None:
    end = NOON + timedelta(hours=1)
    assert await provider.candles(instrument(code), 60, NOON, end) == []
    assert provider.standing.unknown == {code: f"{code} is not a valid product"}


def test_no_digit_of_a_candle_is_lost() -> None:
    rows = loads("[[1710327600, 73241.50, 73402.47, 73243.330, 73370.65, 1.56794406]]")
    start = datetime(2024, 3, 13, 11, tzinfo=UTC)
    [candle] = read_klines(rows, COLUMNS, start, start + SECOND).values()
    assert (str(candle.low), str(candle.high)) == ("73241.50", "73402.47")
    assert (str(candle.open), str(candle.close)) == ("73243.330", "73370.65")
    assert str(candle.volume) == "1.56794406"


# stream


async def test_a_stream_begins_with_a_quote_of_each(stub: Stub, provider: Coinbase) -> None:
    async with streaming(provider, *stub.products) as stream:
        came = [(await anext(stream)).symbol for _ in stub.products]
    assert came == list(stub.products)


async def test_a_tick_has_the_values_that_were_sent(stub: Stub, provider: Coinbase) -> None:
    async with streaming(provider, "BTC-USD") as stream:
        await anext(stream)
        await stub.tick("BTC-USD", "64000.010")
        quote = await anext(stream)
    assert str(quote.last) == str(quote.bid) == "64000.010"
    assert quote.ask == Decimal("64000.02")
    assert quote.source_time
    assert quote.sequence == stub.products["BTC-USD"]["sequence"]


async def test_a_few_products_need_one_message(stub: Stub, provider: Coinbase) -> None:
    async with streaming(provider, "BTC-USD", "ETH-USD") as stream:
        await anext(stream)
    assert stub.subscriptions == [
        {
            "type": "subscribe",
            "product_ids": ["BTC-USD", "ETH-USD"],
            "channels": ["ticker", "heartbeat"],
        }
    ]


async def test_many_products_come_in_chunks_with_one_pulse(stub: Stub, provider: Coinbase) -> None:
    codes = [f"C{number}-USD" for number in range(2 * CHUNK + 1)]
    stub.enlist(*codes)
    async with streaming(provider, *codes) as stream:
        came = [(await anext(stream)).symbol for _ in codes]
        await stub.until(lambda: len(stub.subscriptions) == 4)
    assert came == codes
    sizes = [(len(each["product_ids"]), each["channels"]) for each in stub.subscriptions]
    assert sizes == [(50, ["ticker"]), (50, ["ticker"]), (1, ["ticker"]), (1, ["heartbeat"])]


async def test_bad_products_are_dropped_before_the_subscription(
    stub: Stub, provider: Coinbase
) -> None:
    async with streaming(provider, "NOPE-USD", "OLD-USD", "BTC-USD") as stream:
        assert (await anext(stream)).symbol == "BTC-USD"
    assert provider.standing.unknown == {
        "NOPE-USD": "NOPE-USD is not a valid product",
        "OLD-USD": "OLD-USD is delisted",
    }
    assert [each["product_ids"] for each in stub.subscriptions] == [["BTC-USD"]]


async def test_a_product_on_hold_is_not_dropped(provider: Coinbase) -> None:
    async with streaming(provider, "HALTED-USD", "BTC-USD") as stream:
        await anext(stream)
    assert provider.standing.unknown == {}


@pytest.mark.parametrize("hangs_up", [False, True])
async def test_a_bad_product_is_dropped_and_the_others_go_on(stub: Stub, hangs_up: bool) -> None:
    stub.hangs_up = hangs_up
    codes = ["NOPE-USD", "BTC-USD", "OLD-USD", "ETH-USD"]
    async with reading(stub, rest_url=NOBODY) as provider, streaming(provider, *codes) as stream:
        assert {(await anext(stream)).symbol for _ in range(2)} == {"BTC-USD", "ETH-USD"}
    assert provider.standing.unknown == {
        "NOPE-USD": "NOPE-USD is not a valid product",
        "OLD-USD": "OLD-USD is delisted",
    }
    assert stub.connects == (3 if hangs_up else 1)


@pytest.mark.parametrize("hangs_up", [False, True])
async def test_a_bad_product_does_not_affect_the_other_chunks(stub: Stub, hangs_up: bool) -> None:
    stub.hangs_up = hangs_up
    good = [f"C{number}-USD" for number in range(2 * CHUNK)]
    stub.enlist(*good)
    codes = ["BAD1-USD", *good[:CHUNK], "BAD2-USD", *good[CHUNK:]]
    came: set[str] = set()
    async with reading(stub, rest_url=NOBODY) as provider, streaming(provider, *codes) as stream:
        while came != set(good):
            came.add((await anext(stream)).symbol)
        pulse = {"type": "subscribe", "product_ids": ["C0-USD"], "channels": ["heartbeat"]}
        await stub.until(lambda: pulse in stub.subscriptions)
    assert set(provider.standing.unknown) == {"BAD1-USD", "BAD2-USD"}


async def test_a_stream_of_only_bad_products_is_an_error(stub: Stub, provider: Coinbase) -> None:
    error = await failure(provider, "NOPE-USD", "OLD-USD")
    assert str(error) == "coinbase knows none of the codes"
    assert stub.connects == 0


@pytest.mark.parametrize("hangs_up", [False, True])
async def test_a_stream_of_only_bad_products_is_an_error_without_the_list(
    stub: Stub, hangs_up: bool
) -> None:
    stub.hangs_up = hangs_up
    async with reading(stub, rest_url=NOBODY) as provider:
        error = await failure(provider, "NOPE-USD", "OLD-USD")
    assert str(error) == "coinbase knows none of the codes"
    assert set(provider.standing.unknown) == {"NOPE-USD", "OLD-USD"}


async def test_a_product_that_trades_again_is_no_longer_unknown(
    stub: Stub, provider: Coinbase
) -> None:
    async with streaming(provider, "NEW-USD", "BTC-USD") as stream:
        await anext(stream)
    assert set(provider.standing.unknown) == {"NEW-USD"}
    stub.enlist("NEW-USD")
    async with streaming(provider, "NEW-USD", "BTC-USD") as stream:
        assert (await anext(stream)).last == Decimal("10.00")
    assert provider.standing.unknown == {}


async def test_an_empty_list_drops_no_code() -> None:
    async with (
        answering(200, []) as stub,
        reading(stub) as provider,
        streaming(provider, "BTC-USD") as stream,
    ):
        assert (await anext(stream)).symbol == "BTC-USD"


async def test_an_error_without_a_product_ends_the_stream(stub: Stub, provider: Coinbase) -> None:
    async with streaming(provider, "BTC-USD") as stream:
        await anext(stream)
        await stub.send_all({"type": "error", "message": "Too busy"})
        with pytest.raises(ProviderError, match="answered with an error: Too busy"):
            await anext(stream)


async def test_silence_ends_the_stream(stub: Stub) -> None:
    stub.mode = "silent"
    async with reading(stub, silence=0.5) as provider:
        assert str(await failure(provider, "BTC-USD")) == "no message for 0.5 s"


async def test_heartbeats_keep_the_stream_alive(stub: Stub) -> None:
    async with reading(stub, silence=1.0) as provider, streaming(provider, "QUIET-USD") as stream:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.0):
                await anext(stream)


async def test_frames_that_are_not_objects_are_skipped() -> None:
    async with (
        Stub(heartbeat=60) as stub,
        reading(stub) as provider,
        streaming(provider, "BTC-USD") as stream,
    ):
        await anext(stream)
        for price in ("64001.00", "64002.00"):
            for odd in ("\x00", b"\xff\xfe", "[]", "{"):
                await stub.send_all(odd)
            await stub.tick("BTC-USD", price)
            assert str((await anext(stream)).last) == price


async def test_five_frames_that_are_not_objects_end_the_stream() -> None:
    async with (
        Stub(heartbeat=60) as stub,
        reading(stub) as provider,
        streaming(provider, "BTC-USD") as stream,
    ):
        await anext(stream)
        for odd in ("", "null", "7", b"", "NaN"):
            await stub.send_all(odd)
        with pytest.raises(ProviderError, match="5 frames in a row could not be read"):
            await anext(stream)


async def test_a_frame_that_is_too_large_is_not_read(stub: Stub, provider: Coinbase) -> None:
    async with streaming(provider, "BTC-USD") as stream:
        await anext(stream)
        await stub.send_all("x" * 2**21)
        with pytest.raises(ProviderError, match="ended the stream"):
            await anext(stream)


async def test_messages_of_other_kinds_are_skipped(stub: Stub, provider: Coinbase) -> None:
    async with streaming(provider, "BTC-USD") as stream:
        await anext(stream)
        for odd in ({"type": "status"}, {}, {"type": ["ticker"]}, {"type": "ticker"}):
            await stub.send_all(odd)
        await stub.send_all(TICKER | {"product_id": "ETH-USD"})  # not requested
        await stub.tick("BTC-USD", "64001.00")
        assert (await anext(stream)).last == Decimal("64001.00")


async def test_a_message_that_comes_too_late_is_dropped(stub: Stub, provider: Coinbase) -> None:
    async with streaming(provider, "BTC-USD", "ETH-USD") as stream:
        newest = max([await anext(stream), await anext(stream)], key=lambda q: q.symbol < "C")
        await stub.tick("BTC-USD", "1.00", sequence=newest.sequence)
        await stub.tick("BTC-USD", "2.00", sequence=(newest.sequence or 0) - 5)
        await stub.tick("ETH-USD", "0", sequence=10**9)  # without a price it does not count
        await stub.tick("ETH-USD", "3201.00", sequence=10**6)
        await stub.tick("BTC-USD", "64001.00", sequence=(newest.sequence or 0) + 9)
        came = [str((await anext(stream)).last) for _ in range(3)]
        assert came == ["0", "3201.00", "64001.00"]


# connection


async def test_a_refused_connection_is_an_error() -> None:
    provider = Coinbase(NOBODY, "ws://127.0.0.1:1")
    assert str(await failure(provider, "BTC-USD")).endswith("the stream: connection refused")
    await provider.aclose()


async def test_a_restart_of_the_exchange_ends_the_stream(stub: Stub, provider: Coinbase) -> None:
    async with streaming(provider, "BTC-USD") as stream:
        await anext(stream)
        await stub.hang_up()
        with pytest.raises(ProviderError, match=r"ended the stream: .*1001 \(going away\)"):
            await anext(stream)
    assert stub.connects == 1  # the feed reconnects, not the provider


async def test_a_handshake_may_want_a_back_off(stub: Stub, provider: Coinbase) -> None:
    stub.mode = "rate_limited"
    error = await failure(provider, "BTC-USD")
    assert "answered 429 too many requests" in str(error)
    assert (error.retry_after, error.refused) == (7, False)


async def test_a_handshake_may_be_refused(stub: Stub, provider: Coinbase) -> None:
    stub.mode = "unauthorized"
    assert (await failure(provider, "BTC-USD")).refused


async def test_a_handshake_has_a_deadline(stub: Stub) -> None:
    stub.mode = "slow"
    async with reading(stub, timeout=0.1) as provider:
        assert "gave no complete answer within 0.1 s" in str(await failure(provider, "BTC-USD"))


async def test_a_handshake_is_not_redirected(stub: Stub) -> None:
    class Moved(Stub):
        def _fault(self, upgrade: bool) -> Response | None:
            return reply(302, {}, Location=stub.ws_url) if upgrade else None

    async with Moved() as moved, reading(moved) as provider:
        assert "answered 302 found" in str(await failure(provider, "BTC-USD"))
    assert stub.connects == 0


async def test_a_stream_does_not_wait_for_a_slow_list(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quotes.providers.coinbase.PATIENCE", 0.2)
    async with Stub() as hung, reading(stub, rest_url=hung.rest_url, timeout=9) as provider:
        hung.mode = "slow"
        async with streaming(provider, "BTC-USD") as stream:
            assert (await anext(stream)).symbol == "BTC-USD"


@pytest.mark.parametrize(
    ("rest_url", "ws_url"),
    [("wss://example.com", "wss://example.com"), ("https://example.com", "https://example.com")],
)
def test_an_address_of_the_wrong_kind_is_refused(rest_url: str, ws_url: str) -> None:
    with pytest.raises(ValueError, match="Unexpected address"):
        Coinbase(rest_url, ws_url)


# messages


def test_a_ticker_becomes_a_quote() -> None:
    assert read() == Quote(
        symbol="BTC-USD",
        provider="coinbase",
        currency="USD",
        last=Decimal("64000.10"),
        received_at=NOW,
        source_time=datetime(2026, 11, 23, 11, 59, 59, 123456, tzinfo=UTC),
        bid=Decimal("64000.00"),
        ask=Decimal("64000.10"),
        open=Decimal("63000.00"),
        high=Decimal("65250.50"),
        low=Decimal("62750.25"),
        reference=Decimal("63000.00"),
        reference_kind="rolling_24h",
        volume=Decimal("1200.50000000"),
        volume_window="24h",
        session="always",
        delay=0,
        sequence=7,
    )


DOCUMENTED = """{"type":"ticker","sequence":7388547310,"product_id":"BTC-USDT","price":"22345.67",
    "open_24h":"22308.13","volume_24h":"470.21123644","low_24h":"22150","high_24h":"22495.15",
    "volume_30d":"25713.98401605","best_bid":"22345.67","best_bid_size":"0.10647825",
    "best_ask":"22349.68","best_ask_size":"0.03131702","side":"sell",
    "time":"2023-03-04T03:37:20.799258Z","trade_id":11586478,"last_size":"0.00352175"}"""


def test_a_documented_ticker_is_read() -> None:
    connection = Connection(by_code([instrument("BTC-USDT")]), Standing(Budget(Plan())))
    (quote,) = connection.take(loads(DOCUMENTED))
    assert quote == Quote(
        symbol="BTC-USDT",
        provider="coinbase",
        currency="USDT",
        last=Decimal("22345.67"),
        received_at=quote.received_at,
        source_time=datetime(2023, 3, 4, 3, 37, 20, 799258, tzinfo=UTC),
        bid=Decimal("22345.67"),
        ask=Decimal("22349.68"),
        open=Decimal("22308.13"),
        high=Decimal("22495.15"),
        low=Decimal(22150),
        reference=Decimal("22308.13"),
        reference_kind="rolling_24h",
        volume=Decimal("470.21123644"),
        volume_window="24h",
        session="always",
        delay=0,
        sequence=7388547310,
    )


@pytest.mark.parametrize(
    "no_price",
    ["0", "0.00", "", "NaN", "-1", None, [], {}, True, "Infinity", "1e99999", [0, [1], 0]],
)
def test_a_field_that_is_not_a_price_is_none_and_as_last_not_above_0(no_price: Any) -> None:
    assert read(price=no_price).last <= 0
    quote = read(best_bid=no_price, open_24h=no_price)
    assert quote.bid is quote.open is quote.reference is quote.change is None
    assert quote.reference_kind == "none"
    assert quote.ask == Decimal("64000.10")


def test_a_bid_above_the_ask_is_left_to_the_feed() -> None:
    quote = read(best_bid="64000.11")
    assert (str(quote.bid), str(quote.ask)) == ("64000.11", "64000.10")


def test_a_volume_of_zero_is_kept() -> None:
    quotes = [read(volume_24h="0"), read(volume_24h="-1")]
    assert [quote and quote.volume for quote in quotes] == [Decimal(0), None]


@pytest.mark.parametrize("frame", ["", "[]", "{", "[" * 100_000, b"\xff", b"\x00", "9" * 5000])
def test_a_frame_that_is_not_an_object_is_none(frame: str | bytes) -> None:
    assert read_frame(frame) is None


CHANGES = st.dictionaries(st.sampled_from(sorted(TICKER)), JSON)
PRICES = st.decimals(min_value=Decimal("1e-12"), max_value=Decimal("1e12"), places=12)


@given(CHANGES)
@example({"price": "1e999999999999"})
@example({"best_ask": [2**63, None, None]})
@example({"time": "0001-01-01T00:00:00+01:00"})
@example({"time": "9999-12-31T23:59:59-23:59"})
def test_no_ticker_leads_to_an_invalid_price(changes: dict[str, Any]) -> None:
    message = over_the_wire(TICKER | changes)
    quote = read_ticker(message, instrument("BTC-USD"), NOW)
    assert sane(quote)
    assert quote.time.tzinfo
    assert (quote.change_percent or 0) < 10**99


@given(CHANGES, JSON)
def test_every_message_of_a_socket_is_a_quote_or_an_error(
    changes: dict[str, Any], kind: Any
) -> None:
    connection = Connection(by_code([instrument("BTC-USD")]), Standing(Budget(Plan())))
    for message in (TICKER | changes, {"type": "error", "reason": kind}, {"type": kind}):
        try:
            assert all(map(sane, connection.take(over_the_wire(message))))
        except ProviderError:
            assert message["type"] == "error"


@given(st.dictionaries(st.sampled_from(["open", "high", "low", "last", "volume"]), JSON), JSON)
def test_no_statistics_lead_to_an_invalid_price(stats: Any, other: Any) -> None:
    for row in ({"stats_24hour": stats}, {"stats_24hour": other}, other):
        assert sane(read_stats(over_the_wire(row), instrument("BTC-USD"), NOW))


@given(st.lists(JSON | st.lists(JSON, min_size=6, max_size=6)))
def test_every_row_of_a_list_is_read_or_left_out(rows: list[Any]) -> None:
    came = over_the_wire(rows)
    candles = read_klines(came, COLUMNS, *EVER).values()
    assert all(candle.low > 0 and candle.close > 0 for candle in candles)
    assert all(each is None or each.code for each in map(read_product, came))
    assert all(isinstance(code, str) for code in read_status(came))


@given(PRICES, st.integers(1000, 10**15))
def test_every_digit_is_kept(price: Decimal, number: int) -> None:
    quote = read(price=f"{price:f}", best_ask=f"{price:f}", best_bid=None, high_24h=number)
    assert quote
    assert f"{quote.last:f}" == f"{quote.ask:f}" == f"{price:f}"
    assert quote.high == number


@given(st.integers(1, 3 * CHUNK), st.data())
@examples(50)
def test_every_product_stays_subscribed_until_it_is_refused(
    count: int, data: st.DataObject
) -> None:
    codes = [f"C{number}-USD" for number in range(count)]
    connection = Connection(by_code(map(instrument, codes)), Standing(Budget(Plan())))
    for bad in data.draw(st.lists(st.sampled_from(codes), max_size=5, unique=True)):
        connection.due.clear()
        connection.take({"type": "error", "reason": f"{bad} is delisted"})
        requested = [code for message in connection.due for code in message["product_ids"]]
        assert bad not in requested
        assert connection.refused
    assert {code for chunk in connection.chunks for code in chunk} == set(connection.groups)
    assert set(codes) == set(connection.groups) | set(connection.standing.unknown)
    assert count <= HANDFUL or not connection.groups or connection.pulse in connection.groups


# the stub


async def test_the_stub_ends_a_socket_without_a_subscription() -> None:
    async with Stub(patience=0.05) as stub, connect(stub.ws_url, proxy=None) as socket:
        async with asyncio.timeout(PATIENCE):
            await socket.wait_closed()


@pytest.mark.server
async def test_the_stub_is_a_process_that_can_be_steered() -> None:
    async with process("coinbase") as where, httpx.AsyncClient(base_url=f"http://{where}") as steer:
        provider = Coinbase(f"http://{where}", f"ws://{where}")
        async with streaming(provider, "BTC-USD") as stream:
            await anext(stream)
            await steer.get("/_tick?product=BTC-USD&price=64123.00")
            assert (await anext(stream)).last == Decimal("64123.00")
            assert (await steer.get("/_state")).json()["sockets"] == 1
            await steer.get("/_mode?to=drop")
            with pytest.raises(ProviderError):
                await anext(stream)
        assert (await steer.get("/_mode?to=nonsense")).status_code == 400
        await provider.aclose()
