"""The list of recent bulk changes, each with its undo."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views import View

from quotes.admin.bulk import MAX_SHOWN, PERMISSIONS, rows
from quotes.admin.lists import ReadOnlyAdmin
from quotes.models import BulkChange, Symbol
from quotes.models.bulk import KEPT
from quotes.staff.bulk import ASPECTS, Action, Refused, Undo, too_late
from quotes.staff.words import list_of


class UndoView(View):
    """What the undo of a bulk change would change back, and its confirmation."""

    model_admin: Any = None

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Find the bulk change; refuse users that may not do it themselves."""
        super().setup(request, *args, **kwargs)
        self.done = get_object_or_404(BulkChange, pk=kwargs["pk"])
        if not self.model_admin.may_undo(request, self.done):
            raise PermissionDenied

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show what would be changed back."""
        undo = Undo(self.done) if self.done.undoable else None
        shown = undo.restored[:MAX_SHOWN] if undo else []
        context = {
            **self.model_admin.admin_site.each_context(request),
            "title": gettext("Undo “%(change)s”") % {"change": self.done},
            "opts": Symbol._meta,
            "media": self.model_admin.media,
            "done": self.done,
            "undo": undo,
            "label": gettext(ASPECTS[self.done.action].label),
            "shown": rows(undo, shown) if undo else [],
            "left_out": len(undo.restored) - len(shown) if undo else 0,
            "left": list_of(undo.left) if undo else "",
            "refusal": "" if undo else too_late(self.done),
        }
        return render(request, "quotes/admin/undo.html", context)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Change the symbols back."""
        try:
            undo = Undo.carry_out(pk, request.user)
        except Refused as refusal:
            self.model_admin.message_user(request, str(refusal), messages.ERROR)
            return redirect("admin:quotes_bulkchange_changelist")
        count = len(undo.restored)
        text = ngettext("%d symbol is as before.", "%d symbols are as before.", count) % count
        self.model_admin.message_user(request, text, messages.SUCCESS)
        if undo.left:
            text = gettext("Changed or deleted since then, and left as they are: %(codes)s.")
            codes = {"codes": list_of(undo.left)}
            self.model_admin.message_user(request, text % codes, messages.WARNING)
        return redirect("admin:quotes_bulkchange_changelist")


@admin.register(BulkChange)
class BulkChangeAdmin(ReadOnlyAdmin):
    """The bulk changes of the last month, each with its undo. The list of symbols leads to it."""

    empty_text = _(
        "No symbols were changed in bulk in the last 30 days. Choose symbols in their list, and "
        "then an action."
    )
    change_list_template = "quotes/admin/bulk_list.html"
    section = "Symbol"  # whose list leads to it
    list_display_links = None
    shows_times = True
    fields = ("at", "by", "action", "detail", "count", "undone_at", "undone_by")
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[BulkChange]:
        """Read the changes of a month without the states of their symbols, which may be large."""
        changes: QuerySet[BulkChange] = super().get_queryset(request)
        return changes.filter(at__gt=timezone.now() - KEPT).defer("symbols")

    def get_urls(self) -> list[Any]:
        """Return the address of the list, and those of the undos."""
        undo = self.admin_site.admin_view(UndoView.as_view(model_admin=self))
        return [path("<int:pk>/undo/", undo, name="quotes_bulkchange_undo"), *super().get_urls()]

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """Return no right, so that the home page has no entry for it."""
        return {}

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether somebody may see symbols."""
        return bool(self._symbols.has_view_permission(request))

    def may_undo(self, request: HttpRequest, done: BulkChange) -> bool:
        """Return whether somebody may do what an undo does."""
        allowed = getattr(self._symbols, f"has_{PERMISSIONS[Action(done.action)]}_permission")
        return bool(allowed(request))

    @property
    def _symbols(self) -> Any:
        return self.admin_site.get_model_admin(Symbol)

    def get_list_display(self, request: HttpRequest) -> Any:
        """Return the columns. One leads to the undo, for users that may do it."""

        @admin.display(description=_("Undo"))
        def undo(done: BulkChange) -> str:
            return self._undo(request, done)

        return ("what", "size", undo, "at", "by")  # the undo is in sight on a phone

    def _undo(self, request: HttpRequest, done: BulkChange) -> str:
        if done.undone_at:
            at = date_format(timezone.localtime(done.undone_at), "DATETIME_FORMAT")
            named = {"user": done.undone_by, "at": at}
            return gettext("undone by %(user)s, %(at)s") % named
        if not done.undoable or not self.may_undo(request, done):
            return ""
        link = reverse("admin:quotes_bulkchange_undo", args=[done.pk])
        label = gettext("Undo “%(change)s”") % {"change": done}
        html = '<a href="{}" aria-label="{}">{}</a>'
        return format_html(html, link, label, gettext("Undo"))

    @admin.display(description=_("symbols"), ordering="count")
    def size(self, done: BulkChange) -> str:
        """Return the number of symbols, which leads to them."""
        number = number_format(done.count, force_grouping=True)
        if not done.history_id:
            return number
        words = ngettext("%(n)s symbol", "%(n)s symbols", done.count) % {"n": number}
        link = reverse("admin:quotes_historyentry_change", args=[done.history_id])
        return format_html('<a href="{}" aria-label="{}: {}">{}</a>', link, words, done, number)

    @admin.display(description=_("what"))
    def what(self, done: BulkChange) -> str:
        """Return what was done."""
        return str(done)
