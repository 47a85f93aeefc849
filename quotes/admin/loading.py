"""The page of the admin that loads symbols from a file, after a look at what would change."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from hashlib import sha256
from io import BytesIO
from typing import Any

from django import forms
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.admin.options import get_content_type_for_model
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import CharField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext, override
from django.utils.translation import gettext_lazy as _
from django.views import View

from quotes import catalogue
from quotes.admin.arranging import listed
from quotes.admin.history import FROM_TO, Values
from quotes.admin.values import written
from quotes.catalogue import Catalogue, InvalidCatalogue, Outcome
from quotes.catalogue.sheet import MAX_BYTES
from quotes.models import Board, Symbol, Upload

MAX_SHOWN = 500  # rows of the file
AT_ONCE = 500  # rows in a statement
with override(None):  # as Django does: labels are translated when they are read
    OF_SYMBOLS = {each.name: str(each.verbose_name) for each in Symbol._meta.fields}
DONE = {"added": _("added"), "updated": _("updated"), "unchanged": _("unchanged")}


class LoadForm(forms.Form):
    """A file, or one that is kept since its preview, and the board for its symbols."""

    file = forms.FileField(
        label=_("File"),
        required=False,
        help_text=_(
            "CSV or JSON with the columns symbol, name, kind, exchange and currency, as “Save as "
            "CSV” and “Save as JSON” write it, with at most 20,000 rows. No symbol is deleted. If "
            "a row is invalid, nothing is changed."
        ),
    )
    kept = forms.IntegerField(required=False, widget=forms.HiddenInput)
    board = forms.ModelChoiceField(
        Board.objects.all(),
        label=_("Board"),
        required=False,
        empty_label=_("the board of each kind"),
        help_text=_("Symbols that are not on it yet are put at its end."),
    )

    def __init__(self, user: Any, *args: Any) -> None:
        super().__init__(*args)
        self.by = user.get_username()
        self.upload: Upload | None = None
        self.seen = ""  # the seal of the preview of this file
        self.found: Catalogue | None = None

    def clean(self) -> None:
        """Read the file and keep it; add all errors in it."""
        super().clean()
        if "file" not in self.errors and self._take() and self.upload:
            try:
                self.found = catalogue.read(BytesIO(self.upload.content))
            except InvalidCatalogue as error:
                self.forget()
                self.add_error("file", error.shown)

    def _take(self) -> bool:
        """Keep the file of this request, or find the one of the preview."""
        given, key = self.cleaned_data.get("file"), self.cleaned_data.get("kept")
        if given:
            content = given.read(MAX_BYTES + 1)  # one more, which is refused
            self.upload = Upload.keep(self.by, given.name, content)
        elif key:
            self.upload = Upload.of(self.by, key)
            self.seen = self.data.get("seal", "")
        if self.upload is None:
            gone = _("The file is no longer kept. Choose it again.")
            self.add_error("file", gone if key else _("Choose a file."))
        return self.upload is not None

    def forget(self) -> None:
        """Delete the kept file."""
        if self.upload:
            self.upload.delete()
        self.upload = None


class LoadView(View):
    """Choose a file, see what would be done with each row, and load it."""

    model_admin: Any = None

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Refuse users that may not add and change symbols one by one, or add boards."""
        super().setup(request, *args, **kwargs)
        rights = ("quotes.add_symbol", "quotes.change_symbol", "quotes.add_board")
        if not request.user.has_perms(rights):
            raise PermissionDenied

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the form."""
        return self._page(request, LoadForm(request.user))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Load the file, or show what that would do."""
        form = LoadForm(request.user, request.POST, request.FILES)
        if not form.is_valid() or form.found is None:
            return self._page(request, form)
        board, loads = form.cleaned_data["board"], "load" in request.POST
        slug = board.slug if board else ""
        try:
            with transaction.atomic():
                outcomes = catalogue.load(form.found.entries, slug, dry_run=not loads)
                if form.seen and loads and form.seen != seal(outcomes):
                    transaction.set_rollback(True)
                    loads = False
                    form.add_error(None, _("Other values would change now. Look again, then load."))
                if loads:
                    keep_history(outcomes, request.user)
        except InvalidCatalogue as error:
            form.add_error("file", error.shown)
            return self._page(request, form)
        if loads:
            form.forget()
        return self._page(request, form, outcomes, loaded=loads)

    def _page(
        self,
        request: HttpRequest,
        form: LoadForm,
        outcomes: list[Outcome] | None = None,
        *,
        loaded: bool = False,
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
            "loaded": loaded,
            "upload": form.upload,
            "summary": "" if outcomes is None else in_words(outcomes),
            "format": str(form.found.format) if form.found else "",
            "seal": seal(outcomes) if outcomes else "",
            "outcomes": [(each, DONE[each.done], texts(each)) for each in changing[:MAX_SHOWN]],
            "left_out": max(0, len(changing) - MAX_SHOWN),
        }
        return render(request, "quotes/admin/load.html", context)


def seal(outcomes: list[Outcome]) -> str:
    """Return what differs if a load would do something else than its preview has shown."""
    done = [(each.code, each.done, each.changes, each.board, each.filled) for each in outcomes]
    return sha256(repr(done).encode()).hexdigest()


def in_words(outcomes: list[Outcome]) -> str:
    """Return how many rows were added, updated and unchanged, and how many symbols were placed."""
    done = Counter(each.done for each in outcomes)
    placed = sum(bool(each.board) and each.done != "added" for each in outcomes)
    words = [f"{done[each]} {title}" for each, title in DONE.items()]
    if placed:
        words.append(ngettext("%d put on a board", "%d put on a board", placed) % placed)
    rows = ngettext("%d row", "%d rows", len(outcomes)) % len(outcomes)
    return f"{rows}: {', '.join(words)}"


def values(outcome: Outcome) -> Values:
    """Return what a row changes: each label, with the value before and after."""
    found = []
    for name, before, after in outcome.changes if outcome.done == "updated" else ():
        label = OF_SYMBOLS.get(name, name)  # or a provider, of which this is the code
        field: Any = Symbol._meta.get_field(name) if name in OF_SYMBOLS else CharField()
        shown = field.formfield()
        found.append([label, written(shown, before), written(shown, after)])
    return found


def texts(outcome: Outcome) -> list[str]:
    """Return what a row changes, in words."""
    return [
        gettext(FROM_TO) % {"field": capfirst(gettext(label)), "before": before, "after": after}
        for label, before, after in values(outcome)
    ]


def keep_history(outcomes: list[Outcome], user: Any) -> None:
    """Write into the history of each symbol and board what a file did with it."""
    placed: dict[str, list[str]] = defaultdict(list)
    entries = []
    for each in outcomes:
        if each.done != "unchanged":
            changed = values(each)
            fields = [label for label, *_ in changed]
            message = (
                {"changed": {"fields": fields, "values": changed}} if fields else {"added": {}}
            )
            entries.append(logged(each.symbol, json.dumps([message]), user, is_new=not fields))
        if each.board:
            placed[each.board].append(each.symbol.code)
    for board in Board.objects.filter(slug__in=placed):
        words = gettext("Added: %(codes)s.") % {"codes": listed(placed[board.slug])}
        entries.append(logged(board, words, user))
    LogEntry.objects.bulk_create(entries, batch_size=AT_ONCE)


def logged(row: Any, message: str, user: Any, *, is_new: bool = False) -> LogEntry:
    """Return an entry of the history of a row."""
    return LogEntry(
        user_id=user.pk,
        content_type=get_content_type_for_model(row),
        object_id=str(row.pk),
        object_repr=str(row)[:200],
        action_flag=ADDITION if is_new else CHANGE,
        change_message=message,
    )
