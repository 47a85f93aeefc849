"""The places of symbols on boards, as rows of either form."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import Max, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from quotes.admin.labels import LabelledInlineRows
from quotes.models import BoardSymbol, Symbol

MAX_KEY = 18  # digits that every database can compare


class SymbolSelect(AutocompleteSelect):
    """A search for a symbol, with a text while it is empty."""

    def build_attrs(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return Django's attributes with our text in place of an empty one."""
        text = gettext("Choose a symbol")
        return super().build_attrs(*args, **kwargs) | {"data-placeholder": text}

    def optgroups(self, name: str, value: Any, attrs: Any = None) -> Any:
        """Return the chosen symbol. Django raises an error for a value that can't be a key."""
        keys = [each for each in value if each.isdecimal() and len(each) <= MAX_KEY]
        return super().optgroups(name, keys, attrs)


class PlacedSymbol(forms.TextInput):
    """A symbol that is already on the board, as text: it can't be changed."""

    def __init__(self, symbol: Symbol) -> None:
        super().__init__()
        self.symbol = symbol

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Return the symbol's code and name, with its key in a hidden input."""
        kept = '<input type="hidden" name="{}" value="{}">{} <span class="help">{}</span>'
        return format_html(kept, name, value, self.symbol.code, self.symbol.name)


class PlaceForm(forms.ModelForm):
    """The position of a symbol on a board, which is the last one unless it is given."""

    class Meta:
        help_texts: ClassVar = {
            "position": _(
                "A symbol with a lower position comes first. Without a position, a new symbol is "
                "the last one. When the board is saved, its symbols are numbered from 1."
            )
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance.pk:
            self.fields["position"].required = False
            self.fields["position"].initial = None
        elif "symbol" in self.fields:
            self.fields["symbol"].widget = PlacedSymbol(self.instance.symbol)

    def save(self, commit: bool = True) -> Any:
        """Save the place; a new one without a position follows the others of its board."""
        if self.cleaned_data["position"] is None:
            highest = self.instance.board.places.aggregate(highest=Max("position"))["highest"]
            self.instance.position = (highest or 0) + 1
        return super().save(commit)


class PlacesInline(admin.TabularInline):
    """Places of symbols on boards."""

    model = BoardSymbol
    form = PlaceForm
    formset = LabelledInlineRows
    template = "quotes/admin/tabular.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[BoardSymbol]:
        """Read the places together with their symbols and boards."""
        return super().get_queryset(request).select_related("symbol", "board")


class BoardsInline(PlacesInline):
    """The boards of a symbol."""

    extra = 1
    verbose_name = _("board")
    verbose_name_plural = _("boards")


class SymbolsInline(PlacesInline):
    """A board's symbols in order."""

    extra = 3
    max_num = 10_000  # Django's own limit is 1,000
    autocomplete_fields = ("symbol",)
    ordering = ("position", "pk")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """Return the field of the symbol with our search."""
        if db_field.name == "symbol":
            options["widget"] = SymbolSelect(db_field, self.admin_site)
        return super().formfield_for_foreignkey(db_field, request, **options)
