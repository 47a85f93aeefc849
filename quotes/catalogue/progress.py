"""How far a file is read and loaded, and how that is cancelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from django.db.models import IntegerChoices
from django.utils.translation import gettext_lazy as _

AT_ONCE = 500  # rows in a statement, and between two reports

Row = TypeVar("Row")


class Step(IntegerChoices):
    """What is done with a file, in this order. A preview ends after the second step."""

    READ = 1, _("Reading the file")
    COMPARE = 2, _("Comparing the rows with the symbols")
    SYMBOLS = 3, _("Writing symbols")
    CODES = 4, _("Writing the codes of providers")
    PLACES = 5, _("Putting symbols on boards")
    HISTORY = 6, _("Writing the history")


Report = Callable[[Step, int, int], None]  # gets the rows that are done, and the number of all


class Cancelled(Exception):
    """Raised when a report stops the work. Nothing is changed then."""


def unseen(step: Step, done: int, of: int) -> None:
    """Report nothing."""


def in_parts(rows: Sequence[Row], step: Step, report: Report) -> Iterator[Sequence[Row]]:
    """Yield rows in parts, with a report before each part and after the last one."""
    for start in range(0, len(rows), AT_ONCE):
        report(step, start, len(rows))
        yield rows[start : start + AT_ONCE]
    report(step, len(rows), len(rows))
