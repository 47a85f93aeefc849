"""The list of recent loads of files, each with what came of it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from quotes.admin.lists import ReadOnlyAdmin
from quotes.admin.outcomes import summary
from quotes.models import Load
from quotes.models.loads import KEPT
from quotes.staff import loading

RIGHTS = ("quotes.add_symbol", "quotes.change_symbol", "quotes.add_board")


def may_load(user: Any) -> bool:
    """Return whether a user has the permissions to load files."""
    return bool(user.has_perms(RIGHTS))


def address(load: Load) -> str:
    """Return the address of the page of a load."""
    return reverse("admin:quotes_symbol_loaded", args=[load.pk])


@admin.register(Load)
class LoadAdmin(ReadOnlyAdmin):
    """The loads of the last month. The list of symbols and the page to load a file lead here."""

    empty_text = _("No file was loaded in the last 30 days.")
    change_list_template = "quotes/admin/loads_list.html"
    shows_times = True
    section = "Symbol"  # whose list leads to it
    list_display = ("file", "what", "at", "by")
    list_display_links = None
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[Load]:
        """Read the loads of a month without their rows."""
        loads: QuerySet[Load] = super().get_queryset(request)
        recent = loads.filter(at__gt=timezone.now() - KEPT, is_preview=False)
        return recent.defer("report")

    def get_urls(self) -> list[Any]:
        """Return the address of the list alone."""
        return [each for each in super().get_urls() if each.name == "quotes_load_changelist"]

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """Return no right, so that the home page has no entry for it."""
        return {}

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether somebody may load files."""
        return may_load(request.user)

    @admin.display(description=_("file"), ordering="name")
    def file(self, load: Load) -> SafeString:
        """Return the name of the file, which leads to its page."""
        return format_html('<a href="{}">{}</a>', address(load), load)

    @admin.display(description=_("what"))
    def what(self, load: Load) -> str:
        """Return what came of it."""
        if load.state == Load.State.DONE:
            return summary(load.counts)
        return str(loading.settled(load).get_state_display())
