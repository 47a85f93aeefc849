"""Sessions: when the market of a symbol is open.

Sessions outside the calendar are unknown; nothing here guesses.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from quotes import kinds
from quotes.sessions.calendar import (
    CORRECTIONS,
    DAY,
    VENUE_OF,
    VENUES,
    Corrections,
    Period,
    calendar,
    is_unusual,
    periods_of,
)
from quotes.sessions.timeline import Session, Timeline, timeline

__all__ = ["VENUES", "VENUE_OF", "Corrections", "Period", "Session", "timeline"]

OUT_OF_HOURS = ("pre", "post", "closed")  # a break at noon belongs to the hours of a day
AFTER = ("post", "closed")  # sessions that can follow the end of regular trading
POLL_AHEAD = timedelta(minutes=1)  # polls begin this long before the next session
WARN_AHEAD = timedelta(days=31)  # the log warns in December, when venues publish their holidays
SETTLED = timedelta(minutes=30)  # after trading: auctions are over, late prices have arrived
CLOSING = timedelta(minutes=3)  # around the end of trading: last trades and the closing auction

ALWAYS = Session("always")


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


def last_traded_day(exchange: str, kind: str, now: datetime) -> date:
    """Return the newest day of a market whose regular trading has ended.

    If its hours are not known, or it never closes, that is the day before, in UTC.
    """
    line = _timeline_of(exchange, kind)
    trading = line.trading_before(now) if line else None
    if line and trading and trading[1] > now:
        trading = line.trading_before(trading[0] - timedelta.resolution)
    if trading is None:
        return now.astimezone(UTC).date() - DAY
    return day_of(exchange, kind, trading[0])


def is_after_day(exchange: str, kind: str, ends: datetime, made_at: datetime) -> bool:
    """Return whether a price is from a later day of trading than the one that ended at `ends`.

    Before the market opens, the previous close of such a price is the last price of that day.
    Times are aware.
    """
    if made_at <= ends:
        return False
    ended = day_of(exchange, kind, ends - timedelta.resolution)
    return day_of(exchange, kind, made_at) != ended


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
    years = {} if venue is None else calendar()[venue][1]
    found = ((day, years[day.year]) for day in days if day.year in years)
    return [day for day, year in found if venue and is_unusual(venue, year, day)]


def zone(exchange: str, kind: str) -> ZoneInfo | None:
    """Return the time zone of a symbol's market; None if it is not known, or always open."""
    venue = _venue_of(exchange, kind)
    return None if venue is None else calendar()[venue][0]


def assumed_periods(exchange: str, kind: str, day: date) -> tuple[Period, ...]:
    """Return the periods of a day on the clock of a symbol's market, for a simulation of it.

    Years outside the calendar have the normal week of the nearest year, without holidays. A market
    that is always open, or whose hours are not known, has one period: a day of UTC.
    """
    return periods_of(_venue_of(exchange, kind), day)


def knows(exchange: str, kind: str) -> bool:
    """Return whether the hours of an exchange are known, or do not matter for the kind."""
    return not exchange or kinds.of(kind).venue is not None or exchange.upper() in VENUE_OF


def correct(corrections: Corrections) -> None:
    """Replace the regular hours of these days in this process, and no longer those of others.

    Hours before and after trading, and a break at noon, follow from those of a normal day. Days
    outside the years of the calendar stay unknown.
    """
    if corrections != CORRECTIONS:
        CORRECTIONS.clear()
        CORRECTIONS.update(corrections)
        timeline.cache_clear()
        periods_of.cache_clear()


def corrections() -> Corrections:
    """Return the hours that `correct` was given last in this process."""
    return dict(CORRECTIONS)


def years(venue: str) -> tuple[int, int]:
    """Return the first and the last year in the calendar of a venue."""
    known = calendar()[venue][1]
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
    last = {name: date(max(calendar()[venue][1]), 12, 31) for name, venue in venues.items()}
    return {name: day for name, day in sorted(last.items()) if day - today <= WARN_AHEAD}


def _venue_of(exchange: str, kind: str) -> str | None:
    venue = kinds.of(kind).venue
    return VENUE_OF.get(exchange.upper() if venue is None else venue)


def _timeline_of(exchange: str, kind: str) -> Timeline | None:
    venue = _venue_of(exchange, kind)
    return None if venue is None else timeline(venue, kinds.of(kind).extended)
