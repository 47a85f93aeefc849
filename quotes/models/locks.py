"""The locks of a transaction that reads before it writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from django.db import connection
from django.db.models import Model, QuerySet

from quotes.models.statements import parts

Row = TypeVar("Row", bound=Model)

TURN = 5_917_346_028  # the number of a lock; other programs may have others in this database
BEGIN_TO_WRITE = "UPDATE quotes_lastquote SET batch = batch WHERE false"


def begin_to_write() -> None:
    """Let the transaction write from now on, before it reads.

    SQLite does not wait for another writer in a transaction that has read before.
    """
    with connection.cursor() as cursor:
        cursor.execute(BEGIN_TO_WRITE)


def one_after_the_other() -> None:
    """Wait for the end of other transactions that called this. SQLite has one writer anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [TURN])


def lock(rows: QuerySet[Row]) -> QuerySet[Row]:
    """Lock these rows until the transaction ends, but not for new rows that refer to them.

    So the feed goes on storing the quotes of symbols.
    """
    return rows.select_for_update(no_key=connection.features.has_select_for_no_key_update)


def lock_all(model: type[Model], keys: Iterable[int]) -> None:
    """Lock the rows with these keys in their order. In another, two transactions may block."""
    rows = lock(model._default_manager.order_by("pk"))
    for some in parts(sorted(keys)):
        list(rows.filter(pk__in=some).values_list("pk", flat=True))
