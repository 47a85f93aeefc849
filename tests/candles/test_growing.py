"""Candles: made from all quotes that the feed accepts, equal to those of a simple rebuild."""

from __future__ import annotations

import tracemalloc
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotes.candles.growing import DAY, STEPS, Candles, Key, Row, period_of
from quotes.quote import Quote
from tests.examples import examples

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday; in New York 07:00
OPENING = NOON + timedelta(hours=2, minutes=30)  # of New York
NEW_YORK, SYDNEY = ZoneInfo("America/New_York"), ZoneInfo("Australia/Sydney")
EXCHANGES: dict[str, tzinfo] = {"AAPL": NEW_YORK, "BHP": SYDNEY}
MINUTE, FIVE, HOUR = STEPS[:3]


def quote(last: str | int, made: datetime = NOON, symbol: str = "BTC-USD", **more: Any) -> Quote:
    """Make a quote that arrived at its own time."""
    given = {"provider": "bourse", "currency": "USD", "received_at": made, "source_time": made}
    return Quote(symbol=symbol, last=Decimal(last), **given | more)


def share(
    last: int, traded: int, seconds: float, opening: datetime = OPENING, **more: Any
) -> Quote:
    """Make a quote of AAPL, some seconds after the opening, with the volume of the session."""
    made = opening + timedelta(seconds=seconds)
    given = {"volume": Decimal(traded), "volume_window": "session", "session": "regular"}
    return quote(last, made, "AAPL", **given | more)


def candles_of(*journal: Quote) -> Candles:
    candles = Candles()
    candles.zones = EXCHANGES
    for each in journal:
        candles.take(each)
    return candles


def rows_of(candles: Candles) -> dict[Key, Row]:
    """Return the rows that are not written yet, by key."""
    rows = [each.row() for each in candles.due()]
    assert len({row[:3] for row in rows}) == len(rows)
    return {row[:3]: row for row in rows}


def the_row(*journal: Quote, step: int = MINUTE) -> Row:
    [row] = [row for row in rows_of(candles_of(*journal)).values() if row.step == step]
    return row


def volumes(step: int, *journal: Quote) -> list[int | None]:
    """Return the volumes of the candles of a step, in order of time."""
    rows = sorted(row for row in rows_of(candles_of(*journal)).values() if row.step == step)
    return [None if row.volume is None else int(row.volume) for row in rows]


Prices = tuple[Decimal, Decimal, Decimal, Decimal, bool]


def rebuilt(journal: Iterable[Quote]) -> dict[Key, Prices]:
    """Make all candles in a simple way: open, high, low, close, and whether they are mixed."""
    journals: dict[Key, list[Quote]] = defaultdict(list)
    for each in journal:
        made = each.source_time or each.received_at
        if each.received_at - made > timedelta(hours=1) or each.session in ("pre", "post"):
            continue
        if each.source_time is None and each.session in ("closed", "break", "halted"):
            continue
        for step in STEPS:
            start = int(made.timestamp()) // step * step
            if step == DAY and (zone := EXCHANGES.get(each.symbol)):
                date = made.astimezone(zone).date()
                start = int(datetime(date.year, date.month, date.day, tzinfo=UTC).timestamp())
            journals[each.symbol, step, start].append(each)
    found = {}
    for key, quotes in journals.items():
        # equal times stay in order of arrival
        in_order = sorted(quotes, key=lambda each: each.time)
        lasts = [each.last for each in in_order]
        mixed = len({each.provider for each in quotes}) > 1
        found[key] = (lasts[0], max(lasts), min(lasts), lasts[-1], mixed)
    return found


def prices(rows: Iterable[Row]) -> dict[Key, Prices]:
    return {row[:3]: (row.open, row.high, row.low, row.close, row.mixed) for row in rows}


# journals: quotes near the borders of minutes, late quotes, duplicates and gaps

MOMENTS = st.builds(
    lambda minute, micro: NOON + timedelta(minutes=minute, microseconds=micro),
    st.sampled_from(
        [0, 0, 0, 1, 1, 2, 4, 5, 6, 59, 60, 61, 299, 300, 12 * 60, 13 * 60 + 1, 29 * 60]
    ),
    st.sampled_from([-1_000_000, -1, 0, 1, 500_000, 30_000_000, 59_999_999]),
)
LATENESS = st.sampled_from([0, 0, 0, 0.25, 5, 61, 900, 3600, 3601, 86_400])  # seconds
SESSIONS = st.sampled_from([None, "always", "regular", "pre", "post", "closed", "break"])


@st.composite
def quotes(draw: st.DrawFn) -> Quote:
    made = draw(MOMENTS)
    came = made + timedelta(seconds=draw(LATENESS))
    return Quote(
        symbol=draw(st.sampled_from(["BTC-USD", "AAPL", "BHP"])),
        provider=draw(st.sampled_from(["coinbase", "coinbase", "kraken"])),
        currency="USD",
        last=draw(st.decimals("0.5", "9.5", places=draw(st.integers(0, 20)))),
        received_at=came,
        source_time=draw(st.sampled_from([made, made, None])),
        volume=draw(st.none() | st.decimals(0, 1000, places=2)),
        volume_window=draw(st.sampled_from([None, "24h", "session"])),
        session=draw(SESSIONS),
    )


@st.composite
def journals(draw: st.DrawFn) -> list[Quote]:
    journal = draw(st.lists(quotes(), max_size=40))
    if draw(st.booleans()):  # most quotes come in order
        journal.sort(key=lambda each: each.received_at)
    if journal and draw(st.booleans()):  # and some come twice
        journal.insert(draw(st.integers(0, len(journal))), draw(st.sampled_from(journal)))
    return journal


@given(journals())
@examples(200)
def test_candles_equal_those_of_a_simple_rebuild(journal: list[Quote]):
    assert prices(rows_of(candles_of(*journal)).values()) == rebuilt(journal)


class TestPrices:
    def test_a_minute_opens_with_its_first_quote_and_closes_with_its_last(self):
        journal = [quote(last, NOON + timedelta(seconds=n)) for n, last in enumerate([3, 5, 1, 4])]
        row = the_row(*journal)
        assert row[4:8] == (3, 5, 1, 4)
        assert (row.start, row.step) == (NOON.timestamp(), 60)
        assert (row.opened, row.closed) == (0, 3_000_000)

    def test_no_digit_is_lost(self):
        row = the_row(quote("0.000012345678901234567890"))
        assert str(row.close) == "0.00001234567890123456789" + "0"

    @pytest.mark.parametrize(
        ("micro", "starts"), [(-1, -60), (0, 0), (59_999_999, 0), (60_000_000, 60)]
    )
    def test_a_minute_ends_before_the_next_one(self, micro: int, starts: int):
        row = the_row(quote(1, NOON + timedelta(microseconds=micro)))
        assert row.start - NOON.timestamp() == starts

    def test_a_quote_belongs_to_its_own_time_and_not_to_its_arrival(self):
        late = quote(7, NOON, received_at=NOON + timedelta(minutes=15))
        assert the_row(late).start == NOON.timestamp()

    def test_a_quote_without_a_time_of_its_own_belongs_to_its_arrival(self):
        assert the_row(quote(7, source_time=None)).start == NOON.timestamp()

    def test_a_late_quote_changes_the_minute_that_it_belongs_to(self):
        journal = [
            quote(5),
            quote(6, NOON + timedelta(minutes=1)),
            quote(9, NOON + timedelta(seconds=1)),
        ]
        minutes = [row for row in rows_of(candles_of(*journal)).values() if row.step == MINUTE]
        assert sorted(row[2:8] for row in minutes) == [
            (NOON.timestamp(), 0, 5, 9, 5, 9),
            (NOON.timestamp() + 60, 0, 6, 6, 6, 6),
        ]

    def test_an_earlier_quote_that_arrives_later_is_the_open(self):
        assert the_row(quote(5, NOON + timedelta(seconds=9)), quote(6))[4:8] == (6, 6, 5, 5)

    def test_of_two_quotes_at_the_same_time_the_first_opens_and_the_second_closes(self):
        assert the_row(quote(5), quote(6))[4:8] == (5, 6, 5, 6)
        later = quote(7, NOON + timedelta(seconds=9))
        assert the_row(quote(5), later, quote(6))[4:8] == (5, 7, 5, 7)

    def test_a_minute_without_quotes_has_no_candle(self):
        rows = rows_of(candles_of(quote(5), quote(6, NOON + timedelta(minutes=3))))
        assert sorted(row.start - NOON.timestamp() for row in rows.values() if row.step == 60) == [
            0,
            180,
        ]

    def test_a_candle_names_the_provider_of_its_close_and_whether_others_sent_quotes(self):
        minute = timedelta(minutes=1)
        alone, both = quote(5, provider="coinbase"), quote(6, NOON + minute, provider="coinbase")
        rows = rows_of(candles_of(alone, both, quote(7, NOON + minute, provider="kraken")))
        found = {
            row.start - NOON.timestamp(): row[-3:-1] for row in rows.values() if row.step == 60
        }
        assert found == {0: ("coinbase", False), 60: ("kraken", True)}

    @pytest.mark.parametrize("session", ["pre", "post"])
    def test_quotes_before_or_after_a_session_make_no_candle(self, session: str):
        assert rows_of(candles_of(share(5, 0, -60, session=session))) == {}

    def test_a_last_price_without_a_time_makes_no_candle_while_the_market_is_closed(self):
        assert rows_of(candles_of(share(5, 0, 60, session="closed", source_time=None))) == {}

    def test_the_price_of_the_closing_auction_counts_after_the_close(self):
        assert the_row(share(5, 0, 6.5 * 3600 + 1, session="closed")).close == 5

    def test_a_price_of_yesterday_makes_no_candle(self):
        assert rows_of(candles_of(quote(5, received_at=NOON + timedelta(days=1)))) == {}


class TestDays:
    def test_a_day_of_crypto_is_a_day_of_utc(self):
        midnight = NOON.replace(hour=0)
        row = the_row(quote(5, midnight + timedelta(hours=23, minutes=59)), step=DAY)
        assert row.start == midnight.timestamp()

    @pytest.mark.parametrize(
        ("zone", "opens", "closes"),
        [
            (NEW_YORK, "2026-03-02T14:30Z", "2026-03-02T21:00Z"),
            (NEW_YORK, "2026-07-06T13:30Z", "2026-07-06T20:00Z"),
            (SYDNEY, "2026-03-01T23:00Z", "2026-03-02T05:10Z"),
            (SYDNEY, "2026-07-06T00:00Z", "2026-07-06T06:10Z"),
        ],
    )
    def test_a_day_contains_a_whole_session(self, zone: tzinfo, opens: str, closes: str):
        spans = {period_of(DAY, datetime.fromisoformat(each), zone) for each in (opens, closes)}
        [(start, _, _)] = spans
        date = datetime.fromtimestamp(start, UTC)
        assert f"{date:%m-%d %H:%M}" in ("03-02 00:00", "07-06 00:00")

    @pytest.mark.parametrize(("day", "hours"), [("2026-03-08", 23), ("2026-11-01", 25)])
    def test_a_day_may_have_23_or_25_hours(self, day: str, hours: int):
        noon = datetime.fromisoformat(f"{day}T17:00Z")
        _, begins, ends = period_of(DAY, noon, NEW_YORK)
        assert ends - begins == timedelta(hours=hours)
        assert period_of(DAY, begins, NEW_YORK) == period_of(
            DAY, ends - timedelta(microseconds=1), NEW_YORK
        )


class TestVolume:
    def test_it_is_the_difference_to_the_quote_before(self):
        journal = [
            share(5, 1000, 3600),
            share(5, 1010, 3650),
            share(5, 1015, 3665),
            share(5, 1018, 3690),
        ]
        assert volumes(MINUTE, *journal) == [None, 8]

    def test_the_first_candle_has_no_volume(self):
        # trades earlier in the same minute are not known
        assert volumes(MINUTE, share(5, 1000, 3600), share(5, 1010, 3610)) == [None]

    def test_the_volume_of_a_rolling_window_is_not_used(self):
        window = {"volume_window": "24h"}
        journal = [share(5, 1000 + 10 * n, 30 * n, **window) for n in range(9)]
        assert set(volumes(MINUTE, *journal)) == {None}

    def test_a_minute_after_a_gap_has_no_volume(self):
        # its trades may be from the gap, and an hour that contains the gap has all of them
        journal = [
            share(5, 1000, 3590),
            share(5, 1010, 3610),
            share(5, 1090, 3900),
            share(5, 1091, 3910),
        ]
        assert volumes(MINUTE, *journal) == [None, 10, None]
        assert volumes(HOUR, share(5, 900, 1000), *journal) == [None, 191]

    def test_the_first_minute_of_a_session_has_its_volume_after_a_quote_before_the_opening(self):
        before = share(5, 4_000_000, -20, session="pre")  # still the volume of Friday
        first, second = share(5, 300, 1), share(6, 500, 70)
        assert volumes(MINUTE, before, first, second) == [300, 200]
        assert volumes(MINUTE, first, second) == [None, 200]

    def test_a_new_day_counts_from_zero_even_if_its_volume_is_above_that_of_the_day_before(self):
        friday = share(5, 100, 0, OPENING - timedelta(days=3))
        assert volumes(DAY, friday, share(5, 150, 0)) == [100, 150]
        assert volumes(HOUR, friday, share(5, 150, 0)) == [None, None]

    def test_the_volume_of_a_day_of_a_stock_is_that_of_its_session(self):
        assert volumes(DAY, share(5, 40_000, 9000), share(5, 40_200, 9001)) == [40_200]

    def test_a_day_of_an_unknown_exchange_may_divide_a_session(self):
        journal = [replace(share(5, 1000 + n, 3600 * n), symbol="XYZ") for n in range(24)]
        assert volumes(DAY, *journal) == [None, None]
        restarted = replace(share(5, 7, 24 * 3600), symbol="XYZ")
        assert volumes(DAY, *journal[:9], restarted) == [None, 7]

    def test_a_corrected_counter_leaves_one_candle_without_volume(self):
        journal = [
            share(5, 1000, -1),
            share(5, 1010, 3),
            share(5, 990, 5),
            share(5, 995, 6),
            share(5, 999, 70),
        ]
        assert volumes(MINUTE, *journal)[1:] == [None, 4]

    def test_counters_of_two_providers_are_not_compared(self):
        journal = [share(5, 1000 + n, n * 20) for n in range(4)]
        other = [share(5, 30 + n, n * 20, provider="iex") for n in range(4, 12)]
        assert volumes(MINUTE, *journal, *other) == [None, None, 3, 3]

    def test_a_candle_with_a_quote_of_another_provider_has_no_volume(self):
        journal = [share(5, 1000 + n, n * 20) for n in range(5)]
        other = share(5, 0, 90, provider="iex", volume=None)
        assert volumes(MINUTE, *journal) == [None, 2]
        assert volumes(MINUTE, *journal, other) == [None, None]
        assert volumes(DAY, *journal, other) == [None]

    def test_the_same_quote_twice_is_counted_once(self):
        journal = [share(5, 1000 + n, n * 10) for n in range(18)]
        twice = [each for one in journal for each in (one, one)]
        assert volumes(MINUTE, *twice) == volumes(MINUTE, *journal) == [None, 6, 6]

    def test_a_late_quote_is_not_counted_again(self):
        journal = [share(5, 1000 + n, n * 10) for n in range(18)]
        assert volumes(MINUTE, *journal[:8], journal[3], *journal[8:]) == [None, 6, 6]

    @given(
        st.lists(st.tuples(st.integers(1, 200), st.integers(0, 500)), min_size=1, max_size=80),
        st.integers(0, 60),
    )
    @examples(200)
    def test_if_all_trades_are_known_it_is_their_sum_or_unknown(
        self, trades: list[tuple[int, int]], first: int
    ):
        seconds, traded, journal = 0, 0, []
        for pause, size in trades:
            seconds, traded = seconds + pause, traded + size
            journal.append((share(5, traded, seconds), size))
        known = journal[first:]
        for row in rows_of(candles_of(*(each for each, _ in known))).values():
            zone = EXCHANGES["AAPL"]
            sizes = [
                size
                for each, size in journal
                if period_of(row.step, each.time, zone)[0] == row.start
            ]
            assert row.volume in (None, sum(sizes))
            if row.step == DAY:
                assert row.volume is not None


class TestWriting:
    def test_a_written_candle_is_due_again_only_when_it_changes(self):
        candles = candles_of(quote(5))
        assert len(rows_of(candles)) == len(STEPS)
        candles.written()
        assert rows_of(candles) == {}
        candles.take(quote(6, NOON + timedelta(seconds=1)))
        assert {row.close for row in rows_of(candles).values()} == {6}

    def test_a_candle_that_could_not_be_written_is_due_again(self):
        candles = candles_of(quote(5))
        due = candles.due()
        candles.take(quote(6, NOON + timedelta(minutes=1)))
        candles.failed(due)
        closes = sorted(row.close for row in rows_of(candles).values() if row.step == MINUTE)
        assert closes == [5, 6]

    def test_a_minute_that_ends_while_it_is_being_written_is_not_lost(self):
        candles = candles_of(quote(5))
        due = candles.due()
        candles.take(quote(6, NOON + timedelta(minutes=1)))
        candles.take(quote(7, NOON + timedelta(seconds=2)))  # late, while the minute is written
        candles.written()
        rows = [row for row in rows_of(candles).values() if row.step == MINUTE]
        assert sorted((row.start - NOON.timestamp(), row.high) for row in rows) == [(0, 7), (60, 6)]
        assert due

    def test_a_growing_candle_continues_after_a_late_quote(self):
        candles = candles_of(*(share(5, 1000 + n, n * 10) for n in range(9)))
        for late in (share(4, 1000, 20), share(4, 1000, 21)):
            candles.due()
            candles.written()
            candles.take(late)
        candles.take(share(6, 1009, 90))
        found = {row.start: row.volume for row in rows_of(candles).values() if row.step == MINUTE}
        assert found[int(OPENING.timestamp()) + 60] == 1009 - 1005

    def test_the_number_of_waiting_candles_is_limited_and_the_oldest_is_dropped(
        self, caplog: pytest.LogCaptureFixture
    ):
        candles = Candles(max_waiting=10)
        for minute in range(60):
            candles.take(quote(minute + 1, NOON + timedelta(minutes=minute)))
        minutes = [row for row in rows_of(candles).values() if row.step == MINUTE]
        assert len(candles.waiting) == 10
        assert max(row.start for row in minutes) == NOON.timestamp() + 59 * 60
        assert [record.message for record in caplog.records] == [
            "more than 10 candles wait for the database, dropping the oldest"
        ]

    def test_candles_of_many_symbols_wait_for_some_minutes(self, caplog: pytest.LogCaptureFixture):
        candles = Candles(max_waiting=10)
        codes = [f"C{number}-USD" for number in range(50)]
        for minute in range(5):
            for code in codes:
                candles.take(quote(minute + 1, NOON + timedelta(minutes=minute), code))
        assert len(rows_of(candles)) == 50 * (5 + len(STEPS) - 1)
        assert caplog.records == []

    def test_the_candles_that_wait_longest_are_written_first(self):
        candles = Candles()
        for second in range(4):
            candles.take(quote(second + 1, NOON + timedelta(seconds=second), f"C{second}-USD"))
        order, moments = [], []
        for second in range(10, 18):  # all of them change again, in the opposite order
            due = candles.due(2)
            order += [each.symbol for each in due]
            candles.written()
            moments.append(candles.changed_since())
            code = f"C{3 - second % 4}-USD"
            candles.take(quote(9, NOON + timedelta(seconds=second), code))
        assert order == [f"C{number // 4}-USD" for number in range(16)]
        assert moments[:2] == [NOON, NOON + timedelta(seconds=1)]

    def test_candles_of_unlisted_symbols_are_written_and_forgotten(self):
        candles = candles_of(quote(5), share(7, 0, 0))
        candles.keep(EXCHANGES, {"AAPL"})
        assert {row.symbol for row in rows_of(candles).values()} == {"AAPL", "BTC-USD"}
        candles.written()
        assert set(candles.series) == {"AAPL"}
        assert candles.waiting == {}

    def test_after_a_correction_of_its_exchange_a_symbol_has_the_days_of_the_new_one(self):
        candles = candles_of(share(5, 10, 0))
        candles.keep({"AAPL": SYDNEY}, {"AAPL"})
        candles.take(share(6, 20, 10))
        days = {row.start for row in rows_of(candles).values() if row.step == DAY}
        midnight = NOON.replace(hour=0)
        assert days == {midnight.timestamp(), (midnight + timedelta(days=1)).timestamp()}


class TestTakingOver:
    """A feed takes over from another one and continues its candles."""

    def taken_over(self, before: Sequence[Quote], now: datetime, after: Sequence[Quote]) -> Candles:
        written = rows_of(candles_of(*before)).values()
        candles = Candles()
        candles.zones = EXCHANGES
        candles.restore(written, now)
        for each in after:
            candles.take(each)
        return candles

    def test_the_volume_continues(self):
        before = [share(5, 1000 + n, n * 10) for n in range(1, 9)]
        after = [share(6, 1020, 95), share(6, 1025, 125)]
        candles = self.taken_over(before, after[0].time, after)
        found = {row[1:3]: row.volume for row in rows_of(candles).values()}
        start = int(OPENING.timestamp())
        assert found[MINUTE, start + 60] == 1020 - 1005  # the reading at 50 seconds
        assert found[MINUTE, start + 120] == 5

    def test_open_high_and_low_stay(self):
        before = [quote(each) for each in (5, 9, 1, 4)]
        candles = self.taken_over(before, NOON, [quote(6, NOON + timedelta(seconds=20))])
        assert {row[4:8] for row in rows_of(candles).values()} == {(5, 9, 1, 6)}

    def test_unchanged_candles_are_not_written_again(self):
        candles = self.taken_over([quote(5)], NOON, [])
        assert rows_of(candles) == {}

    def test_the_counter_of_another_provider_is_not_continued(self):
        before = [share(5, 1000 + n, n * 10) for n in range(1, 5)]
        after = [share(6, 30, 50, provider="iex"), share(6, 40, 70, provider="iex")]
        candles = self.taken_over(before, after[0].time, after)
        found = {row[1:3]: (row.mixed, row.volume) for row in rows_of(candles).values()}
        start = int(OPENING.timestamp())
        assert found[MINUTE, start] == (True, None)
        assert found[MINUTE, start + 60] == (False, 10)


def ticks(symbols: int, seconds: float, rate: float = 2.0) -> Iterator[Quote]:
    """Yield ticks of some symbols, each at a rate per second, by a clock of their own."""
    for number in range(int(seconds * rate)):
        moment = NOON + timedelta(seconds=number / rate)
        for index in range(symbols):
            price = Decimal(10_000 + (number * 37 + index * 101) % 997) / 100
            yield quote(price, moment + timedelta(microseconds=index), f"S{index}")


def test_memory_stays_flat_while_candles_are_written():
    candles, source = Candles(), ticks(2, 4 * 3600)

    def hour() -> int:
        for _ in range(1800):
            for each in islice(source, 8):  # two seconds
                candles.take(each)
            candles.due()
            candles.written()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        used = [hour() for _ in range(4)]
    finally:
        tracemalloc.stop()
    assert abs(used[-1] - used[1]) < 5_000  # bytes: less than a candle a minute
    assert len(candles.waiting) <= 2 * len(STEPS)
