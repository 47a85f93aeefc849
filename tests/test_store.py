"""The store: the newest quote of each symbol, its age, its session and its flashes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotes import sessions
from quotes.models import Symbol
from quotes.quote import Quote
from quotes.store import FLASH, FLASH_EVERY, MAX_FLASHES, Move, Store

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
STALE_AFTER = {"crypto": 60, "stock": 900}


def btc(**more: Any) -> Symbol:
    given = {"pk": 1, "code": "BTC-USD", "name": "Bitcoin", "kind": "crypto", "currency": "USD"}
    return Symbol(**given | more)


def aapl(**more: Any) -> Symbol:
    given = {"pk": 2, "code": "AAPL", "name": "Apple", "kind": "stock", "currency": "USD"}
    return Symbol(**given | more)


def quote(symbol: str, last: str, at: datetime = NOON, **more: Any) -> Quote:
    given = {"provider": "simulated", "currency": "USD", "received_at": at}
    return Quote(symbol=symbol, last=Decimal(last), **given | more)


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store:
    store = Store(stale_after=STALE_AFTER, clock=clock)
    store.keep([btc(), aapl()])
    return store


def last(store: Store, code: str = "AAPL") -> str | None:
    found = store.states[code].quote
    return str(found.last) if found else None


class TestNewest:
    def test_a_quote_is_kept_and_its_symbol_is_returned_as_changed(self, store: Store):
        assert store.put((1, 1), [quote("AAPL", "101")]) == {"AAPL"}
        assert last(store) == "101"

    def test_a_newer_batch_replaces_an_older_one(self, store: Store):
        store.put((1, 1), [quote("AAPL", "101")])
        assert store.put((1, 2), [quote("AAPL", "102")]) == {"AAPL"}
        assert last(store) == "102"

    @pytest.mark.parametrize("version", [(1, 4), (1, 5), (0, 9)])
    def test_an_older_batch_or_the_same_one_changes_nothing(
        self, store: Store, version: tuple[int, int]
    ):
        store.put((1, 5), [quote("AAPL", "102")])
        assert store.put(version, [quote("AAPL", "101")]) == set()
        assert last(store) == "102"

    def test_a_paused_feed_does_not_overwrite_the_one_that_took_over(self, store: Store):
        store.put((2, 1), [quote("AAPL", "102")])
        assert store.put((1, 5000), [quote("AAPL", "101")]) == set()
        assert last(store) == "102"

    @pytest.mark.parametrize(
        ("version", "seconds", "shown"),
        [
            ((2, 1), 0.5, "102"),  # the old feed still published, half a second later
            ((2, 1), 0, "101"),
            ((1, 2), 0.5, "101"),  # the feed itself sends older times after a change of code
            ((2, 1), 31, "101"),  # longer ago: the new feed has another code
        ],
    )
    def test_times_do_not_go_back_while_one_feed_replaces_another(
        self, store: Store, version: tuple[int, int], seconds: float, shown: str
    ):
        store.put((1, 1), [quote("AAPL", "102", source_time=NOON)])
        before = NOON - timedelta(seconds=seconds)
        changed = store.put(version, [quote("AAPL", "101", source_time=before)])
        assert last(store) == shown
        assert changed == ({"AAPL"} if shown == "101" else set())

    def test_a_quote_of_an_unlisted_symbol_is_ignored(self, store: Store):
        assert store.put((1, 1), [quote("DOGE-USD", "0.1"), quote("AAPL", "101")]) == {"AAPL"}
        assert "DOGE-USD" not in store.states

    def test_an_old_batch_is_new_for_a_symbol_without_a_quote(self, store: Store):
        store.put((1, 5), [quote("AAPL", "101")])
        assert store.put((1, 4), [quote("AAPL", "99"), quote("BTC-USD", "64000")]) == {"BTC-USD"}

    @given(st.permutations([(epoch, batch) for epoch in (1, 2) for batch in (1, 2, 3)]))
    def test_the_newest_quote_stays_in_any_order_of_arrival(
        self, versions: Iterable[tuple[int, int]]
    ):
        store = Store()
        store.keep([aapl()])
        shown = [
            version
            for version in versions
            if store.put(version, [quote("AAPL", f"{version[0]}{version[1]}")])
        ]
        assert last(store) == "23"
        assert shown == sorted(shown)

    def test_a_new_state_is_a_new_object(self, store: Store):
        before = store.states["AAPL"]
        store.put((1, 1), [quote("AAPL", "101")])
        assert store.states["AAPL"] is not before
        assert before.quote is None


class TestAge:
    def test_crypto_is_stale_after_its_minute(self, store: Store, clock: Clock):
        store.put((1, 1), [quote("BTC-USD", "64000"), quote("AAPL", "101")])
        clock.pass_(60)
        assert store.age() == set()
        clock.pass_(1)
        assert store.age() == {"BTC-USD"}
        assert store.states["BTC-USD"].stale
        assert not store.states["AAPL"].stale

    def test_a_symbols_own_limit_is_used_before_that_of_its_kind(self, store: Store, clock: Clock):
        store.keep([btc(stale_after=600), aapl(stale_after=5)])
        store.put((1, 1), [quote("BTC-USD", "64000"), quote("AAPL", "101")])
        clock.pass_(61)
        assert store.age() == {"AAPL"}

    def test_a_kind_without_a_limit_is_never_stale(self, clock: Clock):
        store = Store(stale_after={}, clock=clock)
        store.keep([aapl()])
        store.put((1, 1), [quote("AAPL", "101")])
        clock.pass_(10**6)
        assert store.age() == set()

    def test_a_price_is_not_stale_while_its_market_is_closed(self, store: Store, clock: Clock):
        store.put((1, 1), [quote("AAPL", "101", session="closed")])
        clock.pass_(3 * 24 * 3600)
        assert store.age() == set()
        assert not store.states["AAPL"].stale

    @pytest.mark.parametrize("session", ["halted", "break"])
    def test_a_price_is_not_stale_while_its_market_pauses(
        self, store: Store, clock: Clock, session: str
    ):
        store.put((1, 1), [quote("AAPL", "101", session=session)])
        clock.pass_(3600)
        assert store.age() == set()

    def test_a_delayed_price_is_not_stale_until_it_is_later_than_its_delay(
        self, store: Store, clock: Clock
    ):
        # it is fifteen minutes old when it arrives, as promised
        traded = NOON - timedelta(seconds=903)
        store.put((1, 1), [quote("AAPL", "101", source_time=traded, delay=900)])
        assert not store.states["AAPL"].stale
        clock.pass_(901)
        store.age()
        assert store.states["AAPL"].stale

    def test_a_symbol_without_a_price_is_not_stale(self, store: Store, clock: Clock):
        clock.pass_(3600)
        assert store.age() == set()

    def test_age_counts_from_the_exchanges_own_time(self, store: Store, clock: Clock):
        clock.pass_(120)
        late = quote("BTC-USD", "64000", at=clock.now, source_time=NOON)
        store.put((1, 1), [late])
        assert store.states["BTC-USD"].stale_minutes == 2

    def test_a_stale_symbol_changes_once_a_minute(self, store: Store, clock: Clock):
        store.put((1, 1), [quote("BTC-USD", "64000")])
        clock.pass_(61)
        assert store.age() == {"BTC-USD"}
        clock.pass_(30)
        assert store.age() == set()
        clock.pass_(30)
        assert store.age() == {"BTC-USD"}
        assert store.states["BTC-USD"].stale_minutes == 2

    def test_a_price_is_no_longer_stale_after_a_new_one(self, store: Store, clock: Clock):
        store.put((1, 1), [quote("BTC-USD", "64000")])
        clock.pass_(90)
        store.age()
        store.put((1, 2), [quote("BTC-USD", "64001", at=clock.now)])
        assert not store.states["BTC-USD"].stale


class TestSessions:
    """Apple on the NASDAQ: trading ends on Friday at 21:00 UTC; on Monday it begins at 14:30."""

    FRIDAY = datetime(2026, 11, 20, 20, 59, tzinfo=UTC)
    MONDAY = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)

    @pytest.fixture
    def store(self, clock: Clock) -> Store:
        clock.now = self.FRIDAY
        store = Store(stale_after=STALE_AFTER, clock=clock)
        store.keep([btc(), aapl(exchange="NASDAQ")])
        store.put((1, 1), [quote("AAPL", "101", at=clock.now)])
        return store

    def session(self, store: Store) -> str | None:
        found = store.states["AAPL"].session
        return found.name if found else None

    def test_a_row_changes_once_for_each_change_of_its_session(self, store: Store, clock: Clock):
        changes = [(clock.now, self.session(store))]
        while clock.now < self.MONDAY + timedelta(hours=7):
            clock.pass_(60)
            if clock.now > self.MONDAY:  # otherwise the price becomes stale
                store.put((2, int(clock.now.timestamp())), [quote("AAPL", "102", at=clock.now)])
            if "AAPL" in store.age() or self.session(store) != changes[-1][1]:
                changes.append((clock.now, self.session(store)))
            assert store.age() == set()
        assert [(f"{moment:%a %H:%M}", name) for moment, name in changes] == [
            ("Fri 20:59", "regular"),
            ("Fri 21:00", "post"),
            ("Sat 01:00", "closed"),
            ("Mon 09:00", "pre"),
            ("Mon 14:30", "regular"),
            ("Mon 21:00", "post"),
        ]

    def test_a_price_of_friday_is_not_stale_on_sunday_nor_when_monday_begins(
        self, store: Store, clock: Clock
    ):
        while clock.now < self.MONDAY + timedelta(minutes=15):
            clock.pass_(60)
            store.age()
            assert not store.states["AAPL"].stale, clock.now
        clock.pass_(60)
        assert store.age() == {"AAPL"}
        assert store.states["AAPL"].stale_minutes == (clock.now - self.FRIDAY).total_seconds() // 60

    def test_a_price_that_stops_while_its_market_is_open_becomes_stale(
        self, store: Store, clock: Clock
    ):
        clock.now = self.MONDAY + timedelta(hours=1)
        store.put((1, 2), [quote("AAPL", "102", at=clock.now)])
        clock.pass_(901)
        store.age()
        assert store.states["AAPL"].stale

    @pytest.mark.parametrize("reported", ["regular", "pre", "closed", None])
    def test_the_calendar_is_used_before_the_provider(
        self, store: Store, clock: Clock, reported: str | None
    ):
        clock.now = self.MONDAY - timedelta(days=1)
        store.put((1, 2), [quote("AAPL", "102", session=reported)])
        assert self.session(store) == "closed"

    @pytest.mark.parametrize("reported", ["halted", "always"])
    @pytest.mark.parametrize("days", [0, 1])
    def test_a_halt_or_a_market_without_hours_is_taken_from_the_provider(
        self, store: Store, clock: Clock, reported: str, days: int
    ):
        clock.now = self.MONDAY - timedelta(days=days)
        store.put((1, 2), [quote("AAPL", "102", session=reported, at=clock.now)])
        assert self.session(store) == reported
        store.put((1, 3), [quote("AAPL", "102", at=clock.now)])
        assert self.session(store) == ("closed" if days else "regular")

    @pytest.mark.parametrize("reported", ["closed", "regular", None])
    @pytest.mark.parametrize("years", [0, 50])
    def test_the_provider_is_used_if_the_calendar_does_not_know_the_session(
        self, store: Store, clock: Clock, reported: str | None, years: int
    ):
        clock.now = clock.now.replace(year=2026 + years)
        store.keep([aapl(exchange="NASDAQ" if years else "MOON")])
        store.put((1, 2), [quote("AAPL", "102", session=reported, at=clock.now)])
        assert self.session(store) == reported

    def test_a_symbol_that_moves_to_another_exchange_gets_its_hours_at_once(
        self, store: Store, clock: Clock
    ):
        assert store.keep([aapl(exchange="XETRA")]) == {"AAPL"}
        assert self.session(store) == "closed"
        assert store.age() == set()

    def test_hours_that_an_operator_corrected_count_at_the_next_look(
        self, store: Store, clock: Clock
    ):
        try:
            sessions.correct({("XNYS", clock.now.date()): None})
            assert store.age() == {"AAPL"}
            assert self.session(store) == "closed"
        finally:
            sessions.correct({})
        assert store.age() == {"AAPL"}
        assert self.session(store) == "regular"

    def test_a_clock_that_is_set_back_counts_at_the_next_look(self, store: Store, clock: Clock):
        clock.pass_(120)
        assert store.age() == {"AAPL"}
        clock.pass_(-120)
        assert store.age() == {"AAPL"}
        assert self.session(store) == "regular"

    def test_crypto_is_open_on_sunday_and_may_be_stale_then(self, store: Store, clock: Clock):
        clock.now = self.MONDAY - timedelta(days=1)
        store.put((1, 2), [quote("BTC-USD", "64000", at=clock.now)])
        clock.pass_(61)
        assert "BTC-USD" in store.age()
        assert store.states["BTC-USD"].session.name == "always"
        assert store.states["BTC-USD"].stale

    def test_a_symbol_without_a_price_does_not_change_with_its_market(self, clock: Clock):
        store = Store(stale_after=STALE_AFTER, clock=clock)
        store.keep([aapl(exchange="NASDAQ")])
        clock.now = self.MONDAY - timedelta(seconds=1)
        store.age()
        clock.pass_(1)
        assert store.age() == set()


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("quote"),
            st.sampled_from(["AAPL", "BTC-USD"]),
            st.sampled_from([0, 30, 61, 3600]),  # seconds of age
            st.sampled_from([None, 900]),
            st.sampled_from([None, "halted", "always", "closed"]),
        ),
        st.tuples(st.just("pass"), st.sampled_from([-7200, -1, 1, 59, 60, 61, 900, 7200, 180_000])),
        st.tuples(st.just("edit"), st.sampled_from([None, 5, 7200])),
        st.tuples(st.just("hours"), st.booleans()),
    ),
    max_size=12,
)


@given(steps)
def test_states_that_are_looked_at_when_due_are_those_of_a_look_at_all(given_: list[Any]):
    clock, friday = Clock(), TestSessions.FRIDAY
    clock.now = friday
    symbols = [btc(), aapl(exchange="NASDAQ")]
    store = Store(stale_after=STALE_AFTER, clock=clock)
    store.keep(symbols)
    try:
        for version, (step, *more) in enumerate(given_, start=1):
            if step == "quote":
                code, age, delay, session = more
                at = clock.now - timedelta(seconds=age)
                arrived = quote(code, "101", at=clock.now, source_time=at, delay=delay)
                store.put((version, 1), [replace(arrived, session=session)])
            elif step == "pass":
                clock.pass_(more[0])
            elif step == "edit":
                symbols = [btc(stale_after=more[0]), aapl(exchange="NASDAQ", stale_after=more[0])]
                store.keep(symbols)
            else:
                closed = {("XNYS", friday.date()): None} if more[0] else {}
                sessions.correct(closed)
            store.age()
            for code, state in store.states.items():
                fresh = Store(stale_after=STALE_AFTER, clock=clock)
                fresh.keep(symbols)
                if state.quote:
                    fresh.put((1, 1), [state.quote])
                now = fresh.states[code]
                assert (state.session, state.stale_minutes) == (now.session, now.stale_minutes)
    finally:
        sessions.correct({})


class TestFlashes:
    def shown(self, store: Store, version: int, price: str, **more: Any) -> str:
        store.put((1, version), [quote("AAPL", price, at=store.clock(), **more)])
        store.mark_moves(["AAPL"])
        return self.flash(store)

    def flash(self, store: Store) -> str:
        return store.flashes(["AAPL"], 0.25).get("AAPL", "")

    def test_the_first_price_does_not_flash(self, store: Store):
        assert self.shown(store, 1, "101") == ""

    def test_a_rise_flashes_up_and_a_fall_flashes_down(self, store: Store, clock: Clock):
        self.shown(store, 1, "101")
        clock.pass_(2)
        assert self.shown(store, 2, "102").startswith("up-")
        clock.pass_(2)
        assert self.shown(store, 3, "100").startswith("down-")

    def test_two_rises_have_two_names_so_that_both_flash(self, store: Store, clock: Clock):
        self.shown(store, 1, "101")
        names = []
        for version, price in enumerate(["102", "103", "104"], start=2):
            clock.pass_(2)
            names.append(self.shown(store, version, price))
        assert names == ["up-1", "up-2", "up-1"]

    def test_a_cell_flashes_at_most_once_in_two_seconds(self, store: Store, clock: Clock):
        self.shown(store, 1, "100")
        flashed_at = set()
        for version in range(2, 122):  # ten moves a second, for twelve seconds
            clock.pass_(0.1)
            self.shown(store, version, str(100 + version))
            flashed_at.add(store.moves["AAPL"].flashed_at)
        times = sorted(moment for moment in flashed_at if moment)
        gaps = [(b - a).total_seconds() for a, b in pairwise(times)]
        assert 5 <= len(times) <= 6
        assert min(gaps) >= FLASH_EVERY

    def test_an_equal_price_starts_no_flash(self, store: Store, clock: Clock):
        self.shown(store, 1, "101")
        clock.pass_(1)
        assert self.shown(store, 2, "101.00", bid=Decimal(100)) == ""

    def test_a_new_bid_does_not_repeat_the_flash_of_an_earlier_move(
        self, store: Store, clock: Clock
    ):
        # a page that opened after the move has no flash: an old flash name would be new to it
        self.shown(store, 1, "101")
        clock.pass_(1)
        self.shown(store, 2, "102")
        clock.pass_(60)
        assert self.shown(store, 3, "102", bid=Decimal(100)) == ""

    def test_a_new_name_of_the_symbol_does_not_flash(self, store: Store, clock: Clock):
        self.shown(store, 1, "101")
        clock.pass_(1)
        self.shown(store, 2, "102")
        clock.pass_(60)
        store.mark_moves(store.keep([btc(), aapl(name="Apple Inc.")]))
        assert self.flash(store) == ""

    def test_a_stale_price_never_flashes(self, store: Store, clock: Clock):
        self.shown(store, 1, "101")
        clock.pass_(1000)
        store.put((1, 2), [quote("AAPL", "102", at=NOON)])
        store.mark_moves(["AAPL"])
        assert self.flash(store) == ""

    def test_a_price_that_was_stale_does_not_flash_later_without_a_move(
        self, store: Store, clock: Clock
    ):
        self.shown(store, 1, "101")
        clock.pass_(1000)
        store.put((1, 2), [quote("AAPL", "102", at=NOON)])
        store.mark_moves(["AAPL"])
        clock.pass_(60)
        assert self.shown(store, 3, "102") == ""

    def test_a_symbol_that_no_page_has_shown_does_not_flash(self, store: Store):
        assert self.flash(store) == ""

    def test_the_largest_moves_flash_by_their_share_of_the_price(self, clock: Clock):
        store = Store(clock=clock)
        codes = [f"S{number}" for number in range(9)]
        store.keep([aapl(pk=number, code=code) for number, code in enumerate(codes)])
        for version, factor in enumerate((0, 1), start=1):
            prices = {
                code: 10**place * (1 + factor * Decimal(place - 4) / 100)
                for place, code in enumerate(codes)
            }
            store.put((1, version), [quote(code, str(last)) for code, last in prices.items()])
            store.mark_moves(codes)
        assert store.flashes(codes, 0.25).keys() == {"S0", "S1", "S2", "S6", "S7", "S8"}
        few = store.flashes(["S2", "S3", "S4", "S5"], 0.25)
        assert few == {"S2": "down-1", "S3": "down-1", "S5": "up-1"}

    @pytest.mark.parametrize("pace", [0.04, 0.05, 0.15, 0.2, 0.25, 1])
    def test_at_most_six_flashes_are_visible_at_any_moment(self, clock: Clock, pace: float):
        store = Store(clock=clock)
        groups = [[f"S{group}-{number}" for number in range(8)] for group in range(70)]
        codes = [code for group in groups for code in group]
        store.keep([aapl(pk=number, code=code) for number, code in enumerate(codes)])
        begun: list[float] = []
        visible = []
        for version in range(1, 211):
            clock.pass_(pace)
            now, group = version * pace, groups[version % 70]
            store.put((1, version), [quote(code, str(version)) for code in group])
            store.mark_moves(group)
            begun += [now] * len(store.flashes(group, pace))
            visible.append(sum(now - begin < FLASH - 1e-6 for begin in begun))
        assert MAX_FLASHES / 2 < max(visible) <= MAX_FLASHES

    @given(st.lists(st.tuples(st.sampled_from([99, 100, 101]), st.floats(0, 2)), max_size=30))
    def test_a_flash_begins_with_a_move_in_its_direction_and_never_too_soon(
        self, steps: list[tuple[int, float]]
    ):
        move, now = Move(), NOON
        for price, seconds in steps:
            now += timedelta(seconds=seconds)
            before, move = move, move.to(Decimal(price), now)
            if move.flashed_at == before.flashed_at:
                continue
            assert before.last is not None
            assert before.last != price
            assert move.flash[:-2] == ("up" if price > before.last else "down")
            assert move.flash != before.flash
            if before.flashed_at:
                assert (now - before.flashed_at).total_seconds() >= FLASH_EVERY


class TestListedSymbols:
    def test_a_new_symbol_is_returned_as_changed(self, store: Store):
        doge = Symbol(pk=3, code="DOGE-USD", name="Dogecoin", kind="crypto", currency="USD")
        assert store.keep([btc(), aapl(), doge]) == {"DOGE-USD"}
        assert store.put((1, 1), [quote("DOGE-USD", "0.1")]) == {"DOGE-USD"}

    def test_an_unlisted_symbol_is_forgotten(self, store: Store):
        store.put((1, 1), [quote("AAPL", "101")])
        store.mark_moves(["AAPL"])
        assert store.keep([btc()]) == set()
        assert set(store.states) == {"BTC-USD"}
        assert "AAPL" not in store.moves

    def test_a_symbol_keeps_its_price_when_others_come_and_go(self, store: Store):
        store.put((1, 1), [quote("AAPL", "101")])
        before = store.states["AAPL"]
        store.keep([aapl()])
        assert store.states["AAPL"] is before

    @pytest.mark.parametrize(
        "changed",
        [{"name": "Apple Inc."}, {"tick_size": Decimal("0.01")}, {"stale_after": 5}],
        ids=repr,
    )
    def test_an_edited_symbol_is_returned_as_changed_and_keeps_its_price(
        self, store: Store, changed: dict[str, Any]
    ):
        store.put((1, 1), [quote("AAPL", "101")])
        assert store.keep([btc(), aapl(**changed)]) == {"AAPL"}
        assert last(store) == "101"
        assert store.put((1, 1), [quote("AAPL", "99")]) == set()  # it keeps its version, too

    def test_another_symbol_with_the_code_of_one_does_not_have_its_price(self, store: Store):
        store.put((1, 1), [quote("AAPL", "101")])
        store.mark_moves(["AAPL"])
        assert store.keep([btc(), aapl(pk=7)]) == {"AAPL"}
        assert store.states["AAPL"].quote is None
        store.put((1, 2), [quote("AAPL", "5")])
        store.mark_moves(["AAPL"])
        assert not store.moves["AAPL"].flash

    def test_reading_the_same_list_again_changes_nothing(self, store: Store):
        assert store.keep([btc(), aapl()]) == set()
