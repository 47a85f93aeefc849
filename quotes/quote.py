"""A quote: the prices of one symbol at one moment; the readers of numbers, units and times."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from decimal import MAX_PREC, Context, Decimal, InvalidOperation
from typing import Any, NamedTuple

REFERENCE_KINDS = ("none", "prev_close", "rolling_24h", "utc_day")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND, MILLISECOND = timedelta(seconds=1), timedelta(milliseconds=1)
NO_DATE = date(1, 1, 1)  # of an empty time in programs written in Go
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # prices from earlier years are not live
MAX_AHEAD = timedelta(seconds=5)  # of our clock
NO_PRICE, NAN = Decimal(0), Decimal("NaN")
EXACT = Context(prec=MAX_PREC)  # rounds no digit away
MAX_WORD = 60  # characters of a text on the wire, such as a code
MAX_WHOLE = 2**63 - 1
MAX_SHOWN = 40  # characters of a value in an error
MAX_LINE = 500  # characters of a stranger's text in a log or on a terminal
MAX_MAGNITUDE = 30  # powers of ten from -30 to 30 are valid
SESSIONS = ("always", "pre", "regular", "break", "post", "closed", "halted")


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


def utc_now() -> datetime:
    """Return the current time as aware UTC."""
    return datetime.now(UTC)


def plausible(moment: datetime, now: datetime) -> bool:
    """Return whether a price of this time may have arrived now; a source's clock may be ahead."""
    return EARLIEST <= moment <= now + MAX_AHEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The newest prices of a symbol from one provider.

    Prices are Decimals in `currency`, with every digit that the source sent. They are above 0,
    but those of some kinds may be below it. Values that the source did not send are None. Times
    are aware UTC. Providers pass on an invalid last price (such as 0 or a negative number) and a
    bid above the ask: only the feed holds quotes back.
    """

    symbol: str
    provider: str
    currency: str  # ISO 4217 or a crypto code: USD, USDT, GBP; never pence
    last: Decimal  # 0, or negative where the kind forbids it, if the provider has no price
    received_at: datetime  # when it arrived here
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
    delay: int | None = None  # seconds late by licence; 0 is real time, None is unknown
    sequence: int | None = None  # orders only the quotes of one connection

    @property
    def time(self) -> datetime:
        """The exchange's own time of this price; when the quote arrived if that is not known."""
        return self.received_at if self.source_time is None or self.mistimed else self.source_time

    @property
    def mistimed(self) -> bool:
        """Whether the exchange's own time can't be true."""
        return self.source_time is not None and not plausible(self.source_time, self.received_at)

    @property
    def change(self) -> Decimal | None:
        """Last minus reference, in the quote's currency; None without a reference."""
        return None if self.reference is None else self.last - self.reference

    @property
    def change_percent(self) -> Decimal | None:
        """Change as a percentage of the reference's size; None without a reference."""
        if self.reference is None:
            return None
        return (self.last - self.reference) / abs(self.reference) * 100

    def to_wire(self) -> list[Any]:
        """Return the fields in order, as values that JSON and msgpack carry without loss."""
        return [_plain(getattr(self, name)) for name in FIELDS]

    @classmethod
    def from_wire(cls, values: list[Any]) -> Quote:
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
        return cls(**read)


FIELDS = tuple(field.name for field in fields(Quote))
JSON = json.JSONDecoder(parse_float=Decimal)
PRICES = ("last", "bid", "ask", "open", "high", "low", "reference", "volume")


def _number(value: Any) -> Decimal:
    number = Decimal(value) if type(value) is str else NAN
    if not number.is_finite() or abs(number.adjusted()) > MAX_MAGNITUDE:
        raise ValueError(f"{short(value)} is no number of a market")
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
        raise ValueError(f"{short(value)} is no text of up to {MAX_WORD} characters on one line")
    return value


def wire_count(value: Any) -> int:
    """Return a number on the wire that counts something; raise ValueError for another value."""
    if type(value) is not int or not 0 <= value <= MAX_WHOLE:
        raise ValueError(f"{short(value)} is no whole number from 0 to {MAX_WHOLE}")
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


def decimal(value: Any) -> Decimal | None:
    """Return a number from a provider's JSON as a Decimal.

    Return None for anything else, and for numbers that no market reaches. A float is refused,
    because it has already lost digits: parse the JSON with `loads`.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
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


def unit_of(given: Any) -> Unit:
    """Return the unit with a source's code, in any case: USD, usdt, GBp, GBX, ZAc, ILA, USX, KWF.

    Raise ValueError for anything but 2 to 10 letters or digits.
    """
    if not is_currency(given):
        raise ValueError(f"has the currency {short(given)}, must be 2 to 10 letters or digits")
    code = given.upper()
    return MINOR_UNITS["GBX"] if given == PENCE else MINOR_UNITS.get(code) or Unit(code)


def false_time(quote: Quote) -> str:
    """Describe the time of a quote that can't be true, for an error."""
    moment = quote.source_time or quote.received_at
    ahead = (moment - quote.received_at).total_seconds()
    why = f"{ahead:,.0f} s ahead of our clock" if ahead > 0 else "before the year 2000"
    return f"{moment.isoformat(timespec='seconds')}, {why}"


def is_currency(given: Any) -> bool:
    """Return whether a value has the form of a currency's code."""
    return isinstance(given, str) and 2 <= len(given) <= 10 and given.isascii() and given.isalnum()


def short(value: Any) -> str:
    """Return the beginning of a value on one line, for an error."""
    text = repr(value[: MAX_SHOWN + 1] if isinstance(value, str | bytes) else value)
    return re.sub(r"\s+", " ", text)[:MAX_SHOWN]


def printable(text: str) -> str:
    """Escape all characters of a text that can't be printed, or that turn or move others."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(text: str, most: int = MAX_LINE) -> str:
    """Return a text of a stranger for a log or a terminal: printable, on one line, and short."""
    if len(text) <= most and text.isprintable():
        return text
    shown = printable(" ".join(text[: most + 1].split()))
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def loads(raw: str | bytes) -> Any:
    """Parse JSON with every fraction as a Decimal, so that no digit is lost.

    Raise ValueError for invalid JSON.
    """
    return JSON.decode(raw if isinstance(raw, str) else raw.decode(json.detect_encoding(raw)))


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
