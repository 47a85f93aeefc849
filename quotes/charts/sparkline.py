"""Sparklines: the shape of a session in a small box, without axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby

from quotes.charts.axes import Scale
from quotes.charts.path import line

WIDTH, HEIGHT = 120, 48  # of the box, in units; the lines are up to two units thick
EDGE = 2  # units above and below that only the thickness of the line may reach
MAX_POINTS = 60
FEWEST_POINTS = 3

Price = tuple[datetime, Decimal]  # when, and how much


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A line in a box of 120 by 48 units."""

    path: str
    reference: int | None  # the height of the previous close, from the top


def sparkline(
    prices: Sequence[Price], begins: datetime, ends: datetime, reference: Decimal | None = None
) -> Sparkline | None:
    """Draw the prices of a session, in order of time; return None for fewer than three of them.

    The box is as long as the session. Prices outside of it are left out. All extremes are kept.
    """
    within = [price for price in prices if begins <= price[0] <= ends]
    if len(within) < FEWEST_POINTS or begins >= ends:
        return None
    values = [value for _, value in within] + ([] if reference is None else [reference])
    scale = Scale(min(values), max(values), HEIGHT - 2 * EDGE)
    flat = scale.low == scale.high

    def height(value: Decimal) -> int:
        return HEIGHT // 2 if flat else EDGE + scale.at(value)

    drawn = [
        (round((at - begins) / (ends - begins) * WIDTH), height(value))
        for at, value in thinned(within, begins, ends)
    ]
    return Sparkline(line(drawn), None if reference is None else height(reference))


def thinned(prices: Sequence[Price], begins: datetime, ends: datetime) -> list[Price]:
    """Return at most 60 of the prices: the first, the last, and the extremes of equal times."""
    if len(prices) <= MAX_POINTS:
        return list(prices)
    parts = MAX_POINTS // 2 - 1

    def part(price: Price) -> int:
        return min(int((price[0] - begins) / (ends - begins) * parts), parts - 1)

    kept = {0, len(prices) - 1}
    for _, group in groupby(enumerate(prices), lambda each: part(each[1])):
        members = list(group)
        kept.add(min(members, key=lambda each: each[1][1])[0])
        kept.add(max(members, key=lambda each: each[1][1])[0])
    return [prices[place] for place in sorted(kept)]
