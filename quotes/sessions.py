"""Sessions: when the markets of the world are open, by a calendar that stands in sessions.csv.

The calendar says for each venue and year the hours of a normal week, of half days and holidays, in
the venue's own time zone. What it does not say is not known; nothing here guesses.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

CALENDAR = Path(__file__).with_name("sessions.csv")
COLUMNS = ("venue", "zone", "year", "hours", "days")
WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
TRADING = ("regular", "break")  # of one day, from its first opening to its close
DAY = timedelta(days=1)
AHEAD = timedelta(minutes=1)  # before a session begins, prices are asked for again
IN_TIME = timedelta(days=60)  # before the calendar ends, the log tells of it
SETTLED = timedelta(minutes=30)  # after its end, auctions are over and late prices have come
CLOSING = timedelta(minutes=3)  # about an end that after hours follow: last trades and auction
INDEX_SETTLED = timedelta(hours=2)  # nobody trades an index: Nasdaq's are told until 17:16

# Names of exchanges, by the venue whose hours they keep. An index keeps those of its shares.
VENUES = {
    "XASX": ("ASX",),
    "XBOM": ("BSE", "NSE"),
    "XETR": ("XETRA",),
    "XHKG": ("HKEX", "HKSE"),
    "XKRX": ("KRX",),
    "XLON": ("LSE", "FTSE"),
    "XNYS": (
        "NYSE", "NYSE ARCA", "ARCA", "NYSE AMERICAN", "NASDAQ", "XNAS", "CBOE BZX", "CBOE",
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

Turn = tuple[time, str]  # when, on the venue's clock, which session begins


@dataclass(frozen=True, slots=True)
class Session:
    """What a market does at a moment. Times are aware UTC, None where they are not known."""

    name: str  # one of quotes.quote.SESSIONS
    since: datetime | None = None  # or when the calendar begins
    until: datetime | None = None  # or when the calendar ends
    next_open: datetime | None = None  # of regular trading


ALWAYS = Session("always")


def at(exchange: str, kind: str, now: datetime) -> Session | None:
    """Return the session of a symbol's market at an aware time; None where it is not known."""
    if kind == "crypto":
        return ALWAYS
    line = _timeline_of(exchange, kind)
    return None if line is None else line.at(now)


def worth_asking(exchange: str, kind: str, now: datetime, asked_at: datetime | None = None) -> bool:
    """Say whether a price may differ from the one that was last got, at `asked_at` if ever.

    It may while the market is open or its hours are not known, from a minute before that, and
    afterwards until it was got once half an hour after the end. Times are aware.
    """
    session = at(exchange, kind, now)
    if session is None or session.name not in ("closed", "break"):
        return True
    if asked_at is None or session.since is None or session.until is None:
        return True
    return asked_at < session.since + SETTLED or now >= session.until - AHEAD


def price_of(exchange: str, kind: str, now: datetime, made_at: datetime, heard_at: datetime) -> str:
    """Say what a price is of: "close" of the last regular trading, "post" for after that, or "".

    It was made at `made_at`, and still the last one at `heard_at`: what nobody heard of until the
    end is no close. Times are aware.
    """
    line = _timeline_of(exchange, kind)
    day = None if line is None else line.trading_before(now)
    if line is None or day is None:
        return ""
    (began, ended), after = day, line.at(day[1])
    trades_on = after is not None and after.name == "post"
    late = INDEX_SETTLED if kind == "index" else CLOSING if trades_on else SETTLED
    if began <= made_at < ended + late:
        return "close" if heard_at >= ended - CLOSING else ""
    return "post" if trades_on and line.at(made_at) == after else ""


def zone(exchange: str) -> ZoneInfo | None:
    """Return the time zone of an exchange, by any of its names; None where it is not known."""
    venue = VENUE_OF.get(exchange.upper())
    return None if venue is None else _calendar()[venue][0]


def ending(exchanges: Iterable[str], today: date) -> dict[str, date]:
    """Return the last known day of those exchanges whose hours are known for sixty days at most."""
    venues = {name: VENUE_OF[name.upper()] for name in exchanges if name.upper() in VENUE_OF}
    last = {name: date(max(_calendar()[venue][1]), 12, 31) for name, venue in venues.items()}
    return {name: day for name, day in sorted(last.items()) if day - today <= IN_TIME}


class Timeline:
    """All turns from one session to the next at one venue, in order."""

    def __init__(self, turns: list[tuple[datetime, str | None]]) -> None:
        self.moments = [moment for moment, _ in turns]
        self.names = [name for _, name in turns]  # None: from here on, nothing is known

    def at(self, now: datetime) -> Session | None:
        """Return the session at a moment."""
        here = bisect_right(self.moments, now) - 1
        name = self.names[here] if here >= 0 else None
        if name is None:
            return None
        until = self.moments[here + 1]
        return Session(name, self.moments[here], until, self._next_open(here + 1))

    def trading_before(self, now: datetime) -> tuple[datetime, datetime] | None:
        """Return when a day's regular trading last began and ended, which may have had a break."""
        end = bisect_right(self.moments, now)
        while end > 0 and self.names[end - 1] not in TRADING:
            end -= 1
        begin = end
        while begin > 0 and self.names[begin - 1] in TRADING:
            begin -= 1
        return (self.moments[begin], self.moments[end]) if begin < end else None

    def _next_open(self, index: int) -> datetime | None:
        while (name := self.names[index]) is not None:
            if name == "regular":
                return self.moments[index]
            index += 1
        return None


def _timeline_of(exchange: str, kind: str) -> Timeline | None:
    venue = VENUE_OF.get(exchange.upper())
    return None if venue is None else timeline(venue, kind != "index")


@cache
def timeline(venue: str, extended: bool) -> Timeline:
    """Return the timeline of a venue, with or without its hours before and after the regular."""
    turns: list[tuple[datetime, str | None]] = []
    for moment, turn in _turns(venue):
        name = "closed" if turn in ("pre", "post") and not extended else turn
        if not turns or turns[-1][1] != name:
            turns.append((moment, name))
    return Timeline(turns)


class Year:
    """The hours of one venue in one year."""

    def __init__(self) -> None:
        self.week: dict[str, list[Turn]] = {}
        self.days: dict[str, list[Turn]] = {}  # by "MM-DD", those that differ from the week's

    def hours(self, day: date) -> list[Turn]:
        """Return the turns of a day; none where it is closed."""
        usual = self.week.get(WEEK[day.weekday()], [])
        return self.days.get(f"{day:%m-%d}", usual)


def _turns(venue: str) -> Iterator[tuple[datetime, str | None]]:
    zone, years = _calendar()[venue]

    def utc(day: date, clock: time = time()) -> datetime:
        return datetime.combine(day, clock, zone).astimezone(UTC)

    for number, year in sorted(years.items()):
        day, end = date(number, 1, 1), date(number + 1, 1, 1)
        if number - 1 not in years:
            yield utc(day), "closed"
        while day < end:
            for clock, name in year.hours(day):
                yield utc(day, clock), name
            day += DAY
        if number + 1 not in years:
            yield utc(end), None


@cache
def _calendar() -> dict[str, tuple[ZoneInfo, dict[int, Year]]]:
    found: dict[str, tuple[ZoneInfo, dict[int, Year]]] = {}
    with CALENDAR.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            _, years = found.setdefault(row["venue"], (ZoneInfo(row["zone"]), {}))
            year, turns = years.setdefault(int(row["year"]), Year()), read_hours(row["hours"])
            for day in row["days"].split():
                (year.week if day in WEEK else year.days)[day] = turns
    return found


def read_hours(text: str) -> list[Turn]:
    """Read a day's hours: "09:30 regular 16:00 closed", or "closed" for none."""
    words = text.split() if text != "closed" else []
    return [
        (time.fromisoformat(clock), name)
        for clock, name in zip(words[::2], words[1::2], strict=True)
    ]
