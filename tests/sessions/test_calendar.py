"""Market sessions: our calendar has the same hours as exchange_calendars, and no others."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import exchange_calendars
import pytest
from django.core.management import CommandError, call_command
from hypothesis import assume, given
from hypothesis import strategies as st
from pandas import Timestamp

from quotes import catalogue, sessions
from quotes.live.live import Live
from quotes.management.commands import makesessions
from quotes.management.commands.makesessions import DECIDED
from quotes.models import Symbol
from quotes.quote import SESSIONS
from quotes.sessions import (
    POLL_AHEAD,
    SETTLED,
    VENUE_OF,
    VENUES,
    Session,
    at,
    may_differ,
    of_price,
    price_label,
)
from quotes.sessions.calendar import CALENDAR, calendar, corrected
from tests.examples import examples
from tests.servers import ROOT, environment

# deprecations in pandas, which exchange_calendars uses
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:(pandas|exchange_calendars)")

ROWS = list(csv.DictReader(CALENDAR.read_text().splitlines()))
YEARS = {v: sorted({int(row["year"]) for row in ROWS if row["venue"] == v}) for v in VENUES}
OWN_CALENDARS = {  # in exchange_calendars; here these exchanges share another venue's hours
    "NASDAQ": "XNAS",
    "NYSE ARCA": "ARCX",
    "EURONEXT AMSTERDAM": "XAMS",
    "EURONEXT BRUSSELS": "XBRU",
    "EURONEXT LISBON": "XLIS",
    "BSE": "BSE",
}
ALL_WEEK = {"CMES", "FX"}  # venues that are open from Sunday to Friday
EXCHANGES = sorted((VENUES.keys() - ALL_WEEK) | OWN_CALENDARS.keys())
NEW_YORK = ZoneInfo("America/New_York")
CHICAGO = ZoneInfo("America/Chicago")
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)
two_hundred = examples(200)


@cache
def package(exchange: str) -> Any:
    """Return the calendar of an exchange in exchange_calendars, for the years of our file."""
    venue = VENUE_OF[exchange]
    first, last = f"{YEARS[venue][0]}-01-01", f"{YEARS[venue][-1]}-12-31"
    return exchange_calendars.get_calendar(OWN_CALENDARS.get(exchange, venue), first, last)


@cache
def turns(exchange: str) -> list[datetime]:
    """Return all times at which an exchange opens, breaks or closes, by exchange_calendars."""
    moments = package(exchange).schedule.to_numpy().ravel()
    return sorted(moment.to_pydatetime() for moment in moments if moment == moment)


def bounds(exchange: str) -> tuple[datetime, datetime]:
    """Return the first and the last minute of trading that the package knows."""
    return turns(exchange)[0], turns(exchange)[-1] - MINUTE


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, datetime]:
    """Draw an exchange and a moment: any, near a change of session, or near one of the clocks."""
    exchange = draw(st.sampled_from(EXCHANGES))
    first, last = bounds(exchange)
    seconds = int((last - first).total_seconds())
    anywhere = st.integers(0, seconds).map(lambda s: first + s * SECOND)
    close = st.tuples(
        st.sampled_from(turns(exchange)), st.sampled_from((-SECOND, -TICK, 0, SECOND))
    )
    about = st.tuples(
        st.sampled_from(clock_changes(exchange)), st.integers(-4 * 24 * 60, 4 * 24 * 60)
    )
    moment = draw(
        anywhere
        | close.map(lambda pair: pair[0] + (pair[1] or timedelta()))
        | about.map(lambda pair: pair[0] + pair[1] * MINUTE)
    )
    moment = min(max(moment, first), last)
    venue = VENUE_OF[exchange]
    decided = (datetime.combine(day, time(), UTC) for at, day in DECIDED if at == venue)
    assume(all(abs(moment - day) > timedelta(days=10) for day in decided))  # ten: over New Year
    return exchange, moment


@cache
def clock_changes(exchange: str) -> list[datetime]:
    """Return the days on which the clocks of an exchange change, or its first day if none do."""
    zone, (day, last) = ZoneInfo(str(package(exchange).tz)), bounds(exchange)
    found = [day]
    while (day := day + DAY) < last:
        if day.astimezone(zone).utcoffset() != (day - DAY).astimezone(zone).utcoffset():
            found.append(day)
    return found[1:] or found


def trades(exchange: str, now: datetime, *, through_lunch: bool = False) -> bool:
    """Return whether an exchange is open, by exchange_calendars."""
    return package(exchange).is_open_at_time(Timestamp(now), "left", through_lunch)


def known(exchange: str, kind: str, now: datetime) -> Session:
    session = at(exchange, kind, now)
    assert session is not None
    return session


def new_york(*given: int) -> datetime:
    return datetime(*given, tzinfo=NEW_YORK)


class TestAgainstExchangeCalendars:
    @two_hundred
    @given(moments(), st.sampled_from(["stock", "etf", "index"]))
    def test_a_market_is_open_when_it_is_open_in_the_package(
        self, given: tuple[str, datetime], kind: str
    ):
        exchange, now = given
        session, is_open = known(exchange, kind, now), trades(exchange, now)
        assert (session.name == "regular") == is_open
        at_lunch = not is_open and trades(exchange, now, through_lunch=True)
        assert (session.name == "break") == at_lunch
        assert session.name in SESSIONS

    @two_hundred
    @given(moments(), st.sampled_from(["stock", "index"]))
    def test_the_next_opening_is_that_of_the_package(self, given: tuple[str, datetime], kind: str):
        exchange, now = given
        session = known(exchange, kind, now)
        later = turns(exchange)[bisect_right(turns(exchange), now) : -1]  # the last one is a close
        opens = next((turn for turn in later if trades(exchange, turn)), None)
        if session.name != "regular":
            assert session.next_open == opens

    @two_hundred
    @given(moments(), st.sampled_from(["stock", "index"]))
    def test_a_session_includes_its_beginning_and_excludes_its_end(
        self, given: tuple[str, datetime], kind: str
    ):
        exchange, now = given
        session = known(exchange, kind, now)
        assert session.since is not None
        assert session.until is not None
        assert session.since <= now < session.until
        assert known(exchange, kind, session.since) == session
        assert known(exchange, kind, session.until - TICK) == session
        after = at(exchange, kind, session.until)
        assert after is None or (after.name != session.name and after.since == session.until)

    @two_hundred
    @given(moments(), st.sampled_from(["stock", "index"]))
    def test_a_closing_price_was_made_on_the_last_day_of_trading(
        self, given: tuple[str, datetime], kind: str
    ):
        exchange, now = given
        since = known(exchange, kind, now).since
        if since is None or trades(exchange, now, through_lunch=True) or now <= turns(exchange)[1]:
            return
        day = package(exchange).minute_to_past_session(Timestamp(now), 1)
        opened = package(exchange).session_open(day).to_pydatetime()
        closed = package(exchange).session_close(day).to_pydatetime()

        def of(made_at: datetime, as_of: datetime = now) -> str:
            return price_label(exchange, kind, since, made_at, as_of)

        assert {of(opened), of(closed - TICK), of(closed), of(closed + MINUTE)} == {"close"}
        assert of(opened - TICK) == ""
        assert of(closed - 5 * MINUTE, closed - 5 * MINUTE) == ""
        assert of(closed + timedelta(hours=2)) in ("", "post")

    @two_hundred
    @given(moments())
    def test_only_american_shares_trade_before_and_after_hours(self, given: tuple[str, datetime]):
        exchange, now = given
        session, calendar = known(exchange, "stock", now), package(exchange)
        if VENUE_OF[exchange] != "XNYS":
            assert session.name not in ("pre", "post")
            return
        local = now.astimezone(NEW_YORK)
        expected = "closed"
        if calendar.is_session(str(local.date())):
            opens = calendar.session_open(str(local.date())).to_pydatetime()
            closes = calendar.session_close(str(local.date())).to_pydatetime()
            if datetime.combine(local, time(4), NEW_YORK) <= now < opens:
                expected = "pre"
            elif opens <= now < closes:
                expected = "regular"
            elif closes <= now < closes + timedelta(hours=4):
                expected = "post"
        assert session.name == expected

    @pytest.mark.parametrize("venue", ["XBOM", "XETR", "XNYS", "XTKS"])
    def test_the_command_writes_the_committed_file(self, venue: str):
        made = list(makesessions.make(venue, YEARS[venue][0], YEARS[venue][-1]))
        assert made == [tuple(row.values()) for row in ROWS if row["venue"] == venue]


@pytest.mark.parametrize(
    ("exchange", "kind", "minutes", "label"),
    [
        ("NASDAQ", "index", 76, "close"),  # Nasdaq publishes index values until 17:16
        ("NASDAQ", "index", 119, "close"),
        ("NASDAQ", "index", 120, ""),
        ("NASDAQ", "stock", 2, "close"),
        ("NASDAQ", "stock", 76, "post"),
        ("XETRA", "stock", 29, "close"),
        ("XETRA", "stock", 30, ""),
    ],
)
def test_a_close_may_come_some_time_after_trading(
    exchange: str, kind: str, minutes: int, label: str
):
    frankfurt = datetime(2026, 11, 20, 17, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    closes = new_york(2026, 11, 20, 16) if exchange == "NASDAQ" else frankfurt
    night, made_at = closes + timedelta(hours=5), closes + timedelta(minutes=minutes)
    assert price_label(exchange, kind, night, made_at, night) == label


class TestDays:
    def test_summer_time_changes_the_opening_in_utc_and_not_in_new_york(self):
        friday, monday = new_york(2026, 3, 6, 9, 30), new_york(2026, 3, 9, 9, 30)
        assert friday.astimezone(UTC).hour == 14
        assert monday.astimezone(UTC).hour == 13
        for opening in (friday, monday):
            assert known("NYSE", "stock", opening).name == "regular"
            assert known("NYSE", "stock", opening - SECOND).name == "pre"
        weekend = known("NYSE", "stock", new_york(2026, 3, 8, 12))
        assert weekend.name == "closed"
        assert weekend.next_open == monday

    def test_thanksgiving_is_closed_and_the_day_after_ends_early(self):
        thursday = known("NASDAQ", "stock", new_york(2026, 11, 26, 12))
        assert thursday.name == "closed"
        assert thursday.since == new_york(2026, 11, 25, 20)
        assert thursday.until == new_york(2026, 11, 27, 4)
        assert thursday.next_open == new_york(2026, 11, 27, 9, 30)
        assert known("NASDAQ", "stock", new_york(2026, 11, 27, 13)).name == "post"
        assert known("NASDAQ", "stock", new_york(2026, 11, 27, 17)).name == "closed"

    def test_an_index_has_the_regular_hours_of_its_shares_only(self):
        early, late = new_york(2026, 11, 23, 8), new_york(2026, 11, 23, 18)
        assert [known("NYSE", "stock", now).name for now in (early, late)] == ["pre", "post"]
        assert [known("SNP", "index", now).name for now in (early, late)] == ["closed"] * 2
        assert known("SNP", "index", early).since == new_york(2026, 11, 20, 16)

    def test_tokyo_has_a_break_at_noon(self):
        noon = datetime(2026, 11, 24, 12, 0, tzinfo=ZoneInfo("Asia/Tokyo"))
        lunch = known("TSE", "stock", noon)
        assert lunch.name == "break"
        assert (lunch.since, lunch.until) == (noon - 30 * MINUTE, noon + 30 * MINUTE)
        assert lunch.next_open == lunch.until

    def test_a_market_that_is_closed_over_new_year_has_one_session_across_both_years(self):
        eve = datetime(2026, 12, 31, 20, 0, tzinfo=UTC)
        assert known("XETRA", "stock", eve) == known("XETRA", "stock", eve + DAY)
        assert known("XETRA", "stock", eve).next_open == datetime(2027, 1, 4, 8, 0, tzinfo=UTC)

    def test_crypto_never_closes(self):
        assert at("CRYPTO", "crypto", datetime(1999, 1, 1, tzinfo=UTC)) == Session("always")
        assert at("", "crypto", datetime(2099, 1, 1, tzinfo=UTC)) == Session("always")

    def test_the_time_may_be_in_any_zone(self):
        now = new_york(2026, 11, 23, 12)
        assert at("NYSE", "stock", now) == at("NYSE", "stock", now.astimezone(UTC))

    def test_the_exchange_may_be_in_small_letters(self):
        now = new_york(2026, 11, 23, 12)
        assert at("Nasdaq", "stock", now) == at("NASDAQ", "stock", now)

    @pytest.mark.parametrize(
        ("exchange", "day", "opens", "closes"),
        [
            ("KRX", date(2026, 7, 16), "09:00", "15:30"),
            ("KRX", date(2026, 7, 17), None, None),  # Constitution Day
            ("KRX", date(2026, 11, 19), "10:00", "16:30"),  # the exam for universities
            ("KRX", date(2027, 7, 19), None, None),  # Constitution Day was a Saturday
            ("KRX", date(2027, 5, 3), None, None),  # so was Labour Day
            ("NSE", date(2026, 2, 1), "09:15", "15:30"),  # the budget, on a Sunday
        ],
    )
    def test_the_calendar_has_days_that_the_package_lacks(
        self, exchange: str, day: date, opens: str | None, closes: str | None
    ):
        assert hours(exchange, day) == ([(opens, "regular"), (closes, "closed")] if opens else [])


class TestMarketsThatAreOpenAllWeek:
    @two_hundred
    @given(st.datetimes(datetime(2026, 1, 2), datetime(2028, 12, 29), timezones=st.just(UTC)))
    def test_futures_trade_as_in_the_package_except_in_the_hour_of_rest(self, now: datetime):
        here = now.astimezone(CHICAGO)
        assume(("CMES", here.date()) not in DECIDED)
        package = exchange_calendars.get_calendar("CMES", "2026-01-01", "2028-12-31")
        trades = package.is_open_at_time(Timestamp(now), "left") and here.hour != 16
        assert (known("NYMEX", "future", now).name == "regular") == trades

    @pytest.mark.parametrize(
        ("moment", "session", "opens"),
        [
            ("2026-11-27T16:59:59-05:00", "regular", None),  # a Friday
            ("2026-11-27T17:00:00-05:00", "closed", "2026-11-29T17:00:00-05:00"),
            ("2026-11-29T16:59:59-05:00", "closed", "2026-11-29T17:00:00-05:00"),
            ("2026-11-29T17:00:00-05:00", "regular", None),
            ("2026-12-02T03:00:00-05:00", "regular", None),
            ("2026-12-25T12:00:00-05:00", "closed", "2026-12-27T17:00:00-05:00"),
            ("2027-03-12T16:59:59-05:00", "regular", None),
            ("2027-03-14T17:00:00-04:00", "regular", None),  # in summer time since that morning
            ("2028-12-25T16:59:59-05:00", "closed", "2028-12-25T17:00:00-05:00"),
        ],
    )
    def test_currencies_trade_from_sunday_to_friday_in_new_york(
        self, moment: str, session: str, opens: str | None
    ):
        found = known("", "currency", datetime.fromisoformat(moment))
        assert found.name == session
        if opens:
            assert found.next_open == datetime.fromisoformat(opens)

    def test_the_exchange_of_a_currency_pair_does_not_matter(self):
        now = datetime(2026, 11, 28, 12, tzinfo=UTC)
        assert at("NYSE", "currency", now) == at("", "currency", now)

    def test_a_fund_has_no_session_because_it_is_priced_once_a_day(self):
        assert at("NASDAQ", "fund", new_york(2026, 11, 23, 12)) is None


def hours(exchange: str, day: date) -> list[tuple[str | None, str]]:
    """Return the sessions that begin on a day, by the clock of the exchange."""
    zone = sessions.zone(exchange, "stock")
    minutes = (datetime.combine(day, time(), zone) + n * MINUTE for n in range(1, 24 * 60))
    found = [(moment, at(exchange, "stock", moment)) for moment in minutes]
    return [(f"{moment:%H:%M}", s.name) for moment, s in found if s and s.since == moment]


class TestCorrections:
    @pytest.fixture(autouse=True)
    def uncorrected(self) -> Iterator[None]:
        yield
        sessions.correct({})

    DAY = date(2026, 11, 24)  # a Tuesday

    def corrected(self, venue: str, *trading: str) -> list[tuple[str | None, str]]:
        opens, closes = (time.fromisoformat(clock) for clock in trading) if trading else (None,) * 2
        sessions.correct({(venue, self.DAY): (opens, closes) if opens and closes else None})
        return hours(venue, self.DAY)

    def test_a_day_can_be_closed_and_is_a_usual_one_again_without_its_correction(self):
        usual = hours("XKRX", self.DAY)
        assert usual == [("09:00", "regular"), ("15:30", "closed")]
        assert self.corrected("XKRX") == []
        before = datetime(2026, 11, 23, 20, tzinfo=ZoneInfo("Asia/Seoul"))
        assert known("KRX", "stock", before).next_open == before + timedelta(days=1, hours=13)
        sessions.correct({})
        assert hours("XKRX", self.DAY) == usual

    def test_a_day_can_have_other_hours(self):
        assert self.corrected("XKRX", "10:00", "16:30") == [
            ("10:00", "regular"),
            ("16:30", "closed"),
        ]

    def test_hours_before_and_after_trading_follow(self):
        assert self.corrected("XNYS", "11:00", "13:00") == [
            ("04:00", "pre"),
            ("11:00", "regular"),
            ("13:00", "post"),
            ("17:00", "closed"),
        ]
        assert self.corrected("XNYS", "03:00", "23:00")[0] == ("03:00", "regular")

    def test_a_break_stays_if_trading_goes_on_after_it(self):
        assert self.corrected("XTKS", "10:00", "14:00") == [
            ("10:00", "regular"),
            ("11:30", "break"),
            ("12:30", "regular"),
            ("14:00", "closed"),
        ]
        assert self.corrected("XTKS", "09:00", "11:30") == [
            ("09:00", "regular"),
            ("11:30", "closed"),
        ]

    def test_a_market_can_open_on_a_sunday_and_on_a_holiday(self):
        sunday, holiday = date(2026, 11, 8), date(2026, 11, 10)
        evening = (time(18), time(19))
        sessions.correct({("XBOM", sunday): evening, ("XBOM", holiday): evening})
        for day in (sunday, holiday):
            assert hours("NSE", day) == [("18:00", "regular"), ("19:00", "closed")]

    def test_a_market_that_is_open_all_week_can_be_closed_for_a_day(self):
        assert hours("CMES", self.DAY) == [("16:00", "break"), ("17:00", "regular")]
        self.corrected("CMES")
        closed = known("CME", "future", datetime(2026, 11, 24, 12, tzinfo=CHICAGO))
        assert closed.name == "closed"
        assert closed.since == datetime(2026, 11, 24, tzinfo=CHICAGO)
        assert closed.next_open == datetime(2026, 11, 25, tzinfo=CHICAGO)

    def test_a_market_that_is_open_all_week_can_end_early_for_a_day(self):
        self.corrected("CMES", "00:00", "12:00")
        night = datetime(2026, 11, 24, 1, tzinfo=CHICAGO)
        assert known("CME", "future", night).name == "regular"
        assert known("CME", "future", night).until == night + timedelta(hours=11)
        assert known("CME", "future", night + timedelta(hours=11)).next_open == night + DAY - HOUR

    def test_a_corrected_day_is_unusual_unless_its_hours_are_the_usual_ones(self):
        monday, tuesday, wednesday = (date(2026, 11, day) for day in (23, 24, 25))
        sessions.correct(
            {
                ("XNYS", monday): None,
                ("XNYS", tuesday): (time(9, 30), time(16)),
                ("XNYS", wednesday): (time(9, 30), time(13)),
            }
        )
        week = [monday + timedelta(days) for days in range(7)]
        thanksgiving, friday = week[3:5]
        found = sessions.unusual_days("NASDAQ", "stock", week)
        assert found == [monday, wednesday, thanksgiving, friday]
        assert sessions.trading_on("NASDAQ", "stock", monday) == []
        assert sessions.trading_on("NASDAQ", "stock", wednesday) == [
            (new_york(2026, 11, 25, 9, 30), new_york(2026, 11, 25, 13))
        ]

    def test_a_year_outside_the_calendar_stays_unknown(self):
        sessions.correct({("XKRX", date(2099, 1, 5)): (time(9), time(15))})
        assert at("KRX", "stock", datetime(2099, 1, 5, 3, tzinfo=UTC)) is None

    @given(st.sampled_from(sorted(VENUES)), st.times(), st.times())
    def test_the_sessions_of_a_day_follow_each_other(self, venue: str, opens: time, closes: time):
        assume(opens < closes)
        usual = calendar()[venue][1][2026].usual(self.DAY)
        found = corrected(usual, (opens, closes))
        assert [clock for clock, _ in found] == sorted(clock for clock, _ in found)
        assert (opens, "regular") in found
        assert found[-1][1] == "closed"


class TestAssumedPeriods:
    """The days of a simulated market, whose past goes back beyond the calendar."""

    @two_hundred
    @given(
        st.sampled_from(sorted(VENUES)),
        st.datetimes(datetime(2026, 1, 2), datetime(2026, 12, 29), timezones=st.just(UTC)),
        st.booleans(),
    )
    def test_they_are_those_of_the_calendar(self, venue: str, now: datetime, corrected: bool):
        kind = "currency" if venue == "FX" else "index"
        day = now.astimezone(sessions.zone(venue, kind)).date()
        sessions.correct({(venue, day): (time(10, 30), time(13, 1))} if corrected else {})
        periods = sessions.assumed_periods(venue, kind, day)
        here = [each for each in periods if each.begin <= now.timestamp() < each.end]
        assert [each.regular for each in here] == [known(venue, kind, now).name == "regular"]
        assert all(before.end == after.begin for before, after in pairwise(periods))
        sessions.correct({})

    def regular(self, exchange: str, day: date, kind: str = "stock") -> list[tuple[str, str]]:
        zone = sessions.zone(exchange, kind) or UTC
        return [
            (
                f"{datetime.fromtimestamp(begin, zone):%H:%M}",
                f"{datetime.fromtimestamp(end, zone):%H:%M}",
            )
            for begin, end, regular in sessions.assumed_periods(exchange, kind, day)
            if regular
        ]

    @pytest.mark.parametrize(
        ("exchange", "kind", "day", "hours"),
        [
            ("NYSE", "stock", date(2021, 12, 24), [("09:30", "16:00")]),  # a half day in fact
            ("NYSE", "stock", date(2021, 12, 25), []),
            ("NYSE", "stock", date(2035, 7, 4), [("09:30", "16:00")]),
            ("TSE", "stock", date(2022, 3, 1), [("09:00", "11:30"), ("12:30", "15:30")]),
            ("", "currency", date(2022, 3, 6), [("17:00", "00:00")]),
            ("", "currency", date(2022, 3, 7), [("00:00", "00:00")]),
        ],
    )
    def test_other_years_have_a_normal_week(
        self, exchange: str, kind: str, day: date, hours: list[tuple[str, str]]
    ):
        assert self.regular(exchange, day, kind) == hours

    @pytest.mark.parametrize(("exchange", "kind"), [("", "stock"), ("MOON", "etf"), ("", "crypto")])
    def test_a_market_without_known_hours_is_open_all_day(self, exchange: str, kind: str):
        assert self.regular(exchange, date(2026, 12, 25), kind) == [("00:00", "00:00")]


class TestUnknownSessions:
    @pytest.mark.parametrize("exchange", ["", "CRYPTO", "OTC", "MOON", "NYSE, NASDAQ"])
    def test_an_exchange_without_a_calendar_has_no_session(self, exchange: str):
        assert at(exchange, "stock", datetime(2026, 11, 23, 12, 0, tzinfo=UTC)) is None

    @pytest.mark.parametrize("venue", VENUES)
    @given(days=st.integers(1, 5000), seconds=st.integers(0, 86_399))
    def test_a_day_outside_the_calendar_has_no_session(self, venue: str, days: int, seconds: int):
        zone = ZoneInfo(next(row["zone"] for row in ROWS if row["venue"] == venue))
        first, last = date(YEARS[venue][0], 1, 1), date(YEARS[venue][-1], 12, 31)
        clock = (datetime.min + seconds * SECOND).time()
        for day in (first - days * DAY, last + days * DAY):
            assert at(venue, "stock", datetime.combine(day, clock, zone)) is None
        for day in (first, last):
            assert at(venue, "stock", datetime.combine(day, clock, zone)) is not None

    def test_the_last_session_of_the_calendar_has_no_next_opening(self):
        last = new_york(YEARS["XNYS"][-1], 12, 31, 23, 59)
        session = known("NYSE", "stock", last)
        assert (session.name, session.next_open) == ("closed", None)
        assert session.until == last + MINUTE

    def test_every_exchange_of_the_starter_catalogue_is_known(self):
        with catalogue.STARTER.open("rb") as file:
            listed = {entry.symbol.exchange for entry in catalogue.read(file).entries}
        assert listed - {"CRYPTO"} <= VENUE_OF.keys()

    def test_all_known_names_of_exchanges_are_in_the_documents(self):
        table = (ROOT / "docs" / "operations.md").read_text()
        for venue, names in VENUES.items():
            assert f"| `{venue}` | {', '.join(names)} |" in table

    def test_the_calendar_has_rows_of_all_venues_and_of_no_others(self):
        assert {row["venue"] for row in ROWS} == VENUES.keys()


class TestThePriceOf:
    @pytest.mark.parametrize(
        ("exchange", "kind", "made_at", "session"),
        [
            ("NASDAQ", "stock", "2026-11-20T09:29:59-05:00", "pre"),
            ("NASDAQ", "stock", "2026-11-20T15:59:59-05:00", "regular"),
            ("NASDAQ", "stock", "2026-11-20T16:02:59-05:00", "regular"),
            ("NASDAQ", "stock", "2026-11-20T16:03:00-05:00", "post"),
            ("NASDAQ", "stock", "2026-11-20T20:00:00-05:00", "closed"),
            ("NASDAQ", "index", "2026-11-20T16:02:59-05:00", "regular"),
            ("NASDAQ", "index", "2026-11-20T16:03:00-05:00", "closed"),
            ("NASDAQ", "stock", "2026-11-27T13:02:59-05:00", "regular"),  # half a day
            ("NASDAQ", "stock", "2026-11-27T13:03:00-05:00", "post"),
            ("TSE", "stock", "2026-11-20T11:31:00+09:00", "break"),
            ("TSE", "stock", "2026-11-20T15:32:59+09:00", "regular"),
            ("TSE", "stock", "2026-11-20T15:33:00+09:00", "closed"),
            ("", "crypto", "2026-11-20T16:03:00-05:00", "always"),
            ("NOWHERE", "stock", "2026-11-20T16:03:00-05:00", None),
        ],
    )
    def test_a_moment_belongs_to_regular_trading_until_the_closing_auction(
        self, exchange: str, kind: str, made_at: str, session: str | None
    ):
        assert of_price(exchange, kind, datetime.fromisoformat(made_at)) == session


class TestTheDayOf:
    @pytest.mark.parametrize(
        ("exchange", "kind", "made_at", "day"),
        [
            ("NASDAQ", "stock", new_york(2026, 11, 30, 12), 30),
            ("NASDAQ", "stock", new_york(2026, 11, 30, 7), 30),  # before trading
            ("NASDAQ", "stock", new_york(2026, 11, 27, 16, 59), 27),  # after it, on a half day
            ("NASDAQ", "stock", new_york(2026, 11, 30, 2), 27),
            ("NASDAQ", "stock", new_york(2026, 11, 28, 12), 27),  # a Saturday
            ("NASDAQ", "stock", new_york(2026, 11, 26, 12), 25),  # Thanksgiving
            ("SNP", "index", new_york(2026, 11, 30, 8), 27),
            ("TSE", "stock", new_york(2026, 11, 29, 20), 30),  # Monday morning in Tokyo
            ("", "crypto", new_york(2026, 11, 29, 20), 30),
            ("MOON", "stock", new_york(2026, 11, 29, 20), 30),
            ("CCY", "currency", new_york(2026, 11, 29, 20), 29),
            ("CCY", "currency", new_york(2026, 11, 28, 20), 27),
        ],
    )
    def test_a_price_belongs_to_a_day_of_trading_at_its_market(
        self, exchange: str, kind: str, made_at: datetime, day: int
    ):
        assert sessions.day_of(exchange, kind, made_at.astimezone(UTC)) == date(2026, 11, day)


class TestPricesThatMayDiffer:
    CLOSE, PRE = new_york(2026, 11, 20, 20), new_york(2026, 11, 23, 4)  # Friday's, Monday's

    def test_prices_may_differ_until_half_an_hour_after_the_close_and_again_before_the_opening(
        self,
    ):
        now, fetched_at, polls = self.CLOSE - MINUTE, None, []
        while now < self.PRE + MINUTE:
            if may_differ("NASDAQ", "stock", now, fetched_at):
                fetched_at = now
                polls.append(now)
            now += 5 * SECOND
        evening = [moment for moment in polls if moment < self.CLOSE + DAY]
        morning = polls[len(evening) :]
        assert evening[-1] == self.CLOSE + SETTLED
        assert len(evening) == (MINUTE + SETTLED) // (5 * SECOND) + 1
        assert morning[0] == self.PRE - POLL_AHEAD
        assert len(morning) == 2 * MINUTE // (5 * SECOND)

    @pytest.mark.parametrize("minutes", [1, 24 * 60])
    def test_a_price_that_was_never_fetched_may_differ(self, minutes: int):
        assert may_differ("NASDAQ", "stock", self.CLOSE + minutes * MINUTE)

    def test_a_price_that_was_fetched_before_the_close_may_differ_on_the_weekend(self):
        sunday = self.PRE - 12 * timedelta(hours=1)
        assert may_differ("NASDAQ", "stock", sunday, self.CLOSE - MINUTE)
        assert not may_differ("NASDAQ", "stock", sunday, self.CLOSE + SETTLED)

    def test_a_price_does_not_differ_during_a_break(self):
        noon = datetime(2026, 11, 24, 12, 15, tzinfo=ZoneInfo("Asia/Tokyo"))
        assert not may_differ("TSE", "stock", noon, noon - 5 * MINUTE)
        assert may_differ("TSE", "stock", noon + 14 * MINUTE, noon)

    @two_hundred
    @given(moments(), st.integers(0, 10**6))
    def test_a_price_of_an_open_market_may_always_differ(
        self, given: tuple[str, datetime], seconds: int
    ):
        exchange, now = given
        if known(exchange, "stock", now).name not in ("closed", "break"):
            assert may_differ(exchange, "stock", now, now - seconds * SECOND)

    @pytest.mark.parametrize(("exchange", "kind"), [("CRYPTO", "crypto"), ("MOON", "stock")])
    def test_a_price_of_an_unknown_market_or_one_that_never_closes_may_always_differ(
        self, exchange: str, kind: str
    ):
        assert may_differ(exchange, kind, self.CLOSE + DAY, self.CLOSE + DAY - SECOND)


class TestEndOfTheCalendar:
    def test_it_is_reported_from_31_days_before(self):
        last = date(YEARS["XNYS"][-1], 12, 31)
        assert sessions.last_days([("NYSE", "stock")], last - 32 * DAY) == {}
        assert sessions.last_days([("NYSE", "stock")], last - 31 * DAY) == {"NYSE": last}
        assert sessions.last_days([("NYSE", "stock")], last + 60 * DAY) == {"NYSE": last}

    def test_it_is_reported_only_for_the_given_markets_that_are_known(self):
        stocks = [(exchange, "stock") for exchange in ("TSX", "MOON", "ASX", "")]
        others = [("", "currency"), ("CRYPTO", "crypto"), ("NYSE", "fund")]
        found = sessions.last_days([*stocks, *others], date(2099, 1, 1))
        assert list(found) == ["ASX", "FX", "TSX"]

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("days", [31, 32])
    async def test_it_is_logged_when_a_process_starts(
        self, caplog: pytest.LogCaptureFixture, days: int
    ):
        await Symbol.objects.acreate(code="A", name="A", kind="stock", exchange="NYSE")
        last = date(YEARS["XNYS"][-1], 12, 31)
        parts = Live()
        parts.store.clock = lambda: datetime.combine(last - days * DAY, time(12), UTC)
        await parts.start(pages=False)
        await parts.stop()
        warning = f"the calendar of market hours ends soon: NYSE ({last}); "
        warning += "nothing to do before that day"
        assert (warning in caplog.messages) == (days == 31)


class TestTheCommand:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "sessions.csv"

    def rows(self, file: Path) -> list[str]:
        return [line.split(",")[0] for line in file.read_text().splitlines()[1:]]

    def test_it_writes_the_given_venues_and_keeps_the_others(self, file: Path):
        call_command("makesessions", "XSWX", "XETR", file=file)
        before = file.read_text()
        call_command("makesessions", "XETR", file=file)
        assert file.read_text() == before
        assert list(dict.fromkeys(self.rows(file))) == ["XETR", "XSWX"]

    def in_year(self, year: int, monkeypatch: pytest.MonkeyPatch) -> None:
        noon = datetime(year, 6, 1, 12, 0, tzinfo=UTC)
        monkeypatch.setattr("django.utils.timezone.now", lambda: noon)

    def test_a_venue_without_hours_of_this_year_keeps_its_rows(
        self, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ):
        year = package("XSHG").bound_max().year
        self.in_year(year, monkeypatch)
        call_command("makesessions", "XSHG", file=file, until=year)
        before = file.read_text()
        self.in_year(year + 1, monkeypatch)
        call_command("makesessions", "XSHG", "XETR", file=file, until=year + 1)
        assert f"XSHG … the hours of {year + 1} are not published yet" in capsys.readouterr().out
        assert set(self.rows(file)) == {"XETR", "XSHG"}
        assert before.splitlines()[1:] == [
            line for line in file.read_text().splitlines() if line.startswith("XSHG")
        ]

    def test_the_rows_of_a_venue_end_with_its_last_published_year(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ):
        bound = package("XSHG").bound_max()
        self.in_year(bound.year, monkeypatch)
        call_command("makesessions", "XSHG", file=file, until=bound.year + 3)
        years = {int(line.split(",")[2]) for line in file.read_text().splitlines()[1:]}
        assert max(years) == bound.year

    @pytest.mark.server
    def test_it_leaves_a_complete_file_when_it_is_stopped(self, file: Path):
        command = [sys.executable, "manage.py", "makesessions", "--file", str(file)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        running = subprocess.Popen(command, cwd=ROOT, env=environment(), **pipes)
        assert running.stdout is not None
        assert running.stdout.readline().startswith(f"1 of {len(VENUES)}: ")
        running.send_signal(signal.SIGINT)
        _, complaint = running.communicate(timeout=60)
        assert running.returncode == 130
        assert "Stopped. The file is valid" in complaint
        assert "Traceback" not in complaint
        call_command("makesessions", "XTSE", file=file)  # reads the file
        assert set(self.rows(file)) >= {next(iter(VENUES)), "XTSE"}

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"venue": ["XMOO"]}, "Unknown venue 'XMOO', must be one of: CMES, FX, XASX"),
            ({"until": 1999}, "Unexpected --until 1999, must be "),
        ],
    )
    def test_an_invalid_argument_is_reported_and_nothing_is_written(
        self, file: Path, given: dict[str, Any], words: str
    ):
        with pytest.raises(CommandError, match=words):
            call_command("makesessions", *given.pop("venue", []), file=file, **given)
        assert not file.exists()

    def test_a_missing_package_is_named_with_the_way_to_install_it(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setitem(sys.modules, "exchange_calendars", None)
        with pytest.raises(
            CommandError, match="exchange_calendars is missing: install it with “make setup”"
        ):
            call_command("makesessions", "XETR", file=file)
