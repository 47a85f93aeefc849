"""Sparklines: few points, no extreme lost, as long as the session."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from quotes.charts.sparkline import HEIGHT, MAX_POINTS, WIDTH, Price, sparkline, thinned
from tests.charts.made import OPENING, minutes, prices
from tests.charts.paths import points

CLOSE = OPENING + timedelta(hours=8)


@st.composite
def sessions(draw: st.DrawFn) -> list[Price]:
    """Return the prices of a session, often more than there is room for."""
    random, count = draw(st.randoms()), draw(st.integers(0, 400))
    seconds = sorted(random.sample(range(8 * 3600), count))
    highest = draw(st.sampled_from([1, 50, 10**9]))
    return [
        (OPENING + timedelta(seconds=at), Decimal(random.randint(1, highest))) for at in seconds
    ]


@given(sessions())
def test_at_most_60_points_are_left_and_every_extreme(found: list[Price]):
    left = thinned(found, OPENING, CLOSE)
    assert len(left) <= MAX_POINTS
    assert left == sorted(left)
    assert set(left) <= set(found)
    if found:
        assert (left[0], left[-1]) == (found[0], found[-1])
        for pick in (min, max):
            assert pick(value for _, value in left) == pick(value for _, value in found)


@given(sessions(), st.none() | prices)
def test_the_line_and_its_reference_are_inside_the_box(
    found: list[Price], reference: Decimal | None
):
    drawn = sparkline(found, OPENING, CLOSE, reference)
    if len(found) < 3:
        assert drawn is None
        return
    assert drawn is not None
    heights = [y for _, y in points(drawn.path)]
    places = [x for x, _ in points(drawn.path)]
    assert places == sorted(places)
    assert 0 <= places[0] <= places[-1] <= WIDTH
    if reference is not None:
        heights.append(drawn.reference)
    assert (drawn.reference is None) == (reference is None)
    assert 2 <= min(heights) <= max(heights) <= HEIGHT - 2
    assert max(heights) - min(heights) in (0, HEIGHT - 4)


def test_a_session_that_began_an_hour_ago_fills_an_eighth_of_the_box():
    drawn = sparkline(
        [(each.start, each.close) for each in minutes(count=61)], OPENING, CLOSE, Decimal(270)
    )
    assert drawn
    assert points(drawn.path)[-1][0] == WIDTH // 8
    assert len(drawn.path) < 400


def test_prices_of_another_session_are_left_out():
    early = [(OPENING - timedelta(hours=1), Decimal(1))] * 9
    assert sparkline(early, OPENING, CLOSE) is None
    assert sparkline(early, CLOSE, CLOSE) is None
