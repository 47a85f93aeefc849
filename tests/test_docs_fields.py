"""Tests of the tables in docs/providers.md: which value of which message sets which field.

An example message is changed value by value. The quote must change where the table of its source
names the value, and nowhere else.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import reduce

import pytest

from quotes.providers import REGISTRY
from quotes.quote import REFERENCE_KINDS, Quote
from tests.test_docs_providers import section
from tests.wire import EXAMPLES, GONE, LATER, NOW, Example, is_below, paths, value_at

FIELDS = {  # of a quote, by the rows of each table
    **{name: (name,) for name in ("last", "bid", "ask", "open", "high", "low")},
    "reference": ("reference", "reference_kind"),
    "volume": ("volume", "volume_window"),
    "time": ("source_time",),
    "session": ("session",),
    "delay": ("delay",),
}
WORDS = {  # that a quote itself may have, by field
    "reference": {*REFERENCE_KINDS},
    "volume": {"24h", "session"},
    "session": {"always"},
    "delay": {"0", "120", "900"},
}
ALL_WORDS = set().union(*WORDS.values())


class Cell:
    """The values of a message that set a field, and the words that the field then has."""

    def __init__(self, text: str) -> None:
        first, *more = re.split(r"\bwithout (?=it\b|`)", text)
        self.is_set = text != "—"
        self.is_plain = re.fullmatch(r"`[^`]+`( \(.*\))?", text) is not None
        self.words = {each for each in marked(text) if each in ALL_WORDS}
        self.names = [each for each in marked(first) if each not in ALL_WORDS]
        self.only_without: dict[str, str] = {}
        for part in more:
            names = [each for each in marked(part) if each not in ALL_WORDS]
            missing = self.names[-1] if part.startswith("it") else names.pop(0)
            self.only_without |= dict.fromkeys(names, missing)
            self.names += names

    def sets(self, path: str) -> bool:
        """Return whether the cell names the value at a path."""
        return any(is_below(path, name) for name in self.names)


def marked(text: str) -> list[str]:
    """Return the words that are marked as code."""
    return re.findall(r"`([^`]+)`", text)


def tables() -> dict[tuple[str, str], dict[str, Cell]]:
    """Return the cells of each table, by source and column, and then by field."""
    found: dict[tuple[str, str], dict[str, Cell]] = {}
    for part in section("What each field means").split("\n### ")[1:]:
        rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line[:1] == "|"]
        for name in marked(part.partition("\n")[0]):
            for number, column in enumerate(rows[0][2:], start=2):
                found[name, column] = {row[0]: Cell(row[number]) for row in rows[2:]}
    return found


TABLES = tables()
CELLS = pytest.mark.parametrize(
    ("cell", "field", "examples"),
    [
        pytest.param(cell, field, EXAMPLES[table], id="-".join((*table, field)))
        for table, cells in TABLES.items()
        for field, cell in cells.items()
    ],
)


def values(quote: Quote | None, field: str) -> list[object]:
    return [getattr(quote, name, None) for name in FIELDS[field]]


def moves(field: str, example: Example, path: str) -> bool:
    """Return whether a value of an example changes a field."""
    known = values(example.quote, field)
    return any(values(each.quote, field) != known for each in example.variants(path))


def test_every_provider_has_a_table_of_all_fields() -> None:
    assert {name for name, _ in TABLES} == REGISTRY.keys()
    assert TABLES.keys() == EXAMPLES.keys()
    assert all(list(cells) == list(FIELDS) for cells in TABLES.values())


@CELLS
def test_only_the_values_that_a_table_names_set_a_field(
    cell: Cell, field: str, examples: list[Example]
) -> None:
    bare = [each.put(name, GONE) for each in examples for name in cell.names]
    for example in examples + bare:
        found = {path for path in paths(example.message) if moves(field, example, path)}
        assert {path for path in found if not cell.sets(path)} == set()


@CELLS
def test_each_value_that_a_table_names_sets_its_field(
    cell: Cell, field: str, examples: list[Example]
) -> None:
    for path in cell.names:
        missing = cell.only_without.get(path)
        given = [each.put(missing, GONE) for each in examples] if missing else examples
        assert any(moves(field, each, path) for each in given), path


@CELLS
def test_a_single_value_is_the_field_itself(
    cell: Cell, field: str, examples: list[Example]
) -> None:
    for example in examples if cell.is_plain and cell.names else ():
        wire, found = value_at(example.message, cell.names[0]), values(example.quote, field)[0]
        if field == "time":
            assert (wire in LATER, found) == (True, NOW)
        else:
            assert found is None or found == Decimal(str(wire))


@CELLS
def test_without_the_values_that_a_table_names_a_field_is_unknown_or_as_before(
    cell: Cell, field: str, examples: list[Example]
) -> None:
    # protobuf leaves zeros out, so a frame of Yahoo without a session has the session 0
    for example in examples if cell.names and field != "session" else ():
        bare = reduce(lambda each, path: each.put(path, GONE), cell.names, example)
        found, before = (values(quote, field)[0] for quote in (bare.quote, example.before))
        assert found in (None, 0, before)


@CELLS
def test_a_field_without_an_entry_is_unknown(
    cell: Cell, field: str, examples: list[Example]
) -> None:
    for example in examples:
        if not cell.is_set and example.before is None:
            assert set(values(example.quote, field)) <= {None, "none"}


@CELLS
def test_a_field_has_the_words_of_its_table(
    cell: Cell, field: str, examples: list[Example]
) -> None:
    found = [values(each.quote, field) for each in examples]
    known = [each for each in found if each[0] is not None]
    assert known or not cell.is_set
    if cell.is_set and field in WORDS and not (cell.names and field == "delay"):
        assert cell.words == {str(each[-1]) for each in known} & WORDS[field]
