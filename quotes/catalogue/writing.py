"""Writing a catalogue: symbols as a CSV or JSON file, which can be loaded again."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from io import StringIO
from typing import Any

from quotes import formats
from quotes.catalogue.columns import NUMBERS, PROVIDERS, REQUIRED, STATES
from quotes.catalogue.sheet import escaped
from quotes.models import Symbol

COLUMNS = (*REQUIRED, *STATES, *NUMBERS, *PROVIDERS)


def csv_of(symbols: Iterable[Symbol]) -> str:
    """Return a CSV file with these symbols and their codes.

    Prefetch their `provider_symbols`, else each symbol is a query. A text that a spreadsheet would
    take for a formula begins with an apostrophe, which is removed when the file is loaded.
    """
    file = StringIO(newline="")
    rows = ([_cell(value) for value in _values(symbol)] for symbol in symbols)
    csv.writer(file).writerows([COLUMNS, *rows])
    return file.getvalue()


def json_of(symbols: Iterable[Symbol]) -> str:
    """Return the same as JSON, an object on each line. Prices are texts, so none is rounded."""
    rows = (dict(zip(COLUMNS, _values(symbol), strict=True)) for symbol in symbols)
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _values(symbol: Symbol) -> list[Any]:
    codes = {row.provider: row.code for row in symbol.provider_symbols.all()}
    texts = (symbol.code, symbol.name, symbol.kind, symbol.exchange, symbol.currency)
    numbers = (getattr(symbol, name) for name in NUMBERS)
    return [
        *texts,
        symbol.stale_after,
        symbol.active,
        *(None if each is None else formats.plain(each.normalize()) for each in numbers),
        *(codes.get(provider) for provider in PROVIDERS.values()),
    ]


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else escaped(str(value))
