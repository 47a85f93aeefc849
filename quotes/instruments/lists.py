"""Lists of instruments in the database: each is replaced as a whole, or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, transaction

from quotes import kinds
from quotes.codes import MAX_CODE, validate_text
from quotes.instruments.terms import as_term, pair_of, symbol_of, terms_of
from quotes.models import Instrument, InstrumentList, InstrumentTerm
from quotes.models.statements import parts
from quotes.models.symbols import no_larger_tick
from quotes.providers import Instrument as Listed
from quotes.providers import Provider, provider_class
from quotes.quote import utc_now
from quotes.quote.texts import one_line

MAX_INSTRUMENTS = 200_000  # of all providers
MAX_INVALID = 0.1  # of the rows of a list
MIN_KEPT = 0.5  # of the number of instruments in the list before
BATCH = 2000  # rows in one statement
RENEW_AFTER = timedelta(days=1)
TRY_AGAIN_AFTER = timedelta(hours=1)  # after a failure
CURRENCY = re.compile(r"[A-Z0-9]{2,10}")
ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")
FIELDS = (
    *("code", "symbol", "name", "kind", "exchange"),
    *("currency", "tick_size", "base", "isin"),
)

WRITE = """
INSERT INTO quotes_instrument
(provider, code, symbol, name, kind, exchange, currency, tick_size, base, isin)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
WRITE_TERM = """
INSERT INTO quotes_instrumentterm (term, weight, instrument_id) VALUES (%s, %s, %s)
"""

Row = tuple[str, str, str, str, str, str, Decimal | None, str, str]  # of FIELDS


class RefusedList(Exception):
    """Raised when a list can't be right as a whole, so that the one before is kept."""


def keeps_a_list(name: str) -> bool:
    """Return whether a provider lists its instruments; raise ValueError if it is unknown."""
    return provider_class(name).instruments is not Provider.instruments


def store(provider: str, listed: Sequence[Listed], *, shorter: bool = False) -> int:
    """Replace the list of a provider, and return the number of its instruments.

    Raise RefusedList, and change nothing, for a list that can't be right. One with less than half
    of the instruments of the list before is refused too, unless `shorter` allows it.
    """
    rows = valid_rows(listed)
    terms = {each.code: terms_of(each) for each in listed}  # before the database is locked
    others = Instrument.objects.exclude(provider=provider).count()
    if len(rows) + others > MAX_INSTRUMENTS:
        raise RefusedList(
            f"the list has {len(rows):,} instruments, and the others have {others:,}: "
            f"at most {MAX_INSTRUMENTS:,} are stored"
        )
    InstrumentList.objects.get_or_create(provider=provider)
    state = InstrumentList.objects.filter(provider=provider)
    with transaction.atomic(), connection.cursor() as cursor:
        # SQLite does not wait for another writer in a transaction that has read before
        state.update(tried_at=utc_now())
        before = stored(provider)
        if not shorter and len(rows) < len(before) * MIN_KEPT:
            raise RefusedList(
                f"the list has {len(rows):,} instruments, and the one before has {len(before):,}: "
                "keeping that one"
            )
        remove([pk for code, (pk, row) in before.items() if rows.get(code) != row])
        kept = {code for code, (_, row) in before.items() if rows.get(code) == row}
        add(cursor, provider, [row for code, row in rows.items() if code not in kept], terms)
        state.update(read_at=utc_now(), count=len(rows), error="")
    return len(rows)


def failed(provider: str, error: str) -> None:
    """Record why the list of a provider could not be read or was refused."""
    InstrumentList.objects.update_or_create(
        provider=provider, defaults={"tried_at": utc_now(), "error": one_line(error)}
    )


def due(names: Iterable[str]) -> list[str]:
    """Return those of some providers whose list is older than a day, and was not tried lately."""
    now = utc_now()
    known = InstrumentList.objects.in_bulk(list(names))

    def is_due(name: str) -> bool:
        state = known.get(name)
        if state is None or state.tried_at is None:
            return True
        waits = TRY_AGAIN_AFTER if state.error or state.read_at is None else RENEW_AFTER
        return now - state.tried_at >= waits

    return [name for name in names if keeps_a_list(name) and is_due(name)]


def valid_rows(listed: Sequence[Listed]) -> dict[str, Row]:
    """Return the valid instruments of a list by code; raise RefusedList if there are too few."""
    if not listed:
        raise RefusedList("the list is empty")
    rows = {row[0]: row for row in map(row_of, listed) if row}
    if len(rows) < len(listed) * (1 - MAX_INVALID):
        raise RefusedList(
            f"only {len(rows):,} of {len(listed):,} rows of the list are valid instruments"
        )
    return rows


def row_of(each: Listed) -> Row | None:
    """Return an instrument as it is stored, or None if it can't be one."""
    symbol, size = symbol_of(each), each.tick_size
    try:
        validate_text(each.code)
    except ValidationError:
        return None
    if not (each.code and symbol and len(each.code) <= MAX_CODE and each.kind in kinds.KINDS):
        return None
    if not CURRENCY.fullmatch(each.currency):
        return None
    pair = pair_of(each) if each.kind == "crypto" else None
    return (
        each.code,
        symbol,
        one_line(each.name, 100),
        each.kind,
        each.exchange[:30],
        each.currency,
        size if size is not None and 0 < size <= no_larger_tick.limit_value else None,
        pair[0] if pair else "",
        each.isin if ISIN.fullmatch(each.isin) else "",
    )


def stored(provider: str) -> Mapping[str, tuple[int, Row]]:
    """Return the key and the row of each stored instrument of a provider, by code."""
    found = Instrument.objects.filter(provider=provider).values_list("pk", *FIELDS)
    return {row[1]: (row[0], row[1:]) for row in found.iterator()}


def remove(keys: Sequence[int]) -> None:
    """Remove instruments with their terms."""
    for some in parts(keys, BATCH):
        InstrumentTerm.objects.filter(instrument__in=some).delete()
        Instrument.objects.filter(pk__in=some).delete()


def add(
    cursor: Any, provider: str, rows: Sequence[Row], terms: Mapping[str, Mapping[str, int]]
) -> None:
    """Add instruments with their terms. For 40,000 of them, `bulk_create` takes ten seconds."""
    size = FIELDS.index("tick_size")
    exact = Instrument._meta.get_field("tick_size").get_prep_value
    cursor.executemany(
        WRITE, [(provider, *row[:size], exact(row[size]), *row[size + 1 :]) for row in rows]
    )
    added = {row[0] for row in rows}
    keys = Instrument.objects.filter(provider=provider).values_list("code", "pk")
    cursor.executemany(
        WRITE_TERM,
        [
            (as_term(term), weight, pk)
            for code, pk in keys.iterator()
            if code in added
            for term, weight in terms[code].items()
        ],
    )
