"""The locks of a transaction that reads before it writes."""

from __future__ import annotations

from typing import TypeVar

from django.db import connection
from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)

TURN = 5_917_346_028  # among the numbers of the database, which other programs may lock too
BEGIN_TO_WRITE = "UPDATE quotes_lastquote SET batch = batch WHERE false"


def begin_to_write() -> None:
    """Let the transaction write from now on, before it reads.

    SQLite does not wait for another writer in a transaction that has read before.
    """
    with connection.cursor() as cursor:
        cursor.execute(BEGIN_TO_WRITE)


def one_after_the_other() -> None:
    """Wait until all other transactions that have called this end. SQLite has one writer anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [TURN])


def lock(rows: QuerySet[Row]) -> QuerySet[Row]:
    """Lock these rows until the transaction ends, but not for new rows that refer to them.

    So the feed goes on storing the quotes of symbols.
    """
    return rows.select_for_update(no_key=connection.features.has_select_for_no_key_update)
