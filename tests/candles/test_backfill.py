"""Back-fill: what no feed heard is asked for, once, gently, and in parts that stay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from hypothesis import given
from hypothesis import strategies as st

from quotes.candles import archive
from quotes.candles.archive import Span
from quotes.candles.backfill import GAP, LATE, PART, Backfill, parts, rolled_up, told
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
    """A clock that only goes on when somebody sleeps."""

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
    """Return what the bourse charges in a minute."""
    return Decimal(100 + int(moment.timestamp()) // 60 * 37 % 89)


class Bourse(Provider):
    """A source that knows a candle of every minute up to now, and counts what it is asked."""

    name = "bourse"
    title = "Bourse"
    steps = STEPS
    attribution = "Prices by Bourse"

    def __init__(self, clock: Clock, plan: Plan = Plan()) -> None:  # noqa: B008
        super().__init__()
        self.clock = clock
        budget = Budget(plan, clock=clock.seconds, now=clock.now, sleep=clock.sleep)
        self.standing = Standing(budget)
        self.asked: list[tuple[str, int, datetime, datetime]] = []
        self.fails: Callable[[Instrument, int], ProviderError | None] = lambda *_: None
        self.silent_after: int | None = None  # how many requests it answers before it hangs
        self.hangs = asyncio.Event()

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        return []

    async def candles(
        self, instrument: Instrument, step: int, start: datetime, end: datetime
    ) -> list[Candle]:
        await self.standing.budget.spend()
        self.asked.append((instrument.symbol, step, start, end))
        if error := self.fails(instrument, step):
            raise error
        if len(self.asked) == self.silent_after:
            self.hangs.set()
            await asyncio.Event().wait()
        return market(start, min(end, self.clock.now()), step)

    @property
    def asked_of(self) -> set[str]:
        return {symbol for symbol, *_ in self.asked}


def market(start: datetime, end: datetime, step: int) -> list[Candle]:
    """Return the candles that begin from `start` to before `end`, the last as it is at the end."""
    minutes = []
    moment = period_of(step, start - timedelta(microseconds=1))[2]
    first = moment
    while first < end and moment < period_of(step, end - timedelta(microseconds=1))[2]:
        if moment < end:
            last = price(moment)
            minutes.append(
                Candle(start=moment, open=last, high=last, low=last, close=last, volume=Decimal(2))
            )
        moment += timedelta(minutes=1)
    return rolled_up(minutes, step)


async def in_database(read: Callable[..., Any], *given: Any) -> Any:
    return await sync_to_async(read)(*given)


class Bench:
    """A back-fill at noon, with a bourse or several."""

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
        return await backfill.fill(chains, self.reach, began, lambda *told: self.done.append(told))

    async def fill_and_stop(self, requests: int) -> None:
        """Begin to fill, and stop while a request is not answered."""
        self.bourse.asked.clear()
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


async def test_at_the_first_start_all_that_is_reached_back_to_is_asked_for(bench: Bench):
    assert await bench.fill() == set()
    for step in STEPS:
        begin = period_of(step, NOON - REACH[step])[1]
        kept = await bench.kept("BTC-USD", step)
        assert [each.start for each in kept] == [each.start for each in market(begin, NOON, step)]
        assert kept[:-1] == market(begin, NOON, step)[:-1]
    [(symbol, count, complete)] = bench.done
    assert (symbol, count, complete) == ("BTC-USD", 60 + 60 + 48 + 10, True)
    assert {each.epoch async for each in Kept.objects.all()} == {3}


async def test_what_is_there_is_not_asked_for_again(bench: Bench):
    await bench.fill()
    bench.bourse.asked.clear()
    await bench.fill()
    assert bench.bourse.asked == []


async def test_a_feed_that_is_replaced_within_seconds_asks_for_nothing(bench: Bench):
    await bench.fill()
    bench.bourse.asked.clear()
    bench.clock.moment += GAP - timedelta(seconds=1)
    await bench.fill()
    assert bench.bourse.asked == []


async def test_after_a_gap_it_is_asked_for_and_the_time_before_which_sources_may_be_late(
    bench: Bench,
):
    await bench.fill()
    bench.bourse.asked.clear()
    bench.clock.moment = NOON + timedelta(minutes=30)
    await bench.fill()
    spans = {step: (start, end) for _, step, start, end in bench.bourse.asked}
    assert spans[MINUTE] == (NOON - LATE, bench.clock.now() - timedelta(seconds=1))
    assert len(await bench.kept("BTC-USD", MINUTE)) == 90
    assert len(bench.bourse.asked) == len(STEPS)


async def test_after_a_gap_longer_than_is_reached_back_to_everything_begins_anew(bench: Bench):
    await bench.fill()
    bench.clock.moment = NOON + timedelta(hours=3)
    await bench.fill()
    minutes = [each.start for each in await bench.kept("BTC-USD", MINUTE)]
    assert len(minutes) == 120
    spans = await in_database(archive.load_spans)
    assert spans["BTC-USD", MINUTE].since == NOON + timedelta(hours=2)


async def test_what_the_feed_makes_itself_is_not_taken_from_a_provider(bench: Bench):
    bench.clock.moment = NOON + timedelta(minutes=10)
    await bench.fill(since=NOON + timedelta(seconds=30))
    minutes = [each.start for each in await bench.kept("BTC-USD", MINUTE)]
    assert minutes[-1] == NOON


class TestTheCandleThatGrows:
    """The feed began in the middle of it: both the feed and the provider know a part."""

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
    async def test_it_opens_as_the_provider_says_and_closes_as_the_feed_says(
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

    async def test_asked_for_when_it_is_over_the_provider_knows_its_volume(self, bench: Bench):
        began = NOON + timedelta(minutes=20)
        await self.kept(bench, self.quote(100, began))
        bench.clock.moment = NOON + timedelta(hours=2)
        await bench.fill(since=began)
        [*_, hour] = await bench.kept("BTC-USD", HOUR)
        assert (hour.start, hour.volume) == (NOON, 120)


class TestStopping:
    @pytest.mark.parametrize("requests", [1, 2, 5, 12])
    async def test_what_was_finished_is_not_asked_for_again(
        self, transactional_db: None, requests: int
    ):
        bench = Bench("BTC-USD", "ETH-USD", "SOL-USD")
        await bench.list()
        await bench.fill_and_stop(requests)
        *finished, interrupted = [each[:2] for each in bench.bourse.asked]
        bench.bourse.asked.clear()
        assert await bench.fill(NOON) == set()
        asked = [each[:2] for each in bench.bourse.asked]
        assert asked[0] == interrupted
        assert len(asked) == len(set(asked)) == 12 - len(finished)
        assert not set(finished) & set(asked)

    async def test_of_a_long_time_the_parts_that_came_stay(self, bench: Bench):
        bench.reach = REACH | {MINUTE: timedelta(minutes=4 * PART)}
        await bench.fill_and_stop(3)
        minutes = await bench.kept("BTC-USD", MINUTE)
        assert [each.start for each in (minutes[0], minutes[-1])] == [
            NOON - timedelta(minutes=2 * PART),  # the newest come first
            NOON - timedelta(minutes=1),
        ]
        bench.bourse.asked.clear()
        await bench.fill(NOON)
        assert len([each for each in bench.bourse.asked if each[1] == MINUTE]) == 2
        assert len(await bench.kept("BTC-USD", MINUTE)) == 4 * PART


class TestProvidersThatDoNotTell:
    @pytest.fixture
    async def two(self, transactional_db: None) -> Bench:
        """Five symbols at a bourse, and at another one where it does not tell."""
        bench = Bench("A", "B", "C", "D", "E")
        bench.providers["other"] = Other(bench.clock)
        await bench.list()
        return bench

    async def test_the_next_one_is_asked_and_the_candles_say_so(self, two: Bench):
        two.bourse.fails = lambda *_: ProviderError("bourse is away")
        assert await two.fill() == set()
        assert {each.provider async for each in Kept.objects.all()} == {"other"}

    async def test_one_that_fails_for_one_symbol_is_asked_for_the_others(self, two: Bench):
        del two.providers["other"]
        two.bourse.fails = lambda each, _: (
            ProviderError("what is C?") if each.symbol == "C" else None
        )
        assert await two.fill() == {"C"}
        assert [told[0] for told in two.done if told[2]] == ["A", "B", "D", "E"]

    async def test_one_that_has_no_such_candles_is_left_alone_and_said_so_once(
        self, two: Bench, caplog: pytest.LogCaptureFixture
    ):
        two.bourse.fails = lambda _, step: (
            ProviderError("no candles of 60 s at bourse") if step == MINUTE else None
        )
        assert await two.fill() == set()
        assert len([each for each in two.bourse.asked if each[1] == MINUTE]) == 3
        [record] = caplog.records
        assert record.message == (
            "bourse is not asked for candles of 60 s any more, for now: "
            "no candles of 60 s at bourse"
        )

    async def test_one_that_refuses_is_not_asked_again(self, two: Bench):
        two.bourse.fails = lambda *_: ProviderError("who are you?", refused=True)
        assert await two.fill() == set()
        assert len(two.bourse.asked) == 1

    async def test_it_is_asked_again_when_the_operator_acts(self, two: Bench):
        del two.providers["other"]
        two.bourse.fails = lambda *_: ProviderError("who are you?", refused=True)
        for _ in range(2):
            assert await two.fill() == set(two.symbols)
        assert len(two.bourse.asked) == 1
        two.bourse.fails = lambda *_: None
        Source(two.bourse, print, print, two.clock.now, two.clock.seconds).act()
        assert await two.fill() == set()

    async def test_one_that_refuses_quotes_is_not_asked(self, two: Bench):
        two.bourse.standing.refuse("quotes", "403")
        assert await two.fill() == set()
        assert two.bourse.asked == []

    async def test_when_it_wants_to_be_left_alone_quotes_leave_it_alone_too(self, two: Bench):
        two.bourse.fails = lambda *_: ProviderError("too many", retry_after=900.0)
        await two.fill()
        with pytest.raises(ProviderError, match="backing off for another"):
            await two.bourse.standing.budget.spend()

    async def test_one_that_wants_to_be_left_alone_for_a_while_is(self, two: Bench):
        del two.providers["other"]
        errors = [ProviderError("too many", retry_after=30.0)]
        two.bourse.fails = lambda *_: errors.pop() if errors else None
        assert await two.fill() == set()
        assert two.clock.now() - NOON >= timedelta(seconds=30)

    async def test_one_that_wants_to_be_left_alone_for_long_is_asked_another_time(self, two: Bench):
        del two.providers["other"]
        two.bourse.fails = lambda *_: ProviderError("too many", retry_after=900.0)
        assert await two.fill() == set(two.symbols)
        assert len(two.bourse.asked) == 1

    async def test_what_nobody_told_is_asked_for_the_next_time(self, two: Bench):
        del two.providers["other"]
        two.bourse.fails = lambda *_: ProviderError("bourse is away")
        assert await two.fill() == set(two.symbols)
        assert await in_database(archive.load_spans) == {}
        two.bourse.fails = lambda *_: None
        assert await two.fill() == set()

    async def test_a_code_that_it_does_not_know_is_not_asked_for(self, two: Bench):
        two.bourse.standing.drop("C", "C is not listed")
        await two.fill()
        assert two.bourse.asked_of == set("ABDE")
        assert [
            each async for each in Kept.objects.filter(provider="bourse", symbol__code="C")
        ] == []

    async def test_one_without_candles_is_not_asked(self, two: Bench):
        two.providers = {"silent": Silent()}
        assert await two.fill() == set()  # nothing is missing that anybody could tell


class Other(Bourse):
    name = "other"


class Silent(Provider):
    """A source that keeps no candles."""

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

    async def test_where_quotes_take_all_there_is_the_candles_wait_and_then_go_without(
        self, bench: Bench
    ):
        budget = bench.bourse.standing.budget
        budget.plan, sleep = Plan(per_minute=10), bench.clock.sleep

        async def quotes_come_first(seconds: float) -> None:
            await sleep(seconds)
            budget.read_minute(10)

        bench.clock.sleep = quotes_come_first  # type: ignore[method-assign]
        assert await bench.fill() == {"BTC-USD"}
        assert bench.bourse.asked == []
        assert timedelta(minutes=5) <= bench.clock.now() - NOON < timedelta(hours=1)

    async def test_a_tenth_of_a_months_requests_is_used(self, transactional_db: None):
        bench = Bench(*(f"S{number}" for number in range(10)), plan=Plan(per_month=200))
        await bench.list()
        assert len(await bench.fill()) == 5
        assert len(bench.bourse.asked) == 20

    async def test_two_requests_to_a_provider_keep_a_distance(self, bench: Bench):
        moments = []
        bench.bourse.fails = lambda *_: moments.append(bench.clock.now())
        await bench.fill()
        assert min(b - a for a, b in pairwise(moments)) >= timedelta(seconds=0.25)


class TestWhatIsTold:
    @staticmethod
    def candles(*starts: datetime, step: int = HOUR) -> list[tuple[datetime, bool]]:
        """Return the starts of the rows, and whether they are over."""
        given = [Candle(start=each, open=V, high=V, low=V, close=V, volume=V) for each in starts]
        rows = told("AAPL", step, given, "bourse", NOON)
        return [(datetime.fromtimestamp(row.start, UTC), row.volume is not None) for row in rows]

    def test_the_newest_may_not_be_over_yet(self):
        hours = [NOON - timedelta(hours=n) for n in (3, 2, 1)]
        assert [over for _, over in self.candles(*hours)] == [True, True, False]

    def test_the_newest_is_over_when_it_is_old(self):
        hours = [NOON - timedelta(hours=n) for n in (3, 2)]
        assert [over for _, over in self.candles(*hours)] == [True, True]

    def test_candles_that_are_cut_otherwise_than_ours_are_left_out(self):
        half_past = NOON - timedelta(hours=2, minutes=30)
        assert self.candles(half_past) == []

    def test_a_day_is_named_by_its_date_wherever_it_begins(self):
        in_new_york = datetime(2026, 2, 27, 5, tzinfo=UTC)
        assert self.candles(in_new_york, step=DAY) == [(datetime(2026, 2, 27, tzinfo=UTC), True)]

    async def test_hours_that_begin_at_half_past_are_made_of_their_halves(self, bench: Bench):
        bench.providers = {"bourse": Exchange(bench.clock)}
        await bench.fill()
        hours = await bench.kept("BTC-USD", HOUR)
        assert hours[:-1] == market(NOON - REACH[HOUR], NOON, HOUR)[:-1]

    def test_candles_are_joined_with_their_volume_where_all_of_it_is_known(self):
        minutes = market(NOON, NOON + timedelta(minutes=10), MINUTE)
        first, second = rolled_up(minutes, FIVE)
        assert (first.start, second.start) == (NOON, NOON + timedelta(minutes=5))
        assert (first.open, first.close) == (minutes[0].open, minutes[4].close)
        assert first.high == max(each.high for each in minutes[:5])
        assert first.low == min(each.low for each in minutes[:5])
        assert first.volume == 10
        minutes[7] = Candle(start=minutes[7].start, open=V, high=V, low=V, close=V)
        assert [each.volume for each in rolled_up(minutes, FIVE)] == [10, None]


V = Decimal(5)


class Exchange(Bourse):
    """A source whose hours begin when its session does."""

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
def test_parts_leave_no_hole_and_end_with_all_that_was_missing(
    span: Span | None, begin: datetime, since: datetime, step: int
):
    begin, since = min(begin, since), max(begin, since)
    there: list[tuple[datetime, datetime]] = [(span.since, span.until)] if span else []
    now = NOON
    for part in parts(span, begin, since, now, step):
        assert begin - timedelta(seconds=step) < part.start < part.end <= now
        assert part.end - part.start <= timedelta(seconds=(PART + 1) * step)
        there.append((part.start, part.end))
        span = part.span
        assert holds(there, span.since, min(span.until, now))
    if span is not None and since - begin >= timedelta(seconds=step):
        assert span.since <= period_of(step, begin)[2]
        assert span.until >= since - GAP


def holds(there: list[tuple[datetime, datetime]], start: datetime, end: datetime) -> bool:
    """Say whether spans of time cover another one, but for what is too short to ask for."""
    for begin, stop in sorted(there):
        if begin <= start + GAP:
            start = max(start, stop)
    return start >= end
