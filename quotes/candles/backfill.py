"""Back-fill: asks providers for the candles of times when no feed was there, gently and once.

What is there of a symbol and step is one span of time. It grows as the feed goes on, and part by
part as providers tell what is missing, so that whoever stops in between loses one part at most.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

from quotes.candles import archive
from quotes.candles.archive import Span
from quotes.candles.growing import DAY, STEPS, Row, period_of
from quotes.providers import Candle, Instrument, Provider, ProviderError
from quotes.quote import utc_now

logger = logging.getLogger(__name__)

PART = 720  # candles that are asked for at once: as many as Kraken keeps
GAP = timedelta(seconds=60)  # less is not asked for: a feed that is replaced is gone for seconds
LATE = timedelta(minutes=20)  # prices come so much later than they were made, by licence, at most
PACE = 0.25  # seconds between two requests to a provider, or more where few are allowed
MINUTE = 60.0  # seconds
PATIENCE = 5.0  # seconds between two looks whether a budget has room
MOST_WAITS = 60  # such looks before it is left for another time
LONGEST_WAIT = 60.0  # seconds that a provider may ask us to stay away for, and be asked again
SHARE_OF_MINUTE = 0.5  # of what a provider allows, quotes included, above which we wait
SHARE_OF_MONTH = 0.1  # of what its plan allows, for candles alone
MOST_FAILURES = 3  # in a row, after which a provider is not asked for a step any more
HOUR, HALF_HOUR = 3600, 1800
LONG_AGO = -DAY * 1_000_000  # microseconds after a candle's start: before any of its quotes

Chain = Mapping[str, Instrument]  # a symbol's instruments by provider, the best first
InDatabase = Callable[..., Awaitable[Any]]  # runs a function that uses the database


class Part(NamedTuple):
    """What is asked for at once, and the span that is there afterwards."""

    start: datetime
    end: datetime
    span: Span


class Backfill:
    """Asks providers for candles that are missing, one request to each at a time."""

    def __init__(
        self,
        in_database: InDatabase,
        providers: Mapping[str, Provider],
        *,
        share: float = SHARE_OF_MINUTE,
        clock: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.in_database, self.providers, self.share = in_database, providers, share
        self.clock, self.sleep = clock, sleep
        self.requests: Counter[str] = Counter()  # by provider
        self.failures: Counter[tuple[str, int]] = Counter()  # in a row, by provider and step
        self.told: set[tuple[str, str]] = set()  # what the log has told: provider, and of what

    async def fill(
        self,
        chains: Mapping[str, Chain],
        reach: Mapping[int, timedelta],  # by step, how far back
        well_since: Mapping[str, datetime],  # from when on a feed makes a symbol's candles
        done: Callable[[str, int, bool], object] = lambda symbol, count, complete: None,
        begun: Callable[[str, int, datetime], object] = lambda symbol, step, start: None,
    ) -> set[str]:
        """Ask for all that is missing of these symbols; return those of which some still is.

        `done` is told of each symbol, how many candles came, and whether nothing is missing now;
        `begun` of each part of a symbol before it is asked for.
        """
        self.failures.clear()
        spans = await self.in_database(archive.load_spans)
        missing: set[str] = set()

        async def fill(symbols: list[str]) -> None:
            for symbol in symbols:
                since, counts = well_since[symbol], []
                for step in filter(reach.get, STEPS):
                    begin = self.clock() - reach[step]
                    due = parts(spans.get((symbol, step)), begin, since, self.clock(), step)
                    due = _told_of(due, partial(begun, symbol, step))
                    counts.append(await self._fill(symbol, step, due, chains[symbol], since))
                complete = None not in counts
                missing.update(() if complete else [symbol])
                done(symbol, sum(filter(None, counts)), complete)

        def best(symbol: str) -> str:
            return next(iter(chains[symbol]))

        async with asyncio.TaskGroup() as tasks:
            for _, symbols in groupby(sorted(chains, key=best), best):
                tasks.create_task(fill(list(symbols)))
        return missing

    async def _fill(
        self, symbol: str, step: int, due: Iterator[Part], chain: Chain, since: datetime
    ) -> int | None:
        """Fill parts in order; return how many candles came, None where not all did that may."""
        count = 0
        telling = {name: i for name, i in chain.items() if step in self.providers[name].steps}
        for part in due if telling else ():
            asked_at = self.clock()
            for name, instrument in telling.items():
                candles = await self._ask(self.providers[name], instrument, step, part)
                if candles is not None:
                    break
            else:
                return None
            found = told(symbol, step, candles, name, asked_at)
            rows = [row for row in found if row.start < since.timestamp()]
            await self.in_database(archive.save_with_span, rows, symbol, step, part.span)
            count += len(rows)
        return count

    async def _ask(
        self, provider: Provider, instrument: Instrument, step: int, part: Part
    ) -> list[Candle] | None:
        """Ask one provider; None where it does not tell."""
        while self._tells(provider, step) and not provider.standing.lacks(instrument.code):
            if not await self._has_room(provider):
                return None
            try:
                candles = await _candles(provider, instrument, step, part)
            except ProviderError as error:
                self._note(provider, step, error)
                if error.retry_after is None:
                    return None
                await self.sleep(min(error.retry_after, LONGEST_WAIT))
            else:
                self.failures[provider.name, step] = 0
                return candles or (None if provider.standing.lacks(instrument.code) else [])
        return None

    def _tells(self, provider: Provider, step: int) -> bool:
        if provider.standing.refusals:
            return False
        month = provider.standing.budget.plan.per_month
        spent = month is not None and self.requests[provider.name] >= month * SHARE_OF_MONTH
        return not spent and self.failures[provider.name, step] < MOST_FAILURES

    async def _has_room(self, provider: Provider) -> bool:
        """Wait until a request leaves enough of the provider's budget for quotes.

        Not for ever: quotes alone may take more than the others may wait for.
        """
        most = provider.standing.budget.plan.per_minute
        await self.sleep(max(PACE, MINUTE / most if most else 0.0))
        for _ in range(MOST_WAITS):
            if most is None or provider.standing.budget.spent_in_minute() <= most * self.share:
                self.requests[provider.name] += 1
                return True
            await self.sleep(PATIENCE)
        return False

    def _note(self, provider: Provider, step: int, error: ProviderError) -> None:
        away = error.retry_after or 0.0
        provider.standing.back_off(away)
        if error.refused:
            provider.standing.refuse("candles", str(error))
        final = error.refused or away > LONGEST_WAIT
        for each in STEPS if final else (step,):
            self.failures[provider.name, each] += MOST_FAILURES if final else 1
        if final or self.failures[provider.name, step] == MOST_FAILURES:
            words = "%s is not asked for candles of %s any more, for now: %s"
            what = "any length" if final else f"{step} s"
            told = (provider.name, what)  # once, not at each filling
            level = logging.DEBUG if told in self.told else logging.WARNING
            self.told.add(told)
            logger.log(level, words, provider.name, what, error)


def parts(
    span: Span | None, begin: datetime, since: datetime, now: datetime, step: int
) -> Iterator[Part]:
    """Yield what is missing from `begin` to `since`, where the feed goes on; newest parts first.

    Only where a span is there already, what follows it comes in order: a span has no holes.
    """
    begin, length = _floor(begin, step), timedelta(seconds=PART * step)
    # a source that is late tells only then what was before the feed began
    end = min(now, _floor(since, step) + timedelta(seconds=step) + LATE)
    last, until = end, since
    if span is not None and span.until - LATE >= begin:
        last, until = span.since, span.until
        start = _floor(span.until - LATE, step)
        while since - until > GAP:
            stop = min(start + length, end)
            until = since if stop == end else stop
            yield Part(start, stop, Span(span.since, until))
            start = stop
    while last > begin:
        start = max(begin, _floor(last, step) - length)
        yield Part(start, last, Span(start, until))
        last = start


def _told_of(due: Iterable[Part], begun: Callable[[datetime], object]) -> Iterator[Part]:
    for part in due:
        begun(part.start)
        yield part


def told(
    symbol: str, step: int, candles: Sequence[Candle], provider: str, asked_at: datetime
) -> Iterator[Row]:
    """Yield what a provider told at a time, to be written; what is cut otherwise is left out.

    It is complete, so its open comes before all that a feed heard and its close after; but the
    newest candle may not be over yet: a feed knows its close and volume better.
    """
    for each in candles:
        start = period_of(step, each.start)[0]
        if step < DAY and start != each.start.timestamp():
            continue
        ends = each.start + timedelta(seconds=step)
        over = each is not candles[-1] or ends < asked_at - LATE
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
        )


def rolled_up(candles: Sequence[Candle], step: int) -> list[Candle]:
    """Join candles to those of a longer step; where one's volume is not known, theirs is not."""
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
        # hours of a session that begins at half past nine: its halves fit into ours
        halves = await provider.candles(instrument, HALF_HOUR, part.start, part.end)
        candles = rolled_up(halves, HOUR)
    return candles


def _floor(moment: datetime, step: int) -> datetime:
    return period_of(step, moment)[1]
