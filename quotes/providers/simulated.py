"""A simulated market, for demonstrations, development and load tests.

The price of each symbol walks at random, in whole ticks, around its first price. With a seed the
walk is always the same. It does not depend on the clock or on the other symbols.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from math import ceil, exp, expm1, floor, sin, sqrt, tau
from random import Random
from typing import NamedTuple

from quotes import kinds
from quotes.providers import Candle, Instrument, Provider
from quotes.quote import Quote, utc_now

DAY = 86_400  # seconds
YEAR = 365 * DAY
HASTE = 4  # simulated seconds in a real second, so that a visitor sees prices change
MAX_CANDLES = 1000
MIN_PAUSE = 0.01  # seconds between two bursts, in which other tasks run
MAX_BURST = 500  # ticks at once
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
    """The tick, first price and lots of a symbol."""

    def __init__(self, instrument: Instrument) -> None:
        start = instrument.start or Decimal(100)
        tick = instrument.tick_size or default_tick(start, instrument.kind)
        self.tick = Decimal(f"{tick.normalize():f}")  # 0.01 for 0.010000 as databases keep it
        self.start = max(1, round(start / self.tick))
        self.behaviour = BEHAVIOURS.get(instrument.kind, STOCK)
        self.trade = self.behaviour.trade / float(start * self.behaviour.lot)  # lots, on average

    def move(self, share: float) -> int:
        """Return the price, in ticks, at this natural logarithm from the first price."""
        return max(1, round(self.start * exp(share)))


def default_tick(start: Decimal, kind: str) -> Decimal:
    """Return a default tick size: by the digits of the kind, or else 0.01.

    For prices below 1 it is smaller, so that they have four significant digits.
    """
    digits = kinds.of(kind).digits(start)
    if digits is None:
        digits = 2 if start >= 1 else 3 - start.adjusted()
    return Decimal(1).scaleb(-digits)


class Walk:
    """The market of one symbol; each step is one trade."""

    def __init__(self, instrument: Instrument, seed: object, pause: float) -> None:
        self.instrument = instrument
        self.rng = Random(f"{seed}:{instrument.symbol}")
        self.grid = Grid(instrument)
        self.reference_kind = kinds.of(instrument.kind).reference
        self.width = max(1, round(self.grid.start * self.grid.behaviour.spread))
        self.day = max(1, round(DAY / pause))  # steps
        self.sequence = 0
        self._set_pull(pause)
        self._open_first_day()

    def _set_pull(self, pause: float) -> None:
        # An Ornstein-Uhlenbeck process in its exact form. With any pause, the standard deviation
        # of the price's logarithm is a quarter of a year's volatility.
        pull = 8 * HASTE * pause / YEAR
        self.away = 0.0
        self.keep = exp(-pull)
        self.shake = self.grid.behaviour.volatility / 4 * sqrt(-expm1(-2 * pull))

    def _open_first_day(self) -> None:
        grid, swing = self.grid, self.grid.behaviour.volatility / sqrt(365)
        self.last = grid.start
        self.bid = max(1, self.last - (self.width + 1) // 2)
        self.reference = grid.move(self.rng.gauss(0, swing))
        rolling = self.reference_kind == "rolling_24h"
        self.open = self.reference if rolling else grid.move(self.rng.gauss(0, swing / 2))
        self.high = max(self.open, self.last, grid.move(self.rng.random() * swing))
        self.low = min(self.open, self.last, grid.move(-self.rng.random() * swing))
        self.traded = self.earlier = int(grid.trade * self.rng.uniform(20_000, 80_000))  # lots

    def _open_day(self) -> None:
        self.reference = self.open = self.high = self.low = self.last
        self.traded = self.earlier if self.grid.behaviour.window == "24h" else 0

    def _move(self) -> None:
        random = self.rng.random
        self.away = self.away * self.keep + self.rng.gauss(0, self.shake)
        self.bid = max(1, round(self.grid.start * exp(self.away) - self.width / 2))
        self.last = self.bid + int(random() * (self.width + 1))
        self.high = max(self.high, self.last)
        self.low = min(self.low, self.last)
        self.traded += 1 + int(random() * 2 * self.grid.trade)

    def step(self, now: datetime) -> Quote:
        """Return the next quote; the first one has the first price."""
        if self.sequence:
            if self.sequence % self.day == 0:
                self._open_day()
            self._move()
        self.sequence += 1
        return self._quote(now)

    def _quote(self, now: datetime) -> Quote:
        tick, behaviour = self.grid.tick, self.grid.behaviour
        return Quote(
            symbol=self.instrument.symbol,
            provider=Simulated.name,
            currency=self.instrument.currency,
            last=self.last * tick,
            received_at=now,
            source_time=now,
            bid=self.bid * tick,
            ask=(self.bid + self.width) * tick,
            open=self.open * tick,
            high=self.high * tick,
            low=self.low * tick,
            reference=self.reference * tick,
            reference_kind=self.reference_kind,
            volume=self.traded * behaviour.lot,
            volume_window=behaviour.window,
            session="always",  # this market never closes, even for stocks
            delay=0,
            sequence=self.sequence,
        )


class Past:
    """The prices before the market opened: waves of many lengths, which end at the first price.

    We cannot use a walk: its price at a moment needs all steps before it. A sum of waves has a
    price at any moment, so candles of every step and period show the same past.
    """

    def __init__(self, instrument: Instrument, seed: object, opened: float) -> None:
        self.grid = Grid(instrument)
        self.key = f"{seed}:{instrument.symbol}:past"
        rng = Random(self.key)
        self.waves = []
        for power in range(12):
            length = 100 * 3**power * rng.uniform(0.8, 1.2)  # seconds, up to 200 days
            height = 0.3 * self.grid.behaviour.volatility * sqrt(length / YEAR)
            self.waves.append((height, tau / length, tau * rng.random()))
        self.level = self._sum(opened)

    def _sum(self, moment: float) -> float:
        return sum(height * sin(speed * moment + phase) for height, speed, phase in self.waves)

    def candle(self, moment: int, step: int) -> Candle:
        """Return the candle of `step` seconds from `moment`, in seconds since 1970."""
        rng, grid = Random(f"{self.key}:{step}:{moment}"), self.grid
        levels = [self._sum(moment + step * part / 3) - self.level for part in range(4)]
        wick = grid.behaviour.volatility * sqrt(step / YEAR) / 3
        return Candle(
            start=datetime.fromtimestamp(moment, UTC),
            open=grid.move(levels[0]) * grid.tick,
            high=grid.move(max(levels) + wick * rng.random()) * grid.tick,
            low=grid.move(min(levels) - wick * rng.random()) * grid.tick,
            close=grid.move(levels[-1]) * grid.tick,
            volume=ceil(grid.trade * step * rng.uniform(0.3, 1.7)) * grid.behaviour.lot,
        )


class Simulated(Provider):
    """A market of random walks, `rate` ticks a minute for each symbol."""

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
        *,
        clock: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.rate = read_rate(rate)
        self.seed = Random().getrandbits(64) if seed in (None, "") else seed
        self.clock, self.sleep, self.monotonic = clock, sleep, monotonic
        # By the hour, so that two markets with one seed, made within the hour, share their past.
        self.opened = clock().timestamp() // 3600 * 3600
        self.walks: dict[Instrument, Walk] = {}

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        """Move each instrument by one step; a new one starts at its first price."""
        return [self._walk(instrument).step(self.clock()) for instrument in instruments]

    async def stream(self, instruments: Sequence[Instrument]) -> AsyncIterator[Quote]:
        """Yield a quote of each instrument at once, then ticks at the rate."""
        for quote in await self.quotes(instruments):
            yield quote
        if not instruments:
            return
        turns = self._turns(instruments)
        interval = 60 / self.rate / len(instruments)
        due = self.monotonic() + interval
        while True:
            count, due = await self._wait(due, interval)
            for walk in islice(turns, count):
                yield walk.step(self.clock())

    async def candles(
        self, instrument: Instrument, step: int, start: datetime, end: datetime
    ) -> list[Candle]:
        """Return simulated candles, at most the newest 1000 and none from the future."""
        first = ceil(start.timestamp() / step) * step
        stop = ceil(min(end, self.clock()).timestamp())
        past = Past(instrument, self.seed, self.opened)
        return [past.candle(moment, step) for moment in range(first, stop, step)[-MAX_CANDLES:]]

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
        # A symbol with a new name or code must not jump back to its first price.
        key = replace(instrument, name="", code="")
        if key not in self.walks:
            self.walks[key] = Walk(instrument, self.seed, 60 / self.rate)
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
