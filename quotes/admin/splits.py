"""The splits of a symbol, as rows of its form."""

from __future__ import annotations

from django.contrib import admin

from quotes.admin.labels import LabelledInlineRows
from quotes.models import Split


class SplitInline(admin.TabularInline):
    """The splits of a symbol, which its charts mark."""

    model = Split
    formset = LabelledInlineRows
    template = "quotes/admin/tabular.html"
    extra = 0
