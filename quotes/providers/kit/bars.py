"""Bars: an invented price, as bars that divide into shorter ones, down to seconds.

The price is a function of the key and of the time. So it is the same after a restart and in every
process, and the candles of any period can be made when they are read. The bars of a day
are drawn first. The parts of a bar are drawn by a generator that is seeded with the key and the
bar. They are a Brownian bridge within the bar: their first open, highest high, lowest low, last
close and the sum of their volumes are those of the bar.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import accumulate, groupby, pairwise
from math import ceil, exp, floor, log, sqrt
from random import Random
from typing import Generic, NamedTuple, TypeVar

from quotes.sessions import Period

MINUTE, DAY = 60, 86_400  # seconds
FOREVER = 10**12  # seconds
LADDER = (3600, 300, MINUTE, 1)  # seconds; a bar is divided into parts of the next length
BLOCK = 256  # days whose levels are drawn at once
DRIFT = 0.12  # deviation of the level from one block to another, as a share of the volatility
# variances, as shares of what they usually are
NIGHT = 0.1  # outside regular trading
WEEKEND = 0.05  # of a day
HASTE = 4.0  # from second to second, so that a visitor sees prices change
BUSY = 0.35  # standard deviation of the logarithm of a day's volume
# A path whose high or low is far from that of its bar is drawn again.
SLACK = 0.3  # as a share of the bar's standard deviation
TRIES = 5
LONGEST_REST = 60  # days without trading, at most
EPOCH = date(1970, 1, 1)  # a Thursday


class Bar(NamedTuple):
    """The price in a period, in ticks. Times are in seconds since 1970."""

    begin: int
    end: int
    open: int
    high: int
    low: int
    close: int
    volume: int  # lots
    heat: float  # variance of the price in one second
    regular: bool  # whether it is in regular trading

    @property
    def swing(self) -> float:
        """The standard deviation of the price in its time."""
        return sqrt(self.heat * (self.end - self.begin))

    def within(self, length: int) -> bool:
        """Return whether it is within one period of this length."""
        return self.begin // length == (self.end - 1) // length


class Piece(NamedTuple):
    """A period that becomes a bar."""

    begin: int
    end: int
    regular: bool
    heat: float


Number = TypeVar("Number", int, float)


class Fold:
    """Moves prices beyond an end of a bar, so that the farthest one is at its high or low.

    If that is nearer, the others turn back into the bar there, as often as they must. Pressed
    together, they would be a price that rests for minutes.
    """

    def __init__(self, farthest: float, reach: int, room: int) -> None:
        """`reach` is where the farthest price is moved to, `room` how far others may turn back."""
        self.reach, self.stretch = reach, max(1.0, reach / farthest)
        beyond = farthest * self.stretch - reach
        times = ceil(beyond / 2 / (reach + room)) if reach + room else 0
        self.depth = beyond / 2 / times if times else 0.0  # from one turn to the next

    def __call__(self, distance: float) -> float:
        """Return where the price at a distance from the end is moved to; below 0 is in the bar."""
        beyond = distance * self.stretch - self.reach
        if beyond <= 0:
            return distance * self.stretch
        if not self.depth:
            return self.reach
        wave = abs((beyond + self.depth) % (2 * self.depth) - self.depth)
        return self.reach - wave

    def turns(self, near: float, far: float) -> list[float]:
        """Return the places between two distances where prices turn back, each once."""
        if not self.depth:
            return []
        first, last = ((each * self.stretch - self.reach) / self.depth for each in (near, far))
        found = range(max(0, ceil(first)), floor(last) + 1)[:2]
        return [self.reach - self.depth * (each % 2) for each in found]


class Path(NamedTuple, Generic[Number]):
    """Prices at the edges of some pieces, and the highest and the lowest price of each."""

    prices: Sequence[Number]
    highs: Sequence[Number]
    lows: Sequence[Number]

    @classmethod
    def free(cls, rng: Random, first: int, last: int, pieces: Sequence[Piece]) -> Path[float]:
        """Draw a Brownian bridge from the first price to the last one."""
        variances = [piece.heat * (piece.end - piece.begin) for piece in pieces]
        prices, price, left = [float(first)], float(first), sum(variances)
        for variance in variances[:-1]:
            share = variance / left
            left -= variance
            price += (last - price) * share + rng.gauss(0, sqrt(variance * (1 - share)))
            prices.append(price)
        prices.append(float(last))
        ends = list(zip(prices, prices[1:], variances, strict=False))
        highs = [(a + b + excess(rng, a, b, variance)) / 2 for a, b, variance in ends]
        lows = [(a + b - excess(rng, a, b, variance)) / 2 for a, b, variance in ends]
        return Path(prices, highs, lows)

    def miss(self, bar: Bar) -> float:
        """Return how far its highest or lowest price is from that of a bar."""
        return max(abs(max(self.highs) - bar.high), abs(min(self.lows) - bar.low))

    def rounded(self) -> Path[int]:
        """Return the path in whole ticks, none of them below 1."""
        return Path(*([max(1, round(price)) for price in prices] for prices in self))

    def within(self, bar: Bar) -> Path[int]:
        """Return the path, folded to the high and low of a bar that begins and ends like it."""
        top, bottom = max(bar.open, bar.close), min(bar.open, bar.close)
        above = Fold(max(self.highs) - top, bar.high - top, top - bottom)
        below = Fold(bottom - min(self.lows), bottom - bar.low, top - bottom)

        def folded(price: float) -> int:
            if price > top:
                return round(top + above(price - top))
            return round(bottom - below(bottom - price) if price < bottom else price)

        def between(low: float, high: float) -> Iterator[int]:
            yield from (folded(each) for each in (low, high, top, bottom) if low <= each <= high)
            if high > top:
                yield from (round(top + each) for each in above.turns(low - top, high - top))
            if low < bottom:
                turns = below.turns(bottom - high, bottom - low)
                yield from (round(bottom - each) for each in turns)

        found = [list(between(*each)) for each in zip(self.lows, self.highs, strict=True)]
        prices = [folded(each) for each in self.prices]
        return Path(prices, [max(each) for each in found], [min(each) for each in found])


def excess(rng: Random, first: float, last: float, variance: float) -> float:
    """Draw twice the distance of the extreme of a bridge from the middle of its ends."""
    return sqrt((last - first) ** 2 - 2 * variance * log(1 - rng.random()))


class Parts(Iterable[Bar]):
    """The parts of a bar as plain numbers: a Bar for each would take several times the memory."""

    __slots__ = ("edges", "heat", "path", "regular", "volumes")

    def __init__(self, pieces: Sequence[Piece], path: Path[int], volumes: Sequence[int]) -> None:
        self.heat, self.regular = pieces[0].heat, pieces[0].regular  # of all parts
        self.edges = packed([*(piece.begin for piece in pieces), pieces[-1].end])
        self.path, self.volumes = Path(*map(packed, path)), packed(volumes)

    def __len__(self) -> int:
        return len(self.volumes)

    def __getitem__(self, index: int) -> Bar:
        begin, end = self.edges[index : index + 2]
        first, last = self.path.prices[index : index + 2]
        high, low, volume = self.path.highs[index], self.path.lows[index], self.volumes[index]
        return Bar(begin, end, first, high, low, last, volume, self.heat, self.regular)

    def __iter__(self) -> Iterator[Bar]:
        edges, (prices, highs, lows) = self.edges, self.path
        periods, ends = pairwise(edges), pairwise(prices)
        for (begin, end), (first, last), high, low, volume in zip(
            periods, ends, highs, lows, self.volumes, strict=True
        ):
            yield Bar(begin, end, first, high, low, last, volume, self.heat, self.regular)


def packed(numbers: Sequence[int]) -> Sequence[int]:
    """Return whole numbers in as little memory as they fit into."""
    try:
        return array("q", numbers)
    except OverflowError:  # a price of very small ticks
        return numbers


def merged(bars: Sequence[Bar]) -> Bar:
    """Return one bar for several that follow each other."""
    return bars[0]._replace(
        end=bars[-1].end,
        high=max(bar.high for bar in bars),
        low=min(bar.low for bar in bars),
        close=bars[-1].close,
        volume=sum(bar.volume for bar in bars),
    )


class Course:
    """The price of one symbol at any time. Days are numbered from 1970, on the market's clock."""

    def __init__(
        self,
        key: str,  # the seed and the symbol
        *,
        level: int,  # ticks, around which the price moves
        volatility: float,  # standard deviation of a year's return
        lots: float,  # traded in a day, on average
        periods: Callable[[date], tuple[Period, ...]],  # of a day
        zone: tzinfo | None,  # of its market; None if that is always open
    ) -> None:
        self.key, self.level, self.lots, self.zone = key, level, lots, zone
        self.periods = periods
        self.drift = DRIFT * volatility
        self.swing = volatility / sqrt(365 if zone is None else 252)  # of a day
        # What the current minute needs is drawn once.
        self.levels = lru_cache(maxsize=8)(self._levels)  # of five years
        self.day = lru_cache(maxsize=4)(self._day)
        self.parts = lru_cache(maxsize=8)(self._parts)

    def candles(self, step: int, start: int, stop: int, now: int) -> Iterator[tuple[int, Bar]]:
        """Yield the bars of regular trading up to now, with the start of each.

        They have `step` seconds, and start from `start`, a multiple of it, to before `stop`.
        """
        groups: Iterable[tuple[int, Iterable[Bar]]]
        if step == DAY:
            numbers = range(start // DAY, -(-stop // DAY))
            groups = ((each * DAY, self._cut(self.regular(each), 0, now)) for each in numbers)
        else:
            end = min(stop, now)
            bars = self._cut(self._days(start, end, self.regular), start, end, step)
            groups = groupby(bars, lambda bar: bar.begin // step * step)
        for begin, some in groups:
            if found := list(some):
                yield begin, merged(found)

    def cover(self, begin: int, end: int) -> Iterator[Bar]:
        """Yield the longest bars that there are from begin to end."""
        return self._cut(self._days(begin, end, self.sessions), begin, end)

    def minute(self, moment: float) -> Bar:
        """Return the bar of the minute that contains a moment."""
        bars: Iterable[Bar] = self.sessions(self.number(moment))
        while True:
            bar = next(bar for bar in bars if moment < bar.end)
            if bar.within(MINUTE):
                return bar
            bars = self.parts(bar)

    def regular_before(self, moment: float) -> Iterator[list[Bar]]:
        """Yield the regular sessions of each day that began before a moment, the newest first."""
        today = self.number(moment)
        for number in range(today, today - LONGEST_REST, -1):
            if found := [bar for bar in self.regular(number) if bar.begin <= moment]:
                yield found

    def regular(self, number: int) -> list[Bar]:
        """Return the bars of a day's regular sessions; none on a holiday."""
        return [bar for bar in self.sessions(number) if bar.regular]

    def number(self, moment: float) -> int:
        """Return the number of the day that contains a moment."""
        if self.zone is None:
            return int(moment // DAY)
        return (datetime.fromtimestamp(moment, self.zone).date() - EPOCH).days

    def sessions(self, number: int) -> list[Bar]:
        """Return the bars of a day: of each regular session, and of the time between them."""
        return self.day(number, self.periods(EPOCH + timedelta(days=number)))

    def _day(self, number: int, periods: tuple[Period, ...]) -> list[Bar]:
        quiet = NIGHT if any(each.regular for each in periods) else 1.0
        weights = [1.0 if each.regular else quiet for each in periods]
        levels, index = self.levels(number // BLOCK), number % BLOCK
        first, last = (max(1, round(self.level * exp(levels[index + of]))) for of in (0, 1))
        rng, share = Random(f"{self.key}:{number}"), self._share(number)
        lots = (periods[-1].end - periods[0].begin) // MINUTE
        lots += int(self.lots * share * exp(rng.gauss(0, BUSY)))
        busy = zip(weights, periods, strict=True)
        seconds = sum(weight * (each.end - each.begin) for weight, each in busy)
        heat = (first * self.swing) ** 2 * share / seconds
        pieces = [
            Piece(*each, heat * weight) for each, weight in zip(periods, weights, strict=True)
        ]
        path = Path.free(rng, first, last, pieces).rounded()
        return _bars(pieces, path, _volumes(rng, pieces, lots))

    def _parts(self, bar: Bar) -> Parts:
        """Divide a bar into parts of the next length."""
        length = next(each for each in LADDER if not bar.within(each))
        heat = bar.heat * (HASTE if length == 1 else 1.0)
        first = bar.begin // length * length + length
        edges = [bar.begin, *range(first, bar.end, length), bar.end]
        pieces = [Piece(*period, bar.regular, heat) for period in pairwise(edges)]
        rng = Random(f"{self.key}:{bar.begin}:{bar.end}")
        best, slack = Path.free(rng, bar.open, bar.close, pieces), SLACK * bar.swing
        for _ in range(TRIES if length > 1 else 0):
            if best.miss(bar) <= slack:
                break
            other = Path.free(rng, bar.open, bar.close, pieces)
            best = min(best, other, key=lambda each: each.miss(bar))
        return Parts(pieces, best.within(bar), _volumes(rng, pieces, bar.volume))

    def _days(self, begin: int, end: int, bars_of: Callable[[int], list[Bar]]) -> Iterator[Bar]:
        for number in range(self.number(begin), self.number(end - 1) + 1):
            yield from bars_of(number)

    def _cut(
        self, bars: Iterable[Bar], begin: int, end: int, longest: int = FOREVER
    ) -> Iterator[Bar]:
        """Yield bars from begin to end, each within one period of `longest` seconds."""
        for bar in bars:
            if begin <= bar.begin and bar.end <= end and bar.within(longest):
                yield bar
            elif begin < bar.end and bar.begin < end:
                yield from self._cut(self.parts(bar), begin, end, longest)

    def _share(self, number: int) -> float:
        return WEEKEND if self.zone is not None and (number + 3) % 7 > 4 else 1.0

    def _levels(self, block: int) -> Sequence[float]:
        """Return the logarithm of the price at each midnight of a block, and at its end."""
        rng = Random(f"{self.key}:block {block}")
        first, last = self._level(block), self._level(block + 1)
        shares = [self._share(block * BLOCK + index) for index in range(BLOCK)]
        steps = (rng.gauss(0, self.swing * sqrt(share)) for share in shares)
        free = [0.0, *accumulate(steps)]
        spent = [0.0, *accumulate(shares)]
        slope = (last - first - free[-1]) / spent[-1]
        return array("d", [first + a + slope * b for a, b in zip(free, spent, strict=True)])

    def _level(self, block: int) -> float:
        return Random(f"{self.key}:level {block}").gauss(0, self.drift)


def _volumes(rng: Random, pieces: Sequence[Piece], lots: int) -> list[int]:
    lengths = [piece.end - piece.begin for piece in pieces]
    weights = [piece.heat * length for piece, length in zip(pieces, lengths, strict=True)]
    return divided(rng, lots, weights, [length // MINUTE for length in lengths])


def _bars(pieces: Sequence[Piece], path: Path[int], volumes: Sequence[int]) -> list[Bar]:
    return [
        Bar(begin, end, first, high, low, last, volume, heat, regular)
        for (begin, end, regular, heat), (first, last), high, low, volume in zip(
            pieces, pairwise(path.prices), path.highs, path.lows, volumes, strict=True
        )
    ]


def divided(rng: Random, lots: int, weights: Sequence[float], least: Sequence[int]) -> list[int]:
    """Divide lots at random, by weights; each part gets at least its number of `least`."""
    marks = [0.0, *accumulate(weight * (0.5 + rng.random()) for weight in weights)]
    spare = lots - sum(least)
    cuts = [int(spare * (mark / marks[-1])) for mark in marks]
    return [few + stop - start for few, (start, stop) in zip(least, pairwise(cuts), strict=True)]
