"""The wire formats of Yahoo Finance: rows of spark, candles of charts, frames of the stream.

Floats of 32 bits get their original decimal digits back. Small units (pence, cents, agorot, fils)
become whole currencies. A value in an unexpected form is left out.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from quotes import kinds
from quotes.kinds import Kind
from quotes.providers import Candle, Instrument
from quotes.providers.kit.protobuf import (
    Field,
    read_fields,
    shortest,
    signed,
    single,
    text,
    to_32_bits,
)
from quotes.quote import Quote
from quotes.quote.values import (
    EPOCH,
    MAX_MAGNITUDE,
    MILLISECOND,
    NO_PRICE,
    SECOND,
    Unit,
    amount,
    decimal,
    price,
    unit_of,
)

MINUTE, DAY = 60, 86_400  # seconds
COLUMNS = ("open", "high", "low", "close")  # of a candle
IN_MINOR = (".L", ".JO", ".TA")  # endings of codes whose prices are usually in hundredths
# Minutes of delay, by the ending of a code (no ending: the United States and crypto), or by the
# code of an index. They come from Yahoo's help page on exchanges and data delays
# (https://help.yahoo.com/kb/SLN2310.html); those of London, Korea, Toronto, Istanbul, Taiwan,
# currencies, futures, ^FTSE and ^RUT from exchangeDataDelayedBy in its quotes. All other delays are
# unknown.
DELAYS = {"": 0, ".L": 15, ".AS": 15, ".PA": 15, ".DE": 15, ".HK": 15, ".AX": 20, ".T": 20}
DELAYS |= {".KS": 20, ".SS": 30, ".SZ": 30, ".TO": 15, ".IS": 15, ".TW": 20, ".TWO": 20}
DELAYS |= {"^GSPC": 0, "^DJI": 0, "^IXIC": 0, "^FTSE": 15, "^RUT": 15, "=X": 0, "=F": 10}
BARE = re.compile(r"^[\w-]+")  # a code without its ending
NOT_BINARY = 1024  # from here on, most 32-bit floats are near a multiple of 1/256
HEAD = re.compile(r'"message":\s*"((?:[A-Za-z0-9+/]{4}){1,24})')  # of a frame: 72 bytes at most
# the fields of a frame
CODE, LAST, TIME, HOURS, VOLUME, CHANGE, PREVIOUS = 1, 2, 3, 7, 9, 12, 16
PRICES = {"high": 10, "low": 11, "open": 15, "bid": 23, "ask": 25}
SESSIONS = ("pre", "regular", "post")  # by the number in HOURS; a higher one means the night
AFTER_HOURS = (2, 3)  # in HOURS: after the close, on the same day; 4 is the night after it
MAX_AWAY = timedelta(days=40_000)  # from 1970
MIN_NUMBER, MAX_NUMBER = 10.0**-MAX_MAGNITUDE, 10.0 ** (MAX_MAGNITUDE + 1)
MAX_QUIET = 1800.0  # seconds: Yahoo ends a connection earlier if there are no trades

cached_shortest = lru_cache(maxsize=4096)(shortest)  # every tick of a day has the same reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The values of a code in spark, in either of its forms."""

    meta: Mapping[str, Any]
    times: Sequence[Any]  # seconds
    closes: Sequence[Any]
    came_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """The unit, zone, delay and hours of a code, which frames do not contain."""

    unit: Unit  # of the numbers on the wire: of "GBp", pence
    kind: Kind
    crypto: bool
    zone: tzinfo
    delay: int | None  # seconds; None if unknown
    hours: tuple[tuple[str, int, int], ...]  # (session, start, end) of this day or the next

    def price(self, value: Any) -> Decimal | None:
        """Return a price in the currency; None if the kind allows no such price."""
        number = self.kind.price(exact(value))
        return None if number is None else self.convert(number)

    def last_price(self, value: Any) -> Decimal:
        """Return a last price in the currency, even an invalid one; 0 if not a number."""
        number = exact(value)
        return self.convert(number) if number else NO_PRICE

    def convert(self, number: Decimal) -> Decimal:
        """Convert a number on the wire to the currency, with all digits of a binary fraction."""
        fraction = self.kind.fraction
        return self.unit.convert(binary(number, fraction) if fraction else number)

    def session(self, moment: datetime) -> str | None:
        """Return the session at a moment; None if the hours are unknown."""
        if self.crypto or not self.hours or self.kind.venue == kinds.NO_HOURS:
            return "always" if self.crypto else None
        now = moment.timestamp()
        return next((name for name, start, end in self.hours if start <= now < end), "closed")

    def day(self, moment: datetime) -> date:
        """Return the local date."""
        return moment.astimezone(self.zone).date()

    def quiet(self, moment: datetime) -> float:
        """Return the number of seconds without a regular session, as far as known."""
        if self.crypto or not self.hours:
            return 0.0
        now = moment.timestamp()
        for name, start, end in self.hours:
            if name == "regular" and now < end:
                return min(MAX_QUIET, max(0.0, start - now))
        return MAX_QUIET


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The newest quote of a code, and its market."""

    quote: Quote
    market: Market


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A tick on the wire, in the units of its market."""

    code: str
    last: Decimal  # it may be invalid
    prices: Mapping[str, Decimal]  # the fields of PRICES that it has, perhaps invalid ones
    reference: Decimal | None  # its change is measured from this price
    of_today: bool  # whether the reference is the close of the frame's own day
    time: datetime | None
    session: str
    volume: Decimal | None


def read_frame(message: Mapping[str, Any]) -> Frame | None:
    """Return the frame in a message; None if it has no code or no number as last price."""
    try:
        fields = read_fields(b64decode(message.get("message", ""), validate=True))
    except (TypeError, ValueError):
        return None
    code, last = text(fields.get(CODE)), read_number(fields.get(LAST))
    if not code or last is None:
        return None
    change, previous = read_number(fields.get(CHANGE)), read_number(fields.get(PREVIOUS))
    # Yahoo subtracts two floats of 32 bits. Subtracting their decimals would leave meaningless
    # digits: 1346.86 and -4.6900635 come from 1351.55, not from 1351.5500635.
    before = previous if change is None else to_32_bits(last - change)
    hours = fields.get(HOURS, 0)
    return Frame(
        code=code,
        last=shortest(last),
        prices={
            name: shortest(number)
            for name, field in PRICES.items()
            if field in fields and (number := read_number(fields[field]))
        },
        reference=cached_shortest(before) if before else None,
        of_today=hours in AFTER_HOURS,
        time=moment_of(signed(fields.get(TIME)), MILLISECOND),
        session=SESSIONS[hours] if hours in (0, 1, 2) else "post",
        volume=price(signed(fields.get(VOLUME))),
    )


def code_in(frame: str) -> list[str]:
    """Return the code in a frame that was not read yet, if it comes first, else nothing."""
    if not (found := HEAD.search(frame)):
        return []
    head = b64decode(found[1])
    tag, length, code = head[0], head[1], head[2 : 2 + head[1]]
    is_whole = tag == CODE << 3 | 2 and len(code) == length  # 2: a text
    return [code.decode(errors="replace")] if is_whole and code else []


def read_number(field: Field | None) -> float | None:
    """Return a float of a frame; None if it is too large or too small for a price or a change."""
    number = single(field)
    return number if number == 0 or (number and MIN_NUMBER <= abs(number) < MAX_NUMBER) else None


def read_spark(body: Any) -> dict[str, Row]:
    """Return the rows of spark by code, in either of its forms."""
    now = datetime.now(UTC)
    found: dict[str, Row] = {}
    if "spark" not in body:
        for code, row in body.items():
            if isinstance(row, dict):
                found[code] = read_response(row, row, row.get("close"), now)
        return found
    rows = dig(body, "spark", "result")
    for row in rows if isinstance(rows, list) else []:
        code, response = dig(row, "symbol"), dig(row, "response", 0)
        if isinstance(code, str) and isinstance(response, dict):
            closes = dig(response, "indicators", "quote", 0, "close")
            found[code] = read_response(response.get("meta"), response, closes, now)
    return found


def read_response(meta: Any, response: Mapping[str, Any], closes: Any, now: datetime) -> Row:
    """Return the row in a response, which both forms of spark share."""
    times = response.get("timestamp")
    return Row(
        meta=meta if isinstance(meta, dict) else {},
        times=times if isinstance(times, list) else [],
        closes=closes if isinstance(closes, list) else [],
        came_at=now,
    )


def read_market(meta: Mapping[str, Any], instrument: Instrument) -> Market:
    """Return the market of a code; raise ValueError if the unit of its prices is not known."""
    given = meta.get("currency")
    if given is None and instrument.code.endswith(IN_MINOR):
        raise ValueError("has no currency, and its prices may be in hundredths of one")
    names = SESSIONS if meta.get("hasPrePostMarketData") is not False else ("regular",)
    ends = [
        (name, *(dig(meta, "currentTradingPeriod", name, end) for end in ("start", "end")))
        for name in names
    ]
    return Market(
        unit=Unit(instrument.currency) if given is None else unit_of(given),
        kind=kinds.of(instrument.kind),
        crypto=instrument.kind == "crypto" or meta.get("instrumentType") == "CRYPTOCURRENCY",
        zone=read_zone(meta),
        delay=read_delay(meta, instrument.code),
        hours=tuple(each for each in ends if type(each[1]) is int and type(each[2]) is int),
    )


def read_delay(meta: Mapping[str, Any], code: str) -> int | None:
    """Return the delay of a code's prices in seconds; None if it is unknown."""
    if meta.get("instrumentType") == "OPTION":
        return None
    minutes = DELAYS.get(BARE.sub("", code))
    return None if minutes is None else minutes * MINUTE


def read_zone(meta: Mapping[str, Any]) -> tzinfo:
    """Return the time zone of a market; today's offset if the system does not know the zone."""
    offset = meta.get("gmtoffset")
    with suppress(KeyError, OSError, ValueError):
        return ZoneInfo(str(meta.get("exchangeTimezoneName")))
    if isinstance(offset, int) and abs(offset) < DAY:
        return timezone(timedelta(seconds=offset))
    return UTC


def read_row(row: Row, instrument: Instrument) -> Known:
    """Turn a row of spark into a quote; raise ValueError if the unit of its prices is not known."""
    meta, market = row.meta, read_market(row.meta, instrument)
    stated = decimal(meta.get("regularMarketPrice"))
    last, moment = market.last_price(stated), meta.get("regularMarketTime")
    if stated is None:  # if it is 0 or negative, an older close is not the last price either
        ticks = [(market.price(c), t) for c, t in zip(row.closes, row.times, strict=False)]
        last, moment = next(
            ((close, made) for close, made in reversed(ticks) if close), (NO_PRICE, None)
        )
    if not market.kind.is_price(last):  # with its time, frames of the stream would look too old
        moment = None
    reference = market.price(meta.get("previousClose") or meta.get("chartPreviousClose"))
    volume = amount(meta.get("regularMarketVolume"))
    if market.crypto or not (volume or market.kind.counts_volume):
        volume = None  # for crypto it is money, not coins
    kind = "utc_day" if market.crypto else "prev_close"
    quote = Quote(
        symbol=instrument.symbol,
        provider="yahoo",
        currency=market.unit.currency,
        last=last,
        received_at=row.came_at,
        source_time=moment_of(moment, SECOND),
        high=market.price(meta.get("regularMarketDayHigh")),
        low=market.price(meta.get("regularMarketDayLow")),
        reference=reference,
        reference_kind=kind if reference else "none",
        volume=volume,
        volume_window=None if volume is None else "session",
        session=market.session(row.came_at),
        delay=market.delay,
    )
    return Known(quote=quote, market=market)


def read_candles(result: Any, instrument: Instrument, step: int) -> dict[int, Candle]:
    """Return the valid candles of a chart by their start in seconds.

    The last row may be the newest tick: with steps of a day it is today's candle, else it is
    left out. Raise ValueError if the unit of the prices is not known.
    """
    meta, times, bars = (dig(result, name) for name in ("meta", "timestamp", "indicators"))
    market = read_market(meta if isinstance(meta, dict) else {}, instrument)
    newest, found = EPOCH - MAX_AWAY, {}
    for number, moment in enumerate(times if isinstance(times, list) else []):
        start = moment_of(moment, SECOND)
        if not start:
            continue
        early, newest = start - newest < timedelta(seconds=step), start
        if step == DAY:
            start = datetime.combine(market.day(start), time(), UTC)
        elif early or start.second:
            continue
        row = {name: dig(bars, "quote", 0, name, number) for name in (*COLUMNS, "volume")}
        prices: dict[str, Any] = {name: market.price(row[name]) for name in COLUMNS}
        if all(prices.values()):
            volume = None if market.crypto else amount(row["volume"])
            found[int(start.timestamp())] = Candle(start=start, volume=volume, **prices)
    return found


def complaint(body: Any) -> tuple[str, str]:
    """Return the code and the text of an error; each address has its own key for them."""
    errors = [dig(each, "error") for each in body.values()] if isinstance(body, dict) else []
    error = next((each for each in errors if isinstance(each, dict)), {})
    return str(error.get("code") or ""), str(error.get("description") or "")


def exact(value: Any) -> Decimal | None:
    """Return a number; a 32-bit float gets its original digits back.

    Yahoo writes 75.0875 as 75.0875015258789, a 32-bit float with the digits of 64 bits.
    """
    number = decimal(value)
    if number is None or number == number.to_integral_value():
        return number
    near = float(number)
    original = shortest(near) if to_32_bits(near) == near else number
    return number if original == number else original


def binary(number: Decimal, fraction: int) -> Decimal:
    """Return a number with all digits if it is a multiple of 1/fraction, as far as floats show.

    103.50390625, a price in 1/256, would be 103.50391 with the fewest digits of a 32-bit float.
    """
    near = (number * fraction).to_integral_value() / fraction
    if abs(number) >= NOT_BINARY or to_32_bits(float(near)) != to_32_bits(float(number)):
        return number
    return near


def moment_of(count: Any, unit: timedelta) -> datetime | None:
    """Return the time of a count since 1970; None if it is invalid or far away."""
    try:
        distance = count * unit if type(count) is int and count else None
    except OverflowError:
        return None
    return EPOCH + distance if distance and abs(distance) < MAX_AWAY else None


def dig(value: Any, *path: str | int) -> Any:
    """Return the value at a path in JSON; None if there is no value."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value
