"""Writing a catalogue: symbols as a CSV file, which can be loaded again."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from io import StringIO

from quotes import formats
from quotes.catalogue.columns import NUMBERS, PROVIDERS, REQUIRED, STATES
from quotes.catalogue.sheet import escaped
from quotes.models import Symbol

COLUMNS = (*REQUIRED, *STATES, *NUMBERS, *PROVIDERS)


def text_of(symbols: Iterable[Symbol]) -> str:
    """Return a file with these symbols and their codes.

    Prefetch their `provider_symbols`, else each symbol is a query. A text that a spreadsheet would
    take for a formula begins with an apostrophe, which is removed when the file is loaded.
    """
    file = StringIO(newline="")
    csv.writer(file).writerows([COLUMNS, *map(_row, symbols)])
    return file.getvalue()


def _row(symbol: Symbol) -> list[str]:
    codes = {row.provider: row.code for row in symbol.provider_symbols.all()}
    texts = (symbol.code, symbol.name, symbol.kind, symbol.exchange, symbol.currency)
    numbers = (getattr(symbol, name) for name in NUMBERS)
    return [
        *map(escaped, texts),
        "" if symbol.stale_after is None else str(symbol.stale_after),
        "yes" if symbol.active else "no",
        *("" if each is None else formats.plain(each.normalize()) for each in numbers),
        *(escaped(codes.get(provider, "")) for provider in PROVIDERS.values()),
    ]
