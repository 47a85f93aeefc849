"""A simulated market, for demonstrations, development and load tests.

The price of each symbol moves at random, in whole ticks, around its start. It is a function of the
seed and the time (`kit.bars`): with a seed, every process has the same prices and candles at the
same time, and after a restart the market is where it would have been. Other symbols do not change
it. The past keeps the hours of exchanges. The market itself never closes, unless `hours` closes it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache, partial
from itertools import islice
from math import ceil, floor
from random import Random
from typing import NamedTuple

from quotes import kinds, sessions
from quotes.providers import Candle, Instrument, Provider
from quotes.providers.kit.bars import DAY, Bar, Course
from quotes.quote import Quote, utc_now

HOURS = ("always", "exchange")  # the market never closes, or when its exchange does
MAX_CANDLES = 3000  # periods in one answer; the minutes of two days are 2880
TRADES = 50_000  # in a day, on average
MICROSECOND = timedelta(microseconds=1)
MIN_PAUSE = 0.01  # seconds between two bursts, in which other tasks run
MAX_BURST = 500  # ticks at once
AT_ONCE = 500  # first steps; between others, pages have their turn
STALL = 1.0  # seconds; after a longer delay the missed ticks are dropped


class Behaviour(NamedTuple):
    """The behaviour of one kind of instrument."""

    volatility: float  # standard deviation of a year's return
    spread: float  # from bid to ask, as a share of the price
    trade: float  # money that changes hands in one trade, on average
    lot: Decimal = Decimal(1)  # the smallest step of its volume
    window: str = "session"


STOCK = Behaviour(0.30, 0.0001, 10_000)
BEHAVIOURS = {
    "crypto": Behaviour(0.60, 0.0001, 2_000, Decimal("0.0001"), "24h"),
    "stock": STOCK,
    "etf": Behaviour(0.18, 0.00005, 20_000),
    "index": Behaviour(0.15, 0.00005, 50_000),
    "fund": Behaviour(0.12, 0.0001, 20_000),
    "bond": Behaviour(0.06, 0.0005, 50_000),
    "currency": Behaviour(0.08, 0.00005, 1_000_000),
    "future": Behaviour(0.30, 0.0001, 100_000),
}


class Grid:
    """The tick, start and lots of a symbol."""

    def __init__(self, instrument: Instrument) -> None:
        start = instrument.start or Decimal(100)
        tick = instrument.tick_size or default_tick(start, instrument.kind)
        self.tick = Decimal(f"{tick.normalize():f}")  # 0.01 for 0.010000 as databases keep it
        self.start = max(1, round(start / self.tick))
        self.behaviour = BEHAVIOURS.get(instrument.kind, STOCK)
        self.trade = self.behaviour.trade / float(start * self.behaviour.lot)  # lots, on average

    def candle(self, start: int, bar: Bar) -> Candle:
        """Return the candle of a bar; its start is in seconds since 1970."""
        return Candle(
            start=datetime.fromtimestamp(start, UTC),
            open=bar.open * self.tick,
            high=bar.high * self.tick,
            low=bar.low * self.tick,
            close=bar.close * self.tick,
            volume=bar.volume * self.behaviour.lot,
        )


def course_of(instrument: Instrument, seed: object) -> Course:
    """Return the prices of an instrument at any time."""
    return _course(replace(instrument, name="", code="", symbol=_identity(instrument)), f"{seed}")


def _identity(instrument: Instrument) -> str:
    return instrument.code or instrument.symbol  # a renamed symbol keeps its code here


@lru_cache(maxsize=1024)  # charts and quotes share what is drawn
def _course(instrument: Instrument, seed: str) -> Course:
    grid, market = Grid(instrument), (instrument.exchange, instrument.kind)
    return Course(
        f"{seed}:{instrument.symbol}",
        level=grid.start,
        volatility=grid.behaviour.volatility,
        lots=grid.trade * TRADES,
        periods=partial(sessions.assumed_periods, *market),
        zone=sessions.zone(*market),
    )


def default_tick(start: Decimal, kind: str) -> Decimal:
    """Return a default tick size: by the digits of the kind, or else 0.01.

    For prices below 1 it is smaller, so that they have four significant digits.
    """
    digits = kinds.of(kind).digits(start)
    if digits is None:
        digits = 2 if start >= 1 else 3 - start.adjusted()
    return Decimal(1).scaleb(-digits)


class Walk:
    """The market of one symbol as time goes on; each step is one trade."""

    def __init__(self, instrument: Instrument, seed: object, *, closes: bool = False) -> None:
        self.instrument, self.grid = instrument, Grid(instrument)
        self.course = course_of(instrument, seed)
        self.rng = Random(f"{seed}:{_identity(instrument)}")
        self.reference_kind = kinds.of(instrument.kind).reference
        self.closes = closes and self.course.zone is not None
        self.width = max(1, round(self.grid.start * self.grid.behaviour.spread))
        self.sequence = self.since = self.volume = 0
        self.checked = (0.0, 0.0)  # the minute of the clock, in seconds since 1970
        self.closing: Quote | None = None  # of the last session, if the market is closed

    def is_due(self, now: datetime) -> bool:
        """Return whether there is a trade: the market is open, or has just closed."""
        self._see(now.timestamp())
        return self.is_open or self.closing is None

    def step(self, now: datetime) -> Quote:
        """Return the next quote; while the market is closed, the one of its close."""
        moment = now.timestamp()
        self._see(moment)
        if self.is_open:
            return self._quote(now, now, self._move(moment))
        if self.closing is None:
            end = datetime.fromtimestamp(self.minute.end, UTC) - MICROSECOND
            self._move(self.minute.end)
            self.closing = self._quote(now, end, self.minute.close)
        return replace(self.closing, received_at=now)

    def _see(self, moment: float) -> None:
        """Find the minute of a moment, or the last minute before the market closed."""
        begin, end = self.checked
        if begin <= moment < end:
            return
        minute = self.course.minute(moment)
        self.checked = minute.begin, minute.end
        self.is_open = minute.regular or not self.closes
        if self.is_open:
            self.closing = None
        elif self.closing is None:
            session = next(self.course.regular_before(moment))[-1]
            minute = self.course.minute(session.end - 1)
        else:
            return
        self._begin(minute)

    def _begin(self, minute: Bar) -> None:
        self.minute, self.seconds, self.passed = minute, self.course.parts(minute), 0
        since, reference = self._day(minute)
        before = self.course.cover(since, minute.begin)
        earlier = [bar for bar in before if bar.regular or not self.closes]  # no trades at noon
        self.open = (earlier or [minute])[0].open
        self.reference = self.open if reference is None else reference
        self.high = max((bar.high for bar in earlier), default=self.open)
        self.low = min((bar.low for bar in earlier), default=self.open)
        self.traded = sum(bar.volume for bar in earlier)
        if since != self.since:
            self.since, self.volume = since, 0

    def _day(self, minute: Bar) -> tuple[int, int | None]:
        """Return when the day of a minute began, and the close of the day before it."""
        if self.reference_kind == "rolling_24h":
            return minute.begin - DAY, None
        today, before = islice(self.course.regular_before(minute.begin), 2)
        return today[0].begin, before[-1].close

    def _move(self, moment: float) -> int:
        """Move the range and the volume of the day to a moment of the minute; return the price."""
        minute, random = self.minute, self.rng.random
        passed = min(int(moment) - minute.begin + 1, len(self.seconds))
        for second in map(self.seconds.__getitem__, range(self.passed, passed)):
            self.high = max(self.high, second.high)
            self.low = min(self.low, second.low)
        self.passed = passed
        second = self.seconds[passed - 1]
        traded = minute.volume * (moment - minute.begin) / (minute.end - minute.begin)
        self.volume = max(self.volume + 1, self.traded + int(traded))
        last = second.open + (second.close - second.open) * (moment - second.begin)
        last = round(last + (2 * random() - 1) * self.width)
        last = max(minute.low, min(minute.high, last))
        self.high, self.low = max(self.high, last), min(self.low, last)
        return last

    def _quote(self, now: datetime, made: datetime, last: int) -> Quote:
        tick, behaviour = self.grid.tick, self.grid.behaviour
        bid = max(1, last - int(self.rng.random() * (self.width + 1)))
        self.sequence += 1
        return Quote(
            symbol=self.instrument.symbol,
            provider=Simulated.name,
            currency=self.instrument.currency,
            last=last * tick,
            received_at=now,
            source_time=made,
            bid=bid * tick,
            ask=(bid + self.width) * tick,
            open=self.open * tick,
            high=self.high * tick,
            low=self.low * tick,
            reference=self.reference * tick,
            reference_kind=self.reference_kind,
            volume=self.volume * behaviour.lot,
            volume_window=behaviour.window,
            session=None if self.closes else "always",  # None: by the calendar
            delay=0,
            sequence=self.sequence,
        )


class Simulated(Provider):
    """A market of random walks, `rate` ticks a minute for each symbol.

    With the `hours` "always" it never closes, and with "exchange" each symbol keeps those of its
    exchange.
    """

    name = "simulated"
    title = "Simulated market"
    attribution = "SIMULATED prices, not a real market"
    streams = True
    steps = (60, 300, 3600, 86_400)
    needs_code = False
    invented = True
    poll_interval = 5.0

    def __init__(
        self,
        rate: float | str = 60,
        seed: int | str | None = None,
        hours: str = "always",
        *,
        clock: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.rate = read_rate(rate)
        self.seed = Random().getrandbits(64) if seed in (None, "") else seed
        self.closes = read_hours(hours) == "exchange"
        self.clock, self.sleep, self.monotonic = clock, sleep, monotonic
        self.walks: dict[Instrument, Walk] = {}

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        """Move each instrument by one step."""
        return [quote async for quote in self._steps(instruments)]

    async def stream(self, instruments: Sequence[Instrument]) -> AsyncIterator[Quote]:
        """Yield a quote of each instrument at once, then ticks at the rate."""
        async for quote in self._steps(instruments):
            yield quote
        if not instruments:
            return
        turns = self._turns(instruments)
        interval = 60 / self.rate / len(instruments)
        due = self.monotonic() + interval
        while True:
            count, due = await self._wait(due, interval)
            for walk in islice(turns, count):
                if walk.is_due(now := self.clock()):
                    yield walk.step(now)

    async def candles(
        self, instrument: Instrument, step: int, start: datetime, end: datetime
    ) -> list[Candle]:
        """Return what `make_candles` returns."""
        return self.make_candles(instrument, step, start, end)

    def make_candles(
        self, instrument: Instrument, step: int, start: datetime, end: datetime
    ) -> list[Candle]:
        """Return the candles of regular trading, at most the newest 3000 and up to now."""
        self.check_step(step)
        now, stop = (ceil(each.timestamp()) for each in (self.clock(), end))
        first = max(ceil(start.timestamp() / step), min(stop, now) // step - MAX_CANDLES)
        bars = course_of(instrument, self.seed).candles(step, first * step, stop, now)
        grid = Grid(instrument)
        return [grid.candle(*each) for each in bars]

    async def _steps(self, instruments: Sequence[Instrument]) -> AsyncIterator[Quote]:
        for number, instrument in enumerate(instruments):
            if number >= AT_ONCE:
                await asyncio.sleep(0)  # the first step of each takes milliseconds
            yield self._walk(instrument).step(self.clock())

    async def _wait(self, due: float, interval: float) -> tuple[int, float]:
        # Returns the number of ticks that are due, and when the next one is. So delays never add
        # up, and thousands of ticks a second do not need a sleep each.
        await self.sleep(max(MIN_PAUSE, due - self.monotonic()))
        late = self.monotonic() - due
        if late > STALL:
            due, late = due + late, 0.0
        count = max(0, min(MAX_BURST, floor(late / interval) + 1))
        return count, due + count * interval

    def _walk(self, instrument: Instrument) -> Walk:
        # A symbol with a new name or code keeps its sequence.
        key = replace(instrument, name="", code="")
        if key not in self.walks:
            self.walks[key] = Walk(instrument, self.seed, closes=self.closes)
        return self.walks[key]

    def _turns(self, instruments: Sequence[Instrument]) -> Iterator[Walk]:
        # Each symbol has one turn per round; the order depends on the seed, not on the clock.
        walks, rng = [self._walk(instrument) for instrument in instruments], Random(f"{self.seed}")
        while True:
            rng.shuffle(walks)
            yield from walks


def read_rate(given: float | str) -> float:
    """Read a rate, a number or text; raise ValueError unless it is above 0."""
    try:
        rate = float(given)
    except (TypeError, ValueError):
        rate = 0.0
    if 0 < rate <= 1e9:
        return rate
    raise ValueError(f"Unexpected rate {given!r}, must be a number of ticks a minute above 0")


def read_hours(given: str) -> str:
    """Read the hours of the market; raise ValueError unless they are one of HOURS."""
    if given in HOURS:
        return given
    raise ValueError(f"Unexpected hours {given!r}, must be one of: {', '.join(HOURS)}")
