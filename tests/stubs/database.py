"""A table that another program writes quotes into, and the alias that Django knows it by.

    with sqlite(tmp_path / "prices.sqlite3") as table:
        table.write("AAPL", last="101.00")

The writer has a connection of its own, past Django, as that program has.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from django.db import connections

from quotes.providers import Instrument, make_provider
from tests.servers import PATIENCE, eventually
from tests.stubs.exchange import Bench

COLUMNS = ("bid", "ask", "open", "high", "low", "reference", "volume", "time", "currency")
QUERY = f"SELECT code, last, {', '.join(COLUMNS)} FROM prices WHERE code IN (%(codes)s)"


class Table:
    """A table `prices` of one database, and its writer."""

    def __init__(self, alias: str, connect: Callable[[], Any], number: str, time: str) -> None:
        self.alias, self.connect = alias, connect
        self.run("DROP TABLE IF EXISTS prices")
        numbers = ", ".join(f"{name} {number}" for name in ("last", *COLUMNS[:-2]))
        self.run(f"CREATE TABLE prices (code text, {numbers}, time {time}, currency text)")

    def write(self, code: str, **fields: Any) -> None:
        """Write a row in place of the old one."""
        self.run("DELETE FROM prices WHERE code = {}", code)
        self.add(code, **fields)

    def add(self, code: str, **fields: Any) -> None:
        """Write one more row."""
        places = ", ".join(["{}"] * (len(fields) + 1))
        names = ", ".join(["code", *fields])
        self.run(f"INSERT INTO prices ({names}) VALUES ({places})", code, *fields.values())

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement of the other program, with {} for values."""
        mark = "?" if self.alias.startswith("sqlite") else "%s"
        with closing(self.connect()) as connection:
            cursor = connection.execute(statement.replace("{}", mark), values)
            rows = cursor.fetchall() if cursor.description else []
            connection.commit()
        return rows


@contextmanager
def alias_of(alias: str, given: dict[str, Any]) -> Iterator[None]:
    """Add an alias to DATABASES for a while."""
    both = connections.configure_settings({"default": {}, alias: given})
    connections.settings[alias] = both[alias]
    try:
        yield
    finally:
        del connections.settings[alias]


def takes_connections(url: str) -> bool:
    """Return whether PostgreSQL has started; before that it listens but refuses."""
    with suppress(psycopg.OperationalError):
        psycopg.connect(url).close()
        return True
    return False


@contextmanager
def sqlite(path: Path, number: str = "TEXT", time: str = "TEXT") -> Iterator[Table]:
    """Create a table in a file; its numbers are text, so that SQLite keeps every digit."""
    given = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}
    with alias_of("sqlite_prices", given):
        yield Table("sqlite_prices", lambda: sqlite3.connect(path), number, time)


@contextmanager
def postgres(url: str, port: int, **options: Any) -> Iterator[Table]:
    """Create a table in PostgreSQL."""
    given = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": port,
        "USER": "quotes",
        "NAME": "postgres",
        **options,
    }
    eventually(lambda: takes_connections(url), "PostgreSQL takes connections")
    with alias_of("postgres_prices", given):
        yield Table("postgres_prices", lambda: psycopg.connect(url), "numeric", "timestamptz")


@asynccontextmanager
async def bench(patience: float = PATIENCE) -> AsyncIterator[Bench]:
    """Set a table of quotes up in SQLite; it needs no server."""
    with TemporaryDirectory() as folder, sqlite(Path(folder) / "db") as table:
        table.write("AAPL", last="101.00", reference="100.00", bid="100.99", ask="101.01")
        table.write("VOD.L", last="8012", currency="GBp", time="2026-01-05T12:00:00Z")
        options = {"alias": table.alias, "query": QUERY, "timeout": patience}
        known = [
            Instrument(symbol="AAPL", code="AAPL", kind="stock"),
            Instrument(symbol="VOD.L", code="VOD.L", kind="stock", currency="GBP"),
        ]
        unknown = [Instrument(symbol="NOPE", code="NOPE", kind="stock")]
        yield Bench(provider=make_provider("database", options), known=known, unknown=unknown)
