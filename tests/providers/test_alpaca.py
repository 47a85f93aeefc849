from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.http11 import Response

from quotes.feed.gate import Gate
from quotes.providers import Instrument, ProviderError, make_provider
from quotes.providers.alpaca import (
    BATCH,
    COOL_DOWN,
    FEEDS,
    Alpaca,
    read_asset,
    read_bars,
)
from quotes.providers.alpaca_stream import CHUNK, Connection, Snapshot
from quotes.providers.kit.faults import QUARANTINE
from quotes.quote import Quote
from quotes.quote.values import loads
from tests.examples import examples
from tests.junk import JSON, over_the_wire, sane
from tests.servers import PATIENCE
from tests.streams import Reader, read_stream
from tests.stubs.alpaca import KEY, SECRET, midnight, now
from tests.stubs.alpaca import Alpaca as Stub
from tests.stubs.exchange import process, reply

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
LOGIN = {"key": KEY, "secret": SECRET}
SNAPSHOT = """{
    "latestTrade": {"t": "2022-03-18T14:33:58.448432206Z", "p": 161.1998, "s": 200, "c": ["@"]},
    "latestQuote": {"t": "2022-03-18T14:33:58.547942Z", "ap": 161.2, "as": 2, "bp": 161.190},
    "minuteBar": {"t": "2022-03-18T14:32:00Z", "o": 161.595, "h": 161.63, "l": 161.31, "c": 161.36},
    "dailyBar": {"t": "2022-03-18T04:00:00Z", "o": 160.59, "h": 161.92, "l": 159.76, "c": 161.365,
                 "v": 31749988},
    "prevDailyBar": {"t": "2022-03-17T04:00:00Z", "o": 158.6, "h": 161, "l": 157.63, "c": 160.62}
}"""


def instrument(code: str, symbol: str = "") -> Instrument:
    return Instrument(symbol=symbol or code, code=code)


def snapshot(**changes: Any) -> Snapshot:
    found = Snapshot()
    found.update(loads(SNAPSHOT) | changes)
    return found


def read(known: Snapshot, code: str = "AAPL", delay: int = 0) -> Quote:
    quote = known.quote(instrument(code), delay, NOW)
    assert quote
    return quote


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with Stub() as found:
        yield found


@asynccontextmanager
async def reading(stub: Stub, **options: Any) -> AsyncIterator[Alpaca]:
    urls = {"rest_url": stub.rest_url, "ws_url": stub.ws_url, "assets_url": stub.rest_url}
    keys = {"api_key": KEY, "api_secret": SECRET}
    provider = Alpaca(**urls | keys | {"timeout": PATIENCE, "silence": PATIENCE} | options)
    provider.poll_interval = 60.0
    try:
        yield provider
    finally:
        await provider.aclose()


@pytest.fixture
async def provider(stub: Stub) -> AsyncIterator[Alpaca]:
    async with reading(stub) as found:
        yield found


def streaming(provider: Alpaca, *codes: str) -> AbstractAsyncContextManager[Reader]:
    return read_stream(provider, *map(instrument, codes))


@asynccontextmanager
async def listening(stub: Stub, provider: Alpaca, *codes: str) -> AsyncIterator[Reader]:
    """Read a stream, from when all codes are subscribed and their first quotes were read."""
    wanted = set(codes)
    async with streaming(provider, *codes) as stream:
        for _ in codes:
            await anext(stream)
        await stub.until(lambda: subscribed(stub) >= wanted)
        yield stream


def subscribed(stub: Stub) -> set[str]:
    return {code for wanted in stub.listeners.values() for code in wanted["trades"]}


async def failure(provider: Alpaca, *codes: str) -> ProviderError:
    async with streaming(provider, *codes) as stream:
        with pytest.raises(ProviderError) as caught:
            [quote async for quote in stream]
    return caught.value


def batches(stub: Stub) -> list[list[str]]:
    return [query["symbols"].split(",") for query in stub.queries if "symbols" in query]


# snapshots


def test_a_snapshot_becomes_a_quote() -> None:
    assert read(snapshot()) == Quote(
        symbol="AAPL",
        provider="alpaca",
        currency="USD",
        last=Decimal("161.1998"),
        received_at=NOW,
        source_time=datetime(2022, 3, 18, 14, 33, 58, 448432, tzinfo=UTC),
        bid=Decimal("161.190"),
        ask=Decimal("161.2"),
        open=Decimal("160.59"),
        high=Decimal("161.92"),
        low=Decimal("159.76"),
        reference=Decimal("160.62"),
        reference_kind="prev_close",
        volume=Decimal(31749988),
        volume_window="session",
        delay=0,
    )


def test_no_digit_is_lost() -> None:
    quote = read(snapshot())
    assert (str(quote.last), str(quote.bid)) == ("161.1998", "161.190")
    trade = loads('{"t": "2022-03-18T14:33:59Z", "p": 64000.00000000000000000010}')
    assert str(read(snapshot(latestTrade=trade)).last) == "64000.00000000000000000010"


def test_crypto_never_closes_and_its_code_has_the_currency() -> None:
    quote = read(snapshot(), "BTC/USDT")
    assert (quote.currency, quote.session) == ("USDT", "always")


@pytest.mark.parametrize("nothing", [None, {}, [], "", 0])
def test_any_part_of_a_snapshot_may_be_missing(nothing: Any) -> None:
    without_day = read(snapshot(dailyBar=nothing))
    assert without_day.open is without_day.high is without_day.low is without_day.volume is None
    assert without_day.reference == Decimal("160.62")
    without_day_before = read(snapshot(prevDailyBar=nothing))
    assert (without_day_before.reference, without_day_before.reference_kind) == (None, "none")
    without_quote = read(snapshot(latestQuote=nothing))
    assert without_quote.bid is without_quote.ask is None
    assert without_quote.last == Decimal("161.1998")
    assert read(snapshot(latestTrade=nothing)).last == 0


def test_until_a_day_has_a_bar_the_newest_bar_is_the_previous_close() -> None:
    trade = {"t": "2022-03-21T12:05:00Z", "p": Decimal("163.5")}  # on Monday, before the bell
    quote = read(snapshot(latestTrade=trade))
    assert quote.reference == Decimal("161.365")
    assert quote.change == Decimal("2.135")
    assert quote.open is quote.high is quote.low is quote.volume is None


@pytest.mark.parametrize(
    ("trade", "bar"),
    [
        ("2022-03-18T23:59:59Z", "2022-03-18T04:00:00Z"),  # the end of a day in summer
        ("2022-01-14T00:59:59Z", "2022-01-13T05:00:00Z"),  # the same in winter
        ("2022-03-14T08:00:00Z", "2022-03-14T04:00:00Z"),  # the first trade in summer time
    ],
)
def test_a_day_is_a_day_in_new_york(trade: str, bar: str) -> None:
    found = snapshot(latestTrade={"t": trade, "p": 1}, dailyBar={"t": bar, "o": 2, "h": 3, "l": 1})
    assert read(found).open == 2


@pytest.mark.parametrize(
    "no_price", [0, "0", "", "NaN", -1, None, [], {}, True, "Infinity", "1e99999"]
)
def test_a_field_that_is_not_a_price_is_none_and_as_last_not_above_0(no_price: Any) -> None:
    quote = read(snapshot(latestQuote={"t": "2022-03-18T14:33:58Z", "bp": no_price, "ap": 161.5}))
    assert quote.bid is None
    trade = {"t": "2022-03-18T14:33:58Z", "p": no_price}
    assert read(snapshot(latestTrade=trade)).last <= 0


def test_a_bid_above_the_ask_is_left_to_the_feed() -> None:
    quote = read(snapshot(latestQuote={"bp": 162, "ap": 161, "t": "2022-03-18T14:33:58Z"}))
    assert (quote.bid, quote.ask) == (162, 161)


def test_the_last_is_never_outside_of_the_days_range() -> None:
    trade = {"t": "2022-03-18T14:34:00Z", "p": 170}
    assert read(snapshot(latestTrade=trade)).high == 170
    assert read(snapshot(latestTrade=trade | {"p": 150})).low == 150


# quotes


async def test_stocks_and_crypto_come_from_two_addresses(stub: Stub, provider: Alpaca) -> None:
    quotes = await provider.quotes([instrument("BTC/USD", "BTC-USD"), instrument("AAPL")])
    assert [(quote.symbol, str(quote.last)) for quote in quotes] == [
        ("BTC-USD", "64000"),
        ("AAPL", "161.25"),
    ]
    assert stub.requests == {"/v2/stocks/snapshots": 1, "/v1beta3/crypto/us/snapshots": 1}
    assert stub.queries == [{"symbols": "AAPL", "feed": "iex"}, {"symbols": "BTC/USD"}]


async def test_two_symbols_may_share_a_code(provider: Alpaca) -> None:
    quotes = await provider.quotes([instrument("AAPL"), instrument("AAPL", "APPLE")])
    assert [quote.symbol for quote in quotes] == ["AAPL", "APPLE"]


async def test_many_symbols_come_in_batches(stub: Stub, provider: Alpaca) -> None:
    codes = [f"S{number}" for number in range(2 * BATCH + 1)]
    stub.enlist(*codes)
    assert len(await provider.quotes([instrument(code) for code in codes])) == len(codes)
    assert [len(batch) for batch in batches(stub)] == [BATCH, BATCH, 1]
    assert provider.standing.budget.spent_in_minute() == 3


async def test_a_batch_that_fails_does_not_stop_the_others() -> None:
    class Partly(Stub):
        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            failed = "BAD" in query["symbols"].split(",")
            return (500, {}) if failed else super().rest(path, query)

    codes = ["BAD", *(f"S{number}" for number in range(2 * BATCH - 1))]
    async with Partly() as stub, reading(stub) as provider:
        stub.enlist(*codes)
        for resting in (set(), set(codes[:BATCH])):
            quotes = await provider.quotes([instrument(code) for code in codes])
            assert {quote.symbol for quote in quotes} == set(codes[BATCH:])
            assert set(provider.standing.resting) == resting


async def test_a_bad_symbol_is_dropped_and_set_aside(stub: Stub) -> None:
    now = 0.0
    async with reading(stub, clock=lambda: now) as provider:
        instruments = [instrument(code) for code in ("BRK-B", "AAPL", "A B", "MSFT")]
        for _ in range(2):
            quotes = await provider.quotes(instruments)
            assert [quote.symbol for quote in quotes] == ["AAPL", "MSFT"]
        assert provider.standing.unknown == {
            "BRK-B": "BRK-B is not a valid symbol",
            "A B": "A B is not a valid symbol",
        }
        good = ["AAPL", "MSFT"]
        assert batches(stub) == [
            ["BRK-B", "AAPL", "A B", "MSFT"],
            ["AAPL", "A B", "MSFT"],
            good,
            good,
        ]
        now = QUARANTINE
        await provider.quotes(instruments)
        assert batches(stub)[4] == ["BRK-B", "AAPL", "A B", "MSFT"]


async def test_a_code_that_reads_as_several_is_not_requested(stub: Stub, provider: Alpaca) -> None:
    quotes = await provider.quotes([instrument("AAPL, MSFT"), instrument("AAPL")])
    assert [quote.symbol for quote in quotes] == ["AAPL"]
    assert provider.standing.unknown == {"AAPL, MSFT": "AAPL, MSFT is not a valid symbol"}
    assert batches(stub) == [["AAPL"]]


async def test_only_the_market_with_the_bad_symbol_is_requested_again(
    stub: Stub, provider: Alpaca
) -> None:
    quotes = await provider.quotes([instrument("/USD"), instrument("AAPL"), instrument("BTC/USD")])
    assert [quote.symbol for quote in quotes] == ["AAPL", "BTC/USD"]
    assert batches(stub) == [["AAPL"], ["/USD", "BTC/USD"], ["BTC/USD"]]


async def test_a_symbol_without_a_snapshot_is_unknown_until_it_has_one(
    stub: Stub, provider: Alpaca
) -> None:
    instruments = [instrument("NEW"), instrument("AAPL")]
    assert [quote.symbol for quote in await provider.quotes(instruments)] == ["AAPL"]
    assert provider.standing.unknown == {"NEW": "NEW has no snapshot"}
    stub.enlist("NEW")
    assert len(await provider.quotes(instruments)) == 2
    assert provider.standing.unknown == {}


async def test_a_symbol_without_a_trade_is_not_unknown(stub: Stub, provider: Alpaca) -> None:
    stub.snapshots["MSFT"]["latestTrade"] = None
    quotes = await provider.quotes([instrument("MSFT"), instrument("AAPL")])
    assert [(quote.symbol, quote.last > 0) for quote in quotes] == [("MSFT", False), ("AAPL", True)]
    assert provider.standing.unknown == {}


@pytest.mark.parametrize("rows", [{}, {"AAPL": None}])
async def test_an_empty_answer_drops_no_code(rows: dict[str, None]) -> None:
    async with answering(200, rows) as provider:
        assert await provider.quotes([instrument("AAPL")]) == []
        assert provider.standing.unknown == {}


@asynccontextmanager
async def answering(status: int, document: Any, **options: Any) -> AsyncIterator[Alpaca]:
    """Read a stub that gives the same answer to all requests."""

    class Odd(Stub):
        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            return status, document

    async with Odd() as stub, reading(stub, **options) as provider:
        yield provider


SIP = "subscription does not permit querying recent SIP data"


@pytest.mark.parametrize(
    ("status", "document", "refused", "words"),
    [
        (400, {"message": "code=400, message=invalid symbol: OTHER"}, False, "400 bad request: co"),
        (400, {"message": "code=400, message=invalid feed: iex"}, False, "invalid feed: iex"),
        (401, {"code": 40110000, "message": "request is not authorized."}, True, "not authorized"),
        (403, {"message": "forbidden."}, True, "403 forbidden: forbidden."),
        (403, {"message": SIP}, True, SIP),
        (422, ["odd"], False, "answered 422"),
        (200, {"message": "too many requests."}, False, "snapshots answered with an error: too ma"),
        (200, {"code": 40110000, "message": "request is not authorized."}, True, "with an error"),
        (200, {"code": 40310000, "message": "no"}, True, "answered with an error: no"),
        (200, [], False, "a JSON list, not a JSON object"),
        (200, None, False, "null, not a JSON object"),
    ],
)
async def test_an_error_has_the_words_of_the_source(
    status: int, document: Any, refused: bool, words: str
) -> None:
    async with answering(status, document) as provider:
        with pytest.raises(ProviderError, match=re.escape(words)) as caught:
            await provider.quotes([instrument("AAPL")])
        assert caught.value.refused is refused
        assert provider.standing.unknown == {}


@pytest.mark.parametrize(("retry_after", "seconds"), [({}, COOL_DOWN), ({"Retry_After": "7"}, 7)])
async def test_too_many_requests_cause_a_back_off(
    retry_after: dict[str, str], seconds: float
) -> None:
    class Limited(Stub):
        def _fault(self, upgrade: bool) -> Response | None:
            seen = {"Limit": "200", "Remaining": "0", "Reset": "1790000000"}
            headers = {f"X_RateLimit_{name}": value for name, value in seen.items()}
            return reply(*self.limited, **headers | retry_after)

    async with Limited() as stub, reading(stub) as provider:
        with pytest.raises(ProviderError, match=r"429 .*: too many requests") as caught:
            await provider.quotes([instrument("AAPL")])
    assert (caught.value.retry_after, caught.value.refused) == (seconds, False)


async def test_a_200_may_mean_too_many_requests() -> None:
    async with answering(200, {"message": "too many requests."}) as provider:
        with pytest.raises(ProviderError) as caught:
            await provider.quotes([instrument("AAPL")])
    assert caught.value.retry_after == COOL_DOWN


@pytest.mark.parametrize("within", [None, {}, {"snapshots": None}])
async def test_an_answer_may_lack_the_key_of_crypto(within: Any) -> None:
    async with answering(200, within or {}) as provider:
        assert await provider.quotes([instrument("BTC/USD")]) == []


async def test_snapshots_in_another_form_are_an_error() -> None:
    async with answering(200, {"snapshots": ["BTC/USD"]}) as provider:
        with pytest.raises(ProviderError, match="a JSON list, not a JSON object"):
            await provider.quotes([instrument("BTC/USD")])


# keys and feeds


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "A key is missing, set ALPACA_API_KEY"),
        ({"api_secret": "b"}, "set ALPACA_API_KEY"),
        ({"api_key": "a"}, "A key is missing, set ALPACA_API_SECRET"),
        ({"api_key": " ", "api_secret": "b"}, "set ALPACA_API_KEY"),
        ({"api_key": "a", "api_secret": "ключ"}, "ALPACA_API_SECRET is not a valid key"),
        ({"api_key": "a\nb", "api_secret": "b"}, "ALPACA_API_KEY is not a valid key"),
        ({"feed": "nyse"}, "Unexpected feed 'nyse', must be one of: iex, sip, delayed_sip"),
    ],
)
def test_a_missing_option_is_an_error_at_the_start(options: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        make_provider("alpaca", options)
    assert "ключ" not in str(caught.value)


async def test_a_key_from_a_file_may_end_with_a_line(stub: Stub) -> None:
    async with reading(stub, api_key=f"{KEY}\n", api_secret=f" {SECRET}\r\n") as provider:
        assert await provider.quotes([instrument("AAPL")])


@pytest.mark.parametrize(("feed", "delay"), [("iex", 0), ("sip", 0), ("delayed_sip", 900)])
async def test_a_feed_is_requested_by_name_and_has_its_delay(
    stub: Stub, feed: str, delay: int
) -> None:
    async with reading(stub, feed=feed) as provider:
        stock, coin = await provider.quotes([instrument("AAPL"), instrument("BTC/USD")])
        assert (stock.delay, coin.delay) == (delay, 0)
        assert stub.queries[0]["feed"] == feed
        async with listening(stub, provider, "AAPL"):
            paths = [each.request.path for each in stub.listeners if each.request]
    assert paths == [f"/v2/{feed}"]


def test_the_attribution_is_true_for_every_feed() -> None:
    assert set(FEEDS) == {"iex", "sip", "delayed_sip"}  # the last two are from all exchanges
    assert Alpaca.attribution.endswith("Stock prices are from IEX or from all US exchanges")


CANARY = "PKCANARY0123456789"


async def test_no_key_is_ever_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    received: list[object] = []

    class Echo(Stub):
        """Refuses every client and repeats what it received."""

        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            return 401, {"message": f"unknown key {CANARY}"}

        async def feed(self, connection: Any) -> None:
            await self.send(connection, [{"T": "success", "msg": "connected"}])
            message = await connection.recv()
            received.append(message)
            await self.send(connection, [{"T": "error", "code": 402, "msg": message}])

    async with Echo() as stub, reading(stub, api_key=CANARY, api_secret=CANARY) as provider:
        for call in (
            lambda: provider.quotes([instrument("AAPL")]),
            provider.instruments,
            lambda: provider.candles(instrument("AAPL"), 60, NOON, NOON + timedelta(hours=1)),
            provider.check,
        ):
            with pytest.raises(ProviderError) as caught:
                await call()
            assert caught.value.refused
            assert CANARY not in f"{caught.value!r} {caught.value}"
            assert "…" in str(caught.value)
        assert CANARY not in repr(provider)
        assert CANARY not in repr(vars(provider)["rest"])
    assert CANARY in str(received)
    ours = [each for each in caplog.records if not each.name.startswith("websockets.server")]
    assert CANARY not in "".join(each.getMessage() for each in ours)


# candles and instruments


async def test_candles_of_a_long_time_come_in_pages(stub: Stub, provider: Alpaca) -> None:
    end = NOON + timedelta(minutes=2500)
    candles = await provider.candles(instrument("AAPL"), 60, NOON, end)
    assert stub.requests == {"/v2/stocks/bars": 3}
    assert [candle.start for candle in candles] == [
        NOON + timedelta(minutes=number) for number in range(2500)
    ]
    assert stub.queries[0] == {
        "symbols": "AAPL",
        "timeframe": "1Min",
        "limit": "10000",
        "feed": "iex",
        "adjustment": "split",
        "start": "2026-01-05T12:00:00.000000Z",
        "end": "2026-01-07T05:40:00.000000Z",
    }


@pytest.mark.parametrize(
    ("step", "timeframe"),
    [(60, "1Min"), (300, "5Min"), (900, "15Min"), (1800, "30Min"), (3600, "1Hour")],
)
async def test_each_step_has_a_name(
    stub: Stub, provider: Alpaca, step: int, timeframe: str
) -> None:
    end = NOON + timedelta(seconds=2 * step)
    candles = await provider.candles(instrument("BTC/USD"), step, NOON, end)
    assert [candle.start - NOON for candle in candles] == [timedelta(0), timedelta(seconds=step)]
    assert stub.requests == {"/v1beta3/crypto/us/bars": 1}
    assert stub.queries[0]["timeframe"] == timeframe
    assert stub.queries[0].keys().isdisjoint({"feed", "adjustment"})


async def test_candles_of_a_delayed_feed_end_before_the_delay(stub: Stub) -> None:
    far = datetime.max.replace(tzinfo=UTC)
    async with reading(stub, feed="delayed_sip") as provider:
        now = datetime.now(UTC)
        assert (
            await provider.candles(instrument("AAPL"), 60, now - timedelta(minutes=14), far) == []
        )
        assert await provider.candles(instrument("AAPL"), 60, now - timedelta(minutes=18), far)
    (query,) = stub.queries
    assert query["feed"] == "sip"
    assert datetime.fromisoformat(query["end"]) <= datetime.now(UTC) - timedelta(minutes=15)


@pytest.mark.parametrize("code", ["BRK-B", "NOPE"])
async def test_an_unknown_symbol_has_no_candles(provider: Alpaca, code: str) -> None:
    end = NOON + timedelta(hours=1)
    assert await provider.candles(instrument(code), 60, NOON, end) == []
    unknown = {code: f"{code} is not a valid symbol"} if code == "BRK-B" else {}
    assert provider.standing.unknown == unknown


async def test_steps_that_it_lacks_are_refused(provider: Alpaca) -> None:
    with pytest.raises(ProviderError, match="alpaca has no candles of 42 s, must be one of: 60,"):
        await provider.candles(instrument("AAPL"), 42, NOON, NOON)


BAR = {"t": "2026-01-05T12:00:00Z", "o": 2, "h": 3, "l": 1, "c": 2}


@pytest.mark.parametrize(
    ("document", "count"),
    [
        ({"bars": {"AAPL": [BAR]}, "next_page_token": "the same"}, 1),
        ({"bars": None, "next_page_token": "more"}, 0),
        ({"bars": {"AAPL": None}}, 0),
        ({"bars": {"AAPL": 7}}, 0),
        ({"bars": ["AAPL"]}, 0),
        ({"bars": {"AAPL": [BAR, None, 7, {}, BAR | {"l": 0}, BAR | {"t": None}]}}, 1),
    ],
)
async def test_invalid_pages_end_the_candles(document: Any, count: int) -> None:
    async with answering(200, document) as provider, asyncio.timeout(PATIENCE):
        end = NOON + timedelta(hours=1)
        assert len(await provider.candles(instrument("AAPL"), 60, NOON, end)) == count


def test_no_digit_of_a_candle_is_lost() -> None:
    rows = loads(
        '[{"t": "2022-02-01T05:00:00Z", "o": 174.0100, "h": 174.84, "l": 172.31, "c": 174.61,'
        ' "v": 85998033}]'
    )
    start = datetime(2022, 2, 1, 5, 0, tzinfo=UTC)
    ((begun, candle),) = read_bars(rows, start, start + timedelta(seconds=1))
    assert begun == candle.start == start
    assert [str(each) for each in (candle.open, candle.high, candle.low, candle.close)] == [
        "174.0100",
        "174.84",
        "172.31",
        "174.61",
    ]
    assert candle.volume == 85998033


async def test_assets_are_instruments(stub: Stub, provider: Alpaca) -> None:
    listed = {each.code: each for each in await provider.instruments()}
    assert set(listed) == set(stub.snapshots)
    assert listed["BTC/USD"].tick_size == Decimal("0.01")
    assert (listed["BTC/USD"].kind, listed["BRK.B"].kind) == ("crypto", "stock")
    assert (listed["BRK.B"].tick_size, listed["BRK.B"].name) == (None, "BRK.B Made-up")
    assert [query["asset_class"] for query in stub.queries] == ["us_equity", "crypto"]


@pytest.mark.parametrize(
    "row", [None, 7, {}, {"symbol": ""}, {"symbol": "OLD", "status": "inactive"}, {"symbol": 7}]
)
def test_an_inactive_asset_is_left_out(row: Any) -> None:
    assert read_asset(row) is None


# stream


async def test_a_stream_begins_with_a_quote_of_each(stub: Stub, provider: Alpaca) -> None:
    async with streaming(provider, *stub.snapshots) as stream:
        came = [(await anext(stream)).symbol for _ in stub.snapshots]
    assert came == list(stub.snapshots)
    assert stub.requests.total() == 2


async def test_there_is_one_connection_of_each_kind(stub: Stub, provider: Alpaca) -> None:
    async with listening(stub, provider, "AAPL", "BTC/USD", "MSFT"):
        paths = {each.request.path for each in stub.listeners if each.request}
    assert paths == {"/v2/iex", "/v1beta3/crypto/us"}
    everything = [
        {"trades": c, "quotes": c, "dailyBars": c} for c in (["AAPL", "MSFT"], ["BTC/USD"])
    ]
    for wanted in everything:
        assert {"action": "subscribe"} | wanted in stub.subscriptions


async def test_a_trade_updates_the_quote(stub: Stub, provider: Alpaca) -> None:
    async with listening(stub, provider, "BTC/USD") as stream:
        await stub.tick("BTC/USD", "66000.5")
        quote = await anext(stream)
        assert (str(quote.last), str(quote.high)) == ("66000.5", "66000.5")
        assert (str(quote.low), str(quote.open)) == ("62750.25", "63000.5")
        assert (str(quote.bid), str(quote.ask)) == ("62750.25", "64000")
        assert (str(quote.reference), str(quote.volume)) == ("63000", "1.20054")
        await stub.tick("BTC/USD", "65000")
        assert str((await anext(stream)).high) == "66000.5"


async def test_a_quote_updates_only_bid_and_ask(stub: Stub, provider: Alpaca) -> None:
    async with listening(stub, provider, "BTC/USD") as stream:
        soon = f"{datetime.now(UTC) + timedelta(seconds=1):%Y-%m-%dT%H:%M:%S.%fZ}"
        await stub.publish({"T": "q", "S": "BTC/USD", "bp": 63999.5, "ap": 0, "t": soon})
        quote = await anext(stream)
    assert (str(quote.bid), quote.ask, str(quote.last)) == ("63999.5", None, "64000")
    assert quote.source_time
    assert quote.source_time < datetime.now(UTC)  # the time of the last, not of the bid


async def test_a_daily_bar_updates_the_day_so_far(stub: Stub, provider: Alpaca) -> None:
    async with listening(stub, provider, "MSFT") as stream:
        bar = {"T": "d", "S": "MSFT", "o": 300, "h": 310.5, "l": 298, "c": 301, "v": 749378}
        await stub.publish(bar | {"t": midnight()})
        quote = await anext(stream)
    assert (quote.open, str(quote.high), quote.low, quote.volume) == (300, "310.5", 298, 749378)
    assert (str(quote.last), str(quote.reference)) == ("302.115", "300.43")


async def test_one_frame_is_one_quote_of_each_symbol(stub: Stub, provider: Alpaca) -> None:
    async with listening(stub, provider, "AAPL", "MSFT") as stream:
        later = [datetime.now(UTC) + timedelta(milliseconds=number) for number in range(3)]
        rows = [{"T": "t", "S": "AAPL", "p": 161 + n, "t": f"{t}"} for n, t in enumerate(later)]
        await stub.publish(*rows, {"T": "t", "S": "MSFT", "p": 303, "t": f"{later[0]}"})
        assert [(q.symbol, int(q.last)) for q in [await anext(stream), await anext(stream)]] == [
            ("AAPL", 163),
            ("MSFT", 303),
        ]


async def test_messages_of_other_kinds_are_skipped(stub: Stub, provider: Alpaca) -> None:
    async with listening(stub, provider, "AAPL") as stream:
        for odd in (
            [],
            [[], 7, None, "text"],
            [{"T": "x", "S": "AAPL"}, {"T": ["t"], "S": "AAPL", "p": 1}, {"S": "AAPL"}, {}],
            [{"T": "success", "msg": ["what"]}, {"T": {}, "msg": None}],
            [{"T": "t", "S": "ETH/USD", "p": 1, "t": "2099-01-01T00:00:00Z"}],  # another symbol
            [{"T": "t", "S": ["AAPL"], "p": 1, "t": "2099-01-01T00:00:00Z"}],
            {"T": "t", "S": "AAPL", "p": 1},  # not a list
        ):
            await stub.send_all(odd)
        await stub.tick("AAPL", "161.5")
        assert str((await anext(stream)).last) == "161.5"


async def test_a_page_soon_shows_the_price_before_a_cancelled_trade(stub: Stub) -> None:
    gate = Gate()
    async with reading(stub) as provider:
        provider.poll_interval = 0.05
        async with listening(stub, provider, "AAPL") as stream:
            await stub.tick("AAPL", "170")
            traded = await anext(stream)
            assert (traded.last, gate.add(traded)) == (170, True)
            stub.snapshots["AAPL"]["minuteBar"]["c"] = 170
            await stub.cancel("AAPL")
            asked = stub.requests.total()
            await stub.until(lambda: stub.requests.total() > asked + 1)  # REST is late
            stub.forget("AAPL")
            restored = await stream.until(lambda quote: quote.last != 170)
            assert (str(restored.last), gate.add(restored)) == ("161.25", True)
            assert (str(restored.high), restored.source_time) == ("161.92", traded.source_time)
            await stub.tick("AAPL", "162")
            assert gate.add(await stream.until(lambda quote: quote.last == 162))
    assert stub.connects == 1


async def test_a_new_stream_remembers_a_cancelled_trade(stub: Stub) -> None:
    gate = Gate()
    async with reading(stub) as provider:
        async with listening(stub, provider, "AAPL") as stream:
            await stub.tick("AAPL", "170")
            traded = await anext(stream)
            assert gate.add(traded)
            await stub.cancel("AAPL")
            await stub.until(lambda: provider.snapshots["AAPL"].is_doubtful)
        stub.forget("AAPL")
        stub.snapshots["AAPL"]["latestQuote"] |= {"bp": 161.2, "ap": 161.3}
        async with streaming(provider, "AAPL") as stream:  # before the next trade
            first = await anext(stream)
            assert (str(first.last), first.source_time) == ("161.25", traded.source_time)
            assert gate.add(first)
    assert (str(gate.latest["AAPL"].bid), str(gate.latest["AAPL"].ask)) == ("161.2", "161.3")


async def test_a_stream_that_began_without_a_snapshot_remembers_a_cancelled_trade() -> None:
    class Partly(Stub):
        fails = False

        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            failed = self.fails and "AAPL" in query["symbols"].split(",")
            return (500, {}) if failed else super().rest(path, query)

    async with Partly() as stub, reading(stub) as provider:
        async with listening(stub, provider, "AAPL") as stream:
            await stub.tick("AAPL", "170")
            traded = await anext(stream)
            await stub.cancel("AAPL")
            await stub.until(lambda: provider.snapshots["AAPL"].is_doubtful)
        stub.forget("AAPL")
        stub.fails = True
        async with streaming(provider, "AAPL", "BTC/USD") as stream:
            assert (await anext(stream)).symbol == "BTC/USD"
            await stub.until(lambda: "AAPL" in subscribed(stub))
            await stub.publish({"T": "q", "S": "AAPL", "bp": 161.2, "ap": 161.3, "t": now()})
            await stream.until(lambda quote: quote.symbol == "AAPL")
        stub.fails = False
        async with streaming(provider, "AAPL") as stream:
            first = await anext(stream)
            assert (str(first.last), first.source_time) == ("161.25", traded.source_time)


async def test_a_cancel_costs_requests_only_until_the_last_is_known(stub: Stub) -> None:
    async with reading(stub) as provider:
        provider.poll_interval = 0.05
        provider.may_differ = lambda each, got_at: got_at is None
        async with listening(stub, provider, "AAPL", "BTC/USD", "MSFT") as stream:
            stub.queries.clear()
            for code in ("AAPL", "MSFT"):
                before = provider.snapshots[code].trade["p"]
                await stub.tick(code, "310")
                await stream.until(lambda quote: quote.last == 310)
                await stub.cancel(code)
                stub.forget(code)
                await stream.until(lambda quote, before=before: quote.last == before)
    assert batches(stub) == [["AAPL"], ["MSFT"]]


async def test_symbols_that_the_plan_does_not_stream_are_polled() -> None:
    codes = [f"S{number}" for number in range(100)]
    async with Stub(symbols=30) as stub, reading(stub) as provider:
        provider.poll_interval = 0.05
        stub.enlist(*codes)
        async with streaming(provider, *codes) as stream:
            await stub.until(lambda: len(subscribed(stub)) == 30)
            assert subscribed(stub) == set(codes[:30])
            await stub.tick("S99", "12.5")
            await stream.until(lambda quote: (quote.symbol, str(quote.last)) == ("S99", "12.5"))
            await stub.tick("S0", "12.75")
            await stream.until(lambda quote: (quote.symbol, str(quote.last)) == ("S0", "12.75"))


async def test_unknown_symbols_take_no_place_in_the_subscription() -> None:
    codes = ["NOPE", "BRK-A", "AAPL", "NEIN", "MSFT"]
    async with Stub(symbols=2) as stub, reading(stub) as provider, streaming(provider, *codes):
        await stub.until(lambda: len(subscribed(stub)) == 2)
        assert subscribed(stub) == {"AAPL", "MSFT"}
        assert set(provider.standing.unknown) == {"NOPE", "NEIN", "BRK-A"}


async def test_a_plan_without_any_stream_is_an_error() -> None:
    async with Stub(symbols=0) as stub, reading(stub) as provider:
        assert "405: symbol limit exceeded" in str(await failure(provider, "AAPL", "MSFT"))


async def test_a_second_connection_backs_off(stub: Stub, provider: Alpaca) -> None:
    async with listening(stub, provider, "AAPL"), reading(stub) as other:
        error = await failure(other, "AAPL")
    assert "406: connection limit exceeded" in str(error)
    assert (error.retry_after, error.refused) == (30, False)


async def test_a_stream_of_only_bad_symbols_is_an_error(provider: Alpaca) -> None:
    assert str(await failure(provider, "BRK-A", "NOPE")) == ("alpaca has no price for any symbol")
    assert set(provider.standing.unknown) == {"BRK-A"}


async def test_a_quiet_connection_that_answers_a_probe_is_not_dead(stub: Stub) -> None:
    probe = {"action": "subscribe", "trades": ["AAPL"]}
    async with reading(stub, silence=1.0) as provider, streaming(provider, "AAPL") as stream:
        await stub.until(lambda: stub.subscriptions.count(probe) >= 2)
        await stub.tick("AAPL", "163.5")
        await stream.until(lambda quote: str(quote.last) == "163.5")
    assert stub.connects == 1


async def test_a_connection_that_ignores_a_probe_is_dead(stub: Stub) -> None:
    async with (
        reading(stub, silence=0.5) as provider,
        listening(stub, provider, "AAPL") as stream,
    ):
        stub.mode = "silent"
        with pytest.raises(ProviderError, match=r"^no message for 0\.5 s$"):
            [quote async for quote in stream]


async def test_symbols_of_a_silent_stream_are_polled(stub: Stub) -> None:
    async with (
        reading(stub, silence=0.5) as provider,
        listening(stub, provider, "AAPL") as stream,
    ):
        stub.snapshots["AAPL"]["latestTrade"] |= {"p": 163.5}
        await stream.until(lambda quote: str(quote.last) == "163.5")


async def test_out_of_hours_symbols_are_not_polled_beside_the_stream(stub: Stub) -> None:
    async with reading(stub, silence=0.5) as provider:
        provider.may_differ = lambda each, got_at: each.code == "BTC/USD"
        async with listening(stub, provider, "AAPL", "BTC/USD"):
            await stub.until(lambda: stub.requests["/v1beta3/crypto/us/snapshots"] > 2)
        assert stub.requests["/v2/stocks/snapshots"] == 1
        provider.may_differ = lambda each, got_at: got_at is None
        async with listening(stub, provider, "AAPL", "BTC/USD") as stream:
            probes = len(stub.subscriptions) + 2
            await stub.until(lambda: len(stub.subscriptions) > probes)
            before = stub.requests.copy()
            await stub.tick("AAPL", "163.5")
            await stream.until(lambda quote: str(quote.last) == "163.5")
        assert stub.requests == before


async def test_an_unknown_symbol_does_not_end_a_stream_out_of_hours(stub: Stub) -> None:
    async with reading(stub, silence=0.5) as provider:
        provider.may_differ = lambda each, got_at: each.code == "NOPE"
        async with streaming(provider, "AAPL", "NOPE"):
            await stub.until(lambda: stub.requests["/v2/stocks/snapshots"] > 3)
    assert stub.connects == 1


async def test_a_failed_poll_does_not_end_the_stream(stub: Stub) -> None:
    async with (
        reading(stub, silence=0.5) as provider,
        listening(stub, provider, "AAPL") as stream,
    ):
        before = stub.requests.total()
        stub.mode = "maintenance"
        await stub.until(lambda: stub.requests.total() > before)
        stub.mode = "ok"
        await stub.tick("AAPL", "163.5")
        await stream.until(lambda quote: str(quote.last) == "163.5")
    assert stub.connects == 1


async def test_a_source_without_any_price_ends_the_stream(stub: Stub) -> None:
    async with (
        reading(stub, silence=0.5) as provider,
        listening(stub, provider, "AAPL") as stream,
    ):
        stub.mode = "empty"
        with pytest.raises(ProviderError, match="no price for any symbol"):
            [quote async for quote in stream]


async def test_a_new_stream_forgets_the_snapshots_of_the_last_one(
    stub: Stub, provider: Alpaca
) -> None:
    async with listening(stub, provider, "AAPL") as stream:
        await stub.tick("AAPL", "170", t="2099-01-01T00:00:00Z")  # from a wrong clock
        assert (await anext(stream)).last == 170
        stub.cut()
        with pytest.raises(ProviderError, match="ended the stream"):
            await anext(stream)
    await stub.tick("AAPL", "165")
    async with streaming(provider, "AAPL") as stream:
        assert (await anext(stream)).last == 165


# the check


async def test_the_check_reads_the_test_symbol(stub: Stub, provider: Alpaca) -> None:
    quote = await provider.check()
    assert (quote.symbol, str(quote.last), str(quote.bid)) == ("FAKEPACA", "134.56", "133.85")
    assert [each["trades"] for each in stub.subscriptions] == [["FAKEPACA"]]
    assert stub.requests.total() == 0
    await stub.until(lambda: stub.sockets == 0)


async def test_the_check_fails_with_a_wrong_key(stub: Stub) -> None:
    async with reading(stub, api_secret="wrong") as provider:
        with pytest.raises(ProviderError, match="error 402: auth failed") as caught:
            await provider.check()
    assert caught.value.refused


@pytest.mark.parametrize("mode", ["empty", "silent", "slow"])
async def test_the_check_has_a_deadline(stub: Stub, mode: str) -> None:
    stub.mode = mode
    async with reading(stub, timeout=0.2) as provider:
        with pytest.raises(ProviderError, match=r"no complete answer within 0\.2 s"):
            await provider.check()


# messages


def connection(*codes: str) -> Connection:
    snapshots = {code: Snapshot() for code in codes}
    found = Connection("/v2/iex", LOGIN, codes, snapshots.__getitem__)
    found.take([{"T": "success", "msg": "connected"}, {"T": "success", "msg": "authenticated"}])
    assert found.due.pop(0) == {"action": "auth"} | LOGIN
    return found


@pytest.mark.parametrize(
    ("number", "refused", "retry_after"),
    [
        (400, False, None),
        (401, False, None),
        (402, True, None),
        (403, False, None),
        (404, False, None),
        (405, False, None),
        (406, False, 30),
        (407, False, None),
        (409, True, None),
        (410, False, None),
        (500, False, None),
        (None, False, None),
        ([], False, None),
    ],
)
def test_an_error_ends_the_connection(
    number: Any, refused: bool, retry_after: float | None
) -> None:
    with pytest.raises(ProviderError, match=f"error {re.escape(str(number))}: no") as caught:
        connection("AAPL").take([{"T": "error", "code": number, "msg": "no"}])
    assert (caught.value.refused, caught.value.retry_after) == (refused, retry_after)


TRADE = """[{"T":"t","i":96921,"S":"AAPL","x":"D","p":126.55,"s":1,
    "t":"2021-02-22T15:51:44.208Z","c":["@","I"],"z":"C"}]"""
BOTH_SIDES = """[{"T":"q","S":"AMD","bx":"U","bp":87.66,"bs":1,"ax":"Q","ap":87.68,"as":4,
    "t":"2021-02-22T15:51:45.335689322Z","c":["R"],"z":"C"}]"""
DAILY_BAR = """[{"T":"d","S":"SPY","o":388.985,"h":389.13,"l":388.975,"c":389.12,"v":749378,
    "t":"2021-02-16T04:00:00Z"}]"""


def test_documented_frames_are_read() -> None:
    stream = connection("AAPL", "AMD", "SPY")
    assert stream.take(loads(TRADE)) == []  # an odd lot
    assert stream.take(loads(TRADE.replace('"I"', '"F"'))) == ["AAPL"]
    assert stream.take(loads(BOTH_SIDES)) == ["AMD"]
    assert stream.take(loads(DAILY_BAR)) == ["SPY"]
    trade = {"T": "t", "S": "SPY", "p": Decimal("389.12"), "t": "2021-02-16T20:59:59Z"}
    assert stream.take([trade]) == ["SPY"]
    apple, amd, spy = (read(stream.snapshot(code), code) for code in ("AAPL", "AMD", "SPY"))
    assert (str(apple.last), apple.bid, apple.open) == ("126.55", None, None)
    assert apple.source_time == datetime(2021, 2, 22, 15, 51, 44, 208000, tzinfo=UTC)
    assert (amd.last, str(amd.bid), str(amd.ask)) == (0, "87.66", "87.68")
    seen = (spy.open, spy.high, spy.low, spy.last, spy.volume)
    assert [str(each) for each in seen] == ["388.985", "389.13", "388.975", "389.12", "749378"]


def trade(price: Any, time: str, **more: Any) -> dict[str, Any]:
    return {"T": "t", "S": "AAPL", "p": price, "t": time} | more


@pytest.mark.parametrize("no_price", [0, -1, None, "", "NaN"])
def test_a_trade_without_a_price_changes_nothing(no_price: Any) -> None:
    known, later = snapshot(), "2022-03-18T15:00:00Z"
    assert not known.take({"T": "t", "S": "AAPL", "p": no_price, "t": later})
    known.update({"latestTrade": {"p": no_price, "t": later}})
    assert read(known) == read(snapshot())


def test_a_trade_that_comes_too_late_is_dropped() -> None:
    known = snapshot()
    assert not known.take(trade(150, "2022-03-18T14:33:58.448431Z"))
    assert (read(known).last, read(known).low) == (Decimal("161.1998"), Decimal("159.76"))
    assert known.take(trade(161, "2022-03-18T14:33:58.448432999Z"))
    assert read(known).last == 161
    assert not known.take({"T": "q", "bp": 1, "ap": 2, "t": "2022-03-18T14:33:58.547941Z"})
    assert read(known).bid == Decimal("161.190")
    assert not known.take({"T": "d", "h": 999, "t": "2022-03-17T04:00:00Z"})
    assert read(known).high == Decimal("161.92")


# What a trade may set, by the rules of the consolidated tapes. The tapes differ in five letters.
NOTHING, NOT_LAST, EVERYTHING = (False, False), (False, True), (True, True)  # last; high and low
CONDITIONS = {
    " ": EVERYTHING,  # regular sale, of tapes A and B
    "@": EVERYTHING,  # regular sale, of tape C
    "C": NOTHING,  # cash sale
    "E": EVERYTHING,  # automatic execution
    "F": EVERYTHING,  # intermarket sweep
    "H": NOTHING,  # price variation
    "I": NOTHING,  # odd lot
    "K": EVERYTHING,  # rule 127 or 155
    "L": EVERYTHING,  # sold last
    "M": NOTHING,  # a market's official close
    "N": NOTHING,  # next day
    "O": EVERYTHING,  # opening print
    "P": NOT_LAST,  # prior reference price
    "Q": NOTHING,  # a market's official open
    "R": NOTHING,  # seller
    "T": NOTHING,  # extended hours, here in regular hours
    "U": NOTHING,  # the same, out of sequence
    "V": NOTHING,  # contingent
    "W": NOTHING,  # average price
    "X": EVERYTHING,  # cross
    "Z": NOT_LAST,  # out of sequence
    "4": NOT_LAST,  # derivatively priced
    "5": EVERYTHING,  # reopening print
    "6": EVERYTHING,  # closing print
    "7": NOTHING,  # qualified contingent
    "8": NOTHING,  # unknown
    "9": EVERYTHING,  # corrected consolidated close
    "?": NOTHING,  # unknown
}
OF_TAPE_A = {"A": NOTHING, "B": NOTHING, "D": NOTHING, "G": NOTHING, "S": NOTHING, "Y": NOTHING}
OF_TAPE_C = {  # acquisition, bunched, distribution, bunched and late, split, yellow flag, stopped
    "A": EVERYTHING,
    "B": EVERYTHING,
    "D": EVERYTHING,
    "G": NOT_LAST,
    "S": EVERYTHING,
    "Y": EVERYTHING,
    "1": EVERYTHING,
}
TABLE = [("A", *each) for each in (CONDITIONS | OF_TAPE_A).items()]
TABLE += [("B", *each) for each in (CONDITIONS | OF_TAPE_A).items()]
TABLE += [("C", *each) for each in (CONDITIONS | OF_TAPE_C).items()]
TABLE += [(None, *each) for each in (CONDITIONS | OF_TAPE_A).items()]  # a trade without a tape


def of_monday(**changes: Any) -> Snapshot:
    """Return a snapshot of a Monday at 10:00 in New York."""
    rows = loads(SNAPSHOT)
    rows["latestTrade"]["t"] = "2026-11-23T15:00:00Z"
    rows["dailyBar"]["t"], rows["prevDailyBar"]["t"] = (
        "2026-11-23T05:00:00Z",
        "2026-11-20T05:00:00Z",
    )
    found = Snapshot()
    found.update(rows | changes)
    return found


@pytest.mark.parametrize(("tape", "condition", "allowed"), TABLE)
def test_the_conditions_of_a_trade_decide_what_it_sets(
    tape: str | None, condition: str, allowed: tuple[bool, bool]
) -> None:
    last, high = allowed
    known = of_monday()
    moved = known.take(trade(170, "2026-11-23T15:00:01Z", c=["@", condition], z=tape))
    quote = read(known)
    assert moved == (last or high)
    assert (quote.last == 170, quote.high == 170) == allowed
    assert quote == replace(
        read(of_monday()), last=quote.last, high=quote.high, source_time=quote.source_time
    )


@pytest.mark.parametrize(
    ("moment", "conditions", "last", "high"),
    [
        ("2026-11-23T15:00:01Z", ["@", "T"], False, False),  # it contradicts the hours
        ("2026-11-23T20:59:59Z", ["@"], True, True),
        ("2026-11-23T21:00:01Z", ["@", "6"], True, True),  # the closing auction
        ("2026-11-23T21:00:01Z", ["@", "T"], False, False),
        ("2026-11-23T21:03:00Z", ["@"], True, False),
        ("2026-11-23T22:00:00Z", ["@", "T"], True, False),
        ("2026-11-23T22:00:00Z", ["@", "T", "I"], False, False),
        ("2026-11-24T02:30:00Z", ["@", "T"], True, False),  # at night
        # Out of sequence: a late report, which the tapes let set neither last nor high and low.
        ("2026-11-23T22:00:00Z", ["@", "U"], False, False),
        ("2026-11-24T02:30:00Z", ["@", "U"], False, False),
        ("2026-11-23T22:00:00Z", ["@", "T", "U"], False, False),
    ],
)
def test_a_trade_out_of_hours_is_not_part_of_the_day(
    moment: str, conditions: list[str], last: bool, high: bool
) -> None:
    known = of_monday()
    known.take(trade(170, moment, c=conditions, z="C"))
    quote = read(known)
    assert (quote.last == 170, quote.high == 170) == (last, high)
    known.take(trade(163, "2026-11-24T14:30:00Z"))
    assert read(known).reference == (170 if high else Decimal("161.365"))


def test_rest_obeys_the_same_rules() -> None:
    known = of_monday(
        latestTrade={"t": "2026-11-23T22:00:00Z", "p": 170, "c": ["@", "T"], "z": "C"}
    )
    assert (read(known).last, read(known).high) == (170, Decimal("161.92"))
    known.update(
        {"latestTrade": {"t": "2026-11-23T22:01:00Z", "p": 171, "c": ["@", "I"], "z": "C"}}
    )
    assert read(known).last == 170


ODD_LOT = {"t": "2026-11-23T15:10:01Z", "p": 170, "c": ["@", "I"], "z": "C"}


def minute(close: Any, time: str = "2026-11-23T15:09:00Z") -> dict[str, Any]:
    """Return the part of a snapshot with its minute bar."""
    return {"minuteBar": {"t": time, "o": 161, "h": 164, "l": 161, "c": close}}


def test_a_trade_that_may_not_be_the_last_does_not_hide_the_last() -> None:
    known = of_monday()
    known.update({"latestTrade": ODD_LOT} | minute(163))
    quote = read(known)
    assert (quote.last, quote.high) == (163, 163)
    assert quote.source_time == datetime(2026, 11, 23, 15, 9, tzinfo=UTC)
    known.update({"latestTrade": ODD_LOT} | minute(164))  # later in the same minute
    assert read(known).last == 164
    assert known.take(trade(162, "2026-11-23T15:09:30Z"))
    known.update({"latestTrade": ODD_LOT} | minute(164))  # perhaps from before that trade
    assert read(known).last == 162


def test_the_first_trade_of_all_is_not_the_last_if_it_may_not_be() -> None:
    assert read(of_monday(latestTrade=ODD_LOT, **minute(163))).last == 163
    assert read(of_monday(latestTrade=ODD_LOT, minuteBar=None)).last == 0
    late = {"t": "2026-11-23T15:10:01Z", "p": 160, "c": ["@", "Z"], "z": "C"}
    assert read(of_monday(latestTrade=late, **minute(163))).last == 160


@pytest.mark.parametrize("bar", [None, [], {}, {"c": 0}, {"c": 163}])
def test_a_bar_without_close_or_time_leaves_the_last_as_it_was(bar: Any) -> None:
    known = of_monday()
    known.update({"latestTrade": ODD_LOT, "minuteBar": bar})
    assert read(known) == read(of_monday())


def cancel(number: int, price: Any = None, **more: Any) -> dict[str, Any]:
    return {"T": "x", "S": "AAPL", "i": number, "x": "V", "p": price, "a": "C"} | more


def correction(number: int, wrong: Any, price: Any, *conditions: str) -> dict[str, Any]:
    new = {"ci": 8, "cp": price, "cs": 1, "cc": ["@", *conditions]}
    return {"T": "c", "S": "AAPL", "x": "V", "oi": number, "op": wrong, "oc": ["@"]} | new


DAILY = {"T": "d", "t": "2026-11-23T05:00:00Z", "o": 160, "h": 163, "l": 159, "c": 162, "v": 5}
WRONG_AT = datetime(2026, 11, 23, 15, 10, 30, tzinfo=UTC)


def with_wrong_trade(price: Any = 190, **more: Any) -> Snapshot:
    """Return a snapshot of a Monday whose last trade is wrong: number 7, at 10:10:30."""
    known = of_monday()
    wrong = {"i": 7, "x": "V", "c": ["@"], "z": "C"} | more
    assert known.take(trade(price, "2026-11-23T15:10:30Z", **wrong))
    return known


def rest(price: Any, time: str, **more: Any) -> dict[str, Any]:
    """Return an answer of REST after the wrong trade."""
    latest = {"t": time, "p": price, "c": ["@"], "i": 6, "x": "V", "z": "C"} | more
    return {"latestTrade": latest, "dailyBar": DAILY}


@pytest.mark.parametrize("price", [190, 130])
def test_a_cancelled_trade_is_not_the_last_and_leaves_the_range_of_the_day(price: int) -> None:
    known = with_wrong_trade(price)
    known.take(cancel(7, price))
    assert known.is_doubtful
    known.take(DAILY)
    known.update(rest(162, "2026-11-23T15:09:59Z"))
    quote = read(known)
    assert (quote.last, quote.high, quote.low, known.is_doubtful) == (162, 163, 159, False)
    assert quote.source_time == WRONG_AT  # at that time, 162 was still the last
    assert known.take(trade(161, "2026-11-23T15:10:31Z"))
    assert (read(known).last, read(known).high) == (161, 163)


def test_rest_may_learn_of_a_cancel_late() -> None:
    known = with_wrong_trade()
    known.take(cancel(7, 190))
    late = rest(190, "2026-11-23T15:10:30Z", i=7)
    for part in ({}, minute(190, "2026-11-23T15:10:00Z"), {"minuteBar": None}):
        known.update(late | part)
        assert known.is_doubtful
    known.update(late | minute(162, "2026-11-23T15:09:00Z"))
    assert (read(known).last, known.is_doubtful) == (162, False)
    odd_lot = {"latestTrade": ODD_LOT | {"t": "2026-11-23T15:12:00Z"}}
    known.update(odd_lot | minute(190, "2026-11-23T15:10:00Z"))  # its close is the cancelled trade
    assert read(known).last == 162
    known.update(odd_lot | minute(163, "2026-11-23T15:11:00Z"))
    assert (read(known).last, read(known).high) == (163, 163)


def test_the_next_trade_ends_the_doubt_about_a_cancelled_one() -> None:
    known = with_wrong_trade()
    known.take(cancel(7, 190))
    assert known.take(trade(162, "2026-11-23T15:10:31Z"))
    quote = read(known)
    assert (quote.last, quote.high, known.is_doubtful) == (162, 162, False)


@pytest.mark.parametrize("price", [190, 130])
@pytest.mark.parametrize("in_a_bar", [False, True])
def test_a_cancelled_trade_before_the_last_leaves_the_range_of_the_day(
    price: int, in_a_bar: bool
) -> None:
    known = with_wrong_trade(price)
    assert known.take(trade(162, "2026-11-23T15:10:31Z", i=8))
    if in_a_bar:
        known.take(DAILY | {"h": max(163, price), "l": min(159, price)})
    assert known.take(cancel(7, price))
    assert not known.is_doubtful
    known.take(DAILY)
    quote = read(known)
    assert (quote.last, quote.high, quote.low) == (162, 163, 159)


def test_a_cancelled_odd_lot_changes_nothing() -> None:
    known = of_monday()
    known.take(trade(190, "2026-11-23T15:10:30Z", i=7, x="V", c=["@", "I"]))
    assert not known.take(cancel(7, 190))
    assert (read(known), known.is_doubtful) == (read(of_monday()), False)


@pytest.mark.parametrize(
    "other", [cancel(9, 190), cancel(7, 190, x="D"), cancel(7, 180), {"T": "x", "p": 191}]
)
def test_only_the_trade_that_a_cancel_names_is_cancelled(other: dict[str, Any]) -> None:
    known = with_wrong_trade()
    known.take(other)
    assert (read(known).last, known.is_doubtful) == (190, False)


def test_a_correction_replaces_the_price_of_the_last_trade() -> None:
    known = with_wrong_trade()
    assert known.take(correction(7, 190, 164))
    quote = read(known)
    assert (quote.last, quote.high, quote.source_time) == (164, 164, WRONG_AT)
    known.update(rest(190, "2026-11-23T15:10:30Z", i=7))  # REST does not know of it yet
    assert (read(known).last, known.is_doubtful) == (164, False)


def test_a_correction_may_leave_no_last() -> None:
    known = with_wrong_trade()
    known.take(correction(7, 190, 164, "I"))  # an odd lot now
    assert known.is_doubtful
    known.update(rest(162, "2026-11-23T15:09:59Z"))
    assert (read(known).last, read(known).high) == (162, 163)


def test_a_correction_of_an_earlier_trade_is_not_the_last() -> None:
    known = with_wrong_trade()
    known.take(trade(162, "2026-11-23T15:10:31Z", i=9))
    assert known.take(correction(7, 190, 164))
    assert (read(known).last, read(known).high) == (162, 162)


@pytest.mark.parametrize("update", ["canceled", "incorrect"])
@pytest.mark.parametrize("seen", [True, False])
def test_rest_marks_a_trade_that_no_longer_counts(update: str, seen: bool) -> None:
    known = with_wrong_trade() if seen else of_monday()
    void = rest(190, "2026-11-23T15:10:30Z", i=7, u=update)
    known.update(void | minute(162))
    quote = read(known)
    assert (quote.last, quote.high, quote.source_time) == (162, 163, WRONG_AT)
    known.update(rest(161, "2026-11-23T15:10:00Z"))
    assert read(known).last == 161


def test_rest_marks_a_trade_that_was_corrected() -> None:
    known = with_wrong_trade()
    known.update(rest(164, "2026-11-23T15:10:30Z", i=7, u="corrected"))
    assert (read(known).last, read(known).high) == (164, 164)


def test_a_late_report_after_hours_does_not_replace_the_newest_price() -> None:
    known = of_monday()
    assert known.take(trade(163, "2026-11-23T21:30:00Z", c=["@", "T"], z="C"))
    assert not known.take(trade(80, "2026-11-23T21:31:00Z", c=["@", "U"], z="C"))
    known.update({"latestTrade": {"t": "2026-11-23T21:32:00Z", "p": 80, "c": ["U"], "z": "C"}})
    assert (read(known).last, read(known).low) == (163, Decimal("159.76"))


def test_a_late_trade_is_the_last_if_it_is_the_first_of_its_day() -> None:
    known = of_monday()
    assert known.take(trade(163, "2026-11-24T14:30:00Z", c=["@", "Z"], z="C"))
    assert (read(known).last, read(known).reference) == (163, Decimal("161.365"))
    assert not known.take(trade(164, "2026-11-24T14:30:01Z", c=["@", "Z"], z="C"))


def test_a_late_trade_may_be_older_than_the_last_and_still_be_the_low_of_the_day() -> None:
    known = of_monday()
    assert known.take(trade(150, "2026-11-23T14:45:00Z", c=["@", "Z"], z="C"))
    assert (read(known).last, read(known).low) == (Decimal("161.1998"), 150)
    assert not known.take(trade(140, "2026-11-20T14:45:00Z", c=["@", "Z"], z="C"))


@pytest.mark.parametrize("conditions", [["@"], [" "], [], None, "I", [["I"]], [{}]])
def test_any_other_trade_is_the_last(conditions: Any) -> None:
    known = snapshot()
    assert known.take(trade(162, "2022-03-18T14:34:00Z", c=conditions))
    assert (read(known).last, read(known).high) == (162, 162)


def test_an_older_daily_bar_keeps_the_high_of_a_trade() -> None:
    known = snapshot()
    known.take(trade(165, "2022-03-18T14:34:00.5Z"))
    known.take(trade(164, "2022-03-18T14:34:01Z"))
    bar = {"T": "d", "o": 160.59, "h": 161.92, "l": Decimal("159.5"), "v": 31749989}
    known.take(bar | {"t": "2022-03-18T04:00:00Z"})
    assert (read(known).high, read(known).volume) == (165, 31749989)
    assert read(known).low == Decimal("159.5")


def test_rest_corrects_a_wrong_high() -> None:
    known = snapshot()
    known.take(trade(165, "2022-03-18T14:34:00.5Z"))
    known.take(trade(161, "2022-03-18T14:34:01Z"))
    known.update(loads(SNAPSHOT))
    assert (read(known).last, read(known).high) == (161, Decimal("161.92"))


def test_a_day_begins_with_its_first_trade_and_then_has_a_bar() -> None:
    known = snapshot()
    known.take(trade(162, "2022-03-18T19:59:59Z"))  # the close of Friday
    known.take(trade(163, "2022-03-21T13:30:00Z"))
    monday = read(known)
    assert (monday.reference, monday.change) == (162, 1)
    assert monday.open is monday.high is monday.low is monday.volume is None
    bar = {"T": "d", "o": 163, "h": 164, "l": 162.5, "c": 163, "v": 10, "t": "2022-03-21T04:00:00Z"}
    known.take(bar)
    assert (read(known).reference, read(known).open, read(known).high) == (162, 163, 164)


def test_a_symbol_without_an_answer_from_rest_begins_with_a_trade() -> None:
    known = Snapshot()
    assert known.take(trade(162, "2022-03-18T14:34:00Z"))
    quote = read(known)
    assert (quote.last, quote.reference_kind, quote.high, quote.bid) == (162, "none", None, None)


# any input


TIMES = st.sampled_from(
    ["2022-03-18T14:34:00Z", "2022-03-18T04:00:00Z", "2022-03-21T04:00:00Z", "0001-01-01T00:00:00Z"]
)
FIELD = st.sampled_from(
    [
        "T",
        "S",
        "p",
        "t",
        "c",
        "bp",
        "ap",
        "o",
        "h",
        "l",
        "v",
        "i",
        "u",
        "oi",
        "op",
        "ci",
        "cp",
        "cc",
    ]
)
WORD = st.sampled_from(["t", "x", "c", "q", "d", "AAPL", "canceled"])
MESSAGE = st.dictionaries(FIELD, JSON | TIMES | WORD)


@given(st.lists(MESSAGE | JSON))
def test_no_frame_leads_to_an_invalid_price(frame: list[Any]) -> None:
    known = {"AAPL": snapshot()}
    mine = Connection("/v2/iex", LOGIN, ["AAPL"], known.__getitem__)
    seen = [each | {"S": "AAPL"} if isinstance(each, dict) else each for each in frame]
    for each in (over_the_wire(frame), over_the_wire(seen)):
        try:
            assert set(mine.take(each)) <= {"AAPL"}
        except ProviderError:
            assert any(
                isinstance(message, dict) and message.get("T") == "error" for message in each
            )
    assert sane(known["AAPL"].quote(instrument("AAPL"), 0, NOW))


@given(st.dictionaries(st.sampled_from(sorted(loads(SNAPSHOT))), JSON | MESSAGE))
def test_no_snapshot_leads_to_an_invalid_price(changes: dict[str, Any]) -> None:
    known = snapshot(**over_the_wire(changes))
    assert sane(known.quote(instrument("AAPL"), 0, NOW))


@given(st.lists(JSON | MESSAGE))
def test_every_row_of_a_list_is_read_or_left_out(rows: list[Any]) -> None:
    came = over_the_wire(rows)
    begin, end = (each.replace(tzinfo=UTC) for each in (datetime.min, datetime.max))
    assert all(candle.low > 0 for _, candle in read_bars(came, begin, end))
    assert all(each is None or each.code for each in map(read_asset, came))


PRICE = st.decimals(min_value=Decimal("0.0001"), max_value=Decimal(10**6), places=4)
STEP = st.tuples(PRICE, st.integers(-5, 60))


@given(st.lists(STEP, max_size=30))
def test_high_and_low_include_the_last_and_time_only_increases(
    steps: list[tuple[Decimal, int]],
) -> None:
    known, at = snapshot(), datetime(2022, 3, 18, 14, 34, tzinfo=UTC)
    before = read(known)
    for price, seconds in steps:
        at += timedelta(seconds=seconds)
        taken = known.take(trade(price, at.isoformat()))
        quote = read(known)
        assert quote.low
        assert quote.high
        assert before.low
        assert before.high
        assert quote.low <= quote.last <= quote.high
        assert quote.low <= before.low <= before.high <= quote.high
        assert quote.source_time
        assert before.source_time
        assert quote.source_time >= before.source_time
        assert taken is (at >= before.source_time)
        assert (quote.bid, quote.open, quote.reference) == (
            before.bid,
            before.open,
            before.reference,
        )
        before = quote


@given(st.integers(1, 2 * CHUNK + 1), st.integers(1, 60))
@examples(50)
def test_the_subscription_is_as_large_as_the_plan_allows(count: int, limit: int) -> None:
    codes = [f"C{number}" for number in range(count)]
    mine, given, messages = connection(*codes), 0, 0
    while mine.due:
        requested = mine.due.pop(0)["trades"]
        messages += 1
        assert len(requested) <= CHUNK
        if given + len(requested) > limit:
            mine.take([{"T": "error", "code": 405, "msg": "symbol limit exceeded"}])
        else:
            given += len(requested)
            mine.take([{"T": "subscription", "trades": codes[:given]}])
    assert mine.given == codes[: min(limit, count)]
    assert mine.waiting == codes[limit:]
    assert messages <= 25


# the stub


async def replies(stub: Stub, *messages: dict[str, Any]) -> list[Any]:
    async with (
        asyncio.timeout(PATIENCE),
        connect(f"{stub.ws_url}/v2/iex", proxy=None, open_timeout=PATIENCE) as socket,
    ):
        for message in messages:
            await socket.send(json.dumps(message))
        return [json.loads(frame)[0] async for frame in socket]


async def test_the_stub_ends_a_socket_that_does_not_log_in() -> None:
    async with Stub(patience=0.05) as stub:
        hello, error = await replies(stub)
    assert (hello["msg"], error["code"], error["msg"]) == ("connected", 404, "auth timeout")


async def test_the_stub_keeps_the_subscription_when_a_larger_one_is_refused() -> None:
    async with (
        Stub(symbols=1) as stub,
        connect(f"{stub.ws_url}/v2/iex", proxy=None, open_timeout=PATIENCE) as socket,
    ):
        await socket.send(json.dumps({"action": "auth"} | LOGIN))
        await socket.send(json.dumps({"action": "subscribe", "trades": ["AAPL"]}))
        await socket.send(json.dumps({"action": "subscribe", "trades": ["MSFT"]}))
        await socket.send(json.dumps({"action": "dance"}))
        async with asyncio.timeout(PATIENCE):
            seen = [json.loads(await socket.recv())[0] for _ in range(5)]
        assert [each.get("code") for each in seen] == [None, None, None, 405, 400]
        assert seen[2]["trades"] == ["AAPL"]
        assert subscribed(stub) == {"AAPL"}


@pytest.mark.server
async def test_the_stub_is_a_process_that_can_be_steered() -> None:
    async with process("alpaca") as where, httpx.AsyncClient(base_url=f"http://{where}") as steer:
        provider = Alpaca(f"http://{where}", f"ws://{where}", api_key=KEY, api_secret=SECRET)
        async with streaming(provider, "BTC/USD") as stream:
            await anext(stream)
            await steer.get("/_tick?product=BTC/USD&price=64123.5")
            await stream.until(lambda quote: str(quote.last) == "64123.5")
            await steer.get("/_mode?to=drop")
            with pytest.raises(ProviderError):
                [quote async for quote in stream]
        await provider.aclose()
