"""The admin of the site: its name, and the order of its home page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from quotes.models import Symbol
from quotes.staff.state import verdicts


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
        context = {"verdicts": list(verdicts()) if may_see else []}
        return super().index(request, context | (extra_context or {}))
