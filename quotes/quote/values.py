"""Values as sources send them: numbers, units and times, read exactly or not at all."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import MAX_PREC, Context, Decimal, InvalidOperation
from typing import Any, NamedTuple

from quotes.quote.texts import short

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND, MILLISECOND = timedelta(seconds=1), timedelta(milliseconds=1)
NO_DATE = date(1, 1, 1)  # of an empty time in programs written in Go
NO_PRICE = Decimal(0)
NUMBERS = (str, int, Decimal)  # made once: `str | int | Decimal` would be made at each check
EXACT = Context(prec=MAX_PREC)  # rounds no digit away
MAX_MAGNITUDE = 30  # powers of ten from -30 to 30 are valid
FLOAT_DIGITS = 15  # significant digits that a binary float always keeps
NOISY = (16, 17)  # significant digits of a float that is written with its noise
MAX_MEANT = 12  # significant digits of a number that can safely be taken for the meant one


class Unit(NamedTuple):
    """The unit of a price: a currency, or a hundredth or thousandth of it."""

    currency: str  # ISO 4217 or a crypto code, in capitals
    power: int = 0  # a price is in ten to this power of the currency

    def convert(self, number: Decimal) -> Decimal:
        """Convert a number in this unit to the currency."""
        return number.scaleb(self.power, EXACT) if self.power else number


PENCE = "GBp"  # the only code that is another one, GBP, in capitals
MINOR_UNITS = {
    "GBX": Unit("GBP", -2),
    "ZAC": Unit("ZAR", -2),
    "ILA": Unit("ILS", -2),
    "USX": Unit("USD", -2),
    "KWF": Unit("KWD", -3),
}


def fraction(text: str) -> Decimal:
    """Return a fraction with all its digits, but without the noise of a binary float.

    The float 64250.119999999995 means 64250.12: rounded to 15 digits, it is much shorter.
    """
    number = Decimal(text)
    if len(text) <= FLOAT_DIGITS or (digits := len(number.as_tuple().digits)) not in NOISY:
        return number
    binary = float(number)
    meant = Decimal(f"{binary:.{FLOAT_DIGITS}g}")
    was_float = Decimal(f"{binary:.{digits}g}") == number != meant
    return meant if was_float and len(meant.as_tuple().digits) <= MAX_MEANT else number


JSON = json.JSONDecoder(parse_float=fraction)


def loads(raw: str | bytes) -> Any:
    """Parse JSON with every fraction as a Decimal, without the noise of binary floats.

    Raise ValueError for invalid JSON.
    """
    return JSON.decode(raw if isinstance(raw, str) else raw.decode(json.detect_encoding(raw)))


def decimal(value: Any) -> Decimal | None:
    """Return a number from a provider's JSON as a Decimal.

    Return None for anything else, and for numbers that no market reaches. A float is refused,
    because it has already lost digits: parse the JSON with `loads`.
    """
    if isinstance(value, bool) or not isinstance(value, NUMBERS):
        return None
    try:
        number = Decimal(value)
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() and abs(number.adjusted()) <= MAX_MAGNITUDE else None


def price(value: Any) -> Decimal | None:
    """Return a price from a provider's JSON; None for 0, a negative number, NaN and ""."""
    number = decimal(value)
    return number if number is not None and number > 0 else None


def last_price(value: Any) -> Decimal:
    """Return the last price from a provider's JSON, even if it is negative; 0 if not a number."""
    return decimal(value) or NO_PRICE


def amount(value: Any) -> Decimal | None:
    """Return a traded amount from a provider's JSON; None for negative numbers."""
    number = decimal(value)
    return number if number is not None and number >= 0 else None


def is_currency(given: Any) -> bool:
    """Return whether a value has the form of a currency's code."""
    return isinstance(given, str) and 2 <= len(given) <= 10 and given.isascii() and given.isalnum()


def unit_of(given: Any) -> Unit:
    """Return the unit with a source's code, in any case: USD, usdt, GBp, GBX, ZAc, ILA, USX, KWF.

    Raise ValueError for anything but 2 to 10 letters or digits.
    """
    if not is_currency(given):
        raise ValueError(f"has the currency {short(given)}, must be 2 to 10 letters or digits")
    code = given.upper()
    return MINOR_UNITS["GBX"] if given == PENCE else MINOR_UNITS.get(code) or Unit(code)


def since_1970(count: Any, unit: timedelta) -> datetime | None:
    """Return the time, in UTC, of a whole number of units since 1970; None for other values."""
    try:
        return EPOCH + count * unit if type(count) is int and count > 0 else None
    except OverflowError:
        return None


def utc(value: str | None) -> datetime | None:
    """Return an RFC 3339 time as aware UTC; None if it is invalid.

    Nanoseconds are cut off. A time without a zone is taken as UTC.
    """
    try:
        moment = datetime.fromisoformat(value or "")
        if moment.date() == NO_DATE:
            return None
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError):
        return None
