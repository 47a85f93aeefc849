"""Arranging a board: its symbols are added, moved and removed, in few statements for any number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Case, F, IntegerField, Q, When

from quotes.live import changes
from quotes.models import Board, BoardSymbol

MAX_RUNS = 500


class Place(NamedTuple):
    """A symbol on a board, and the number that it has there: 1 for the first one."""

    number: int
    pk: int
    position: int  # it differs from the number after a symbol before it was deleted
    symbol: int
    code: str
    name: str
    active: bool


@dataclass(frozen=True, slots=True)
class Edit:
    """What an operator changes on a board; symbols are named by their keys."""

    moved: Mapping[int, int] = field(default_factory=dict)  # to a number
    removed: frozenset[int] = frozenset()
    added: Sequence[int] = ()
    after: int | None = None  # the symbol before the added ones; they are the last ones without it

    def __bool__(self) -> bool:
        return bool(self.moved or self.removed or self.added)


class Run(NamedTuple):
    """Places that follow each other, whose positions change by the same number."""

    change: int
    until: Q  # up to its last place


def places_of(board: Board) -> list[Place]:
    """Return the places on a board, in its order."""
    names = ("pk", "position", "symbol", "symbol__code", "symbol__name", "symbol__active")
    rows = board.places.order_by("position", "pk").values_list(*names)
    return [Place(number, *row) for number, row in enumerate(rows, start=1)]


def arranged(places: Sequence[Place], edit: Edit) -> list[int]:
    """Return the symbols of a board in their new order.

    A symbol that is moved to a number gets it: the others make room.
    """
    there = [place.symbol for place in places if place.symbol not in edit.removed]
    order = [symbol for symbol in there if symbol not in edit.moved]
    moved = [symbol for symbol in there if symbol in edit.moved]
    index = -1
    for symbol in sorted(moved, key=edit.moved.__getitem__):
        index = min(max(edit.moved[symbol] - 1, index + 1), len(order))
        order.insert(index, symbol)
    end = len(order) if edit.after is None else order.index(edit.after) + 1
    return [*order[:end], *edit.added, *order[end:]]


@transaction.atomic
def save(board: Board, places: Sequence[Place], edit: Edit) -> None:
    """Write what an edit changes on a board with these places, and number them from 1."""
    numbers = {symbol: number for number, symbol in enumerate(arranged(places, edit), start=1)}
    board.places.filter(symbol__in=edit.removed).delete()
    renumber(board, [place for place in places if place.symbol in numbers], numbers)
    BoardSymbol.objects.bulk_create(
        BoardSymbol(board=board, symbol_id=symbol, position=numbers[symbol])
        for symbol in edit.added
    )
    changes.changed(Board, board, DEFAULT_DB_ALIAS)  # the statements above send no signals


def renumber(board: Board, places: Sequence[Place], numbers: Mapping[int, int]) -> None:
    """Write the numbers of symbols as their positions: those of all runs in one statement."""
    found = list(runs(places, numbers))
    if len(found) > MAX_RUNS:  # only after many equal positions: each row would try each run
        rows = [BoardSymbol(pk=each.pk, position=numbers[each.symbol]) for each in places]
        BoardSymbol.objects.bulk_update(rows, ["position"], batch_size=500)
    elif any(run.change for run in found):
        # the first condition that holds counts, so each run needs only its end
        ways = [When(run.until, then=F("position") + run.change) for run in found]
        positions = Case(*ways, default=F("position"), output_field=IntegerField())
        board.places.update(position=positions)


def runs(places: Sequence[Place], numbers: Mapping[int, int]) -> Iterator[Run]:
    """Yield the runs of places, in their former order."""
    for change, run in groupby(places, lambda place: numbers[place.symbol] - place.position):
        *_, last = run
        equal = Q(position=last.position, pk__lte=last.pk)
        yield Run(change, equal | Q(position__lt=last.position))
