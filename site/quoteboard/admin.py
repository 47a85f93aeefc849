"""The admin of the site: its name, and the order of its home page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest


class Site(admin.AdminSite):
    """An admin without a sidebar, because its header leads to our models."""

    site_header = site_title = "Quoteboard"
    enable_nav_sidebar = False

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the apps with ours first."""
        apps = super().get_app_list(request, app_label)
        return sorted(apps, key=lambda app: app["app_label"] != "quotes")


class SiteConfig(AdminConfig):
    """Django's admin, with the site above."""

    default_site = "quoteboard.admin.Site"
