"""Back-fill: missing candles are requested once, within budgets, and in parts that are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from hypothesis import given
from hypothesis import strategies as st

from quotes.candles import archive
from quotes.candles.archive import Span
from quotes.candles.backfill import MAX_DELAY, PART_SIZE, Backfill, parts, roll_up, rows_of
from quotes.candles.growing import DAY, STEPS, Candles, period_of
from quotes.feed.sources import Source
from quotes.models import Candle as Kept
from quotes.models import FeedLease, Symbol
from quotes.providers import Candle, Instrument, Plan, Provider, ProviderError
from quotes.providers.kit.budgets import Budget
from quotes.providers.kit.standing import Standing
from quotes.quote import Quote

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE, FIVE, HOUR = STEPS[:3]
REACH = {MINUTE: timedelta(hours=1), FIVE: timedelta(hours=5), HOUR: timedelta(days=2)}
REACH[DAY] = timedelta(days=9)


class Clock:
    """A clock that moves only while a caller sleeps."""

    def __init__(self, now: datetime = NOON) -> None:
        self.moment = now

    def now(self) -> datetime:
        return self.moment

    def seconds(self) -> float:
        return self.moment.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)
        await asyncio.sleep(0)


def price(moment: datetime) -> Decimal:
    """Return the price at the bourse in a minute."""
    return Decimal(100 + int(moment.timestamp()) // 60 * 37 % 89)


class Bourse(Provider):
    """A source with a candle for every minute up to now, which records its requests."""

    name = "bourse"
    title = "Bourse"
    steps = STEPS
    attribution = "Prices by Bourse"

    def __init__(self, clock: Clock, plan: Plan = Plan()) -> None:  # noqa: B008
        super().__init__()
        self.clock = clock
        budget = Budget(plan, clock=clock.seconds, now=clock.now, sleep=clock.sleep)
        self.standing = Standing(budget)
        self.received: list[tuple[str, int, datetime, datetime]] = []
        self.fails: Callable[[Instrument, int], ProviderError | None] = lambda *_: None
        self.silent_after: int | None = None  # how many requests it answers before it hangs
        self.hangs = asyncio.Event()

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        return []

    async def candles(
        self, instrument: Instrument, step: int, start: datetime, end: datetime
    ) -> list[Candle]:
        await self.standing.budget.spend()
        self.received.append((instrument.symbol, step, start, end))
        if error := self.fails(instrument, step):
            raise error
        if len(self.received) == self.silent_after:
            self.hangs.set()
            await asyncio.Event().wait()
        return market(start, min(end, self.clock.now()), step)

    @property
    def requested(self) -> set[str]:
        return {symbol for symbol, *_ in self.received}


@cache
def market(start: datetime, end: datetime, step: int) -> list[Candle]:
    """Return the candles that start from `start` to before `end`, without trades after `end`."""
    minutes = []
    moment = period_of(step, start - timedelta(microseconds=1))[2]
    while moment < end:
        last = price(moment)
        minutes.append(
            Candle(start=moment, open=last, high=last, low=last, close=last, volume=Decimal(2))
        )
        moment += timedelta(minutes=1)
    return roll_up(minutes, step)


async def in_database(read: Callable[..., Any], *given: Any) -> Any:
    return await sync_to_async(read)(*given)


class Bench:
    """A back-fill at noon, with one bourse or more."""

    def __init__(self, *symbols: str, plan: Plan = Plan()) -> None:  # noqa: B008
        self.clock = Clock()
        self.bourse = Bourse(self.clock, plan)
        self.providers: dict[str, Provider] = {"bourse": self.bourse}
        self.symbols, self.reach = symbols, REACH
        self.done: list[tuple[str, int, bool]] = []

    async def list(self) -> None:
        rows = [
            Symbol(code=each, name=each, kind="crypto", currency="USD") for each in self.symbols
        ]
        await Symbol.objects.abulk_create(rows)
        await FeedLease.objects.acreate(epoch=3)

    async def fill(self, since: datetime | None = None) -> set[str]:
        chains = {
            each: {name: Instrument(symbol=each, code=each) for name in self.providers}
            for each in self.symbols
        }
        backfill = Backfill(
            in_database, self.providers, clock=self.clock.now, sleep=self.clock.sleep
        )
        began = dict.fromkeys(self.symbols, since or self.clock.now())
        return await backfill.fill(chains, self.reach, began, lambda *done: self.done.append(done))

    async def fill_and_stop(self, requests: int) -> None:
        """Begin to fill, and stop during a request."""
        self.bourse.received.clear()
        self.bourse.silent_after, self.bourse.hangs = requests, asyncio.Event()
        task = asyncio.create_task(self.fill(NOON))
        await self.bourse.hangs.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.bourse.silent_after = None

    async def kept(self, symbol: str, step: int) -> list[Candle]:
        return await in_database(
            archive.load, symbol, step, NOON - timedelta(days=99), NOON + timedelta(days=99)
        )


@pytest.fixture
async def bench(transactional_db: None) -> Bench:
    bench = Bench("BTC-USD")
    await bench.list()
    return bench


async def test_a_first_start_requests_all_candles_within_the_reach(bench: Bench):
    assert await bench.fill() == set()
    for step in STEPS:
        begin = period_of(step, NOON - REACH[step])[1]
        kept = await bench.kept("BTC-USD", step)
        assert [each.start for each in kept] == [each.start for each in market(begin, NOON, step)]
        assert kept[:-1] == market(begin, NOON, step)[:-1]
    [(symbol, count, complete)] = bench.done
    assert (symbol, count, complete) == ("BTC-USD", 60 + 60 + 48 + 10, True)
    assert {each.epoch async for each in Kept.objects.all()} == {3}


async def test_stored_candles_are_not_requested_again(bench: Bench):
    await bench.fill(NOON)
    bench.bourse.received.clear()
    await bench.fill(NOON)
    assert bench.bourse.received == []


async def test_candles_are_requested_after_a_gap_of_a_second(bench: Bench):
    await bench.fill()
    bench.bourse.received.clear()
    bench.clock.moment += timedelta(seconds=1)
    await bench.fill()
    assert [step for _, step, *_ in bench.bourse.received] == list(STEPS)


async def test_after_a_gap_its_candles_are_requested_and_those_of_the_longest_delay_before_it(
    bench: Bench,
):
    await bench.fill()
    bench.bourse.received.clear()
    bench.clock.moment = NOON + timedelta(minutes=30)
    await bench.fill()
    spans = {step: (start, end) for _, step, start, end in bench.bourse.received}
    assert spans[MINUTE] == (NOON - MAX_DELAY, bench.clock.now() - timedelta(seconds=1))
    assert len(await bench.kept("BTC-USD", MINUTE)) == 90
    assert len(bench.bourse.received) == len(STEPS)


async def test_after_a_gap_longer_than_the_reach_a_new_span_begins(bench: Bench):
    await bench.fill()
    bench.clock.moment = NOON + timedelta(hours=3)
    await bench.fill()
    minutes = [each.start for each in await bench.kept("BTC-USD", MINUTE)]
    assert len(minutes) == 120
    spans = await in_database(archive.load_spans)
    assert spans["BTC-USD", MINUTE].since == NOON + timedelta(hours=2)


async def test_candles_of_the_feed_are_not_replaced_by_those_of_a_provider(bench: Bench):
    bench.clock.moment = NOON + timedelta(minutes=10)
    await bench.fill(since=NOON + timedelta(seconds=30))
    minutes = [each.start for each in await bench.kept("BTC-USD", MINUTE)]
    assert minutes[-1] == NOON


class TestGrowingCandle:
    """The feed began in the middle of it, so that feed and provider know a part each."""

    async def kept(self, bench: Bench, *quotes: Quote) -> Candle:
        candles = Candles()
        for each in quotes:
            candles.take(each)
        await in_database(archive.save, 3, [each.row() for each in candles.due()])
        [*_, hour] = await bench.kept("BTC-USD", HOUR)
        return hour

    @staticmethod
    def quote(last: int, made: datetime) -> Quote:
        return Quote(
            symbol="BTC-USD",
            provider="bourse",
            currency="USD",
            last=Decimal(last),
            received_at=made,
            source_time=made,
        )

    @pytest.mark.parametrize("first", ["the feed", "the provider"])
    async def test_its_open_is_that_of_the_provider_and_its_close_that_of_the_feed(
        self, bench: Bench, first: str
    ):
        began = NOON + timedelta(minutes=20)
        before, after = self.quote(500, began), self.quote(7, began + timedelta(seconds=1))
        bench.clock.moment = began
        if first == "the feed":
            await self.kept(bench, before, after)
            await bench.fill(since=began)
            candle = await self.kept(bench, before, after)
        else:
            await bench.fill(since=began)
            candle = await self.kept(bench, before, after)
        lasts = [price(NOON + timedelta(minutes=n)) for n in range(20)]
        assert (candle.open, candle.high, candle.low, candle.close) == (lasts[0], 500, 7, 7)
        assert candle.volume is None

    async def test_its_volume_comes_from_the_provider_when_it_is_over(self, bench: Bench):
        began = NOON + timedelta(minutes=20)
        await self.kept(bench, self.quote(100, began))
        bench.clock.moment = NOON + timedelta(hours=2)
        await bench.fill(since=began)
        [*_, hour] = await bench.kept("BTC-USD", HOUR)
        assert (hour.start, hour.volume) == (NOON, 120)


class TestStopping:
    @pytest.mark.parametrize("requests", [1, 2, 5, 12])
    async def test_finished_parts_are_not_requested_again(
        self, transactional_db: None, requests: int
    ):
        bench = Bench("BTC-USD", "ETH-USD", "SOL-USD")
        await bench.list()
        await bench.fill_and_stop(requests)
        *finished, interrupted = [each[:2] for each in bench.bourse.received]
        bench.bourse.received.clear()
        assert await bench.fill(NOON) == set()
        received = [each[:2] for each in bench.bourse.received]
        assert received[0] == interrupted
        assert len(received) == len(set(received)) == 12 - len(finished)
        assert not set(finished) & set(received)

    async def test_the_stored_parts_of_a_long_period_stay(self, bench: Bench):
        bench.reach = REACH | {MINUTE: timedelta(minutes=4 * PART_SIZE)}
        await bench.fill_and_stop(3)
        minutes = await bench.kept("BTC-USD", MINUTE)
        assert [each.start for each in (minutes[0], minutes[-1])] == [
            NOON - timedelta(minutes=2 * PART_SIZE),  # the newest come first
            NOON - timedelta(minutes=1),
        ]
        bench.bourse.received.clear()
        await bench.fill(NOON)
        assert len([each for each in bench.bourse.received if each[1] == MINUTE]) == 2
        assert len(await bench.kept("BTC-USD", MINUTE)) == 4 * PART_SIZE


class TestProvidersWithoutAnAnswer:
    @pytest.fixture
    async def two(self, transactional_db: None) -> Bench:
        """Five symbols at a bourse, and at another one in case the first does not answer."""
        bench = Bench("A", "B", "C", "D", "E")
        bench.providers["other"] = Other(bench.clock)
        await bench.list()
        return bench

    async def test_candles_are_requested_from_the_next_provider_and_name_it(self, two: Bench):
        two.bourse.fails = lambda *_: ProviderError("bourse is away")
        assert await two.fill() == set()
        assert {each.provider async for each in Kept.objects.all()} == {"other"}

    async def test_a_failure_for_one_symbol_does_not_stop_requests_for_others(self, two: Bench):
        del two.providers["other"]
        two.bourse.fails = lambda each, _: (
            ProviderError("what is C?") if each.symbol == "C" else None
        )
        assert await two.fill() == {"C"}
        assert [done[0] for done in two.done if done[2]] == ["A", "B", "D", "E"]

    async def test_a_provider_that_fails_three_times_is_given_up_for_that_step_with_one_warning(
        self, two: Bench, caplog: pytest.LogCaptureFixture
    ):
        two.bourse.fails = lambda _, step: (
            ProviderError("no candles of 60 s at bourse") if step == MINUTE else None
        )
        assert await two.fill() == set()
        assert len([each for each in two.bourse.received if each[1] == MINUTE]) == 3
        [record] = caplog.records
        assert record.message == (
            "bourse: requesting candles of 60 s later: no candles of 60 s at bourse"
        )

    async def test_a_provider_that_refuses_gets_no_more_requests(self, two: Bench):
        two.bourse.fails = lambda *_: ProviderError("401 from /candles", refused=True)
        assert await two.fill() == set()
        assert len(two.bourse.received) == 1

    async def test_after_a_refusal_requests_go_on_when_the_operator_acts(self, two: Bench):
        del two.providers["other"]
        two.bourse.fails = lambda *_: ProviderError("401 from /candles", refused=True)
        for _ in range(2):
            assert await two.fill() == set(two.symbols)
        assert len(two.bourse.received) == 1
        two.bourse.fails = lambda *_: None
        Source(
            two.bourse,
            print,
            print,
            is_price=bool,
            now=two.clock.now,
            clock=two.clock.seconds,
        ).act()
        assert await two.fill() == set()

    async def test_a_provider_that_refuses_quotes_gets_no_requests(self, two: Bench):
        two.bourse.standing.refuse("quotes", "403")
        assert await two.fill() == set()
        assert two.bourse.received == []

    async def test_after_a_retry_after_quotes_are_not_requested_either(self, two: Bench):
        two.bourse.fails = lambda *_: ProviderError("too many", retry_after=900.0)
        await two.fill()
        with pytest.raises(ProviderError, match="backing off for another"):
            await two.bourse.standing.budget.spend()

    async def test_a_short_retry_after_is_obeyed_and_the_request_repeated(self, two: Bench):
        del two.providers["other"]
        errors = [ProviderError("too many", retry_after=30.0)]
        two.bourse.fails = lambda *_: errors.pop() if errors else None
        assert await two.fill() == set()
        assert two.clock.now() - NOON >= timedelta(seconds=30)

    async def test_after_a_long_retry_after_a_provider_is_given_up_for_now(self, two: Bench):
        del two.providers["other"]
        two.bourse.fails = lambda *_: ProviderError("too many", retry_after=900.0)
        assert await two.fill() == set(two.symbols)
        assert len(two.bourse.received) == 1

    async def test_candles_that_no_provider_sent_are_requested_the_next_time(self, two: Bench):
        del two.providers["other"]
        two.bourse.fails = lambda *_: ProviderError("bourse is away")
        assert await two.fill() == set(two.symbols)
        assert await in_database(archive.load_spans) == {}
        two.bourse.fails = lambda *_: None
        assert await two.fill() == set()

    async def test_candles_of_an_unknown_code_are_not_requested(self, two: Bench):
        two.bourse.standing.drop("C", "C is not listed")
        await two.fill()
        assert two.bourse.requested == set("ABDE")
        assert [
            each async for each in Kept.objects.filter(provider="bourse", symbol__code="C")
        ] == []

    async def test_candles_of_a_code_whose_polls_failed_are_requested(self, two: Bench):
        two.bourse.standing.rest("C", "answered 500 internal server error")
        await two.fill()
        assert two.bourse.requested == set("ABCDE")

    async def test_a_provider_without_candles_gets_no_requests(self, two: Bench):
        two.providers = {"silent": Silent()}
        assert await two.fill() == set()  # nothing is missing that a provider could send


class Other(Bourse):
    name = "other"


class Silent(Provider):
    """A source without candles."""

    name = "silent"
    title = "Silent"
    attribution = ""

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        return []


class TestBudgets:
    async def test_half_of_a_minutes_requests_are_left_for_quotes(self, transactional_db: None):
        bench = Bench(*(f"S{number}" for number in range(10)), plan=Plan(per_minute=10))
        await bench.list()
        most = 0

        def spent(*_: object) -> None:
            nonlocal most
            most = max(most, bench.bourse.standing.budget.spent_in_minute())

        bench.bourse.fails = spent
        assert await bench.fill() == set()
        assert most == 6
        assert bench.clock.now() - NOON > timedelta(minutes=5)

    async def test_if_quotes_use_the_whole_budget_candles_wait_and_are_then_left_out(
        self, bench: Bench
    ):
        budget = bench.bourse.standing.budget
        budget.plan, sleep = Plan(per_minute=10), bench.clock.sleep

        async def quotes_come_first(seconds: float) -> None:
            await sleep(seconds)
            budget.read_minute(10)

        bench.clock.sleep = quotes_come_first  # type: ignore[method-assign]
        assert await bench.fill() == {"BTC-USD"}
        assert bench.bourse.received == []
        assert timedelta(minutes=5) <= bench.clock.now() - NOON < timedelta(hours=1)

    async def test_a_tenth_of_a_months_requests_is_used(self, transactional_db: None):
        bench = Bench(*(f"S{number}" for number in range(10)), plan=Plan(per_month=200))
        await bench.list()
        assert len(await bench.fill()) == 5
        assert len(bench.bourse.received) == 20

    async def test_there_is_a_pause_between_two_requests_to_a_provider(self, bench: Bench):
        moments = []
        bench.bourse.fails = lambda *_: moments.append(bench.clock.now())
        await bench.fill()
        assert min(b - a for a, b in pairwise(moments)) >= timedelta(seconds=0.25)


class TestRows:
    @staticmethod
    def candles(*starts: datetime, step: int = HOUR) -> list[tuple[datetime, bool]]:
        """Return the starts of the rows, and whether they are over."""
        given = [Candle(start=each, open=V, high=V, low=V, close=V, volume=V) for each in starts]
        rows = rows_of("AAPL", step, given, "bourse", NOON)
        return [(datetime.fromtimestamp(row.start, UTC), row.volume is not None) for row in rows]

    def test_the_newest_candle_may_still_grow(self):
        hours = [NOON - timedelta(hours=n) for n in (3, 2, 1)]
        assert [over for _, over in self.candles(*hours)] == [True, True, False]

    def test_an_old_newest_candle_is_over(self):
        hours = [NOON - timedelta(hours=n) for n in (3, 2)]
        assert [over for _, over in self.candles(*hours)] == [True, True]

    def test_candles_that_start_between_ours_are_left_out(self):
        half_past = NOON - timedelta(hours=2, minutes=30)
        assert self.candles(half_past) == []

    def test_a_day_starts_at_midnight_utc_of_its_date_wherever_its_exchange_is(self):
        in_new_york = datetime(2026, 2, 27, 5, tzinfo=UTC)
        assert self.candles(in_new_york, step=DAY) == [(datetime(2026, 2, 27, tzinfo=UTC), True)]

    async def test_hours_that_begin_at_half_past_are_made_from_half_hours(self, bench: Bench):
        bench.providers = {"bourse": Exchange(bench.clock)}
        await bench.fill()
        hours = await bench.kept("BTC-USD", HOUR)
        assert hours[:-1] == market(NOON - REACH[HOUR], NOON, HOUR)[:-1]

    def test_a_longer_candle_has_a_volume_if_all_its_candles_have_one(self):
        minutes = market(NOON, NOON + timedelta(minutes=10), MINUTE)
        first, second = roll_up(minutes, FIVE)
        assert (first.start, second.start) == (NOON, NOON + timedelta(minutes=5))
        assert (first.open, first.close) == (minutes[0].open, minutes[4].close)
        assert first.high == max(each.high for each in minutes[:5])
        assert first.low == min(each.low for each in minutes[:5])
        assert first.volume == 10
        minutes[7] = Candle(start=minutes[7].start, open=V, high=V, low=V, close=V)
        assert [each.volume for each in roll_up(minutes, FIVE)] == [10, None]


V = Decimal(5)


class Exchange(Bourse):
    """A source with hours that begin with its session, at half past."""

    async def candles(
        self, instrument: Instrument, step: int, start: datetime, end: datetime
    ) -> list[Candle]:
        candles = await super().candles(instrument, step, start, end)
        half = timedelta(minutes=30)
        if step != HOUR:
            return candles
        return [Candle(start=each.start + half, open=V, high=V, low=V, close=V) for each in candles]


# parts

AGES = st.integers(0, 40 * DAY).map(lambda seconds: NOON - timedelta(seconds=seconds))


@given(
    st.none() | st.tuples(AGES, AGES).map(lambda pair: Span(min(pair), max(pair))),
    AGES,
    AGES,
    st.sampled_from(STEPS),
)
def test_parts_leave_no_gap_and_cover_everything_that_was_missing(
    span: Span | None, begin: datetime, since: datetime, step: int
):
    begin, since = min(begin, since), max(begin, since)
    there: list[tuple[datetime, datetime]] = [(span.since, span.until)] if span else []
    now = NOON
    for part in parts(span, begin, since, now, step):
        assert begin - timedelta(seconds=step) < part.start < part.end <= now
        assert part.end - part.start <= timedelta(seconds=(PART_SIZE + 1) * step)
        there.append((part.start, part.end))
        span = part.span
        assert holds(there, span.since, min(span.until, now))
    if span is not None and since - begin >= timedelta(seconds=step):
        assert span.since <= period_of(step, begin)[2]
        assert span.until >= since


def holds(there: list[tuple[datetime, datetime]], start: datetime, end: datetime) -> bool:
    """Return whether spans of time cover a period."""
    for begin, stop in sorted(there):
        if begin <= start:
            start = max(start, stop)
    return start >= end
