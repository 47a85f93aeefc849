"""The calendar: the hours of each venue on each day, from sessions.csv.

For each venue and year, the file has the hours of a normal week, of half days and of holidays, in
the venue's own time zone. The operator may correct single days.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

CALENDAR = Path(__file__).with_name("sessions.csv")
COLUMNS = ("venue", "zone", "year", "hours", "days")
WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY = timedelta(days=1)

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

CORRECTIONS: dict[tuple[str, date], Trading] = {}  # of this process, see `sessions.correct`


class Period(NamedTuple):
    """A part of a day. Times are whole minutes, in seconds since 1970."""

    begin: int
    end: int
    regular: bool  # whether it is regular trading


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


@cache
def calendar() -> dict[str, tuple[ZoneInfo, dict[int, Year]]]:
    """Return the time zone and the years of each venue."""
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


def is_unusual(venue: str, year: Year, day: date) -> bool:
    """Return whether a venue has other regular hours on a day than on its weekday."""
    hours = year.hours(day)
    if (venue, day) in CORRECTIONS:
        hours = corrected(year.usual(day), CORRECTIONS[venue, day])
    return hours != year.usual(day)


@lru_cache(maxsize=16_384)  # five years of eight venues
def periods_of(venue: str | None, day: date) -> tuple[Period, ...]:
    """Return the periods of a day, see `sessions.assumed_periods`."""
    zone: tzinfo = UTC if venue is None else calendar()[venue][0]
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
    if (venue, day) in CORRECTIONS:
        return "closed"
    before = (_assumed_hours(venue, day - number * DAY) for number in range(1, 8))
    return next((hours[-1][1] for hours in before if hours), "closed")


def _assumed_hours(venue: str, day: date) -> list[Start]:
    years = calendar()[venue][1]
    known = min(max(day.year, min(years)), max(years))
    if (venue, day) in CORRECTIONS and day.year == known:
        return corrected(years[known].usual(day), CORRECTIONS[venue, day])
    return years[known].hours(day) if day.year == known else years[known].usual(day)
