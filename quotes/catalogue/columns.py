"""The columns of a catalogue, found by their names in the first row of a sheet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext, ngettext

from quotes.catalogue.sheet import Row, name_of
from quotes.catalogue.words import at_line, quoted
from quotes.formats import grouped
from quotes.models import Symbol
from quotes.providers import REGISTRY

FILLED = ("symbol", "name", "kind", "currency")  # in every row
REQUIRED = ("symbol", "name", "kind", "exchange", "currency")
NUMBERS = ("tick_size", "start")
STATES = ("stale_after", "active")
PROVIDERS = {  # column: provider
    "coingecko_id" if name == "coingecko" else name: name for name in REGISTRY
}
ALLOWED = (*REQUIRED, *PROVIDERS, *NUMBERS, *STATES)


@cache
def names() -> dict[str, str]:
    """Return the columns by all names that a file may use: ours, and those of the admin.

    The admin names the fields in each language of the site.
    """
    found = {name: name for name in ALLOWED}
    for language, column in product(dict(settings.LANGUAGES), (*REQUIRED, *NUMBERS, *STATES)):
        field: Any = Symbol._meta.get_field("code" if column == "symbol" else column)
        with translation.override(language):
            found |= {field.name: column, name_of(str(field.verbose_name)): column}
    return found


def column_of(heading: str) -> str:
    """Return the column with a heading, or the heading as a name if there is none."""
    name = name_of(heading)
    return names().get(name, name)


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a file: names in any case and order, and empty columns beside them."""

    header: Row
    places: dict[str, int]  # of columns with a name, in the order of the file

    @classmethod
    def of(cls, header: Row) -> Columns:
        """Find the columns in the first row."""
        named = ((column_of(cell), place) for place, cell in enumerate(header.cells))
        return cls(header, {name: place for name, place in named if name})

    def heading(self, name: str) -> str:
        """Return the name of a column as the file has it."""
        return self.header.cells[self.places[name]]

    def errors(self, rows: Iterable[Row]) -> Iterator[str]:
        """Yield all that is wrong with the first row, and with cells that have no column."""
        yield from (at_line(self.header.line, error) for error in self._names())
        unnamed = {place for place, cell in enumerate(self.header.cells) if not cell}
        for row in rows:
            for place in sorted(place for place in unnamed if row.cell(place)):
                unnamed.remove(place)
                words = gettext(
                    "%(cell)s is in column %(column)d, which has no name on line %(line)d"
                )
                named = {"cell": quoted(row.cell(place)), "column": place + 1}
                yield at_line(row.line, words % {**named, "line": self.header.line})

    def _names(self) -> Iterator[str]:
        if missing := [quoted(name) for name in REQUIRED if name not in self.places]:
            words = ngettext(
                "column %(missing)s is missing, the required columns are: %(required)s",
                "columns %(missing)s are missing, the required columns are: %(required)s",
                len(missing),
            )
            yield words % {"missing": ", ".join(missing), "required": ", ".join(REQUIRED)}
        for place, cell in enumerate(self.header.cells):
            name = column_of(cell)
            if name and name not in ALLOWED:
                words = gettext("unknown column %(column)s, must be one of: %(allowed)s")
                yield words % {"column": quoted(cell), "allowed": ", ".join(ALLOWED)}
            elif name and self.places[name] != place:
                other = self.heading(name)
                twice = gettext("column %(column)s appears twice")
                both = gettext("columns %(column)s and %(other)s are both the column %(name)s")
                words = twice if name_of(cell) == name_of(other) else both
                yield words % {"column": quoted(cell), "other": quoted(other), "name": name}

    def cells(self, row: Row) -> dict[str, str]:
        """Return the cells of a row by their columns; raise ValueError for too many or too few.

        Cells may be missing at the end, because Excel omits empty ones, and empty cells may follow.
        """
        count = max(place for place, cell in enumerate(row.cells, 1) if cell)
        if count > len(self.header.cells):
            raise self._miscounted(count)
        if len(row.cells) <= max(self.places[name] for name in FILLED):
            raise self._miscounted(len(row.cells))
        return {name: row.cell(place) for name, place in self.places.items()}

    def _miscounted(self, count: int) -> ValueError:
        words = ngettext(
            "has %(n)s cell, must have as many as line %(line)d",
            "has %(n)s cells, must have as many as line %(line)d",
            count,
        )
        return ValueError(words % {"n": grouped(count), "line": self.header.line})
