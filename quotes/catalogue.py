"""The catalogue: a CSV file of symbols, checked row by row and loaded completely or not at all."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TextIO

from django.core.exceptions import ValidationError
from django.db import models, transaction

from quotes.formats import counted
from quotes.models import Board, BoardSymbol, ProviderSymbol, Symbol
from quotes.providers import REGISTRY
from quotes.quote import Unit, is_currency, price, unit_of

STARTER = Path(__file__).with_name("catalogue.csv")
STARTER_BOARDS = {  # slug: title, kinds
    "crypto": ("Crypto", ("crypto",)),
    "stock-market": ("Stock market", ("stock", "etf", "index")),
}
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


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of loading one row."""

    line: int
    code: str
    done: str  # "added", "updated" or "unchanged"


@dataclass(slots=True)
class Known:
    """The symbols and provider codes in the database."""

    symbols: dict[str, Symbol] = field(default_factory=dict)
    codes: dict[tuple[int, str], ProviderSymbol] = field(default_factory=dict)


def read(file: TextIO) -> list[Entry]:
    """Read and check a CSV file; raise InvalidCatalogue with all errors and their line numbers."""
    try:
        return _read(csv.DictReader(file, strict=True))
    except UnicodeDecodeError as error:
        raise InvalidCatalogue([f"not UTF-8: {error.reason} at byte {error.start}"]) from error
    except csv.Error as error:
        raise InvalidCatalogue([f"not a CSV file: {error}"]) from error


def load(entries: list[Entry], board: str = "") -> Iterator[Outcome]:
    """Add and update symbols in one transaction, and put new ones at the end of a board.

    Nothing is deleted. A symbol that an operator switched off stays off. Without a board, each
    symbol is put on the starter board of its kind.
    """
    with transaction.atomic():
        known = Known(
            symbols={symbol.code: symbol for symbol in Symbol.objects.all()},
            codes={(row.symbol_id, row.provider): row for row in ProviderSymbol.objects.all()},
        )
        places = _places(board)
        for entry in entries:
            done = _save(entry, known)
            placed = places(known.symbols[entry.symbol.code])
            yield Outcome(
                entry.line,
                entry.symbol.code,
                "updated" if placed and done == "unchanged" else done,
            )


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


def _save(entry: Entry, known: Known) -> str:
    symbol = known.symbols.get(entry.symbol.code)
    if symbol is None:
        symbol = known.symbols[entry.symbol.code] = entry.symbol
        symbol.save()
        done = "added"
    else:
        done = "updated" if _update(symbol, entry.symbol) else "unchanged"
    for provider, code in entry.codes.items():
        if _save_code(symbol, provider, code, known) and done == "unchanged":
            done = "updated"
    return done


def _update(symbol: Symbol, given: Symbol) -> bool:
    names = ["name", "kind", "exchange", "currency"]
    # an empty cell changes nothing, so a tick size from a provider stays
    names += [name for name in NUMBERS if getattr(given, name) is not None]
    changed = [name for name in names if getattr(symbol, name) != getattr(given, name)]
    for name in changed:
        setattr(symbol, name, getattr(given, name))
    if changed:
        symbol.save(update_fields=changed)
    return bool(changed)


def _save_code(symbol: Symbol, provider: str, code: str, known: Known) -> bool:
    row = known.codes.get((symbol.pk, provider))
    if row is not None and row.code == code:
        return False
    row = row or ProviderSymbol(symbol=symbol, provider=provider)
    row.code = code
    row.save()
    return True


def _places(board: str) -> Callable[[Symbol], bool]:
    """Return a function that puts a symbol on its board, and returns whether that is new."""
    boards: dict[str, tuple[Board, dict[int, int]]] = {}

    def find(slug: str, title: str) -> tuple[Board, dict[int, int]]:
        if slug not in boards:
            found, _ = Board.objects.get_or_create(
                slug=slug, defaults={"title": title, "position": Board.objects.count()}
            )
            boards[slug] = (found, dict(found.places.values_list("symbol_id", "position")))
        return boards[slug]

    def place(symbol: Symbol) -> bool:
        slug = board or next(s for s, (_, kinds) in STARTER_BOARDS.items() if symbol.kind in kinds)
        title = STARTER_BOARDS[slug][0] if slug in STARTER_BOARDS else slug.replace("-", " ")
        found, there = find(slug, title[:1].upper() + title[1:])
        if symbol.pk in there:
            return False
        there[symbol.pk] = max(there.values(), default=0) + 1
        BoardSymbol.objects.create(board=found, symbol=symbol, position=there[symbol.pk])
        return True

    return place
