"""History: candles written as quotes come, continued by the next feed, kept within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError

from quotes.candles import archive
from quotes.candles import tending as history_module
from quotes.candles.growing import DAY, STEPS
from quotes.candles.tending import ASK_AGAIN, History, Tending
from quotes.feed.feed import Feed
from quotes.feed.gate import Gate
from quotes.models import Candle as Kept
from quotes.models import FeedLease, Symbol
from quotes.providers import Candle, Instrument, Provider
from quotes.quote import Quote
from tests.candles.test_growing import NOON, quote, rebuilt, ticks

MINUTE = STEPS[0]


class Database:
    """The database of these tests, which may be away."""

    def __init__(self) -> None:
        self.away = False

    async def __call__(self, read: Callable[..., Any], *given: Any) -> Any:
        if self.away:
            raise OperationalError("the database is away")
        return await sync_to_async(read)(*given)


class Bench:
    """A history at noon; its clock goes on when a test says so."""

    def __init__(self) -> None:
        self.now, self.database = NOON, Database()
        self.history = self.another()

    def another(self) -> History:
        """Return the history of another process."""
        return History(self.database, lambda: self.now)

    async def list(self, *symbols: str) -> None:
        given = {"name": "A coin", "kind": "crypto", "currency": "USD"}
        await Symbol.objects.abulk_create(Symbol(code=each, **given) for each in symbols)
        await FeedLease.objects.acreate(epoch=1)

    async def closes(self, step: int = MINUTE) -> list[int]:
        """Return the closes of BTC-USD that are kept, in order."""
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
    async def test_the_candle_that_grows_is_written_as_it_is(self, bench: Bench):
        for last in (5, 6):
            bench.history.take(quote(last))
            await bench.history.write()
            assert await bench.closes() == [last]

    async def test_what_the_database_does_not_take_is_written_when_it_is_back(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ):
        bench.database.away = True
        for minute in range(3):
            bench.history.take(quote(5 + minute, NOON + timedelta(minutes=minute)))
            await bench.history.write()
        assert await sync_to_async(Kept.objects.count)() == 0
        bench.database.away = False
        await bench.history.write()
        assert await bench.closes() == [5, 6, 7]
        assert bench.history.candles.waiting == {}
        assert "could not write 4 candles, keeping them: the database is away" in caplog.messages

    async def test_what_is_written_while_the_leader_ends_is_not_lost(self, bench: Bench):
        bench.history.take(quote(5))
        task = asyncio.create_task(bench.history.write())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bench.history.write()
        assert await bench.closes() == [5]

    async def test_what_one_lease_could_not_write_the_next_one_does(self, bench: Bench):
        bench.history.take(quote(5))
        bench.database.away = True
        await bench.history.write()
        bench.database.away = False
        await bench.history.lead(2)
        assert await bench.closes() == [5]

    async def test_a_feed_without_a_database_begins_all_the_same(self, bench: Bench):
        bench.database.away = True
        await bench.history.lead(2)
        bench.history.take(quote(5))
        bench.database.away = False
        await bench.history.write()
        assert await bench.closes() == [5]

    async def test_the_next_feed_goes_on_with_what_it_finds(self, bench: Bench):
        bench.history.take(quote(9))
        await bench.history.write()
        bench.now = NOON + timedelta(seconds=30)
        other = bench.another()
        await other.lead(2)
        other.take(quote(5, bench.now))
        await other.write()
        [candle] = await bench.load("BTC-USD", MINUTE, NOON, NOON + timedelta(minutes=1))
        assert (candle.open, candle.high, candle.low, candle.close) == (9, 9, 5, 5)


async def test_every_quote_that_the_feed_lets_through_makes_candles(bench: Bench):
    # in a batch there is only the last of those that come within a moment
    pending = Gate()
    pending.accepted = bench.history.take
    offered = [quote(last, NOON + timedelta(milliseconds=n)) for n, last in enumerate([5, 9, 1, 6])]
    offered.insert(2, quote(99, NOON))  # older than what is known
    accepted = [each for each in offered if pending.add(each)]
    assert [int(each.last) for each in accepted] == [5, 9, 1, 6]
    assert len(pending.take()) == 1
    await bench.history.write()
    [candle] = await bench.load("BTC-USD", MINUTE, NOON, NOON + timedelta(minutes=1))
    assert (candle.open, candle.high, candle.low, candle.close) == (5, 9, 1, 6)


class Bourse(Provider):
    """A source with a candle of every minute, which remembers what it was asked."""

    name = "bourse"
    steps = STEPS
    title = "Bourse"
    attribution = ""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, int]] = []

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        return []

    async def candles(
        self, instrument: Instrument, step: int, start: datetime, end: datetime
    ) -> list[Candle]:
        self.asked.append((instrument.symbol, step))
        first, stop = (int(each.timestamp()) // step * step for each in (start, end))
        return [
            Candle(start=datetime.fromtimestamp(each, UTC), open=V, high=V, low=V, close=V)
            for each in range(first, stop, step)
        ]


V = Decimal(5)


class Led:
    """A feed with a bourse, and what tends its candles."""

    def __init__(self, bench: Bench, *symbols: str) -> None:
        self.bench, self.bourse = bench, Bourse()
        self.feed = Feed(self.nothing, self.nothing)
        self.list(*symbols)
        self.tending = Tending(bench.history, self.feed, {"bourse": self.bourse})
        self.tending.backfill.sleep = self.at_once

    async def nothing(self, _: object) -> None:
        pass

    async def at_once(self, _: float) -> None:
        pass

    def list(self, *symbols: str) -> None:
        name = self.bourse.name
        chains = {each: {name: Instrument(symbol=each, code=each)} for each in symbols}
        self.feed.follow([self.bourse], chains)

    async def look(self, after: timedelta = timedelta(0)) -> list[tuple[str, int]]:
        """Look after some time; return what the bourse was asked then."""
        self.bench.now += after
        self.bourse.asked.clear()
        await self.tending.look()
        if self.tending.filling:
            await self.tending.filling
        return self.bourse.asked

    async def until(self) -> datetime:
        """Return until when all candles of BTC-USD are there."""
        spans = await self.bench.database(archive.load_spans)
        return min(span.until for (symbol, _), span in spans.items() if symbol == "BTC-USD")


@pytest.fixture
async def led(bench: Bench) -> AsyncIterator[Led]:
    led = Led(bench, "BTC-USD")
    yield led
    for name in list(led.feed.tasks):
        led.feed._stop(name)
    led.tending.stop()


SECONDS = timedelta(seconds=10)


class TestTending:
    async def test_when_a_feed_begins_providers_are_asked_once(self, led: Led):
        assert await led.look() == [("BTC-USD", step) for step in STEPS]
        assert await led.look(SECONDS) == []
        assert await led.look(ASK_AGAIN) == []

    async def test_where_the_feed_is_nothing_is_missing(self, led: Led):
        for _ in range(30):
            await led.look(SECONDS)
        assert await led.until() == led.bench.now

    async def test_a_feed_that_follows_at_once_asks_for_nothing(self, bench: Bench, led: Led):
        await led.look()
        await led.look(SECONDS)
        bench.now += 3 * SECONDS
        assert await Led(bench, "BTC-USD").look(SECONDS) == []

    async def test_a_feed_that_follows_later_asks_for_the_time_between(
        self, bench: Bench, led: Led
    ):
        await led.look()
        bench.now += timedelta(minutes=9)
        other = Led(bench, "BTC-USD")
        assert await other.look() == [("BTC-USD", step) for step in STEPS]
        assert await other.look(SECONDS) == []
        assert await other.until() == bench.now

    async def test_a_symbol_that_is_listed_later_is_asked_for_then(self, bench: Bench, led: Led):
        await led.look()
        await Symbol.objects.acreate(code="ETH-USD", name="Ether", kind="crypto", currency="USD")
        led.list("BTC-USD", "ETH-USD")
        assert await led.look(SECONDS) == [("ETH-USD", step) for step in STEPS]

    async def test_while_its_provider_fails_a_symbols_candles_are_missing(self, led: Led):
        await led.look()
        led.feed.sources["bourse"].down_since = led.bench.now
        for _ in range(30):
            assert await led.look(SECONDS) == []
        assert await led.until() == NOON
        led.feed.sources["bourse"].down_since = None
        assert len(await led.look(SECONDS)) == len(STEPS)
        assert await led.look(SECONDS) == []
        assert await led.until() == led.bench.now

    async def test_what_nobody_told_is_asked_for_again_after_a_while(self, led: Led):
        led.bourse.standing.drop("BTC-USD", "it is not listed")
        assert await led.look() == []
        led.bourse.standing.forget_codes()
        assert await led.look(SECONDS) == []
        assert len(await led.look(ASK_AGAIN)) == len(STEPS)

    async def test_what_could_not_be_written_is_asked_for_again(
        self, led: Led, caplog: pytest.LogCaptureFixture
    ):
        looked = led.tending.look()
        await looked
        led.bench.database.away = True
        assert led.tending.filling
        await led.tending.filling
        led.bench.database.away = False
        assert len(await led.look(ASK_AGAIN)) == len(STEPS)
        assert any("could not write down what providers told" in each for each in caplog.messages)

    async def test_how_far_back_is_a_setting(self, led: Led, settings: Any):
        days = {60: 0, 300: 0, 3600: 0.5, DAY: 0}
        settings.QUOTES = settings.QUOTES | {"BACKFILL": days}
        assert await led.look() == [("BTC-USD", 3600)]
        assert len(await led.bench.closes(3600)) == 12

    async def test_what_is_old_is_pruned_once_an_hour(self, led: Led, settings: Any):
        settings.QUOTES = settings.QUOTES | {"RETENTION": {60: 0.0625}, "BACKFILL": {60: 1}}
        await led.look()
        assert len(await led.bench.closes()) == 90
        await led.look(timedelta(minutes=30))
        assert len(await led.bench.closes()) == 90
        await led.look(timedelta(minutes=30))
        assert len(await led.bench.closes()) == 30

    async def test_a_database_that_is_away_does_not_end_it(
        self, bench: Bench, led: Led, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(history_module, "TEND_EVERY", 0.0)
        bench.database.away = True
        task = asyncio.create_task(bench.history.tend(led.feed, {"bourse": led.bourse}))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_minute_of_500_symbols(transactional_db: None):
    """The same for an hour, with figures: `python -m tests.benchmarks.history`."""
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
    """Read all candles, as `rebuilt` returns them."""
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
