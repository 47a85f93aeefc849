"""The page of the admin that merges a symbol into another one, after a preview."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views import View

from quotes.admin.places import SymbolSelect
from quotes.models import BoardSymbol, Symbol
from quotes.staff.facts import fact_in_words
from quotes.staff.merging import Merger


class MergeForm(forms.Form):
    """The symbol that stays."""

    into = forms.ModelChoiceField(
        Symbol.objects.all(),
        label=_("Merge into"),
        error_messages={
            "invalid_choice": _("This symbol no longer exists. Choose another one."),
        },
    )

    def __init__(self, source: Symbol, site: admin.AdminSite, *args: Any) -> None:
        super().__init__(*args)
        self.source = source
        into: Any = self.fields["into"]
        into.widget = SymbolSelect(BoardSymbol._meta.get_field("symbol"), site)
        into.widget.choices = into.choices

    def clean_into(self) -> Symbol:
        """Return the symbol that stays; raise ValidationError if it can't take over the other."""
        target: Symbol = self.cleaned_data["into"]
        Merger(self.source, target).check()
        return target


class MergeView(View):
    """Choose the symbol that stays, read what will move, and confirm."""

    model_admin: Any = None

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Find the symbol; refuse users that may not change and delete it."""
        super().setup(request, *args, **kwargs)
        self.source = get_object_or_404(Symbol, pk=kwargs["pk"])
        may = (self.model_admin.has_change_permission, self.model_admin.has_delete_permission)
        if not all(allowed(request, self.source) for allowed in may):
            raise PermissionDenied

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the choice and, after it, the preview."""
        return self._page(request, self._form(request.GET if "into" in request.GET else None))

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Merge the symbols."""
        form = self._form(request.POST)
        if not form.is_valid():
            return self._page(request, form)
        target, code = form.cleaned_data["into"], self.source.code
        try:
            Merger(self.source, target).run()
        except ValidationError as error:  # another operator merged it before
            form.add_error("into", error)
            return self._page(request, form)
        fact = {"merged": {"source": code, "target": target.code}}
        self.model_admin.log_change(request, target, [fact])
        self.model_admin.message_user(request, fact_in_words(fact), messages.SUCCESS)
        return redirect("admin:quotes_symbol_change", target.pk)

    def _form(self, given: Any) -> MergeForm:
        return MergeForm(self.source, self.model_admin.admin_site, given)

    def _page(self, request: HttpRequest, form: MergeForm) -> HttpResponse:
        merger = None
        if form.is_bound and form.is_valid():
            merger = Merger(self.source, form.cleaned_data["into"])
        context = {
            **self.model_admin.admin_site.each_context(request),
            "title": gettext("Merge %(symbol)s into another symbol") % {"symbol": self.source},
            "opts": Symbol._meta,
            "source": self.source,
            "form": form,
            "merger": merger,
            "media": self.model_admin.media + form.media,
        }
        return render(request, "quotes/admin/merge.html", context)
