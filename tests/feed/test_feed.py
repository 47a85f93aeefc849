"""The feed: keeps sources alive, publishes their newest quotes, and reports outages."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, groupby
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotes.candles.growing import Candles
from quotes.feed import feed as feed_module
from quotes.feed import sources as sources_module
from quotes.feed.batch import Batch
from quotes.feed.feed import Feed, in_session
from quotes.feed.gate import Gate, uncrossed
from quotes.feed.sources import MAX_BACK_OFF, back_off
from quotes.providers import Instrument, Provider, ProviderError, make_provider
from quotes.providers.kit.faults import REST
from quotes.quote import Quote
from tests.servers import PATIENCE, until
from tests.stubs.http import Partly

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
AAPL = Instrument(symbol="AAPL", code="AAPL.US", kind="stock", tick_size=Decimal("0.01"))
BTC = Instrument(symbol="BTC-USD", code="XXBTZUSD")
GOLD = Instrument(symbol="GOLD", code="GC=F", kind="index")


def quote(symbol: str, last: str, second: float | None = None, **more: Any) -> Quote:
    """Make a quote; `second` is when the exchange made it, after noon."""
    made = None if second is None else NOON + timedelta(seconds=second)
    given = {"provider": "bourse", "currency": "USD", "source_time": made}
    return Quote(symbol=symbol, last=Decimal(last), **given | {"received_at": made or NOON} | more)


class Bourse(Provider):
    """A source that gives the answers of the test in turn, and then repeats the last one."""

    name = "bourse"
    title = "Bourse"
    attribution = "Prices by Bourse"
    poll_interval = 0.001

    def __init__(self, *answers: list[Quote] | Exception) -> None:
        super().__init__()
        self.answers = list(answers) or [[]]
        self.polls = 0
        self.requested: list[list[str]] = []
        self.closed = False

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        self.polls += 1
        self.requested.append([each.symbol for each in instruments])
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise copy(answer)
        return answer

    async def aclose(self) -> None:
        self.closed = True


class Wire(Bourse):
    """A source that streams what is put on its wire; an exception there ends the stream."""

    name = "wire"
    title = "Wire"
    streams = True

    def __init__(self, *answers: list[Quote] | Exception) -> None:
        super().__init__(*answers)
        self.wire: asyncio.Queue[Quote | Exception] = asyncio.Queue()
        self.opened: list[Sequence[Instrument]] = []

    async def stream(self, instruments: Sequence[Instrument]) -> AsyncIterator[Quote]:
        self.opened.append(instruments)
        while True:
            given = await self.wire.get()
            if isinstance(given, Exception):
                raise given
            yield given


class Published:
    """Everything that the feed published and learnt."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.sizes: list[dict[str, Decimal]] = []
        self.now: datetime | None = None
        self.providers: list[Provider] = []
        self.chains: dict[str, dict[str, Instrument]] = {}
        self.seconds: float | None = None  # the time by its clock
        self.feed = Feed(
            self.publish,
            self.learn,
            clock=lambda: time.monotonic() if self.seconds is None else self.seconds,
            now=lambda: self.now or datetime.now(UTC),
        )

    def watch(self, provider: Provider, instruments: Sequence[Instrument]) -> None:
        """Let the feed follow these instruments of a provider, beside those of others."""
        self.providers.append(provider)
        for chain in self.chains.values():
            chain.pop(provider.name, None)
        for each in instruments:
            self.chains.setdefault(each.symbol, {})[provider.name] = each
        self.follow()

    def follow(self) -> None:
        """Let the feed follow the same symbols again, as after a save in the admin."""
        chains = {code: dict(chain) for code, chain in self.chains.items() if chain}
        self.feed.follow(self.providers, chains)

    async def publish(self, batch: Batch) -> None:
        self.batches.append(batch)

    async def learn(self, sizes: dict[str, Decimal]) -> None:
        self.sizes.append(sizes)

    def prices(self, symbol: str) -> list[str]:
        """Return all prices of a symbol that were published, in order."""
        quotes = [each for batch in self.batches for each in batch.quotes]
        return [str(each.last) for each in quotes if each.symbol == symbol]

    def changes(self, symbol: str) -> list[str]:
        """Return the same prices without repeats: a source may give the last one again."""
        return [price for price, _ in groupby(self.prices(symbol))]

    @property
    def outages(self) -> dict[str, datetime]:
        """The outages in the newest batch."""
        return self.batches[-1].outages if self.batches else {}


async def end(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks until they have ended."""
    async with asyncio.timeout(PATIENCE):
        while not all(task.done() for task in tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.01)


@asynccontextmanager
async def running(
    *watched: tuple[Provider, list[Instrument]], now: datetime | None = None
) -> AsyncIterator[Published]:
    """Run a feed of these providers; without a time, by the clock."""
    published = Published()
    published.now = now
    for provider, instruments in watched:
        published.watch(provider, instruments)
    task = asyncio.create_task(published.feed.run())
    try:
        yield published
    finally:
        await end(task, *published.feed.tasks.values())
        await published.feed.aclose()


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let seconds be milliseconds."""
    monkeypatch.setattr(feed_module, "GATHER", 0.002)
    monkeypatch.setattr(feed_module, "BEAT", 0.01)
    monkeypatch.setattr(feed_module, "BACK_OFF", 0.001)
    monkeypatch.setattr(sources_module, "BACK_OFF", 0.001)
    monkeypatch.setattr(sources_module, "MAX_BACK_OFF", 0.01)
    monkeypatch.setattr(sources_module, "STEADY", 0.02)


PAUSES = st.sampled_from([0, 1 / 3, 1, 3, 40.0])  # seconds; the last one is an outage of a stream


class TestTheSession:
    IBM = replace(AAPL, symbol="IBM", code="IBM", exchange="NYSE")

    @pytest.mark.parametrize(
        ("instrument", "made", "stated", "session"),
        [
            (IBM, "2026-03-02T20:59:59Z", None, "regular"),
            (IBM, "2026-03-02T21:02:59Z", None, "regular"),  # the closing auction
            (IBM, "2026-03-02T21:03:00Z", None, "post"),
            (IBM, "2026-03-02T12:00:00Z", None, "pre"),
            (IBM, "2026-03-01T15:00:00Z", None, "closed"),  # a Sunday
            (IBM, "2026-03-01T15:00:00Z", "halted", "halted"),
            (BTC, "2026-03-01T15:00:00Z", None, "always"),
            (AAPL, "2026-03-01T15:00:00Z", None, None),  # its exchange is not known
        ],
    )
    def test_is_that_of_the_calendar_if_the_source_states_none(
        self, instrument: Instrument, made: str, stated: str | None, session: str | None
    ):
        moment = datetime.fromisoformat(made)
        given = quote(
            instrument.symbol, "1", source_time=moment, received_at=moment, session=stated
        )
        assert in_session(given, instrument).session == session

    async def test_decides_whether_a_price_belongs_to_the_candles(self):
        closed = datetime(2026, 3, 2, 21, 0, tzinfo=UTC)
        later = closed + timedelta(hours=3.5)
        day = [
            quote("IBM", "13.51", source_time=closed, received_at=closed),
            quote("IBM", "13.95", source_time=later, received_at=later),
        ]
        candles = Candles()
        candles.keep({"IBM": ZoneInfo("America/New_York")}, ["IBM"])
        async with running(now=later) as published:
            published.feed.gate.accepted = candles.take
            published.watch(Bourse(*[[each] for each in day]), [self.IBM])
            await until(lambda: published.changes("IBM") == ["13.51", "13.95"])
        closes = {each.step: str(each.close) for each in candles.due()}
        assert closes == dict.fromkeys((60, 300, 3600, 86_400), "13.51")


class TestFalseTimes:
    """A time that is ahead of our clock, or from a year in which nothing here was traded."""

    FALSE = [NOON + timedelta(hours=2), NOON + timedelta(seconds=6), datetime(1999, 12, 31)]

    def at(self, seconds: float, made: datetime, last: str = "101", **more: Any) -> Quote:
        received_at = NOON + timedelta(seconds=seconds)
        return quote(
            "IBM", last, source_time=made.replace(tzinfo=UTC), received_at=received_at, **more
        )

    @pytest.mark.parametrize("made", FALSE)
    @pytest.mark.parametrize("polled", [True, False])
    def test_the_age_counts_from_the_last_change_of_the_content(self, made: datetime, polled: bool):
        gate = Gate()
        for second in range(0, 90, 15):
            quote = self.at(second / 100, made, "101" if second < 45 else "102")
            gate.add(quote, quote.received_at if polled else None)
            if second in (0, 45):
                (taken,) = gate.take()
                assert (taken.source_time, taken.time) == (None, quote.received_at)
            else:
                assert gate.take() == []

    def test_a_clock_that_is_a_little_ahead_is_believed(self):
        gate = Gate()
        made = NOON + timedelta(seconds=4)
        gate.add(self.at(0, made))
        assert gate.take()[0].time == made

    def test_other_prices_of_the_same_moment_are_a_change(self):
        gate = Gate()
        for bid in (99, 100):
            assert gate.add(self.at(0, self.FALSE[0], bid=Decimal(bid)))

    def test_the_time_is_kept_that_the_exchange_stated_before(self):
        gate = Gate()
        gate.add(quote("IBM", "101", second=0))
        assert not gate.add(self.at(5, self.FALSE[0]))
        assert gate.latest["IBM"].time == NOON

    def test_the_session_is_that_of_the_arrival(self):
        noon = datetime(2026, 3, 2, 17, tzinfo=UTC)
        given = quote("IBM", "1", source_time=noon + timedelta(hours=5), received_at=noon)
        assert in_session(given, TestTheSession.IBM).session == "regular"

    async def test_the_log_names_source_and_cause_once_an_hour(
        self, caplog: pytest.LogCaptureFixture
    ):
        ahead = [quote("AAPL", "101", source_time=NOON + timedelta(hours=2))]
        bourse = Bourse(ahead)
        async with running((bourse, [AAPL]), now=NOON) as published:
            await until(lambda: bourse.polls > 3)
            lines = [text for text in caplog.messages if "ahead of our clock" in text]
            assert [line.partition(". ")[0] for line in lines] == [
                "bourse: the time of AAPL can't be true"
            ]
            assert "a local time without its zone" in lines[0]
            assert lines[0].endswith(": 2026-03-02T14:00:00+00:00, 7,200 s ahead of our clock")
            published.seconds = time.monotonic() + 3601
            await until(lambda: caplog.text.count("ahead of our clock") == 2)


class TestCorrections:
    """Polls that repeat an older price for a minute: the newer one was wrong."""

    def gate(self, **more: Any) -> Gate:
        gate = Gate()
        gate.add(quote("AAPL", "102", second=30, **more))
        gate.take()
        return gate

    def poll(self, gate: Gate, second: float, last: str = "101", **more: Any) -> list[Quote]:
        moment = NOON + timedelta(seconds=second)
        gate.add(quote("AAPL", last, second=10, received_at=moment, **more), moment)
        return gate.take()

    def test_are_accepted_with_their_own_time(self):
        gate = self.gate()
        assert [self.poll(gate, second) for second in (40, 55, 70, 85, 99)] == [[]] * 5
        (taken,) = self.poll(gate, 100)
        assert (str(taken.last), taken.time) == ("101", NOON + timedelta(seconds=10))

    def test_a_newer_trade_meanwhile_is_no_error(self):
        gate = self.gate()
        self.poll(gate, 40)
        gate.add(quote("AAPL", "103", second=50))
        gate.take()
        assert [self.poll(gate, second) for second in (60, 75, 100, 119)] == [[]] * 4
        assert self.poll(gate, 120)

    def test_another_price_begins_the_minute_again(self):
        gate = self.gate()
        assert [self.poll(gate, 40), self.poll(gate, 90, "100"), self.poll(gate, 100)] == [[]] * 3
        assert self.poll(gate, 159) == []
        assert self.poll(gate, 160)

    def test_an_old_quote_of_a_stream_corrects_nothing(self):
        gate = self.gate()
        for second in (40, 100, 160):
            moment = NOON + timedelta(seconds=second)
            assert not gate.add(quote("AAPL", "101", second=10, received_at=moment))

    @pytest.mark.parametrize(
        ("known", "polled"),
        [
            ({"session": "post"}, {"session": "post"}),  # a poll with the close
            ({"session": "pre"}, {}),
            ({"delay": 0}, {"delay": 900}),
            ({}, {"last": "102"}),  # no other price
        ],
    )
    def test_a_poll_that_knows_less_corrects_nothing(
        self, known: dict[str, Any], polled: dict[str, Any]
    ):
        gate = self.gate(**known)
        assert [self.poll(gate, second, **polled) for second in (40, 100, 160)] == [[]] * 3


class TestTheNewest:
    def test_a_quote_out_of_order_is_dropped(self):
        gate = Gate()
        assert gate.add(quote("AAPL", "102", second=5))
        assert not gate.add(quote("AAPL", "101", second=4))
        assert [str(each.last) for each in gate.take()] == ["102"]

    def test_an_answer_without_a_time_to_a_poll_before_a_streams_quote_is_dropped(self):
        gate = Gate()
        asked_at = NOON
        gate.add(quote("AAPL", "102", received_at=NOON + timedelta(seconds=1)))
        assert not gate.add(quote("AAPL", "101", received_at=NOON + timedelta(seconds=2)), asked_at)

    def test_an_answer_that_is_older_by_its_own_time_than_a_streams_quote_is_dropped(self):
        gate = Gate()
        gate.add(quote("AAPL", "102", second=5))
        assert not gate.add(quote("AAPL", "101", second=4), NOON + timedelta(seconds=6))

    def test_an_answer_with_an_old_time_does_not_replace_a_streams_quote_without_one(self):
        gate = Gate()
        gate.add(quote("AAPL", "102", received_at=NOON + timedelta(seconds=5)))
        late = quote("AAPL", "101", second=-1, received_at=NOON + timedelta(seconds=6))
        assert not gate.add(late, NOON)

    def test_an_answer_to_a_poll_after_a_streams_quote_is_accepted(self):
        gate = Gate()
        gate.add(quote("AAPL", "102", received_at=NOON))
        assert gate.add(quote("AAPL", "103"), NOON + timedelta(seconds=1))

    def test_a_poll_without_a_time_moves_no_time(self):
        accepted: list[Quote] = []
        gate = Gate(accepted=accepted.append)
        gate.add(quote("AAPL", "102", second=5, received_at=NOON + timedelta(seconds=5)))
        polled = quote("AAPL", "103", received_at=NOON + timedelta(seconds=9))
        assert gate.add(polled, NOON + timedelta(seconds=8))
        [shown] = gate.take()
        assert (str(shown.last), shown.time) == ("103", NOON + timedelta(seconds=5))
        assert accepted[-1] is polled  # its candle is that of its receipt
        assert gate.add(quote("AAPL", "104", second=8), None)

    def test_the_time_of_a_much_delayed_stream_is_shown_although_it_is_older_than_a_poll(self):
        gate = Gate()
        gate.add(quote("AAPL", "102", received_at=NOON))
        assert gate.add(quote("AAPL", "103", source_time=NOON - timedelta(minutes=15)))

    def test_after_a_minute_a_poll_without_a_time_has_that_of_its_receipt(self):
        # the stream is away, and the price is not old
        gate = Gate()
        gate.add(quote("AAPL", "102", second=5))
        late = NOON + timedelta(seconds=66)
        assert gate.add(quote("AAPL", "103", received_at=late), late)
        assert gate.take()[0].time == late

    @given(st.lists(st.tuples(st.booleans(), PAUSES, st.integers(0, 3)), max_size=15))
    def test_the_time_on_a_page_never_goes_back(self, arrivals: list[tuple[bool, float, int]]):
        gate, now, shown = Gate(), NOON, [NOON]
        gate.add(quote("AAPL", "102", source_time=NOON))
        for number, (polled, pause, latency) in enumerate(arrivals):
            asked_at = now
            now += timedelta(seconds=pause)
            made = None if polled else now - timedelta(seconds=latency)
            last = str(100 + number % 3)
            gate.add(
                quote("AAPL", last, source_time=made, received_at=now), asked_at if polled else None
            )
            shown += [each.time for each in gate.take()]
        assert shown == sorted(shown)

    def test_a_price_from_the_future_does_not_keep_out_later_ones(self):
        gate = Gate()
        now = datetime.now(UTC)
        gate.add(quote("AAPL", "99", source_time=now + timedelta(hours=1), received_at=now))
        assert gate.add(quote("AAPL", "102", source_time=now, received_at=now))

    def test_quotes_of_a_stream_without_times_are_accepted_in_their_order(self):
        gate = Gate()
        assert gate.add(quote("AAPL", "102"))
        assert gate.add(quote("AAPL", "101"))

    def test_a_quote_is_handed_over_once(self):
        gate = Gate()
        gate.add(quote("AAPL", "102"))
        assert len(gate.take()) == 1
        assert gate.take() == []
        assert not gate.wake.is_set()

    @given(st.permutations(range(8)))
    def test_the_newest_is_published_in_any_order_of_arrival(self, seconds: list[int]):
        gate = Gate()
        taken = [s for s in seconds if gate.add(quote("AAPL", str(100 + s), second=s))]
        assert str(gate.take()[0].last) == "107"
        assert taken == sorted(taken)

    def test_a_bid_above_its_ask_is_dropped_with_it(self):
        crossed = quote("AAPL", "101", bid=Decimal(102), ask=Decimal(100))
        assert (uncrossed(crossed).bid, uncrossed(crossed).ask) == (None, None)
        assert uncrossed(crossed).last == 101
        for bid, ask in [(100, 102), (101, 101)]:
            sound = quote("AAPL", "101", bid=Decimal(bid), ask=Decimal(ask))
            assert uncrossed(sound) is sound

    def test_a_crossed_book_is_reported_once_and_again_after_a_minute(self):
        seconds = 0.0
        gate = Gate(clock=lambda: seconds)
        crossed = {"bid": Decimal(102), "ask": Decimal(100)}
        books = {0: crossed, 10: crossed, 70: crossed, 80: {}, 90: crossed, 100: {}, 110: crossed}
        for second, book in books.items():
            seconds = float(second)
            assert gate.add(quote("AAPL", "101", second=second, **book))
        assert [(each.outcome, each.quote.received_at) for each in gate.unstored] == [
            ("crossed", quote("AAPL", "101", second=second).received_at) for second in (0, 90)
        ]
        assert (gate.unstored[0].quote.bid, gate.unstored[0].quote.ask) == (102, 100)
        assert [each.before for each in gate.unstored] == [None, 101]
        assert gate.latest["AAPL"].bid is None

    @pytest.mark.parametrize("no_price", ["0", "-1.5"])
    def test_a_missing_price_is_reported_and_the_price_before_stays(self, no_price: str):
        seconds = 0.0
        gate = Gate(clock=lambda: seconds)
        assert not gate.add(quote("AAPL", no_price, second=0))
        assert gate.add(quote("AAPL", "101", second=1))
        gate.take()
        for seconds in (100.0, 101.0):
            assert not gate.add(quote("AAPL", no_price, second=seconds))
        assert not gate.add(quote("AAPL", "-7", second=0))  # older than what is known: no news
        assert gate.latest["AAPL"].last == 101
        assert gate.take() == []
        held = [(str(each.quote.last), each.before, each.outcome) for each in gate.unstored]
        assert held == [(no_price, None, "no_price"), (no_price, 101, "no_price")]
        assert gate.add(quote("AAPL", "102", second=102))


class TestPricesBelowZero:
    OIL = Instrument(symbol="CL", code="CL=F", kind="future", exchange="NYMEX")

    async def test_a_future_may_have_one_and_a_share_may_not(self):
        async with running((Bourse(), [self.OIL, AAPL])) as published:
            gate = published.feed.gate
            assert gate.add(quote("CL", "-37.63", second=0))
            assert not gate.add(quote("CL", "0", second=1))
            assert not gate.add(quote("AAPL", "-37.63", second=0))
            assert gate.latest["CL"].last == Decimal("-37.63")

    async def test_it_moves_by_a_part_of_its_size_without_confirmation(self):
        async with running((Bourse(), [self.OIL])) as published:
            feed = published.feed
            feed.jumps = {"future": Decimal("0.2")}
            assert feed.gate.add(quote("CL", "-37.63", second=0))
            assert feed.gate.add(quote("CL", "-31", second=1))
            assert not feed.gate.add(quote("CL", "-20", second=2))
            assert feed.gate.add(quote("CL", "-20.5", second=3))

    async def test_a_source_of_one_counts_as_having_a_price(self):
        source = Bourse([quote("CL", "-37.63", second=0)])
        async with running((source, [self.OIL])) as published:
            await until(lambda: published.prices("CL"))
            assert published.feed.sources["bourse"].unpriced == {}
            assert published.feed.sources["bourse"].got_at.keys() == {"CL"}


class TestBatches:
    async def test_quotes_at_the_same_time_are_one_batch_with_the_newest_of_each(self):
        wire = Wire()
        for each in [quote("AAPL", "101"), quote("BTC-USD", "64000"), quote("AAPL", "102")]:
            wire.wire.put_nowait(each)
        async with running((wire, [AAPL, BTC])) as published:
            await until(lambda: published.prices("AAPL"))
        first = next(batch for batch in published.batches if batch.quotes)
        assert {each.symbol: str(each.last) for each in first.quotes} == {
            "AAPL": "102",
            "BTC-USD": "64000",
        }

    async def test_a_quiet_feed_sends_its_beat(self):
        async with running((Wire(), [AAPL])) as published:
            await until(lambda: len(published.batches) >= 3)
        assert all(batch.quotes == [] for batch in published.batches)

    async def test_batches_are_numbered_without_a_gap(self):
        async with running((Bourse([quote("AAPL", "101")]), [AAPL])) as published:
            await until(lambda: len(published.batches) >= 5)
        numbers = [batch.number for batch in published.batches]
        assert numbers == list(range(1, len(numbers) + 1))

    async def test_when_the_feed_ends_its_sources_end_and_are_closed(self):
        bourse = Bourse()
        async with running((bourse, [AAPL])) as published:
            await until(lambda: bourse.polls)
        assert published.feed.tasks == {}
        assert bourse.closed


class TestStreamsAndPolls:
    async def test_a_source_without_a_stream_is_polled(self):
        bourse = Bourse([quote("AAPL", "101", 1)], [quote("AAPL", "102", 2)])
        async with running((bourse, [AAPL])) as published:
            await until(lambda: published.prices("AAPL")[-1:] == ["102"])

    async def test_a_source_with_a_stream_is_polled_once_for_the_missing_fields(self):
        wire = Wire()
        async with running((wire, [AAPL])) as published:
            for last in ("101", "102", "103"):
                wire.wire.put_nowait(quote("AAPL", last))
                await until(lambda last=last: published.prices("AAPL")[-1:] == [last])
            await until(lambda: wire.polls)
            count = len(published.batches)
            await until(lambda: len(published.batches) > count + 10)
        assert wire.polls == 1

    async def test_a_source_is_polled_only_while_its_stream_is_down(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(sources_module, "BACK_OFF", 0.05)
        wire = Wire([quote("AAPL", "101", 1)])
        wire.wire.put_nowait(ProviderError("connection reset"))
        async with running((wire, [AAPL])) as published:
            await until(lambda: published.prices("AAPL")[-1:] == ["101"])
            assert published.outages == {}  # a poll that works is not an outage
            source = published.feed.sources["wire"]
            await until(lambda: len(wire.opened) == 2)
            wire.wire.put_nowait(quote("AAPL", "102", 2))
            await until(lambda: not source.poll_due.is_set())
            polls = wire.polls
            for number in range(3, 8):
                wire.wire.put_nowait(quote("AAPL", f"10{number}", number))
                await until(lambda n=number: published.prices("AAPL")[-1:] == [f"10{n}"])
            assert wire.polls == polls

    async def test_a_stream_that_ends_without_an_error_is_opened_again(self):
        class Short(Wire):
            async def stream(self, instruments: Sequence[Instrument]) -> AsyncIterator[Quote]:
                self.opened.append(instruments)
                yield quote("AAPL", "101")

        short = Short()
        async with running((short, [AAPL])):
            await until(lambda: len(short.opened) >= 3)

    async def test_each_source_fails_alone(self):
        wire, bourse = Wire(), Bourse(ProviderError("refused", refused=True))
        async with running((wire, [BTC]), (bourse, [AAPL])) as published:
            await until(lambda: "bourse" in published.outages)
            wire.wire.put_nowait(quote("BTC-USD", "64000"))
            await until(lambda: published.changes("BTC-USD") == ["64000"])
            assert set(published.outages) == {"bourse"}


class TestOutages:
    async def test_an_outage_has_its_beginning_and_ends_with_the_next_quote(self):
        bourse = Bourse(*[ProviderError("timed out")] * 3, [quote("AAPL", "101")])
        began = datetime.now(UTC)
        async with running((bourse, [AAPL])) as published:
            await until(lambda: published.prices("AAPL"))
            await until(lambda: not published.outages)
        stated = [batch.outages["bourse"] for batch in published.batches if batch.outages]
        assert stated
        assert set(stated) == {stated[0]}  # the first failure, whatever failed since
        assert began <= stated[0] <= datetime.now(UTC)

    async def test_a_poll_that_may_send_no_request_does_not_end_it(self):
        # as when all requests of a minute are used
        bourse = Bourse(ProviderError("timed out"), *[[]] * 5, ProviderError("timed out"), [])
        async with running((bourse, [AAPL])) as published:
            await until(lambda: bourse.polls > 10)
        stated = [batch.outages.get("bourse") for batch in published.batches]
        first = next(place for place, since in enumerate(stated) if since)
        assert set(stated[first:]) == {stated[first]}

    async def test_one_cause_is_logged_once_and_so_is_the_end(
        self, caplog: pytest.LogCaptureFixture
    ):
        caplog.set_level(logging.INFO, "quotes.feed.feed")
        bourse = Bourse(*[ProviderError("timed out")] * 5, [quote("AAPL", "101")])
        async with running((bourse, [AAPL])) as published:
            await until(lambda: published.prices("AAPL"))
        texts = [record.getMessage() for record in caplog.records]
        assert texts[0].startswith("bourse: poll stopped, trying again in ")
        assert texts[0].endswith(" s: timed out")
        assert texts[1:] == ["bourse: works again"]

    async def test_a_stream_that_is_steady_again_ends_the_outage(self):
        wire = Wire(ProviderError("poll timed out"))
        wire.wire.put_nowait(ProviderError("stream timed out"))
        async with running((wire, [AAPL])) as published:
            await until(lambda: "wire" in published.outages)
            source, ticks = published.feed.sources["wire"], count(101)
            await until(
                lambda: wire.wire.put_nowait(quote("AAPL", str(next(ticks)))) or source.streaming
            )
            await until(
                lambda: (
                    wire.wire.put_nowait(quote("AAPL", str(next(ticks)))) or not published.outages
                )
            )

    async def test_a_steady_stream_with_few_quotes_ends_the_outage_too(self):
        # for example at night: one price when it opens, and then none for hours
        wire = Wire(ProviderError("poll timed out"))
        wire.wire.put_nowait(ProviderError("stream timed out"))
        async with running((wire, [AAPL])) as published:
            await until(lambda: "wire" in published.outages)
            wire.wire.put_nowait(quote("AAPL", "101"))
            await until(lambda: published.feed.sources["wire"].streaming)
            await until(lambda: not published.outages)
            count = len(published.batches)
            await until(lambda: len(published.batches) > count + 10)
            assert published.outages == {}

    async def test_a_source_without_instruments_has_no_outage(self):
        bourse = Bourse(ProviderError("timed out"))
        async with running((bourse, [AAPL])) as published:
            await until(lambda: published.outages)
            published.watch(bourse, [])
            await until(lambda: not published.outages)


class TestBackingOff:
    @pytest.fixture(autouse=True)
    def in_seconds(self, fast: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sources_module, "BACK_OFF", 1.0)
        monkeypatch.setattr(sources_module, "MAX_BACK_OFF", MAX_BACK_OFF)

    @staticmethod
    def waits(failures: int, **error: Any) -> list[float]:
        return [back_off(failures, ProviderError("timed out", **error)) for _ in range(300)]

    def test_it_grows_with_each_failure_in_a_row_up_to_a_limit(self):
        longest = [max(self.waits(failures)) for failures in range(8)]
        assert all(0.8 * 2**n < longest[n] <= 2**n for n in range(4))
        assert 16 < max(longest) <= MAX_BACK_OFF

    def test_it_has_jitter(self):
        waits = self.waits(5)
        assert len(set(waits)) > 290
        assert min(waits) < 4
        assert max(waits) > 16

    def test_retry_after_is_obeyed(self):
        waits = self.waits(0, retry_after=30.0)
        assert all(30 <= wait <= 31 for wait in waits)
        assert len(set(waits)) > 290

    async def test_a_source_that_refuses_us_gets_no_request_until_the_operator_acts(
        self, caplog: pytest.LogCaptureFixture
    ):
        refusal = ProviderError("403 from /quotes", refused=True)
        bourse = Bourse(refusal, refusal, [quote("AAPL", "101")])
        async with running((bourse, [AAPL])) as published:
            for polls in (1, 2):
                await until(lambda polls=polls: bourse.polls == polls and published.outages)
                count = len(published.batches)
                await until(lambda count=count: len(published.batches) > count + 10)
                assert bourse.polls == polls
                published.follow()
            await until(lambda: published.changes("AAPL") == ["101"] and not published.outages)
        assert (
            caplog.text.count("refused, giving up until the key is corrected: 403 from /quotes")
            == 1
        )

    async def test_a_source_that_refuses_only_polls_is_well_while_it_streams(self):
        wire = Wire(ProviderError("403 from /quotes", refused=True))
        wire.wire.put_nowait(quote("AAPL", "101", 1))
        async with running((wire, [AAPL])) as published:
            await until(lambda: published.feed.sources["wire"].refused)
            await until(lambda: published.changes("AAPL") == ["101"])  # else one batch has both
            wire.wire.put_nowait(quote("AAPL", "102", 2))
            await until(lambda: published.changes("AAPL") == ["101", "102"])
            assert not published.outages
            wire.wire.put_nowait(ProviderError("connection reset"))
            await until(lambda: "wire" in published.outages)

    async def test_a_listing_that_is_only_read_again_does_not_end_a_refusal(self):
        bourse = Bourse(ProviderError("403 from /quotes", refused=True))
        async with running((bourse, [AAPL])) as published:
            await until(lambda: bourse.polls == 1 and published.outages)
            for instruments in ([AAPL, BTC], [AAPL]):  # a change of symbols is not a new key
                chains = {each.symbol: {"bourse": each} for each in instruments}
                published.feed.follow([bourse], chains, acted=False)
                count = len(published.batches)
                await until(lambda count=count: len(published.batches) > count + 5)
            assert bourse.polls == 1

    @pytest.mark.parametrize(("status", "everybody"), [(429, True), (None, False)])
    async def test_one_stream_too_many_does_not_stop_polls(
        self, status: int | None, everybody: bool
    ):
        wire = Wire([quote("AAPL", "101")])
        wire.wire.put_nowait(ProviderError("go away", retry_after=3600.0, status=status))
        async with running((wire, [AAPL])) as published:
            await until(lambda: wire.wire.empty() and published.prices("AAPL"))
        if everybody:
            with pytest.raises(ProviderError, match="backing off"):
                await wire.standing.budget.spend()
        else:
            await wire.standing.budget.spend()

    def test_it_does_not_fail_itself_after_a_night_of_failures(self):
        assert back_off(5000, ProviderError("timed out")) <= MAX_BACK_OFF

    async def test_a_source_with_a_retry_after_of_an_hour_gets_no_request_within_it(self):
        bourse = Bourse(ProviderError("429", retry_after=3600.0))
        async with running((bourse, [AAPL])) as published:
            await until(lambda: "bourse" in published.outages)
            count = len(published.batches)
            await until(lambda: len(published.batches) > count + 5)
            assert bourse.polls == 1


class TestClosedMarkets:
    """The American exchanges close on Friday at 20:00 in New York."""

    CLOSE = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)
    APPLE = replace(AAPL, exchange="NASDAQ")

    @pytest.mark.parametrize(("minutes", "differs"), [(None, True), (29, True), (31, False)])
    async def test_a_stream_that_polls_skips_prices_that_cannot_differ(
        self, minutes: int | None, differs: bool
    ):
        wire = Wire()
        got_at = None if minutes is None else self.CLOSE + timedelta(minutes=minutes)
        async with running((wire, [self.APPLE, BTC]), now=self.CLOSE + timedelta(days=1)):
            assert wire.may_differ(self.APPLE, got_at) == differs
            assert wire.may_differ(BTC, got_at)

    async def test_a_symbol_without_a_price_is_polled_again(self):
        sunday = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
        bourse = Bourse([quote("AAPL", "0")], [quote("AAPL", "0")], [quote("AAPL", "101")])
        async with running((bourse, [self.APPLE]), now=sunday) as published:
            await until(lambda: published.changes("AAPL") == ["101"])
            count = len(published.batches)
            await until(lambda: len(published.batches) > count + 10)
        assert bourse.polls == 3

    async def test_a_code_that_failed_is_polled_again_and_the_others_are_not(self):
        now, codes = 0.0, ("AAPL", "BAD")
        wanted = [replace(self.APPLE, symbol=code, code=code) for code in codes]
        async with Partly({"BAD": 500}) as stub:
            provider = make_provider("http", stub.one | {"clock": lambda: now, "interval": 0.01})
            sunday = self.CLOSE + timedelta(days=1)
            async with running((provider, wanted), now=sunday) as published:
                await until(lambda: "BAD" in provider.standing.resting)
                stub.faults.clear()
                now = REST
                await until(lambda: published.changes("BAD") == ["5"])
        assert stub.requests["/price/AAPL"] == 1

    async def test_a_code_that_fails_alone_is_no_outage(self):
        now = 0.0
        apple, coin = replace(self.APPLE, code="AAPL"), replace(BTC, code="BAD")
        async with Partly({"BAD": "ok"}) as stub:
            provider = make_provider("http", stub.one | {"clock": lambda: now, "interval": 0.01})
            sunday = self.CLOSE + timedelta(days=1)
            async with running((provider, [apple, coin]), now=sunday) as published:
                await until(lambda: stub.requests["/price/BAD"] > 2)
                stub.faults["BAD"] = 500
                await until(lambda: "BAD" in provider.standing.resting and not published.outages)
                turns = published.feed.sources["http"].turns
                for _ in range(3):
                    now = due = provider.faults.resting["BAD"]
                    await until(lambda due=due: provider.faults.resting["BAD"] > due)
                assert published.feed.sources["http"].turns == turns
        assert stub.requests["/price/AAPL"] == 2  # the second showed that the source works

    async def test_they_are_polled_until_their_last_prices_came(self):
        bourse = Bourse([quote("AAPL", "101"), quote("BTC-USD", "64000")])
        async with running((bourse, [self.APPLE, BTC]), now=self.CLOSE) as published:
            await until(lambda: bourse.polls > 3)
            assert bourse.requested[-1] == ["AAPL", "BTC-USD"]
            published.now = self.CLOSE + timedelta(minutes=31)
            await until(lambda: bourse.requested[-1] == ["BTC-USD"])
            polls = len(bourse.requested)
            await until(lambda: len(bourse.requested) > polls + 3)
            assert {tuple(codes) for codes in bourse.requested[polls:]} == {("BTC-USD",)}
            published.now = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)  # Monday, 4:00 there
            await until(lambda: bourse.requested[-1] == ["AAPL", "BTC-USD"])

    async def test_a_feed_that_starts_on_a_sunday_polls_once(self):
        bourse = Bourse([quote("AAPL", "101")])
        sunday = self.CLOSE + timedelta(days=1)
        async with running((bourse, [self.APPLE]), now=sunday) as published:
            await until(lambda: published.changes("AAPL") == ["101"])
            count = len(published.batches)
            await until(lambda: len(published.batches) > count + 5)
            assert bourse.polls == 1
            assert not published.outages

    async def test_a_source_that_fails_meanwhile_is_polled_until_it_answers(self):
        bourse = Bourse(ProviderError("503"), ProviderError("503"), [quote("AAPL", "101")])
        sunday = self.CLOSE + timedelta(days=1)
        async with running((bourse, [self.APPLE]), now=sunday) as published:
            await until(lambda: published.changes("AAPL") == ["101"] and not published.outages)
            assert bourse.polls == 3

    async def test_an_unknown_code_alone_is_not_polled_again(self):
        bourse = Bourse([quote("AAPL", "101")])
        bourse.standing.drop("YAHO.US", "not listed here")
        yahoo = replace(self.APPLE, symbol="YAHO", code="YAHO.US")
        sunday = self.CLOSE + timedelta(days=1)
        async with running((bourse, [self.APPLE, yahoo]), now=sunday) as published:
            await until(lambda: published.changes("AAPL") == ["101"])
            count = len(published.batches)
            await until(lambda: len(published.batches) > count + 5)
            assert bourse.requested == [["AAPL", "YAHO"]]

    async def test_a_code_that_is_corrected_meanwhile_is_polled(self):
        wrong = quote("AAPL", "901", second=10)
        bourse = Bourse([wrong], [quote("AAPL", "101", second=0)])
        sunday = self.CLOSE + timedelta(days=1)
        async with running((bourse, [self.APPLE]), now=sunday) as published:
            await until(lambda: published.changes("AAPL") == ["901"])
            published.watch(bourse, [replace(self.APPLE, code="AAPL.NEW")])
            await until(lambda: published.changes("AAPL") == ["901", "101"])

    async def test_simulated_markets_never_close(self):
        bourse = Bourse([quote("AAPL", "101")])
        bourse.invented = True  # type: ignore[misc]
        async with running((bourse, [self.APPLE]), now=self.CLOSE + timedelta(days=1)):
            await until(lambda: bourse.polls > 3)


class TestUnknownCodes:
    async def test_an_unknown_code_is_logged_once_and_the_others_get_their_quotes(
        self, caplog: pytest.LogCaptureFixture
    ):
        bourse = Bourse([quote("AAPL", "101")])
        bourse.standing.drop("YAHO.US", "not listed here")
        async with running((bourse, [AAPL])) as published:
            await until(lambda: bourse.polls >= 5 and published.prices("AAPL"))
        texts = [record.getMessage() for record in caplog.records]
        assert texts == ["bourse: no price for code YAHO.US: not listed here"]

    async def test_a_code_that_comes_and_goes_is_logged_once_an_hour(
        self, caplog: pytest.LogCaptureFixture
    ):
        bourse = Bourse([quote("AAPL", "101")])
        async with running((bourse, [AAPL])):
            for _ in range(3):
                bourse.standing.drop("YAHO.US", "answered 500 internal server error")
                polls = bourse.polls
                await until(lambda polls=polls: bourse.polls > polls + 1)
                bourse.standing.found("YAHO.US")
                polls = bourse.polls
                await until(lambda polls=polls: bourse.polls > polls + 1)
        assert caplog.text.count("no price for code YAHO.US") == 1

    async def test_a_failure_of_a_code_does_not_hide_that_it_is_unknown(
        self, caplog: pytest.LogCaptureFixture
    ):
        bourse = Bourse([quote("AAPL", "101")])
        bourse.standing.rest("YAHO.US", "timed out")
        async with running((bourse, [AAPL])):
            await until(lambda: "no price for code YAHO.US: timed out" in caplog.text)
            bourse.standing.found("YAHO.US")
            bourse.standing.drop("YAHO.US", "not a valid product")
            await until(lambda: "no price for code YAHO.US: not a valid product" in caplog.text)

    async def test_a_code_that_comes_and_goes_is_logged_again_after_the_operator_acted(
        self, caplog: pytest.LogCaptureFixture
    ):
        bourse = Bourse([quote("AAPL", "101")])
        async with running((bourse, [AAPL])) as published:
            for count in (1, 2):
                bourse.standing.drop("YAHO.US", "not listed here")
                await until(lambda count=count: caplog.text.count("code YAHO.US") == count)
                bourse.standing.found("YAHO.US")
                polls = bourse.polls
                await until(lambda polls=polls: bourse.polls > polls + 1)
                published.follow()

    async def test_a_code_that_fails_falls_back_until_it_is_answered(self):
        first, second = Bourse([quote("AAPL", "101")]), Bourse([quote("AAPL", "102")])
        second.name = "second"  # type: ignore[misc]
        first.standing.rest("AAPL.US", "timed out")
        async with running((first, [AAPL]), (second, [AAPL])) as published:
            await until(lambda: published.changes("AAPL") == ["102"])
            first.standing.wake("AAPL.US")
            await until(lambda: published.changes("AAPL") == ["102", "101"])

    async def test_a_code_that_turns_out_unknown_later_is_logged_then(
        self, caplog: pytest.LogCaptureFixture
    ):
        wire = Wire()
        async with running((wire, [AAPL])) as published:
            wire.wire.put_nowait(quote("AAPL", "101"))
            await until(lambda: published.prices("AAPL"))
            wire.standing.drop("LUNA", "delisted")
            wire.wire.put_nowait(quote("AAPL", "102"))
            await until(lambda: "wire: no price for code LUNA: delisted" in caplog.text)


class TestProgrammingErrors:
    async def test_a_source_that_dies_of_one_is_logged_and_started_again(
        self, caplog: pytest.LogCaptureFixture
    ):
        bourse = Bourse(KeyError("lastPrice"), [quote("AAPL", "101")])
        async with running((bourse, [AAPL])) as published:
            await until(lambda: published.prices("AAPL"))
        assert "bourse: stopped by an unexpected error, starting again" in caplog.text
        assert "KeyError: 'lastPrice'" in caplog.text

    async def test_a_stream_that_dies_of_one_is_opened_again(
        self, caplog: pytest.LogCaptureFixture
    ):
        wire = Wire()
        wire.wire.put_nowait(TypeError("'NoneType' object is not subscriptable"))
        wire.wire.put_nowait(quote("AAPL", "101"))
        async with running((wire, [AAPL])) as published:
            await until(lambda: published.prices("AAPL"))
        assert "wire: stopped by an unexpected error, starting again" in caplog.text

    async def test_a_source_that_dies_again_and_again_is_an_outage(self):
        # for example a new wire format: a visitor sees the same as with a broken line
        bourse = Bourse(KeyError("lastPrice"))
        async with running((bourse, [AAPL])) as published:
            await until(lambda: bourse.polls >= 20 and len(published.batches) >= 3)
            assert "bourse" in published.outages

    async def test_a_source_that_is_stopped_while_it_dies_is_not_started_again(self):
        class Closing(Wire):
            """Its stream takes a while to close, as the handshake of a websocket does."""

            closing, closed_now = asyncio.Event(), asyncio.Event()

            async def stream(self, instruments: Sequence[Instrument]) -> AsyncIterator[Quote]:
                self.opened.append(instruments)
                if len(self.opened) == 1:
                    raise ProviderError("connection reset")
                try:
                    yield await self.wire.get()  # nothing comes
                finally:
                    self.closing.set()
                    await self.closed_now.wait()

            async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
                if len(self.opened) > 1:
                    raise KeyError("lastPrice")
                return []

        wire = Closing()
        async with running((wire, [AAPL])) as published:
            task = published.feed.tasks["wire"]
            await until(wire.closing.is_set)
            published.watch(wire, [])
            await asyncio.sleep(0)
            wire.closed_now.set()
            count = len(published.batches)
            await until(lambda: task.done() or len(published.batches) > count + 5)
            was_done = task.done()
            await end(task)
            assert was_done

    async def test_a_source_whose_list_of_instruments_is_broken_still_brings_quotes(self):
        class Listless(Bourse):
            async def instruments(self) -> list[Instrument]:
                raise KeyError("symbols")

        listless = Listless([quote("BTC-USD", "64000")])
        async with running((listless, [BTC])) as published:
            await until(lambda: len(published.batches) >= 5)
            assert published.prices("BTC-USD")[:1] == ["64000"]

    async def test_a_database_that_is_locked_when_tick_sizes_are_learnt_stops_no_source(self):
        class Locked(Published):
            async def learn(self, sizes: dict[str, Decimal]) -> None:
                raise OSError("database is locked")

        published = Locked()
        published.watch(Sized([quote("BTC-USD", "64000")]), [BTC])
        task = asyncio.create_task(published.feed.run())
        try:
            await until(lambda: len(published.batches) >= 5)
            assert published.prices("BTC-USD")[:1] == ["64000"]
        finally:
            await end(task, *published.feed.tasks.values())


class Sized(Bourse):
    """A source that reports the tick sizes of its instruments."""

    name = "sized"
    listed = 0

    async def instruments(self) -> list[Instrument]:
        self.listed += 1
        return [
            Instrument(symbol="", code="XXBTZUSD", tick_size=Decimal("0.1")),
            Instrument(symbol="", code="AAPL.US", tick_size=Decimal("0.05")),
            Instrument(symbol="", code="XETHZUSD", tick_size=Decimal("0.01")),
        ]


class TestTickSizes:
    async def test_missing_tick_sizes_are_learnt(self):
        async with running((Sized(), [AAPL, BTC])) as published:
            await until(lambda: published.sizes)
        assert published.sizes == [{"BTC-USD": Decimal("0.1")}]

    async def test_with_all_tick_sizes_set_there_is_no_request(self):
        sized = Sized([quote("AAPL", "101")])
        async with running((sized, [AAPL])) as published:
            await until(lambda: published.prices("AAPL"))
        assert sized.listed == 0
        assert published.sizes == []

    async def test_a_source_without_tick_sizes_still_brings_quotes(
        self, caplog: pytest.LogCaptureFixture
    ):
        class Shy(Bourse):
            async def instruments(self) -> list[Instrument]:
                raise ProviderError("503 from /instruments")

        async with running((Shy([quote("BTC-USD", "64000")]), [BTC])) as published:
            await until(lambda: published.prices("BTC-USD"))
        assert "bourse: could not read tick sizes: 503 from /instruments" in caplog.text


class TestWhatIsWatched:
    async def test_a_change_that_no_request_depends_on_restarts_nothing(self):
        wire = Wire()
        async with running((wire, [AAPL])) as published:
            await until(lambda: wire.opened)
            task = published.feed.tasks["wire"]
            published.watch(wire, [replace(AAPL, tick_size=Decimal("0.01"), name="Apple Inc.")])
            assert published.feed.tasks["wire"] is task
            assert published.feed.sources["wire"].instruments[0].name == "Apple Inc."
            published.watch(wire, [replace(AAPL, code="AAPL.MX", currency="MXN")])
            assert published.feed.tasks["wire"] is not task

    async def test_other_instruments_restart_their_source_and_no_other(self):
        wire, other = Wire(), Wire()
        other.name = "other"  # type: ignore[misc]
        async with running((wire, [AAPL]), (other, [BTC])) as published:
            await until(lambda: wire.opened and other.opened)
            published.watch(wire, [AAPL, GOLD])
            published.watch(other, [BTC])
            await until(lambda: wire.opened == [[AAPL], [AAPL, GOLD]])
            other.wire.put_nowait(quote("BTC-USD", "101"))
            await until(lambda: published.prices("BTC-USD"))
            assert other.opened == [[BTC]]

    async def test_a_source_without_instruments_gets_no_request(self):
        bourse, idle = Bourse([quote("AAPL", "101")]), Bourse()
        idle.name = "idle"  # type: ignore[misc]
        async with running((idle, []), (bourse, [AAPL])):
            await until(lambda: bourse.polls >= 5)
        assert idle.polls == 0

    async def test_a_source_that_loses_its_last_instrument_stops_until_it_gets_another(self):
        bourse = Bourse([quote("AAPL", "101")])
        async with running((bourse, [AAPL])) as published:
            await until(lambda: bourse.polls)
            published.watch(bourse, [])
            await asyncio.sleep(0)
            polls, count = bourse.polls, len(published.batches)
            await until(lambda: len(published.batches) > count + 3)
            assert bourse.polls == polls
            published.watch(bourse, [AAPL])
            await until(lambda: bourse.polls > polls)


class TestFallingBack:
    """Two providers have AAPL: the bourse, which is preferred, and the wire."""

    @pytest.fixture(autouse=True)
    def soon(self, fast: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(feed_module, "FALL_BACK_AFTER", 0.0)

    async def test_while_the_first_is_well_no_other_gets_requests(self):
        first, second = Bourse([quote("AAPL", "101")]), Wire([quote("AAPL", "1", provider="wire")])
        async with running((first, [AAPL]), (second, [AAPL])) as published:
            await until(lambda: published.prices("AAPL"))
            await until(lambda: first.polls > 5)
        assert second.polls == 0
        assert second.opened == []
        assert set(published.prices("AAPL")) == {"101"}

    async def test_when_the_first_fails_quotes_come_from_the_second_and_name_it(self):
        first = Bourse([quote("AAPL", "101")], ProviderError("timed out"))
        second = Bourse([quote("AAPL", "102", provider="wire")])
        second.name = "wire"  # type: ignore[misc]
        async with running((first, [AAPL]), (second, [AAPL])) as published:
            await until(lambda: published.changes("AAPL")[:2] == ["101", "102"])
            assert published.batches[-1].outages.keys() == {"bourse"}
        assert published.feed.gate.latest["AAPL"].provider == "wire"

    async def test_a_code_that_the_first_does_not_know_goes_to_the_second(self):
        first = Bourse([quote("BTC-USD", "64000")])
        first.standing.drop("AAPL.US", "AAPL.US is delisted")
        second = Wire([quote("AAPL", "102", provider="wire")])
        second.wire.put_nowait(ProviderError("connection reset"))
        async with running((first, [AAPL, BTC]), (second, [AAPL])) as published:
            await until(lambda: published.prices("AAPL") and published.prices("BTC-USD"))

    async def test_a_symbol_that_the_first_has_no_price_of_goes_to_the_second_for_that_time(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(feed_module, "RETURN_AFTER", 0.05)
        first = Bourse([quote("AAPL", "0"), quote("BTC-USD", "64000")])
        second = Bourse([quote("AAPL", "102", provider="second")])
        second.name = "second"  # type: ignore[misc]
        async with running((first, [AAPL, BTC]), (second, [AAPL, BTC])) as published:
            await until(lambda: published.prices("AAPL"))
            assert not published.outages
            assert published.feed.in_use == {"AAPL": "second", "BTC-USD": "bourse"}
            assert [each.outcome for each in published.feed.gate.unstored] == ["no_price"]
            first.answers = [[quote("AAPL", "101"), quote("BTC-USD", "64000")]]
            await until(lambda: published.prices("AAPL")[-1] == "101")
            assert set(published.prices("AAPL")) == {"101", "102"}

    async def test_it_returns_to_the_first_after_a_minute_of_prices(self):
        first, second = Wire(), Bourse([quote("AAPL", "1", provider="second")])
        second.name = "second"  # type: ignore[misc]
        async with running((first, [AAPL]), (second, [AAPL])) as published:
            published.seconds, published.feed.rerouted_at = 0.0, -10.0
            used = [published.feed.in_use["AAPL"]]
            for last in ("0", "101", "0", "102"):
                first.wire.put_nowait(quote("AAPL", last, provider="wire"))
                count = len(published.batches)
                await until(
                    lambda count=count: first.wire.empty() and len(published.batches) > count
                )
                published.seconds += 40
                published.feed.reroute()
                used.append(published.feed.in_use["AAPL"])
            published.seconds += 21
            published.feed.reroute()
            used.append(published.feed.in_use["AAPL"])
        assert used == ["wire", "second", "second", "second", "second", "wire"]

    async def test_a_poll_with_fewer_prices_than_the_stream_takes_no_symbol_away(self):
        first, second = Wire([quote("AAPL", "0")]), Bourse([quote("AAPL", "1", provider="second")])
        second.name = "second"  # type: ignore[misc]
        first.wire.put_nowait(quote("AAPL", "101", provider="wire"))
        async with running((first, [AAPL]), (second, [AAPL])) as published:
            await until(lambda: first.polls and published.prices("AAPL"))
            count = len(published.batches)
            await until(lambda: len(published.batches) > count + 5)
        assert second.polls == 0

    async def test_a_source_without_a_price_once_keeps_its_symbol(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(feed_module, "FALL_BACK_AFTER", 5.0)
        first, second = Wire(), Bourse([quote("AAPL", "1", provider="second")])
        second.name = "second"  # type: ignore[misc]
        async with running((first, [AAPL]), (second, [AAPL])) as published:
            published.seconds, published.feed.rerouted_at = 0.0, -10.0
            for number, last in enumerate(["101", "0", "102"]):
                published.seconds = 3.0 * number
                first.wire.put_nowait(quote("AAPL", last, number, provider="wire"))
                await until(first.wire.empty)
                count = len(published.batches)
                await until(lambda count=count: len(published.batches) > count + 3)
            assert published.prices("AAPL") == ["101", "102"]
            published.seconds = 30.0
            count = len(published.batches)
            await until(lambda: len(published.batches) > count + 3)
        assert second.polls == 0

    async def test_the_first_gets_its_symbols_back_when_it_has_been_well_for_a_minute(self):
        failing = ProviderError("timed out")
        first = Bourse(failing)
        second = Wire([quote("AAPL", "102", provider="wire")])
        second.wire.put_nowait(ProviderError("connection reset"))
        async with running((first, [AAPL]), (second, [AAPL])) as published:
            published.seconds = 0.0
            published.feed.rerouted_at = -10.0
            await until(lambda: published.prices("AAPL")[-1:] == ["102"])
            first.answers = [[quote("AAPL", "103")]]
            await until(lambda: not published.outages)
            published.feed.sources["bourse"].up_since = published.seconds
            for _ in range(59):
                published.seconds += 1
                published.feed.reroute()
            assert published.feed.in_use == {"AAPL": "wire"}
            published.seconds += 1
            published.feed.reroute()
            assert published.feed.in_use == {"AAPL": "bourse"}
            await until(lambda: published.prices("AAPL")[-1:] == ["103"])

    async def test_when_all_fail_the_first_still_gets_requests(self):
        first, second = Bourse(ProviderError("timed out")), Bourse(ProviderError("timed out"))
        second.name = "second"  # type: ignore[misc]
        async with running((first, [AAPL]), (second, [AAPL])) as published:
            await until(lambda: len(published.outages) == 2)
            first.answers = [[quote("AAPL", "101")]]
            await until(lambda: published.changes("AAPL") == ["101"])

    @pytest.mark.parametrize("refused", [False, True])
    async def test_a_fallback_that_failed_once_is_used_in_the_next_outage(self, refused: bool):
        first, second = Bourse(ProviderError("timed out")), Bourse(ProviderError("no network"))
        second.name = "second"  # type: ignore[misc]
        async with running((first, [AAPL]), (second, [AAPL])) as published:
            await until(lambda: len(published.outages) == 2)
            if refused:
                second.answers = [ProviderError("403", refused=True)]
                await until(lambda: published.feed.sources["second"].refused)
            first.answers = [[quote("AAPL", "101")]]
            await until(lambda: published.changes("AAPL") == ["101"] and not published.outages)
            second.answers = [[quote("AAPL", "102", provider="second")]]
            published.follow()  # what an operator does about a refusal
            first.answers = [ProviderError("timed out")]
            await until(lambda: published.prices("AAPL")[-1:] == ["102"])

    async def test_the_first_is_polled_at_once_when_it_gets_its_symbols_back_in_closed_hours(self):
        sunday = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
        apple = replace(AAPL, exchange="NASDAQ")
        first = Bourse(ProviderError("timed out"))
        second = Bourse([quote("AAPL", "102", provider="second")])
        second.name = "second"  # type: ignore[misc]
        async with running((first, [apple]), (second, [apple]), now=sunday) as published:
            await until(lambda: published.changes("AAPL") == ["102"])
            first.answers = [[quote("AAPL", "101")]]
            await until(lambda: not published.outages)
            published.feed.sources["bourse"].up_since = float("-inf")  # for long
            published.feed.reroute()
            await until(lambda: published.changes("AAPL") == ["102", "101"])

    async def test_a_feed_that_ended_starts_no_source(self):
        bourse = Bourse([quote("AAPL", "101")])
        async with running((bourse, [AAPL])) as published:
            await until(lambda: bourse.polls > 1)
        polls = bourse.polls
        published.watch(bourse, [AAPL, BTC])  # a listing that was read meanwhile
        assert not published.feed.tasks
        assert bourse.polls == polls


class TestWhatCannotBeBelieved:
    """Prices that jump by more than a tenth wait for a second one that agrees."""

    @staticmethod
    def gate() -> Gate:
        held = Gate(lambda symbol: Decimal("0.1"))
        held.add(quote("AAPL", "100", 0))
        return held

    def test_a_spike_is_never_shown(self):
        gate = self.gate()
        assert not gate.add(quote("AAPL", "200", 1))
        assert gate.add(quote("AAPL", "101", 2))
        assert [str(each.last) for each in gate.take()] == ["101"]
        assert [(str(each.quote.last), each.outcome) for each in gate.unstored] == [
            ("200", "waits"),
            ("200", "dropped"),
        ]

    def test_a_jump_that_a_second_price_confirms_is_shown(self):
        gate = self.gate()
        assert not gate.add(quote("AAPL", "200", 1))
        assert str(gate.held["AAPL"].quote.last) == "200"
        assert gate.add(quote("AAPL", "201", 2))
        assert [str(each.last) for each in gate.take()] == ["201"]
        assert [each.outcome for each in gate.unstored] == ["waits", "confirmed"]
        assert gate.held == {}

    def test_two_spikes_to_different_prices_confirm_nothing(self):
        gate = self.gate()
        assert not gate.add(quote("AAPL", "200", 1))
        assert not gate.add(quote("AAPL", "50", 2))
        assert gate.add(quote("AAPL", "100", 3))

    def test_the_same_message_twice_confirms_nothing(self):
        gate = self.gate()
        spike = quote("AAPL", "200", 1)
        assert not gate.add(spike)
        assert not gate.add(spike)
        assert gate.add(quote("AAPL", "100", 2))

    @pytest.mark.parametrize(("minutes", "believed"), [(0.9, False), (1.1, True)])
    def test_a_source_that_repeats_a_jump_for_a_minute_confirms_it(
        self, minutes: float, believed: bool
    ):
        gate, asked_at = self.gate(), NOON + timedelta(minutes=minutes)
        jump = quote("AAPL", "200", 1)  # the last trade of the day, reported again and again
        assert not gate.add(jump, NOON)
        again = replace(jump, received_at=jump.received_at + timedelta(minutes=minutes))
        assert not gate.add(again)  # by a stream that starts again: that does not confirm it
        assert gate.add(again, asked_at) == believed
        assert [each.outcome for each in gate.unstored] == ["waits", *["confirmed"] * believed]

    def test_the_first_price_of_all_is_believed(self):
        assert Gate(lambda symbol: Decimal("0.1")).add(quote("AAPL", "1", 0))

    def test_a_change_of_currency_is_not_a_jump(self):
        assert self.gate().add(quote("AAPL", "8000", 1, currency="JPY"))

    def test_the_same_message_twice_is_one_update(self):
        gate = self.gate()
        gate.take()
        assert not gate.add(quote("AAPL", "100", 0))
        assert gate.take() == []

    @given(st.lists(st.integers(1, 1000), min_size=1, max_size=30))
    def test_a_shown_price_is_near_the_one_before_or_was_reported_twice(self, prices: list[int]):
        gate, shown, given = self.gate(), [Decimal(100)], [Decimal(100)]
        for second, last in enumerate(prices, start=1):
            if gate.add(quote("AAPL", str(last), second)):
                near = abs(last - shown[-1]) <= shown[-1] / 10
                assert near or abs(last - given[-1]) <= given[-1] / 10
                shown.append(Decimal(last))
            given.append(Decimal(last))


async def test_the_codes_with_the_most_superseded_ticks_are_named():
    provider = make_provider("simulated", {})

    async def nothing(_: object) -> None:
        pass

    feed = Feed(nothing, nothing)
    feed.follow([provider], {})
    provider.standing.skip({f"C{number}": number for number in range(1, 30)})
    assert feed.skipped(2) == {("simulated", "C29"): 29, ("simulated", "C28"): 28}
