"""`manage.py makesessions [VENUE …] [--until YEAR] [--file FILE]`: renew sessions.csv."""

from __future__ import annotations

import csv
import warnings
from argparse import ArgumentParser
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from quotes.management.terminal import ProgressLine, stops_on_control_c
from quotes.sessions.calendar import CALENDAR, COLUMNS, DAY, VENUES, WEEK

# exchange_calendars knows regular trading only; these are the hours before and after it
PRE_FROM = {"XNYS": "04:00"}
POST_HOURS = {"XNYS": 4}  # after the close, on half days too

# Days that the package lacks. Korea: the local election, Constitution Day and the substitutes of
# holidays by the Public Holidays Act of 2026, and the day of the exam for universities. India: the
# budget on a Sunday. The hours of its evening of 8 November 2026 are not known here. Futures of the
# CME group end at noon on Juneteenth.
DECIDED = {
    ("XKRX", date(2026, 6, 3)): "closed",
    ("XKRX", date(2026, 7, 17)): "closed",
    ("XKRX", date(2026, 11, 19)): "10:00 regular 16:30 closed",
    ("XKRX", date(2027, 5, 3)): "closed",
    ("XKRX", date(2027, 7, 19)): "closed",
    ("XKRX", date(2028, 7, 17)): "closed",
    ("XBOM", date(2026, 2, 1)): "09:15 regular 15:30 closed",
    ("CMES", date(2026, 6, 19)): "12:00 closed",
    ("CMES", date(2027, 6, 18)): "12:00 closed",
    ("CMES", date(2028, 6, 19)): "12:00 break 17:00 regular",
}

# The package lets futures trade all day; on normal days they rest from 16:00 to 17:00.
RESTS = {"CMES": (time(16), time(17))}
# Trade in currencies goes on from Sunday to Friday, and days begin at 17:00 in New York.
CURRENCIES, NEW_YORK, DAY_BEGINS = "FX", "America/New_York", "17:00"
HOLIDAYS = ((1, 1), (12, 25))  # of trade in currencies, as (month, day)
FRIDAY = 4  # of date.weekday()

Row = tuple[str, ...]


class Command(BaseCommand):
    """Write the calendar of market sessions."""

    help = (
        "Renews quotes/sessions/sessions.csv from the package exchange_calendars, which “make "
        "setup” installs. It writes this year and all later years for which the package has the "
        "hours of a venue. The file is valid after each venue, so you can stop the command at any "
        "time and run it again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the venues, the last year and the file."""
        parser.add_argument(
            "venue", nargs="*", help=f"one or more of: {', '.join(VENUES)} (default: all)"
        )
        parser.add_argument(
            "--until", type=int, metavar="YEAR", help="last year (default: two years from now)"
        )
        parser.add_argument(
            "--file", type=Path, default=CALENDAR, help="write to another file, to compare"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write one venue after the other."""
        venues = options["venue"] or list(VENUES)
        if unknown := sorted(set(venues) - VENUES.keys()):
            raise CommandError(f"Unknown venue {unknown[0]!r}, must be one of: {', '.join(VENUES)}")
        first = timezone.now().year
        last = options["until"] or first + 2
        if last < first:
            raise CommandError(f"Unexpected --until {last}, must be {first} or later")
        stopped = (
            "Stopped. The file is valid. To continue, run the command for the remaining venues."
        )
        with stops_on_control_c(ProgressLine(self.stderr), self.stderr, stopped):
            for number, venue in enumerate(venues, 1):
                self.stdout.write(f"{number} of {len(venues)}: {venue} … ", ending="")
                self.stdout.flush()
                try:
                    rows = list(make(venue, first, last))
                except UnpublishedError:
                    unpublished = f"the hours of {first} are not published yet"
                    self.stdout.write(f"{unpublished}, keeping the old rows")
                    continue
                kept = [row for row in read(options["file"]) if row[0] != venue]
                write(options["file"], sorted([*kept, *rows], key=lambda row: row[0]))
                self.stdout.write(f"until {rows[-1][2]}, {len(rows)} rows")
                self.stdout.flush()


class UnpublishedError(Exception):
    """Raised when a venue has not published the hours of the first year yet."""


def read(file: Path) -> list[Row]:
    """Return the rows of the file, if there is one."""
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as text:
        return [tuple(row) for row in csv.reader(text)][1:]


def write(file: Path, rows: list[Row]) -> None:
    """Write all rows, or leave the file as it is."""
    new = file.with_suffix(".new")
    with new.open("w", encoding="utf-8", newline="") as text:
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    new.replace(file)


def make(venue: str, first: int, last: int) -> Iterator[Row]:
    """Yield the rows of a venue from one year to another, or to the last complete one."""
    zone, hours = read_package(venue, first, last)
    for year in range(first, max(hours).year + 1):
        for text, days in divide({day: text for day, text in hours.items() if day.year == year}):
            yield venue, zone, str(year), text, " ".join(days)


def divide(hours: dict[date, str]) -> list[tuple[str, list[str]]]:
    """Group the days of a year by their hours: usual days by weekday, then the exceptions."""
    seen: dict[str, Counter[str]] = {name: Counter() for name in WEEK}
    for day, text in hours.items():
        seen[WEEK[day.weekday()]][text] += 1
    week = {name: counter.most_common(1)[0][0] for name, counter in seen.items()}
    usual: dict[str, list[str]] = defaultdict(list)
    others: dict[str, list[str]] = defaultdict(list)
    for name, text in week.items():
        if text != "closed":
            usual[text].append(name)
    for day, text in sorted(hours.items()):
        if text != week[WEEK[day.weekday()]]:
            others[text].append(f"{day:%m-%d}")
    closed_first = sorted(others.items(), key=lambda item: item[0] != "closed")
    return [*usual.items(), *closed_first]


def read_package(venue: str, first: int, last: int) -> tuple[str, dict[date, str]]:
    """Return the time zone of a venue and the hours of each day, from exchange_calendars.

    The package does not know the trade in currencies.
    """
    if venue == CURRENCIES:
        years = range(first, last + 1)
        return NEW_YORK, {day: hours_of_currencies(day) for year in years for day in days_of(year)}
    try:
        import exchange_calendars  # noqa: PLC0415  164 MB with pandas, for development only
    except ImportError as error:
        raise CommandError(
            "exchange_calendars is missing: install it with “make setup” "
            "or “pip install exchange_calendars”."
        ) from error

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations in pandas
        try:
            calendar = exchange_calendars.get_calendar(venue, f"{first}-01-01", f"{first}-12-31")
        except ValueError as error:  # the calendar ends earlier, and has not reported that before
            raise UnpublishedError from error
        bound = calendar.bound_max()
        end = date(last, 12, 31)
        while bound is not None and end > bound.date():
            end = date(end.year - 1, 12, 31)
        calendar = exchange_calendars.get_calendar(venue, f"{first}-01-01", end.isoformat())
        rows = list(calendar.schedule.itertuples())
        if venue in RESTS:
            opened = hours_of_futures(calendar.tz, rows, RESTS[venue])
        else:
            opened = {row.Index.date(): hours_of(venue, calendar.tz, row) for row in rows}
    years = range(first, end.year + 1)
    return str(calendar.tz), {
        day: DECIDED.get((venue, day)) or opened.get(day, "closed")
        for year in years
        for day in days_of(year)
    }


def days_of(year: int) -> Iterator[date]:
    """Yield all days of a year."""
    first, last = date(year, 1, 1), date(year, 12, 31)
    yield from (first + DAY * number for number in range((last - first).days + 1))


def hours_of_currencies(day: date) -> str:
    """Return when trade in currencies begins or ends on a day: "17:00 regular"."""

    def trades(day: date) -> bool:
        return day.weekday() <= FRIDAY and (day.month, day.day) not in HOLIDAYS

    before, after = trades(day), trades(day + DAY)  # the trading day of before and after 17:00
    if before == after:
        return "closed"  # nothing begins or ends
    return f"{DAY_BEGINS} {'regular' if after else 'closed'}"


def hours_of_futures(zone: Any, rows: list[Any], rest: tuple[time, time]) -> dict[date, str]:
    """Return, by day, when futures begin, rest and end. Their sessions begin on the day before."""
    usual, opens_again = rest
    turns: dict[date, list[str]] = defaultdict(list)
    opened = {row.open.tz_convert(zone).date() for row in rows}
    for row in rows:
        opens, closes = row.open.tz_convert(zone), row.close.tz_convert(zone)
        ends = min(closes.time(), usual)
        pauses = closes.date() in opened and ends < opens_again
        turns[opens.date()].append(f"{opens:%H:%M} regular")
        turns[closes.date()].insert(0, f"{ends:%H:%M} {'break' if pauses else 'closed'}")
    return {day: " ".join(texts) for day, texts in turns.items()}


def hours_of(venue: str, zone: Any, row: Any) -> str:
    """Return a day's hours: "09:30 regular 16:00 closed"."""

    def clock(moment: Any, later: int = 0) -> str:
        local = moment.tz_convert(zone)
        return f"{local.replace(hour=local.hour + later):%H:%M}"

    turns = [f"{PRE_FROM[venue]} pre"] if venue in PRE_FROM else []
    turns.append(f"{clock(row.open)} regular")
    if row.break_start == row.break_start:  # without a break it is NaT, which equals nothing
        turns += [f"{clock(row.break_start)} break", f"{clock(row.break_end)} regular"]
    if venue in POST_HOURS:
        turns.append(f"{clock(row.close)} post")
    turns.append(f"{clock(row.close, POST_HOURS.get(venue, 0))} closed")
    return " ".join(turns)
