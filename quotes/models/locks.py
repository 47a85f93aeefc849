"""The locks of a transaction that reads before it writes."""

from __future__ import annotations

from typing import TypeVar

from django.db import connection
from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)

BEGIN_TO_WRITE = "UPDATE quotes_lastquote SET batch = batch WHERE false"


def begin_to_write() -> None:
    """Let the transaction write from now on, before it reads.

    SQLite does not wait for another writer in a transaction that has read before.
    """
    with connection.cursor() as cursor:
        cursor.execute(BEGIN_TO_WRITE)


def lock(rows: QuerySet[Row]) -> QuerySet[Row]:
    """Lock these rows until the transaction ends, but not for new rows that refer to them.

    So the feed goes on storing the quotes of symbols.
    """
    return rows.select_for_update(no_key=connection.features.has_select_for_no_key_update)
