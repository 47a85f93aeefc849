"""Axes: monotone, inside the drawing, with labels on nice steps that never overlap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from quotes.charts.axes import (
    APART,
    BETWEEN,
    FULL,
    NICE,
    Mark,
    Scale,
    extent,
    is_steep,
    marks,
    nice,
    scale_of,
)
from quotes.charts.bars import DAY, HOUR, MINUTE, WEEK, Period
from quotes.charts.slots import slots
from tests.charts.made import CENT, NEW_YORK, Plain, any_prices, prices

ticks = st.sampled_from([Decimal(text) for text in ("1E-8", "0.0001", "0.01", "0.25", "1", "5")])
pixels = st.sampled_from([177, 216, 243, 296, 308, 376])
text = Plain().mark
Axis = tuple[list[datetime], int]


@st.composite
def scales(draw: st.DrawFn) -> Scale:
    low, high = sorted((draw(any_prices), draw(any_prices)))
    bottom = draw(st.sampled_from([820, FULL]))
    return scale_of(low, high, bottom=bottom, logarithmic=draw(st.booleans()))


@given(scales(), st.lists(any_prices, min_size=2, max_size=20))
def test_a_higher_value_is_never_lower_and_all_are_inside(scale: Scale, values: list[Decimal]):
    heights = [scale.at(value) for value in sorted(values)]
    assert heights == sorted(heights, reverse=True)
    assert all(0 <= height <= scale.bottom for height in heights)


@given(prices, prices)
def test_a_twentieth_of_the_range_is_free_above_and_below(one: Decimal, other: Decimal):
    low, high = sorted((one, other))
    assume(high - low > high / 1000)
    scale = scale_of(low, high)
    assert 40 <= scale.at(high) <= 50  # 5 % of 110 %
    assert scale.at(low) <= FULL - 45 or not scale.low
    assert scale_of(low, high, logarithmic=True).at(high) in range(44, 48)


def test_a_scale_never_begins_below_zero_if_no_value_does():
    assert scale_of(Decimal("0.01"), Decimal(100)).low == 0
    assert scale_of(Decimal(-1), Decimal(1)).low < -1


def test_a_price_that_never_changes_is_in_the_middle():
    for value in ("0.00001", "3", "1E+12"):
        scale = scale_of(Decimal(value), Decimal(value))
        assert scale.at(Decimal(value)) == 500
        assert scale_of(Decimal(value), Decimal(value), logarithmic=True).at(Decimal(value)) == 500
    assert scale_of(Decimal(0), Decimal(0)).holds(Decimal(0))


@given(scales(), pixels, ticks)
def test_labels_of_values_are_nice_inside_and_at_least_40_px_apart(
    scale: Scale, high: int, finest: Decimal
):
    found = scale.ticks(high, finest)
    assert [value for value, _ in found] == sorted({value for value, _ in found})
    for value, step in found:
        assert scale.holds(value)
        assert value % step == 0
        assert step >= finest
        assert step.normalize().scaleb(-step.adjusted()) in [each.normalize() for each in NICE]
    for (one, _), (other, _) in pairwise(found):
        apart = (scale.at(one) - scale.at(other)) / scale.bottom * high
        assert apart >= APART - high / scale.bottom  # two heights are rounded


@given(scales(), pixels)
def test_there_are_as_many_labels_as_have_room(scale: Scale, high: int):
    finest = Decimal("1E-12")
    found = scale.ticks(high, finest)
    assume(not scale.logarithmic and found)
    step = found[0][1]
    finer = [each.scaleb(step.adjusted() - n) for n in (0, 1) for each in NICE]
    smaller = max(each for each in finer if each < step)
    assert smaller / (scale.high - scale.low) * high < APART


def test_labels_are_never_finer_than_the_tick_size():
    scale = scale_of(Decimal("100.01"), Decimal("100.04"))
    assert [str(value) for value, _ in scale.ticks(376, CENT)] == [
        "100.01", "100.02", "100.03", "100.04",
    ]  # fmt: skip
    assert {step for _, step in scale.ticks(376, Decimal(1))} <= {Decimal(1)}


@pytest.mark.parametrize(
    ("least", "finest", "step"),
    [("1.1", "0.01", "2"), ("2.1", "0.01", "2.5"), ("2.1", "1", "5"), ("0.026", "0.25", "0.25"),
     ("5.1", "0.01", "10"), ("0.3", "0.03", "0.5"), ("9.99", "1", "10")],
)  # fmt: skip
def test_a_nice_step_is_one_two_two_and_a_half_or_five(least: str, finest: str, step: str):
    assert nice(Decimal(least), Decimal(finest)) == Decimal(step)


@pytest.mark.parametrize(
    ("lowest", "highest", "labels"),
    [
        ("10", "1000", "10 20 50 100 200 500 1000"),
        ("48000", "196000", "60000 80000 100000 150000 200000"),
        ("0.3", "250000", "1 10 100 1000 10000 100000"),
        ("218", "404", "250 300 350 400"),
        ("1E-4", "1E+9", "0.0001 0.01 1 100 10000 1000000 100000000"),
    ],
)
def test_labels_of_a_logarithmic_scale_are_round(lowest: str, highest: str, labels: str):
    scale = scale_of(Decimal(lowest), Decimal(highest), logarithmic=True)
    assert " ".join(f"{value:f}" for value, _ in scale.ticks(376, Decimal("1E-12"))) == labels


def test_values_are_steep_above_three_times_the_lowest():
    assert not is_steep(Decimal(1), Decimal(3))
    assert is_steep(Decimal(1), Decimal("3.01"))
    assert not is_steep(Decimal(0), Decimal(3))


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    """Return the starts of slots and their step: in sessions of some length, or one each."""
    step = draw(st.sampled_from([*(MINUTE * n for n in (1, 2, 5, 10, 15, 30)), HOUR, DAY, WEEK]))
    first = draw(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)))
    count = draw(st.integers(1, 264))
    if step >= DAY:
        first = first.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC)
        return [first + timedelta(seconds=n * step) for n in range(count)], step
    first = first.replace(hour=14, minute=30, second=0, microsecond=0, tzinfo=UTC)
    opened = draw(st.sampled_from([3.5, 6.5, 24])) * 3600
    days = [first + timedelta(days=n) for n in range(1 + int(count * step // opened))]
    hours = [Period(day, day + timedelta(seconds=opened)) for day in days]
    found = slots([], step, step, NEW_YORK, hours)[:count]
    return [start.astimezone(NEW_YORK) for start in found], step


@given(axes(), st.sampled_from([176, 232, 528, 792]))
def test_labels_of_times_are_apart_and_stand_where_their_unit_begins(axis: Axis, wide: int):
    starts, step = axis
    found = marks(starts, step, wide, text)
    places = [extent(mark, wide / len(starts)) for mark in found]
    assert all(begins >= 0 for begins, _ in places)
    assert all(other[0] - one[1] >= BETWEEN for one, other in pairwise(places))
    for mark in found:
        start, before = starts[mark.slot], starts[mark.slot - 1]
        assert mark.text in {text(start, unit) for unit in ("time", "day", "month", "year")}
        if ":" in mark.text and mark.slot and before == start - timedelta(seconds=step):
            assert start.minute % 5 == 0


def _texts(starts: list[datetime], step: int, wide: int) -> list[str]:
    return [mark.text for mark in marks(starts, step, wide, text)]


def test_the_first_label_of_a_higher_step_states_that_step():
    first = datetime(2025, 11, 26, 14, 30, tzinfo=UTC)
    days = [Period(first + timedelta(days=n), first + timedelta(days=n, hours=6)) for n in (0, 1)]
    starts = [each.astimezone(NEW_YORK) for each in slots([], 300, 300, NEW_YORK, days)]
    assert _texts(starts, 300, 528) == ["Nov 26", "12:00", "14:00", "Nov 27", "12:00", "14:00"]
    months = [datetime(2024 + (n + 7) // 12, (n + 7) % 12 + 1, 1, tzinfo=UTC) for n in range(14)]
    assert _texts(months, 30 * DAY, 792)[:6] == ["Aug", "Sep", "Oct", "Nov", "Dec", "2025"]
    assert _texts(months, 30 * DAY, 232) == ["Oct", "2025", "Apr", "Jul"]


def test_a_narrow_axis_has_some_of_the_finer_labels_rather_than_one():
    first = datetime(2025, 11, 19, 14, 30, tzinfo=UTC)  # a Wednesday
    days = [first + timedelta(n) for n in (0, 1, 2, 5, 6)]
    hours = [Period(day, day + timedelta(hours=6.5)) for day in days]
    starts = [each.astimezone(NEW_YORK) for each in slots([], 1800, 1800, NEW_YORK, hours)]
    assert _texts(starts, 1800, 232) == ["Nov 19", "Nov 21", "Nov 25"]
    around = [first.replace(hour=6, minute=40) + timedelta(minutes=10 * n) for n in range(144)]
    assert _texts(around, 600, 200) == ["Nov 19", "Nov 20"]
    month = [first.replace(hour=0, minute=0) + timedelta(n) for n in range(30)]
    assert _texts(month, DAY, 232) == ["Nov 24", "Dec 8"]


def test_no_odd_time_is_left_between_two_dates():
    first = datetime(2025, 11, 29, 6, 40, tzinfo=UTC)
    starts = [first + timedelta(minutes=10 * n) for n in range(144)]
    assert _texts(starts, 600, 200) == ["Nov 29", "Nov 30"]
    assert _texts(starts, 600, 232) == ["Nov 29", "15:00", "Nov 30"]


def test_a_turn_of_the_day_is_marked_for_a_line():
    first = datetime(2025, 12, 30, tzinfo=UTC)
    starts = [first + timedelta(hours=n) for n in range(72)]
    higher = [mark for mark in marks(starts, HOUR, 792, text) if mark.higher]
    assert higher == [Mark(0, "Dec 30", True), Mark(24, "Dec 31", True), Mark(48, "Jan 1", True)]
