"""The archive: candles of several writers are merged, pruned by age, deleted with their symbol."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.admin.utils import NestedObjects
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quotes import providers
from quotes.candles import archive
from quotes.candles.archive import Span
from quotes.candles.growing import DAY, STEPS, Candles, Row
from quotes.fields import from_text, to_text
from quotes.models import Candle, CandleSpan, FeedLease, ProviderSymbol, Symbol
from quotes.quote import Quote, utc_now
from tests.candles.test_growing import (
    EXCHANGES,
    NOON,
    candles_of,
    journals,
    quote,
    rebuilt,
    rows_of,
    share,
)

pytestmark = pytest.mark.django_db
START = int(NOON.timestamp())
MINUTE = STEPS[0]
CHARTS = ((MINUTE, 2), (300, 10), (3600, 90), (DAY, 1826))  # steps of candles, and days back
EXACT = st.decimals(0, allow_nan=False, allow_infinity=False).filter(
    lambda number: abs(number.adjusted()) <= 30
)


def list_symbols(*codes: str, **more: object) -> None:
    given = {"name": "Listed", "kind": "crypto", "currency": "USD"} | more
    Symbol.objects.bulk_create(Symbol(code=code, **given) for code in codes)


def row(*lasts: int, at: int = 0, step: int = MINUTE, **more: object) -> Row:
    """Make the row of a candle of BTC-USD with a quote per second, the first after `at` seconds."""
    given = {
        "symbol": "BTC-USD",
        "step": step,
        "start": START,
        "opened": at * 1_000_000,
        "open": Decimal(lasts[0]),
        "high": Decimal(max(lasts)),
        "low": Decimal(min(lasts)),
        "close": Decimal(lasts[-1]),
        "closed": (at + len(lasts) - 1) * 1_000_000,
        "volume": None,
        "counter": None,
        "provider": "bourse",
        "mixed": False,
    }
    return Row(**given | more)


def kept(symbol: str = "BTC-USD", step: int = MINUTE) -> list[providers.Candle]:
    return archive.load(symbol, step, NOON - timedelta(days=9), NOON + timedelta(days=9))


def the_prices() -> tuple[Decimal, ...]:
    [candle] = kept()
    return candle.open, candle.high, candle.low, candle.close


class TestNumbers:
    @given(EXACT)
    def test_no_digit_is_lost(self, number: Decimal):
        assert str(from_text(to_text(number))) == str(number)

    @given(EXACT, EXACT)
    def test_texts_sort_in_the_order_of_the_numbers(self, one: Decimal, other: Decimal):
        if one and other and one < other:
            assert to_text(one) < to_text(other)
            assert to_text(one) < to_text(abs(other))
            assert to_text(-other) < to_text(-one)

    def test_the_database_returns_all_digits(self):
        list_symbols("BTC-USD")
        price, volume = (
            Decimal("0.000012345678901234567890"),
            Decimal("123456789012345678901234.50"),
        )
        prices = dict.fromkeys(("open", "high", "low", "close"), price)
        archive.save(1, [row(1, **prices, volume=volume)])
        [candle] = kept()
        assert (str(candle.close), str(candle.volume)) == (str(price), str(volume))
        assert candle.start == NOON

    def test_the_database_compares_them_as_numbers(self):
        list_symbols("BTC-USD")
        for number, price in enumerate(["9.9", "10.000000000000000001", "10", "0.5"]):
            last = Decimal(price)
            prices = dict.fromkeys(("open", "high", "low", "close"), last)
            archive.save(1, [row(1, at=number, **prices)])
        assert the_prices() == tuple(map(Decimal, ("9.9", "10.000000000000000001", "0.5", "0.5")))

    def test_the_database_compares_prices_below_zero_too(self):
        list_symbols("BTC-USD")
        for number, price in enumerate(["1.5", "-37.63", "-40.32", "-40.3", "-0.02"]):
            last = Decimal(price)
            archive.save(1, [row(1, at=number, open=last, high=last, low=last, close=last)])
        assert the_prices() == tuple(map(Decimal, ("1.5", "1.5", "-40.32", "-0.02")))


class TestMerging:
    def test_a_candle_that_is_written_twice_is_stored_once(self):
        list_symbols("BTC-USD")
        for _ in range(2):
            archive.save(1, [row(5, 9, 1, 4)])
        assert the_prices() == (5, 9, 1, 4)
        assert Candle.objects.count() == 1

    def test_the_next_feed_adds_to_the_stored_candle(self):
        list_symbols("BTC-USD")
        archive.save(1, [row(5, 9, 1, 4)])
        archive.save(2, [row(6, 7, 3, at=20)])
        assert the_prices() == (5, 9, 1, 3)

    def test_a_late_price_is_neither_the_open_nor_the_close(self):
        list_symbols("BTC-USD")
        archive.save(1, [row(5, at=10)])
        archive.save(1, [row(6, at=20)])
        archive.save(1, [row(9, at=15)])
        assert the_prices() == (5, 9, 5, 6)

    def test_of_two_quotes_at_the_same_time_the_first_opens_and_the_second_closes(self):
        list_symbols("BTC-USD")
        archive.save(1, [row(5)])
        archive.save(2, [row(6)])
        assert the_prices() == (5, 6, 5, 6)

    def test_a_paused_feed_adds_to_the_candles_of_the_next_feed(self):
        list_symbols("BTC-USD")
        archive.save(2, [row(5, at=30)])
        archive.save(1, [row(9, at=20)])
        assert the_prices() == (9, 9, 5, 5)
        assert Candle.objects.get().epoch == 2

    def test_the_volume_is_that_of_the_last_write(self):
        list_symbols("BTC-USD")
        archive.save(1, [row(5, volume=Decimal(10))])
        archive.save(1, [row(5, 6, volume=Decimal(15))])
        assert kept()[0].volume == 15
        archive.save(1, [row(5, 6, 7, volume=None)])
        assert kept()[0].volume is None

    def test_a_candle_with_quotes_of_two_providers_is_marked_as_mixed(self):
        list_symbols("BTC-USD")
        archive.save(1, [row(5)])
        assert not Candle.objects.get().mixed
        archive.save(1, [row(6, at=1, provider="other")])
        archive.save(1, [row(7, at=2, provider="other")])
        assert Candle.objects.get().mixed
        assert Candle.objects.get().provider == "other"

    def test_candles_of_a_deleted_symbol_are_ignored(self):
        list_symbols("BTC-USD")
        archive.save(1, [row(5), row(6, symbol="GONE")])
        assert Candle.objects.count() == 1

    def test_two_hundred_candles_need_as_many_queries_as_two(self):
        codes = [f"S{number}" for number in range(200)]
        list_symbols(*codes)
        rows = [row(5, symbol=code) for code in codes]
        with CaptureQueriesContext(connection) as few:
            archive.save(1, rows[:2])
        with CaptureQueriesContext(connection) as many:
            archive.save(1, rows)
        assert len(many) == len(few) == 2
        assert Candle.objects.count() == 200

    def test_an_empty_list_writes_nothing(self):
        archive.save(1, [])
        assert not Candle.objects.exists()


# Whatever happens between quotes, in the end the database has the candles of the journal.

WRITES, FAILS, DIES, PAUSES = "writes", "fails to write", "writes and dies", "is paused"
EVENTS = st.sampled_from([None, None, None, WRITES, WRITES, FAILS, DIES, PAUSES])
MANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def write_down(journal: Sequence[Quote], events: Sequence[str | None]) -> None:
    """Make candles of a journal with one feed after another; an event may follow each quote."""
    Symbol.objects.all().delete()
    list_symbols("BTC-USD", "AAPL", "BHP")
    epoch, candles, paused = 1, taken_over_by(NOON), []
    for each, event in zip(journal, events, strict=False):
        candles.take(each)
        if event is None:
            continue
        due = candles.due()
        if event == FAILS:
            candles.failed(due)
            continue
        rows = [growing.row() for growing in due]
        archive.save(epoch, rows)
        candles.written()
        if event in (DIES, PAUSES):
            paused += [(epoch, rows)] if event == PAUSES else []
            epoch, candles = epoch + 1, taken_over_by(each.received_at)
    archive.save(epoch, [growing.row() for growing in candles.due()])
    for old, rows in paused:  # they wake up and write once more
        archive.save(old, rows)


@given(journals(), st.lists(EVENTS, min_size=45, max_size=45))
@MANY
def test_candles_equal_those_of_a_simple_rebuild_whatever_happens_between_quotes(
    journal: list[Quote], events: list[str | None]
):
    write_down(journal, events)
    found = {}
    for each in Candle.objects.select_related("symbol"):
        key = (each.symbol.code, each.step, int(each.start.timestamp()))
        found[key] = (each.open, each.high, each.low, each.close, each.mixed)
    assert found == rebuilt(journal)


@given(
    st.lists(st.tuples(st.integers(1, 90), st.integers(0, 500), EVENTS), min_size=1, max_size=45)
)
@MANY
def test_the_volume_is_the_same_with_one_feed_or_with_many(
    trades: list[tuple[int, int, str | None]],
):
    seconds, traded, journal = 0, 0, []
    for pause, size, _ in trades:
        seconds, traded = seconds + pause, traded + size
        journal.append(share(5, traded, seconds))
    write_down(journal, [event for _, _, event in trades])
    expected = {(row.step, row.start): row.volume for row in rows_of(candles_of(*journal)).values()}
    found = {(each.step, int(each.start.timestamp())): each.volume for each in Candle.objects.all()}
    assert found == expected


def newest(now: datetime, among: Collection[str] | None = None) -> list[Row]:
    return [row for step in STEPS for row in archive.load_newest(step, now, among)]


def taken_over_by(now: datetime) -> Candles:
    candles = Candles()
    candles.zones = EXCHANGES
    candles.restore(newest(now), now)
    return candles


class TestTakingOver:
    def test_the_newest_candle_of_each_step_is_loaded(self):
        list_symbols("BTC-USD")
        hour_ago = NOON - timedelta(hours=1)
        for each in (hour_ago, NOON):
            candles = Candles()
            candles.take(quote(5, each))
            archive.save(1, [growing.row() for growing in candles.due()])
        rows = newest(NOON + timedelta(seconds=59))
        assert {(each.step, each.start) for each in rows} == {
            (MINUTE, START),
            (300, START),
            (3600, START),
            (DAY, START - 12 * 3600),
        }
        assert all(str(each.close) == "5" for each in rows)

    def test_no_other_candles_are_loaded(self):
        # ten symbols have a day of minutes each; to load them would delay the start of a feed
        codes = [f"S{number}" for number in range(10)]
        list_symbols(*codes)
        for code in codes:
            archive.save(1, [row(5, symbol=code, start=START - 60 * n) for n in range(1440)])
        with CaptureQueriesContext(connection) as queries:
            assert len(newest(NOON)) == 10
        assert len(queries) == 2 * len(STEPS)
        assert {each.symbol for each in newest(NOON, {"S3", "S7"})} == {"S3", "S7"}

    def test_candles_of_inactive_symbols_are_not_loaded(self):
        list_symbols("BTC-USD", active=False)
        archive.save(1, [row(5)])
        assert newest(NOON) == []

    def test_the_time_zones_of_known_exchanges_are_loaded(self):
        list_symbols("BTC-USD", exchange="CRYPTO")
        list_symbols("AAPL", "XYZ", kind="stock", exchange="NASDAQ")
        Symbol.objects.filter(code="XYZ").update(exchange="NOWHERE")
        assert archive.load_zones() == {"AAPL": ZoneInfo("America/New_York")}


class TestSpans:
    SPAN = Span(NOON - timedelta(hours=1), NOON)

    def test_candles_from_a_provider_are_stored_with_their_span_and_the_current_epoch(self):
        list_symbols("BTC-USD")
        FeedLease.objects.create(epoch=7)
        archive.save_with_span([row(5)], "BTC-USD", MINUTE, self.SPAN)
        assert archive.load_spans() == {("BTC-USD", MINUTE): self.SPAN}
        assert Candle.objects.get().epoch == 7

    def test_the_newer_span_replaces_the_older_one(self):
        list_symbols("BTC-USD")
        longer = replace_span(self.SPAN, since=NOON - timedelta(days=1))
        for span in (self.SPAN, longer):
            archive.save_with_span([], "BTC-USD", MINUTE, span)
        assert archive.load_spans() == {("BTC-USD", MINUTE): longer}

    def test_the_span_of_a_deleted_symbol_is_not_stored(self):
        archive.save_with_span([row(5)], "BTC-USD", MINUTE, self.SPAN)
        assert not CandleSpan.objects.exists()

    def test_only_spans_that_reach_to_the_feed_are_extended(self):
        list_symbols("BTC-USD", "ETH-USD")
        archive.save_with_span([], "BTC-USD", MINUTE, self.SPAN)
        archive.save_with_span([], "BTC-USD", DAY, Span(NOON, NOON - timedelta(minutes=5)))
        archive.save_with_span([], "ETH-USD", MINUTE, self.SPAN)
        now = NOON + timedelta(seconds=70)
        archive.extend_spans(["BTC-USD"], NOON, now)
        until = {key: span.until for key, span in archive.load_spans().items()}
        assert until == {
            ("BTC-USD", MINUTE): now,
            ("BTC-USD", DAY): NOON - timedelta(minutes=5),
            ("ETH-USD", MINUTE): NOON,
        }


def replace_span(span: Span, **more: datetime) -> Span:
    return span._replace(**more)


class TestPruning:
    @staticmethod
    def prune(now: datetime) -> int:
        return sum(archive.prune(*each) for each in archive.prunings(now))

    def test_candles_older_than_their_retention_are_deleted(self, settings: object):
        settings.QUOTES = settings.QUOTES | {"RETENTION": {60: 0.5}}  # type: ignore[attr-defined]
        list_symbols("BTC-USD", "OLD", active=False)
        for code in ("BTC-USD", "OLD"):
            minutes = (row(5, symbol=code, start=START - 60 * n) for n in range(1000))
            archive.save(1, [*minutes, row(5, symbol=code, step=DAY, start=START - 2000 * DAY)])
        assert self.prune(NOON) == 2 * (1000 - 721) + 2
        left = Candle.objects.all()
        assert {each.start for each in left} == {NOON - timedelta(minutes=n) for n in range(721)}
        assert self.prune(NOON) == 0

    def test_a_statement_deletes_at_most_a_thousand_candles(self):
        list_symbols("BTC-USD")
        archive.save(1, [row(5, start=START - 60 * n) for n in range(2500)])
        later = NOON + timedelta(days=30)
        [pruning] = [each for each in archive.prunings(later) if each[1] == MINUTE]
        assert [archive.prune(*pruning) for _ in range(4)] == [1000, 1000, 500, 0]


class TestDeleting:
    def test_candles_and_spans_are_deleted_with_their_symbol(self):
        list_symbols("BTC-USD", "ETH-USD")
        archive.save(1, [row(5), row(6, symbol="ETH-USD")])
        archive.save_with_span([], "BTC-USD", MINUTE, TestSpans.SPAN)
        Symbol.objects.filter(code="BTC-USD").delete()
        assert [each.symbol.code for each in Candle.objects.all()] == ["ETH-USD"]
        assert not CandleSpan.objects.exists()

    def test_the_admin_neither_loads_nor_lists_thousands_of_candles(self):
        list_symbols("BTC-USD")
        archive.save(1, [row(5, start=START - 60 * n) for n in range(2500)])
        collector = NestedObjects(using="default")
        with CaptureQueriesContext(connection) as queries:
            collector.collect(Symbol.objects.all())
        assert not [each for each in queries if "quotes_candle" in each["sql"]]
        assert [str(each) for each in collector.nested()] == ["BTC-USD"]

    def test_a_renamed_symbol_keeps_its_candles(self):
        list_symbols("FB")
        archive.save(1, [row(5, symbol="FB")])
        Symbol.objects.update(code="META")
        assert len(kept("META")) == 1


class TestSimulatedPast:
    """Candles of a simulated symbol, which are made when they are read."""

    APPLE = {"kind": "stock", "exchange": "NASDAQ", "start": Decimal(200)}

    @pytest.fixture(autouse=True)
    def listed(self, settings: Any) -> None:
        settings.QUOTES = settings.QUOTES | {"PROVIDERS": ["simulated"]}
        list_symbols("BTC-USD", "ETH-USD")
        list_symbols("AAPL", **self.APPLE)

    def load(self, code: str, step: int, days: float) -> list[providers.Candle]:
        now = utc_now()
        return archive.load(code, step, now - timedelta(days=days), now)

    def test_it_is_there_for_every_chart_before_the_first_price(self):
        assert 1200 < len(self.load("AAPL", DAY, 1826)) < 1310
        lengths = [len(self.load("BTC-USD", step, days)) for step, days in CHARTS]
        assert lengths == pytest.approx([2880, 2880, 2160, 1826], abs=1)
        assert Candle.objects.count() == 0

    def test_it_goes_back_as_far_as_candles_are_kept(self, settings: Any):
        settings.QUOTES = settings.QUOTES | {"RETENTION": {MINUTE: 0.5}}
        assert len(self.load("BTC-USD", MINUTE, 2)) == pytest.approx(720, abs=1)

    def test_it_is_in_sparklines(self):
        Symbol.objects.filter(code="ETH-USD").update(active=False)
        now = utc_now()
        since = now - timedelta(days=5)
        closes = archive.load_closes(["AAPL", "BTC-USD", "ETH-USD"], 300, since, now)
        assert closes.keys() == {"AAPL", "BTC-USD"}
        assert len(closes["BTC-USD"]) == pytest.approx(1440, abs=1)
        made = self.load("BTC-USD", 300, 5)[-3]  # it is over
        assert (made.start + timedelta(minutes=5), made.close) in closes["BTC-USD"]
        assert all(since <= moment <= now for moment, _ in closes["BTC-USD"])
        assert len(closes["AAPL"]) < 5 * 78 + 1

    def test_real_prices_have_no_simulated_past(self, settings: Any):
        bitcoin = Symbol.objects.get(code="BTC-USD")
        ProviderSymbol.objects.create(symbol=bitcoin, provider="coinbase", code="BTC-USD")
        settings.QUOTES = settings.QUOTES | {"PROVIDERS": ["coinbase", "simulated"]}
        assert self.load("BTC-USD", DAY, 30) == []
        assert len(self.load("ETH-USD", DAY, 30)) == pytest.approx(30, abs=1)
        settings.QUOTES = settings.QUOTES | {"PROVIDERS": ["coinbase"]}
        assert self.load("ETH-USD", DAY, 30) == []

    def test_it_replaces_the_candles_of_an_earlier_market(self):
        made = self.load("BTC-USD", 3600, 1)[5]
        start = int(made.start.timestamp())
        archive.save(1, [row(1, 2, 3, step=3600, start=start, provider="simulated")])
        assert made in self.load("BTC-USD", 3600, 1)

    def test_prices_from_the_night_stay_between_its_sessions(self):
        days = {each.start.date() for each in self.load("AAPL", DAY, 10)}
        sunday = next(
            day
            for day in (utc_now().date() - timedelta(days=n) for n in range(1, 9))
            if day.weekday() == 6
        )
        start = int(datetime.combine(sunday, time(12), UTC).timestamp())
        archive.save(1, [row(7, symbol="AAPL", step=300, start=start, provider="simulated")])
        assert sunday not in days
        assert [each.close for each in self.load("AAPL", 300, 10) if each.close == 7] == [7]
