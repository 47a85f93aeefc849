"""Sessions: when the markets of the world are open, by the calendar in sessions.csv.

For each venue and year, the calendar has the hours of a normal week, of half days and of holidays,
in the venue's own time zone. Sessions outside the calendar are unknown; nothing here guesses.
The operator may correct single days.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from quotes import kinds

CALENDAR = Path(__file__).with_name("sessions.csv")
COLUMNS = ("venue", "zone", "year", "hours", "days")
WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
OUT_OF_HOURS = ("pre", "post", "closed")  # a break at noon belongs to the hours of a day
AFTER = ("post", "closed")  # sessions that can follow the end of regular trading
TRADING = ("regular", "break")  # sessions from the first opening of a day to its close
DAY = timedelta(days=1)
POLL_AHEAD = timedelta(minutes=1)  # polls begin this long before the next session
WARN_AHEAD = timedelta(days=31)  # the log warns in December, when venues publish their holidays
SETTLED = timedelta(minutes=30)  # after trading: auctions are over, late prices have arrived
CLOSING = timedelta(minutes=3)  # around the end of trading: last trades and the closing auction

# Names of exchanges, by the venue with the same hours. An index has the hours of its shares.
# Two venues are open from Sunday to Friday: the futures of the CME group (without those of grain),
# and trade in currencies, which has no exchange.
VENUES = {
    "CMES": ("CME", "NYMEX", "COMEX"),
    "FX": ("CCY",),
    "XASX": ("ASX",),
    "XBOM": ("BSE", "NSE"),
    "XETR": ("XETRA",),
    "XHKG": ("HKEX", "HKSE"),
    "XKRX": ("KRX",),
    "XLON": ("LSE", "FTSE"),
    "XNYS": (
        "NYSE", "NASDAQ", "NYSE ARCA", "ARCA", "NYSE AMERICAN", "XNAS", "CBOE BZX", "CBOE",
        "NASDAQ GIDS", "SNP", "DJI",
    ),
    "XPAR": (
        "EURONEXT PARIS", "EURONEXT AMSTERDAM", "EURONEXT BRUSSELS", "EURONEXT LISBON", "STOXX",
    ),
    "XSHG": ("SHANGHAI",),
    "XSWX": ("SIX",),
    "XTKS": ("TSE", "TOKYO", "OSAKA"),
    "XTSE": ("TSX",),
}  # fmt: skip
VENUE_OF = {name: venue for venue, names in VENUES.items() for name in (venue, *names)}

Start = tuple[time, str]  # a time on the venue's clock, and the session that begins then
Trading = tuple[time, time] | None  # the regular hours of a day on the venue's clock, or none
Corrections = Mapping[tuple[str, date], Trading]  # by venue and day


@dataclass(frozen=True, slots=True)
class Session:
    """The session of a market at a moment. Times are aware UTC, or None if they are not known."""

    name: str  # one of quotes.quote.SESSIONS
    since: datetime | None = None  # its beginning, or that of the calendar
    until: datetime | None = None  # its end, or that of the calendar
    next_open: datetime | None = None  # the next beginning of regular trading


ALWAYS = Session("always")


class Period(NamedTuple):
    """A part of a day. Times are whole minutes, in seconds since 1970."""

    begin: int
    end: int
    regular: bool  # whether it is regular trading


def at(exchange: str, kind: str, now: datetime) -> Session | None:
    """Return the session of a symbol's market at an aware time; None if it is not known."""
    if kinds.of(kind).venue == kinds.ALL_DAY:
        return ALWAYS
    line = _timeline_of(exchange, kind)
    return None if line is None else line.at(now)


def of_price(exchange: str, kind: str, made_at: datetime) -> str | None:
    """Return the name of the session that a price belongs to; None if it is not known.

    The exchange made the price at `made_at`, which is aware. Prices from the three minutes after
    the end of regular trading belong to it, because they are those of the closing auction.
    """
    session = at(exchange, kind, made_at)
    if session is not None and session.name in AFTER:
        before = at(exchange, kind, made_at - CLOSING)
        if before is not None and before.name == "regular":
            return before.name
    return None if session is None else session.name


def is_out_of_hours(exchange: str, kind: str, made_at: datetime) -> bool:
    """Return whether a price of an aware time is known to be from before or after regular hours."""
    return of_price(exchange, kind, made_at) in OUT_OF_HOURS


def may_differ(exchange: str, kind: str, now: datetime, fetched_at: datetime | None = None) -> bool:
    """Return whether a price may differ from the one that was fetched at `fetched_at`.

    It may differ while the market is open, from a minute before it opens, and until the price has
    been fetched at least half an hour after the end. It may always differ if it has never been
    fetched, or if the market's hours are not known. Times are aware.
    """
    session = at(exchange, kind, now)
    if session is None or session.name not in ("closed", "break"):
        return True
    if fetched_at is None or session.since is None or session.until is None:
        return True
    return fetched_at < session.since + SETTLED or now >= session.until - POLL_AHEAD


def last_trading(exchange: str, kind: str, now: datetime) -> tuple[datetime, datetime] | None:
    """Return the beginning and the end of the newest regular trading that has begun by `now`.

    Times are aware. Return None if it is not known, or if the market never closes.
    """
    line = _timeline_of(exchange, kind)
    return None if line is None else line.trading_before(now)


def trading_between(
    exchange: str, kind: str, begin: datetime, end: datetime
) -> list[tuple[datetime, datetime]]:
    """Return when each regular trading between two moments begins and ends, in order.

    Times are aware. The list is empty if they are not known, or if the market never closes.
    """
    line = _timeline_of(exchange, kind)
    return [] if line is None else line.trading_between(begin, end)


def price_label(exchange: str, kind: str, now: datetime, made_at: datetime, as_of: datetime) -> str:
    """Return "close" for the last price of regular trading, "post" for a later one, or "".

    The exchange made the price at `made_at`, and it was still the last price at `as_of`. If that
    is before the end of trading, later prices may be missing, so the price is not a close. Times
    are aware.
    """
    line = _timeline_of(exchange, kind)
    day = None if line is None else line.trading_before(now)
    if line is None or day is None:
        return ""
    (began, ended), after = day, line.at(day[1])
    has_post = after is not None and after.name == "post"
    settles_in = kinds.of(kind).settles_in
    settled = CLOSING if has_post else SETTLED
    if settles_in is not None:
        settled = timedelta(seconds=settles_in)
    if began <= made_at < ended + settled:
        return "close" if as_of >= ended - CLOSING else ""
    return "post" if has_post and line.at(made_at) == after else ""


def day_of(exchange: str, kind: str, made_at: datetime) -> date:
    """Return the day of trading that a price of an aware time belongs to.

    While the market is closed, that is the day of the trading before. It is a date of the market,
    or of UTC if its zone is not known.
    """
    line, session = _timeline_of(exchange, kind), at(exchange, kind, made_at)
    if line is not None and session is not None and session.name == "closed":
        trading = line.trading_before(made_at)
        made_at = trading[1] - timedelta.resolution if trading else made_at
    return made_at.astimezone(zone(exchange, kind) or UTC).date()


def trading_on(exchange: str, kind: str, day: date) -> list[tuple[datetime, datetime]] | None:
    """Return when each regular trading of a day of a market begins and ends, in order.

    It may begin the day before, or end days later. The list is empty if the market is closed all
    day. Return None if its hours are not known, or it never closes.
    """
    line, place = _timeline_of(exchange, kind), zone(exchange, kind)
    if line is None or place is None:
        return None
    begin, end = (
        datetime.combine(each, time(), place).astimezone(UTC) for each in (day, day + DAY)
    )
    return None if line.at(begin) is None else line.trading_between(begin, end)


def has_hours_outside(exchange: str, kind: str) -> bool:
    """Return whether a market is known to trade before or after its regular hours."""
    line = _timeline_of(exchange, kind)
    return line is not None and line.has_hours_outside


def unusual_days(exchange: str, kind: str, days: Iterable[date]) -> list[date]:
    """Return those of some days on which a market has other regular hours than on its weekday."""
    venue = _venue_of(exchange, kind)
    years = {} if venue is None else _calendar()[venue][1]
    found = ((day, years[day.year]) for day in days if day.year in years)
    return [day for day, year in found if venue and _is_unusual(venue, year, day)]


def zone(exchange: str, kind: str) -> ZoneInfo | None:
    """Return the time zone of a symbol's market; None if it is not known, or always open."""
    venue = _venue_of(exchange, kind)
    return None if venue is None else _calendar()[venue][0]


def assumed_periods(exchange: str, kind: str, day: date) -> tuple[Period, ...]:
    """Return the periods of a day on the clock of a symbol's market, for a simulation of it.

    Years outside the calendar have the normal week of the nearest year, without holidays. A market
    that is always open, or whose hours are not known, has one period: a day of UTC.
    """
    return _assumed_periods(_venue_of(exchange, kind), day)


def knows(exchange: str, kind: str) -> bool:
    """Return whether the hours of an exchange are known, or do not matter for the kind."""
    return not exchange or kinds.of(kind).venue is not None or exchange.upper() in VENUE_OF


def correct(corrections: Corrections) -> None:
    """Replace the regular hours of these days in this process, and no longer those of others.

    Hours before and after trading, and a break at noon, follow from those of a normal day. Days
    outside the years of the calendar stay unknown.
    """
    if corrections != _corrections:
        _corrections.clear()
        _corrections.update(corrections)
        timeline.cache_clear()
        _assumed_periods.cache_clear()


def years(venue: str) -> tuple[int, int]:
    """Return the first and the last year in the calendar of a venue."""
    known = _calendar()[venue][1]
    return min(known), max(known)


def last_days(markets: Iterable[tuple[str, str]], today: date) -> dict[str, date]:
    """Return the last day in the calendar of each market for which it ends within 31 days.

    A market is the exchange and the kind of a symbol. It is named by the exchange, or by the
    venue if the kind has one.
    """
    venues = {
        (exchange if kinds.of(kind).venue is None else venue): venue
        for exchange, kind in markets
        if (venue := _venue_of(exchange, kind))
    }
    last = {name: date(max(_calendar()[venue][1]), 12, 31) for name, venue in venues.items()}
    return {name: day for name, day in sorted(last.items()) if day - today <= WARN_AHEAD}


class Timeline:
    """All sessions of one venue, each with its beginning, in order of time."""

    def __init__(self, starts: list[tuple[datetime, str | None]]) -> None:
        self.moments = [moment for moment, _ in starts]
        self.names = [name for _, name in starts]  # None: from here on, sessions are unknown
        self.has_hours_outside = not {"pre", "post"}.isdisjoint(self.names)

    def at(self, now: datetime) -> Session | None:
        """Return the session at a moment; None if it is not known."""
        here = bisect_right(self.moments, now) - 1
        name = self.names[here] if here >= 0 else None
        if name is None:
            return None
        until = self.moments[here + 1]
        return Session(name, self.moments[here], until, self._next_open(here + 1))

    def trading_before(self, now: datetime) -> tuple[datetime, datetime] | None:
        """Return the beginning and the end of the newest regular trading that has begun by `now`.

        A break at noon does not end it. Return None if the calendar has no such trading.
        """
        end = bisect_right(self.moments, now)
        while end > 0 and self.names[end - 1] not in TRADING:
            end -= 1
        begin = end
        while begin > 0 and self.names[begin - 1] in TRADING:
            begin -= 1
        return (self.moments[begin], self.moments[end]) if begin < end else None

    def trading_between(self, begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """Return when each regular trading between two moments begins and ends, in order."""
        first = max(0, bisect_right(self.moments, begin) - 1)
        return [
            (self.moments[index], self.moments[index + 1])
            for index in range(first, bisect_right(self.moments, end - timedelta.resolution))
            if self.names[index] == "regular"
        ]

    def _next_open(self, index: int) -> datetime | None:
        while (name := self.names[index]) is not None:
            if name == "regular":
                return self.moments[index]
            index += 1
        return None


def _venue_of(exchange: str, kind: str) -> str | None:
    venue = kinds.of(kind).venue
    return VENUE_OF.get(exchange.upper() if venue is None else venue)


def _timeline_of(exchange: str, kind: str) -> Timeline | None:
    venue = _venue_of(exchange, kind)
    return None if venue is None else timeline(venue, kinds.of(kind).extended)


@cache
def timeline(venue: str, extended: bool) -> Timeline:
    """Return the timeline of a venue, with or without the hours before and after trading."""
    starts: list[tuple[datetime, str | None]] = []
    for moment, session in _starts(venue):
        name = "closed" if session in ("pre", "post") and not extended else session
        if not starts or starts[-1][1] != name:
            starts.append((moment, name))
    return Timeline(starts)


class Year:
    """The hours of one venue in one year."""

    def __init__(self) -> None:
        self.week: dict[str, list[Start]] = {}  # by "Mon" to "Sun"
        self.days: dict[str, list[Start]] = {}  # exceptions from the week, by "MM-DD"

    def usual(self, day: date) -> list[Start]:
        """Return the sessions of a normal day of this weekday."""
        return self.week.get(WEEK[day.weekday()], [])

    def hours(self, day: date) -> list[Start]:
        """Return the sessions of a day; an empty list if none begins or ends on it."""
        return self.days.get(f"{day:%m-%d}", self.usual(day))


def _is_unusual(venue: str, year: Year, day: date) -> bool:
    hours = year.hours(day)
    if (venue, day) in _corrections:
        hours = corrected(year.usual(day), _corrections[venue, day])
    return hours != year.usual(day)


def _starts(venue: str) -> Iterator[tuple[datetime, str | None]]:
    (zone, years), at_midnight = _calendar()[venue], "closed"

    def utc(day: date, clock: time = time()) -> datetime:
        return datetime.combine(day, clock, zone).astimezone(UTC)

    for number, year in sorted(years.items()):
        day, end = date(number, 1, 1), date(number + 1, 1, 1)
        if number - 1 not in years:
            yield utc(day), "closed"
        while day < end:
            hours = year.hours(day)
            if (venue, day) in _corrections:
                yield utc(day), "closed"
                for clock, name in corrected(year.usual(day), _corrections[venue, day]):
                    yield utc(day, clock), name
                yield utc(day + DAY), hours[-1][1] if hours else at_midnight
            else:
                for clock, name in hours:
                    yield utc(day, clock), name
            at_midnight = hours[-1][1] if hours else at_midnight
            day += DAY
        if number + 1 not in years:
            yield utc(end), None


@lru_cache(maxsize=16_384)  # five years of eight venues
def _assumed_periods(venue: str | None, day: date) -> tuple[Period, ...]:
    zone: tzinfo = UTC if venue is None else _calendar()[venue][0]
    starts: list[Start] = [(time(), "regular")]
    if venue is not None:
        starts = [(time(), _at_midnight(venue, day)), *_assumed_hours(venue, day)]
    moments = [datetime.combine(day, clock, zone) for clock, _ in starts]
    moments.append(datetime.combine(day + DAY, time(), zone))
    seconds = [int(each.timestamp()) // 60 * 60 for each in moments]
    periods = (
        Period(begin, end, name == "regular")
        for (begin, end), (_, name) in zip(pairwise(seconds), starts, strict=True)
        if begin < end
    )
    return tuple(periods)


def _at_midnight(venue: str, day: date) -> str:
    if (venue, day) in _corrections:
        return "closed"
    before = (_assumed_hours(venue, day - number * DAY) for number in range(1, 8))
    return next((hours[-1][1] for hours in before if hours), "closed")


def _assumed_hours(venue: str, day: date) -> list[Start]:
    years = _calendar()[venue][1]
    known = min(max(day.year, min(years)), max(years))
    if (venue, day) in _corrections and day.year == known:
        return corrected(years[known].usual(day), _corrections[venue, day])
    return years[known].hours(day) if day.year == known else years[known].usual(day)


_corrections: dict[tuple[str, date], Trading] = {}  # of this process


def corrected(usual: list[Start], trading: Trading) -> list[Start]:
    """Return the sessions of a day with other regular hours than usual."""
    if trading is None:
        return []
    opens, closes = trading
    hours = [(clock, name) for clock, name in usual if name == "pre" and clock < opens]
    hours.append((opens, "regular"))
    for (clock, name), (ends, _) in pairwise(usual):
        if name == "break" and opens < clock and ends < closes:
            hours += [(clock, "break"), (ends, "regular")]
        if name == "post":
            hours.append((closes, "post"))
            closes = _later(closes, clock, ends)
    return [*hours, (closes, "closed")]


def _later(clock: time, begins: time, ends: time) -> time:
    """Return a time as much later as one time is after another, within the same day."""
    day = date(2000, 1, 1)
    span = datetime.combine(day, ends) - datetime.combine(day, begins)
    later = datetime.combine(day, clock) + span
    return later.time() if later.date() == day else time.max


@cache
def _calendar() -> dict[str, tuple[ZoneInfo, dict[int, Year]]]:
    found: dict[str, tuple[ZoneInfo, dict[int, Year]]] = {}
    with CALENDAR.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            _, years = found.setdefault(row["venue"], (ZoneInfo(row["zone"]), {}))
            year, hours = years.setdefault(int(row["year"]), Year()), read_hours(row["hours"])
            for day in row["days"].split():
                (year.week if day in WEEK else year.days)[day] = hours
    return found


def read_hours(text: str) -> list[Start]:
    """Return a day's sessions from a text: "09:30 regular 16:00 closed", or "closed"."""
    words = text.split() if text != "closed" else []
    return [
        (time.fromisoformat(clock), name)
        for clock, name in zip(words[::2], words[1::2], strict=True)
    ]
