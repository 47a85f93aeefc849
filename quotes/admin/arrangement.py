"""What an operator enters on the page with the symbols of a board."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from quotes.admin.first_error import Fault, of_fields
from quotes.codes import code_of
from quotes.models import Alias, Symbol
from quotes.staff.arranging import Edit, Place, arranged
from quotes.staff.facts import Fact
from quotes.staff.words import few, list_of


class AddForm(forms.Form):
    """The codes of symbols to add to a board, and the symbol before them."""

    codes = forms.CharField(
        label=_("Add symbols"),
        required=False,
        max_length=10_000,
        widget=forms.Textarea({"rows": 2, "spellcheck": "false", "autocapitalize": "off"}),
        help_text=_("Codes with spaces or commas between them, such as BTC-USD, ETH-USD."),
    )
    after = forms.CharField(
        label=_("After"),
        required=False,
        max_length=100,
        widget=forms.TextInput({"spellcheck": "false", "autocomplete": "off"}),
        help_text=_(
            "The code of a symbol on the board. Without a code, new symbols become the last ones."
        ),
    )

    def __init__(self, data: Any, places: Sequence[Place]) -> None:
        super().__init__(data)
        self.places = {place.symbol: place for place in places}

    def clean_codes(self) -> list[Symbol]:
        """Return the symbols; raise ValidationError for those that are unknown or already there."""
        text = self.cleaned_data["codes"]
        known = symbols_with(text)
        found = {known.get(code, code): code for code in codes_in(text, known)}
        if unknown := [each for each in found if isinstance(each, str)]:
            words = gettext(
                "Unknown: %(codes)s. Nothing was saved. Correct these codes, or first add the "
                "symbols at “Symbols”."
            )
            raise forms.ValidationError(words % {"codes": list_of(unknown)})
        symbols = [each for each in found if isinstance(each, Symbol)]
        there = [self.places[each.pk] for each in symbols if each.pk in self.places]
        if there:
            words = gettext(
                "Already on the board: %(codes)s. Nothing was saved. Remove these codes here. To "
                "move a symbol, use “Move to” in its row."
            )
            named = [f"{place.code} ({place.number})" for place in there]
            raise forms.ValidationError(words % {"codes": list_of(named)})
        return symbols

    def clean_after(self) -> int | None:
        """Return the key of the symbol before the new ones."""
        if not (text := self.cleaned_data["after"]):
            return None
        symbol = symbols_with(text).get(code_of(text))
        if symbol is None or symbol.pk not in self.places:
            words = gettext(
                "“%(code)s” is not on this board. Enter the code of a symbol on it, or nothing."
            )
            raise forms.ValidationError(words % {"code": text})
        return symbol.pk


def symbols_with(text: str) -> dict[str, Symbol]:
    """Return the symbols that a text may name, by these names: current codes or former ones."""
    parts = re.split("[,\n]", text)
    names = {code_of(each) for part in parts for each in (part, *part.split())}
    former = Alias.objects.filter(code__in=names).select_related("symbol")
    current = Symbol.objects.filter(code__in=names)
    return {row.code: row.symbol for row in former} | {row.code: row for row in current}


def codes_in(text: str, known: Collection[str]) -> Iterator[str]:
    """Yield the codes in a text. Those that have a space themselves end with a comma or a line."""
    for part in re.split("[,\n]", text):
        whole = code_of(part)
        yield from [whole] if whole in known else map(code_of, part.split())


class RowForm(forms.Form):
    """What to do with a symbol on a board."""

    to = forms.IntegerField(
        required=False,
        min_value=1,
        error_messages={
            "invalid": _("Enter a whole number from 1."),
            "min_value": _("Enter a whole number from 1."),
        },
    )
    remove = forms.BooleanField(required=False)

    def __init__(self, data: Any, place: Place, fields: Collection[str]) -> None:
        super().__init__(data, prefix=str(place.symbol))
        self.place = place
        labels = {"to": gettext("Move to: %(code)s"), "remove": gettext("Remove: %(code)s")}
        for name, label in labels.items():
            if name in fields:
                self.fields[name].widget.attrs["aria-label"] = label % {"code": place.code}
            else:
                del self.fields[name]


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A board as its page shows it, with what an operator has entered."""

    places: list[Place]
    page: Any  # of a Paginator
    add: AddForm
    rows: list[RowForm]

    @property
    def shown(self) -> str:
        """The symbols of the rows with their numbers, to recognize a change that others make."""
        return " ".join(f"{row.place.symbol}:{row.place.number}" for row in self.rows)

    @property
    def edit(self) -> Edit:
        """What the operator changes, in valid forms."""
        entered = {row.place.symbol: row.cleaned_data for row in self.rows}
        removed = frozenset(key for key, data in entered.items() if data.get("remove"))
        moved = {key: data["to"] for key, data in entered.items() if data.get("to")}
        return Edit(
            {key: number for key, number in moved.items() if key not in removed},
            removed,
            [symbol.pk for symbol in self.add.cleaned_data["codes"]],
            self.add.cleaned_data["after"],
        )

    @property
    def first_error(self) -> Fault | None:
        """The first error of all fields."""
        return next((fault for form in (self.add, *self.rows) for fault in of_fields(form)), None)

    def is_valid(self) -> bool:
        """Return whether all that was entered can be saved. Errors are in the forms."""
        if any([form.errors for form in (self.add, *self.rows)]):  # noqa: C419 - each is cleaned
            return False
        if self.add.cleaned_data["after"] in self.edit.removed:
            text = gettext("This symbol is removed at the same time. Enter another one.")
            self.add.add_error("after", text)
        return not self.add.errors

    def summary(self) -> Fact:
        """Return what the operator changes, with the new numbers."""
        edit, codes = self.edit, {row.place.symbol: row.place.code for row in self.rows}
        codes |= {symbol.pk: symbol.code for symbol in self.add.cleaned_data["codes"]}
        numbers = {key: n for n, key in enumerate(arranged(self.places, edit), start=1)}
        parts = {
            "added": [f"{codes[key]} ({numbers[key]})" for key in edit.added],
            "moved": [f"{codes[key]} ({numbers[key]})" for key in edit.moved],
            "removed": [codes[key] for key in codes if key in edit.removed],
        }
        return {"placed": {kind: few(each) for kind, each in parts.items() if each}}
