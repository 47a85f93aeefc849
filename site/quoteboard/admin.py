"""The admin of the site: its name, and its home page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib import admin
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext

from quotes.models import HistoryEntry, Symbol
from quotes.staff.history import Role, of_entry
from quotes.staff.state import verdicts

MAX_RECENT = 10  # actions


class Recent(NamedTuple):
    """What a user did, as the home page shows it."""

    at: datetime
    flag: int  # of Django's history
    name: str
    link: str
    what: str
    size: int = 0  # symbols that were changed at once


class QuoteboardAdmin(admin.AdminSite):
    """An admin without a sidebar, because its header leads to our models."""

    site_header = site_title = "Quoteboard"
    enable_nav_sidebar = False

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the apps with ours first, whose last entry is “All changes”."""
        apps = super().get_app_list(request, app_label)
        for app in apps:
            app["models"].sort(key=lambda model: model["object_name"] == "HistoryEntry")
        return sorted(apps, key=lambda app: app["app_label"] != "quotes")

    def index(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Show the home page, with the state of the prices for those who may see them."""
        may_see = self.get_model_admin(Symbol).has_view_permission(request)
        actions = [*one_by_one(request.user), *(at_once(request.user) if may_see else ())]
        context = {
            "verdicts": list(verdicts()) if may_see else [],
            "recent": sorted(actions, reverse=True)[:MAX_RECENT],
        }
        return super().index(request, context | (extra_context or {}))


def one_by_one(user: Any) -> Iterator[Recent]:
    """Yield the newest rows that a user changed with forms."""
    rows = LogEntry.objects.filter(user=user).select_related("content_type")
    for each in rows[:MAX_RECENT]:
        link = "" if each.is_deletion() else each.get_admin_url() or ""
        kind = each.content_type.name if each.content_type else gettext("Unknown content")
        yield Recent(each.action_time, each.action_flag, each.object_repr, link, capfirst(kind))


def at_once(user: Any) -> Iterator[Recent]:
    """Yield the newest changes of many symbols by a user: bulk changes, and loads of files."""
    flags: dict[str, int] = {HistoryEntry.What.ADDED: ADDITION, HistoryEntry.What.DELETED: DELETION}
    many = HistoryEntry.objects.filter(model="", name="").values("pk")  # by their index
    rows = HistoryEntry.objects.filter(pk__in=many, role=Role.USER, by=user.get_username())
    for each in rows.order_by("-pk")[:MAX_RECENT]:
        line = of_entry(each)
        link = reverse("admin:quotes_historyentry_change", args=[each.pk])
        yield Recent(line.at, flags.get(each.what, CHANGE), "", link, line.text, line.size)
