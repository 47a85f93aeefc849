"""Rows: the values of a table or document of the operator, by the fields of a quote.

The operator's options map the columns of a source that the project does not know to the fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from quotes import kinds
from quotes.providers import Instrument, ProviderError
from quotes.providers.kit.standing import Standing
from quotes.quote import Quote
from quotes.quote.texts import short
from quotes.quote.values import EPOCH, NO_DATE, Unit, amount, decimal, last_price, unit_of, utc

PRICES = ("last", "bid", "ask", "open", "high", "low", "reference")
FIELDS = ("code", *PRICES, "volume", "time", "currency")
UNITS = {  # microseconds in the unit of a time since 1970, by the first number too large for it
    Decimal(10) ** 11: Decimal(10) ** 6,  # seconds, until the year 5138
    Decimal(10) ** 14: Decimal(10) ** 3,  # milliseconds, from 1973 on; then micro- and nanoseconds
    Decimal(10) ** 17: Decimal(1),
    Decimal(10) ** 20: Decimal(10) ** -3,
}

Rows = Mapping[str, Mapping[str, Any]]  # by code


def read_rows(
    provider: str, rows: Rows, instruments: Sequence[Instrument], standing: Standing
) -> list[Quote]:
    """Turn rows into quotes; drop a code whose row is missing or invalid.

    Raise ProviderError if no row has a price: then the source has a fault, not a code.
    """
    quotes, priced, now, reason = [], False, datetime.now(UTC), ""
    for instrument in instruments:
        try:
            quote = read_row(provider, rows.get(instrument.code), instrument, now)
        except ValueError as error:
            reason = f"{instrument.code} {error}"
            standing.drop(instrument.code, reason)
            continue
        standing.found(instrument.code)
        quotes.append(quote)
        priced = priced or kinds.of(instrument.kind).is_price(quote.last)
        reason = reason or f"{instrument.code} has no price: last is {quote.last:f}"
    if instruments and not priced:
        raise ProviderError(f"{provider} has no price for any requested symbol: {reason}")
    return quotes


def read_row(
    provider: str, row: Mapping[str, Any] | None, instrument: Instrument, now: datetime
) -> Quote:
    """Turn a row into a quote; raise ValueError for an invalid price, time or currency.

    Prices in pence become pounds. The kind of the instrument decides the kind of the reference,
    because a row does not contain it.
    """
    if row is None:
        raise ValueError("is not among the rows")
    unit, kind = read_unit(row.get("currency"), instrument), kinds.of(instrument.kind)
    prices: dict[str, Any] = {name: kind.price(decimal(row.get(name))) for name in PRICES}
    if decimal(given := row.get("last")) is None:
        raise ValueError(f"has no price: last is {short(given)}")
    prices["last"] = last_price(given)
    prices = {name: value and unit.convert(value) for name, value in prices.items()}
    return Quote(
        symbol=instrument.symbol,
        provider=provider,
        currency=unit.currency,
        received_at=now,
        source_time=read_time(row.get("time")),
        reference_kind=kind.reference if prices["reference"] else "none",
        volume=amount(row.get("volume")),
        **prices,
    )


def read_unit(given: Any, instrument: Instrument) -> Unit:
    """Return the unit of a row's prices; a row without a currency has the instrument's."""
    code = given.strip() if isinstance(given, str) else given
    return Unit(instrument.currency) if code in (None, "") else unit_of(code)


def read_time(given: Any) -> datetime | None:
    """Return a time as aware UTC, None for 0 or nothing; raise ValueError for an invalid one.

    It may be a datetime, RFC 3339, or a number of seconds, milliseconds, microseconds or
    nanoseconds since 1970; the size of the number shows which. A time without a zone is UTC.
    """
    number = decimal(given)
    if given is None or given == "" or number == 0 or str(given).startswith(str(NO_DATE)):
        return None
    moment = utc(str(given)) if number is None else _since_1970(number)
    if moment is None:
        raise ValueError(
            f"has an invalid time: {short(given)}, must be like 2026-11-23T12:00:00Z "
            "or a number since 1970"
        )
    return moment


def _since_1970(number: Decimal) -> datetime | None:
    for limit, unit in UNITS.items():
        if 0 <= number < limit:
            return EPOCH + timedelta(microseconds=int(number * unit))
    return None
