"""The page of the admin that adds, moves and removes symbols of a board."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.formats import time_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views import View

from quotes.admin.first_error import Fault, of_fields
from quotes.admin.history import moment
from quotes.codes import code_of, comparable
from quotes.models import Alias, Board, Symbol
from quotes.models.locks import lock
from quotes.rules import rule_of
from quotes.staff import filling
from quotes.staff.arranging import Edit, Place, arranged, places_of, save
from quotes.staff.history import Line, of_row
from quotes.staff.words import list_of

PAGE = 100  # rows
SHOWN = re.compile("([0-9]{1,18}):([0-9]{1,9})")  # the key of a symbol, and its number


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

    def summary(self) -> str:
        """Return what the operator changes, as sentences with the new numbers."""
        edit, codes = self.edit, {row.place.symbol: row.place.code for row in self.rows}
        codes |= {symbol.pk: symbol.code for symbol in self.add.cleaned_data["codes"]}
        numbers = {key: n for n, key in enumerate(arranged(self.places, edit), start=1)}
        parts = {
            gettext("Added: %(codes)s."): [f"{codes[key]} ({numbers[key]})" for key in edit.added],
            gettext("Moved: %(codes)s."): [f"{codes[key]} ({numbers[key]})" for key in edit.moved],
            gettext("Removed: %(codes)s."): [codes[key] for key in codes if key in edit.removed],
        }
        return " ".join(words % {"codes": list_of(each)} for words, each in parts.items() if each)


class ArrangeView(View):
    """The symbols of a board: search them, and add, move and remove several at once."""

    model_admin: Any = None

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Find the board, and what the user may do with its symbols."""
        super().setup(request, *args, **kwargs)
        self.board = get_object_or_404(Board, pk=kwargs["pk"])
        views, edits = self.model_admin.has_view_permission, self.model_admin.has_change_permission
        if not (views(request, self.board) and may(request, "view")):
            raise PermissionDenied
        arranges = edits(request) and not self.board.fills_itself
        rights = {"add": "add", "to": "change", "remove": "delete"} if arranges else {}
        self.fields = {name for name, right in rights.items() if may(request, right)}

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show a page of the board."""
        return self._page(request, self._arrangement(request))

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Save what was entered, unless it is invalid, or others have changed what it is about."""
        if not self.fields:
            raise PermissionDenied
        try:
            return self._save(request, pk)
        except IntegrityError:  # another save placed or deleted a symbol after the places were read
            return self._save(request, pk)

    def _save(self, request: HttpRequest, pk: int) -> HttpResponse:
        with transaction.atomic():
            # locked, so that nobody else saves this page after the places were read
            self.board = get_object_or_404(lock(Board.objects.all()), pk=pk)
            if self.board.fills_itself:
                raise PermissionDenied
            entered = self._arrangement(request, request.POST)
            changes = changes_since(self.board, request.POST, entered.places)
            valid = entered.is_valid()
            if valid and not changes and entered.edit:
                save(self.board, entered.places, entered.edit)
                self.model_admin.log_change(request, self.board, entered.summary())
                self.model_admin.message_user(request, entered.summary(), messages.SUCCESS)
        if valid and not changes:
            return redirect(request.get_full_path())
        return self._page(request, entered, changes)

    def _arrangement(self, request: HttpRequest, data: QueryDict | None = None) -> Arrangement:
        """Return the rows of a page, and those of other pages in which something was entered."""
        rule = rule_of(self.board)
        places = filling.places_of(rule) if rule else places_of(self.board)
        found = matching(places, request.GET.get("q", ""))
        page = Paginator(found, PAGE).get_page(request.GET.get("p"))
        visible = {place.symbol for place in page} | set(entered_in(data or {}))
        rows = [RowForm(data, each, self.fields) for each in places if each.symbol in visible]
        adds = data is None or "add" in self.fields
        return Arrangement(places, page, AddForm(data if adds else {}, places), rows)

    def _page(
        self, request: HttpRequest, arrangement: Arrangement, changes: Sequence[str] = ()
    ) -> HttpResponse:
        page = arrangement.page
        context = {
            **self.model_admin.admin_site.each_context(request),
            "title": gettext("Symbols on %(board)s") % {"board": self.board},
            "opts": Board._meta,
            "board": self.board,
            "arrangement": arrangement,
            "fields": self.fields,
            "changes": changes,
            "rule": filling.in_words(self.board) if self.board.fills_itself else (),
            "edits": self.model_admin.has_change_permission(request, self.board),
            "search": request.GET.get("q", ""),
            "numbers": page.paginator.get_elided_page_range(page.number),
            "newest": next((line.at.isoformat() for line in of_row(self.board)), ""),
            "media": self.model_admin.media,
        }
        return render(request, "quotes/admin/arrange.html", context)


def may(request: HttpRequest, action: str) -> bool:
    """Return whether the user may do this with the symbols of boards."""
    user: Any = request.user
    return bool(user.has_perm(f"quotes.{action}_boardsymbol"))


def matching(places: Sequence[Place], search: str) -> Sequence[Place]:
    """Return the places whose symbols have a text in their code or name."""
    text = comparable(search.strip())
    if not text:
        return places
    return [each for each in places if text in comparable(f"{each.code}\n{each.name}")]


def entered_in(data: Mapping[str, str]) -> Iterator[int]:
    """Yield the keys of the symbols in whose rows something was entered."""
    for key in shown_in(data):
        if data.get(f"{key}-to", "").strip() or f"{key}-remove" in data:
            yield key


def shown_in(data: Mapping[str, str]) -> dict[int, int]:
    """Return the symbols that a page showed, with their numbers."""
    return {int(key): int(number) for key, number in SHOWN.findall(data.get("shown", ""))}


def changes_since(board: Board, data: Mapping[str, str], places: Sequence[Place]) -> list[str]:
    """Return sentences about what others changed in the rows of a page since it was shown."""
    shown, numbers = shown_in(data), {place.symbol: place.number for place in places}
    if all(numbers.get(key) == number for key, number in shown.items()):
        return []
    seen = moment(data.get("newest", ""))
    lines = [line for line in reversed(of_row(board)) if seen is None or line.at > seen]
    found = list(map(sentence, lines))
    gone = Symbol.objects.filter(pk__in=shown.keys() - numbers.keys()).order_by("code")
    moved = [
        f"{place.code}: {shown[place.symbol]} → {place.number}"
        for place in places
        if shown.get(place.symbol, place.number) != place.number
    ]
    parts = {
        gettext("No longer on this board: %(codes)s."): [symbol.code for symbol in gone],
        gettext("Other numbers: %(codes)s."): moved,
    }
    return found + [words % {"codes": list_of(each)} for words, each in parts.items() if each]


def sentence(line: Line) -> str:
    """Return who did something, when, and what."""
    at = timezone.localtime(line.at)
    return f"{line.by}, {time_format(at, 'TIME_FORMAT')} {at.tzname()}: {line.text}"
