"""The places of a symbol on boards, as rows of its form."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from quotes.admin.labels import LabelledInlineRows
from quotes.admin.meanwhile import MeanwhileForm
from quotes.admin.parameters import key_of
from quotes.models import BoardSymbol


class SymbolSelect(AutocompleteSelect):
    """A search for a symbol, with a text while it is empty."""

    def build_attrs(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return Django's attributes with our text in place of an empty one."""
        text = gettext("Choose a symbol")
        return super().build_attrs(*args, **kwargs) | {"data-placeholder": text}

    def optgroups(self, name: str, value: Any, attrs: Any = None) -> Any:
        """Return the chosen symbol. Django raises an error for a value that can't be a key."""
        keys = [each for each in value if key_of(each)]
        return super().optgroups(name, keys, attrs)


class BoardsInline(admin.TabularInline):
    """The boards of a symbol."""

    model = BoardSymbol
    form = MeanwhileForm
    formset = LabelledInlineRows
    template = "quotes/admin/tabular.html"
    extra = 1
    verbose_name = _("board")
    verbose_name_plural = _("boards")

    def get_queryset(self, request: HttpRequest) -> QuerySet[BoardSymbol]:
        """Read the places together with their symbols and boards."""
        return super().get_queryset(request).select_related("symbol", "board")
