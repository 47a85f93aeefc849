"""The lock of a transaction that reads before it writes."""

from __future__ import annotations

from django.db import connection

BEGIN_TO_WRITE = "UPDATE quotes_lastquote SET batch = batch WHERE false"


def begin_to_write() -> None:
    """Let the transaction write from now on, before it reads.

    SQLite does not wait for another writer in a transaction that has read before.
    """
    with connection.cursor() as cursor:
        cursor.execute(BEGIN_TO_WRITE)
