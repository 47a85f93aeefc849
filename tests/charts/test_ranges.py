"""Ranges: from when, from which stored bars, and how they are drawn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotes.charts.bars import DAY, HOUR, MINUTE, Period
from quotes.charts.ranges import RANGES, begins_late, reaches
from quotes.conf import DEFAULTS
from tests.charts.made import NEW_YORK, minutes

NOW = datetime(2025, 11, 28, 17, 0, tzinfo=UTC)  # Friday noon in New York
KEPT = DEFAULTS["RETENTION"]


def _trading(*days: int) -> list[Period]:
    begins = [datetime(2025, 11, day, 14, 30, tzinfo=UTC) for day in days]
    return [Period(each, each + timedelta(hours=6.5)) for each in begins]


WEEK = _trading(20, 21, 24, 25, 26, 28)  # Thanksgiving is the 27th


@pytest.mark.parametrize(
    ("name", "since"),
    [("1d", "2025-11-28 09:30"), ("5d", "2025-11-21 09:30"), ("1m", "2025-10-28 00:00"),
     ("6m", "2025-05-28 00:00"), ("ytd", "2025-01-01 00:00"), ("1y", "2024-11-28 00:00"),
     ("5y", "2020-11-28 00:00")],
)  # fmt: skip
def test_a_range_goes_back_to_an_opening_or_a_date_of_the_exchange(name: str, since: str):
    found = RANGES[name].since(NOW, NEW_YORK, WEEK)
    assert found
    zone = NEW_YORK if name in ("1d", "5d") else UTC  # dates are those of daily bars
    assert f"{found.astimezone(zone):%Y-%m-%d %H:%M}" == since


def test_all_there_is_has_no_beginning():
    assert RANGES["all"].since(NOW, NEW_YORK, WEEK) is None


def test_on_a_sunday_one_day_is_friday():
    sunday = datetime(2025, 11, 30, 17, 0, tzinfo=UTC)
    assert RANGES["1d"].since(sunday, NEW_YORK, WEEK) == WEEK[-1].begins


def test_before_the_opening_one_day_is_the_day_before():
    early = datetime(2025, 11, 28, 14, 0, tzinfo=UTC)
    assert RANGES["1d"].since(early, NEW_YORK, WEEK) == WEEK[-2].begins


def test_a_market_that_is_always_open_has_days_of_24_hours():
    assert RANGES["1d"].since(NOW, UTC) == NOW - timedelta(days=1)
    assert RANGES["5d"].since(NOW, UTC) == NOW - timedelta(days=5)


def test_a_market_that_is_open_for_a_week_has_days_of_24_hours_up_to_its_end():
    week = Period(
        datetime(2025, 11, 23, 22, tzinfo=UTC), datetime(2025, 11, 28, 22, tzinfo=UTC)
    )  # currencies
    assert RANGES["1d"].since(NOW, NEW_YORK, [week]) == NOW - timedelta(days=1)
    assert RANGES["1d"].since(NOW + timedelta(days=2), NEW_YORK, [week]) == week.ends - timedelta(
        days=1
    )


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)))
def test_any_day_has_every_range(now: datetime):
    found = [each.since(now, NEW_YORK) for each in RANGES.values()][:-1]
    assert all(since is not None and since <= now for since in found)


def test_the_finest_bars_that_are_kept_for_long_enough_are_looked_for_first():
    def stored(name: str, hours: list[Period], now: datetime = NOW) -> list[int]:
        chosen = RANGES[name]
        return chosen.stored(chosen.since(now, NEW_YORK, hours), now, KEPT)

    assert stored("1d", WEEK) == [MINUTE, 300, HOUR]
    assert stored("1d", WEEK, datetime(2025, 12, 1, 14, 0, tzinfo=UTC)) == [300, HOUR]
    assert stored("5d", WEEK) == [300, HOUR]
    assert stored("1m", WEEK) == [HOUR, DAY]
    assert stored("1y", WEEK) == stored("all", WEEK) == [DAY]


def test_bars_reach_back_although_the_first_minutes_had_no_trade():
    opened, bars = WEEK[-1].begins, minutes(count=390)
    bars = [bar._replace(start=opened + timedelta(minutes=n)) for n, bar in enumerate(bars)]
    assert reaches(bars, opened)
    assert reaches(bars[4:20], opened)
    assert not reaches(bars[6:20], opened)
    assert reaches(bars[7:], opened)
    assert not reaches(bars[30:], opened)
    assert reaches(bars, None)
    assert not reaches([], None)
    assert not reaches([], opened)


def test_a_tenth_of_a_range_may_be_missing_before_a_visitor_is_informed():
    opened, bars = WEEK[0].begins, minutes(count=41)
    days = [bar._replace(start=opened + timedelta(days=n)) for n, bar in enumerate(bars)]
    assert not begins_late(days[4:], opened)
    assert begins_late(days[5:], opened)
    assert not begins_late(days[1:3], opened)
    assert not begins_late(days[5:], None)


def test_up_to_two_days_are_a_line_and_more_are_candles():
    kinds = {name: chosen.kind for name, chosen in RANGES.items()}
    assert kinds.pop("1d") == "line"
    assert set(kinds.values()) == {"candles"}


def test_a_month_back_from_the_31st_is_the_last_day_of_a_shorter_month():
    march = datetime(2025, 3, 31, 12, tzinfo=UTC)
    assert f"{RANGES['1m'].since(march, UTC):%m-%d}" == "02-28"
    assert f"{RANGES['1y'].since(datetime(2024, 2, 29, tzinfo=UTC), UTC):%m-%d}" == "02-28"
