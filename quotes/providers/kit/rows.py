"""Rows: what a table or a document of somebody's own says, under the names of a quote's fields.

For sources that the project does not know: the operator says which value is which.
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
UNITS = {  # microseconds in what a number below each of these counts since 1970
    Decimal(10) ** 11: Decimal(10) ** 6,  # seconds, until the year 5138
    Decimal(10) ** 14: Decimal(10) ** 3,  # milliseconds, from 1973 on; then micro-, nanoseconds
    Decimal(10) ** 17: Decimal(1),
    Decimal(10) ** 20: Decimal(10) ** -3,
}
MAX_CHARACTERS = 40  # characters of a value that an error quotes

Rows = Mapping[str, Mapping[str, Any]]  # by code


def read_rows(
    provider: str, rows: Rows, instruments: Sequence[Instrument], standing: Standing
) -> list[Quote]:
    """Turn rows into quotes; drop a code whose row is missing or of no use.

    Raise ProviderError where no row at all has a price: then it is the source that is wrong.
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
        raise ProviderError(f"{provider} has none of the prices that were asked: {reason}")
    return quotes


def read_row(
    provider: str, row: Mapping[str, Any] | None, instrument: Instrument, now: datetime
) -> Quote:
    """Turn a row into a quote; raise ValueError for a price that is no number, a time that is none.

    Prices in pence and the like become pounds. What a reference is, only the kind can tell.
    """
    if row is None:
        raise ValueError("is not among the rows")
    currency, minor = read_currency(row.get("currency"), instrument)
    told: dict[str, Any] = {name: price(row.get(name)) for name in PRICES}
    if decimal(given := row.get("last")) is None:
        raise ValueError(f"has no price: last is {said(given)}")
    told["last"] = last_price(given)
    if minor:
        told = {name: value and value.scaleb(-2) for name, value in told.items()}
    kind = "rolling_24h" if instrument.kind == "crypto" else "prev_close"
    return Quote(
        symbol=instrument.symbol,
        provider=provider,
        currency=currency,
        received_at=now,
        source_time=read_time(row.get("time")),
        reference_kind=kind if told["reference"] else "none",
        volume=amount(row.get("volume")),
        **told,
    )


def read_currency(given: Any, instrument: Instrument) -> tuple[str, bool]:
    """Return a currency in capitals, and whether prices are in hundredths of it: GBp, ZAc, ILA.

    Where the row tells none, it is the instrument's.
    """
    told = str(given or "").strip()
    if told in MINOR_UNITS:
        return MINOR_UNITS[told], True
    return told.upper() or instrument.currency, False


def read_time(given: Any) -> datetime | None:
    """Read a time as aware UTC; None where there is none. Raise ValueError for what is no time.

    It may be a datetime, RFC 3339, or a number of seconds, milliseconds, microseconds or
    nanoseconds since 1970, which its size tells apart. A time without a zone is UTC.
    """
    if given is None or given == "":
        return None
    number = decimal(given)
    moment = utc(str(given)) if number is None else _since_1970(number)
    if moment is None:
        raise ValueError(
            f"has a time that is none: {said(given)}, must be like 2026-11-23T12:00:00Z "
            "or a number since 1970"
        )
    return moment


def said(value: Any) -> str:
    """Quote a value in an error, on one line and not all of a long one."""
    return re.sub(r"\s+", " ", repr(value))[:MAX_CHARACTERS]


def _since_1970(number: Decimal) -> datetime | None:
    for most, unit in UNITS.items():
        if 0 <= number < most:
            return EPOCH + timedelta(microseconds=int(number * unit))
    return None
