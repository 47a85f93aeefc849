"""Twenty thousand symbols for ten minutes, each with a tick a second, on each database.

The ticks come from an exchange in a process of its own, whose processor time is listed apart. An
edit of a symbol is timed every few seconds, from its save to the socket of an open page.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from operator import sub
from pathlib import Path

from asgiref.sync import sync_to_async

from tests.benchmarks.bench import Bench, run_apart
from tests.benchmarks.inside import Measured
from tests.benchmarks.servers import HOST, SETTINGS, MissingError, Uvicorn
from tests.benchmarks.usage import cpu_seconds, resident_bytes
from tests.servers import Postgres, Stub, eventually, find_postgres

SYMBOLS, SECONDS = 20_000, 600
RATE = 60  # ticks a minute and symbol
EDIT_EVERY = 5.0  # seconds
WITHIN = 60.0  # seconds that an edit may take
READY_WITHIN = 120.0  # seconds until each symbol has a price
WITHOUT_PAST = {"DJANGO_SETTINGS_MODULE": SETTINGS}


def large(bench: Bench) -> None:
    """Measure with SQLite, then with PostgreSQL."""
    symbols = 300 if bench.quick else SYMBOLS
    for name, database in (("SQLite", sqlite), ("PostgreSQL", postgres)):
        with (
            bench.attempt(f"{symbols:,} symbols on {name}") as title,
            database(bench, symbols) as env,
            exchange() as stub,
            bench.ours(
                symbols, RATE, Uvicorn, coded=True, **(WITHOUT_PAST | stub.settings | env)
            ) as server,
        ):
            eventually(lambda: ticks(server) >= symbols, "each symbol ticks", READY_WITHIN)
            before = counts(server, stub)
            given = (str(server.port), str(bench.seconds(SECONDS)), *map(str, server.pids))
            for what, unit, values in run_apart("large", *given, **server.env):
                bench.figures.add(f"{title}: {what}", unit, *values)
            bench.figures.add(f"{title}: leases lost", "", leases(server) - 1)
            spent, sent, read, cpu = map(sub, counts(server, stub), before)
            bench.figures.add(f"{title}: ticks that were sent", "1/s", sent / spent)
            bench.figures.add(f"{title}: ticks that were read", "%", read / sent * 100)
            what = f"{title}: processor of the exchange"
            bench.figures.add(what, "% of a core", cpu / spent * 100)


@contextmanager
def exchange() -> Iterator[Stub]:
    """Run the busy exchange in a process of its own."""
    stub = Stub("busy")
    try:
        yield stub
    finally:
        stub.stop()


def ticks(server: Uvicorn) -> float:
    """Return how many ticks the feed has accepted."""
    return server.counted("quotes_ticks_total")


def leases(server: Uvicorn) -> int:
    """Return how often the feed began to lead."""
    return server.log.read_text().count("leads the feed")


def counts(server: Uvicorn, stub: Stub) -> tuple[float, ...]:
    """Return the time, the ticks that were sent and read, and the processor of the exchange."""
    cpu = cpu_seconds([stub.process.pid])
    return time.monotonic(), stub.ask("/_state")["sent"], ticks(server), cpu


@contextmanager
def sqlite(bench: Bench, symbols: int) -> Iterator[dict[str, str]]:
    """Leave the site the database that it has."""
    yield {}


@contextmanager
def postgres(bench: Bench, symbols: int) -> Iterator[dict[str, str]]:
    """Run PostgreSQL, with the same symbols."""
    programs = find_postgres()
    if programs is None:
        raise MissingError("install PostgreSQL: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="bench-postgres-") as folder:
        server = Postgres(programs, Path(folder))
        server.start()
        try:
            env = {"DATABASE_URL": server.url}
            bench.fill(symbols, coded=True, **env)
            yield env
        finally:
            server.stop()


async def measure(port: str, seconds: str, *pids: str) -> list[Measured]:
    """Edit a symbol again and again; return what that took, and what the server used meanwhile."""
    import websockets

    from quotes.models import Symbol

    processes = [int(pid) for pid in pids]
    size = await sync_to_async(stored_bytes)()
    cpu, begun, memory, waits = cpu_seconds(processes), time.monotonic(), 0, []
    symbol = await Symbol.objects.aearliest("pk")
    address = f"ws://{HOST}:{port}/ws/quotes/?symbols={symbol.code}"
    async with websockets.connect(address, origin=f"http://{HOST}:{port}", max_size=None) as page:
        while time.monotonic() < begun + float(seconds):
            symbol.name = f"Edited at {time.time()}"
            saved = time.monotonic()
            await symbol.asave()
            async with asyncio.timeout(WITHIN):
                while symbol.name not in await page.recv():
                    pass
            waits.append(time.monotonic() - saved)
            memory = max(memory, resident_bytes(processes))
            with suppress(TimeoutError):  # what comes meanwhile is not to pile up
                async with asyncio.timeout(EDIT_EVERY):
                    async for _ in page:
                        pass
    spent, grown = time.monotonic() - begun, await sync_to_async(stored_bytes)() - size
    return [
        ("an edit, until a page shows it", "s", waits),
        ("processor", "% of a core", [(cpu_seconds(processes) - cpu) / spent * 100]),
        ("memory", "MB", [memory / 1e6]),
        ("growth of the database", "MB/min", [grown / 1e6 / spent * 60]),
    ]


def stored_bytes() -> int:
    """Return the size of the database."""
    from django.db import connection

    if connection.vendor == "sqlite":
        file = Path(connection.settings_dict["NAME"])
        return sum(each.stat().st_size for each in file.parent.glob(f"{file.name}*"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(asyncio.run(measure(*sys.argv[1:]))))
