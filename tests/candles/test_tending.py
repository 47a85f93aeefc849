"""Candles of the leader: written as quotes arrive, continued by the next feed, pruned by age."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError

from quotes.candles import archive, tending
from quotes.candles.growing import DAY, STEPS
from quotes.candles.tending import REQUEST_AGAIN_AFTER, STEADY_FOR, CandleHistory, Maintenance
from quotes.feed.feed import Feed
from quotes.feed.gate import Gate
from quotes.models import Candle as Kept
from quotes.models import FeedLease, Symbol
from quotes.providers import Candle, Instrument, Provider
from quotes.quote import Quote
from quotes.staff.renaming import rename
from tests.candles.test_growing import NOON, quote, rebuilt, ticks
from tests.servers import until

MINUTE = STEPS[0]


class Database:
    """The database of these tests, which can be away."""

    def __init__(self) -> None:
        self.away = False

    async def __call__(self, read: Callable[..., Any], *given: Any) -> Any:
        if self.away:
            raise OperationalError("the database is away")
        return await sync_to_async(read)(*given)


class Bench:
    """A history at noon, with a clock that moves only when a test moves it."""

    def __init__(self) -> None:
        self.now, self.database = NOON, Database()
        self.history = self.another()

    def another(self) -> CandleHistory:
        """Return the history of another process."""
        return CandleHistory(self.database, lambda: self.now)

    async def list(self, *symbols: str) -> None:
        given = {"name": "A coin", "kind": "crypto", "currency": "USD"}
        await Symbol.objects.abulk_create(Symbol(code=each, **given) for each in symbols)
        await FeedLease.objects.acreate(epoch=1)

    async def closes(self, step: int = MINUTE) -> list[int]:
        """Return the stored closes of BTC-USD, in order."""
        span = (NOON - timedelta(days=9), NOON + timedelta(days=9))
        return [int(each.close) for each in await self.load("BTC-USD", step, *span)]

    async def load(self, *given: Any) -> list[Candle]:
        return await self.database(archive.load, *given)


@pytest.fixture
async def bench(transactional_db: None) -> Bench:
    bench = Bench()
    await bench.list("BTC-USD")
    await bench.history.lead(1)
    return bench


class TestWriting:
    async def test_a_growing_candle_is_written_as_it_is_now(self, bench: Bench):
        for last in (5, 6):
            bench.history.take(quote(last))
            await bench.history.write()
            assert await bench.closes() == [last]

    async def test_candles_that_could_not_be_written_are_written_when_the_database_is_back(
        self, bench: Bench
    ):
        bench.database.away = True
        for minute in range(3):
            bench.history.take(quote(5 + minute, NOON + timedelta(minutes=minute)))
            with pytest.raises(OperationalError):
                await bench.history.write()
        assert await sync_to_async(Kept.objects.count)() == 0
        bench.database.away = False
        await bench.history.write()
        assert await bench.closes() == [5, 6, 7]
        assert bench.history.candles.waiting == {}

    async def test_a_write_that_is_cancelled_with_its_leader_loses_no_candle(self, bench: Bench):
        bench.history.take(quote(5))
        task = asyncio.create_task(bench.history.write())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bench.history.write()
        assert await bench.closes() == [5]

    async def test_candles_that_could_not_be_written_are_written_under_the_next_lease(
        self, bench: Bench
    ):
        bench.history.take(quote(5))
        bench.database.away = True
        with pytest.raises(OperationalError):
            await bench.history.write()
        bench.database.away = False
        await bench.history.lead(2)
        assert await bench.closes() == [5]

    async def test_after_its_end_a_feed_writes_what_it_holds(self, bench: Bench):
        bench.history.take(quote(5))
        await bench.history.write()
        bench.history.take(quote(6))
        bench.history.end()
        other = bench.another()
        await other.lead(2)
        other.take(quote(4, NOON + timedelta(seconds=1)))
        await other.write()
        await bench.history.write()
        [candle] = await bench.load("BTC-USD", MINUTE, NOON, NOON + timedelta(minutes=1))
        assert (candle.open, candle.high, candle.low, candle.close) == (5, 6, 4, 4)
        assert bench.history.candles.waiting == {}

    async def test_a_feed_begins_without_the_database(self, bench: Bench):
        bench.database.away = True
        await bench.history.lead(2)
        bench.history.take(quote(5))
        bench.database.away = False
        await bench.history.write()
        assert await bench.closes() == [5]

    async def test_the_next_feed_continues_the_stored_candles(self, bench: Bench):
        bench.history.take(quote(9))
        await bench.history.write()
        bench.now = NOON + timedelta(seconds=30)
        other = bench.another()
        await other.lead(2)
        other.take(quote(5, bench.now))
        await other.write()
        [candle] = await bench.load("BTC-USD", MINUTE, NOON, NOON + timedelta(minutes=1))
        assert (candle.open, candle.high, candle.low, candle.close) == (9, 9, 5, 5)

    async def test_a_renamed_symbol_goes_on_with_its_candles_and_their_volume(self, bench: Bench):
        counted = {"volume_window": "session", "session": "regular"}
        for seconds, volume in ((0, 100), (70, 130)):
            made = NOON + timedelta(seconds=seconds)
            bench.history.take(quote(5, made, volume=Decimal(volume), **counted))
        await bench.history.write()
        await sync_to_async(rename)(await Symbol.objects.aget(), "XBT-USD")
        bench.now = NOON + timedelta(seconds=80)
        await bench.history.resume()
        made = NOON + timedelta(seconds=90)
        bench.history.take(quote(6, made, "XBT-USD", volume=Decimal(150), **counted))
        await bench.history.write()
        span = (NOON + timedelta(minutes=1), NOON + timedelta(minutes=2))
        [candle] = await bench.load("XBT-USD", MINUTE, *span)
        assert (candle.open, candle.close, candle.volume) == (5, 6, 50)


async def test_all_quotes_that_the_feed_accepts_make_candles(bench: Bench):
    # a batch contains only the last of several quotes of a symbol
    pending = Gate()
    pending.accepted = bench.history.take
    offered = [quote(last, NOON + timedelta(milliseconds=n)) for n, last in enumerate([5, 9, 1, 6])]
    offered.insert(2, quote(99, NOON))  # older than the quote before
    accepted = [each for each in offered if pending.add(each)]
    assert [int(each.last) for each in accepted] == [5, 9, 1, 6]
    assert len(pending.take()) == 1
    await bench.history.write()
    [candle] = await bench.load("BTC-USD", MINUTE, NOON, NOON + timedelta(minutes=1))
    assert (candle.open, candle.high, candle.low, candle.close) == (5, 9, 1, 6)


class Bourse(Provider):
    """A source with a candle for every minute, which records its requests."""

    name = "bourse"
    steps = STEPS
    streams = True
    title = "Bourse"
    attribution = ""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[tuple[str, int]] = []

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        return []

    async def stream(self, instruments: Sequence[Instrument]) -> AsyncIterator[Quote]:
        await asyncio.Event().wait()
        for never in ():
            yield never

    async def candles(
        self, instrument: Instrument, step: int, start: datetime, end: datetime
    ) -> list[Candle]:
        self.received.append((instrument.symbol, step))
        first, stop = (int(each.timestamp()) // step * step for each in (start, end))
        return [
            Candle(start=datetime.fromtimestamp(each, UTC), open=V, high=V, low=V, close=V)
            for each in range(first, stop, step)
        ]


V = Decimal(5)


class Led:
    """A feed with a bourse, and the maintenance of its candles."""

    def __init__(self, bench: Bench, *symbols: str) -> None:
        self.bench, self.bourse = bench, Bourse()
        self.feed = Feed(self.nothing, self.nothing)
        self.list(*symbols)
        self.maintenance = Maintenance(bench.history, self.feed, {"bourse": self.bourse})
        self.maintenance.backfill.sleep = self.at_once

    async def nothing(self, _: object) -> None:
        pass

    async def at_once(self, _: float) -> None:
        pass

    def list(self, *symbols: str) -> None:
        name = self.bourse.name
        chains = {each: {name: Instrument(symbol=each, code=each)} for each in symbols}
        self.feed.follow([self.bourse], chains)

    async def run(self, after: timedelta = timedelta(0)) -> list[tuple[str, int]]:
        """Run the due maintenance after some time; return the requests to the exchange."""
        self.bench.now += after
        self.bourse.received.clear()
        await self.bench.history.write()
        await self.maintenance.run_due()
        if self.maintenance.filling:
            await self.maintenance.filling
        return self.bourse.received

    async def until(self) -> datetime:
        """Return the time up to which all candles of BTC-USD are stored."""
        spans = await self.bench.database(archive.load_spans)
        return min(span.until for (symbol, _), span in spans.items() if symbol == "BTC-USD")


@pytest.fixture
async def led(bench: Bench) -> AsyncIterator[Led]:
    led = Led(bench, "BTC-USD")
    yield led
    for name in list(led.feed.tasks):
        led.feed._stop(name)
    led.maintenance.stop()


SECONDS = timedelta(seconds=10)


class TestMaintenance:
    async def test_when_a_feed_begins_missing_candles_are_requested_once(self, led: Led):
        assert await led.run() == [("BTC-USD", step) for step in STEPS]
        assert await led.run(SECONDS) == []
        assert await led.run(REQUEST_AGAIN_AFTER) == []

    async def test_spans_grow_while_the_feed_runs(self, led: Led):
        for _ in range(30):
            await led.run(SECONDS)
        assert await led.until() == led.bench.now

    async def test_a_feed_that_takes_over_at_once_requests_the_candles_of_the_gap(
        self, bench: Bench, led: Led
    ):
        await led.run()
        await led.run(SECONDS)
        bench.now += timedelta(seconds=2)
        other = Led(bench, "BTC-USD")
        assert await other.run() == [("BTC-USD", step) for step in STEPS]
        assert await other.run(SECONDS) == []

    async def test_a_source_without_a_stream_misses_nothing_between_two_polls(
        self, bench: Bench, led: Led, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(Bourse, "streams", False)
        monkeypatch.setattr(Bourse, "poll_interval", 60.0)
        await led.run()
        await led.run(SECONDS)
        bench.now += timedelta(seconds=55)
        assert await Led(bench, "BTC-USD").run() == []
        bench.now += timedelta(seconds=65)
        assert await Led(bench, "BTC-USD").run() != []

    async def test_quotes_that_were_not_written_are_a_gap(self, bench: Bench, led: Led):
        await led.run()
        written = bench.now
        bench.now += SECONDS
        await led.maintenance.run_due()  # the feed runs, and its last write was before this
        assert await led.until() == written

    async def test_the_candles_of_a_short_interruption_are_requested_when_quotes_are_steady(
        self, led: Led
    ):
        await led.run()
        source = led.feed.sources["bourse"]
        for _ in range(9):  # a stream that ends again and again
            source.turns += 1
            assert await led.run(SECONDS) == []
        assert await led.run(SECONDS) == []
        assert await led.run(SECONDS) == []
        assert await led.run(SECONDS) == [("BTC-USD", step) for step in STEPS]
        assert await led.run(SECONDS) == []
        assert await led.until() == led.bench.now

    async def test_interruptions_without_end_do_not_put_off_requests_forever(self, led: Led):
        await led.run()
        source, requests = led.feed.sources["bourse"], 0
        for _ in range(63):
            source.turns += 1
            requests += len(await led.run(SECONDS))
        assert requests == len(STEPS)

    async def test_an_interruption_during_a_request_makes_another_one(self, led: Led):
        await led.maintenance.run_due()
        await until(lambda: led.bourse.received)
        led.feed.sources["bourse"].turns += 1
        led.bench.now += SECONDS
        await led.maintenance.run_due()
        assert led.maintenance.filling
        await led.maintenance.filling
        assert len(await led.run(STEADY_FOR)) == len(STEPS)

    async def test_candles_that_were_dropped_are_requested(self, bench: Bench, led: Led):
        await led.run()
        bench.history.candles.max_waiting = 1
        bench.database.away = True
        for _ in range(10):
            bench.now += timedelta(minutes=1)
            bench.history.take(quote(5, bench.now))
            with pytest.raises(OperationalError):
                await bench.history.write()
        bench.database.away = False
        assert await led.run() == []
        assert await led.run(STEADY_FOR) == [("BTC-USD", step) for step in STEPS]

    async def test_a_feed_that_takes_over_later_requests_the_candles_of_the_gap(
        self, bench: Bench, led: Led
    ):
        await led.run()
        bench.now += timedelta(minutes=9)
        other = Led(bench, "BTC-USD")
        assert await other.run() == [("BTC-USD", step) for step in STEPS]
        assert await other.run(SECONDS) == []
        assert await other.until() == bench.now

    async def test_candles_of_a_new_symbol_are_requested_when_it_is_listed(
        self, bench: Bench, led: Led
    ):
        await led.run()
        await Symbol.objects.acreate(code="ETH-USD", name="Ether", kind="crypto", currency="USD")
        led.list("BTC-USD", "ETH-USD")
        assert await led.run(SECONDS) == [("ETH-USD", step) for step in STEPS]

    async def test_the_candles_of_an_outage_are_requested_when_it_is_over(self, led: Led):
        await led.run()
        led.feed.sources["bourse"].down_since = led.bench.now
        for _ in range(30):
            assert await led.run(SECONDS) == []
        assert await led.until() == NOON
        led.feed.sources["bourse"].down_since = None
        assert len(await led.run(SECONDS)) == len(STEPS)
        assert await led.run(SECONDS) == []
        assert await led.until() == led.bench.now

    async def test_candles_that_no_provider_sent_are_requested_again_after_a_while(self, led: Led):
        led.bourse.standing.drop("BTC-USD", "it is not listed")
        assert await led.run() == []
        led.bourse.standing.forget_codes()
        assert await led.run(SECONDS) == []
        assert len(await led.run(REQUEST_AGAIN_AFTER)) == len(STEPS)

    async def test_candles_from_providers_that_could_not_be_stored_are_requested_again_soon(
        self, led: Led, caplog: pytest.LogCaptureFixture
    ):
        await led.maintenance.run_due()
        led.bench.database.away = True
        assert led.maintenance.filling
        await led.maintenance.filling
        led.bench.database.away = False
        assert await led.run(SECONDS) == []
        assert len(await led.run(STEADY_FOR)) == len(STEPS)
        assert await led.run(SECONDS) == []
        assert any("could not store candles from providers" in each for each in caplog.messages)

    async def test_a_setting_limits_how_far_back_candles_are_requested(
        self, led: Led, settings: Any
    ):
        days = {60: 0, 300: 0, 3600: 0.5, DAY: 0}
        settings.QUOTES = settings.QUOTES | {"BACKFILL": days}
        assert await led.run() == [("BTC-USD", 3600)]
        assert len(await led.bench.closes(3600)) == 12

    async def test_old_candles_are_pruned_once_an_hour(self, led: Led, settings: Any):
        settings.QUOTES = settings.QUOTES | {"RETENTION": {60: 0.0625}, "BACKFILL": {60: 1}}
        await led.run()
        assert len(await led.bench.closes()) == 90
        await led.run(timedelta(minutes=30))
        assert len(await led.bench.closes()) == 90
        await led.run(timedelta(minutes=30))
        assert len(await led.bench.closes()) == 30

    async def test_it_continues_without_the_database(
        self, bench: Bench, led: Led, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(tending, "MAINTAIN_EVERY", 0.0)
        bench.database.away = True
        task = asyncio.create_task(bench.history.maintain(led.feed, {"bourse": led.bourse}))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_minute_of_500_symbols(transactional_db: None):
    """The same for an hour, with figures: `python -m tests.benchmarks hour`."""
    bench = Bench()
    await bench.list(*(f"S{number}" for number in range(500)))
    await bench.history.lead(1)
    journal = list(ticks(500, 61))
    for second in range(0, 61, 2):
        for each in journal[second * 1000 : (second + 2) * 1000]:
            bench.history.take(each)
        await bench.history.write()
    kept = await bench.database(all_kept)
    assert kept == rebuilt(journal)
    assert len(kept) == 500 * (2 + 1 + 1 + 1)
    assert bench.history.candles.waiting == {}


def all_kept() -> dict[Any, Any]:
    """Return all stored candles in the form of `rebuilt`."""
    return {
        (each.symbol.code, each.step, int(each.start.timestamp())): (
            each.open,
            each.high,
            each.low,
            each.close,
            each.mixed,
        )
        for each in Kept.objects.select_related("symbol")
    }
