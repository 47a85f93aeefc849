"""What a load does with each row of a file: on a page, and as a seal."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from quotes.catalogue import Outcome
from quotes.formats import grouped
from quotes.staff.facts import from_to
from quotes.staff.outcomes import values
from quotes.staff.words import Values

MAX_SHOWN = 500  # rows of the file
DONE = {"added": _("added"), "updated": _("updated"), "unchanged": _("unchanged")}


def seal(outcomes: list[Outcome]) -> str:
    """Return a text that is another one if a load would change something else."""
    done = [(each.code, each.done, each.changes, each.board, each.filled) for each in outcomes]
    return sha256(repr(done).encode()).hexdigest()


def summary(counts: dict[str, int]) -> str:
    """Return how many rows were added, updated and unchanged, and how many symbols were placed."""
    done = {each: counts.get(each, 0) for each in DONE}
    words = [f"{grouped(done[each])} {title}" for each, title in DONE.items()]
    if placed := counts.get("placed", 0):
        put = ngettext("%(n)s put on a board", "%(n)s put on a board", placed)
        words.append(put % {"n": grouped(placed)})
    total = sum(done.values())
    rows = ngettext("%(n)s row", "%(n)s rows", total) % {"n": grouped(total)}
    return f"{rows}: {', '.join(words)}"


def described(outcomes: list[Outcome]) -> dict[str, Any]:
    """Return the rows that change something, as a page shows them in any language."""
    changing = [each for each in outcomes if each.done != "unchanged" or each.board or each.filled]
    rows = [
        [each.line, each.code, each.done, values(each), each.board, each.filled]
        for each in changing[:MAX_SHOWN]
    ]
    return {"rows": rows, "left_out": max(0, len(changing) - MAX_SHOWN)}


def texts(changed: Values) -> list[str]:
    """Return what a row changes, in words."""
    return list(map(from_to, changed))
