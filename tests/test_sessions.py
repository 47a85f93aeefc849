"""Market sessions: what the calendar says is what exchange_calendars says, and nothing else."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
from bisect import bisect_right
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import exchange_calendars
import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas import Timestamp

from quotes import catalogue, sessions
from quotes.live.live import Live
from quotes.management.commands import makesessions
from quotes.models import Symbol
from quotes.quote import SESSIONS
from quotes.sessions import (
    AHEAD,
    CALENDAR,
    SETTLED,
    VENUE_OF,
    VENUES,
    Session,
    at,
    price_of,
    worth_asking,
)
from tests.servers import ROOT, environment

# pandas tells exchange_calendars what will change one day
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:(pandas|exchange_calendars)")

ROWS = list(csv.DictReader(CALENDAR.read_text().splitlines()))
YEARS = {v: sorted({int(row["year"]) for row in ROWS if row["venue"] == v}) for v in VENUES}
OWN_CALENDARS = {  # of exchanges that keep another venue's hours here
    "NASDAQ": "XNAS",
    "NYSE ARCA": "ARCX",
    "EURONEXT AMSTERDAM": "XAMS",
    "EURONEXT BRUSSELS": "XBRU",
    "EURONEXT LISBON": "XLIS",
    "BSE": "BSE",
}
EXCHANGES = sorted(VENUES.keys() | OWN_CALENDARS.keys())
NEW_YORK = ZoneInfo("America/New_York")
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
TICK = timedelta(microseconds=1)
unhurried = settings(deadline=None, max_examples=200)  # a busy machine fails no test


@cache
def package(exchange: str) -> Any:
    """What exchange_calendars knows of an exchange in our years."""
    venue = VENUE_OF[exchange]
    first, last = f"{YEARS[venue][0]}-01-01", f"{YEARS[venue][-1]}-12-31"
    return exchange_calendars.get_calendar(OWN_CALENDARS.get(exchange, venue), first, last)


@cache
def turns(exchange: str) -> list[datetime]:
    """Every moment at which an exchange opens, breaks or closes, by exchange_calendars."""
    moments = package(exchange).schedule.to_numpy().ravel()
    return sorted(moment.to_pydatetime() for moment in moments if moment == moment)


def bounds(exchange: str) -> tuple[datetime, datetime]:
    """The first and the last minute of trading: beyond them the package says nothing."""
    return turns(exchange)[0], turns(exchange)[-1] - MINUTE


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, datetime]:
    """An exchange and a moment: any, or one close to a turn, or about a change of the clocks."""
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
    return exchange, min(max(moment, first), last)


@cache
def clock_changes(exchange: str) -> list[datetime]:
    """The days on which the clocks of an exchange change; its first day where they never do."""
    zone, (day, last) = ZoneInfo(str(package(exchange).tz)), bounds(exchange)
    found = [day]
    while (day := day + DAY) < last:
        if day.astimezone(zone).utcoffset() != (day - DAY).astimezone(zone).utcoffset():
            found.append(day)
    return found[1:] or found


def trades(exchange: str, now: datetime, *, through_lunch: bool = False) -> bool:
    """Whether an exchange is open, by exchange_calendars."""
    return package(exchange).is_open_at_time(Timestamp(now), "left", through_lunch)


def known(exchange: str, kind: str, now: datetime) -> Session:
    session = at(exchange, kind, now)
    assert session is not None
    return session


def new_york(*given: int) -> datetime:
    return datetime(*given, tzinfo=NEW_YORK)


class TestAgainstExchangeCalendars:
    @unhurried
    @given(moments(), st.sampled_from(["stock", "etf", "index"]))
    def test_a_market_is_open_when_the_package_says_so(
        self, asked: tuple[str, datetime], kind: str
    ):
        exchange, now = asked
        session, is_open = known(exchange, kind, now), trades(exchange, now)
        assert (session.name == "regular") == is_open
        at_lunch = not is_open and trades(exchange, now, through_lunch=True)
        assert (session.name == "break") == at_lunch
        assert session.name in SESSIONS

    @unhurried
    @given(moments(), st.sampled_from(["stock", "index"]))
    def test_it_opens_next_when_the_package_says_so(self, asked: tuple[str, datetime], kind: str):
        exchange, now = asked
        session = known(exchange, kind, now)
        later = turns(exchange)[bisect_right(turns(exchange), now) : -1]  # the last one is a close
        opens = next((turn for turn in later if trades(exchange, turn)), None)
        if session.name != "regular":
            assert session.next_open == opens

    @unhurried
    @given(moments(), st.sampled_from(["stock", "index"]))
    def test_a_session_lasts_from_its_first_moment_to_before_its_last(
        self, asked: tuple[str, datetime], kind: str
    ):
        exchange, now = asked
        session = known(exchange, kind, now)
        assert session.since is not None
        assert session.until is not None
        assert session.since <= now < session.until
        assert known(exchange, kind, session.since) == session
        assert known(exchange, kind, session.until - TICK) == session
        after = at(exchange, kind, session.until)
        assert after is None or (after.name != session.name and after.since == session.until)

    @unhurried
    @given(moments(), st.sampled_from(["stock", "index"]))
    def test_a_closing_price_is_of_the_last_day_of_trading_before(
        self, asked: tuple[str, datetime], kind: str
    ):
        exchange, now = asked
        since = known(exchange, kind, now).since
        if since is None or trades(exchange, now, through_lunch=True) or now <= turns(exchange)[1]:
            return
        day = package(exchange).minute_to_past_session(Timestamp(now), 1)
        opened = package(exchange).session_open(day).to_pydatetime()
        closed = package(exchange).session_close(day).to_pydatetime()

        def of(made_at: datetime, heard_at: datetime = now) -> str:
            return price_of(exchange, kind, since, made_at, heard_at)

        assert {of(opened), of(closed - TICK), of(closed), of(closed + MINUTE)} == {"close"}
        assert of(opened - TICK) == ""
        assert of(closed - 5 * MINUTE, closed - 5 * MINUTE) == ""
        assert of(closed + timedelta(hours=2)) in ("", "post")

    @unhurried
    @given(moments())
    def test_only_american_shares_trade_before_and_after_hours(self, asked: tuple[str, datetime]):
        exchange, now = asked
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

    @pytest.mark.parametrize("venue", ["XETR", "XNYS", "XTKS"])
    def test_the_committed_file_is_what_the_command_writes(self, venue: str):
        made = list(makesessions.make(venue, YEARS[venue][0], YEARS[venue][-1]))
        assert made == [tuple(row.values()) for row in ROWS if row["venue"] == venue]


class TestDays:
    def test_summer_time_moves_the_opening_in_utc_and_not_in_new_york(self):
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

    def test_an_index_keeps_the_hours_of_its_shares_without_those_around_them(self):
        early, late = new_york(2026, 11, 23, 8), new_york(2026, 11, 23, 18)
        assert [known("NYSE", "stock", now).name for now in (early, late)] == ["pre", "post"]
        assert [known("SNP", "index", now).name for now in (early, late)] == ["closed"] * 2
        assert known("SNP", "index", early).since == new_york(2026, 11, 20, 16)

    def test_tokyo_has_lunch(self):
        noon = datetime(2026, 11, 24, 12, 0, tzinfo=ZoneInfo("Asia/Tokyo"))
        lunch = known("TSE", "stock", noon)
        assert lunch.name == "break"
        assert (lunch.since, lunch.until) == (noon - 30 * MINUTE, noon + 30 * MINUTE)
        assert lunch.next_open == lunch.until

    def test_a_market_that_is_closed_over_new_year_says_so_across_the_years(self):
        eve = datetime(2026, 12, 31, 20, 0, tzinfo=UTC)
        assert known("XETRA", "stock", eve) == known("XETRA", "stock", eve + DAY)
        assert known("XETRA", "stock", eve).next_open == datetime(2027, 1, 4, 8, 0, tzinfo=UTC)

    def test_crypto_never_closes(self):
        assert at("CRYPTO", "crypto", datetime(1999, 1, 1, tzinfo=UTC)) == Session("always")
        assert at("", "crypto", datetime(2099, 1, 1, tzinfo=UTC)) == Session("always")

    def test_any_zone_may_ask(self):
        now = new_york(2026, 11, 23, 12)
        assert at("NYSE", "stock", now) == at("NYSE", "stock", now.astimezone(UTC))

    def test_small_letters_do_as_well(self):
        now = new_york(2026, 11, 23, 12)
        assert at("Nasdaq", "stock", now) == at("NASDAQ", "stock", now)


class TestWhatIsNotKnown:
    @pytest.mark.parametrize("exchange", ["", "CRYPTO", "OTC", "MOON", "NYSE, NASDAQ"])
    def test_an_exchange_without_a_calendar(self, exchange: str):
        assert at(exchange, "stock", datetime(2026, 11, 23, 12, 0, tzinfo=UTC)) is None

    @pytest.mark.parametrize("venue", VENUES)
    @given(days=st.integers(1, 5000), seconds=st.integers(0, 86_399))
    def test_a_day_beyond_the_calendar(self, venue: str, days: int, seconds: int):
        zone = ZoneInfo(next(row["zone"] for row in ROWS if row["venue"] == venue))
        first, last = date(YEARS[venue][0], 1, 1), date(YEARS[venue][-1], 12, 31)
        clock = (datetime.min + seconds * SECOND).time()
        for day in (first - days * DAY, last + days * DAY):
            assert at(venue, "stock", datetime.combine(day, clock, zone)) is None
        for day in (first, last):
            assert at(venue, "stock", datetime.combine(day, clock, zone)) is not None

    def test_the_last_session_names_no_opening(self):
        last = new_york(YEARS["XNYS"][-1], 12, 31, 23, 59)
        session = known("NYSE", "stock", last)
        assert (session.name, session.next_open) == ("closed", None)
        assert session.until == last + MINUTE

    def test_every_exchange_of_the_starter_catalogue_is_known(self):
        with catalogue.STARTER.open(encoding="utf-8") as file:
            listed = {entry.symbol.exchange for entry in catalogue.read(file)}
        assert listed - {"CRYPTO"} <= VENUE_OF.keys()

    def test_every_name_that_is_known_is_in_the_documents(self):
        table = (ROOT / "docs" / "operations.md").read_text()
        for venue, names in VENUES.items():
            assert f"| `{venue}` | {', '.join(names)} |" in table

    def test_every_venue_has_its_rows_and_no_other_stands_there(self):
        assert {row["venue"] for row in ROWS} == VENUES.keys()


class TestAsking:
    CLOSE, PRE = new_york(2026, 11, 20, 20), new_york(2026, 11, 23, 4)  # Friday's, Monday's

    def test_a_closed_market_is_asked_until_its_last_prices_have_come_and_again_before_it_opens(
        self,
    ):
        now, got, asked = self.CLOSE - MINUTE, None, []
        while now < self.PRE + MINUTE:
            if worth_asking("NASDAQ", "stock", now, got):
                got = now
                asked.append(now)
            now += 5 * SECOND
        evening = [moment for moment in asked if moment < self.CLOSE + DAY]
        morning = asked[len(evening) :]
        assert evening[-1] == self.CLOSE + SETTLED
        assert len(evening) == (MINUTE + SETTLED) // (5 * SECOND) + 1
        assert morning[0] == self.PRE - AHEAD
        assert len(morning) == 2 * MINUTE // (5 * SECOND)

    @pytest.mark.parametrize("minutes", [1, 24 * 60])
    def test_a_price_that_was_never_got_is_asked_for(self, minutes: int):
        assert worth_asking("NASDAQ", "stock", self.CLOSE + minutes * MINUTE)

    def test_a_price_that_was_last_got_before_the_close_is_asked_for_on_the_weekend(self):
        sunday = self.PRE - 12 * timedelta(hours=1)
        assert worth_asking("NASDAQ", "stock", sunday, self.CLOSE - MINUTE)
        assert not worth_asking("NASDAQ", "stock", sunday, self.CLOSE + SETTLED)

    def test_lunch_is_as_good_as_closed(self):
        noon = datetime(2026, 11, 24, 12, 15, tzinfo=ZoneInfo("Asia/Tokyo"))
        assert not worth_asking("TSE", "stock", noon, noon - 5 * MINUTE)
        assert worth_asking("TSE", "stock", noon + 14 * MINUTE, noon)

    @unhurried
    @given(moments(), st.integers(0, 10**6))
    def test_an_open_market_is_always_asked(self, asked: tuple[str, datetime], seconds: int):
        exchange, now = asked
        if known(exchange, "stock", now).name not in ("closed", "break"):
            assert worth_asking(exchange, "stock", now, now - seconds * SECOND)

    @pytest.mark.parametrize(("exchange", "kind"), [("CRYPTO", "crypto"), ("MOON", "stock")])
    def test_a_market_that_never_closes_or_is_not_known_is_always_asked(
        self, exchange: str, kind: str
    ):
        assert worth_asking(exchange, kind, self.CLOSE + DAY, self.CLOSE + DAY - SECOND)


class TestTheEnd:
    def test_it_is_told_sixty_days_before(self):
        last = date(YEARS["XNYS"][-1], 12, 31)
        assert sessions.ending(["NYSE"], last - 61 * DAY) == {}
        assert sessions.ending(["NYSE"], last - 60 * DAY) == {"NYSE": last}
        assert sessions.ending(["NYSE"], last + 60 * DAY) == {"NYSE": last}

    def test_only_what_is_listed_and_known_is_told_of(self):
        far = date(2099, 1, 1)
        assert list(sessions.ending(["TSX", "MOON", "ASX", ""], far)) == ["ASX", "TSX"]

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("days", [60, 61])
    async def test_the_log_tells_of_it_when_a_process_starts(
        self, caplog: pytest.LogCaptureFixture, days: int
    ):
        await Symbol.objects.acreate(code="A", name="A", kind="stock", exchange="NYSE")
        last = date(YEARS["XNYS"][-1], 12, 31)
        parts = Live()
        parts.store.clock = lambda: datetime.combine(last - days * DAY, time(12), UTC)
        await parts.start(pages=False)
        await parts.stop()
        told = f"market hours are known until these days only: NYSE ({last})"
        assert (told in caplog.messages) == (days == 60)


class TestTheCommand:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "sessions.csv"

    def rows(self, file: Path) -> list[str]:
        return [line.split(",")[0] for line in file.read_text().splitlines()[1:]]

    def test_it_writes_the_venues_that_are_named_and_keeps_the_others(self, file: Path):
        call_command("makesessions", "XSWX", "XETR", file=file)
        before = file.read_text()
        call_command("makesessions", "XETR", file=file)
        assert file.read_text() == before
        assert list(dict.fromkeys(self.rows(file))) == ["XETR", "XSWX"]

    def test_a_venue_whose_next_year_is_not_published_ends_before_it(self, file: Path):
        bound = package("XSHG").bound_max()
        call_command("makesessions", "XSHG", file=file, until=bound.year + 3)
        years = {int(line.split(",")[2]) for line in file.read_text().splitlines()[1:]}
        assert max(years) == bound.year

    def test_stopped_it_leaves_a_whole_file(self, file: Path):
        command = [sys.executable, "manage.py", "makesessions", "--file", str(file)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        running = subprocess.Popen(command, cwd=ROOT, env=environment(), **pipes)
        assert running.stdout is not None
        assert running.stdout.readline().startswith(f"1 of {len(VENUES)}: ")
        running.send_signal(signal.SIGINT)
        _, complaint = running.communicate(timeout=60)
        assert running.returncode != 0
        assert "stopped, and the file is whole" in complaint
        assert "Traceback" not in complaint
        call_command("makesessions", "XTSE", file=file)  # reads what there is
        assert set(self.rows(file)) >= {next(iter(VENUES)), "XTSE"}

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"venue": ["XMOO"]}, "unknown venue 'XMOO', use some of: XASX"),
            ({"until": 1999}, "--until 1999 is past, use "),
        ],
    )
    def test_what_it_can_not_do_it_says_and_writes_nothing(
        self, file: Path, given: dict[str, Any], words: str
    ):
        with pytest.raises(CommandError, match=words):
            call_command("makesessions", *given.pop("venue", []), file=file, **given)
        assert not file.exists()

    def test_it_says_what_to_install(self, file: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setitem(sys.modules, "exchange_calendars", None)
        with pytest.raises(CommandError, match="exchange_calendars is missing: “make setup”"):
            call_command("makesessions", "XETR", file=file)
