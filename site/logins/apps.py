"""The configuration of the Django app."""

from __future__ import annotations

from django.apps import AppConfig


class LoginsConfig(AppConfig):
    """Limits of attempts to log in."""

    name = "logins"
    default_auto_field = "django.db.models.BigAutoField"
