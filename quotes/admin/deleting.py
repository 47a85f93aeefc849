"""What a deletion in the admin takes along, counted where it is too much to be listed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib.admin import AdminSite
from django.db import models
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.text import capfirst
from django.utils.translation import gettext

MAX_LISTED = 100  # lines
Taken = tuple[list[str], dict[str, int], set[str], list[str]]  # as `get_deleted_objects` returns it


def taken_along(objects: Any, request: HttpRequest, site: AdminSite) -> Taken | None:
    """Count the rows that would be deleted; return None if they are few enough to be listed.

    Django reads and formats each row, which takes seconds for a board of 5,000 symbols.
    """
    first = next(iter(objects[:1]), None)
    if first is None:
        return None
    rows = {type(first): len(objects)} | dict(_related(type(first), objects))
    if sum(rows.values()) <= MAX_LISTED:
        return None
    needed = {
        each._meta.verbose_name
        for each, count in rows.items()
        if count and site.is_registered(each)
        if not site.get_model_admin(each).has_delete_permission(request)
    }
    named = [f"{capfirst(first._meta.verbose_name)}: {each}" for each in objects[:MAX_LISTED]]
    if left := len(objects) - len(named):
        named.append(gettext("and %(count)s more") % {"count": number_format(left)})
    return named, {str(m._meta.verbose_name_plural): n for m, n in rows.items()}, needed, []


def _related(model: type[models.Model], objects: Any) -> Iterator[tuple[type[models.Model], int]]:
    """Yield the models whose rows are deleted with these, one level deep, and their numbers."""
    keys = [each.pk for each in objects]
    for relation in model._meta.related_objects:
        if relation.on_delete is models.CASCADE:
            rows = relation.related_model._default_manager
            yield (
                relation.related_model,
                rows.filter(**{f"{relation.field.name}__in": keys}).count(),
            )
