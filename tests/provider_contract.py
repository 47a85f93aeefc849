"""What every provider owes the feed: the tests, and how each provider is set up for them.

A new provider joins with a function that yields a `Bench`, added to BENCHES.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from quotes.providers import Candle, Instrument, Provider, ProviderError, make_provider
from quotes.quote import REFERENCE_KINDS, SESSIONS, Quote
from tests.stubs import (
    alpaca,
    anyjson,
    binance,
    coinbase,
    coingecko,
    database,
    finnhub,
    kraken,
    yahoo,
)
from tests.stubs.exchange import MODES, Exchange

FAULTS = MODES[1:]
PROMPT = ("rate_limited", "unauthorized", "maintenance")  # the others may take the time there is
ENDING = ("garbage", "truncated", "empty", "silent", "drop")  # they end an open stream


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A provider with instruments it knows, one it does not, and the stub it reads."""

    provider: Provider
    known: Sequence[Instrument]
    unknown: Sequence[Instrument] = field(default=())
    stub: Exchange | None = None
    retry_after: float | None = 7  # what it tells of a source that limits it
    step: int = 300  # seconds of its candles
    start: datetime = datetime(2026, 1, 5, 12, 0, 30, tzinfo=UTC)  # of an hour that it has some of

    @property
    def asked(self) -> list[Instrument]:
        """All instruments, the unknown one first."""
        return [*self.unknown, *self.known]

    @property
    def symbols(self) -> set[str]:
        """The symbols that must come."""
        return {instrument.symbol for instrument in self.known}


@asynccontextmanager
async def simulated_bench(patience: float = 5.0) -> AsyncIterator[Bench]:
    """Set the simulated market up; it knows every symbol and has no server."""
    provider = make_provider("simulated", {"rate": 6000, "seed": 1})
    known = [
        Instrument(symbol="AAPL", code="", kind="stock", start=Decimal(101)),
        Instrument(symbol="BTC-USD", code="", start=Decimal(64_000)),
    ]
    yield Bench(provider=provider, known=known)
    await provider.aclose()


@asynccontextmanager
async def coinbase_bench(patience: float = 5.0) -> AsyncIterator[Bench]:
    """Set Coinbase up with its stub."""
    async with coinbase.Coinbase(heartbeat=0.02) as stub:
        options = {"rest_url": stub.rest_url, "ws_url": stub.ws_url}
        provider = make_provider("coinbase", options | {"timeout": patience, "silence": patience})
        known = [
            Instrument(symbol="BTC-USD", code="BTC-USD"),
            Instrument(symbol="BTC-EUR", code="BTC-EUR", currency="EUR"),
        ]
        unknown = [Instrument(symbol="NOPE-USD", code="NOPE-USD")]
        yield Bench(provider=provider, known=known, unknown=unknown, stub=stub)
        await provider.aclose()


@asynccontextmanager
async def coingecko_bench(patience: float = 5.0) -> AsyncIterator[Bench]:
    """Set CoinGecko up with its stub; of a coin it has one code and a price in each currency."""
    async with coingecko.CoinGecko() as stub:
        options = {"rest_url": stub.rest_url, "demo_key": "mine", "timeout": patience}
        provider = make_provider("coingecko", options)
        known = [
            Instrument(symbol="BTC-USD", code="bitcoin"),
            Instrument(symbol="BTC-EUR", code="bitcoin", currency="EUR"),
            Instrument(symbol="ETH-USD", code="ethereum"),
        ]
        unknown = [Instrument(symbol="NOPE-USD", code="nope")]
        told = {"stub": stub, "step": 1800, "start": datetime.now(UTC) - timedelta(hours=6)}
        yield Bench(provider=provider, known=known, unknown=unknown, **told)  # type: ignore[arg-type]
        await provider.aclose()


@asynccontextmanager
async def yahoo_bench(patience: float = 5.0) -> AsyncIterator[Bench]:
    """Set Yahoo up with its stub, in dollars and in pence, by day and around the clock."""
    async with yahoo.Yahoo(pulse=0.02) as stub:
        options = {"rest_url": stub.rest_url, "ws_url": stub.ws_url, "accept": "personal-use"}
        provider = make_provider("yahoo", options | {"timeout": patience, "silence": patience})
        known = [
            Instrument(symbol="AAPL", code="AAPL", kind="stock"),
            Instrument(symbol="SHEL.L", code="SHEL.L", kind="stock", currency="GBP"),
            Instrument(symbol="BTC-USD", code="BTC-USD"),
        ]
        unknown = [Instrument(symbol="NOPE", code="NOPE", kind="stock")]
        yield Bench(provider=provider, known=known, unknown=unknown, stub=stub)
        await provider.aclose()


@asynccontextmanager
async def binance_bench(patience: float = 5.0) -> AsyncIterator[Bench]:
    """Set Binance up with its stub; what we call BTC-USD is in USDT there."""
    async with binance.Binance(pulse=0.02) as stub:
        options = {"rest_url": stub.rest_url, "ws_url": stub.ws_url}
        provider = make_provider("binance", options | {"timeout": patience, "silence": patience})
        known = [
            Instrument(symbol="BTC-USD", code="BTCUSDT", currency="USDT"),
            Instrument(symbol="BTC-EUR", code="BTCEUR", currency="EUR"),
        ]
        unknown = [Instrument(symbol="NOPE-USD", code="NOPEUSDT")]
        yield Bench(provider=provider, known=known, unknown=unknown, stub=stub)
        await provider.aclose()


@asynccontextmanager
async def kraken_bench(patience: float = 5.0) -> AsyncIterator[Bench]:
    """Set Kraken up with its stub, which keeps no candles but those before its own time."""
    now = datetime(2026, 1, 5, 13, 30, tzinfo=UTC)
    async with kraken.Kraken(heartbeat=0.02, now=now) as stub:
        options = {"rest_url": stub.rest_url, "ws_url": stub.ws_url}
        provider = make_provider("kraken", options | {"timeout": patience, "silence": patience})
        known = [
            Instrument(symbol="BTC-USD", code="XXBTZUSD"),
            Instrument(symbol="BTC-EUR", code="XXBTZEUR", currency="EUR"),
        ]
        unknown = [Instrument(symbol="NOPE-USD", code="NOPEUSD")]
        yield Bench(provider=provider, known=known, unknown=unknown, stub=stub, retry_after=None)
        await provider.aclose()


@asynccontextmanager
async def database_bench(patience: float = 5.0) -> AsyncIterator[Bench]:
    """Set a table of quotes up in SQLite; no server of ours answers for it."""
    with TemporaryDirectory() as folder, database.sqlite(Path(folder) / "db") as table:
        table.write("AAPL", last="101.00", reference="100.00", bid="100.99", ask="101.01")
        table.write("VOD.L", last="8012", currency="GBp", time="2026-01-05T12:00:00Z")
        options = {"alias": table.alias, "query": database.QUERY, "timeout": patience}
        known = [
            Instrument(symbol="AAPL", code="AAPL", kind="stock"),
            Instrument(symbol="VOD.L", code="VOD.L", kind="stock", currency="GBP"),
        ]
        unknown = [Instrument(symbol="NOPE", code="NOPE", kind="stock")]
        yield Bench(provider=make_provider("database", options), known=known, unknown=unknown)


@asynccontextmanager
async def http_bench(patience: float = 5.0) -> AsyncIterator[Bench]:
    """Set somebody's own JSON up, with a list of what is asked."""
    async with anyjson.AnyJson() as stub:
        options = {
            "url": stub.rest_url + "/quotes?symbols={codes}",
            "rows": "quotes",
            "fields": "code=symbol, last=last, bid=bid, ask=ask, currency=currency",
            "timeout": patience,
        }
        provider = make_provider("http", options)
        known = [
            Instrument(symbol="BTC-USD", code="BTC-USD"),
            Instrument(symbol="BTC-EUR", code="BTC-EUR", currency="EUR"),
        ]
        unknown = [Instrument(symbol="NOPE-USD", code="NOPE-USD")]
        yield Bench(provider=provider, known=known, unknown=unknown, stub=stub)
        await provider.aclose()


@asynccontextmanager
async def alpaca_bench(patience: float = 5.0) -> AsyncIterator[Bench]:
    """Set Alpaca up with its stub: two streams, one of stocks and one of crypto."""
    async with alpaca.Alpaca() as stub:
        options = {
            "rest_url": stub.rest_url,
            "ws_url": stub.ws_url,
            "assets_url": stub.rest_url,
            "api_key": alpaca.KEY,
            "api_secret": alpaca.SECRET,
        }
        provider = make_provider("alpaca", options | {"timeout": patience, "silence": patience})
        known = [
            Instrument(symbol="AAPL", code="AAPL", kind="stock"),
            Instrument(symbol="BTC-USD", code="BTC/USD"),
            Instrument(symbol="BRK.B", code="BRK.B", kind="stock"),
        ]
        unknown = [
            Instrument(symbol="BRK-A", code="BRK-A", kind="stock"),
            Instrument(symbol="NOPE", code="NOPE", kind="stock"),
        ]
        yield Bench(provider=provider, known=known, unknown=unknown, stub=stub)
        await provider.aclose()


@asynccontextmanager
async def finnhub_bench(patience: float = 5.0) -> AsyncIterator[Bench]:
    """Set Finnhub up with its stub."""
    async with finnhub.Finnhub(heartbeat=0.02) as stub:
        options = {"rest_url": stub.rest_url, "ws_url": stub.ws_url, "api_key": finnhub.KEY}
        provider = make_provider("finnhub", options | {"timeout": patience, "silence": patience})
        known = [
            Instrument(symbol="AAPL", code="AAPL", kind="stock"),
            Instrument(symbol="BRK.B", code="BRK.B", kind="stock"),
        ]
        unknown = [
            Instrument(symbol="NOPE", code="NOPE", kind="stock"),
            Instrument(symbol="^GSPC", code="^GSPC", kind="index"),
        ]
        yield Bench(provider=provider, known=known, unknown=unknown, stub=stub)
        await provider.aclose()


BENCHES: dict[str, Callable[..., AbstractAsyncContextManager[Bench]]] = {
    "alpaca": alpaca_bench,
    "binance": binance_bench,
    "coinbase": coinbase_bench,
    "coingecko": coingecko_bench,
    "database": database_bench,
    "finnhub": finnhub_bench,
    "http": http_bench,
    "kraken": kraken_bench,
    "simulated": simulated_bench,
    "yahoo": yahoo_bench,
}
SERVED = [name for name in BENCHES if name not in ("database", "simulated")]


def check(quote: Quote, bench: Bench) -> None:
    """Assert what must be true of any quote."""
    wanted = {instrument.symbol: instrument.currency for instrument in bench.known}
    assert quote.provider == bench.provider.name
    assert quote.currency == wanted[quote.symbol]
    assert isinstance(quote.last, Decimal)
    assert quote.last > 0
    assert quote.reference_kind in REFERENCE_KINDS
    assert (quote.reference is None) == (quote.reference_kind == "none")
    assert quote.session in (None, *SESSIONS)
    for price in (quote.bid, quote.ask, quote.open, quote.high, quote.low, quote.reference):
        assert price is None or (isinstance(price, Decimal) and price > 0)
    assert quote.bid is None or quote.ask is None or quote.bid <= quote.ask
    for moment in (quote.received_at, quote.source_time):
        assert moment is None or moment.utcoffset() == timedelta(0)
    assert Quote.from_wire(quote.to_wire()) == quote


def check_candle(candle: Candle) -> None:
    """Assert what must be true of any candle."""
    assert candle.start.utcoffset() == timedelta(0)
    assert 0 < candle.low <= min(candle.open, candle.close)
    assert candle.high >= max(candle.open, candle.close)


async def until_all_came(bench: Bench) -> list[Quote]:
    """Return what a new stream, or a poll, tells until every known symbol came."""
    if not bench.provider.streams:
        return await bench.provider.quotes(bench.asked)
    came: list[Quote] = []
    async with asyncio.timeout(5), aclosing(bench.provider.stream(bench.asked)) as stream:  # type: ignore[type-var]
        async for quote in stream:
            came.append(quote)
            if {quote.symbol for quote in came} == bench.symbols:
                break
    return came


def calls(bench: Bench) -> list[Callable[[], Awaitable[object]]]:
    """List all that a provider can be asked."""
    now, provider = datetime.now(UTC), bench.provider
    return [
        lambda: provider.quotes(bench.known),
        provider.instruments,
        lambda: provider.candles(bench.known[0], bench.step, now - timedelta(hours=1), now),
        lambda: provider.sparklines(bench.known),
        lambda: until_all_came(bench),
    ]


async def outcome(call: Callable[[], Awaitable[object]]) -> ProviderError | None:
    """Return how a call fails; any other exception than ProviderError is not caught."""
    try:
        async with asyncio.timeout(5):
            await call()
    except ProviderError as error:
        return error
    return None


class ProviderContract:
    """The tests; `bench` is a fixture that gives one provider after the other."""

    async def test_quotes_are_of_what_was_asked(self, bench: Bench) -> None:
        quotes = await bench.provider.quotes(bench.known)
        assert [quote.symbol for quote in quotes] == [each.symbol for each in bench.known]
        for quote in quotes:
            check(quote, bench)

    async def test_an_unknown_code_costs_the_others_nothing(self, bench: Bench) -> None:
        quotes = await bench.provider.quotes(bench.asked)
        assert {quote.symbol for quote in quotes} == bench.symbols

    async def test_nothing_asked_is_nothing_told(self, bench: Bench) -> None:
        assert await bench.provider.quotes([]) == []
        if bench.provider.streams:
            assert [quote async for quote in bench.provider.stream([])] == []

    async def test_a_stream_begins_with_all_that_is_known(self, bench: Bench) -> None:
        for quote in await until_all_came(bench):
            check(quote, bench)

    async def test_a_stream_names_the_unknown_code(self, bench: Bench) -> None:
        await until_all_came(bench)
        assert set(bench.provider.unknown) == {each.code for each in bench.unknown}
        assert all(bench.provider.unknown.values())

    async def test_two_streams_one_after_the_other(self, bench: Bench) -> None:
        await until_all_came(bench)
        await until_all_came(bench)

    async def test_candles_are_in_order_and_in_range(self, bench: Bench) -> None:
        start, end = bench.start, bench.start + timedelta(hours=1)
        candles = await bench.provider.candles(bench.known[0], bench.step, start, end)
        moments = [candle.start for candle in candles]
        assert moments == sorted(set(moments))
        assert moments or type(bench.provider).candles is Provider.candles
        assert all(start <= moment < end for moment in moments)
        assert not any(moment.timestamp() % bench.step for moment in moments)
        for candle in candles:
            check_candle(candle)

    async def test_sparklines_are_of_what_was_asked(self, bench: Bench) -> None:
        lines = await bench.provider.sparklines(bench.asked)
        drawn = type(bench.provider).sparklines is not Provider.sparklines
        assert set(lines) == (bench.symbols if drawn else set())
        for line in lines.values():
            assert line.step > 0
            assert len(line.prices) > 1
            assert all(isinstance(price, Decimal) and price > 0 for price in line.prices)

    async def test_instruments_are_without_our_symbols(self, bench: Bench) -> None:
        listed = await bench.provider.instruments()
        assert all(each.code and not each.symbol and each.currency for each in listed)
        if listed:
            assert {each.code for each in bench.known} <= {each.code for each in listed}

    async def test_closing_twice_is_closing_once(self, bench: Bench) -> None:
        await bench.provider.quotes(bench.known)
        await bench.provider.aclose()
        await bench.provider.aclose()

    async def test_a_provider_says_who_it_is(self, bench: Bench) -> None:
        provider = bench.provider
        assert provider.title
        assert provider.attribution
        assert provider.streams == (type(provider).stream is not Provider.stream)
        assert provider.poll_interval > 0

    async def test_an_option_it_lacks_is_refused(self, bench: Bench) -> None:
        with pytest.raises(ValueError, match=r"unusable options for provider .*colour"):
            make_provider(bench.provider.name, {"colour": "blue"})


class FaultContract:
    """The tests with a source that fails; `bench` has a stub."""

    @pytest.mark.parametrize("fault", FAULTS)
    async def test_only_provider_error_crosses_the_seam(self, bench: Bench, fault: str) -> None:
        assert bench.stub
        bench.stub.mode = fault
        for error in [await outcome(call) for call in calls(bench)]:
            if error:
                assert str(error)
                assert error.refused is (fault == "unauthorized")
                limited = fault == "rate_limited"
                assert error.retry_after == (bench.retry_after if limited else None)

    @pytest.mark.parametrize("fault", [*PROMPT, "slow"])
    async def test_a_source_that_refuses_is_an_error(self, bench: Bench, fault: str) -> None:
        assert bench.stub
        bench.stub.mode = fault
        with pytest.raises(ProviderError):
            await bench.provider.quotes(bench.known)
        with pytest.raises(ProviderError):
            await until_all_came(bench)

    @pytest.mark.parametrize("fault", ENDING)
    async def test_a_stream_that_breaks_is_an_error(self, bench: Bench, fault: str) -> None:
        stub = bench.stub
        assert stub
        if not bench.provider.streams:
            return

        async def read() -> None:
            async for _ in bench.provider.stream(bench.asked):
                stub.mode = fault

        assert await outcome(read)

    async def test_it_goes_on_when_the_source_is_back(self, bench: Bench) -> None:
        assert bench.stub
        bench.stub.mode = "maintenance"
        with pytest.raises(ProviderError):
            await bench.provider.quotes(bench.known)
        bench.stub.mode = "ok"
        assert len(await bench.provider.quotes(bench.known)) == len(bench.known)
        await until_all_came(bench)

    async def test_a_stream_that_is_closed_leaves_no_socket(self, bench: Bench) -> None:
        assert bench.stub
        stub = bench.stub
        await until_all_came(bench)
        await stub.until(lambda: stub.sockets == 0)

    async def test_a_reader_that_is_cancelled_leaves_no_socket(self, bench: Bench) -> None:
        assert bench.stub
        stub = bench.stub
        if not bench.provider.streams:
            return

        async def read() -> None:
            async for _ in bench.provider.stream(bench.known):
                pass

        task = asyncio.create_task(read())
        await stub.until(lambda: stub.subscriptions)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await stub.until(lambda: stub.sockets == 0)
