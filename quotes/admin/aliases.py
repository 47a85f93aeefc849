"""The codes of a symbol: fields for them, and its former ones as rows of its form."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin

from quotes.admin.labels import LabelledInlineRows
from quotes.codes import code_of
from quotes.models import Alias


class CodeField(forms.CharField):
    """A code of a symbol, which may be typed with small letters."""

    def to_python(self, value: Any) -> str:
        """Return the code as it is written: with capital letters."""
        return code_of(super().to_python(value) or "")


class AliasForm(forms.ModelForm):
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
