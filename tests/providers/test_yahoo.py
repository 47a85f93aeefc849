from __future__ import annotations

import asyncio
import json
import struct
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import inf
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quotes import kinds
from quotes.providers import Instrument, ProviderError, make_provider
from quotes.providers.kit.protobuf import read_fields, shortest, signed, single, text, to_32_bits
from quotes.providers.yahoo import (
    AGENT,
    BATCH,
    COOL_DOWN,
    NOTICE,
    Connection,
    Yahoo,
    apply_frame,
    quiet,
)
from quotes.providers.yahoo_wire import (
    CHANGE,
    MAX_QUIET,
    Frame,
    Known,
    Market,
    complaint,
    exact,
    read_candles,
    read_frame,
    read_row,
    read_spark,
)
from quotes.quote import PRICES, Quote
from quotes.quote.values import Unit, loads, unit_of
from tests.servers import PATIENCE
from tests.stubs.yahoo import FIELDS, encode, hours
from tests.stubs.yahoo import Yahoo as Stub

NOW = datetime(2025, 2, 20, 15, 0, tzinfo=UTC)  # half an hour after the opening in New York
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
ROOT = Path(__file__).parents[2]
# The meta of a chart, without the fields that are not read.
META = """{"currency": "USD", "symbol": "AAPL", "instrumentType": "EQUITY",
    "regularMarketTime": 1739998801, "hasPrePostMarketData": true, "gmtoffset": -18000,
    "exchangeTimezoneName": "America/New_York", "regularMarketPrice": 244.87,
    "regularMarketDayHigh": 246.01, "regularMarketDayLow": 243.16,
    "regularMarketVolume": 32129951, "chartPreviousClose": 236, "previousClose": 244.47,
    "currentTradingPeriod": {"pre": {"start": 1740042000, "end": 1740061800},
        "regular": {"start": 1740061800, "end": 1740085200},
        "post": {"start": 1740085200, "end": 1740099600}}}"""
# A frame of AAPL at 101, byte by byte: number and kind of each field, then its value.
BYTES = bytes.fromhex("0a04 4141504c 15 0000ca42 18 80b6fbbda465 30 08 38 01 65 0000803f d801 04")


def instrument(code: str, currency: str = "USD", kind: str = "stock") -> Instrument:
    return Instrument(symbol=code, code=code, currency=currency, kind=kind)


AAPL = instrument("AAPL")


def spark(**changes: Any) -> dict[str, Any]:
    """Return the answer of spark for AAPL."""
    response = {
        "meta": loads(META) | changes,
        "timestamp": [1739975400, 1739975700, 1739976000],
        "indicators": {"quote": [{"close": [244.1, Decimal("244.5"), None]}]},
    }
    return {"spark": {"result": [{"symbol": "AAPL", "response": [response]}], "error": None}}


def read(instrument: Instrument = AAPL, **changes: Any) -> Quote:
    row = replace(read_spark(spark(**changes))["AAPL"], came_at=NOW)
    return read_row(row, instrument).quote


def message(**fields: Any) -> dict[str, Any]:
    return {"type": "pricing", "message": b64encode(encode(**fields)).decode()}


def frame(**fields: Any) -> Frame:
    found = read_frame(message(**{"id": "AAPL", "price": 101.0, "market_hours": 1} | fields))
    assert found
    return found


MARKET = Market(
    unit=Unit("USD"),
    kind=kinds.of("stock"),
    crypto=False,
    zone=ZoneInfo("America/New_York"),
    delay=0,
    hours=(),
)
QUOTE = Quote(
    symbol="AAPL",
    provider="yahoo",
    currency="USD",
    last=Decimal(100),
    received_at=NOW,
    source_time=NOW - timedelta(minutes=1),
    high=Decimal("101.5"),
    low=Decimal("99.25"),
    reference=Decimal("99.5"),
    reference_kind="prev_close",
    volume=Decimal(1000),
    volume_window="session",
    session="regular",
    delay=0,
)
KNOWN = Known(quote=QUOTE, market=MARKET)


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def after(known: Known = KNOWN, **fields: Any) -> Quote | None:
    """Return the quote after a frame, which by default is of this moment."""
    return apply_frame(frame(**{"time": ms(NOW)} | fields), known, NOW)


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with Stub(pulse=60) as found:
        yield found


@asynccontextmanager
async def reading(stub: Stub, **options: Any) -> AsyncIterator[Yahoo]:
    addresses = {"rest_url": stub.rest_url, "ws_url": f"{stub.ws_url}/?version=2"}
    given = {"accept": "personal-use", "timeout": PATIENCE, "silence": PATIENCE}
    provider = Yahoo(**addresses | given | options)
    try:
        yield provider
    finally:
        await provider.aclose()


@pytest.fixture
async def provider(stub: Stub) -> AsyncIterator[Yahoo]:
    async with reading(stub) as found:
        yield found


@asynccontextmanager
async def streaming(
    provider: Yahoo, *instruments: Instrument
) -> AsyncIterator[AsyncIterator[Quote]]:
    async with asyncio.timeout(PATIENCE):
        async with aclosing(provider.stream(instruments)) as stream:  # type: ignore[type-var]
            yield stream


async def failure(provider: Yahoo, *instruments: Instrument) -> ProviderError:
    async with streaming(provider, *instruments) as stream:
        with pytest.raises(ProviderError) as caught:
            [quote async for quote in stream]
    return caught.value


async def ticked(
    stub: Stub, stream: AsyncIterator[Quote], code: str, price: str, **fields: Any
) -> Quote:
    """Return the next quote of a stream, after the stub sent a tick."""
    coming = asyncio.ensure_future(anext(stream))
    await stub.until(lambda: any(stub.watched.values()))
    await stub.tick(code, price, **fields)
    return await coming


# the notice


@pytest.mark.parametrize("options", [{}, {"accept": ""}, {"accept": "yes"}, {"accept": "True"}])
def test_it_is_built_only_if_the_notice_is_accepted(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="for personal use only") as caught:
        make_provider("yahoo", options)
    assert NOTICE in str(caught.value)
    assert "YAHOO_ACCEPT=personal-use" in str(caught.value)
    assert repr(options.get("accept", "")) in str(caught.value)


def test_the_environment_can_accept_it() -> None:
    assert Yahoo.option_names() == ["rest_url", "ws_url", "accept"]
    assert make_provider("yahoo", {"accept": "personal-use"}).name == "yahoo"


# quotes


def test_a_row_becomes_a_quote() -> None:
    assert read() == Quote(
        symbol="AAPL",
        provider="yahoo",
        currency="USD",
        last=Decimal("244.87"),
        received_at=NOW,
        source_time=datetime(2025, 2, 19, 21, 0, 1, tzinfo=UTC),
        high=Decimal("246.01"),
        low=Decimal("243.16"),
        reference=Decimal("244.47"),
        reference_kind="prev_close",
        volume=Decimal(32129951),
        volume_window="session",
        session="regular",
        delay=0,
    )


def test_without_a_previous_close_the_reference_is_that_of_the_chart() -> None:
    quote = read(previousClose=None)
    assert quote
    assert quote.reference == 236


@pytest.mark.parametrize("price", [None, "", "NaN", [], True])
def test_without_a_price_the_last_valid_close_is_the_price(price: Any) -> None:
    quote = read(regularMarketPrice=price)
    assert quote
    assert str(quote.last) == "244.5"
    assert quote.source_time == datetime.fromtimestamp(1739975700, UTC)


@pytest.mark.parametrize("price", [0, Decimal("-37.63")])
def test_no_older_close_takes_the_place_of_a_price_that_is_not_above_0(price: Any) -> None:
    quote = read(regularMarketPrice=price)
    assert quote
    assert (quote.last, quote.source_time) == (price, None)


@pytest.mark.parametrize(
    ("price", "unit", "last"),
    [
        (None, "USD", "0"),
        (0, "USD", "0"),
        ("", "GBp", "0"),
        ("NaN", "USD", "0"),
        (True, "USD", "0"),
        ([], "GBp", "0"),
        (Decimal("-37.63"), "USD", "-37.63"),
        (Decimal("-37.630001068115234"), "USD", "-37.63"),
        (-150, "GBp", "-1.50"),
    ],
)
def test_without_any_price_the_last_is_kept_and_the_rest_is_valid(
    price: Any, unit: str, last: str
) -> None:
    body = spark(regularMarketPrice=price, currency=unit)
    quiet = replace(read_spark(body)["AAPL"], closes=[None, 0, "", -1], came_at=NOW)
    known, priced = read_row(quiet, AAPL), read(currency=unit)
    assert known
    assert priced
    assert (type(known.quote.last), str(known.quote.last)) == (Decimal, last)
    assert known.quote == replace(priced, last=Decimal(last), source_time=None)


def test_a_quote_without_a_price_does_not_reject_a_frame() -> None:
    row = replace(read_spark(spark(regularMarketPrice=-1))["AAPL"], closes=[], came_at=NOW)
    known = read_row(row, AAPL)
    assert known
    connection = Connection([AAPL], {"AAPL": known})
    (quote,) = connection.take(message(id="AAPL", price=247.5, time=ms(NOW), market_hours=1))
    assert (quote.last, quote.source_time) == (Decimal("247.5"), NOW)
    assert (quote.high, quote.low) == (Decimal("247.5"), Decimal("243.16"))
    assert (quote.reference, quote.volume) == (Decimal("244.47"), 32129951)
    assert connection.known["AAPL"].quote == quote


OIL = instrument("CL=F", kind="future")


def test_oil_may_cost_less_than_nothing() -> None:
    last, low, before = map(Decimal, ("-37.63", "-40.32", "18.27"))
    quote = read(OIL, regularMarketPrice=last, regularMarketDayLow=low, previousClose=before)
    assert (quote.last, quote.low, quote.reference) == (last, low, before)
    assert quote.source_time == datetime(2025, 2, 19, 21, 0, 1, tzinfo=UTC)


def test_a_frame_of_oil_may_have_prices_below_zero() -> None:
    market = replace(MARKET, kind=kinds.of("future"))
    known = Known(quote=replace(QUOTE, low=Decimal(-1)), market=market)
    quote = after(known, price=-37.63, change=-55.9, bid=-37.65, ask=-37.6, market_hours=1)
    assert quote
    assert (str(quote.last), str(quote.bid), str(quote.ask)) == ("-37.63", "-37.65", "-37.6")
    assert (str(quote.reference), quote.low) == ("18.27", Decimal(-1))


def test_candles_of_oil_may_be_below_zero() -> None:
    start = datetime(2020, 4, 20, 18, 0, tzinfo=UTC)
    result = chart(60, start)
    prices = {"open": 2, "high": 3, "low": Decimal("-40.32"), "close": Decimal("-37.63")}
    result["indicators"] = {"quote": [{name: [price] for name, price in prices.items()}]}
    (candle,) = read_candles(result, OIL, 60).values()
    assert (candle.low, candle.close) == (Decimal("-40.32"), Decimal("-37.63"))
    assert read_candles(result, AAPL, 60) == {}


@pytest.mark.parametrize("kind", ["index", "currency", "future"])
def test_the_session_of_a_market_without_extended_hours_is_not_read_from_a_frame(kind: str) -> None:
    hours = (("regular", int(NOW.timestamp()) - 60, int(NOW.timestamp()) + 60),)
    market = replace(MARKET, kind=kinds.of(kind), hours=hours)
    quote = after(Known(quote=QUOTE, market=market), market_hours=0)
    assert quote
    assert quote.session == "regular"


@pytest.mark.parametrize(
    ("kind", "volume"),
    [("index", None), ("currency", None), ("fund", None), ("stock", 0), ("future", 0)],
)
def test_the_fields_that_an_index_lacks_are_none(kind: str, volume: int | None) -> None:
    nothing = {"regularMarketDayHigh": 0, "regularMarketDayLow": 0, "regularMarketVolume": 0}
    quote = read(replace(AAPL, kind=kind), **nothing, bid=0)
    assert quote
    assert (quote.bid, quote.ask, quote.high, quote.low, quote.open) == (None,) * 5
    assert quote.volume == volume


@pytest.mark.parametrize(
    ("unit", "currency", "last"),
    [
        ("GBp", "GBP", "2.4487"),
        ("ZAc", "ZAR", "2.4487"),
        ("ila", "ILS", "2.4487"),
        ("GBX", "GBP", "2.4487"),
        ("USX", "USD", "2.4487"),
        ("KWF", "KWD", "0.24487"),
        ("gbp", "GBP", "244.87"),
        ("GBP", "GBP", "244.87"),
        ("EUR", "EUR", "244.87"),
    ],
)
def test_pence_become_pounds(unit: str, currency: str, last: str) -> None:
    quote = read(currency=unit)
    assert quote
    assert (quote.currency, str(quote.last)) == (currency, last)
    assert quote.reference
    assert quote.high
    assert quote.high / quote.last == Decimal("246.01") / Decimal("244.87")
    assert quote.change_percent == Decimal("0.40") / Decimal("244.47") * 100


@pytest.mark.parametrize(
    ("code", "minutes"),
    [
        ("AAPL", 0),
        ("BRK-B", 0),
        ("BTC-USD", 0),
        ("SUI20947-USD", 0),
        ("^GSPC", 0),
        ("SHEL.L", 15),
        ("SAP.DE", 15),
        ("0700.HK", 15),
        ("^FTSE", 15),
        ("7203.T", 20),
        ("000001.SS", 30),
        ("RELIANCE.NS", None),
        ("M&M.NS", None),
        ("^BSESN", None),
        ("EURUSD=X", 0),
        ("ES=F", 10),
        ("^RUT", 15),
        ("^VIX", None),
        ("RY.TO", 15),
        ("2330.TW", 20),
        ("ENEL.MI", None),
    ],
)
def test_a_quote_has_the_delay_of_its_exchange(code: str, minutes: int | None) -> None:
    quote = read(instrument(code))
    assert quote
    assert quote.delay == (None if minutes is None else minutes * 60)


def test_the_delay_of_an_option_is_unknown() -> None:
    assert read(instrument("AAPL220121C00025000"), instrumentType="OPTION").delay is None


@pytest.mark.parametrize(
    ("number", "kind", "shown"),
    [
        ("103.50390625", "future", "103.50390625"),  # in 1/256, as two-year Treasuries
        ("108.0078125", "future", "108.0078125"),
        ("99.984375", "bond", "99.984375"),
        ("-37.63", "future", "-37.63"),
        ("61.369998931884766", "future", "61.37"),  # the nearest float of 32 bits
        ("6012.25", "future", "6012.25"),
        ("1024.00390625", "future", "1024.0039"),  # from here on, floats can't show it
        ("103.50390625", "stock", "103.50391"),
    ],
)
def test_a_price_in_parts_of_256_keeps_its_digits(number: str, kind: str, shown: str) -> None:
    assert str(read(replace(AAPL, kind=kind), regularMarketPrice=Decimal(number)).last) == shown
    market = replace(MARKET, kind=kinds.of(kind))
    quote = after(Known(quote=QUOTE, market=market), price=float(number))
    assert quote
    assert str(quote.last) == shown


def test_a_fund_has_no_session() -> None:
    fund = read(instrument("VFIAX", kind="fund"))
    assert fund.session is None


def test_crypto_never_closes_and_its_volume_in_money_is_left_out() -> None:
    quote = read(instrumentType="CRYPTOCURRENCY")
    assert quote
    assert (quote.session, quote.reference_kind) == ("always", "utc_day")
    assert (quote.volume, quote.volume_window) == (None, None)


@pytest.mark.parametrize(
    ("moment", "extended", "session"),
    [
        (1740042000, True, "pre"),
        (1740042000, False, "closed"),
        (1740061800, True, "regular"),
        (1740085199, False, "regular"),
        (1740085200, True, "post"),
        (1740099600, True, "closed"),
        (1740000000, True, "closed"),
    ],
)
def test_the_hours_of_the_day_decide_the_session(moment: int, extended: bool, session: str) -> None:
    row = read_spark(spark(hasPrePostMarketData=extended))["AAPL"]
    known = read_row(replace(row, came_at=datetime.fromtimestamp(moment, UTC)), AAPL)
    assert known
    assert known.quote.session == session


def test_the_other_form_of_spark_is_read_too() -> None:
    body = {
        "AAPL": {
            "symbol": "AAPL",
            "timestamp": [1739975400, 1739975700, 1739976000],
            "close": [Decimal("241.1"), None, Decimal("244.6")],
            "previousClose": Decimal("241.53"),
            "chartPreviousClose": Decimal("241.53"),
            "dataGranularity": 300,
            "end": None,
            "start": None,
        }
    }
    known = read_row(read_spark(body)["AAPL"], AAPL)
    assert known
    assert (str(known.quote.last), str(known.quote.reference)) == ("244.6", "241.53")
    assert known.quote.source_time == datetime.fromtimestamp(1739976000, UTC)
    assert known.quote.session is None


@pytest.mark.parametrize(
    ("code", "currency", "fault"),
    [
        ("SHEL.L", None, "SHEL.L has no currency, and its prices may be in hundredths of one"),
        (
            "SAP.DE",
            "E" * 1_000_000,
            f"SAP.DE has the currency '{'E' * 39}, must be 2 to 10 letters",
        ),
        ("SAP.DE", "EU\nR", r"SAP.DE has the currency 'EU\nR', must be 2 to 10 letters or digits"),
        ("SAP.DE", 978, "SAP.DE has the currency 978, must be 2 to 10 letters or digits"),
        ("SAP.DE", None, ""),
    ],
)
async def test_prices_in_an_unknown_unit_are_left_out(code: str, currency: Any, fault: str) -> None:
    row = {"close": [2743.5, 2744.5], "timestamp": [1, 2]}
    stated = {} if currency is None else {"currency": currency}

    class Odd(Stub):
        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            return 200, {code: row | stated}

    async with Odd() as stub, reading(stub) as provider:
        wanted = [instrument(code, "EUR")]
        assert len(await provider.quotes(wanted)) == (not fault)
        assert provider.standing.unknown.get(code, "")[: len(fault)] == fault


@pytest.mark.parametrize("flat", [False, True])
async def test_both_forms_bring_quotes(flat: bool) -> None:
    async with Stub(flat=flat) as stub, reading(stub) as provider:
        quotes = await provider.quotes([instrument("SAP.DE", "EUR"), AAPL])
    assert [(quote.symbol, quote.currency) for quote in quotes] == [
        ("SAP.DE", "EUR"),
        ("AAPL", "USD"),
    ]
    assert [quote.last for quote in quotes] == [Decimal("210.05"), Decimal(101)]


async def test_many_symbols_come_in_batches_of_twenty(stub: Stub, provider: Yahoo) -> None:
    codes = [f"S{number}" for number in range(2 * BATCH + 1)]
    stub.enlist(*codes)
    quotes = await provider.quotes([instrument(code) for code in codes])
    assert [quote.symbol for quote in quotes] == codes
    assert [len(query["symbols"].split(",")) for query in stub.queries] == [20, 20, 1]
    assert provider.standing.budget.spent_in_minute() == 3


async def test_two_instruments_may_share_a_code(stub: Stub, provider: Yahoo) -> None:
    instruments = [AAPL, replace(AAPL, symbol="APPLE")]
    assert [quote.symbol for quote in await provider.quotes(instruments)] == ["AAPL", "APPLE"]
    assert [query["symbols"] for query in stub.queries] == ["AAPL"]
    async with streaming(provider, *instruments) as stream:
        assert [(await anext(stream)).symbol for _ in instruments] == ["AAPL", "APPLE"]
        assert (await ticked(stub, stream, "AAPL", "102")).symbol == "AAPL"
        assert (await anext(stream)).symbol == "APPLE"


async def test_symbols_that_an_answer_lacks_are_dropped(provider: Yahoo) -> None:
    quotes = await provider.quotes([instrument("NOPE"), AAPL])
    assert [quote.symbol for quote in quotes] == ["AAPL"]
    assert provider.standing.unknown == {"NOPE": "NOPE is not known to Yahoo"}


async def test_a_batch_of_unknown_symbols_does_not_affect_the_others(
    stub: Stub, provider: Yahoo
) -> None:
    codes = [f"NOPE{number}" for number in range(BATCH)]
    quotes = await provider.quotes([*(instrument(code) for code in codes), AAPL])
    assert [quote.symbol for quote in quotes] == ["AAPL"]
    assert set(provider.standing.unknown) == set(codes)
    stub.enlist("NOPE3")
    assert await provider.quotes([instrument("NOPE3")])
    assert "NOPE3" not in provider.standing.unknown


class Partly(Stub):
    """Answers 500 for a batch with BAD in it."""

    fails = True

    def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        failed = self.fails and "BAD" in query["symbols"].split(",")
        return (500, {}) if failed else super().rest(path, query)


async def test_a_batch_that_fails_twice_rests_and_the_others_are_streamed_without_it() -> None:
    codes = ["BAD", *(f"S{number}" for number in range(2 * BATCH - 1))]
    instruments = [instrument(code) for code in codes]
    async with Partly() as stub, reading(stub) as provider:
        stub.enlist(*codes)
        with pytest.raises(ProviderError, match="yahoo did not answer for all symbols"):
            async with streaming(provider, *instruments) as stream:
                await anext(stream)
        assert provider.standing.resting == {}
        provider.unheard_after = 0.01
        async with streaming(provider, *instruments) as stream:
            assert {(await anext(stream)).symbol for _ in range(BATCH)} == set(codes[BATCH:])
            assert set(provider.standing.resting) == set(codes[:BATCH])
            stub.fails = False
            provider.faults.clock = lambda: inf  # they no longer rest
            assert await anext(quote async for quote in stream if quote.symbol == "BAD")
        assert provider.standing.resting == {}


async def test_a_failure_of_a_code_that_is_gone_stops_no_stream() -> None:
    async with Partly() as stub, reading(stub) as provider:
        with pytest.raises(ProviderError):
            await provider.quotes([instrument("BAD")])
        async with streaming(provider, AAPL) as stream:
            assert (await anext(stream)).symbol == "AAPL"


async def test_an_empty_answer_drops_no_code(stub: Stub, provider: Yahoo) -> None:
    stub.mode = "empty"
    assert await provider.quotes([AAPL]) == []
    assert provider.standing.unknown == {}


async def test_a_missing_address_drops_no_code() -> None:
    class Moved(Stub):
        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            return 404, {"message": "no such page"}

    async with Moved() as stub, reading(stub) as provider:
        with pytest.raises(ProviderError, match="/v7/finance/spark answered 404 not found"):
            await provider.quotes([AAPL])
        assert provider.standing.unknown == {}


async def test_the_agent_has_the_form_of_a_browsers(stub: Stub, provider: Yahoo) -> None:
    await provider.quotes([AAPL])
    assert stub.headers["User-Agent"] == AGENT
    assert "crumb" not in stub.queries[0]


# candles


async def test_candles_are_of_the_requested_period(stub: Stub, provider: Yahoo) -> None:
    period = (NOON + timedelta(seconds=30), NOON + timedelta(hours=2))
    candles = await provider.candles(AAPL, 300, *period)
    assert len(candles) == 20  # of 23: every tenth has no trade
    assert candles[0].start == NOON + timedelta(minutes=5)
    assert candles[-1].start == NOON + timedelta(minutes=115)
    assert {query["interval"] for query in stub.queries} == {"5m"}


async def test_the_tick_at_the_end_of_a_chart_is_not_a_candle(provider: Yahoo) -> None:
    now = datetime.now(UTC)
    candles = await provider.candles(AAPL, 300, now - timedelta(hours=3), now + timedelta(hours=1))
    assert candles
    assert {candle.start.timestamp() % 300 for candle in candles} == {0}


def chart(step: int, *moments: datetime, zone: str = "America/New_York", **meta: Any) -> Any:
    bars = {name: [Decimal("75.0875015258789")] * len(moments) for name in COLUMNS}
    return {
        "meta": {"currency": "USD", "exchangeTimezoneName": zone} | meta,
        "timestamp": [int(moment.timestamp()) for moment in moments],
        "indicators": {"quote": [bars | {"volume": [135480400] * len(moments)}]},
    }


COLUMNS = ("open", "high", "low", "close")


@pytest.mark.parametrize("tick", [timedelta(minutes=7), timedelta(minutes=10, seconds=11)])
def test_a_row_between_two_steps_is_not_a_candle(tick: timedelta) -> None:
    moments = [NOON, NOON + timedelta(minutes=5), NOON + tick]
    found = [candle.start for candle in read_candles(chart(300, *moments), AAPL, 300).values()]
    assert found == moments[:2]


def test_a_day_with_a_break_has_candles_after_it() -> None:
    moments = [NOON + timedelta(minutes=minutes) for minutes in (-90, -30, 60, 120)]
    found = [candle.start for candle in read_candles(chart(3600, *moments), AAPL, 3600).values()]
    assert found == moments


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        ("America/New_York", datetime(2026, 1, 5, 14, 30, tzinfo=UTC), 5),
        ("America/New_York", datetime(2026, 1, 5, 18, 2, 11, tzinfo=UTC), 5),  # today, not complete
        ("Australia/Sydney", datetime(2026, 1, 4, 23, 0, tzinfo=UTC), 5),
        ("Asia/Tokyo", datetime(2026, 1, 5, 0, 0, tzinfo=UTC), 5),
        ("Europe/London", datetime(2026, 7, 4, 23, 0, tzinfo=UTC), 5),  # a day in summer time
    ],
)
def test_a_days_candle_begins_with_the_local_date(zone: str, moment: datetime, day: int) -> None:
    ((start, candle),) = read_candles(
        chart(86_400, moment, zone=zone, gmtoffset=0), AAPL, 86_400
    ).items()
    assert candle.start == datetime(2026, moment.month, day, tzinfo=UTC)
    assert start == candle.start.timestamp()
    assert candle.volume == 135480400


def test_an_unknown_zone_is_replaced_by_its_offset() -> None:
    moment = datetime(2026, 1, 4, 23, 0, tzinfo=UTC)
    result = chart(86_400, moment, zone="Atlantis/Capital", gmtoffset=39_600)
    ((_, candle),) = read_candles(result, AAPL, 86_400).items()
    assert candle.start == datetime(2026, 1, 5, tzinfo=UTC)


async def test_days_are_requested_with_one_more_at_each_end(stub: Stub, provider: Yahoo) -> None:
    start, end = NOON - timedelta(days=10, hours=12), NOON - timedelta(hours=12)
    candles = await provider.candles(AAPL, 86_400, start, end)
    assert {candle.start.hour for candle in candles} == {0}
    assert all(start <= candle.start < end for candle in candles)
    (query,) = stub.queries
    assert int(query["period1"]) == start.timestamp() - 86_400
    assert int(query["period2"]) == end.timestamp() + 86_400


def test_candles_have_their_original_digits() -> None:
    ((_, candle),) = read_candles(chart(60, NOON), AAPL, 60).items()
    assert str(candle.close) == "75.0875"
    ((_, pence),) = read_candles(chart(60, NOON, currency="GBp"), AAPL, 60).items()
    assert str(pence.close) == "0.750875"


@pytest.mark.parametrize(
    "result",
    [
        {"meta": {"currency": "USD"}, "indicators": {"quote": [{}]}},
        {"meta": {"currency": "USD"}, "timestamp": [1767614400], "indicators": {"quote": [{}]}},
        {"meta": None, "timestamp": [1767614400], "indicators": None},
        None,
    ],
)
def test_a_chart_without_bars_has_no_candles(result: Any) -> None:
    assert read_candles(result, AAPL, 60) == {}


async def test_minutes_are_requested_a_week_at_a_time(stub: Stub, provider: Yahoo) -> None:
    await provider.candles(AAPL, 60, NOON - timedelta(days=15), NOON)
    spans = [int(query["period2"]) - int(query["period1"]) for query in stub.queries]
    assert spans == [7 * 86_400, 7 * 86_400, 86_400]


async def test_too_old_candles_are_an_error_in_yahoos_words() -> None:
    class Strict(Stub):
        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            words = "1m data not available. Only 8 days worth of 1m granularity data are allowed"
            error = {"code": "Unprocessable Entity", "description": words}
            return 422, {"chart": {"result": None, "error": error}}

    async with Strict() as stub, reading(stub) as provider:
        with pytest.raises(ProviderError, match="422 unprocessable entity: 1m data not available"):
            await provider.candles(AAPL, 60, NOON - timedelta(hours=1), NOON)


async def test_a_period_without_trades_has_no_candles() -> None:
    class Weekend(Stub):
        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            words = "Data doesn't exist for startDate = 1767441600, endDate = 1767445200"
            error = {"code": "Bad Request", "description": words}
            return 400, {"chart": {"result": None, "error": error}}

    async with Weekend() as stub, reading(stub) as provider:
        assert await provider.candles(AAPL, 60, NOON - timedelta(hours=1), NOON) == []


@pytest.mark.parametrize("code", ["NOPE", "../spark", "A B?c=d#e/f"])
async def test_an_unknown_symbol_has_no_candles(provider: Yahoo, code: str) -> None:
    assert await provider.candles(instrument(code), 60, NOON - timedelta(hours=1), NOON) == []
    assert provider.standing.unknown == {code: f"{code}: No data found, symbol may be delisted"}


async def test_an_index_is_requested_by_its_code(stub: Stub, provider: Yahoo) -> None:
    assert await provider.candles(instrument("^GSPC"), 60, NOON - timedelta(hours=1), NOON)
    assert stub.requests == {"/v8/finance/chart/%5EGSPC": 1}


async def test_steps_that_it_lacks_are_refused(provider: Yahoo) -> None:
    with pytest.raises(
        ProviderError, match="yahoo has no candles of 42 s, must be one of: 60, 120"
    ):
        await provider.candles(AAPL, 42, NOON, NOON)


# errors


@pytest.mark.parametrize(("retry_after", "seconds"), [("", COOL_DOWN), ("7", 7)])
async def test_a_429_causes_a_back_off(retry_after: str, seconds: float) -> None:
    async with Stub(retry_after=retry_after) as stub, reading(stub) as provider:
        stub.mode = "rate_limited"
        with pytest.raises(ProviderError, match="429 too many requests") as caught:
            await provider.quotes([AAPL])
        assert caught.value.retry_after == seconds
        assert not caught.value.refused


async def test_a_429_for_the_stream_causes_a_back_off() -> None:
    async with Stub() as quotes, Stub(retry_after="") as frames:
        frames.mode = "rate_limited"
        async with reading(quotes, ws_url=frames.ws_url) as provider:
            error = await failure(provider, AAPL)
    assert error.retry_after == COOL_DOWN


@pytest.mark.parametrize("status", [401, 200])
async def test_a_request_for_a_crumb_is_a_refusal(status: int) -> None:
    class Crumbs(Stub):
        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            return status, self.refused[1]

    async with Crumbs() as stub, reading(stub) as provider:
        with pytest.raises(ProviderError, match="Invalid Crumb") as caught:
            await provider.quotes([AAPL])
    assert caught.value.refused


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "a JSON list, not a JSON object"),
        (None, "null, not a JSON object"),
        ("Too Many", "a JSON string, not a JSON object"),
    ],
)
async def test_an_answer_of_another_kind_is_an_error(document: Any, words: str) -> None:
    class Odd(Stub):
        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            return 200, document

    async with Odd() as stub, reading(stub) as provider:
        with pytest.raises(ProviderError, match=words):
            await provider.quotes([AAPL])


# stream


async def test_a_stream_begins_with_a_quote_of_each(stub: Stub, provider: Yahoo) -> None:
    instruments = [instrument(code) for code in stub.metas]
    async with streaming(provider, *instruments) as stream:
        came = [(await anext(stream)).symbol for _ in instruments]
        assert stub.connects == 0
    assert came == list(stub.metas)


async def test_a_tick_updates_the_quote(stub: Stub, provider: Yahoo) -> None:
    async with streaming(provider, AAPL) as stream:
        first = await anext(stream)
        quote = await ticked(stub, stream, "AAPL", "101.75")
    assert str(quote.last) == "101.75"
    assert quote.high == Decimal("101.75")
    assert (quote.low, quote.reference, quote.volume) == (
        first.low,
        first.reference,
        first.volume,
    )
    assert (quote.session, quote.reference_kind) == ("regular", "prev_close")
    assert quote.source_time


async def test_ticks_in_pence_are_in_pounds(stub: Stub, provider: Yahoo) -> None:
    async with streaming(provider, instrument("SHEL.L", "GBP")) as stream:
        await anext(stream)
        changes = {"bid": 2744.25, "ask": 2744.75, "currency": "GBp"}
        quote = await ticked(stub, stream, "SHEL.L", "2744.5", **changes)
    assert (str(quote.last), quote.currency) == ("27.445", "GBP")
    assert (str(quote.bid), str(quote.ask)) == ("27.4425", "27.4475")
    assert quote.reference == 27


@pytest.mark.parametrize(
    ("code", "delay"), [("SHEL.L", 900), ("AAPL", 0), ("BTC-USD", 0), ("^STOXX50E", None)]
)
async def test_ticks_have_the_delay_of_the_quote_they_update(
    stub: Stub, provider: Yahoo, code: str, delay: int | None
) -> None:
    stub.enlist("^STOXX50E")
    async with streaming(provider, instrument(code)) as stream:
        came = [await anext(stream), await ticked(stub, stream, code, "10.5")]
        await stub.send_all(stub.frame(code, price=-1.0))  # not a price
        came.append(await anext(stream))
    assert [quote.delay for quote in came] == [delay] * 3


async def test_unknown_symbols_are_not_subscribed_to(stub: Stub, provider: Yahoo) -> None:
    async with streaming(provider, instrument("NOPE"), AAPL, instrument("^GSPC")) as stream:
        for _ in range(2):
            await anext(stream)
        await ticked(stub, stream, "AAPL", "102")
    assert stub.subscriptions[0] == {"subscribe": ["AAPL", "^GSPC"]}
    assert set(provider.standing.unknown) == {"NOPE"}


async def test_a_stream_of_only_unknown_symbols_is_an_error(stub: Stub, provider: Yahoo) -> None:
    assert str(await failure(provider, instrument("NOPE"))) == "yahoo knows none of the codes"
    assert stub.connects == 0


async def test_a_stream_brings_a_price_for_a_symbol_without_one() -> None:
    class New(Stub):
        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            return 200, {"AAPL": {"close": [], "previousClose": 100}}

    async with New() as stub, reading(stub) as provider, streaming(provider, AAPL) as stream:
        first = await anext(stream)
        assert (first.last, first.reference) == (0, 100)
        quote = await ticked(stub, stream, "AAPL", "101.25", time=None)
    assert (quote.last, quote.reference) == (Decimal("101.25"), 100)


async def test_the_whole_subscription_is_repeated(stub: Stub) -> None:
    async with reading(stub, beat=0.01) as provider, streaming(provider, AAPL) as stream:
        await anext(stream)
        coming = asyncio.ensure_future(anext(stream))
        await stub.until(lambda: len(stub.subscriptions) >= 3)
        await stub.tick("AAPL", "102")
        await coming
    assert {str(each) for each in stub.subscriptions} == {"{'subscribe': ['AAPL']}"}


@asynccontextmanager
async def streaming_many(count: int) -> AsyncIterator[tuple[Stub, AsyncIterator[Quote], list[str]]]:
    """Stream so many symbols that need several connections, after the first quote of each."""
    codes = [f"C{number}" for number in range(count)]
    async with Stub(pulse=60) as stub, reading(stub) as provider:
        stub.enlist(*codes)
        async with streaming(provider, *map(instrument, codes)) as stream:
            for _ in codes:
                await anext(stream)
            yield stub, stream, codes


async def test_more_than_100_symbols_are_spread_over_connections() -> None:
    async with streaming_many(250) as (stub, stream, codes):
        coming = asyncio.ensure_future(anext(stream))
        await stub.until(lambda: sum(map(len, stub.watched.values())) == 250)
        assert sorted(map(len, stub.watched.values())) == [50, 100, 100]
        for code in (codes[0], codes[-1]):
            await stub.tick(code, "12.25")
            assert (await coming).symbol == code
            coming = asyncio.ensure_future(anext(stream))
        coming.cancel()


async def test_one_connection_that_ends_ends_the_stream() -> None:
    async with streaming_many(101) as (stub, stream, _):
        coming = asyncio.ensure_future(anext(stream))
        await stub.until(lambda: len(stub.watched) == 2)
        next(iter(stub.watched)).transport.abort()
        with pytest.raises(ProviderError, match="ended the stream"):
            await coming
        await stub.until(lambda: not stub.watched)


@pytest.mark.parametrize(("session", "is_polled"), [("regular", True), ("closed", False)])
async def test_a_symbol_that_never_ticks_is_polled_while_its_market_is_open(
    session: str, is_polled: bool
) -> None:
    class Mute(Stub):
        async def _publish(self, code: str, **fields: Any) -> None:
            if code != "SAP.DE":
                await super()._publish(code, **fields)

    async with Mute(pulse=60, session=session) as stub, reading(stub) as provider:
        provider.unheard_after = 0.02
        async with streaming(provider, AAPL, instrument("SAP.DE", "EUR")) as stream:
            for _ in range(2):
                await anext(stream)
            quote = await ticked(stub, stream, "AAPL", "102")
            while quote.last != 102:  # it was polled just before
                quote = await anext(stream)
            await stub.tick("SAP.DE", "215.5")
            if is_polled:
                while quote.last != Decimal("215.5"):
                    quote = await anext(stream)
                assert quote.symbol == "SAP.DE"
                # AAPL ticks, so it is no longer polled; the newest poll may be from before
                await stub.until(lambda: stub.queries[-1]["symbols"] == "SAP.DE")
            else:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.3):
                        await anext(stream)
                assert len(stub.queries) == 1


async def test_messages_without_a_price_are_skipped(stub: Stub, provider: Yahoo) -> None:
    async with streaming(provider, AAPL) as stream:
        await anext(stream)
        await ticked(stub, stream, "AAPL", "102")
        for odd in ({}, {"type": "ping"}, {"message": None}, {"message": "%"}, {"message": "AAAA"}):
            await stub.send_all(odd)
        await stub.send_all(message(id="AAPL", price=0.0, time=ms(NOW)))
        await stub.send_all(message(id="MSFT", price=500.0))  # not requested
        await stub.tick("AAPL", "102.5", time=ms(NOW))  # too old
        await stub.tick("AAPL", "103")
        assert (await anext(stream)).last == 103


async def test_a_stream_that_hangs_up_is_an_error(stub: Stub, provider: Yahoo) -> None:
    async with streaming(provider, AAPL) as stream:
        await anext(stream)
        await ticked(stub, stream, "AAPL", "102")
        await stub.hang_up()
        with pytest.raises(ProviderError, match="ended the stream") as caught:
            await anext(stream)
    assert caught.value.retry_after is None


async def test_silence_while_a_market_is_open_ends_the_stream(stub: Stub) -> None:
    async with reading(stub, silence=0.5) as provider:
        assert str(await failure(provider, AAPL)) == "no message for 0.5 s"


async def test_silence_while_all_markets_are_closed_does_not_end_the_stream() -> None:
    instruments = [AAPL, instrument("SAP.DE", "EUR")]
    async with (
        Stub(pulse=60, session="closed") as stub,
        reading(stub, silence=0.5) as provider,
        streaming(provider, *instruments) as stream,
    ):
        for _ in instruments:
            await anext(stream)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await anext(stream)


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [
        (1740061800, 0),  # it opens
        (1740085199, 0),
        (1740085200, MAX_QUIET),  # it has closed
        (1740061800 - 60, 60),
        (1740061800 - 86_400, MAX_QUIET),
    ],
)
def test_a_closed_market_is_quiet_until_it_opens(moment: int, seconds: float) -> None:
    known = read_row(read_spark(spark())["AAPL"], AAPL)
    assert known
    assert quiet([known.market], datetime.fromtimestamp(moment, UTC)) == seconds
    crypto = replace(known, market=replace(known.market, crypto=True))
    both = [known.market, crypto.market]
    assert quiet(both, datetime.fromtimestamp(moment, UTC)) == 0


# frames


def test_a_frame_is_read_from_its_bytes() -> None:
    found = read_frame({"message": b64encode(BYTES).decode()})
    assert found
    assert (found.code, str(found.last), found.session) == ("AAPL", "101", "regular")
    assert found.time == datetime(2025, 2, 20, 15, 0, tzinfo=UTC)
    assert found.reference == 100


def test_a_documented_frame_is_read() -> None:
    raw = (
        "CgdCVEMtVVNEFYoMuUcYwLCVgIplIgNVU0QqA0NDQzApOAFFPWrEP0iAgOrxvANVx/25R12csrRHZYD8skR9"
        "/7i0R7ABgIDq8bwD2AEE4AGAgOrxvAPoAYCA6vG8A/IBA0JUQ4ECAAAAwPrjckGJAgAA2P5ZT3tC"
    )
    found = read_frame({"type": "pricing", "message": raw})
    assert found == Frame(
        code="BTC-USD",
        last=Decimal("94745.08"),
        prices={
            "high": Decimal("95227.555"),
            "low": Decimal("92517.22"),
            "open": Decimal("92529.99"),
        },
        reference=Decimal("93313.19"),
        of_today=False,
        time=datetime(2025, 1, 10, 11, 39, tzinfo=UTC),
        session="regular",
        volume=Decimal(59712028672),
    )


def test_a_frame_of_bitcoin_is_read_to_the_last_digit() -> None:
    sent = message(
        id="BTC-USD",
        price=94745.08,
        time=1736509140000,
        currency="USD",
        exchange="CCC",
        quote_type=41,
        market_hours=1,
        change_percent=1.5344921,
        day_volume=59712028672,
        day_high=95227.555,
        day_low=92517.22,
        change=1431.8906,
        open_price=92529.99,
        price_hint=2,
        market_cap=1.34e12,
    )
    found, change = read_frame(sent), single(read_fields(b64decode(sent["message"]))[CHANGE])
    assert found
    assert change
    assert str(shortest(change)) == "1431.8906"
    assert found.time == datetime(2025, 1, 10, 11, 39, tzinfo=UTC)
    assert found.volume == 59712028672
    assert str(found.last) == "94745.08"
    assert {name: str(number) for name, number in found.prices.items()} == {
        "high": "95227.555",
        "low": "92517.22",
        "open": "92529.99",
    }
    assert str(found.reference) == "93313.19"


@pytest.mark.parametrize(
    ("price", "change", "reference"),
    [
        (1346.86, -4.6900635, "1351.55"),  # its price hint allows four digits
        (230.605, -0.9850006, "231.59"),
        (0.00001234, 3.3999913e-07, "0.000012"),
    ],
)
def test_the_reference_has_its_original_digits(price: float, change: float, reference: str) -> None:
    assert str(frame(price=price, change=change, price_hint=4).reference) == reference


def test_a_frame_without_hours_is_before_the_opening_because_zeros_are_not_sent() -> None:
    assert b"\x38" not in encode(id="AAPL", price=101.0, market_hours=0)
    assert frame(market_hours=0).session == "pre"
    assert [frame(market_hours=number).session for number in (1, 2, 3)] == [
        "regular",
        "post",
        "post",
    ]


def test_a_frame_with_few_fields_keeps_the_others() -> None:
    quote = after(price=100.5)
    assert quote == replace(QUOTE, last=Decimal("100.5"), source_time=NOW)


def test_high_and_low_include_the_last_in_regular_hours() -> None:
    above, below = after(price=102.25), after(price=98.5)
    assert above
    assert below
    assert (above.high, above.low) == (Decimal("102.25"), Decimal("99.25"))
    assert (below.high, below.low) == (Decimal("101.5"), Decimal("98.5"))
    late = after(price=102.25, market_hours=2)
    assert late
    assert (late.high, late.session) == (Decimal("101.5"), "post")


def test_after_hours_the_reference_stays() -> None:
    # A real frame: 1.88 above the close of the same day, which is not the change of a day.
    quote = after(price=249.8712, change=1.8811951, market_hours=2)
    assert quote
    assert quote.reference == Decimal("99.5")
    assert str(quote.last) == "249.8712"


@pytest.mark.parametrize("moment", [NOW + timedelta(hours=7), NOW + timedelta(hours=10)])
def test_at_night_the_reference_is_the_last_close(moment: datetime) -> None:
    # before and after midnight in New York, when a new day begins without the last one's values
    quote = apply_frame(
        frame(price=101.5, change=0.5, market_hours=4, time=ms(moment)), KNOWN, moment
    )
    assert quote
    assert (quote.reference, quote.reference_kind, quote.session) == (101, "prev_close", "post")


@pytest.mark.parametrize("hours_of_market", [0, 1])
def test_before_and_in_regular_hours_the_change_gives_the_reference(hours_of_market: int) -> None:
    quote = after(price=230.605, change=-0.9850006, price_hint=2, market_hours=hours_of_market)
    assert quote
    assert str(quote.reference) == "231.59"
    assert quote.reference_kind == "prev_close"


def test_a_previous_close_is_the_reference_if_nothing_changed() -> None:
    quote = after(price=100.0, change=0.0, previous_close=100.0)
    assert quote
    assert (quote.reference, quote.change) == (100, 0)


def test_the_change_of_crypto_is_of_24_hours_and_its_volume_is_money() -> None:
    market = replace(MARKET, crypto=True, zone=UTC)
    known = Known(quote=replace(QUOTE, volume=None, reference_kind="utc_day"), market=market)
    quote = after(known, price=101.0, change=2.0, day_volume=59712028672)
    assert quote
    assert (quote.reference, quote.reference_kind) == (99, "rolling_24h")
    assert (quote.volume, quote.session) == (None, "always")


def test_a_volume_that_only_the_stream_has_is_that_of_the_session() -> None:
    bare = replace(QUOTE, volume=None, volume_window=None)
    quote = after(replace(KNOWN, quote=bare), price=101.0, day_volume=5000)
    assert quote
    assert (quote.volume, quote.volume_window) == (5000, "session")


def test_a_new_day_keeps_nothing_of_the_day_before() -> None:
    known = replace(KNOWN, quote=replace(QUOTE, open=Decimal(98), bid=Decimal(97)))
    tomorrow = NOW + timedelta(days=1)
    quote = apply_frame(frame(price=105.0, market_hours=0, time=ms(tomorrow)), known, tomorrow)
    assert quote
    assert (quote.open, quote.high, quote.low, quote.volume, quote.bid) == (None,) * 5
    assert (quote.reference, quote.reference_kind) == (None, "none")
    assert quote.session == "pre"


def test_the_day_ends_at_local_midnight() -> None:
    # Half past seven in the evening in New York: in UTC it is tomorrow.
    late = datetime(2025, 2, 21, 0, 30, tzinfo=UTC)
    quote = apply_frame(frame(price=100.0, market_hours=2, time=ms(late)), KNOWN, late)
    assert quote
    assert (quote.high, quote.volume) == (QUOTE.high, QUOTE.volume)


def test_a_message_that_comes_too_late_is_dropped() -> None:
    assert after(time=ms(NOW - timedelta(minutes=2))) is None
    assert after(time=ms(NOW - timedelta(minutes=1)))


@pytest.mark.parametrize("when", [None, 0, 2**60])
def test_an_invalid_time_of_a_frame_is_none(when: int | None) -> None:
    quote = after(time=when)
    assert quote
    assert (quote.source_time, quote.time) == (None, NOW)


def test_a_bid_above_the_ask_is_passed_on() -> None:
    quote = after(bid=101.5, ask=101.25)
    assert quote
    assert (quote.bid, quote.ask) == (Decimal("101.5"), Decimal("101.25"))


def test_a_new_bid_above_the_old_ask_removes_the_ask() -> None:
    both = replace(KNOWN, quote=replace(QUOTE, bid=Decimal(99), ask=Decimal("99.5")))
    seen = [after(both, bid=100.0), after(both, ask=98.5), after(both, bid=99.25)]
    assert [quote and (quote.bid, quote.ask) for quote in seen] == [
        (100, None),
        (None, Decimal("98.5")),
        (Decimal("99.25"), Decimal("99.5")),
    ]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e35, 1e-35])
def test_an_impossible_price_is_not_a_frame(number: float) -> None:
    assert read_frame(message(id="AAPL", price=number)) is None


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0])
def test_other_invalid_prices_are_left_out(number: float) -> None:
    quote = after(bid=number, day_high=number)
    assert quote
    assert (quote.bid, quote.high) == (None, QUOTE.high)


@pytest.mark.parametrize(
    ("unit", "last"), [("USD", "-37.63"), ("GBp", "-0.3763"), ("KWF", "-0.03763")]
)
def test_a_negative_price_is_passed_on_and_changes_nothing_else(unit: str, last: str) -> None:
    known = replace(KNOWN, market=replace(MARKET, unit=unit_of(unit)))
    connection = Connection([AAPL, replace(AAPL, symbol="APPLE")], {"AAPL": known})
    fields = {"price": -37.63, "change": -1.0, "day_high": 200.0, "bid": 50.0, "market_hours": 2}
    quotes = connection.take(message(id="AAPL", time=ms(NOW), **fields))
    assert [quote.symbol for quote in quotes] == ["AAPL", "APPLE"]
    for quote in quotes:
        changes = {"last": Decimal(last), "source_time": NOW, "received_at": quote.received_at}
        assert quote == replace(QUOTE, symbol=quote.symbol, **changes)
        assert str(quote.last) == last
    assert connection.known == {"AAPL": known}
    late = message(id="AAPL", price=-37.63, time=ms(NOW - timedelta(minutes=2)))
    assert connection.take(late) == []


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_a_zero_that_is_sent_is_passed_on(zero: float) -> None:
    raw = encode(id="AAPL", time=ms(NOW)) + b"\x15" + struct.pack("<f", zero)
    connection = Connection([AAPL], {"AAPL": KNOWN})
    (quote,) = connection.take({"message": b64encode(raw).decode()})
    assert quote == replace(QUOTE, last=Decimal(0), source_time=NOW, received_at=quote.received_at)
    assert connection.known == {"AAPL": KNOWN}


# numbers


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("75.0875015258789", "75.0875"),
        ("145.86000061035156", "145.86"),
        ("234.39999389648438", "234.4"),
        ("0.1234567910432815551", "0.12345679"),
        ("244.87", "244.87"),
        ("84812.4375", "84812.44"),
        ("101.50", "101.50"),
        ("0.123456789012", "0.123456789012"),  # not a float of 32 bits, so it stays as it is
        ("1234567936", "1234567936"),
        ("1234567936.0", "1234567936.0"),
        ("0", "0"),
        ("-37.630001068115234", "-37.63"),
        ('""', "None"),
    ],
)
def test_a_float_gets_its_original_digits_back(written: str, meant: str) -> None:
    assert str(exact(loads(written))) == meant


@given(st.decimals(min_value=Decimal("0.01"), max_value=Decimal(99_999), places=2))
@example(Decimal("84812.44"))
def test_cents_survive_32_bits_in_every_form(price: Decimal) -> None:
    near = to_32_bits(float(price))
    assert shortest(near) == price
    assert exact(loads(json.dumps(near))) == price
    assert single(struct.pack("<f", near)) == near
    found = frame(price=near, bid=near)
    assert found.last == found.prices["bid"] == price


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@example(to_32_bits(1e30))
@example(3.4028234663852886e38)
@example(1.401298464324817e-45)
def test_the_shortest_digits_identify_the_float(number: float) -> None:
    spelled = shortest(number)
    assert to_32_bits(float(spelled)) == number
    assert len(spelled.normalize().as_tuple().digits) <= 9


def positive(number: float, market: Market) -> Decimal | None:
    possible = 1e-30 <= number < 1e31
    return market.unit.convert(shortest(to_32_bits(number))) if possible else None


TEXTS = st.text(max_size=20)
FRAMES = st.fixed_dictionaries(
    {
        "id": st.text(min_size=1, max_size=12),
        "price": st.floats(0.125, 1e6, width=32) | st.floats(-1e6, -0.125, width=32),
    },
    optional={
        name: {
            "text": TEXTS,
            "float": st.floats(width=32),
            "double": st.floats(),
            "signed": st.integers(-(2**62), 2**62),
            "varint": st.integers(0, 2**31),
        }[kind]
        for name, (_, kind) in FIELDS.items()
        if name not in ("id", "price")
    },
)


@given(FRAMES)
@example({"id": "A", "price": 0.125, "price_hint": 2**62, "change": -3.4028234663852886e38})
@example({"id": "A", "price": 1.0, "change": 1.401298464324817e-45, "price_hint": -3})
@example({"id": "A", "price": 1.0, "bid": 2.0, "ask": 1.5, "market_hours": 1})
@example({"id": "A", "price": -1.0, "change": 1.0, "day_low": 0.5, "market_hours": 1})
def test_no_frame_leads_to_an_invalid_price(fields: dict[str, Any]) -> None:
    found = read_frame(message(**fields))
    assert found
    assert found.code == fields["id"]
    assert to_32_bits(float(found.last)) == fields["price"]
    for market in (MARKET, replace(MARKET, unit=unit_of("GBp")), replace(MARKET, crypto=True)):
        quote = apply_frame(found, Known(quote=QUOTE, market=market), NOW)
        if quote is None:
            continue
        assert type(quote.last) is Decimal
        assert quote.last == market.unit.convert(found.last)
        prices = [getattr(quote, name) for name in PRICES if name not in ("last", "volume")]
        assert all(price is None or (price.is_finite() and price > 0) for price in prices)
        if quote.last < 0:
            changes = {"last": quote.last, "source_time": found.time, "received_at": NOW}
            assert quote == replace(QUOTE, **changes)
            continue
        for side in ("bid", "ask"):
            assert getattr(quote, side) == positive(fields.get(side, 0.0), market)
        assert quote.session != "regular" or quote.high >= quote.last >= quote.low


@given(st.binary(max_size=200))
@example(b"\x80" * 20)
@example(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01A")
def test_any_bytes_are_fields_or_an_error(raw: bytes) -> None:
    try:
        fields = read_fields(raw)
    except ValueError:
        fields = {}
    for field in fields.values():
        assert type(signed(field)) is int or type(field) is bytes
        assert text(field) is None or type(field) is bytes
        assert single(field) is None or len(field) == 4  # type: ignore[arg-type]
    read_frame({"message": b64encode(raw).decode()})


@given(FRAMES, st.data())
def test_a_truncated_frame_is_an_error_or_has_fewer_fields(
    fields: dict[str, Any], data: st.DataObject
) -> None:
    whole = encode(**fields)
    part = whole[: data.draw(st.integers(0, len(whole)))]
    try:
        read = read_fields(part)
    except ValueError:
        return
    assert read.items() <= read_fields(whole).items()


# any input

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals().map(str),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=5,
)
METAS = st.dictionaries(st.sampled_from(sorted(json.loads(META))), JSON)


def over_the_wire(value: Any) -> Any:
    return loads(json.dumps(value))


@given(METAS, JSON)
@example({"regularMarketTime": 2**62, "gmtoffset": 10**9, "exchangeTimezoneName": "../x"}, None)
@example({"exchangeTimezoneName": ""}, None)
@example({"exchangeTimezoneName": "America"}, None)
def test_no_row_leads_to_an_invalid_price(changes: dict[str, Any], other: Any) -> None:
    response = {"meta": other, "timestamp": other, "indicators": {"quote": [{"close": other}]}}
    bodies = [
        spark(**changes),
        {"spark": {"result": [{"symbol": "AAPL", "response": [response]}]}},
        {"spark": {"result": [other, {"symbol": other, "response": other}]}},
        {"spark": other},
        {"AAPL": other, "MSFT": {"close": other, "timestamp": other}},
    ]
    for body in bodies:
        for row in read_spark(loads(json.dumps(body, default=float))).values():
            with suppress(ValueError):  # the unit of its prices is not known
                known = read_row(row, AAPL)
                last, rest = known.quote.last, [known.quote.high, known.quote.low]
                rest += [known.quote.reference]
                assert type(last) is Decimal
                assert last.is_finite()
                assert all(price is None or (price.is_finite() and price > 0) for price in rest)
                assert known.market.quiet(NOW) >= 0
                assert known.market.day(NOW)


@given(JSON, JSON, JSON)
def test_every_candle_of_a_chart_is_valid(meta: Any, times: Any, bars: Any) -> None:
    for quotes in (bars, {"quote": [bars]}, {"quote": [dict.fromkeys(COLUMNS, bars)]}):
        result = over_the_wire({"meta": meta, "timestamp": times, "indicators": quotes})
        for step in (60, 86_400):
            with suppress(ValueError):  # the unit of its prices is not known
                found = read_candles(result, AAPL, step)
                assert all(candle.low > 0 for candle in found.values())


@given(JSON, JSON)
def test_every_error_has_a_code_and_words(body: Any, value: Any) -> None:
    for each in (body, {"chart": {"error": value}}, {"spark": value}):
        assert all(isinstance(part, str) for part in complaint(over_the_wire(each)))


# the stub


def test_the_hours_of_the_stub_match_their_session() -> None:
    now = datetime.now(UTC)
    for name in ("pre", "regular", "post", "closed"):
        sent = spark(currentTradingPeriod=hours(name))
        known = read_row(replace(read_spark(sent)["AAPL"], came_at=now), AAPL)
        assert known
        assert known.quote.session == name


@pytest.mark.server
async def test_the_stub_is_a_process_that_can_be_steered() -> None:
    command = [sys.executable, "-m", "tests.stubs.yahoo", "--port", "0"]
    running = await create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE)
    assert running.stdout
    where = f"127.0.0.1:{int(await running.stdout.readline())}"
    provider = Yahoo(f"http://{where}", f"ws://{where}", "personal-use", beat=0.01)
    async with (
        httpx.AsyncClient(base_url=f"http://{where}") as steer,
        streaming(provider, AAPL) as stream,
    ):
        await anext(stream)
        coming = asyncio.ensure_future(anext(stream))
        while not (await steer.get("/_state")).json()["subscriptions"]:
            pass
        await steer.get("/_tick?product=AAPL&price=123.25")
        assert (await coming).last == Decimal("123.25")
        await steer.get("/_mode?to=drop")
        with pytest.raises(ProviderError):
            [quote async for quote in stream]
    await provider.aclose()
    running.terminate()
    await running.communicate()
    assert running.returncode == 0
