"""The thread of the database."""

from __future__ import annotations

import gc
import threading

import pytest
from django.db import OperationalError

from quotes.live.database import DatabaseThread


class Cursor:
    """Records which thread releases it."""

    def __init__(self, released_by: list[str]) -> None:
        self.released_by = released_by

    def __del__(self) -> None:
        self.released_by.append(threading.current_thread().name)


async def test_an_error_releases_its_cursors_in_the_thread_of_their_connection():
    released_by: list[str] = []

    def read() -> None:
        cursor = Cursor(released_by)
        try:
            raise ValueError(cursor.released_by)
        except ValueError as error:
            raise OperationalError("the database is locked") from error

    thread = DatabaseThread("of the database")
    with pytest.raises(OperationalError, match="is locked"):
        await thread(read)
    await thread.close()
    gc.collect()
    assert released_by == ["of the database"]
