"""The pages of the admin that load symbols from a file, after a look at what would change."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views import View

from quotes.admin.loads import address, may_load
from quotes.admin.outcomes import DONE, summary, texts
from quotes.catalogue import Step
from quotes.catalogue.sheet import MAX_BYTES
from quotes.models import Board, Load, Symbol, Upload
from quotes.staff import loading
from quotes.staff.files import waiting, work_on
from quotes.staff.loading import Busy

State = Load.State
BUSY = _("Another file is being loaded. Wait for its end, then load this one.")


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
    seal = forms.SlugField(required=False, max_length=64, widget=forms.HiddenInput)
    board = forms.ModelChoiceField(
        Board.objects.all(),
        label=_("Board"),
        required=False,
        empty_label=_("the board of each kind"),
        help_text=_("Symbols that are not on it yet are put at its end."),
    )

    def __init__(self, user: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.by = user.get_username()
        self.upload: Upload | None = None
        self.seen = ""  # the seal of the preview of this file

    def clean(self) -> None:
        """Keep the file of this request, or find the one of the preview."""
        super().clean()
        if "file" in self.errors:
            return
        given, key = self.cleaned_data.get("file"), self.cleaned_data.get("kept")
        if given and "load" in self.data and loading.in_progress():
            raise forms.ValidationError(BUSY)  # before a write, for which SQLite would wait
        if given:
            content = given.read(MAX_BYTES + 1)  # one more, which is refused
            self.upload = Upload.keep(self.by, given.name, content)
        elif key and "seal" not in self.errors:  # only a forged one is invalid
            self.upload = Upload.of(self.by, key)
            self.seen = self.cleaned_data["seal"]
        if self.upload is None:
            gone = _("The file is no longer kept. Choose it again.")
            self.add_error("file", gone if key else _("Choose a file."))

    @property
    def slug(self) -> str:
        """The chosen board; empty for the board of each kind."""
        board = self.cleaned_data["board"]
        return board.slug if board else ""


class LoadPage(View):
    """A page for users that may load files."""

    model_admin: Any = None

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Refuse users without the permissions to load files."""
        super().setup(request, *args, **kwargs)
        if not may_load(request.user):
            raise PermissionDenied

    def page(
        self, request: HttpRequest, template: str, form: LoadForm, **more: Any
    ) -> HttpResponse:
        """Return a page."""
        context = {
            **self.model_admin.admin_site.each_context(request),
            "title": gettext("Load symbols from a file"),
            "opts": Symbol._meta,
            "form": form,
            "media": self.model_admin.media + form.media,
            "upload": form.upload,
            "seal": form.seen,
        }
        return render(request, template, {**context, **more})


class LoadView(LoadPage):
    """Choose a file, and load it or see what would be done with each row."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the form."""
        form = LoadForm(request.user)
        return self._form(request, form, waiting=waiting(form.by))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Begin to load the file, or to compare it, and redirect to the page of this load."""
        form = LoadForm(request.user, request.POST, request.FILES)
        if form.is_valid() and form.upload:
            work = partial(work_on, content=bytes(form.upload.content), user=request.user)
            chosen = {"by": form.by, "name": form.upload.name, "board": form.slug}
            chosen |= {"upload": form.upload, "seal": form.seen}
            is_preview = "load" not in request.POST
            try:
                return redirect(address(loading.begin(work, is_preview=is_preview, **chosen)))
            except Busy:
                form.add_error(None, BUSY)
        return self._form(request, form)

    def _form(self, request: HttpRequest, form: LoadForm, **more: Any) -> HttpResponse:
        more["other"] = loading.in_progress()
        return self.page(request, "quotes/admin/load.html", form, **more)


class LoadedView(LoadPage):
    """How far a load is, and what came of it. Another request cancels it."""

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Find the load; nobody sees previews of others."""
        super().setup(request, *args, **kwargs)
        self.by = request.user.get_username()
        mine = Q(by=self.by) | Q(is_preview=False)
        self.load = get_object_or_404(Load, mine, pk=kwargs["pk"])

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the progress, or the result. A page that shows the progress loads itself again."""
        load = loading.settled(self.load)
        form = LoadForm(
            request.user, initial={"board": Board.objects.filter(slug=load.board).first()}
        )
        if load.state == State.RUNNING:
            return self.page(request, "quotes/admin/load_progress.html", form, **progress(load))
        if "HX-Request" in request.headers:
            return HttpResponse(headers={"HX-Refresh": "true"})
        if load.upload_id:
            form.upload, form.seen = Upload.of(self.by, load.upload_id), load.seal
        return self.page(request, "quotes/admin/load.html", form, **result(load))

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Cancel the load, unless it has ended."""
        try:
            load = loading.cancel(loading.settled(self.load), self.by)
        except OperationalError:
            busy = gettext("The database is busy. Cancel again in some seconds.")
            messages.error(request, busy)
        else:
            if load.state == State.DONE:
                late = gettext("It is too late to cancel: “%(file)s” is loaded.") % {"file": load}
                messages.warning(request, late)
        return redirect(address(self.load))


def progress(load: Load) -> dict[str, Any]:
    """Return what the page of a load that is in progress shows."""
    steps = Step.COMPARE if load.is_preview else Step.HISTORY
    part = load.done / load.of if load.of else 0
    return {
        "load": load,
        "step": Step(load.step),
        "steps": int(steps),
        "percent": int(100 * (load.step - 1 + part) / steps),
    }


def result(load: Load) -> dict[str, Any]:
    """Return what the page of a load that has ended shows."""
    rows = load.report.get("rows", ())
    return {
        "load": load,
        "loaded": load.state == State.DONE,
        "why_not": why_not(load),
        "errors": load.report.get("errors", ()),
        "summary": summary(load.counts) if load.counts else "",
        "format": load.report.get("format", ""),
        "outcomes": [
            (line, code, DONE[done], texts(changed), board, filled)
            for line, code, done, changed, board, filled in rows
        ],
        "left_out": load.report.get("left_out", 0),
    }


def why_not(load: Load) -> str:
    """Return why a file was not loaded, or ""."""
    named = {"file": load, "user": load.cancelled_by}
    if load.state == State.CANCELLED:
        words = gettext("%(user)s cancelled “%(file)s”. Nothing was changed.")
    elif load.state == State.LOST:
        words = gettext(
            "“%(file)s” has no result, because the server that worked on it ended. Nothing was "
            "changed. Try again."
        )
    elif load.state == State.FAILED:
        words = gettext(
            "An unexpected error stopped the work on “%(file)s”. Nothing was changed. The log of "
            "the server has the error."
        )
    elif load.state == State.REFUSED and load.counts:
        words = gettext("Other values would change now. Look again, then load.")
    elif load.state == State.REFUSED:
        words = gettext("“%(file)s” can't be loaded. Nothing was changed.")
    else:
        return ""
    return words % named
