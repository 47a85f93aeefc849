"""`make bench`: what a row, a page and a tick cost here, as one table and bench.json.

Each figure is the minimum, median and maximum of several runs of one process. Compare figures of
one run with each other; machines differ.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RUNS = 7


def main() -> None:
    """Set the site up on a database of its own and measure."""
    sys.path.insert(0, str(ROOT / "site"))
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "DJANGO_DEBUG": "True",
            "DJANGO_SETTINGS_MODULE": "quoteboard.settings",
            "DATABASE_URL": f"sqlite:///{folder}/bench.sqlite3",
            "DJANGO_ALLOWED_HOSTS": "testserver",
            "QUOTES_FEED": "inline",
        }
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        call_command("loadcatalogue", verbosity=0)
        figures = asyncio.run(measure())
    for name, unit, values in figures:
        low, middle, high = min(values), statistics.median(values), max(values)
        print(f"{name:<46} {low:>10.2f} {middle:>10.2f} {high:>10.2f} {unit}")
    report = {name: {"unit": unit, "values": values} for name, unit, values in figures}
    (ROOT / "bench.json").write_text(json.dumps(report, indent=2))


async def measure() -> list[tuple[str, str, list[float]]]:
    """Return all figures: name, unit, values."""
    from django.contrib.staticfiles import finders
    from django.test import AsyncClient

    from quotes import live

    parts = await live.ensure_started()
    client = AsyncClient()
    page = (await client.get("/boards/crypto/")).content
    static = ["quotes/quotes.css", "django_htmx/htmx-4.min.js", "django_htmx/ext/hx-ws-4.min.js"]
    files = [len(gzip.compress(Path(str(finders.find(name))).read_bytes())) for name in static]
    figures = [
        ("first paint, 50 rows, gzipped HTML", "KB", [len(gzip.compress(page)) / 1000]),
        ("script and style, gzipped", "KB", [sum(files) / 1000]),
        ("server time of a 50-row page", "ms", await times(client, "/boards/crypto/")),
        *render_figures(parts),
        *[tick_figure(count) for count in (100, 1_000, 10_000)],
    ]
    await live.stop()
    return figures


async def times(client: Any, path: str) -> list[float]:
    """Return the milliseconds of some requests."""
    taken = []
    for _ in range(10 * RUNS):
        began = time.perf_counter()
        response = await client.get(path)
        taken.append((time.perf_counter() - began) * 1000)
        assert response.status_code == 200
    return taken


def render_figures(parts: Any) -> list[tuple[str, str, list[float]]]:
    """Return what it costs to render a row, and its bytes on the wire."""
    from quotes.addresses import Address

    fragments, store = parts.fragments, parts.store
    watch = Address(board="crypto", language="en").watch(parts.catalogue)
    codes = list(watch.row)

    def render_all() -> None:
        fragments.rendered.clear()
        for code in codes:
            fragments.paint("row", code, "en")

    size = [len(fragments.update(watch, [code])) for code in codes if store.states[code].quote]
    return [
        ("rendering a row", "µs", repeated(render_all, len(codes))),
        ("an updated row on the wire", "bytes", [float(each) for each in size]),
    ]


def tick_figure(count: int) -> tuple[str, str, list[float]]:
    """Return what a tick costs from its quote to the store, through the wire form."""
    from quotes.feed import Pending
    from quotes.models import Symbol
    from quotes.quote import Quote
    from quotes.store import Store

    store, pending = Store(), Pending()
    store.keep(Symbol(pk=i, code=f"S{i}", kind="crypto", currency="USD") for i in range(count))
    batches = iter(range(1, 1_000_000))

    def tick_all() -> None:
        now = datetime.now(UTC)
        for i in range(count):
            pending.add(
                Quote(
                    symbol=f"S{i}",
                    provider="simulated",
                    currency="USD",
                    last=Decimal("101.25"),
                    received_at=now,
                    source_time=now,
                )
            )
        wire = [quote.to_wire() for quote in pending.take()]
        store.put((1, next(batches)), [Quote.from_wire(values) for values in wire])

    return f"a tick from feed to store, {count} symbols", "µs", repeated(tick_all, count)


def repeated(work: Callable[[], None], each: int) -> list[float]:
    """Return the microseconds of processor of one of `each` pieces of work, by run."""
    taken = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        taken.append((time.process_time() - began) / each * 1e6)
    return taken


if __name__ == "__main__":
    main()
