"""The groups of the staff, with permissions that other tests may have removed."""

from __future__ import annotations

from django.apps import apps
from django.contrib.auth.management import create_permissions

from quotes.staff import groups


def make_groups() -> list[str]:
    """Make the permissions and the groups that are missing."""
    create_permissions(apps.get_app_config("quotes"), verbosity=0)
    return groups.make_groups()
