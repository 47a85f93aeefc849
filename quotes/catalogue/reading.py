"""Reading a catalogue: a CSV or JSON file of symbols, checked row by row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import chain
from typing import BinaryIO
from unicodedata import normalize

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from quotes.catalogue import decimals
from quotes.catalogue.columns import NUMBERS, PROVIDERS, Columns, names
from quotes.catalogue.objects import is_json, read_objects
from quotes.catalogue.progress import Report, Step, in_parts, unseen
from quotes.catalogue.sheet import Format, InvalidCatalogue, Row, read_text, sheet_of
from quotes.catalogue.words import at_line, quoted
from quotes.codes import invisible
from quotes.formats import counted, grouped
from quotes.models import ProviderSymbol, Symbol
from quotes.quote.values import Unit, is_currency, unit_of

MAX_CELL = 200  # characters
FAILED_FORMULA = re.compile(r"#(?:[\w/]+[!?]|N/A|NV)|Err:\d{3}")
MONTHS = "Jan|Feb|Mar|Mär|Apr|May|Mai|Jun|Jul|Aug|Sep|Oct|Okt|Nov|Dec|Dez"
SECONDS = re.compile(r"[1-9][0-9]{0,8}")
YES_OR_NO = {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False}
REPLACEMENTS = {  # of codes in cells that are not formatted as text
    re.compile(r"\d(?:[.,]\d+)?E[+-]\d\d+"): _(
        "%(cell)s is a number that a spreadsheet made of a code: format the column as text, and "
        "type the code again"
    ),
    re.compile(
        r"\d{4}-\d\d-\d\d|\d{1,2}([./])\d{1,2}\1\d{2,4}"
        rf"|\d{{1,2}}[-. ]+(?:{MONTHS})|(?:{MONTHS})[- ]\d\d"
    ): _(
        "%(cell)s is a date that a spreadsheet made of a code: format the column as text, and "
        "type the code again"
    ),
}


@dataclass(slots=True)
class Entry:
    """A valid row of a catalogue."""

    line: int
    symbol: Symbol
    given: tuple[str, ...]  # names of the fields that the row sets
    codes: dict[str, str]  # by provider


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A valid file. As text: “UTF-16, semicolons, decimal comma, 12 rows”."""

    format: Format
    entries: list[Entry]

    def __str__(self) -> str:
        return f"{self.format}, {counted(len(self.entries), 'row')}"


def read(file: BinaryIO, report: Report = unseen) -> Catalogue:
    """Read and check a file; raise InvalidCatalogue with all errors and their line numbers.

    An error that `report` raises ends the reading.
    """
    text, encoding = read_text(file)
    as_json = is_json(text)
    sheet = read_objects(text, encoding) if as_json else sheet_of(text, encoding, names())
    header, *rows = sheet.rows
    columns = Columns.of(header)
    if errors := list(columns.errors(rows)):
        raise InvalidCatalogue(errors, sheet.format)
    if not rows:
        words = gettext("the file has no rows below line %(line)d") % {"line": header.line}
        raise InvalidCatalogue([words], sheet.format)
    mark = "" if as_json else _mark(rows, columns)
    found = replace(sheet.format, mark=mark)
    # numbers between commas have a decimal point, unless one of them shows a comma
    point = "." if as_json or found.separator == "," else ""
    entries, errors = _entries(rows, columns, mark or point, report)
    if errors:
        raise InvalidCatalogue(errors, found)
    return Catalogue(found, entries)


def _mark(rows: list[Row], columns: Columns) -> str:
    numbers = [columns.places[name] for name in NUMBERS if name in columns.places]
    return decimals.mark_of(row.cell(place) for row in rows for place in numbers)


def _entries(
    rows: list[Row], columns: Columns, mark: str, report: Report
) -> tuple[list[Entry], list[str]]:
    entries: list[Entry] = []
    errors: list[str] = []
    lines: dict[str, int] = {}
    for row in chain.from_iterable(in_parts(rows, Step.READ, report)):
        found = []
        try:
            entries.append(_entry(row, columns, mark))
        except ValueError as error:
            found.append(str(error))
        code = normalize("NFC", row.cell(columns.places["symbol"]))
        if code and (first := lines.setdefault(code, row.line)) != row.line:
            words = gettext("symbol %(code)s is already on line %(line)d")
            found.append(words % {"code": quoted(code), "line": first})
        errors += [at_line(row.line, "; ".join(found))] if found else []
    return entries, errors


def _entry(row: Row, columns: Columns, mark: str) -> Entry:
    """Return the entry of a row; raise ValueError with all errors, under the file's own names."""
    cells = columns.cells(row)
    named = cells["currency"]
    unit = unit_of(named) if is_currency(named) else Unit(named)  # the model names what it refuses
    numbers, errors = _numbers(cells, unit, mark)
    states, wrong = _states(cells)
    errors |= wrong
    symbol = Symbol(
        code=normalize("NFC", cells["symbol"]),
        name=cells["name"],
        kind=cells["kind"].lower(),  # spreadsheets capitalise the first letter of a cell
        exchange=cells["exchange"],
        currency=unit.currency,
        **numbers,
        **states,
    )
    given = ("name", "kind", "exchange", "currency", *numbers, *states)
    codes = {column: cells[column] for column in PROVIDERS if cells.get(column)}
    errors |= _invalid(symbol, {"code": "symbol"})
    for column, code in codes.items():
        errors |= _invalid(ProviderSymbol(provider=PROVIDERS[column], code=code), {"code": column})
    errors |= dict(_damaged(cells))
    if errors:
        places = sorted(errors, key=columns.places.__getitem__)
        raise ValueError("; ".join(f"{columns.heading(name)}: {errors[name]}" for name in places))
    by_provider = {PROVIDERS[column]: code for column, code in codes.items()}
    return Entry(row.line, symbol, given, by_provider)


def _numbers(
    cells: Mapping[str, str], unit: Unit, mark: str
) -> tuple[dict[str, Decimal], dict[str, str]]:
    """Return the numbers of a row in the currency, and the errors, by column."""
    numbers: dict[str, Decimal] = {}
    errors: dict[str, str] = {}
    for name in NUMBERS:
        if given := cells.get(name):
            try:
                numbers[name] = unit.convert(decimals.number(given, mark))
            except ValueError as error:
                errors[name] = str(error)
    return numbers, errors


def _states(cells: Mapping[str, str]) -> tuple[dict[str, int | bool], dict[str, str]]:
    """Return the other values of a row that are not texts, and the errors, by column."""
    found: dict[str, int | bool] = {}
    errors: dict[str, str] = {}
    if given := cells.get("stale_after"):
        if SECONDS.fullmatch(given):
            found["stale_after"] = int(given)
        else:
            words = gettext("%(given)s is invalid, must be whole seconds above 0")
            errors["stale_after"] = words % {"given": quoted(given)}
    if given := cells.get("active"):
        if given.lower() in YES_OR_NO:
            found["active"] = YES_OR_NO[given.lower()]
        else:
            words = gettext("%(given)s is invalid, must be one of: %(allowed)s")
            errors["active"] = words % {"given": quoted(given), "allowed": ", ".join(YES_OR_NO)}
    return found, errors


def _damaged(cells: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the columns whose cells hold no text that a person typed, with an error."""
    for name, cell in cells.items():
        if len(cell) > MAX_CELL:
            words = gettext("has %(n)s characters, must have at most %(most)d")
            yield name, words % {"n": grouped(len(cell)), "most": MAX_CELL}
        elif FAILED_FORMULA.fullmatch(cell):
            words = gettext("%(cell)s is the error of a formula: type the text in its place")
            yield name, words % {"cell": quoted(cell)}
        elif name != "name" and (hidden := invisible(cell)):
            words = gettext("remove the invisible character %(character)s")
            yield name, words % {"character": f"U+{ord(hidden):04X}"}
        elif (name == "symbol" or name in PROVIDERS) and (words := _replacement(cell)):
            yield name, words % {"cell": quoted(cell)}


def _replacement(cell: str) -> str:
    return next((str(words) for form, words in REPLACEMENTS.items() if form.fullmatch(cell)), "")


def _invalid(row: models.Model, columns: Mapping[str, str]) -> dict[str, str]:
    """Return the errors of a row's fields, by the columns of a catalogue."""
    try:
        row.clean_fields(exclude=["symbol"])  # a provider code has its symbol later
    except ValidationError as error:
        texts = error.message_dict
        if isinstance(row, Symbol) and "kind" in texts:
            words = gettext("%(kind)s is not a valid kind, must be one of: %(kinds)s")
            kinds = ", ".join(Symbol.Kind.values)
            texts["kind"] = [words % {"kind": quoted(row.kind), "kinds": kinds}]
        return {
            columns.get(name, name): " ".join(found).removesuffix(".")
            for name, found in texts.items()
        }
    return {}
