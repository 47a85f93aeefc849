"""Timelines: all sessions of a venue in order of time, with the corrections of the operator."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache

from quotes.sessions.calendar import CORRECTIONS, DAY, calendar, corrected

TRADING = ("regular", "break")  # sessions from the first opening of a day to its close


@dataclass(frozen=True, slots=True)
class Session:
    """The session of a market at a moment. Times are aware UTC, or None if they are not known."""

    name: str  # one of quotes.quote.SESSIONS
    since: datetime | None = None  # its beginning, or that of the calendar
    until: datetime | None = None  # its end, or that of the calendar
    next_open: datetime | None = None  # the next beginning of regular trading


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


@cache
def timeline(venue: str, extended: bool) -> Timeline:
    """Return the timeline of a venue, with or without the hours before and after trading."""
    starts: list[tuple[datetime, str | None]] = []
    for moment, session in _starts(venue):
        name = "closed" if session in ("pre", "post") and not extended else session
        if not starts or starts[-1][1] != name:
            starts.append((moment, name))
    return Timeline(starts)


def _starts(venue: str) -> Iterator[tuple[datetime, str | None]]:
    (zone, years), at_midnight = calendar()[venue], "closed"

    def utc(day: date, clock: time = time()) -> datetime:
        return datetime.combine(day, clock, zone).astimezone(UTC)

    for number, year in sorted(years.items()):
        day, end = date(number, 1, 1), date(number + 1, 1, 1)
        if number - 1 not in years:
            yield utc(day), "closed"
        while day < end:
            hours = year.hours(day)
            if (venue, day) in CORRECTIONS:
                yield utc(day), "closed"
                for clock, name in corrected(year.usual(day), CORRECTIONS[venue, day]):
                    yield utc(day, clock), name
                yield utc(day + DAY), hours[-1][1] if hours else at_midnight
            else:
                for clock, name in hours:
                    yield utc(day, clock), name
            at_midnight = hours[-1][1] if hours else at_midnight
            day += DAY
        if number + 1 not in years:
            yield utc(end), None
