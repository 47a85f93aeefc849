"""The former codes of a symbol, as rows of its form."""

from __future__ import annotations

from django.contrib import admin

from quotes.admin.labels import LabelledInlineRows
from quotes.models import Alias


class AliasInline(admin.TabularInline):
    """The former codes of a symbol, which lead to it."""

    model = Alias
    formset = LabelledInlineRows
    template = "quotes/admin/tabular.html"
    extra = 0
