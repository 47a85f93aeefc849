"""The page of the admin that adds, moves and removes symbols of a board."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.formats import time_format
from django.utils.translation import gettext
from django.views import View

from quotes.admin.arrangement import AddForm, Arrangement, RowForm
from quotes.admin.parameters import moment
from quotes.codes import comparable
from quotes.models import Board, Symbol
from quotes.models.locks import lock
from quotes.rules import rule_of
from quotes.staff import filling
from quotes.staff.arranging import Place, places_of, save
from quotes.staff.facts import fact_in_words
from quotes.staff.history import Line, of_row
from quotes.staff.words import list_of

PAGE = 100  # rows
SHOWN = re.compile("([0-9]{1,18}):([0-9]{1,9})")  # the key of a symbol, and its number


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
                fact = entered.summary()
                self.model_admin.log_change(request, self.board, [fact])
                self.model_admin.message_user(request, fact_in_words(fact), messages.SUCCESS)
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
