"""Paths: bars and lines as the `d` of an SVG path, in whole numbers.

A slot is ten units wide. Heights are those of the scale, see `quotes.charts.axes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from quotes.charts.axes import FULL, Scale
from quotes.charts.bars import Bar

SLOT = 10
BODY = 6  # the width of a body in a slot
Point = tuple[int, int]  # x, y


class Placed(NamedTuple):
    """A bar, the first and the last slot that it fills, and the width of its body (even)."""

    bar: Bar
    first: int
    last: int
    wide: int = BODY

    @property
    def left(self) -> int:
        """Where its body begins."""
        return self.middle - self.wide // 2

    @property
    def middle(self) -> int:
        """Where its wick stands."""
        return (self.first + self.last + 1) * SLOT // 2


@dataclass(frozen=True, slots=True)
class Candles:
    """Bars as paths: those that closed at or above their open, those that closed below it."""

    up: str
    down: str
    volume: str


class Pen:
    """Writes a path relative to where it is, because small numbers compress well."""

    def __init__(self) -> None:
        self.drawn, self.x, self.y = "", 0, 0

    def move(self, x: int, y: int) -> None:
        """Go to a point without drawing."""
        if not self.drawn:
            self.drawn = _pair("M", x, y)
        elif (x, y) != (self.x, self.y):
            self.drawn += _pair("m", x - self.x, y - self.y)
        self.x, self.y = x, y

    def line(self, x: int, y: int) -> None:
        """Draw a line to a point."""
        across, down = x - self.x, y - self.y
        if across and down:
            self.drawn += _pair("l", across, down)
        else:
            self.drawn += f"v{down}" if down else f"h{across}"
        self.x, self.y = x, y

    def box(self, left: int, right: int, bottom: int) -> None:
        """Draw a box below the point in the middle of its upper edge, and return there."""
        middle, top = self.x, self.y
        for x, y in ((left, top), (left, bottom), (right, bottom), (right, top), (middle, top)):
            self.line(x, y)


def candles(placed: Sequence[Placed], scale: Scale, top: int, most: Decimal) -> Candles:
    """Draw bars as candles, and their volumes from the bottom of the drawing up to `top`.

    `most` is the volume of the highest bar of volume. A wick does not cross its body, which may be
    hollow. A body without height is for the stroke to draw.
    """
    up, down, volume = Pen(), Pen(), Pen()
    for each in placed:
        _candle(up if each.bar.close >= each.bar.open else down, each, scale)
        _volume(volume, each, top, most)
    return Candles(up.drawn, down.drawn, volume.drawn)


def line(points: Sequence[Point]) -> str:
    """Draw a line from point to point; a single point is a line without length."""
    pen = Pen()
    pen.move(*points[0])
    for point in points[1:] or points:
        pen.line(*point)
    return pen.drawn


def area(points: Sequence[Point], bottom: int) -> str:
    """Draw the area between a line and the bottom."""
    return f"{line(points)}V{bottom}H{points[0][0]}z"


def points(placed: Iterable[Placed], scale: Scale) -> list[Point]:
    """Return where the closes of bars are."""
    return [(each.middle, scale.at(each.bar.close)) for each in placed]


def _candle(pen: Pen, placed: Placed, scale: Scale) -> None:
    bar, middle = placed.bar, placed.middle
    high, top, bottom, low = sorted(map(scale.at, (bar.high, bar.open, bar.close, bar.low)))
    pen.move(middle, high)
    if high < top:
        pen.line(middle, top)
    pen.box(placed.left, placed.left + placed.wide, bottom)
    if low > bottom:
        pen.move(middle, bottom)
        pen.line(middle, low)


def _volume(pen: Pen, placed: Placed, top: int, most: Decimal) -> None:
    volume = placed.bar.volume
    if volume and most:
        high = round(min(volume / most, Decimal(1)) * (FULL - top)) or 1
        right = placed.left + placed.wide
        pen.move(placed.left, FULL)
        for x, y in ((placed.left, FULL - high), (right, FULL - high), (right, FULL)):
            pen.line(x, y)


def _pair(command: str, x: int, y: int) -> str:
    """Write a command with two numbers; a minus sign separates them."""
    return f"{command}{x}{y}" if y < 0 else f"{command}{x} {y}"
