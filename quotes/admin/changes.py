"""The page of the admin with all changes: those of users, of commands and of the feed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import Model, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from quotes.admin.history import UNTIL, page, visible
from quotes.admin.lists import MAX_SEARCH, ReadOnlyAdmin
from quotes.admin.parameters import key_of, moment
from quotes.codes import code_of
from quotes.models import HistoryEntry, Symbol
from quotes.models.history import FEED, Author
from quotes.staff.history import PAGE, Role, Wanted, newest, of_entry, of_symbols

MAX_FOUND = 20  # symbols whose code begins with a text
DAYS = date(1970, 1, 1), date(2999, 12, 31)  # the first and the last one with times in all zones


class ChangesForm(forms.Form):
    """Which changes are shown."""

    symbol = forms.CharField(
        label=_("Symbol"),
        required=False,
        max_length=MAX_SEARCH,
        widget=forms.TextInput({"spellcheck": "false", "autocomplete": "off"}),
    )
    who = forms.ChoiceField(label=_("Who"), required=False)
    kind = forms.ChoiceField(label=_("Kind"), required=False)
    day = forms.DateField(
        label=_("Day"),
        required=False,
        validators=[MinValueValidator(DAYS[0]), MaxValueValidator(DAYS[1])],
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
    )

    def __init__(self, models: Collection[type[Model]], data: Any) -> None:
        super().__init__(data)
        self.models = {str(model._meta.model_name): model for model in models}
        self.by = {":".join(by): by for by in authors()}
        who: Any = self.fields["who"]
        kind: Any = self.fields["kind"]
        who.choices = [("", _("All"))] + [(key, str(by)) for key, by in self.by.items()]
        kind.choices = [("", _("All"))] + [
            (name, capfirst(model._meta.verbose_name)) for name, model in self.models.items()
        ]

    def wanted(self, before: datetime | None) -> Wanted:
        """Return which changes the valid fields choose."""
        given: dict[str, Any] = self.cleaned_data if self.is_valid() else {}
        kind, day = self.models.get(given.get("kind", "")), given.get("day")
        wanted = Wanted(
            [kind] if kind else list(self.models.values()),
            self.by.get(given.get("who", "")),
            until=before,
        )
        if day:
            since = timezone.make_aware(datetime.combine(day, time()))
            end = timezone.make_aware(datetime.combine(day + timedelta(days=1), time()))
            wanted = replace(wanted, since=since, until=min(filter(None, (before, end))))
        if text := given.get("symbol"):
            return of_symbols(wanted, symbols(text), code_of(text))
        return wanted


def symbols(text: str) -> list[Symbol]:
    """Return the symbol with this code, now or before; else those whose code begins with it."""
    code = code_of(text)
    exact = Symbol.objects.filter(Q(code=code) | Q(aliases__code=code)).distinct()
    return list(exact) or list(Symbol.objects.filter(code__istartswith=code)[:MAX_FOUND])


def authors() -> Iterator[Author]:
    """Yield the feed, the commands, and the users that changed something."""
    yield FEED
    keys = LogEntry.objects.order_by().values_list("user", flat=True).distinct()
    users = get_user_model().objects.filter(pk__in=list(keys))
    entries = HistoryEntry.objects.exclude(role=Role.FEED).order_by()
    found = {Author(*each) for each in entries.values_list("role", "by").distinct()}
    yield from sorted(found | {Author(Role.USER, each.get_username()) for each in users})


@admin.register(HistoryEntry)
class HistoryEntryAdmin(ReadOnlyAdmin):
    """All changes of what a user may see. Nobody edits them."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Return a page of the changes that are chosen, the newest first."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = ChangesForm(visible(request), request.GET or None)
        before = moment(request.GET.get(UNTIL, ""))
        shown = page(newest(form.wanted(before)))
        more = {"title": gettext("All changes"), "form": form, "before": before}
        return self._page(request, "quotes/admin/changes.html", shown | more)

    def change_view(
        self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Return a page of the rows that were changed at once, sorted by name."""
        if request.method == "POST" or not self.has_view_permission(request):
            raise PermissionDenied
        batch = get_object_or_404(HistoryEntry, pk=key_of(object_id), model="")
        allowed = [model._meta.model_name for model in visible(request)]
        parts = batch.parts.filter(model__in=allowed).select_related(None).order_by("name", "pk")
        found = Paginator(parts, PAGE * 2).get_page(request.GET.get("page"))
        lines = [of_entry(each) for each in found]
        line = of_entry(batch)
        more = {"title": line.text, "batch": line, "page": found}
        return self._page(request, "quotes/admin/batch.html", page(lines) | more)

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        known = self.admin_site.each_context(request)
        own = {"opts": self.opts, "media": self.media}
        return TemplateResponse(request, template, known | own | context)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether somebody may see symbols."""
        return bool(self.admin_site.get_model_admin(Symbol).has_view_permission(request))
