"""What a file does with symbols and boards: values, counts, and entries of the history."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

from django.db.models import CharField
from django.utils.translation import override

from quotes.catalogue import Outcome, Report, Step, in_parts
from quotes.models import Board, HistoryEntry, Symbol
from quotes.models.history import MAX_NAME, Author, record
from quotes.staff.words import Values, few, kept

What = HistoryEntry.What
with override(None):  # as Django does: labels are translated when they are read
    OF_SYMBOLS = {each.name: str(each.verbose_name) for each in Symbol._meta.fields}


def values(outcome: Outcome) -> Values:
    """Return what a row changes: each label, with the value before and after."""
    found = []
    for name, before, after in outcome.changes if outcome.done == "updated" else ():
        label = OF_SYMBOLS.get(name, name)  # another name is a provider, and its value a code
        field: Any = Symbol._meta.get_field(name) if name in OF_SYMBOLS else CharField()
        shown = field.formfield()
        found.append([label, kept(shown, before), kept(shown, after)])
    return found


def counts_of(outcomes: Sequence[Outcome]) -> Counter[str]:
    """Return the numbers of rows by what was done, and of known symbols that are new on a board."""
    counts = Counter(each.done for each in outcomes)
    counts["placed"] = sum(bool(each.board) and each.done != "added" for each in outcomes)
    return counts


def keep_history(outcomes: Sequence[Outcome], by: Author, file: str, report: Report) -> None:
    """Write into the history of each symbol and board what a file did with it."""
    placed: dict[str, list[str]] = defaultdict(list)
    entries = []
    for each in outcomes:
        if each.done != "unchanged":
            what = What.ADDED if each.done == "added" else What.CHANGED
            entries.append(HistoryEntry.of(each.symbol, values(each), what))
        if each.board:
            placed[each.board].append(each.symbol.code)
    entries += [
        HistoryEntry.of(board, [{"placed": {"added": few(placed[board.slug])}}])
        for board in Board.objects.filter(slug__in=placed)
    ]
    batch = HistoryEntry(what=What.LOADED, reason=file[:MAX_NAME])
    record(by, entries, batch, partial(in_parts, step=Step.HISTORY, report=report))
