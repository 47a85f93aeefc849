"""The journal: what changed, by number, so that a process reads only that.

The numbers are those of `FeedLease.changes`. If one is missing, too much changed at once, or it was
too long ago. Then everything is to be read.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import F

from quotes.live import lease
from quotes.models import Change, FeedLease

MAX_LISTED = 500  # things that changed at once; more are not listed
KEPT = 10_000  # rows
UNCOUNTED = 0  # the number of a mark: its transaction is committed, and not counted yet

Thing = tuple[Change.What, int]  # a symbol or a board with its key, or the hours with 0


@dataclass(frozen=True, slots=True)
class Changed:
    """What changed up to a number: the keys of symbols and boards, and whether hours did."""

    number: int
    symbols: set[int] = field(default_factory=set)
    boards: set[int] = field(default_factory=set)
    hours: bool = False


def mark(using: str) -> int:
    """Write a mark into an open transaction and return its key, for `enter` to delete.

    If the process ends before it calls `enter`, the mark shows the others that something changed.
    """
    row = Change(number=UNCOUNTED, what=Change.What.SYMBOL, key=0)
    row.save(using=using)
    return row.pk


def marks() -> set[int]:
    """Return the keys of the marks of committed transactions that are not counted yet."""
    return set(Change.objects.filter(number=UNCOUNTED).values_list("pk", flat=True))


def enter_lost(found: Collection[int]) -> None:
    """Count a change of everything, if these marks are still there."""
    with transaction.atomic():
        if Change.objects.filter(pk__in=found, number=UNCOUNTED).delete()[0]:
            enter(())


def enter(things: Collection[Thing], marked: int | None = None) -> None:
    """Count a change and list what it changed; without `things`, all processes read everything."""
    FeedLease.objects.get_or_create(pk=1)
    with transaction.atomic():
        # the row stays locked until the end, so that numbers are committed in their order
        FeedLease.objects.filter(pk=1).update(changes=F("changes") + 1)
        if 0 < len(things) <= MAX_LISTED:
            number = lease.changes()
            Change.objects.bulk_create(Change(number=number, what=w, key=key) for w, key in things)
        if marked is not None:
            Change.objects.filter(pk=marked).delete()
        oldest = Change.objects.order_by("-pk").values_list("number", flat=True)[KEPT:].first()
        if oldest is not None:
            Change.objects.filter(number__gt=UNCOUNTED, number__lte=oldest).delete()


def since(number: int) -> Changed | None:
    """Return what changed after a number; None if everything is to be read."""
    newest = lease.changes()
    rows = Change.objects.filter(number__gt=number, number__lte=newest)
    found = list(rows.values_list("number", "what", "key"))
    if newest - number != len({each for each, *_ in found}):
        return None
    return Changed(
        newest,
        {key for _, what, key in found if what == Change.What.SYMBOL},
        {key for _, what, key in found if what == Change.What.BOARD},
        any(what == Change.What.HOURS for _, what, _ in found),
    )
