"""The former codes of a symbol, as rows of its form."""

from __future__ import annotations

from typing import ClassVar

from django.contrib import admin

from quotes.admin.code_field import CodeField
from quotes.admin.labels import LabelledInlineRows
from quotes.admin.meanwhile import MeanwhileForm
from quotes.models import Alias


class AliasForm(MeanwhileForm):
    """A former code."""

    class Meta:
        field_classes: ClassVar = {"code": CodeField}


class AliasInline(admin.TabularInline):
    """The former codes of a symbol, which lead to it."""

    model = Alias
    form = AliasForm
    formset = LabelledInlineRows
    template = "quotes/admin/tabular.html"
    extra = 0
