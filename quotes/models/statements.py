"""Many rows in one statement: divided into parts that fit into it, or read as one value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from django.db.models import Aggregate, Expression, JSONField, QuerySet

MAX_KEYS = 900  # in a statement: old releases of SQLite accept 999

T = TypeVar("T")


def parts(rows: Iterable[T], size: int = MAX_KEYS) -> Iterator[list[T]]:
    """Yield rows in parts of at most this size."""
    rest = iter(rows)
    while some := list(islice(rest, size)):
        yield some


class _Rows(Aggregate):
    """All rows, each as a list of the given columns."""

    output_field = JSONField()
    arity = None

    def as_sqlite(self, *given: Any, **more: Any) -> Any:
        return self.as_sql(*given, template="json_group_array(json_array(%(expressions)s))", **more)

    def as_postgresql(self, *given: Any, **more: Any) -> Any:
        template = "jsonb_agg(jsonb_build_array(%(expressions)s))"
        return self.as_sql(*given, template=template, **more)


def at_once(rows: QuerySet[Any], *columns: str | Expression) -> list[list[Any]]:
    """Return columns of many rows, in any order, as the database has them, without conversion.

    The database sends them as one value. From SQLite, Python would read one row at a time, and
    after each, this thread would wait up to 5 ms for its turn beside a busy event loop.
    """
    found: list[list[Any]] = rows.aggregate(rows=_Rows(*columns))["rows"]
    return found or []
