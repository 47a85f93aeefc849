"""The tests of every provider; `tests.stubs` has a module with a stub and a bench for each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from types import ModuleType

import pytest

from quotes.providers import (
    REGISTRY,
    Candle,
    Provider,
    ProviderError,
    make_provider,
    provider_class,
)
from quotes.quote import REFERENCE_KINDS, SESSIONS, Quote
from quotes.quote.wire import from_wire, to_wire
from tests.servers import PATIENCE
from tests.stubs.exchange import MODES, Bench

FAULTS = MODES[1:]
PROMPT = ("rate_limited", "unauthorized", "maintenance")  # the other faults last until the timeout
ENDING = ("garbage", "truncated", "empty", "silent", "drop")  # faults that end an open stream
# providers whose address is an option, so it may be that of a stub
SERVED = [name for name in REGISTRY if "url" in str(provider_class(name).option_names())]


def stub_of(name: str) -> ModuleType:
    """Return the module with the stub of a provider, and the `bench` that sets both up."""
    return import_module(f"tests.stubs.{name}")


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
    assert from_wire(to_wire(quote)) == quote


def check_candle(candle: Candle) -> None:
    """Assert what must be true of any candle."""
    assert candle.start.utcoffset() == timedelta(0)
    assert 0 < candle.low <= min(candle.open, candle.close)
    assert candle.high >= max(candle.open, candle.close)


async def until_all_came(bench: Bench) -> list[Quote]:
    """Return the quotes of a new stream, or of a poll, until every known symbol came."""
    if not bench.provider.streams:
        return await bench.provider.quotes(bench.instruments)
    came: list[Quote] = []
    async with (
        asyncio.timeout(PATIENCE),
        aclosing(bench.provider.stream(bench.instruments)) as stream,
    ):  # type: ignore[type-var]
        async for quote in stream:
            came.append(quote)
            if {quote.symbol for quote in came} == bench.symbols:
                break
    return came


def calls(bench: Bench) -> list[Callable[[], Awaitable[object]]]:
    """Return all requests of a provider."""
    now, provider = datetime.now(UTC), bench.provider
    return [
        lambda: provider.quotes(bench.known),
        provider.instruments,
        lambda: provider.candles(bench.known[0], bench.step, now - timedelta(hours=1), now),
        lambda: until_all_came(bench),
    ]


async def outcome(call: Callable[[], Awaitable[object]]) -> ProviderError | None:
    """Return the ProviderError of a call, or None; do not catch other exceptions."""
    try:
        async with asyncio.timeout(PATIENCE):
            await call()
    except ProviderError as error:
        return error
    return None


class ProviderContract:
    """The tests; the fixture `bench` yields one provider after the other."""

    async def test_quotes_are_of_the_requested_instruments(self, bench: Bench) -> None:
        quotes = await bench.provider.quotes(bench.known)
        assert [quote.symbol for quote in quotes] == [each.symbol for each in bench.known]
        for quote in quotes:
            check(quote, bench)

    async def test_an_unknown_code_does_not_affect_the_others(self, bench: Bench) -> None:
        quotes = await bench.provider.quotes(bench.instruments)
        assert {quote.symbol for quote in quotes} == bench.symbols

    async def test_no_instruments_bring_no_quotes(self, bench: Bench) -> None:
        assert await bench.provider.quotes([]) == []
        if bench.provider.streams:
            assert [quote async for quote in bench.provider.stream([])] == []

    async def test_a_stream_begins_with_a_quote_of_each_known_code(self, bench: Bench) -> None:
        for quote in await until_all_came(bench):
            check(quote, bench)

    async def test_a_stream_drops_the_unknown_code_with_a_reason(self, bench: Bench) -> None:
        await until_all_came(bench)
        assert set(bench.provider.standing.unknown) == {each.code for each in bench.unknown}
        assert all(bench.provider.standing.unknown.values())

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

    async def test_instruments_are_without_our_symbols(self, bench: Bench) -> None:
        listed = await bench.provider.instruments()
        assert all(each.code and not each.symbol and each.currency for each in listed)
        if listed:
            assert {each.code for each in bench.known} <= {each.code for each in listed}

    async def test_a_provider_can_be_closed_twice(self, bench: Bench) -> None:
        await bench.provider.quotes(bench.known)
        await bench.provider.aclose()
        await bench.provider.aclose()

    async def test_a_provider_has_a_title_and_an_attribution(self, bench: Bench) -> None:
        provider = bench.provider
        assert provider.title
        assert provider.attribution
        assert provider.streams == (type(provider).stream is not Provider.stream)
        assert provider.poll_interval > 0

    async def test_an_unknown_option_is_refused(self, bench: Bench) -> None:
        with pytest.raises(
            ValueError, match=r"Unknown option 'colour' of the .* provider, must be one of: "
        ):
            make_provider(bench.provider.name, {"colour": "blue"})


class FaultContract:
    """The tests with a source that fails; `bench` has a stub."""

    @pytest.mark.parametrize("fault", FAULTS)
    async def test_a_provider_raises_only_provider_error(self, bench: Bench, fault: str) -> None:
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
            async for _ in bench.provider.stream(bench.instruments):
                stub.mode = fault

        assert await outcome(read)

    async def test_quotes_come_again_when_the_source_is_back(self, bench: Bench) -> None:
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
