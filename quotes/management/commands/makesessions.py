"""`manage.py makesessions [VENUE …] [--until YEAR] [--file FILE]`: write sessions.csv anew."""

from __future__ import annotations

import csv
import warnings
from argparse import ArgumentParser
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from quotes.sessions import CALENDAR, COLUMNS, DAY, VENUES, WEEK

# exchange_calendars knows regular trading only: when the hours around it begin and end
PRE_FROM = {"XNYS": "04:00"}
POST_HOURS = {"XNYS": 4}  # after the close, on half days too

Row = tuple[str, ...]


class Command(BaseCommand):
    """Write the calendar of market sessions."""

    help = (
        "Writes quotes/sessions.csv anew from the package exchange_calendars, which “make setup” "
        "brings: from this year on, as far as it knows each venue. The file is complete after "
        "each venue, so this may be stopped at any time and started again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the venues and the last year."""
        parser.add_argument(
            "venue", nargs="*", help=f"some of {', '.join(VENUES)}; without one, all of them"
        )
        parser.add_argument("--until", type=int, metavar="YEAR", help="default: two years on")
        parser.add_argument("--file", type=Path, default=CALENDAR, help="another file, to compare")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write venue after venue."""
        venues = options["venue"] or list(VENUES)
        if unknown := sorted(set(venues) - VENUES.keys()):
            raise CommandError(f"unknown venue {unknown[0]!r}, use some of: {', '.join(VENUES)}")
        first = timezone.now().year
        last = options["until"] or first + 2
        if last < first:
            raise CommandError(f"--until {last} is past, use {first} or later")
        try:
            for number, venue in enumerate(venues, 1):
                self.stdout.write(f"{number} of {len(venues)}: {venue} … ", ending="")
                self.stdout.flush()
                made = list(make(venue, first, last))
                kept = [row for row in read(options["file"]) if row[0] != venue]
                write(options["file"], sorted([*kept, *made], key=lambda row: row[0]))
                self.stdout.write(f"until {made[-1][2]}, {len(made)} rows")
                self.stdout.flush()
        except KeyboardInterrupt as error:
            raise CommandError(
                "stopped, and the file is whole: start again, or name the venues that are left"
            ) from error


def read(file: Path) -> list[Row]:
    """Read the rows that there are."""
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as text:
        return [tuple(row) for row in csv.reader(text)][1:]


def write(file: Path, rows: list[Row]) -> None:
    """Write all rows, or nothing."""
    beside = file.with_suffix(".new")
    with beside.open("w", encoding="utf-8", newline="") as text:
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    beside.replace(file)


def make(venue: str, first: int, last: int) -> Iterator[Row]:
    """Yield the rows of a venue from one year to another, or to the last that is known whole."""
    zone, hours = read_package(venue, first, last)
    for year in range(first, max(hours).year + 1):
        for text, days in divide({day: text for day, text in hours.items() if day.year == year}):
            yield venue, zone, str(year), text, " ".join(days)


def divide(hours: dict[date, str]) -> list[tuple[str, list[str]]]:
    """Gather the days of a year by their hours: usual ones by weekday, then those that differ."""
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
    """Ask exchange_calendars for the zone of a venue and the hours of each day."""
    try:
        import exchange_calendars  # noqa: PLC0415  164 MB with pandas, for development only
    except ImportError as error:
        raise CommandError(
            "exchange_calendars is missing: “make setup” installs it, "
            "or “pip install exchange_calendars”"
        ) from error

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas tells it what will change one day
        calendar = exchange_calendars.get_calendar(venue, f"{first}-01-01", f"{first}-12-31")
        bound = calendar.bound_max()
        end = date(last, 12, 31)
        while bound is not None and end > bound.date():
            end = date(end.year - 1, 12, 31)
        calendar = exchange_calendars.get_calendar(venue, f"{first}-01-01", end.isoformat())
        opened = {
            row.Index.date(): words(venue, calendar.tz, row)
            for row in calendar.schedule.itertuples()
        }
    days, hours = date(first, 1, 1), {}
    while days <= end:
        hours[days] = opened.get(days, "closed")
        days += DAY
    return str(calendar.tz), hours


def words(venue: str, zone: Any, row: Any) -> str:
    """Write a day's hours: "09:30 regular 16:00 closed"."""

    def clock(moment: Any, later: int = 0) -> str:
        local = moment.tz_convert(zone)
        return f"{local.replace(hour=local.hour + later):%H:%M}"

    turns = [f"{PRE_FROM[venue]} pre"] if venue in PRE_FROM else []
    turns.append(f"{clock(row.open)} regular")
    if row.break_start == row.break_start:  # NaT, where there is none, equals nothing
        turns += [f"{clock(row.break_start)} break", f"{clock(row.break_end)} regular"]
    if venue in POST_HOURS:
        turns.append(f"{clock(row.close)} post")
    turns.append(f"{clock(row.close, POST_HOURS.get(venue, 0))} closed")
    return " ".join(turns)
