"""The admin: the time of the server for each of its pages, over many symbols."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.benchmarks.bench import Bench
from tests.benchmarks.inside import Measured, measure_apart, times
from tests.benchmarks.search import price

MANY = 5_000
QUOTES = "/admin/quotes"
LISTS = ("symbol", "board", "heldprice", "override", "marketday")


def admin(bench: Bench) -> None:
    """Measure in a new process, which prints its figures as JSON."""
    with bench.attempt(f"the admin of {MANY:,} symbols"):
        measure_apart(bench, "admin", symbols=MANY, QUOTES_FEED="external")


async def measure() -> list[Measured]:
    """Return the milliseconds of each page."""
    from django.contrib.auth.models import User
    from django.test import AsyncClient

    from quotes import live

    parts, client = await live.ensure_started(), AsyncClient()
    price(parts, list(parts.listed.symbols.values()))
    await client.aforce_login(await User.objects.acreate_superuser("alice"))
    figures: list[Measured] = []
    for path in await pages():
        name = f"server time of {path.removeprefix('/admin')}, {MANY:,} symbols"
        figures.append((name, "ms", await times(client, path)))
    await live.stop()
    return figures


async def pages() -> list[str]:
    """Return the address of each kind of page, after adding a row of each model."""
    from quotes.models import Board, HeldPrice, Override, Symbol

    symbol, other = [each async for each in Symbol.objects.all()[:2]]
    board, now = await Board.objects.aget(), datetime.now(UTC)
    held = await HeldPrice.objects.acreate(
        symbol=symbol, provider="simulated", currency="USD", at=now, last="9.5", outcome="waits"
    )
    note = await Override.objects.acreate(
        symbol=symbol, kind="note", label="A note", ends=now + timedelta(days=1)
    )
    rows: dict[str, Any] = {"symbol": symbol, "board": board, "heldprice": held, "override": note}
    return [
        "/admin/",
        *(f"{QUOTES}/{name}/" for name in LISTS),
        f"{QUOTES}/symbol/?q=number 77",
        f"{QUOTES}/symbol/?needs=provider",
        f"{QUOTES}/symbol/find/?q=s0123",
        f"{QUOTES}/symbol/load/",
        f"{QUOTES}/symbol/add/?code=",
        *(f"{QUOTES}/{name}/add/" for name in ("board", "override", "marketday")),
        *(f"{QUOTES}/{name}/{row.pk}/change/" for name, row in rows.items()),
        f"{QUOTES}/symbol/{symbol.pk}/history/",
        f"{QUOTES}/historyentry/",
        f"{QUOTES}/symbol/{symbol.pk}/delete/",
        f"{QUOTES}/symbol/{symbol.pk}/merge/?into={other.pk}",
        f"{QUOTES}/board/{board.pk}/symbols/",
        f"{QUOTES}/board/{board.pk}/delete/",
    ]


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(asyncio.run(measure())))
