"""The history of a row: who changed which field, from which value to which."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.text import capfirst
from django.utils.translation import gettext, gettext_noop

from quotes.admin.values import written

Values = list[list[str]]  # label, value before and value after of each field
FROM_TO = gettext_noop("%(field)s: from “%(before)s” to “%(after)s”")


class KeepsHistory(admin.ModelAdmin):
    """A model whose history has the values before and after each change."""

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> list[dict[str, Any]]:
        """Return Django's message; each changed row has its values, too."""
        message: list[Any] = super().construct_change_message(request, form, formsets, add)
        forms = [] if add or not form.has_changed() else [form]
        forms += [each for rows in formsets or () for each in _changed(rows)]
        entries = (each["changed"] for each in message if "changed" in each)
        for entry, each in zip(entries, forms, strict=False):
            entry["values"] = _values(each)
        return message

    def history_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Return the page, on which each action shows its values."""
        response: HttpResponse = super().history_view(request, *args, **kwargs)
        for action in getattr(response, "context_data", {}).get("action_list", ()):
            action.get_change_message = partial(in_words, action)
        return response


def in_words(action: LogEntry) -> str:
    """Return Django's text of an action, and the values before and after it."""
    values: Values = []
    if action.change_message.startswith("["):
        parts = json.loads(action.change_message)
        values = [each for part in parts for each in part.get("changed", {}).get("values", ())]
    texts = [
        gettext(FROM_TO) % {"field": capfirst(gettext(label)), "before": before, "after": after}
        for label, before, after in values
    ]
    return " ".join(filter(None, (str(LogEntry.get_change_message(action)), "; ".join(texts))))


def _changed(rows: Any) -> Iterable[Any]:
    """Return the forms of rows that were changed, in the order of Django's message."""
    by_row = {id(each.instance): each for each in rows.forms}
    return [by_row[id(row)] for row, _ in rows.changed_objects if id(row) in by_row]


def _values(form: Any) -> Values:
    values = []
    for name in form.changed_data:
        field = form.fields[name]
        with translation.override(None):  # as Django does: labels are translated when they are read
            label = str(field.label or name)
        before, after = form.initial.get(name), form.cleaned_data.get(name)
        texts = written(field, before), written(field, after)
        if texts[0] != texts[1]:
            values.append([label, *texts])
    return values
