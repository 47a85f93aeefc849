"""A database: quotes that another program writes into a table, read by a query of the operator.

Only this provider uses Django, and only its connections: it reads any database in DATABASES. Each
poll has a thread and a connection of its own. So a slow database delays only its own quotes, and
a lost connection only one poll.
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
from quotes.providers.kit.client import timeout_error
from quotes.providers.kit.options import seconds
from quotes.providers.kit.rows import FIELDS, Rows, read_rows
from quotes.quote import Quote
from quotes.quote.values import fraction

NEEDED = FIELDS[:2]
CODES = "%(codes)s"
LIKE = "SELECT code, last, time FROM prices WHERE code IN (%(codes)s)"
MAX_ROWS = 10_000  # of one answer
MAX_THREADS = 3  # queries that took too long and may still run
STEPS = 1000  # of SQLite's machine, until it checks the timeout again
READING = ("SELECT", "WITH")
ASIDE = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.DOTALL)  # texts, comments
FIRST = {  # the first statements of a transaction, with which the database refuses to write
    "postgresql": ("SET TRANSACTION READ ONLY", "SET LOCAL statement_timeout = {milliseconds}"),
    "mysql": ("SET TRANSACTION READ ONLY",),
    "oracle": ("SET TRANSACTION READ ONLY",),
}
# All but the first come from settings without a driver, and from drivers that can't read a value.
BROKEN = (Error, ImproperlyConfigured, ValueError, TypeError, ArithmeticError, OSError)


class Database(Provider):
    """Reads quotes with a query of the operator."""

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
        """Return a quote for each code that the query returns, from the last row of each.

        Raise ProviderError if the query fails, lacks a column or takes too long. The feed tries
        again after all of these, because the other program may be recreating its table.
        """
        if not instruments:
            return []
        codes = list(dict.fromkeys(each.code for each in instruments))
        rows = await self._in_thread(partial(self._read, codes))
        return read_rows(self.name, rows, instruments, self.standing)

    async def check(self) -> None:
        """Run the query without codes; raise ProviderError if it fails."""
        await self._in_thread(partial(self._read, []))

    async def _in_thread(self, read: Callable[[], Rows]) -> Rows:
        # We cannot use asyncio's own threads or an executor: at its end, the process would wait
        # for them, as long as the database takes.
        self.threads = [thread for thread in self.threads if thread.is_alive()]
        if len(self.threads) >= MAX_THREADS:
            times = f"{MAX_THREADS} times"
            raise ProviderError(f"{self.what} exceeded its timeout {times} and still runs")
        rows: Future[Rows] = Future()
        thread = Thread(target=settle, args=(rows, read), name="quotes-provider", daemon=True)
        self.threads.append(thread)
        thread.start()
        try:
            async with asyncio.timeout(self.timeout):
                return await asyncio.wrap_future(rows)
        except TimeoutError as error:
            raise timeout_error(self.what, self.timeout) from error

    def _read(self, codes: Sequence[str]) -> Rows:
        query, parameters = self.query, None
        if places := query.count(CODES):
            query = query.replace(CODES, ", ".join(["%s"] * len(codes)) or "NULL")
            parameters = [*codes] * places
        try:
            with reading(self.database, self.timeout) as cursor:
                cursor.execute(query, parameters)
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
                f"{self.what} has no column {missing[0]!r}, only: {', '.join(columns) or 'none'}. "
                f"It must have {' and '.join(NEEDED)}, and may have {', '.join(FIELDS[2:])}: "
                "rename a column, like SELECT ticker AS code"
            )
        if count > MAX_ROWS:
            raise ProviderError(
                f"{self.what} has more than {MAX_ROWS} rows: select the codes, like {LIKE}"
            )


@contextmanager
def reading(alias: str, timeout: float) -> Iterator[Any]:
    """Open a connection, yield a cursor that can't write, and close the connection.

    SQLite and PostgreSQL also end the query after `timeout` seconds.
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
            # A cursor of the server, if it has one, sends only the rows that are fetched.
            with connection.chunked_cursor() as cursor:
                yield cursor
            transaction.set_rollback(True, using=alias)
    finally:
        connection.close()


def settle(result: Future[Rows], read: Callable[[], Rows]) -> None:
    """Call a function in this thread and set its result or exception."""
    result.set_running_or_notify_cancel()
    try:
        result.set_result(read())
    except BaseException as error:
        result.set_exception(error)


def checked(query: str) -> str:
    """Return a query without its last semicolon; raise ValueError if it can't be run."""
    text = query.strip().rstrip("; \n")
    if not text:
        raise ValueError(f"The database provider needs the option query, like {LIKE}")
    check_that_it_reads(text)
    # The driver reads % only in a query with parameters; in others it may be an operator.
    odd = r"%(?!\(codes\)s).{0,10}" if CODES in text else r"%\(\w*\)s"
    if found := re.search(odd, text.replace("%%", "")):
        raise ValueError(
            f"Unexpected {found[0]!r} in the query of the database provider, "
            f"must be {CODES}, or %% for a percent sign"
        )
    return text


def check_that_it_reads(query: str) -> None:
    """Raise ValueError unless a query is one SELECT statement."""
    statement = ASIDE.sub(" ", query).strip("( ;\t\r\n")
    first = re.split(r"\W", statement, maxsplit=1)[0] or query[:10]
    if first.upper() not in READING:
        raise ValueError(
            f"Unexpected {first!r} at the start of the query of the database provider, "
            f"must be one of: {', '.join(READING)}"
        )
    if ";" in statement:  # a second statement could end the transaction that can't write
        raise ValueError(
            "Unexpected ';' in the query of the database provider, must be one statement"
        )


def exact(value: Any) -> Any:
    """Return a floating-point number as the decimal that it means, with at least 15 digits."""
    return fraction(str(value)) if isinstance(value, float) else value
