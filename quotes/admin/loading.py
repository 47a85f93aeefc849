"""The page of the admin that loads symbols from a file, after a look at what would change."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views import View

from quotes import catalogue
from quotes.catalogue import Catalogue, InvalidCatalogue, Outcome
from quotes.models import Board, Symbol

MOST_SHOWN = 500  # rows of the file
DONE = {"added": _("added"), "updated": _("updated"), "unchanged": _("unchanged")}


class LoadForm(forms.Form):
    """A file, and the board for its symbols."""

    file = forms.FileField(
        label=_("File"),
        help_text=_(
            "CSV with the columns symbol, name, kind, exchange and currency, as “Save as CSV” "
            "writes it. No symbol is deleted. If a row is invalid, nothing is changed."
        ),
    )
    board = forms.ModelChoiceField(
        Board.objects.all(),
        label=_("Board"),
        required=False,
        empty_label=_("the board of each kind"),
        help_text=_("New symbols are put at the end of it."),
    )

    found: Catalogue

    def clean_file(self) -> Any:
        """Read the file; raise ValidationError with all errors in it."""
        given = self.cleaned_data["file"]
        try:
            self.found = catalogue.read(given)
        except InvalidCatalogue as error:
            raise forms.ValidationError(error.shown) from error
        return given


class LoadView(View):
    """Choose a file, see what would be done with each row, and load it."""

    model_admin: Any = None

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Let only those load a file who may add and change symbols, one by one."""
        super().setup(request, *args, **kwargs)
        rights = ("quotes.add_symbol", "quotes.change_symbol", "quotes.add_board")
        if not request.user.has_perms(rights):
            raise PermissionDenied

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the form."""
        return self._page(request, LoadForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Load the file, or show what that would do."""
        form = LoadForm(request.POST, request.FILES)
        if not form.is_valid():
            return self._page(request, form)
        board = form.cleaned_data["board"]
        loads = "load" in request.POST
        with transaction.atomic():
            outcomes = catalogue.load(form.found.entries, board.slug if board else "")
            transaction.set_rollback(not loads)
        if not loads:
            return self._page(request, form, outcomes)
        self.model_admin.message_user(request, in_words(outcomes), messages.SUCCESS)
        return redirect("admin:quotes_symbol_changelist")

    def _page(
        self, request: HttpRequest, form: LoadForm, outcomes: list[Outcome] | None = None
    ) -> HttpResponse:
        changing = [
            each for each in outcomes or () if each.done != "unchanged" or each.board or each.filled
        ]
        context = {
            **self.model_admin.admin_site.each_context(request),
            "title": gettext("Load symbols from a file"),
            "opts": Symbol._meta,
            "form": form,
            "media": self.model_admin.media + form.media,
            "summary": "" if outcomes is None else in_words(outcomes),
            "format": str(form.found.format) if outcomes is not None else "",
            "outcomes": [(each, DONE[each.done]) for each in changing[:MOST_SHOWN]],
            "left_out": max(0, len(changing) - MOST_SHOWN),
        }
        return render(request, "quotes/admin/load.html", context)


def in_words(outcomes: list[Outcome]) -> str:
    """Return how many rows were added, updated and unchanged, and how many symbols were placed."""
    done = Counter(each.done for each in outcomes)
    placed = sum(bool(each.board) and each.done != "added" for each in outcomes)
    words = [f"{done[each]} {title}" for each, title in DONE.items()]
    if placed:
        words.append(ngettext("%d put on a board", "%d put on a board", placed) % placed)
    rows = ngettext("%d row", "%d rows", len(outcomes)) % len(outcomes)
    return f"{rows}: {', '.join(words)}"
