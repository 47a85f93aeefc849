"""An hour: 500 symbols that tick twice a second, from the feed's order into candles and a database.

The clock is made up, so that the hour takes minutes. Its candles are compared with those that are
made the simple way from the same ticks.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async

from quotes.candles.growing import STEPS
from quotes.feed.gate import Gate
from quotes.quote import Quote
from tests.benchmarks.bench import Bench, run_apart
from tests.benchmarks.servers import PRODUCTION
from tests.benchmarks.usage import resident_bytes

SYMBOLS, TICKS_A_SECOND = 500, 2
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LEAD = 60  # seconds before noon: from there on, all trades are known
WRITE_EVERY = 2  # seconds
Price = tuple[Decimal, Decimal, Decimal, Decimal, Decimal | None]  # open, high, low, close, volume


def hour(bench: Bench) -> None:
    """Measure in a process of its own."""
    with bench.attempt(f"an hour of {SYMBOLS} symbols"):
        seconds = 5 if bench.quick else 3600
        env = PRODUCTION | {"DATABASE_URL": f"sqlite:///{bench.database(SYMBOLS)}"}
        for name, unit, value in run_apart("hour", str(seconds), **env):
            bench.figures.add(f"an hour of {SYMBOLS} symbols: {name}", unit, value)


def ticks(codes: list[str], seconds: int) -> Iterator[tuple[int, list[Quote]]]:
    """Yield the quotes of each period between two writes, with the second of its end."""
    number = 0
    for second in range(-LEAD, seconds, WRITE_EVERY):
        quotes = []
        for half in range(WRITE_EVERY * TICKS_A_SECOND):
            moment = NOON + timedelta(seconds=second + half / TICKS_A_SECOND)
            number += 1
            for index, code in enumerate(codes):
                made = moment + timedelta(microseconds=index)
                cents = 10_000 + (number * 37 + index * 101) % 997
                quotes.append(
                    Quote(
                        symbol=code,
                        provider="simulated",
                        currency="USD",
                        last=Decimal(cents).scaleb(-2),
                        received_at=made,
                        source_time=made,
                        volume=Decimal(number * (index % 7)),
                        volume_window="session",
                    )
                )
        yield second + WRITE_EVERY, quotes


class Naive:
    """Candles made the simple way: each tick is added to those that it belongs to."""

    def __init__(self) -> None:
        self.made: dict[tuple[str, int, int], Price] = {}
        self.counted: dict[str, Decimal] = {}

    def add(self, quote: Quote) -> None:
        """Add a tick. Ticks must be added in order of time."""
        last, volume = quote.last, quote.volume
        assert volume is not None
        before = self.counted.get(quote.symbol)
        self.counted[quote.symbol] = volume
        rise = None if before is None else volume - before
        second = int(quote.time.timestamp())
        for step in STEPS:
            key = quote.symbol, step, second // step * step
            if found := self.made.get(key):
                opened, high, low, _, so_far = found
                traded = None if rise is None or so_far is None else so_far + rise
                self.made[key] = opened, max(high, last), min(low, last), last, traded
            else:
                self.made[key] = last, last, last, last, rise


async def measure(seconds: int) -> list[tuple[str, str, float]]:
    """Return the figures; raise AssertionError where a candle differs."""
    from quotes.candles.tending import CandleHistory
    from quotes.models import Candle, FeedLease, Symbol

    async def in_database(read: Callable[..., Any], *given: Any) -> Any:
        return await sync_to_async(read)(*given)

    now = NOON - timedelta(seconds=LEAD)
    await Candle.objects.all().adelete()
    await FeedLease.objects.aget_or_create(pk=1, defaults={"epoch": 1})
    codes = [code async for code in Symbol.objects.values_list("code", flat=True)]
    history = CandleHistory(in_database, lambda: now)
    await history.lead(1)
    gate = Gate(accepted=history.take)
    taking = writing = 0.0
    count, memory = 0, []
    for second, quotes in ticks(codes, seconds):
        now = NOON + timedelta(seconds=second)
        began = time.process_time()
        for quote in quotes:
            gate.add(quote)
        gate.take()
        taken = time.process_time()
        await history.write()
        writing += time.process_time() - taken
        taking += taken - began
        count += len(quotes)
        memory.append(resident_bytes([os.getpid()]))
    naive = Naive()
    for _, quotes in ticks(codes, seconds):
        for quote in quotes:
            naive.add(quote)
    kept = {
        (code, step, int(start.timestamp())): result
        async for code, step, start, *result in Candle.objects.values_list(
            "symbol__code", "step", "start", "open", "high", "low", "close", "volume"
        )
    }
    assert kept.keys() == naive.made.keys(), "other candles than the simple way makes"
    differ = [key for key, result in kept.items() if tuple(result) != naive.made[key]]
    assert not differ, f"{len(differ)} candles differ, as {differ[0]}"
    return [
        ("candles that equal a naive rebuild", "", len(kept)),
        ("a tick into order and candles", "µs", taking / count * 1e6),
        ("processor that writing takes", "% of a core", writing / (seconds + LEAD) * 100),
        ("memory at the end", "MB", memory[-1] / 1e6),
        ("of that since a third", "MB", (memory[-1] - memory[len(memory) // 3]) / 1e6),
        ("a candle in the database", "bytes", size() / len(kept)),
    ]


def size() -> int:
    """Return the bytes of the database, with those that wait in its journal."""
    from django.conf import settings

    path = Path(settings.DATABASES["default"]["NAME"])
    return sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(asyncio.run(measure(int(sys.argv[1])))))
