from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from websockets.http11 import Response

from quotes.providers import Instrument, Plan, ProviderError, kraken
from quotes.providers.kit.batches import KEPT
from quotes.providers.kit.budgets import Budget
from quotes.providers.kit.klines import read_klines
from quotes.providers.kit.standing import Standing
from quotes.providers.kraken import (
    CHUNK,
    COLUMNS,
    COOL_DOWN,
    LOCKED_OUT,
    Kraken,
    read_pair,
    read_row,
    read_tick,
    take,
)
from quotes.quote import Quote
from quotes.quote.values import FLOAT_DIGITS, SECOND, loads
from tests.junk import EVER, JSON, over_the_wire, sane
from tests.servers import PATIENCE
from tests.streams import open_stream
from tests.stubs.exchange import process, raw, reply
from tests.stubs.kraken import Kraken as Stub

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
ROW = {  # of Ticker, as documented: [price, whole lots, lots]; [today, last 24 hours]
    "a": ["105944.30000", "1", "1.000"],
    "b": ["105944.20000", "1", "1.000"],
    "c": ["105899.40000", "0.00009443"],
    "v": ["0.78648221", "163.28908096"],
    "p": ["105960.64756", "105904.39279"],
    "t": [35, 3276],
    "l": ["105853.50000", "104711.00000"],
    "h": ["106112.00000", "106613.10000"],
    "o": "106021.60000",
}
TICK = """{"channel": "ticker", "type": "snapshot", "data": [{"symbol": "BTC/USD",
    "bid": 105944.20, "bid_qty": 2.5, "ask": 105944.30, "ask_qty": 3.2, "last": 105899.40,
    "volume": 163.28908096, "vwap": 105904.39279, "low": 104711.00, "high": 106613.10,
    "change": 250.00, "change_pct": 0.24, "timestamp": "2026-11-23T11:59:59.123456Z"}]}"""


def instrument(code: str, symbol: str = "", currency: str = "USD", name: str = "") -> Instrument:
    return Instrument(symbol=symbol or code, code=code, currency=currency, name=name)


BITCOIN = instrument("XXBTZUSD", symbol="BTC-USD")


def tick(**changes: Any) -> dict[str, Any]:
    (row,) = loads(TICK)["data"]
    return dict(row | changes)


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kraken, "PACE", 0.0)


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with Stub(heartbeat=0.02, now=NOON) as found:
        yield found


@asynccontextmanager
async def reading(stub: Stub, **options: Any) -> AsyncIterator[Kraken]:
    addresses = {"rest_url": stub.rest_url, "ws_url": stub.ws_url}
    provider = Kraken(**addresses | {"timeout": PATIENCE, "silence": PATIENCE} | options)
    try:
        yield provider
    finally:
        await provider.aclose()


@pytest.fixture
async def provider(stub: Stub) -> AsyncIterator[Kraken]:
    async with reading(stub) as found:
        yield found


def streaming(provider: Kraken, *codes: str) -> AbstractAsyncContextManager[AsyncIterator[Quote]]:
    return open_stream(provider, *map(instrument, codes))


async def quotes(provider: Kraken, *codes: str) -> list[Quote]:
    return await provider.quotes([instrument(code) for code in codes])


async def failure(provider: Kraken, *codes: str) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await quotes(provider, *codes)
    return caught.value


def answering(document: Any) -> type[Stub]:
    class Odd(Stub):
        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            return 200, document

    return Odd


# quotes


def test_a_row_becomes_a_quote_of_today_and_of_24_hours() -> None:
    quote = read_row(ROW, BITCOIN, NOW)
    assert quote == Quote(
        symbol="BTC-USD",
        provider="kraken",
        currency="USD",
        last=Decimal("105899.40000"),
        received_at=NOW,
        bid=Decimal("105944.20000"),
        ask=Decimal("105944.30000"),
        open=Decimal("106021.60000"),
        high=Decimal("106613.10000"),
        low=Decimal("104711.00000"),
        reference=Decimal("106021.60000"),
        reference_kind="utc_day",
        volume=Decimal("163.28908096"),
        volume_window="24h",
        session="always",
        delay=0,
    )
    assert (str(quote.last), str(quote.volume)) == ("105899.40000", "163.28908096")


@pytest.mark.parametrize("code", ["XXBTZUSD", "XBTUSD", "BTC/USD", "BTCUSD"])
async def test_a_code_may_be_any_name_of_a_pair(stub: Stub, provider: Kraken, code: str) -> None:
    (quote,) = await quotes(provider, code)
    assert quote.last == Decimal("64000.0")
    assert stub.requested == ["XXBTZUSD"]
    async with streaming(provider, code) as stream:
        assert (await anext(stream)).symbol == code


async def test_similar_names_are_kept_apart(provider: Kraken) -> None:
    seen = [(quote.symbol, quote.last) for quote in await quotes(provider, "AIOUSD", "AIOZUSD")]
    assert seen == [("AIOUSD", Decimal("0.11")), ("AIOZUSD", Decimal("0.55"))]


async def test_a_code_comes_before_the_other_names_of_another_pair() -> None:
    listed = {
        "OLDUSD": {"altname": "NEWUSD", "wsname": "OLD/USD"},
        "NEWUSD": {"altname": "NEW2USD", "wsname": "NEW2/USD"},
    }
    async with answering({"error": [], "result": listed})() as stub, reading(stub) as provider:
        groups = await provider.codes.find([instrument("NEWUSD")])
    assert [each.name for each in groups["NEWUSD"]] == ["NEW2/USD"]


async def test_the_currency_comes_from_the_list(provider: Kraken) -> None:
    seen = [quote.currency for quote in await quotes(provider, "XXBTZUSD", "XXBTZEUR", "XETHXXBT")]
    assert seen == ["USD", "EUR", "BTC"]


async def test_one_request_returns_50_pairs(stub: Stub, provider: Kraken) -> None:
    codes = [f"C{number}USD" for number in range(2 * CHUNK + 1)]
    stub.enlist(*codes)
    assert [quote.symbol for quote in await quotes(provider, *codes)] == codes
    assert [len(each.split(",")) for each in stub.requested] == [50, 50, 1]
    assert provider.standing.budget.spent_in_minute() == 4  # the list, too


async def test_two_symbols_may_share_a_pair(stub: Stub, provider: Kraken) -> None:
    instruments = [BITCOIN, instrument("XBTUSD", symbol="XBT-USD")]
    assert [quote.symbol for quote in await provider.quotes(instruments)] == ["BTC-USD", "XBT-USD"]
    assert stub.requested == ["XXBTZUSD"]
    async with aclosing(provider.stream(instruments)) as stream:  # type: ignore[type-var]
        assert [(await anext(stream)).symbol for _ in instruments] == ["BTC-USD", "XBT-USD"]


async def test_a_dead_market_has_no_price_but_is_known(provider: Kraken) -> None:
    seen = [(each.symbol, each.last > 0) for each in await quotes(provider, "DEADUSD", "SOLUSD")]
    assert seen == [("DEADUSD", False), ("SOLUSD", True)]
    assert provider.standing.unknown == {}


async def test_an_unknown_pair_is_dropped_before_the_request(stub: Stub, provider: Kraken) -> None:
    assert len(await quotes(provider, "NOPEUSD", "SOLUSD")) == 1
    assert provider.standing.unknown == {"NOPEUSD": "NOPEUSD is not in the list of instruments"}
    assert stub.requested == ["SOLUSD"]


async def test_a_listed_pair_that_is_unknown_does_not_affect_the_others(
    stub: Stub, provider: Kraken
) -> None:
    stub.delisted.add("SOLUSD")
    codes = ["XXBTZUSD", "XETHZUSD", "SOLUSD", "XDGUSD"]
    assert {quote.symbol for quote in await quotes(provider, *codes)} == {*codes} - {"SOLUSD"}
    assert provider.standing.unknown == {
        "SOLUSD": "kraken rejects the request: EQuery:Unknown asset pair"
    }
    before = len(stub.requested)
    assert len(await quotes(provider, *codes)) == 3
    assert stub.requested[before:] == ["XXBTZUSD,XETHZUSD,XDGUSD"]


async def test_a_pair_that_is_listed_again_is_requested_again(stub: Stub, provider: Kraken) -> None:
    stub.delisted.add("SOLUSD")
    assert await quotes(provider, "SOLUSD") == []
    stub.delisted.clear()
    assert await quotes(provider, "SOLUSD") == []
    provider.codes.good_until -= KEPT
    assert len(await quotes(provider, "SOLUSD")) == 1
    assert provider.standing.unknown == {}


async def test_a_poll_beside_the_stream_keeps_its_reference_and_time(
    stub: Stub, provider: Kraken
) -> None:
    instruments = [BITCOIN, instrument("SOLUSD"), instrument("DEADUSD")]
    async with open_stream(provider, BITCOIN, instrument("DEADUSD")) as stream:
        tick, _ = [await anext(stream) for _ in range(2)]
        bitcoin, solana, dead = await provider.quotes(instruments)
        assert (tick.reference, tick.reference_kind) == (Decimal("63000.0"), "rolling_24h")
        assert bitcoin == replace(tick, received_at=bitcoin.received_at)
        assert (str(solana.reference), solana.reference_kind) == ("152.00", "utc_day")
        assert (solana.open, solana.source_time) == (solana.reference, None)
        assert dead.last <= 0
        stub.pairs["XXBTZUSD"] |= {"last": "64000.7", "bid": "64000.6"}  # not yet streamed
        (bitcoin,) = await provider.quotes([BITCOIN])
        assert (str(bitcoin.last), str(bitcoin.bid)) == ("64000.7", "64000.6")
        assert (bitcoin.reference, bitcoin.reference_kind) == (tick.reference, "rolling_24h")
        assert (bitcoin.open, bitcoin.source_time) == (tick.open, None)
        await stub.tick("XXBTZUSD", "0")  # without a price, so the cache ignores it
        assert (await anext(stream)).last == 0
        stub.pairs["XXBTZUSD"] |= {"last": "64000.0"}
        (bitcoin,) = await provider.quotes([BITCOIN])
        assert (bitcoin.reference, bitcoin.source_time) == (tick.reference, tick.source_time)
    (bitcoin,) = await provider.quotes([BITCOIN])
    assert (str(bitcoin.reference), bitcoin.reference_kind) == ("63500.0", "utc_day")


async def test_a_stream_that_is_closed_late_does_not_empty_the_cache_of_the_next(
    provider: Kraken,
) -> None:
    async with open_stream(provider, BITCOIN) as old:
        await anext(old)
        async with open_stream(provider, BITCOIN) as new:
            await anext(new)
            await old.aclose()  # type: ignore[attr-defined]
            (quote,) = await provider.quotes([BITCOIN])
            assert quote.reference_kind == "rolling_24h"


# errors


@pytest.mark.parametrize(
    ("words", "retry_after", "refused"),
    [
        ("EAPI:Rate limit exceeded", COOL_DOWN, False),
        ("EGeneral:Too many requests", COOL_DOWN, False),
        ("EGeneral:Temporary lockout", LOCKED_OUT, False),
        ("EGeneral:Permission denied", None, True),
        ("EService:Unavailable", None, False),
        ("EService:Busy", None, False),
        ("EService:Market in cancel_only mode", None, False),
        ("EService:Market in post_only mode", None, False),
    ],
)
async def test_a_200_may_be_an_error(
    stub: Stub, provider: Kraken, words: str, retry_after: float | None, refused: bool
) -> None:
    stub.errors = [words]
    error = await failure(provider, "XXBTZUSD")
    assert str(error) == f"/0/public/AssetPairs answered with an error: {words}"
    assert (error.retry_after, error.refused) == (retry_after, refused)
    assert provider.standing.unknown == {}


@pytest.mark.parametrize(
    "words",
    ["Busy", "Unavailable", "Market in post_only mode", "Market in cancel_only mode"],
)
async def test_an_unavailable_service_drops_no_pair_and_is_requested_again(
    stub: Stub, provider: Kraken, words: str
) -> None:
    await quotes(provider, "XXBTZUSD")
    stub.errors = [f"EService:{words}"]
    assert words in str(await failure(provider, "XXBTZUSD", "SOLUSD"))
    assert stub.requests["/0/public/Ticker"] == 2  # without halving the batch
    stub.errors = []
    assert len(await quotes(provider, "XXBTZUSD", "SOLUSD")) == 2
    assert provider.standing.unknown == {}


@pytest.mark.parametrize(("retry_after", "seconds"), [("", COOL_DOWN), ("7", 7)])
async def test_too_many_requests_cause_a_back_off(retry_after: str, seconds: float) -> None:
    class Guarded(Stub):
        def _fault(self, upgrade: bool) -> Response | None:
            return reply(429, {}, Retry_After=retry_after) if self.mode == "rate_limited" else None

    async with Guarded() as stub, reading(stub) as provider:
        async with streaming(provider, "XXBTZUSD") as stream:
            await anext(stream)
        stub.mode = "rate_limited"
        assert (await failure(provider, "XXBTZUSD")).retry_after == seconds
        async with streaming(provider, "XXBTZUSD") as stream:
            with pytest.raises(ProviderError) as caught:
                await anext(stream)
        assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "a JSON list, not a JSON object"),
        ({"error": []}, "null, not a JSON object"),
        ({"error": "EService:Busy", "result": []}, "a JSON list, not a JSON object"),
        ({"error": [7, None], "result": {}}, "an error: 7, None"),
        ({"error": [], "result": {}}, "the list of the source is empty"),
    ],
)
async def test_an_answer_in_another_form_is_an_error(document: Any, words: str) -> None:
    async with answering(document)() as stub, reading(stub) as provider:
        assert words in str(await failure(provider, "XXBTZUSD"))


async def test_a_warning_is_not_an_error() -> None:
    listed = {"XXBTZUSD": {"wsname": "XBT/USD", "altname": "XBTUSD"} | ROW}
    document = {"error": ["WGeneral:Danger"], "result": listed}
    async with answering(document)() as stub, reading(stub) as provider:
        assert (await quotes(provider, "XBTUSD"))[0].last == Decimal("105899.40000")


async def test_the_page_of_a_proxy_is_an_error() -> None:
    class Proxied(Stub):
        def _fault(self, upgrade: bool) -> Response | None:
            return raw(520, b"<html>Web server is returning an unknown error</html>", "text/html")

    async with Proxied() as stub, reading(stub) as provider:
        error = await failure(provider, "XXBTZUSD")
    assert "answered 520" in str(error)
    assert not error.refused


# instruments and candles


async def test_only_traded_symbols_are_instruments(stub: Stub, provider: Kraken) -> None:
    listed = {each.code: each for each in await provider.instruments()}
    assert set(listed) == set(stub.pairs) - {"DEADUSD"}
    assert listed["XXBTZEUR"].currency == "EUR"
    assert listed["XXBTZUSD"].tick_size == Decimal("0.1")
    names = [listed[code].name for code in ("XXBTZUSD", "XETHXXBT", "XDGUSD")]
    assert names == ["BTC/USD", "ETH/BTC", "DOGE/USD"]


@pytest.mark.parametrize("wsname", [None, "", "XBT", "/USD", "XBT/", 7])
def test_a_pair_without_a_name_in_the_stream_is_left_out(wsname: Any) -> None:
    assert read_pair("XXBTZUSD.d", {"wsname": wsname, "status": "online"}) is None


async def test_candles_are_of_the_requested_period(stub: Stub, provider: Kraken) -> None:
    start = NOON - timedelta(minutes=30, seconds=-1)
    candles = await provider.candles(BITCOIN, 300, start, NOON - timedelta(minutes=10))
    assert [candle.start.minute for candle in candles] == [35, 40, 45]
    assert [str(candles[0].open), str(candles[0].close)] == ["63999.0", "64000.0"]
    assert stub.requests == {"/0/public/OHLC": 1}


async def test_no_candle_is_older_than_the_last_720(provider: Kraken) -> None:
    far = datetime(2020, 1, 1, tzinfo=UTC)
    candles = await provider.candles(BITCOIN, 60, far, datetime.max.replace(tzinfo=UTC))
    assert len(candles) == 720
    assert (candles[0].start, candles[-1].start) == (NOON - timedelta(minutes=719), NOON)


async def test_an_empty_period_has_no_candles(stub: Stub, provider: Kraken) -> None:
    assert await provider.candles(BITCOIN, 60, NOON, NOON) == []
    assert stub.requests.total() == 0


async def test_steps_that_it_lacks_are_refused(provider: Kraken) -> None:
    with pytest.raises(ProviderError, match="kraken has no candles of 42 s, must be one of: 60,"):
        await provider.candles(BITCOIN, 42, NOON, NOON)


@pytest.mark.parametrize("code", ["NOPEUSD", "../Ticker", "A B?c=d#e/f&pair=XXBTZUSD"])
async def test_an_unknown_pair_has_no_candles(provider: Kraken, code: str) -> None:
    assert await provider.candles(instrument(code), 60, NOON - timedelta(hours=1), NOON) == []
    assert provider.standing.unknown == {
        code: "kraken rejects the request: EQuery:Unknown asset pair"
    }


def test_no_digit_of_a_candle_is_lost() -> None:
    rows = [[1591475580, "0.02499", "0.02510", "0.02490", "0.02500", "0.02499", "1.50000000", 3]]
    start = datetime(2020, 6, 6, 20, 33, tzinfo=UTC)
    [candle] = read_klines(rows, COLUMNS, start, start + SECOND).values()
    assert (str(candle.open), str(candle.close)) == ("0.02499", "0.02500")
    assert (str(candle.low), str(candle.high)) == ("0.02490", "0.02510")
    assert str(candle.volume) == "1.50000000"  # not the average price, the column before
    assert candle.start == start


# stream


def test_a_tick_becomes_a_quote_of_24_hours() -> None:
    quote = read_tick(tick(), BITCOIN, NOW)
    assert quote == Quote(
        symbol="BTC-USD",
        provider="kraken",
        currency="USD",
        last=Decimal("105899.40"),
        received_at=NOW,
        source_time=datetime(2026, 11, 23, 11, 59, 59, 123456, tzinfo=UTC),
        bid=Decimal("105944.20"),
        ask=Decimal("105944.30"),
        high=Decimal("106613.10"),
        low=Decimal("104711.00"),
        reference=Decimal("105649.40"),
        reference_kind="rolling_24h",
        volume=Decimal("163.28908096"),
        volume_window="24h",
        session="always",
        delay=0,
    )
    assert [str(quote.bid), str(quote.low)] == ["105944.20", "104711.00"]
    assert quote.open is None  # the stream states none
    assert quote.change == Decimal("250.00")


def test_a_tick_may_have_no_time_and_no_change() -> None:
    quote = read_tick(tick(timestamp=None, change=None), BITCOIN, NOW)
    assert quote
    assert quote.source_time is quote.open is quote.reference is None
    assert (quote.reference_kind, quote.time) == ("none", NOW)


def test_a_price_that_did_not_change_has_a_reference() -> None:
    quote = read_tick(tick(change=0), BITCOIN, NOW)
    assert quote
    assert quote.reference == quote.last


async def test_a_stream_begins_with_a_quote_of_each(stub: Stub, provider: Kraken) -> None:
    async with streaming(provider, *stub.pairs) as stream:
        came = [await anext(stream) for _ in stub.pairs]
    assert [quote.symbol for quote in came] == list(stub.pairs)
    assert [quote.symbol for quote in came if quote.last <= 0] == ["DEADUSD"]


async def test_a_tick_has_the_values_that_were_sent(stub: Stub, provider: Kraken) -> None:
    async with streaming(provider, "XDGUSD") as stream:
        await anext(stream)
        await stub.tick("XDGUSD", "0.1235")
        quote = await anext(stream)
        await stub.send_all(TICK.replace("BTC", "DOGE"))
        exact = await anext(stream)
    assert (quote.last, quote.ask) == (Decimal("0.1235"), Decimal("0.1235001"))
    assert quote.reference == Decimal("0.12")
    assert quote.source_time
    assert (str(exact.last), str(exact.low)) == ("105899.40", "104711.00")


async def test_a_subscription_has_the_documented_form(stub: Stub, provider: Kraken) -> None:
    async with streaming(provider, "XXBTZUSD", "XDGUSD") as stream:
        await anext(stream)
    wanted = {"channel": "ticker", "event_trigger": "trades", "snapshot": True}
    symbols = {"symbol": ["BTC/USD", "DOGE/USD"]}
    assert stub.subscriptions == [{"method": "subscribe", "params": wanted | symbols}]


async def test_many_pairs_come_in_chunks(stub: Stub, provider: Kraken) -> None:
    codes = [f"C{number}USD" for number in range(2 * CHUNK + 1)]
    stub.enlist(*codes)
    async with streaming(provider, *codes) as stream:
        came = [(await anext(stream)).symbol for _ in codes]
    assert came == codes
    assert [len(each["params"]["symbol"]) for each in stub.subscriptions] == [50, 50, 1]


async def test_a_pair_that_the_stream_refuses_does_not_affect_the_others(
    stub: Stub, provider: Kraken
) -> None:
    stub.delisted.add("SOLUSD")
    async with streaming(provider, "SOLUSD", "XXBTZUSD") as stream:
        assert (await anext(stream)).symbol == "XXBTZUSD"
    assert provider.standing.unknown == {"SOLUSD": "Currency pair not supported SOL/USD"}
    assert stub.connects == 1
    stub.delisted.clear()
    async with streaming(provider, "SOLUSD") as stream:
        assert (await anext(stream)).symbol == "SOLUSD"
    assert provider.standing.unknown == {}


@pytest.mark.parametrize("code", ["NOPEUSD", "SOLUSD"])
async def test_a_stream_of_only_refused_pairs_is_an_error(
    stub: Stub, provider: Kraken, code: str
) -> None:
    stub.delisted.add("SOLUSD")
    async with streaming(provider, code) as stream:
        with pytest.raises(ProviderError, match="kraken knows none of the codes"):
            await anext(stream)
    assert set(provider.standing.unknown) == {code}


@pytest.mark.parametrize(
    "message",
    [{"Error": "Exceeded msg rate"}, {"success": False, "error": "Exceeded msg rate"}],
)
async def test_an_error_without_a_pair_ends_the_stream(
    stub: Stub, provider: Kraken, message: dict[str, Any]
) -> None:
    async with streaming(provider, "XXBTZUSD") as stream:
        await anext(stream)
        await stub.send_all(message)
        words = "the stream answered with an error: Exceeded m"
        with pytest.raises(ProviderError, match=words) as caught:
            await anext(stream)
    assert caught.value.retry_after == COOL_DOWN


async def test_maintenance_ends_the_stream_and_post_only_does_not(
    stub: Stub, provider: Kraken
) -> None:
    stub.system = "post_only"
    async with streaming(provider, "XXBTZUSD") as stream:
        await anext(stream)
    stub.system = "maintenance"
    async with streaming(provider, "XXBTZUSD") as stream:
        with pytest.raises(ProviderError, match="kraken is closed for maintenance"):
            await anext(stream)


async def test_silence_ends_the_stream_and_heartbeats_do_not(stub: Stub) -> None:
    async with reading(stub, silence=0.5) as provider, streaming(provider, "DEADUSD") as stream:
        assert (await anext(stream)).last == 0
        waiting = asyncio.create_task(anext(stream))  # type: ignore[arg-type]
        done, _ = await asyncio.wait([waiting], timeout=0.8)
        assert not done
        stub.mode = "silent"
        with pytest.raises(ProviderError, match=r"no message for 0\.5 s"):
            await waiting


async def test_messages_of_other_kinds_are_skipped(stub: Stub, provider: Kraken) -> None:
    async with streaming(provider, "XXBTZUSD") as stream:
        await anext(stream)
        for odd in ({}, {"method": "pong"}, {"channel": ["ticker"]}, {"channel": "ticker"}):
            await stub.send_all(odd)
        for odd in ("data", [7, None, [], {}, {"symbol": []}], [tick(symbol="ETH/USD")]):
            await stub.send_all(
                json.loads(json.dumps({"channel": "ticker", "data": odd}, default=str))
            )
        await stub.tick("XXBTZUSD", "64001.0")
        assert (await anext(stream)).last == Decimal("64001.0")


async def test_the_list_is_not_read_at_every_connection(stub: Stub, provider: Kraken) -> None:
    for _ in range(3):
        async with streaming(provider, "XXBTZUSD") as stream:
            await anext(stream)
    assert stub.requests == {"/0/public/AssetPairs": 1}


@pytest.mark.parametrize(
    ("rest_url", "ws_url"),
    [("wss://example.com", "wss://example.com"), ("https://example.com", "https://example.com")],
)
def test_an_address_of_the_wrong_kind_is_refused(rest_url: str, ws_url: str) -> None:
    with pytest.raises(ValueError, match="Unexpected address"):
        Kraken(rest_url, ws_url)


# any input


@pytest.mark.parametrize("no_price", ["0.000000000", "0", "", "NaN", "-1", None, [], {}, True])
def test_a_field_that_is_not_a_price_is_none_and_as_last_not_above_0(no_price: Any) -> None:
    quote = read_row(ROW | {"c": [no_price, "0.00000"]}, BITCOIN, NOW)
    assert quote
    assert quote.last <= 0
    assert read_tick(tick(last=no_price), BITCOIN, NOW).last <= 0
    row = read_row(ROW | {"b": [no_price], "o": no_price}, BITCOIN, NOW)
    assert row
    assert row.bid is row.open is row.reference is None
    assert (row.ask, row.reference_kind) == (Decimal("105944.30000"), "none")


def test_a_bid_above_the_ask_is_left_to_the_feed() -> None:
    quotes = [
        read_row(ROW | {"b": ["105944.31"]}, BITCOIN, NOW),
        read_tick(tick(bid=Decimal("105944.31")), BITCOIN, NOW),
    ]
    assert all(quote and quote.bid and quote.ask and quote.bid > quote.ask for quote in quotes)


PRICES = st.decimals(min_value=Decimal("1e-12"), max_value=Decimal("1e12"), places=12)


@given(st.dictionaries(st.sampled_from(sorted(ROW)), JSON | st.lists(JSON)), JSON)
@example({"c": ["1e99999", "1"]}, None)
def test_no_row_leads_to_an_invalid_price(changes: dict[str, Any], other: Any) -> None:
    for row in (ROW | changes, other):
        assert sane(read_row(over_the_wire(row), BITCOIN, NOW))


@given(st.dictionaries(st.sampled_from(sorted(tick())), JSON), JSON)
@example({"last": 10**30, "change": -(10**30)}, None)
@example({"timestamp": "9999-12-31T23:59:59-23:59"}, None)
def test_no_tick_leads_to_an_invalid_price(changes: dict[str, Any], other: Any) -> None:
    quote = read_tick(over_the_wire(tick() | changes), BITCOIN, NOW)
    assert sane(quote)
    assert quote is None or quote.time.tzinfo


@given(st.dictionaries(st.sampled_from(["channel", "data", "error", "symbol", "success"]), JSON))
@example({"channel": "status", "data": [{"system": "maintenance"}]})
def test_every_message_of_a_socket_is_a_quote_or_an_error(message: dict[str, Any]) -> None:
    for changes in ({}, {"channel": "ticker"}, {"channel": "status"}):
        try:
            sent = over_the_wire(message | changes)
            assert all(map(sane, take(sent, {"BTC/USD": [BITCOIN]}, Standing(Budget(Plan())))))
        except ProviderError:
            assert message.keys() & {"error", "data"}


@given(st.lists(JSON | st.lists(JSON, min_size=7, max_size=8)), JSON)
def test_every_row_of_a_list_is_read_or_left_out(rows: list[Any], wsname: Any) -> None:
    candles = read_klines(over_the_wire(rows), COLUMNS, *EVER).values()
    assert all(candle.low > 0 and candle.close > 0 for candle in candles)
    found = read_pair("A", over_the_wire({"wsname": wsname, "tick_size": wsname}))
    assert found is None or found.currency


def has_noise(number: Decimal) -> bool:
    """Return whether a number in JSON looks like a binary float, whose noise is removed."""
    return len(number.as_tuple().digits) > FLOAT_DIGITS and loads(f"{number:f}") != number


@given(PRICES, PRICES)
def test_every_digit_is_kept(price: Decimal, opened: Decimal) -> None:
    change = price - opened
    assume(not any(map(has_noise, (price, change))))
    words = f'{{"last": {price:f}, "ask": {price:f}, "change": {change:f}}}'
    quote = read_tick(loads(words), BITCOIN, NOW)
    assert quote
    assert f"{quote.last:f}" == f"{quote.ask:f}" == f"{price:f}"
    assert quote.reference == opened
    row = read_row({"c": [f"{price:f}"], "o": f"{opened:f}"}, BITCOIN, NOW)
    assert row
    assert (f"{row.last:f}", f"{row.reference:f}") == (f"{price:f}", f"{opened:f}")


# the stub


@pytest.mark.server
async def test_the_stub_is_a_process_that_can_be_steered() -> None:
    async with process("kraken") as where, httpx.AsyncClient(base_url=f"http://{where}") as steer:
        provider = Kraken(f"http://{where}", f"ws://{where}")
        async with streaming(provider, "XXBTZUSD") as stream:
            await anext(stream)
            await steer.get("/_tick?product=XXBTZUSD&price=64123.5")
            assert (await anext(stream)).last == Decimal("64123.5")
            await steer.get("/_mode?to=drop")
            with pytest.raises(ProviderError):
                await anext(stream)
        await provider.aclose()
