"""Many rows, divided into parts that fit into a statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

MAX_KEYS = 900  # in a statement: old releases of SQLite accept 999

T = TypeVar("T")


def parts(rows: Iterable[T], size: int = MAX_KEYS) -> Iterator[list[T]]:
    """Yield rows in parts of at most this size."""
    rest = iter(rows)
    while some := list(islice(rest, size)):
        yield some
