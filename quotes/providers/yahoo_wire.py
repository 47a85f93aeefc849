"""What Yahoo Finance says, as values: rows of spark, candles of charts, frames of the stream.

Numbers that were floats of 32 bits get the digits back that they were made of, hundredths (pence,
cents, agorot) become whole currencies, and whatever has another form than usual is left out.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from quotes.providers import Candle, Instrument, Sparkline
from quotes.providers.kit.protobuf import (
    Field,
    read_fields,
    shortest,
    signed,
    single,
    text,
    to_32_bits,
)
from quotes.quote import (
    EPOCH,
    MAX_MAGNITUDE,
    MILLISECOND,
    MINOR_UNITS,
    NO_PRICE,
    SECOND,
    Quote,
    amount,
    decimal,
    price,
)

MINUTE, DAY = 60, 86_400  # seconds
SPARK_STEP = 300  # seconds from one close to the next
COLUMNS = ("open", "high", "low", "close")  # of a candle
IN_MINOR = (".L", ".JO", ".TA")  # how codes end where these are usual
# Minutes that prices are late, by how a code ends (without an ending: the United States and
# crypto), and of an index by its code. They are those of Yahoo's help page on exchanges and data
# delays (https://help.yahoo.com/kb/SLN2310.html); of London, Korea, ^FTSE, ^RUT and ^VIX what its
# own quotes say in exchangeDataDelayedBy. Of what is not here nobody knows.
DELAYS = {"": 0, ".L": 15, ".AS": 15, ".PA": 15, ".DE": 15, ".HK": 15, ".AX": 20, ".T": 20}
DELAYS |= {".KS": 20, ".SS": 30, ".SZ": 30}
DELAYS |= {"^GSPC": 0, "^DJI": 0, "^IXIC": 0, "^FTSE": 15, "^RUT": 20, "^VIX": 20}
BARE = re.compile(r"^[\w-]+")  # a code without its ending
OVER_THE_COUNTER, LATE_THERE = "OTC", 15  # how the names of those markets begin, and minutes
# the fields of a frame
CODE, LAST, TIME, HOURS, VOLUME, CHANGE, PREVIOUS = 1, 2, 3, 7, 9, 12, 16
PRICES = {"high": 10, "low": 11, "open": 15, "bid": 23, "ask": 25}
SESSIONS = ("pre", "regular", "post")  # by the number in HOURS; above them is the night's
MAX_AWAY = timedelta(days=40_000)  # from 1970
MIN_NUMBER, MAX_NUMBER = 10.0**-MAX_MAGNITUDE, 10.0 ** (MAX_MAGNITUDE + 1)  # that numbers may be
MAX_QUIET = 1800.0  # seconds: some time before that Yahoo hangs up where nothing is traded

spelled = lru_cache(maxsize=4096)(shortest)  # a reference comes with every tick of its day


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What spark tells of a code, in either of its forms."""

    meta: Mapping[str, Any]
    times: Sequence[Any]  # seconds
    closes: Sequence[Any]
    came_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Where a code is traded, in what and when, which frames do not tell."""

    unit: str  # as Yahoo writes it: "GBp"
    crypto: bool
    zone: tzinfo
    delay: int | None  # seconds that its prices are late; None unknown
    hours: tuple[tuple[str, int, int], ...]  # (session, start, end) of this day or the next

    @property
    def currency(self) -> str:
        """The currency whose hundredths the unit may be."""
        return MINOR_UNITS.get(self.unit, self.unit)

    def price(self, value: Any) -> Decimal | None:
        """Read a price, in the currency."""
        number = exact(value)
        return self.in_currency(number) if number is not None and number > 0 else None

    def last_price(self, value: Any) -> Decimal:
        """Read what is in place of a last price, in the currency: 0 where it is no number."""
        number = exact(value)
        return self.in_currency(number) if number else NO_PRICE

    def in_currency(self, number: Decimal) -> Decimal:
        """Return in the currency what is in the market's unit."""
        return number.scaleb(-2) if self.unit in MINOR_UNITS else number

    def session(self, moment: datetime) -> str | None:
        """Tell which session it is."""
        if self.crypto or not self.hours:
            return "always" if self.crypto else None
        now = moment.timestamp()
        return next((name for name, start, end in self.hours if start <= now < end), "closed")

    def day(self, moment: datetime) -> date:
        """Tell which date it is there."""
        return moment.astimezone(self.zone).date()

    def quiet(self, moment: datetime) -> float:
        """Tell for how many seconds nothing may be traded, as far as known."""
        if self.crypto or not self.hours:
            return 0.0
        now = moment.timestamp()
        for name, start, end in self.hours:
            if name == "regular" and now < end:
                return min(MAX_QUIET, max(0.0, start - now))
        return MAX_QUIET


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a code."""

    quote: Quote
    market: Market


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A tick on the wire, in the units of its market."""

    code: str
    last: Decimal  # 0 or negative where there is no price
    prices: Mapping[str, Decimal]  # those of PRICES that were told
    reference: Decimal | None  # that its change is measured from
    time: datetime | None
    session: str
    volume: Decimal | None


def read_frame(message: Mapping[str, Any]) -> Frame | None:
    """Read a message of the stream; None where it tells nothing in place of a price."""
    try:
        fields = read_fields(b64decode(message.get("message", ""), validate=True))
    except (TypeError, ValueError):
        return None
    code, last = text(fields.get(CODE)), read_number(fields.get(LAST))
    if not code or last is None:
        return None
    change, previous = read_number(fields.get(CHANGE)), read_number(fields.get(PREVIOUS))
    # Yahoo takes the difference of two floats of 32 bits. That of their decimals has digits
    # which mean nothing: 1346.86 and -4.6900635 are of 1351.55, not of 1351.5500635.
    before = previous if change is None else to_32_bits(last - change)
    hours = fields.get(HOURS, 0)
    return Frame(
        code=code,
        last=shortest(last),
        prices={
            name: shortest(number)
            for name, field in PRICES.items()
            if field in fields and (number := read_number(fields[field])) and number > 0
        },
        reference=spelled(before) if before and before > 0 else None,
        time=moment_of(signed(fields.get(TIME)), MILLISECOND),
        session=SESSIONS[hours] if hours in (0, 1, 2) else "post",
        volume=price(signed(fields.get(VOLUME))),
    )


def read_number(field: Field | None) -> float | None:
    """Read a float of a frame; None for what is none that a market reaches."""
    number = single(field)
    return number if number == 0 or (number and MIN_NUMBER <= abs(number) < MAX_NUMBER) else None


def read_spark(body: Any) -> dict[str, Row]:
    """Read the rows of spark by code, in either of its forms."""
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
    """Read what both forms of spark have in common."""
    times = response.get("timestamp")
    return Row(
        meta=meta if isinstance(meta, dict) else {},
        times=times if isinstance(times, list) else [],
        closes=closes if isinstance(closes, list) else [],
        came_at=now,
    )


def read_market(meta: Mapping[str, Any], instrument: Instrument) -> Market | None:
    """Read where a code is traded; None where nobody says whether its prices are pence."""
    unit = meta.get("currency")
    if not isinstance(unit, str):
        if instrument.code.endswith(IN_MINOR):
            return None
        unit = instrument.currency
    names = SESSIONS if meta.get("hasPrePostMarketData") is not False else ("regular",)
    ends = [
        (name, *(dig(meta, "currentTradingPeriod", name, end) for end in ("start", "end")))
        for name in names
    ]
    return Market(
        unit=unit,
        crypto=instrument.kind == "crypto" or meta.get("instrumentType") == "CRYPTOCURRENCY",
        zone=read_zone(meta),
        delay=read_delay(meta, instrument.code),
        hours=tuple(each for each in ends if type(each[1]) is int and type(each[2]) is int),
    )


def read_delay(meta: Mapping[str, Any], code: str) -> int | None:
    """Tell how many seconds prices of a code are late; None where that is unknown."""
    if str(meta.get("fullExchangeName")).startswith(OVER_THE_COUNTER):
        return LATE_THERE * MINUTE
    minutes = DELAYS.get(BARE.sub("", code))
    return None if minutes is None else minutes * MINUTE


def read_zone(meta: Mapping[str, Any]) -> tzinfo:
    """Read the time zone of a place; where the system does not know it, today's distance to UTC."""
    offset = meta.get("gmtoffset")
    with suppress(KeyError, OSError, ValueError):
        return ZoneInfo(str(meta.get("exchangeTimezoneName")))
    if isinstance(offset, int) and abs(offset) < DAY:
        return timezone(timedelta(seconds=offset))
    return UTC


def read_row(row: Row, instrument: Instrument) -> Known | None:
    """Turn a row of spark into a quote; None where its market is not known."""
    meta, market = row.meta, read_market(row.meta, instrument)
    if market is None:
        return None
    last, moment = market.price(meta.get("regularMarketPrice")), meta.get("regularMarketTime")
    if last is None:
        ticks = [(market.price(c), t) for c, t in zip(row.closes, row.times, strict=False)]
        last, moment = next((tick for tick in reversed(ticks) if tick[0]), (None, None))
    if last is None:  # then its time is none either, or what streams tell may come too late
        last = market.last_price(meta.get("regularMarketPrice"))
    reference = market.price(meta.get("previousClose") or meta.get("chartPreviousClose"))
    volume = amount(meta.get("regularMarketVolume"))
    if market.crypto or (instrument.kind == "index" and not volume):
        volume = None  # of crypto it is money, not coins; of an index 0 says that there is none
    kind = "utc_day" if market.crypto else "prev_close"
    quote = Quote(
        symbol=instrument.symbol,
        provider="yahoo",
        currency=market.currency,
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


def read_sparkline(row: Row, instrument: Instrument) -> Sparkline | None:
    """Read the closes of a row, each that is missing as the one before it."""
    market = read_market(row.meta, instrument)
    prices: list[Decimal] = []
    for close in row.closes if market else []:
        if found := (market and market.price(close)) or (prices[-1] if prices else None):
            prices.append(found)
    return Sparkline(prices=tuple(prices), step=SPARK_STEP) if len(prices) > 1 else None


def read_candles(result: Any, instrument: Instrument, step: int) -> Iterator[tuple[int, Candle]]:
    """Yield the sound candles of a chart, with the seconds they begin at.

    The last row may be the tick of this moment: it is no candle but today's.
    """
    meta, times, bars = (dig(result, name) for name in ("meta", "timestamp", "indicators"))
    market = read_market(meta if isinstance(meta, dict) else {}, instrument)
    newest = EPOCH - MAX_AWAY
    for number, moment in enumerate(times if isinstance(times, list) and market else []):
        start = moment_of(moment, SECOND)
        if not start or not market:
            continue
        early, newest = start - newest < timedelta(seconds=step), start
        if step == DAY:
            start = datetime.combine(market.day(start), time(), UTC)
        elif early or start.second:
            continue
        row = {name: dig(bars, "quote", 0, name, number) for name in (*COLUMNS, "volume")}
        told: dict[str, Any] = {name: market.price(row[name]) for name in COLUMNS}
        if all(told.values()):
            volume = None if market.crypto else amount(row["volume"])
            yield int(start.timestamp()), Candle(start=start, volume=volume, **told)


def complaint(body: Any) -> tuple[str, str]:
    """Read the code and the words of an error: each address has them under its own name."""
    errors = [dig(told, "error") for told in body.values()] if isinstance(body, dict) else []
    error = next((each for each in errors if isinstance(each, dict)), {})
    return str(error.get("code") or ""), str(error.get("description") or "")


def exact(value: Any) -> Decimal | None:
    """Read a number, and one that was a 32-bit float with the digits that it was made of.

    Yahoo writes 75.0875 as 75.0875015258789, the same float to the last of 64 bits.
    """
    number = decimal(value)
    if number is None or number == number.to_integral_value():
        return number
    near = float(number)
    made_of = shortest(near) if to_32_bits(near) == near else number
    return number if made_of == number else made_of


def moment_of(count: Any, unit: timedelta) -> datetime | None:
    """Read a time that is counted from 1970 on; None where it is none, or far away."""
    try:
        distance = count * unit if type(count) is int and count else None
    except OverflowError:
        return None
    return EPOCH + distance if distance and abs(distance) < MAX_AWAY else None


def dig(value: Any, *path: str | int) -> Any:
    """Return what lies at a path in JSON; None where it does not lead anywhere."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value
