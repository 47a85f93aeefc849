"""A file of renames: an old and a new code in each row, carried out completely or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import BinaryIO

from django.core.exceptions import ValidationError
from django.db import transaction

from quotes.catalogue.sheet import InvalidCatalogue, Row, name_of, open_sheet
from quotes.codes import MAX_CODE, code_of, validate_code
from quotes.formats import counted
from quotes.models import Alias, HistoryEntry, Symbol
from quotes.models.history import MAX_NAME, command, record
from quotes.providers import REGISTRY, provider_class
from quotes.quote import utc_now
from quotes.quote.texts import short
from quotes.staff import renaming

COLUMNS = ("old", "new", "date")  # the last one may be missing


@dataclass(frozen=True, slots=True)
class Rename:
    """A row of a file."""

    line: int
    old: str
    new: str
    until: date | None  # the first day without the old code


def read(file: BinaryIO) -> list[Rename]:
    """Read a CSV file with or without names of its columns.

    Raise InvalidCatalogue with all errors and their line numbers.
    """
    rows = open_sheet(file, COLUMNS).rows
    if tuple(map(name_of, rows[0].cells)) in (COLUMNS, COLUMNS[:2]):
        del rows[0]
    errors: list[str] = []
    renames: dict[str, Rename] = {}  # by the old code
    for row in rows:
        try:
            each = _rename(row, renames)
            renames[each.old] = each
        except ValueError as error:
            errors.append(f"line {row.line}: {error}")
    if errors or not rows:
        raise InvalidCatalogue(errors or ["the file has no rows"])
    return list(renames.values())


def carry_out(renames: list[Rename], file: str, *, codes: bool = False) -> Iterator[str]:
    """Rename the symbols in one transaction, and yield a line of text for each row.

    With `codes`, a provider's code that equals the old code is changed, too. Raise
    InvalidCatalogue with all errors, after which nothing was changed.
    """
    errors, done = [], []
    entries: list[HistoryEntry] = []
    with transaction.atomic():
        for each in renames:
            try:
                text, entry = _carry_out(each, codes=codes)
            except ValidationError as error:
                errors.append(f"line {each.line}: {' '.join(error.messages)}")
            else:
                done.append(f"line {each.line}: {text}")
                entries += [entry] if entry else []
        if errors:
            raise InvalidCatalogue(errors)
        batch = HistoryEntry(what=HistoryEntry.What.RENAMED, reason=file[:MAX_NAME])
        record(command("renamesymbols"), entries, batch)
    yield from done


def _rename(row: Row, before: Mapping[str, Rename]) -> Rename:
    cells = [cell for cell in row.cells if cell]
    if not 2 <= len(cells) <= len(COLUMNS):
        has = counted(len(cells), "cell")
        raise ValueError(f"has {has}, must have an old code, a new code and perhaps a date")
    old, new = map(code_of, cells[:2])
    if old == new:
        raise ValueError(f"{short(old)} is both codes: give the old one and the new one")
    if old in before:
        raise ValueError(f"{short(old)} is renamed on line {before[old].line} already")
    if new in before and before[new].new == old:
        line = before[new].line
        raise ValueError(f"{short(new)} got this code on line {line}: remove one of both")
    if len(new) > MAX_CODE:
        raise ValueError(f"{short(new)} has {len(new)} characters, must have at most {MAX_CODE}")
    try:
        validate_code(new)
    except ValidationError as error:
        raise ValueError(" ".join(error.messages)) from error
    return Rename(row.line, old, new, _day(cells[2]) if cells[2:] else None)


def _day(given: str) -> date:
    try:
        day = date.fromisoformat(given)
    except ValueError as error:
        words = f"{short(given)} is not a valid date, must be like 2026-11-30"
        raise ValueError(words) from error
    if day > utc_now().date():
        raise ValueError(f"{given} is in the future: load this row on that day")
    return day


def _carry_out(each: Rename, *, codes: bool) -> tuple[str, HistoryEntry | None]:
    """Return what was done, and its entry in the history, if something was."""
    symbol = Symbol.objects.filter(code=each.old).first()
    if symbol is None:
        if Alias.objects.filter(code=each.old, symbol__code=each.new).exists():
            return f"{each.old} is {each.new} already", None
        raise ValidationError(f"there is no symbol {short(each.old)}")
    renaming.rename(symbol, each.new, each.until)
    rows = symbol.provider_symbols.filter(code=each.old, provider__in=_real())
    equal = list(rows) if codes else []
    also = "".join(f", its code at {row.provider} too" for row in equal)
    changed = [(name, each.old, each.new) for name in ("symbol", *(row.provider for row in equal))]
    entry = HistoryEntry.of(symbol, changed)
    for row in equal:
        row.code = each.new
        row.save(update_fields=["code"])
    return f"{each.old} renamed to {each.new}{also}", entry


def _real() -> list[str]:
    """Return the providers of real prices: a renamed symbol keeps its simulated ones."""
    return [name for name in REGISTRY if not provider_class(name).invented]
