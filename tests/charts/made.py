"""Bars made from a seed, and strategies of bars and prices."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from quotes.charts.bars import DAY, MINUTE, Bar, Period
from quotes.charts.drawing import Reading

NEW_YORK = ZoneInfo("America/New_York")
CENT = Decimal("0.01")
OPENING = datetime(2025, 11, 28, 14, 30, tzinfo=UTC)  # the Friday after Thanksgiving, a half day
HALF_DAY = Period(OPENING, OPENING + timedelta(hours=3, minutes=30))
SPLIT = date(2025, 6, 10)

prices = st.decimals(CENT, 10**6, places=8)
any_prices = st.decimals(-(10**6), 10**6, places=8)  # those of a future may be below 0
volumes = st.none() | st.integers(0, 10**12).map(Decimal)


def bar(start: datetime, four: Sequence[Decimal], volume: Decimal | None = None) -> Bar:
    """Return a bar of four prices, of which the first is the open and the last the close."""
    return Bar(start, four[0], max(four), min(four), four[-1], volume)


@st.composite
def series(draw: st.DrawFn, step: int = MINUTE, most: int = 400) -> list[Bar]:
    """Return bars of a step in order, with gaps."""
    start = draw(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)))
    start = start.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC)
    places = draw(st.sets(st.integers(0, most), min_size=1, max_size=60))
    fours = st.lists(any_prices, min_size=4, max_size=4)
    return [
        bar(start + timedelta(seconds=step * place), draw(fours), draw(volumes))
        for place in sorted(places)
    ]


def year(first: date = date(2024, 12, 2), days: int = 251) -> list[Bar]:
    """Return a year of daily bars whose prices fall to a quarter at the split."""
    random_, price, found, day = random.Random(11), 600.0, [], first
    while len(found) < days:
        if day.weekday() < 5:
            price *= 0.25 if day == SPLIT else 1
            price, made = _next(random_, datetime.combine(day, time(), UTC), price, 0.012)
            found.append(made)
        day += timedelta(days=1)
    return found


def minutes(first: datetime = OPENING, count: int = 210) -> list[Bar]:
    """Return bars of a minute."""
    random_, price, found = random.Random(7), 271.0, []
    for minute in range(count):
        price, made = _next(random_, first + timedelta(minutes=minute), price, 0.0006)
        found.append(made)
    return found


def _next(random_: random.Random, start: datetime, price: float, by: float) -> tuple[float, Bar]:
    steps = [price * (1 + random_.gauss(0, by / 2)) for _ in range(4)]
    volume = Decimal(random_.randrange(20_000, 900_000))
    return steps[-1], bar(start, [Decimal(str(each)).quantize(CENT) for each in steps], volume)


class Plain:
    """Texts that no language would write, but a test can read."""

    nothing = "nothing"

    def price(self, value: Decimal) -> str:
        return f"{value:f}"

    def axis(self, value: Decimal, step: Decimal) -> str:
        return f"{value.quantize(step) if step < 1 else value.to_integral_value():f}"

    def percent(self, value: Decimal) -> str:
        return f"{abs(value):.2f}%"

    def percent_axis(self, value: Decimal, step: Decimal) -> str:
        return f"{value:+.2f}%"

    def mark(self, moment: datetime, unit: str) -> str:
        formats = {"time": "%H:%M", "day": "%b %-d", "month": "%b", "year": "%Y"}
        return moment.strftime(formats[unit])

    def when(self, start: datetime, step: int) -> str:
        return start.strftime("%Y-%m-%d" if step >= DAY else "%m-%d %H:%M")

    def period(self, start: datetime, step: int) -> str:
        return f"{self.when(start, step)}+{step}" if step > DAY else self.when(start, step)

    def reading(
        self, when: str, bar: Bar | None, change: Decimal | None, *, short: bool = False
    ) -> Reading:
        if bar is None:
            return (when, self.nothing), ("",) * 5
        moved, prices = "" if change is None else f"{change:+.2f}%", [f"{n:f}" for n in bar[1:5]]
        return ((when, ""), (*prices, moved)) if short else ((when, moved), (*prices, ""))

    def comparison(self, when: str, changes: Sequence[tuple[str, Decimal | None]]) -> Reading:
        return (when,), [f"{n} –" if each is None else f"{n} {each:+.2f}%" for n, each in changes]
