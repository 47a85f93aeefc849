"""Rows: the values of a table or document of the operator, by the fields of a quote.

The operator's options map the columns of a source that the project does not know to the fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from quotes.providers import Instrument, ProviderError
from quotes.providers.kit.standing import Standing
from quotes.quote import EPOCH, MINOR_UNITS, Quote, amount, decimal, last_price, price, utc

PRICES = ("last", "bid", "ask", "open", "high", "low", "reference")
FIELDS = ("code", *PRICES, "volume", "time", "currency")
UNITS = {  # microseconds in the unit of a time since 1970, by the first number too large for it
    Decimal(10) ** 11: Decimal(10) ** 6,  # seconds, until the year 5138
    Decimal(10) ** 14: Decimal(10) ** 3,  # milliseconds, from 1973 on; then micro- and nanoseconds
    Decimal(10) ** 17: Decimal(1),
    Decimal(10) ** 20: Decimal(10) ** -3,
}
MAX_CHARACTERS = 40  # of a value in an error

Rows = Mapping[str, Mapping[str, Any]]  # by code


def read_rows(
    provider: str, rows: Rows, instruments: Sequence[Instrument], standing: Standing
) -> list[Quote]:
    """Turn rows into quotes; drop a code whose row is missing or invalid.

    Raise ProviderError if no row has a price: then the source has a fault, not a code.
    """
    quotes, now, reason = [], datetime.now(UTC), ""
    for instrument in instruments:
        try:
            quote = read_row(provider, rows.get(instrument.code), instrument, now)
        except ValueError as error:
            reason = f"{instrument.code} {error}"
            standing.drop(instrument.code, reason)
            continue
        standing.found(instrument.code)
        quotes.append(quote)
        reason = reason or f"{instrument.code} has no price: last is {quote.last:f}"
    if instruments and not any(quote.last > 0 for quote in quotes):
        raise ProviderError(f"{provider} has no price for any requested symbol: {reason}")
    return quotes


def read_row(
    provider: str, row: Mapping[str, Any] | None, instrument: Instrument, now: datetime
) -> Quote:
    """Turn a row into a quote; raise ValueError for an invalid price or time.

    Prices in pence and other hundredths become pounds. The kind of the instrument decides the
    kind of the reference, because a row does not contain it.
    """
    if row is None:
        raise ValueError("is not among the rows")
    currency, minor = read_currency(row.get("currency"), instrument)
    prices: dict[str, Any] = {name: price(row.get(name)) for name in PRICES}
    if decimal(given := row.get("last")) is None:
        raise ValueError(f"has no price: last is {shown(given)}")
    prices["last"] = last_price(given)
    if minor:
        prices = {name: value and value.scaleb(-2) for name, value in prices.items()}
    kind = "rolling_24h" if instrument.kind == "crypto" else "prev_close"
    return Quote(
        symbol=instrument.symbol,
        provider=provider,
        currency=currency,
        received_at=now,
        source_time=read_time(row.get("time")),
        reference_kind=kind if prices["reference"] else "none",
        volume=amount(row.get("volume")),
        **prices,
    )


def read_currency(given: Any, instrument: Instrument) -> tuple[str, bool]:
    """Return a currency in capitals, and whether prices are in hundredths of it: GBp, ZAc, ILA.

    A row without a currency has the instrument's.
    """
    unit = str(given or "").strip()
    if unit in MINOR_UNITS:
        return MINOR_UNITS[unit], True
    return unit.upper() or instrument.currency, False


def read_time(given: Any) -> datetime | None:
    """Return a time as aware UTC, None for an empty value; raise ValueError for an invalid one.

    It may be a datetime, RFC 3339, or a number of seconds, milliseconds, microseconds or
    nanoseconds since 1970; the size of the number shows which. A time without a zone is UTC.
    """
    if given is None or given == "":
        return None
    number = decimal(given)
    moment = utc(str(given)) if number is None else _since_1970(number)
    if moment is None:
        raise ValueError(
            f"has an invalid time: {shown(given)}, must be like 2026-11-23T12:00:00Z "
            "or a number since 1970"
        )
    return moment


def shown(value: Any) -> str:
    """Return the beginning of a value on one line, for an error."""
    return re.sub(r"\s+", " ", repr(value))[:MAX_CHARACTERS]


def _since_1970(number: Decimal) -> datetime | None:
    for limit, unit in UNITS.items():
        if 0 <= number < limit:
            return EPOCH + timedelta(microseconds=int(number * unit))
    return None
