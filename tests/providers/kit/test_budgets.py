"""Budgets: however much is asked for, no source is asked more often than it allows."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotes.providers import Plan, ProviderError
from quotes.providers.kit.budgets import Budget


class Time:
    """Clocks that only sleeping moves; the one on the wall may be set."""

    def __init__(self, start: datetime = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)) -> None:
        self.start, self.now = start, 0.0

    def __call__(self) -> float:
        return self.now

    def wall(self) -> datetime:
        return self.start + timedelta(seconds=self.now)

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def budget(time: Time, **plan: int) -> Budget:
    return Budget(Plan(**plan), clock=time, now=time.wall, sleep=time.sleep)


@given(
    most=st.integers(1, 20),
    spending=st.lists(st.tuples(st.integers(1, 20), st.floats(0, 90)), min_size=1, max_size=60),
)
def test_no_sixty_seconds_cost_more_than_is_allowed(most: int, spending: list[tuple[int, float]]):
    time = Time()
    purse = budget(time, per_minute=most)
    spent: list[tuple[float, int]] = []

    async def spend() -> None:
        for cost, pause in spending:
            time.now += pause
            if cost > most:
                with pytest.raises(ProviderError, match="exceeds"):
                    await purse.spend(cost)
                continue
            await purse.spend(cost)
            spent.append((time.now, cost))

    asyncio.run(spend())
    for begin, _ in spent:
        assert sum(cost for when, cost in spent if begin <= when < begin + 60) <= most


@pytest.mark.parametrize("step", [timedelta(hours=1), timedelta(hours=-1)])
async def test_a_wall_clock_that_is_set_neither_frees_a_minute_nor_holds_anybody_up(
    step: timedelta,
):
    time = Time()
    purse = budget(time, per_minute=1)
    await purse.spend()
    purse.back_off(30)
    time.start += step
    with pytest.raises(ProviderError, match="backing off for another 30 s"):
        await purse.spend()
    time.now += 30
    await purse.spend()
    assert time.now == 60


async def test_nobody_waits_without_need():
    time = Time()
    purse = budget(time, per_minute=3)
    began = time.now
    for _ in range(3):
        await purse.spend()
    assert time.now == began
    await purse.spend()
    assert time.now == began + 60


async def test_what_the_source_counted_itself_counts():
    time = Time()
    purse = budget(time, per_minute=100)
    began = time.now
    await purse.spend(10)
    purse.read_minute(95)  # another program at the same address asks as well
    purse.read_minute(20)  # less than we know of
    await purse.spend(5)
    assert time.now == began
    await purse.spend(1)
    assert time.now == began + 60


async def test_a_month_is_never_exceeded_and_the_next_one_begins_anew():
    time = Time(datetime(2026, 12, 31, 23, 0, tzinfo=UTC))
    purse = budget(time, per_month=3)
    for _ in range(3):
        await purse.spend()
    with pytest.raises(ProviderError, match="the 3 requests of 2026-12 are spent") as error:
        await purse.spend()
    assert error.value.retry_after == 3600
    time.now += 3600
    for _ in range(3):
        await purse.spend()
    assert (purse.month, purse.left_in_month()) == ("2027-01", 0)


async def test_what_earlier_processes_spent_counts():
    purse = budget(Time(), per_month=10)
    purse.month_spent = 9
    await purse.spend()
    with pytest.raises(ProviderError):
        await purse.spend()


async def test_many_at_once_share_one_budget():
    time = Time()
    purse = budget(time, per_minute=5)
    began = time.now
    await asyncio.gather(*(purse.spend() for _ in range(12)))
    assert purse.spent_in_minute() <= 5
    assert time.now >= began + 120


@given(
    spending=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9), st.booleans()), max_size=40)
)
def test_those_who_share_a_plan_learn_what_the_others_spent(
    spending: list[tuple[int, int, bool]],
):
    purses, ledger = [budget(Time(), per_month=10_000) for _ in range(3)], 900
    for purse in purses:
        purse.read_month("2026-11", ledger)

    async def tell(purse: Budget) -> None:
        nonlocal ledger
        told = purse.unreported()
        ledger += told
        await purse.spend(1)  # while the ledger is written
        purse.read_month("2026-11", ledger, told)

    async def spend() -> None:
        for who, cost, tells in spending:
            await purses[who].spend(cost)
            if tells:
                await tell(purses[who])
        for purse in purses:
            await tell(purse)

    asyncio.run(spend())
    spent = 900 + sum(cost + tells for _, cost, tells in spending)
    assert ledger == spent
    assert purses[-1].month_spent == spent + 1


async def test_what_was_spent_in_another_month_is_no_news():
    purse = budget(Time(), per_month=10)
    await purse.spend(3)
    purse.read_month("2026-10", 9)
    assert (purse.left_in_month(), purse.unreported()) == (7, 3)


async def test_a_source_that_told_one_to_stay_away_is_asked_by_nobody_until_then():
    time = Time()
    purse = budget(time)
    purse.back_off(30)
    purse.back_off(5)  # which shortens nothing
    time.now += 29
    with pytest.raises(ProviderError, match="backing off for another 1 s") as caught:
        await purse.spend()
    assert caught.value.retry_after == pytest.approx(1)
    time.now += 1
    await purse.spend()
