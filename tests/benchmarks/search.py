"""Search: the time of the server for its answers over many symbols, in a process without a feed."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal
from itertools import cycle, permutations
from typing import Any

from tests.benchmarks.bench import Bench
from tests.benchmarks.inside import Measured, measure_apart, times

MANY = 20_000
WORDS = ["Apple", "Bank", "Holdings", "Corporation", "Energy", "Global", "Systems", "Foods"]
# path and status; half of the names have "co"
ANSWERS = {
    "suggestions for a code": ("/search/suggestions/?q=s0123", 200),
    "suggestions for a word": ("/search/suggestions/?q=co", 200),
    "a page of results": ("/search/?q=co", 200),
    "a page of no results": ("/search/?q=zzzz", 200),
    "the page of an unknown symbol": ("/symbols/S12346X/", 404),
}


def search(bench: Bench) -> None:
    """Measure in a new process, which prints its figures as JSON."""
    with bench.attempt(f"search over {MANY:,} symbols"):
        measure_apart(bench, "search", QUOTES_FEED="external")


async def measure() -> list[Measured]:
    """Return the milliseconds of each kind of answer."""
    from django.test import AsyncClient

    from quotes import live

    parts, client = await live.ensure_started(), AsyncClient()
    await list_many(parts)
    figures: list[Measured] = []
    for name, (path, status) in ANSWERS.items():
        taken = await times(client, path, status)
        figures.append((f"server time of {name}, {MANY:,} symbols", "ms", taken))
    await live.stop()
    return figures


async def list_many(parts: Any) -> None:
    """Add many symbols with prices."""
    from quotes.models import Symbol

    names = cycle(map(" ".join, permutations(WORDS, 4)))
    symbols = [
        Symbol(code=f"S{number:05}", name=next(names), kind="stock", currency="USD")
        for number in range(MANY)
    ]
    await Symbol.objects.abulk_create(symbols)
    await parts.reload()
    price(parts, symbols)


def price(parts: Any, symbols: list[Any]) -> None:
    """Give each symbol a price."""
    from quotes.quote import Quote

    now = datetime.now(UTC)
    parts.store.put(
        (1, 1),
        [
            Quote(
                symbol=each.code,
                provider="simulated",
                currency="USD",
                last=Decimal("101.25"),
                received_at=now,
                source_time=now,
            )
            for each in symbols
        ],
    )


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(asyncio.run(measure())))
