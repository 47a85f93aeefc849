"""Figures of a year from daily candles, and those for which there are too few candles."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotes import conf, sessions
from quotes.candles.figures import MAX_GAP, NOTHING, PERIODS, Figures, figures
from quotes.candles.growing import DAY
from quotes.providers import Candle
from tests.examples import examples

TODAY = date(2026, 11, 30)  # a Monday
PRICES = st.decimals("-1000", "100000", places=4).filter(bool)
VOLUMES = st.none() | st.decimals(0, "1e12", places=2)


def candle(day: date, close: Any, volume: Any = None, low: Any = None, high: Any = None) -> Candle:
    close = Decimal(close)
    low, high = (close if each is None else Decimal(each) for each in (low, high))
    start = datetime.combine(day, time(), UTC)
    volume = None if volume is None else Decimal(volume)
    return Candle(start=start, open=close, high=high, low=low, close=close, volume=volume)


@st.composite
def histories(draw: st.DrawFn) -> list[Candle]:
    """Draw up to 40 days of trading, close together or years apart, some after today."""
    days = draw(st.lists(st.integers(-3, 500), unique=True, max_size=40))
    return [
        candle(
            TODAY - timedelta(back),
            draw(PRICES),
            draw(VOLUMES),
            *sorted(draw(st.tuples(*[PRICES] * 2))),
        )
        for back in sorted(days, reverse=True)
    ]


def every_weekday(count: int, **more: Any) -> list[Candle]:
    """Make a candle of each of the last weekdays; their closes are 1, 2, 3 and so on."""
    days = [TODAY - timedelta(back) for back in range(2 * count, -1, -1)]
    weekdays = [day for day in days if day.weekday() < 5][-count:]
    return [candle(day, number, **more) for number, day in enumerate(weekdays, start=1)]


def close_of(candles: list[Candle], day: date) -> Decimal:
    [found] = [each.close for each in candles if each.start.date() == day]
    return found


def test_each_period_begins_with_the_close_before_it():
    candles = every_weekday(300)
    found = figures(candles, TODAY)
    assert found.bases == {
        "5D": close_of(candles, date(2026, 11, 23)),
        "1M": close_of(candles, date(2026, 10, 30)),
        "YTD": close_of(candles, date(2025, 12, 31)),
        "1Y": close_of(candles, date(2025, 11, 28)),  # 30 November was a Sunday
    }
    assert list(found.changes(Decimal(400))) == list(found.bases)
    assert found.changes(found.bases["5D"] * 2)["5D"] == 100


@pytest.mark.parametrize(
    ("count", "known"),
    [
        (1, []),  # today's own candle
        (5, []),
        (6, ["5D"]),
        (22, ["5D", "1M"]),
        (240, ["5D", "1M", "YTD"]),
        (262, ["5D", "1M", "YTD", "1Y"]),
    ],
)
def test_a_period_that_candles_do_not_reach_has_no_change(count: int, known: list[str]):
    found = figures(every_weekday(count), TODAY).changes(Decimal(7))
    assert [period for period in PERIODS if period in found] == known


def test_a_period_does_not_begin_in_a_gap():
    candles = [each for each in every_weekday(300) if each.start.month not in (10, 12)]
    assert set(figures(candles, TODAY).bases) == {"5D", "1Y"}


@pytest.mark.parametrize(
    ("day", "month", "year"),
    [
        (date(2026, 3, 31), date(2026, 2, 28), date(2025, 3, 31)),
        (date(2028, 2, 29), date(2028, 1, 29), date(2027, 2, 28)),
        (date(2026, 1, 1), date(2025, 12, 1), date(2025, 1, 1)),
        (date(2026, 12, 31), date(2026, 11, 30), date(2025, 12, 31)),
    ],
)
def test_a_month_and_a_year_begin_on_the_same_day_or_the_last_of_the_month(
    day: date, month: date, year: date
):
    candles = [candle(day - timedelta(back), back + 1) for back in range(400, 0, -1)]
    bases = figures(candles, day).bases
    assert (bases["1M"], bases["1Y"]) == (close_of(candles, month), close_of(candles, year))


@pytest.mark.parametrize(
    ("exchange", "day"),
    [
        ("NASDAQ", date(2027, 11, 29)),  # the day a year before is a Sunday
        ("NASDAQ", date(2027, 1, 19)),  # it is Martin Luther King Day
        ("TSE", date(2027, 5, 6)),  # it is the last day of Golden Week
        ("SHANGHAI", date(2027, 2, 23)),  # it ends the holidays of the New Year
    ],
)
def test_candles_that_are_requested_by_default_reach_the_close_a_year_before(
    exchange: str, day: date
):
    oldest = datetime.combine(day, time.max, UTC) - timedelta(conf.DEFAULTS["BACKFILL"][DAY])
    days = [day - timedelta(back) for back in range(400, -1, -1)]
    candles = [candle(each, 5) for each in days if sessions.trading_on(exchange, "stock", each)]
    found = figures([each for each in candles if each.start >= oldest], day)
    assert "1Y" in found.bases


def test_a_price_below_zero_rises_towards_zero():
    found = Figures(bases={"5D": Decimal(-40)})
    assert found.changes(Decimal(-20)) == {"5D": 50}


def test_a_range_of_52_weeks_includes_the_day_of_the_quote(make_quote: Any):
    found = figures(every_weekday(262), TODAY)
    quote = make_quote(last="300", low=Decimal("0.5"), high=Decimal(301))
    assert found.range_with(quote) == (Decimal("0.5"), Decimal(301))
    assert found.range_with(make_quote(last="300")) == (found.low, found.high)


def test_candles_of_less_than_52_weeks_have_no_range_of_them(make_quote: Any):
    found = figures(every_weekday(200), TODAY)
    assert (found.low, found.high) == (None, None)
    assert found.range_with(make_quote(low=Decimal(1), high=Decimal(2))) is None


def test_an_average_volume_is_that_of_the_last_30_whole_days():
    candles = [
        candle(TODAY - timedelta(back), 1, volume=back or 10**9) for back in range(60, -1, -1)
    ]
    found = figures(candles, TODAY)
    assert (found.volume, found.volume_days) == (Decimal("15.5"), 30)


@pytest.mark.parametrize("volumes", [[1] * 4, [None] * 30, [0] * 30])
def test_few_volumes_have_no_average(volumes: list[int | None]):
    days = range(len(volumes), 0, -1)
    candles = [
        candle(TODAY - timedelta(back), 1, volume=each)
        for back, each in zip(days, volumes, strict=True)
    ]
    assert figures(candles, TODAY).volume is None


def test_without_candles_there_are_no_figures():
    assert figures([], TODAY) == NOTHING
    assert NOTHING.changes(Decimal(1)) == {}


@given(histories(), PRICES)
@examples(300)
def test_every_figure_is_one_of_the_candles(candles: list[Candle], last: Decimal):
    found = figures(candles, TODAY)
    until_today = [each for each in candles if each.start.date() <= TODAY]
    year = [each for each in until_today if (TODAY - each.start.date()).days < 364]
    if found.low is not None:
        assert (TODAY - until_today[0].start.date()).days >= 364 - MAX_GAP.days
        assert found.low == min(each.low for each in year)
        assert found.high == max(each.high for each in year)
    closes = [each.close for each in until_today if each.start.date() < TODAY]
    assert set(found.bases.values()) <= set(closes)
    for period, change in found.changes(last).items():
        assert (change > 0, change < 0) == (last > found.bases[period], last < found.bases[period])
    assert [each.last for each in found.closes] == [each.close for each in until_today[-2:]]
    if found.volume is not None:
        assert 5 <= found.volume_days <= 30
        volumes = [each.volume for each in until_today if each.volume is not None]
        assert min(volumes) <= found.volume <= max(volumes)


@given(histories(), st.integers(0, 40))
@examples(300)
def test_more_candles_make_more_figures_and_change_none(candles: list[Candle], left: int):
    some, whole = figures(candles[left:], TODAY), figures(candles, TODAY)
    assert some.bases.items() <= whole.bases.items()
    if some.low is not None and whole.low is not None:
        assert whole.low <= some.low
    if some.closes:
        assert whole.closes[-1] == some.closes[-1]
