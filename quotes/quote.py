"""A quote: what a market says of one symbol at one moment."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

REFERENCE_KINDS = ("none", "prev_close", "rolling_24h", "utc_day")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND, MILLISECOND = timedelta(seconds=1), timedelta(milliseconds=1)
NO_PRICE = Decimal(0)
MOST_MAGNITUDE = 30  # powers of ten
# currencies by what sources and people call a hundredth of them
MINOR_UNITS = {"GBp": "GBP", "GBX": "GBP", "ZAc": "ZAR", "ZAC": "ZAR", "ILA": "ILS"}
SESSIONS = ("always", "pre", "regular", "break", "post", "closed", "halted")


def utc_now() -> datetime:
    """Return the current time, aware, as all times of quotes are."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The newest prices of a symbol as one provider tells them.

    Prices are positive Decimals in `currency`, exactly as they came; what the provider did not
    say is None. Times are aware UTC. What it told in place of a last price (0, a negative number,
    nothing) and a bid above its ask leave the provider as they are: the feed alone holds back.
    """

    symbol: str
    provider: str
    currency: str  # ISO 4217 or a crypto code: USD, USDT, GBP; never pence
    last: Decimal  # 0 or negative where the provider has no price
    received_at: datetime
    source_time: datetime | None = None  # the exchange's own time of this price
    bid: Decimal | None = None
    ask: Decimal | None = None
    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    reference: Decimal | None = None  # the price that change is measured from
    reference_kind: str = "none"  # one of REFERENCE_KINDS
    volume: Decimal | None = None  # units of the base, or shares
    volume_window: str | None = None  # "24h" or "session"
    session: str | None = None  # one of SESSIONS
    delay: int | None = None  # seconds late by licence; 0 is real time, None unknown
    sequence: int | None = None  # orders quotes of one connection only

    @property
    def time(self) -> datetime:
        """When this price was made, or came, where the provider does not say."""
        return self.source_time or self.received_at

    @property
    def change(self) -> Decimal | None:
        """Last less reference, in the quote's currency."""
        return None if self.reference is None else self.last - self.reference

    @property
    def change_percent(self) -> Decimal | None:
        """Change as a percentage of the reference."""
        if self.reference is None:
            return None
        return (self.last - self.reference) / self.reference * 100

    def to_wire(self) -> list[Any]:
        """Give the fields in order as values that JSON and msgpack carry without loss."""
        return [_plain(getattr(self, name)) for name in FIELDS]

    @classmethod
    def from_wire(cls, values: list[Any]) -> Quote:
        """Read what `to_wire` gave; raise ValueError where it is something else."""
        if len(values) != len(FIELDS):
            raise ValueError(f"a quote has {len(FIELDS)} fields on the wire, not {len(values)}")
        given = dict(zip(FIELDS, values, strict=True))
        try:
            read = {name: READERS.get(name, _as_it_is)(value) for name, value in given.items()}
        except (ArithmeticError, TypeError, ValueError) as error:
            raise ValueError(f"no quote on the wire: {error}") from error
        return cls(**read)


FIELDS = tuple(field.name for field in fields(Quote))
JSON = json.JSONDecoder(parse_float=Decimal)
PRICES = ("last", "bid", "ask", "open", "high", "low", "reference", "volume")
TIMES = ("received_at", "source_time")


def _as_it_is(value: Any) -> Any:
    return value


def _or_none(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


READERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(PRICES, _or_none(Decimal)),
    **dict.fromkeys(TIMES, _or_none(datetime.fromisoformat)),
}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def decimal(value: Any) -> Decimal | None:
    """Read a number from a provider's JSON; None for what is no number that a market reaches.

    A float is none: it has lost digits already. Parse with `loads` instead.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        number = Decimal(value)
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() and abs(number.adjusted()) <= MOST_MAGNITUDE else None


def price(value: Any) -> Decimal | None:
    """Read a price from a provider's JSON; 0, "", NaN and negative numbers are no price."""
    number = decimal(value)
    return number if number is not None and number > 0 else None


def last_price(value: Any) -> Decimal:
    """Read what a provider's JSON has in place of a last price: 0 where it is no number."""
    return decimal(value) or NO_PRICE


def amount(value: Any) -> Decimal | None:
    """Read an amount that was traded from a provider's JSON; it may be 0, but not negative."""
    number = decimal(value)
    return number if number is not None and number >= 0 else None


def loads(raw: str | bytes) -> Any:
    """Parse JSON with every fraction as a Decimal, so that no digit is lost.

    Raise ValueError for what is no JSON.
    """
    return JSON.decode(raw if isinstance(raw, str) else raw.decode(json.detect_encoding(raw)))


def since_1970(count: Any, unit: timedelta) -> datetime | None:
    """Read a whole number of units since 1970 as a time in UTC; None for 0 and what is none."""
    try:
        return EPOCH + count * unit if type(count) is int and count > 0 else None
    except OverflowError:
        return None


def utc(value: str | None) -> datetime | None:
    """Read an RFC 3339 time as aware UTC (nanoseconds are cut); None where it is none."""
    try:
        moment = datetime.fromisoformat(value or "")
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError):
        return None
