"""Paths: whole numbers, inside the box, in the right slot."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from quotes.charts.axes import FULL, scale_of
from quotes.charts.bars import Bar
from quotes.charts.path import SLOT, Placed, area, candles, line, points
from tests.charts.made import OPENING, bar, series
from tests.charts.paths import drawn
from tests.charts.paths import points as read

PRICES, VOLUMES = 820, 840
spots = st.lists(st.tuples(st.integers(0, 9999), st.integers(0, FULL)), min_size=1, max_size=300)


def _all(bars: list[Bar]) -> tuple[list[Placed], object, Decimal]:
    placed = [Placed(each, place, place) for place, each in enumerate(bars)]
    scale = scale_of(min(b.low for b in bars), max(b.high for b in bars), bottom=PRICES)
    return placed, scale, max(b.volume or Decimal(0) for b in bars)


@given(spots)
def test_a_line_goes_through_all_points(through: list[tuple[int, int]]):
    assert read(line(through)) == (through if len(through) > 1 else through * 2)


@given(spots)
def test_an_area_ends_where_it_began_at_the_bottom(through: list[tuple[int, int]]):
    *outline, right, left = read(area(through, PRICES))
    assert outline == (through if len(through) > 1 else through * 2)
    assert (right, left) == ((through[-1][0], PRICES), (through[0][0], PRICES))


@given(series())
def test_all_bars_are_inside_the_box(bars: list[Bar]):
    placed, scale, most = _all(bars)
    found = candles(placed, scale, VOLUMES, most)
    for path, top, bottom in ((found.up, 0, PRICES), (found.down, 0, PRICES),
                              (found.volume, VOLUMES, FULL)):  # fmt: skip
        for x, y in read(path):
            assert 0 < x < len(bars) * SLOT
            assert top <= y <= bottom


@given(series())
def test_each_bar_is_in_its_slot_between_its_prices(bars: list[Bar]):
    placed, scale, most = _all(bars)
    for each in placed:
        found = candles([each], scale, VOLUMES, most)
        assert bool(found.up) == (each.bar.close >= each.bar.open) != bool(found.down)
        shape = read(found.up or found.down)
        assert {x for x, _ in shape} == {each.middle - 3, each.middle, each.middle + 3}
        heights = [y for _, y in shape]
        assert min(heights) == scale.at(each.bar.high)
        assert max(heights) == scale.at(each.bar.low)
        body = [y for x, y in shape if x != each.middle]
        assert {min(body), max(body)} == {scale.at(each.bar.open), scale.at(each.bar.close)}


def test_a_wick_does_not_cross_a_hollow_body():
    made = bar(OPENING, [Decimal(each) for each in (20, 10, 40, 30)])
    placed, scale, most = _all([made])
    up = candles(placed, scale, VOLUMES, most).up
    top, bottom = scale.at(Decimal(30)), scale.at(Decimal(20))
    middle = [sorted(y for _, y in pair) for part in drawn(up) for pair in pairwise(part)
              if pair[0][0] == pair[1][0] == 5]  # fmt: skip
    assert middle == [[scale.at(Decimal(40)), top], [bottom, scale.at(Decimal(10))]]


def test_an_unknown_volume_is_not_drawn_and_the_smallest_is():
    volumes = [None, Decimal(0), Decimal(1), Decimal(10**9)]
    bars = [bar(OPENING, [Decimal(5)], volume) for volume in volumes]
    placed, scale, most = _all(bars)
    parts = drawn(candles(placed, scale, VOLUMES, most).volume)
    assert [(part[0][0] // SLOT, FULL - part[1][1]) for part in parts] == [(2, 1), (3, 160)]


def test_a_joined_bar_stands_in_the_middle_of_its_slots():
    placed = Placed(bar(OPENING, [Decimal(5)]), 5, 9, 30)
    scale = scale_of(Decimal(4), Decimal(6))
    x = [each for each, _ in read(candles([placed], scale, VOLUMES, Decimal(0)).up)]
    assert (min(x), max(x)) == (60, 90)
    assert points([placed], scale) == [(75, 500)]
