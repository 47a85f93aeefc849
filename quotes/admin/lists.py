"""Lists of the admin, which explain themselves while they are empty."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest

from quotes.admin.labels import LabelledRows


class ListAdmin(admin.ModelAdmin):
    """A model with our list. Its `search_help_text` is the label of the search."""

    change_list_template = "quotes/admin/change_list.html"
    empty_text: Any = ""  # shown while there is no row

    class Media:
        css: ClassVar = {"all": ("quotes/admin.css",)}

    def get_changelist_formset(self, request: HttpRequest, **options: Any) -> Any:
        """Return the formset of the list, with labels."""
        return super().get_changelist_formset(request, formset=LabelledRows, **options)
