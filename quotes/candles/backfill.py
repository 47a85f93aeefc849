"""Backfill: requests candles from the providers for the times when no feed ran.

The stored candles of a symbol and step are one span of time. The span grows with the feed, and
with each part that a provider sends. So a backfill that is stopped loses one part at most.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple

from quotes.candles import archive
from quotes.candles.archive import Span
from quotes.candles.growing import DAY, STEPS, Row, period_of
from quotes.providers import Candle, Instrument, Provider, ProviderError
from quotes.quote import utc_now

logger = logging.getLogger(__name__)

PART_SIZE = 720  # candles in one request: as many as Kraken keeps
MAX_DELAY = timedelta(minutes=20)  # of prices, by licence
PACE = 0.25  # seconds between two requests to a provider, or more if its plan allows few
MINUTE = 60.0  # seconds
CHECK_EVERY = 5.0  # seconds between two checks whether the budget has room
MAX_CHECKS = 60  # after these checks, the candles are requested another time
MAX_RETRY_AFTER = 60.0  # seconds; after a longer one, the provider is given up for now
SHARE_OF_MINUTE = 0.5  # of a minute's budget; if more is spent, quotes included, we wait
SHARE_OF_MONTH = 0.1  # of a month's budget, for candles alone
MAX_FAILURES = 3  # in a row, by provider and step; after these, the provider is given up for now
HOUR, HALF_HOUR = 3600, 1800  # seconds
LONG_AGO = -DAY * 1_000_000  # microseconds from a candle's start; earlier than all its quotes

Chain = Mapping[str, Instrument]  # a symbol's instruments by provider, the best first
InDatabase = Callable[..., Awaitable[Any]]  # runs a function that uses the database


class Part(NamedTuple):
    """The period of one request, and the span that is stored afterwards. Aware UTC."""

    start: datetime
    end: datetime
    span: Span


class Backfill:
    """Requests missing candles, with at most one open request to each provider."""

    def __init__(
        self,
        in_database: InDatabase,
        providers: Mapping[str, Provider],
        *,
        share: float = SHARE_OF_MINUTE,
        gap: timedelta = timedelta(0),  # a shorter one is not requested
        clock: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.in_database, self.providers, self.share = in_database, providers, share
        self.gap = gap
        self.clock, self.sleep = clock, sleep
        self.requests: Counter[str] = Counter()  # by provider
        self.failures: Counter[tuple[str, int]] = Counter()  # in a row, by provider and step
        self.warned: set[tuple[str, str]] = set()  # logged warnings: provider, and which candles

    async def fill(
        self,
        chains: Mapping[str, Chain],
        reach: Mapping[int, timedelta],  # how far back, by step
        feed_since: Mapping[str, datetime],  # when a feed began to make the candles, by symbol
        on_done: Callable[[str, int, bool], object] = lambda symbol, count, complete: None,
        on_part: Callable[[str, int, datetime], object] = lambda symbol, step, start: None,
    ) -> set[str]:
        """Request all missing candles of these symbols; return the symbols that still miss some.

        Call `on_done` after each symbol, with the number of new candles and whether all are
        stored now. Call `on_part` before each request, with its symbol, step and start.
        """
        self.failures.clear()
        spans = await self.in_database(archive.load_spans)
        missing: set[str] = set()

        async def fill(symbols: list[str]) -> None:
            for symbol in symbols:
                since, counts = feed_since[symbol], []
                for step in filter(reach.get, STEPS):
                    begin = self.clock() - reach[step]
                    span = spans.get((symbol, step))
                    due = parts(span, begin, since, self.clock(), step, gap=self.gap)
                    due = announced(due, symbol, step)
                    counts.append(await self._fill(symbol, step, due, chains[symbol], since))
                complete = None not in counts
                missing.update(() if complete else [symbol])
                on_done(symbol, sum(filter(None, counts)), complete)

        def announced(due: Iterator[Part], symbol: str, step: int) -> Iterator[Part]:
            for part in due:
                on_part(symbol, step, part.start)
                yield part

        def best(symbol: str) -> str:
            return next(iter(chains[symbol]))

        async with asyncio.TaskGroup() as tasks:
            for _, symbols in groupby(sorted(chains, key=best), best):
                tasks.create_task(fill(list(symbols)))
        return missing

    async def _fill(
        self, symbol: str, step: int, due: Iterator[Part], chain: Chain, since: datetime
    ) -> int | None:
        """Fill parts in order; return the number of new candles, or None if a part failed.

        If the providers have no candles of this step, nothing is missing: return 0.
        """
        count = 0
        instruments = {name: i for name, i in chain.items() if self._sends(name, step)}
        for part in due if instruments else ():
            requested_at = self.clock()
            for name, instrument in instruments.items():
                candles = await self._request(self.providers[name], instrument, step, part)
                if candles is not None:
                    break
            else:
                return None
            adjusts = self.providers[name].adjusts
            found = rows_of(symbol, step, candles, name, requested_at, adjusts=adjusts)
            rows = [row for row in found if row.start < since.timestamp()]
            await self.in_database(archive.save_with_span, rows, symbol, step, part.span)
            count += len(rows)
        return count

    def _sends(self, name: str, step: int) -> bool:
        provider = self.providers[name]  # invented candles are made when they are read
        return step in provider.steps and not provider.invented

    async def _request(
        self, provider: Provider, instrument: Instrument, step: int, part: Part
    ) -> list[Candle] | None:
        """Return the candles of one provider; None if it did not send them."""
        while self._available(provider, step) and not provider.standing.lacks(instrument.code):
            if not await self._has_room(provider):
                return None
            try:
                candles = await _candles(provider, instrument, step, part)
            except ProviderError as error:
                self._record_failure(provider, step, error)
                if error.retry_after is None:
                    return None
                await self.sleep(min(error.retry_after, MAX_RETRY_AFTER))
            else:
                self.failures[provider.name, step] = 0
                return candles or (None if provider.standing.lacks(instrument.code) else [])
        return None

    def _available(self, provider: Provider, step: int) -> bool:
        if provider.standing.refusals:
            return False
        month = provider.standing.budget.plan.per_month
        spent = month is not None and self.requests[provider.name] >= month * SHARE_OF_MONTH
        return not spent and self.failures[provider.name, step] < MAX_FAILURES

    async def _has_room(self, provider: Provider) -> bool:
        """Wait until the provider's budget has room for a request beside those for quotes.

        Return False if it has none for too long: quotes alone may use more than our share.
        """
        most = provider.standing.budget.plan.per_minute
        await self.sleep(max(PACE, MINUTE / most if most else 0.0))
        for _ in range(MAX_CHECKS):
            if most is None or provider.standing.budget.spent_in_minute() <= most * self.share:
                self.requests[provider.name] += 1
                return True
            await self.sleep(CHECK_EVERY)
        return False

    def _record_failure(self, provider: Provider, step: int, error: ProviderError) -> None:
        pause = error.retry_after or 0.0
        provider.standing.back_off(pause)
        if error.refused:
            provider.standing.refuse("candles", str(error))
        final = error.refused or pause > MAX_RETRY_AFTER
        for each in STEPS if final else (step,):
            self.failures[provider.name, each] += MAX_FAILURES if final else 1
        if final or self.failures[provider.name, step] == MAX_FAILURES:
            which = "any length" if final else f"{step} s"
            warning = (provider.name, which)  # once, not at each call of fill
            level = logging.DEBUG if warning in self.warned else logging.WARNING
            self.warned.add(warning)
            words = "%s: requesting candles of %s later: %s"
            logger.log(level, words, provider.name, which, error)


def parts(
    span: Span | None,
    begin: datetime,
    since: datetime,
    now: datetime,
    step: int,
    *,
    gap: timedelta = timedelta(0),
) -> Iterator[Part]:
    """Yield the missing parts from `begin` to `since`, when the feed began; newest parts first.

    A `gap` of this length after a stored span is left out. The parts after a stored span come
    first, oldest first, because a span has no gaps.
    """
    begin, length = _floor(begin, step), timedelta(seconds=PART_SIZE * step)
    # a delayed source publishes the last prices before the feed only after the feed began
    end = min(now, _floor(since, step) + timedelta(seconds=step) + MAX_DELAY)
    last, until = end, since
    if span is not None and span.until - MAX_DELAY >= begin:
        last, until = span.since, span.until
        start = _floor(span.until - MAX_DELAY, step)
        while since - until > gap:
            stop = min(start + length, end)
            until = since if stop == end else stop
            yield Part(start, stop, Span(span.since, until))
            start = stop
    while last > begin:
        start = max(begin, _floor(last, step) - length)
        yield Part(start, last, Span(start, until))
        last = start


def rows_of(
    symbol: str,
    step: int,
    candles: Sequence[Candle],
    provider: str,
    requested_at: datetime,
    *,
    adjusts: bool = False,
) -> Iterator[Row]:
    """Yield the rows of a provider's candles.

    Candles that do not start at the beginning of one of our periods are left out. A provider's
    candle is complete: its open is earlier than all quotes of a feed, and its close is later. Only
    the newest candle may still grow: then a feed knows its close and volume better.
    """
    for each in candles:
        start = period_of(step, each.start)[0]
        if step < DAY and start != each.start.timestamp():
            continue
        ends = each.start + timedelta(seconds=step)
        over = each is not candles[-1] or ends < requested_at - MAX_DELAY
        yield Row(
            symbol=symbol,
            step=step,
            start=start,
            opened=LONG_AGO,
            open=each.open,
            high=each.high,
            low=each.low,
            close=each.close,
            closed=step * 1_000_000 if over else LONG_AGO,
            volume=each.volume if over else None,
            counter=None,
            provider=provider,
            mixed=False,
            as_of=int(requested_at.timestamp()) if adjusts else None,
        )


def roll_up(candles: Sequence[Candle], step: int) -> list[Candle]:
    """Return the candles of a longer step, made from shorter ones.

    If the volume of one of them is not known, the longer candle has no volume.
    """
    found = []
    for start, group in groupby(candles, lambda each: period_of(step, each.start)[1]):
        some = list(group)
        volumes = [each.volume for each in some if each.volume is not None]
        candle = Candle(
            start=start,
            open=some[0].open,
            high=max(each.high for each in some),
            low=min(each.low for each in some),
            close=some[-1].close,
            volume=sum(volumes, Decimal(0)) if len(volumes) == len(some) else None,
        )
        found.append(candle)
    return found


async def _candles(
    provider: Provider, instrument: Instrument, step: int, part: Part
) -> list[Candle]:
    candles = await provider.candles(instrument, step, part.start, part.end)
    if step == HOUR and any(each.start.minute for each in candles):
        # a session that begins at 9:30 has hours that do not fit into ours, but half hours do
        halves = await provider.candles(instrument, HALF_HOUR, part.start, part.end)
        candles = roll_up(halves, HOUR)
    return candles


def _floor(moment: datetime, step: int) -> datetime:
    return period_of(step, moment)[1]
