"""The first error of a form with many rows, to which its page leads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from django.forms import BoundField
from django.utils.text import capfirst

from quotes.admin.labels import LabelledRows


class Fault(NamedTuple):
    """An error of a field, or of a row as a whole: the id of its element, its name and a text."""

    anchor: str
    name: str
    text: str


def first_error(form: Any, formsets: Iterable[LabelledRows]) -> Fault | None:
    """Return the first error of a form and of its rows, in the order of its page."""
    return next(faults(form, formsets), None)


def faults(form: Any, formsets: Iterable[LabelledRows]) -> Iterator[Fault]:
    """Yield the errors of a form, and then those of its rows."""
    yield from of_fields(form)
    for rows in formsets:
        for index, row in enumerate(rows.forms):
            if row.non_field_errors():
                text = str(row.non_field_errors()[0])
                yield Fault(str(row.prefix), rows.name(row, index), text)
            yield from of_fields(row)


def of_fields(form: Any) -> Iterator[Fault]:
    """Yield the errors of the fields of a form."""
    for field in form:
        if field.errors:
            yield Fault(field.id_for_label, name_of(field), str(field.errors[0]))


def name_of(field: BoundField) -> str:
    """Return the label of a field; in a row, that for screen readers, which names the row too."""
    widget: Any = field.field.widget
    widget = getattr(widget, "widget", widget)
    return str(widget.attrs.get("aria-label") or capfirst(field.label))
