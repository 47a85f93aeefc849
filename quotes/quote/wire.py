"""Quotes on the wire, between processes and in the database: written and read without loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from quotes.quote import PRICES, Quote
from quotes.quote.texts import short
from quotes.quote.values import MAX_MAGNITUDE, is_currency

NAN = Decimal("NaN")
MAX_WORD = 60  # characters of a text on the wire, such as a code
MAX_WHOLE = 2**63 - 1
FIELDS = tuple(field.name for field in fields(Quote))


def to_wire(quote: Quote) -> list[Any]:
    """Return the fields in order, as values that JSON and msgpack carry without loss."""
    return [_plain(getattr(quote, name)) for name in FIELDS]


def from_wire(values: list[Any]) -> Quote:
    """Return the quote that `to_wire` wrote; raise ValueError for any other values."""
    if len(values) != len(FIELDS):
        raise ValueError(f"a quote has {len(FIELDS)} fields on the wire, not {len(values)}")
    given = zip(FIELDS, READERS, values, strict=True)
    try:
        read: dict[str, Any] = {
            name: None if value is None and name not in NEEDED else reader(value)
            for name, reader, value in given
        }
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ValueError(f"invalid quote on the wire: {error}") from error
    return Quote(**read)


def _number(value: Any) -> Decimal:
    number = Decimal(value) if type(value) is str else NAN
    if not number.is_finite() or abs(number.adjusted()) > MAX_MAGNITUDE:
        raise ValueError(f"{short(value)} is not a valid price or amount")
    return number


def wire_time(value: Any) -> datetime:
    """Return a time on the wire; raise ValueError for one without a zone."""
    found = datetime.fromisoformat(value)
    if found.tzinfo is None:
        raise ValueError(f"{short(value)} has no time zone")
    return found


def _currency(value: Any) -> str:
    if not is_currency(value):
        raise ValueError(f"the currency is {short(value)}, must be 2 to 10 letters or digits")
    return str(value)


def wire_text(value: Any) -> str:
    """Return a text on the wire; raise ValueError unless it is short and on one line."""
    if not (isinstance(value, str) and len(value) <= MAX_WORD and value.isprintable()):
        raise ValueError(f"{short(value)} is not a text of up to {MAX_WORD} characters on one line")
    return value


def wire_count(value: Any) -> int:
    """Return a number on the wire that counts something; raise ValueError for another value."""
    if type(value) is not int or not 0 <= value <= MAX_WHOLE:
        raise ValueError(f"{short(value)} is not a whole number from 0 to {MAX_WHOLE}")
    return value


READER = {
    **dict.fromkeys(
        ("symbol", "provider", "reference_kind", "volume_window", "session"), wire_text
    ),
    "currency": _currency,
    **dict.fromkeys(PRICES, _number),
    **dict.fromkeys(("received_at", "source_time"), wire_time),
    **dict.fromkeys(("delay", "sequence"), wire_count),
}
READERS: tuple[Callable[[Any], Any], ...] = tuple(READER[name] for name in FIELDS)
NEEDED = ("symbol", "provider", "currency", "last", "received_at", "reference_kind")


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value
