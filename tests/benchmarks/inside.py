"""Inside: the cost of a row, a page and a tick, in a process of its own without sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.benchmarks.bench import Bench, run_apart
from tests.benchmarks.servers import PRODUCTION, SETTINGS

ROWS = 50
BOARD = "/boards/bench/"
YEAR = "/symbols/S000-USD/?range=1y"
STYLE = "quotes/boards.css"
ZIPPED = {"accept-encoding": "gzip"}
REQUESTS = 30
RUNS = 3
Measured = tuple[str, str, list[float]]  # name, unit, values


def inside(bench: Bench) -> None:
    """Measure in a new process, which prints its figures as JSON."""
    with bench.attempt("a row, a page and a tick"):
        measure_apart(bench, "inside")


def measure_apart(bench: Bench, module: str, symbols: int = ROWS, **more: str) -> None:
    """Run a module of benchmarks as a program, and keep the figures that it prints."""
    env = PRODUCTION | {
        "DATABASE_URL": f"sqlite:///{bench.database(symbols)}",
        "DJANGO_ALLOWED_HOSTS": "testserver",
        "DJANGO_SETTINGS_MODULE": SETTINGS,
    }
    for name, unit, values in run_apart(module, **env | more):
        bench.figures.add(name, unit, *values)


def collected(name: str) -> bytes:
    """Return a static file as it is served in production."""
    from django.contrib.staticfiles import finders
    from django.core.files.base import ContentFile
    from quoteboard.storage import Storage

    with tempfile.TemporaryDirectory() as folder:
        Storage(folder).save(name, ContentFile(Path(str(finders.find(name))).read_bytes()))
        return (Path(folder) / name).read_bytes()


async def measure() -> list[Measured]:
    """Return all figures."""
    from django.test import AsyncClient

    from quotes import live
    from quotes.htmx import scripts

    parts = await live.ensure_started()
    client = AsyncClient()
    page = (await client.get(BOARD)).content
    script = (await client.get(scripts.ours()[0], headers=ZIPPED)).content
    weight = len(script) + len(gzip.compress(collected(STYLE)))
    figures: list[Measured] = [
        (f"first paint, {ROWS} rows, gzipped HTML", "KB", [len(gzip.compress(page)) / 1000]),
        ("script and style, gzipped", "KB", [weight / 1000]),
        (f"server time of a {ROWS}-row page", "ms", await times(client, BOARD)),
        ("server time of a symbol's page, chart of a year", "ms", await times(client, YEAR)),
        *rendering(parts),
        *[tick(count) for count in (100, 1_000, 10_000)],
    ]
    await live.stop()
    return figures


async def times(client: Any, path: str, status: int = 200) -> list[float]:
    """Return the milliseconds of some requests, the first ones aside."""
    taken = []
    for number in range(REQUESTS + 3):
        began = time.perf_counter()
        response = await client.get(path)
        if number >= 3:
            taken.append((time.perf_counter() - began) * 1000)
        assert response.status_code == status, path
    return taken


def rendering(parts: Any) -> Iterator[Measured]:
    """Yield what it costs to render a row after a tick, and its bytes on the wire."""
    from quotes.addresses import Address

    fragments, store = parts.fragments, parts.store
    watch = Address(board="bench", language="en").watch(parts.listed)
    codes = [code for code in watch.of("row") if store.states[code].quote]

    def tick_all() -> None:
        for code in codes:
            state = store.states[code]
            quote = replace(state.quote, last=state.quote.last + state.symbol.tick_size)
            store.states[code] = replace(state, quote=quote)

    def render_all() -> None:
        fragments.update(watch, codes)

    yield "rendering a row", "µs", repeated(render_all, len(codes), tick_all)
    sizes = [float(len(fragments.update(watch, [code]).encode())) for code in codes]
    yield "an updated row on the wire", "bytes", sizes


def tick(count: int) -> Measured:
    """Return what a tick costs from its quote to the store, through the wire form."""
    from quotes.feed.gate import Gate
    from quotes.models import Symbol
    from quotes.quote import Quote
    from quotes.quote.wire import from_wire, to_wire
    from quotes.store import Store

    store, gate = Store(), Gate()
    store.keep(Symbol(pk=i, code=f"S{i}", kind="crypto", currency="USD") for i in range(count))
    batches = iter(range(1, 1_000_000))

    def tick_all() -> None:
        now = datetime.now(UTC)
        for i in range(count):
            gate.add(
                Quote(
                    symbol=f"S{i}",
                    provider="simulated",
                    currency="USD",
                    last=Decimal("101.25"),
                    received_at=now,
                    source_time=now,
                )
            )
        wire = [to_wire(quote) for quote in gate.take()]
        store.put((1, next(batches)), [from_wire(values) for values in wire])

    return f"a tick from feed to store, {count:,} symbols", "µs", repeated(tick_all, count)


def repeated(
    work: Callable[[], None], each: int, before: Callable[[], None] = lambda: None
) -> list[float]:
    """Return the microseconds of processor of one of `each` pieces of work, by run.

    What comes before a run is not measured.
    """
    taken = []
    for _ in range(RUNS):
        before()
        began = time.process_time()
        work()
        taken.append((time.process_time() - began) / each * 1e6)
    return taken


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(asyncio.run(measure())))
