"""Frames: bars with room, their slots, and the gaps between them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given

from quotes.charts.bars import DAY, MINUTE, YEAR, Bar, Period
from quotes.charts.frame import FEWEST_BARS, MAX_BARS, Frame
from tests.charts.made import HALF_DAY, NEW_YORK, bar, minutes, series, year


@given(series(most=3000))
def test_no_bar_is_lost_and_none_is_too_narrow(bars: list[Bar]):
    frame = Frame(bars=bars, step=MINUTE, zone=NEW_YORK)
    assert frame.count <= MAX_BARS
    assert len(frame.wider) <= FEWEST_BARS
    for placed in (frame.placed, frame.wider or frame.placed):
        assert max(each.bar.high for each in placed) == max(each.high for each in bars)
        assert min(each.bar.low for each in placed) == min(each.low for each in bars)
        slots = [(each.first, each.last) for each in placed]
        assert slots == sorted(slots)
        assert all(one[1] < other[0] for one, other in pairwise(slots))


def test_a_year_has_each_day_and_for_narrow_screens_each_week():
    frame = Frame(bars=year(), step=DAY, zone=NEW_YORK)
    assert (frame.count, len(frame.wider)) == (251, 51)
    assert (frame.wider[1].first, frame.wider[1].last) == (5, 9)
    assert not frame.gaps


def test_joined_bars_have_bodies_of_one_width_and_gaps_between_them():
    thursday, bars = 3, year(days=129)  # 26 weeks, of which the first and the last are parts
    wider = Frame(bars=bars[thursday:-2], step=DAY, zone=NEW_YORK).wider
    assert [each.wide for each in wider] == [18, *[30] * 24, 18]
    for one, other in pairwise(wider):
        assert other.left - one.left - one.wide >= 10  # a third of a body


def test_few_bars_are_not_joined():
    few = Frame(bars=year()[:77], step=DAY, zone=NEW_YORK)
    assert few.wider == few.placed
    assert len(Frame(bars=year()[:78], step=DAY, zone=NEW_YORK).wider) == 16


def test_an_outage_is_a_gap_and_one_quiet_minute_is_not():
    bars = minutes()
    found = Frame(
        bars=bars[:60] + bars[61:90] + bars[120:150], step=MINUTE, zone=NEW_YORK, hours=[HALF_DAY]
    )
    assert found.drawn_step == MINUTE
    assert found.count == 210
    assert found.gaps == [(90, 119)]


def test_a_single_missing_day_is_a_gap():
    bars = year()[:10]
    hours = [
        Period(each.start + timedelta(hours=14), each.start + timedelta(hours=20)) for each in bars
    ]
    frame = Frame(bars=bars[:4] + bars[5:], step=DAY, zone=NEW_YORK, hours=hours)
    assert frame.gaps == [(4, 4)]
    assert not Frame(bars=bars[:4] + bars[5:], step=DAY, zone=NEW_YORK).gaps


def test_the_newest_minute_grows_the_last_bar():
    bars = minutes(count=200)
    frame = Frame(bars=bars[:-1], step=MINUTE, zone=UTC)
    *_, last = bars
    newest = bar(last.start, [Decimal(270), Decimal(900), Decimal(1), Decimal(271)], Decimal(5))
    grown = Frame(bars=[*bars[:-1], newest], step=MINUTE, zone=UTC)
    assert frame.grown(newest) is None  # it begins another bar
    assert Frame(bars=bars, step=MINUTE, zone=UTC).grown(newest) == (
        grown.placed[-1],
        grown.wider[-1],
    )


def test_a_bar_keeps_its_volume_until_that_of_the_newest_minute_is_known():
    bars = minutes(count=200)
    unknown = bars[-1]._replace(volume=None)
    before = Frame(bars=bars, step=MINUTE, zone=UTC)
    frame = Frame(bars=[*bars[:-1], unknown], step=MINUTE, zone=UTC)
    assert before.wider[-1].bar.volume
    assert frame.wider[-1].bar.volume == before.wider[-1].bar.volume - bars[-1].volume
    assert frame.placed[-1].bar.volume is None


def test_centuries_are_joined_to_years():
    bars = [bar(datetime(n, 1, 1, tzinfo=UTC), [Decimal(n)]) for n in range(1700, 2000)]
    frame = Frame(bars=bars, step=YEAR, zone=UTC)
    assert frame.count == len(frame.wider) == 300


def test_prices_that_became_four_times_as_high_are_steep():
    assert Frame(bars=year(), step=DAY, zone=NEW_YORK).is_steep
    assert not Frame(bars=year()[:100], step=DAY, zone=NEW_YORK).is_steep
