"""The history of a row: who changed which field, from which value to which."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC
from typing import Any, NamedTuple

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import translation

from quotes.admin.parameters import key_of, moment
from quotes.models import InstrumentList, Split, Symbol
from quotes.staff import history
from quotes.staff.history import MODELS, PAGE, Line
from quotes.staff.words import Values, kept

UNTIL = "until"  # the parameter of a page: all of its lines are older


class Row(NamedTuple):
    """A line of a history, with the addresses that it leads to."""

    line: Line
    link: str = ""  # to what changed
    batch: str = ""  # to all that changed at once


class KeepsHistory(admin.ModelAdmin):
    """A model whose history has the values before and after each change."""

    object_history_template = "quotes/admin/history.html"

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
        """Return the page, on which all that changed the row is in order."""
        response: HttpResponse = super().history_view(request, *args, **kwargs)
        context = getattr(response, "context_data", None)
        if context is not None:
            row = context["object"]
            before = moment(request.GET.get(UNTIL, ""))
            own = {"own": not isinstance(row, Symbol), "before": before, "media": self.media}
            context |= page(history.of_row(row, before, visible(request)), row) | own
        return response


def visible(request: HttpRequest) -> list[type[Model]]:
    """Return the models whose rows a user may see. Lists of instruments need no right."""
    user: Any = request.user
    return [
        model
        for model in MODELS
        if model is InstrumentList
        or any(
            user.has_perm(f"quotes.{action}_{model._meta.model_name}")
            for action in ("view", "change")
        )
    ]


def page(lines: list[Line], of: Model | None = None) -> dict[str, Any]:
    """Return what the template of a history shows: lines, and the moment before older ones."""
    shown = lines if len(lines) <= PAGE else lines[:-1]
    older = shown[-1].at.astimezone(UTC) if shown != lines else None
    return {
        "rows": list(_rows(shown, of)),
        "older": f"{older:%Y-%m-%dT%H:%M:%S.%f}Z" if older else "",
    }


def _rows(lines: Collection[Line], of: Model | None) -> Iterator[Row]:
    exist = {model: _existing(model, keys) for model, keys in _keys(lines).items()}
    for line in lines:
        is_own = of is not None and line.model is type(of)
        model = _owner(line)
        link = ""
        if model and not is_own and key_of(line.key) in exist[model]:
            link = reverse(f"admin:quotes_{model._meta.model_name}_change", args=[line.key])
        batch = reverse("admin:quotes_historyentry_change", args=[line.batch]) if line.batch else ""
        yield Row(line, link, batch)


def _owner(line: Line) -> type[Model] | None:
    """Return the model with a page that a line leads to: that of a split is that of its symbol."""
    if line.model is InstrumentList:
        return None
    return Symbol if line.model is Split else line.model


def _existing(model: type[Model], keys: list[int]) -> set[Any]:
    return set(model._default_manager.filter(pk__in=keys).values_list("pk", flat=True))


def _keys(lines: Iterable[Line]) -> dict[type[Model], list[int]]:
    found: dict[type[Model], list[int]] = {}
    for line in lines:
        if model := _owner(line):
            found.setdefault(model, []).append(key_of(line.key))
    return found


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
        texts = kept(field, before), kept(field, after)
        if texts[0] != texts[1]:
            values.append([label, *texts])
    return values
