"""Labels for the controls of rows, which Django's admin leaves without one."""

from __future__ import annotations

from typing import Any

from django.forms import BaseInlineFormSet, BaseModelFormSet
from django.utils.text import capfirst
from django.utils.translation import gettext


class LabelledRows(BaseModelFormSet):
    """Forms in the rows of a table, whose controls have the names of their column and row."""

    def row(self, instance: Any) -> str:
        """Return the name of a saved row."""
        return str(instance)

    def name(self, form: Any, index: int | None) -> str:
        """Return the name of a row."""
        return self.row(form.instance) if form.instance.pk else self.new_row(index)

    def add_fields(self, form: Any, index: int | None) -> None:
        """Add the hidden fields and the box to delete a row, then label all controls."""
        super().add_fields(form, index)
        row = self.name(form, index)
        for field in form.fields.values():
            label(field.widget, f"{capfirst(field.label)}: {row}")

    def new_row(self, index: int | None) -> str:
        """Return the name of an empty row with its number; the row that Django copies has none."""
        if index is None:
            return gettext("new row")
        return gettext("new row %(number)d") % {"number": index - self.initial_form_count() + 1}


class LabelledInlineRows(LabelledRows, BaseInlineFormSet):
    """The same for rows in the form of another model."""


def label(widget: Any, text: str) -> None:
    """Label a control that can be seen, without the links that Django puts around it."""
    inner = getattr(widget, "widget", widget)
    if not inner.is_hidden:
        inner.attrs["aria-label"] = text
