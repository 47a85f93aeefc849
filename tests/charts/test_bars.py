"""Bars are joined without losing an extreme."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from quotes.charts.bars import (
    DAY,
    HOUR,
    MINUTE,
    MONTH,
    QUARTER,
    STEPS,
    WEEK,
    YEAR,
    Bar,
    joined,
    longer,
    start_of,
)  # fmt: skip
from tests.charts.made import NEW_YORK, bar, series


@given(series(), st.sampled_from(STEPS))
def test_joined_bars_keep_open_extremes_close_and_the_sum_of_volume(bars: list[Bar], step: int):
    found = joined(bars, step, NEW_YORK)
    assert len(found) <= len(bars)
    assert [each.start for each in found] == sorted({each.start for each in found})
    for each in found:
        of_it = [one for one in bars if start_of(one.start, step, NEW_YORK) == each.start]
        assert each.open == of_it[0].open
        assert each.high == max(one.high for one in of_it)
        assert each.low == min(one.low for one in of_it)
        assert each.close == of_it[-1].close
        volumes = [one.volume for one in of_it]
        assert each.volume == (None if None in volumes else sum(volumes, Decimal(0)))


@given(series(most=20_000), st.sampled_from([2 * HOUR, DAY, WEEK, MONTH]))
def test_bars_joined_twice_are_the_same_as_joined_once(bars: list[Bar], step: int):
    assert joined(joined(bars, HOUR, UTC), step, UTC) == joined(bars, step, UTC)


@given(st.datetimes(timezones=st.just(NEW_YORK)), st.sampled_from(STEPS))
@example(datetime(1927, 4, 24, 2, fold=1, tzinfo=NEW_YORK), 2 * HOUR)  # which no clock shows
def test_the_start_of_a_step_is_not_after_the_moment(moment: datetime, step: int):
    start = start_of(moment, step, NEW_YORK)
    if step >= DAY:
        assert start.date() <= moment.date()
        assert start_of(start, step, UTC) == start
    else:
        # the hour of a change of clocks may make one of several hours longer
        longest = timedelta(seconds=step if step <= HOUR else step + HOUR)
        assert start <= moment.astimezone(UTC) < start + longest
        assert start_of(start, step, NEW_YORK) == start


def test_long_steps_begin_with_the_calendar():
    moment = datetime(2025, 8, 21, 15, 42, tzinfo=NEW_YORK)  # a Thursday
    begun = {step: f"{start_of(moment, step, NEW_YORK):%m-%d}" for step in STEPS if step >= DAY}
    assert begun == {DAY: "08-21", WEEK: "08-18", MONTH: "08-01", QUARTER: "07-01", YEAR: "01-01"}


def test_several_hours_count_by_the_clock_of_the_exchange():
    moment = datetime(2025, 8, 21, 15, 42, tzinfo=NEW_YORK)
    assert start_of(moment, 4 * HOUR, NEW_YORK) == datetime(2025, 8, 21, 12, tzinfo=NEW_YORK)


def test_hours_are_in_order_when_the_clocks_change():
    night = datetime(2025, 11, 2, 3, 30, tzinfo=UTC)  # New York sets its clocks back at 06:00 UTC
    bars = [bar(night + timedelta(hours=n), [Decimal(5)]) for n in range(12)]
    for step in (2 * HOUR, 4 * HOUR):
        starts = [each.start for each in joined(bars, step, NEW_YORK)]
        assert starts == sorted(set(starts))


def test_volume_is_unknown_if_that_of_one_bar_is():
    start, price = datetime(2025, 8, 21, 15, 42, tzinfo=UTC), [Decimal(5)]
    bars = [bar(start, price, Decimal(7)), bar(start.replace(minute=43), price)]
    assert joined(bars, HOUR, UTC)[0].volume is None
    assert joined(bars[:1], HOUR, UTC)[0].volume == 7


def test_bars_are_joined_to_multiples_of_their_step():
    assert longer(MINUTE)[:3] == [120, 300, 600]
    assert longer(300)[:3] == [600, 900, 1800]
    assert longer(600)[0] == 1800  # fifteen minutes would be one bar and a half
    assert longer(DAY) == [WEEK, MONTH, QUARTER, YEAR]
