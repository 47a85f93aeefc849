"""What a load does with the rows of a file, in words."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from quotes.formats import grouped
from quotes.staff.facts import from_to
from quotes.staff.words import Values

DONE = {"added": _("added"), "updated": _("updated"), "unchanged": _("unchanged")}


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


def texts(changed: Values) -> list[str]:
    """Return what a row changes, in words."""
    return list(map(from_to, changed))
