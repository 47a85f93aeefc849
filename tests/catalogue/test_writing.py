"""A written catalogue is read again as the same symbols, and no spreadsheet computes its cells."""

from __future__ import annotations

import csv
from decimal import Decimal
from io import BytesIO, StringIO
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from quotes import catalogue
from quotes.models import ProviderSymbol, Symbol
from tests.catalogue.test_reading import codes, prices, texts

FIELDS = ("code", "name", "kind", "exchange", "currency", "tick_size", "start")
names = (
    texts(30)
    | texts(29).map("=".__add__)
    | texts(29).map("'".__add__)
    | texts(28).map("'=".__add__)
)


@st.composite
def symbols(draw: st.DrawFn) -> Symbol:
    """Return a symbol with its provider codes, as it is read from the database."""
    symbol = Symbol(
        pk=1,
        code=draw(codes),
        name=draw(names),
        kind=draw(st.sampled_from(Symbol.Kind.values)),
        exchange=draw(st.just("") | texts(20)),
        currency=draw(st.sampled_from(["USD", "GBP", "USDT"])),
        tick_size=draw(st.none() | prices),
        start=draw(st.none() | st.decimals("0.00000001", "1e9", places=12).filter(bool)),
        stale_after=draw(st.none() | st.integers(1, 10**6)),
        active=draw(st.booleans()),
    )
    of_providers = draw(st.dictionaries(st.sampled_from(["kraken", "yahoo", "coingecko"]), codes))
    rows = [ProviderSymbol(provider=name, code=code) for name, code in of_providers.items()]
    symbol._prefetched_objects_cache = {"provider_symbols": Rows(rows)}  # type: ignore[attr-defined]
    return symbol


class Rows(list[Any]):
    """Rows that were read before."""

    def all(self) -> list[Any]:
        return self


listed = st.lists(symbols(), min_size=1, max_size=6, unique_by=lambda symbol: symbol.code)


def values(symbol: Symbol) -> list[Any]:
    return [getattr(symbol, name) for name in FIELDS]


@given(listed)
def test_what_was_written_is_read_as_the_same(written: list[Symbol]):
    content = catalogue.csv_of(written).encode("utf-8-sig")
    entries = catalogue.read(BytesIO(content)).entries
    assert [values(entry.symbol) for entry in entries] == [values(each) for each in written]
    for entry, symbol in zip(entries, written, strict=True):
        assert (entry.symbol.active, entry.symbol.stale_after) == (
            symbol.active,
            symbol.stale_after,
        )
        rows = symbol.provider_symbols.all()
        assert entry.codes == {row.provider: row.code for row in rows}


@given(listed)
def test_no_cell_is_a_formula(written: list[Symbol]):
    for row in csv.reader(StringIO(catalogue.csv_of(written))):
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)


def test_numbers_have_all_their_digits_and_no_exponent():
    tiny = Symbol(pk=1, code="SHIB-USD", name="Shiba", kind="crypto", currency="USD")
    tiny.tick_size, tiny.start = Decimal("0.000000010000"), Decimal("120000.000000000000")
    tiny._prefetched_objects_cache = {"provider_symbols": Rows()}  # type: ignore[attr-defined]
    header, row = csv.reader(StringIO(catalogue.csv_of([tiny])))
    cells = dict(zip(header, row, strict=True))
    assert (cells["tick_size"], cells["start"]) == ("0.00000001", "120000")
