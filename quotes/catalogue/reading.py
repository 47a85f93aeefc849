"""Reading a catalogue: a CSV file of symbols, checked row by row."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from decimal import Decimal
from typing import TextIO

from django.core.exceptions import ValidationError
from django.db import models

from quotes.formats import counted
from quotes.models import ProviderSymbol, Symbol
from quotes.providers import REGISTRY
from quotes.quote import Unit, is_currency, price, unit_of

REQUIRED = ("symbol", "name", "kind", "exchange", "currency")
NUMBERS = ("tick_size", "start")
OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs"}
PROVIDERS = {  # column: provider
    "coingecko_id" if name == "coingecko" else name: name for name in REGISTRY
}


class InvalidCatalogue(Exception):
    """Raised when a catalogue can't be loaded; `errors` has one line of text for each error."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


@dataclass(slots=True)
class Entry:
    """A valid row of a catalogue."""

    line: int
    symbol: Symbol
    codes: dict[str, str]  # by provider


def read(file: TextIO) -> list[Entry]:
    """Read and check a CSV file; raise InvalidCatalogue with all errors and their line numbers."""
    try:
        return _read(csv.DictReader(file, strict=True))
    except UnicodeDecodeError as error:
        raise InvalidCatalogue([f"not UTF-8: {error.reason} at byte {error.start}"]) from error
    except csv.Error as error:
        raise InvalidCatalogue([f"not a CSV file: {error}"]) from error


def _read(rows: csv.DictReader[str]) -> list[Entry]:
    columns = rows.fieldnames or []
    for separator, named in OTHER_SEPARATORS.items():
        if len(columns) == 1 and separator in columns[0]:
            raise InvalidCatalogue(
                [f"line 1: the cells are separated by {named}, must be separated by commas"]
            )
    allowed = (*REQUIRED, *PROVIDERS, *NUMBERS)
    if missing := [name for name in REQUIRED if name not in columns]:
        required = ", ".join(REQUIRED)
        raise InvalidCatalogue(
            [f"line 1: column {missing[0]!r} is missing, the required columns are: {required}"]
        )
    if twice := [name for name in columns if columns.count(name) > 1]:
        raise InvalidCatalogue([f"line 1: column {twice[0]!r} appears twice"])
    if unknown := [name for name in columns if name not in allowed]:
        raise InvalidCatalogue(
            [f"line 1: unknown column {unknown[0]!r}, must be one of: {', '.join(allowed)}"]
        )
    entries: list[Entry] = []
    errors: list[str] = []
    lines: dict[str, int] = {}
    for row in rows:
        try:
            entry = _entry(rows.line_num, row)
            first = lines.setdefault(entry.symbol.code, entry.line)
            if first != entry.line:
                raise ValueError(f"symbol {entry.symbol.code!r} is already on line {first}")
            entries.append(entry)
        except ValueError as error:
            errors.append(f"line {rows.line_num}: {error}")
    if not entries and not errors:
        errors.append("the file has no rows below line 1")
    if errors:
        raise InvalidCatalogue(errors)
    return entries


def _entry(line: int, row: dict[str, str]) -> Entry:
    if None in row or None in row.values():
        count = sum(len(v) if isinstance(v, list) else v is not None for v in row.values())
        raise ValueError(f"has {counted(count, 'cell')}, must have as many as line 1")
    cells = {name: value.strip() for name, value in row.items()}
    if any("\0" in value for value in cells.values()):
        raise ValueError("contains a NUL character")
    given = cells["currency"]
    unit = unit_of(given) if is_currency(given) else Unit(given)  # the model names what it refuses
    symbol = Symbol(
        code=cells["symbol"],
        name=cells["name"],
        kind=cells["kind"],
        exchange=cells["exchange"],
        currency=unit.currency,
        tick_size=_number("tick_size", cells, unit),
        start=_number("start", cells, unit),
    )
    _check(symbol, {"code": "symbol"})
    codes = {}
    for column, provider in PROVIDERS.items():
        if code := cells.get(column):
            _check(ProviderSymbol(provider=provider, code=code), {"code": column})
            codes[provider] = code
    return Entry(line, symbol, codes)


def _number(name: str, cells: dict[str, str], unit: Unit) -> Decimal | None:
    if not (given := cells.get(name, "")):
        return None
    if (value := price(given)) is None:
        raise ValueError(f"{name} is {given!r}, must be a number above 0")
    return unit.convert(value)


def _check(row: models.Model, columns: dict[str, str]) -> None:
    """Raise ValueError with all errors of a row's fields, under the names of the file's columns."""
    try:
        row.clean_fields(exclude=["symbol"])  # a provider code has its symbol later
    except ValidationError as error:
        texts = error.message_dict
        if isinstance(row, Symbol) and "kind" in texts:
            kinds = ", ".join(Symbol.Kind.values)
            texts["kind"] = [f"{row.kind!r} is not a valid kind, must be one of: {kinds}"]
        raise ValueError(
            "; ".join(
                f"{columns.get(name, name)}: {' '.join(found).removesuffix('.')}"
                for name, found in texts.items()
            )
        ) from error
