"""Budgets: no source gets more requests than its plan allows."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotes.providers import Plan, ProviderError
from quotes.providers.kit.budgets import Budget


class Time:
    """Clocks that only move during a sleep; the wall clock may be set."""

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
def test_no_sixty_seconds_cost_more_than_the_plan_allows(
    most: int, spending: list[tuple[int, float]]
):
    time = Time()
    purse = budget(time, per_minute=most)
    spent: list[tuple[float, int]] = []

    async def spend() -> None:
        for cost, pause in spending:
            time.now += pause
            if cost > most:
                with pytest.raises(ProviderError, match="is above the limit"):
                    await purse.spend(cost)
                continue
            await purse.spend(cost)
            spent.append((time.now, cost))

    asyncio.run(spend())
    for begin, _ in spent:
        assert sum(cost for when, cost in spent if begin <= when < begin + 60) <= most


@pytest.mark.parametrize("step", [timedelta(hours=1), timedelta(hours=-1)])
async def test_setting_the_wall_clock_neither_frees_a_minute_nor_delays_a_request(
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


async def test_a_request_within_the_plan_does_not_wait():
    time = Time()
    purse = budget(time, per_minute=3)
    began = time.now
    for _ in range(3):
        await purse.spend()
    assert time.now == began
    await purse.spend()
    assert time.now == began + 60


async def test_the_sources_own_count_is_taken_over_if_it_is_higher():
    time = Time()
    purse = budget(time, per_minute=100)
    began = time.now
    await purse.spend(10)
    purse.read_minute(95)  # another program at the same address sends requests, too
    purse.read_minute(20)  # fewer than we counted
    await purse.spend(5)
    assert time.now == began
    await purse.spend(1)
    assert time.now == began + 60


async def test_a_month_is_never_exceeded_and_the_next_one_starts_from_zero():
    time = Time(datetime(2026, 12, 31, 23, 0, tzinfo=UTC))
    purse = budget(time, per_month=3)
    for _ in range(3):
        await purse.spend()
    with pytest.raises(ProviderError, match="all 3 requests of 2026-12 are used") as error:
        await purse.spend()
    assert error.value.retry_after == 3600
    time.now += 3600
    for _ in range(3):
        await purse.spend()
    assert (purse.month, purse.left_in_month()) == ("2027-01", 0)


async def test_requests_of_earlier_processes_count():
    purse = budget(Time(), per_month=10)
    purse.month_spent = 9
    await purse.spend()
    with pytest.raises(ProviderError):
        await purse.spend()


async def test_concurrent_requests_share_one_budget():
    time = Time()
    purse = budget(time, per_minute=5)
    began = time.now
    await asyncio.gather(*(purse.spend() for _ in range(12)))
    assert purse.spent_in_minute() <= 5
    assert time.now >= began + 120


@given(
    spending=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9), st.booleans()), max_size=40)
)
def test_processes_with_one_plan_read_what_the_others_spent(
    spending: list[tuple[int, int, bool]],
):
    purses, ledger = [budget(Time(), per_month=10_000) for _ in range(3)], 900
    for purse in purses:
        purse.read_month("2026-11", ledger)

    async def report(purse: Budget) -> None:
        nonlocal ledger
        reported = purse.unreported()
        ledger += reported
        await purse.spend(1)  # while the ledger is written
        purse.read_month("2026-11", ledger, reported)

    async def spend() -> None:
        for index, cost, reports in spending:
            await purses[index].spend(cost)
            if reports:
                await report(purses[index])
        for purse in purses:
            await report(purse)

    asyncio.run(spend())
    spent = 900 + sum(cost + reports for _, cost, reports in spending)
    assert ledger == spent
    assert purses[-1].month_spent == spent + 1


async def test_the_count_of_another_month_changes_nothing():
    purse = budget(Time(), per_month=10)
    await purse.spend(3)
    purse.read_month("2026-10", 9)
    assert (purse.left_in_month(), purse.unreported()) == (7, 3)


async def test_no_request_is_sent_during_a_back_off():
    time = Time()
    purse = budget(time)
    purse.back_off(30)
    purse.back_off(5)  # does not shorten the first one
    time.now += 29
    with pytest.raises(ProviderError, match="backing off for another 1 s") as caught:
        await purse.spend()
    assert caught.value.retry_after == pytest.approx(1)
    time.now += 1
    await purse.spend()
