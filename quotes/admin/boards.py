"""Boards in the admin, and the order of their symbols."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _

from quotes.admin.lists import ListAdmin
from quotes.admin.places import SymbolsInline
from quotes.models import Board, BoardSymbol


@admin.register(Board)
class BoardAdmin(ListAdmin):
    """Boards with their symbols, and the order of both."""

    empty_text = _(
        "There are no boards yet. A board is a page that shows symbols in its own order."
    )
    list_display = ("title", "slug", "position", "size")
    list_editable = ("position",)
    search_fields = ("title", "slug")
    search_help_text = _("Title or slug")
    fields = ("title", "slug", "position")
    prepopulated_fields = {"slug": ("title",)}
    inlines = (SymbolsInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Board]:
        """Read the boards with their numbers of symbols."""
        boards: QuerySet[Board] = super().get_queryset(request)
        return boards.annotate(places_count=Count("places"))

    @admin.display(description=_("symbols"), ordering="places_count")
    def size(self, board: Any) -> str:
        """Return the number of the board's symbols."""
        return number_format(board.places_count, force_grouping=True)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Number the places from 1 again, so that the next edit can move one between others.

        A symbol that was given the position of another gets it: the others make room.
        """
        super().save_related(request, form, formsets, change)
        moved = {pk: way for formset in formsets for pk, way in moves(formset)}
        places = list(form.instance.places.order_by("position", "pk"))
        places.sort(key=lambda place: (place.position, moved.get(place.pk, 0)))
        for number, place in enumerate(places, start=1):
            place.position = number
        BoardSymbol.objects.bulk_update(places, ["position"])


def moves(formset: Any) -> Iterator[tuple[Any, int]]:
    """Yield the places that an operator moved: -1 if to the front, 1 if to the end of the board."""
    for form in formset.forms:
        if "position" in form.changed_data and form.instance.pk:
            before = form.initial.get("position")
            yield form.instance.pk, 1 if before and before < form.instance.position else -1
