"""The page of the admin that loads symbols from a file, after a look at what would change."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from io import BytesIO
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views import View

from quotes import catalogue
from quotes.catalogue import Catalogue, InvalidCatalogue, Outcome
from quotes.catalogue.sheet import MAX_BYTES
from quotes.models import Board, Symbol, Upload
from quotes.models.history import user_of
from quotes.staff.history import from_to
from quotes.staff.loading import keep_history, values

MAX_SHOWN = 500  # rows of the file
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
                if loads and form.upload:
                    keep_history(outcomes, user_of(request.user), form.upload.name)
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


def texts(outcome: Outcome) -> list[str]:
    """Return what a row changes, in words."""
    return list(map(from_to, values(outcome)))
