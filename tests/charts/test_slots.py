"""Closed hours take no room, gaps do."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from quotes.charts.bars import DAY, HOUR, MINUTE, WEEK, Bar, Period, start_of
from quotes.charts.slots import fitting, slots, spans
from tests.charts.made import HALF_DAY, NEW_YORK, OPENING, minutes, series

STEPS = [MINUTE, 5 * MINUTE, HOUR, 4 * HOUR, DAY, WEEK]


@given(series(), st.sampled_from(STEPS))
def test_every_bar_has_one_slot(bars: list[Bar], step: int):
    found = slots(bars, MINUTE, step, NEW_YORK, [])
    assert found == sorted({start_of(each.start, step, NEW_YORK) for each in bars})


@given(series(most=2000), st.integers(2, 300))  # two days may be in two years
def test_at_most_so_many_slots_are_left(bars: list[Bar], most: int):
    hours = [Period(bars[0].start, bars[-1].start + timedelta(minutes=1))]
    found, step = fitting(bars, MINUTE, NEW_YORK, hours, most)
    assert len(slots(bars, MINUTE, step, NEW_YORK, hours)) <= most
    assert max(each.high for each in found) == max(each.high for each in bars)
    assert min(each.low for each in found) == min(each.low for each in bars)


def test_a_day_has_a_slot_for_each_step_of_its_hours_and_no_more():
    found = slots(minutes(count=10), MINUTE, 5 * MINUTE, NEW_YORK, [HALF_DAY])
    assert len(found) == 42
    assert (found[0], found[-1]) == (OPENING, HALF_DAY.ends - timedelta(minutes=5))


def test_lunch_and_nights_take_no_room():
    tokyo = [(9, 11.5), (12.5, 15.5)]
    day = datetime(2025, 11, 27, tzinfo=UTC)
    hours = [
        Period(*(day + timedelta(days=days, hours=hour - 9) for hour in pair))
        for days in (0, 1)
        for pair in tokyo
    ]
    found = slots([], MINUTE, 30 * MINUTE, UTC, hours)
    assert len(found) == 2 * 11
    assert max(b - a for a, b in pairwise(found)) == timedelta(hours=18)


def test_a_step_that_begins_before_the_opening_is_there_and_one_after_the_end_is_not():
    found = slots([], MINUTE, HOUR, NEW_YORK, [HALF_DAY])
    assert [f"{each.astimezone(NEW_YORK):%H}" for each in found] == ["09", "10", "11", "12"]
    longer = HALF_DAY._replace(ends=HALF_DAY.ends + timedelta(minutes=10))
    assert len(slots([], MINUTE, HOUR, NEW_YORK, [longer])) == 5


def test_a_daily_bar_belongs_to_the_date_of_its_exchange():
    sydney = [Period(datetime(2025, 11, 26, 23, tzinfo=UTC), datetime(2025, 11, 27, 5, tzinfo=UTC))]
    start = datetime(2025, 11, 27, tzinfo=UTC)
    bars = [each._replace(start=start) for each in minutes(count=1)]
    assert slots(bars, DAY, DAY, ZoneInfo("Australia/Sydney"), sydney) == [start]


def test_a_million_minutes_are_joined_without_looking_at_each():
    begins = datetime(2020, 1, 1, tzinfo=UTC)
    hours = [Period(begins, begins + timedelta(minutes=1_000_000))]
    bars = [each._replace(start=begins) for each in minutes(count=1)]
    _, step = fitting(bars, MINUTE, UTC, hours, 264)
    assert step == WEEK
    assert len(slots(bars, MINUTE, step, UTC, hours)) == 100


@given(st.dates(date(1990, 1, 1), date(2090, 1, 1)), st.integers(1, 300))
def test_a_longer_step_spans_its_slots(first: date, count: int):
    begins = datetime.combine(first, time(), UTC)
    starts = [begins + timedelta(days=n) for n in range(count)]
    found = list(spans(starts, WEEK, UTC).values())
    assert [place for first, last in found for place in range(first, last + 1)] == [*range(count)]
    assert all(last - first < 7 for first, last in found)
