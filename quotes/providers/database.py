"""A database: quotes that another program writes into a table, read by a query of the operator's.

Of all providers this one alone uses Django, and of Django only its connections: any database that
DATABASES can name will do. Each poll has a thread and a connection of its own, so that nobody
ever waits for the database, and a connection that died costs one poll.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections, transaction

from quotes.providers import Instrument, Provider, ProviderError
from quotes.providers.kit.client import late
from quotes.providers.kit.options import seconds
from quotes.providers.kit.rows import FIELDS, Rows, read_rows
from quotes.quote import Quote

NEEDED = FIELDS[:2]
CODES = "%(codes)s"
LIKE = "SELECT code, last, time FROM prices WHERE code IN (%(codes)s)"
MAX_ROWS = 10_000  # of one answer
MAX_THREADS = 3  # queries that took too long and may still run
STEPS = 1000  # of SQLite's machine, between two looks at the clock
READING = ("SELECT", "WITH")
ASIDE = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.DOTALL)  # texts, comments
FIRST = {  # what a transaction begins with, so that the database itself lets nothing be written
    "postgresql": ("SET TRANSACTION READ ONLY", "SET LOCAL statement_timeout = {milliseconds}"),
    "mysql": ("SET TRANSACTION READ ONLY",),
    "oracle": ("SET TRANSACTION READ ONLY",),
}
# The others come from settings that name no driver, and from a driver that can't read a value.
BROKEN = (Error, ImproperlyConfigured, ValueError, TypeError, ArithmeticError, OSError)


class Database(Provider):
    """Reads quotes with a query of the operator's."""

    name = "database"
    title = "Database"
    attribution = "Prices from a database of this site"

    def __init__(
        self,
        alias: str = "default",
        query: str = "",
        *,
        interval: float | str = 5.0,  # seconds between two queries
        timeout: float = 10.0,  # seconds for an answer
    ) -> None:
        super().__init__()
        if alias not in list(connections):
            raise ValueError(
                f"Unexpected alias {alias!r} of the database provider, "
                f"must be one of DATABASES: {', '.join(connections)}"
            )
        self.database, self.query, self.timeout = alias, checked(query), timeout
        self.poll_interval = seconds("interval", interval)
        self.what = f"the query on {alias!r}"
        self.threads: list[Thread] = []

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        """Return a quote of each code that the query gives; of two rows the last one counts.

        Raise ProviderError where the query fails, lacks a column or takes too long. None of that is
        a refusal: the other program may be making its table anew.
        """
        if not instruments:
            return []
        codes = list(dict.fromkeys(each.code for each in instruments))
        rows = await self._beside(partial(self._read, codes))
        return read_rows(self.name, rows, instruments, self.standing)

    async def check(self) -> None:
        """Run the query without codes; raise ProviderError if it fails."""
        await self._beside(partial(self._read, []))

    async def _beside(self, read: Callable[[], Rows]) -> Rows:
        # Neither asyncio's own threads nor those of an executor will do: both are waited for at
        # the end of the process, however long the database takes.
        self.threads = [thread for thread in self.threads if thread.is_alive()]
        if len(self.threads) >= MAX_THREADS:
            raise ProviderError(f"{self.what} took too long {MAX_THREADS} times and still runs")
        rows: Future[Rows] = Future()
        thread = Thread(target=settle, args=(rows, read), name="quotes-provider", daemon=True)
        self.threads.append(thread)
        thread.start()
        try:
            async with asyncio.timeout(self.timeout):
                return await asyncio.wrap_future(rows)
        except TimeoutError as error:
            raise late(self.what, self.timeout) from error

    def _read(self, codes: Sequence[str]) -> Rows:
        query, wanted = self.query, None
        if places := query.count(CODES):
            query = query.replace(CODES, ", ".join(["%s"] * len(codes)) or "NULL")
            wanted = [*codes] * places
        try:
            with reading(self.database, self.timeout) as cursor:
                cursor.execute(query, wanted)
                found = cursor.fetchmany(MAX_ROWS + 1)
                columns = [column[0].lower() for column in cursor.description or ()]
        except BROKEN as error:
            words = (str(error).strip() or type(error).__name__).partition("\n")[0]
            raise ProviderError(f"{self.what} failed: {words}") from error
        self._check(columns, len(found))
        rows = (dict(zip(columns, map(exact, row), strict=True)) for row in found)
        return {str(row["code"]).strip(): row for row in rows}

    def _check(self, columns: Collection[str], count: int) -> None:
        if missing := [name for name in NEEDED if name not in columns]:
            raise ProviderError(
                f"{self.what} has no column {missing[0]!r} but {', '.join(columns) or 'none'}; "
                f"it must have {' and '.join(NEEDED)}, and may have {', '.join(FIELDS[2:])}: "
                "rename what it selects, like SELECT ticker AS code"
            )
        if count > MAX_ROWS:
            raise ProviderError(
                f"{self.what} has more than {MAX_ROWS} rows: let it choose, like {LIKE}"
            )


@contextmanager
def reading(alias: str, timeout: float) -> Iterator[Any]:
    """Open a connection, give a cursor that can't write, and close the connection.

    Where the database can, it also gives up by itself after `timeout` seconds.
    """
    connection = connections[alias]
    try:
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA query_only = ON")
                end = time.monotonic() + timeout
                connection.connection.set_progress_handler(lambda: time.monotonic() > end, STEPS)
                yield cursor
            return
        with transaction.atomic(using=alias):
            with connection.cursor() as cursor:
                for statement in FIRST.get(connection.vendor, ()):
                    cursor.execute(statement.format(milliseconds=round(timeout * 1000)))
            # The server's own cursor, where it has one: no more rows leave it than are wanted.
            with connection.chunked_cursor() as cursor:
                yield cursor
            transaction.set_rollback(True, using=alias)
    finally:
        connection.close()


def settle(result: Future[Rows], read: Callable[[], Rows]) -> None:
    """Do some work in this thread and say what came of it."""
    result.set_running_or_notify_cancel()
    try:
        result.set_result(read())
    except BaseException as error:
        result.set_exception(error)


def checked(query: str) -> str:
    """Return a query without its last semicolon; raise ValueError for one that can't be run."""
    text = query.strip().rstrip("; \n")
    if not text:
        raise ValueError(f"The database provider needs the option query, like {LIKE}")
    check_that_it_reads(text)
    # Without a parameter in it a query goes to the database as it is, and % may be its operator.
    odd = r"%(?!\(codes\)s).{0,10}" if CODES in text else r"%\(\w*\)s"
    if found := re.search(odd, text.replace("%%", "")):
        raise ValueError(
            f"Unexpected {found[0]!r} in the query of the database provider, "
            f"must be {CODES}, or %% for a percent sign"
        )
    return text


def check_that_it_reads(query: str) -> None:
    """Raise ValueError for a query that is no SELECT, or is more than one statement."""
    statement = ASIDE.sub(" ", query).strip("( ;\t\r\n")
    first = re.split(r"\W", statement, maxsplit=1)[0] or query[:10]
    if first.upper() not in READING:
        raise ValueError(
            f"Unexpected {first!r} at the start of the query of the database provider, "
            f"must be one of: {', '.join(READING)}"
        )
    if ";" in statement:  # what follows could end the transaction in which nothing is written
        raise ValueError(
            "Unexpected ';' in the query of the database provider, must be one statement"
        )


def exact(value: Any) -> Any:
    """Give a binary fraction as the shortest text that means it, which has its 15 digits."""
    return str(value) if isinstance(value, float) else value
