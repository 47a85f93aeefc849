"""The configuration of Django's admin."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class QuoteboardAdminConfig(AdminConfig):
    """Django's admin, with the site of `quoteboard.admin`."""

    default_site = "quoteboard.admin.QuoteboardAdmin"
