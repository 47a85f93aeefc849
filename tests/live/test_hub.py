"""The hub: every page gets the newest state of its symbols and waits for no other page."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotes.fragments import Fragments
from quotes.live import hub as hub_module
from quotes.live.hub import Hub, Subscriber
from quotes.live.live import Live
from quotes.models import Symbol
from quotes.quote import Quote
from quotes.store import Store
from quotes.watch import Edition, Watch, places
from tests.servers import until

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
CODES = ("AAPL", "BTC-USD", "TSLA")
EN, DE = Edition("en"), Edition("de")
EVERYTHING = Watch(EN, places(price=CODES))


class Market:
    """A hub with three symbols, whose prices are 1, 2, 3 and so on, each newer than the last."""

    def __init__(self, hub: Hub | None = None) -> None:
        self.hub = hub or Hub(Fragments(Store()))
        self.store = self.hub.fragments.store
        self.store.clock = lambda: NOON
        self.store.keep(
            Symbol(pk=number, code=code, name=code, kind="stock", currency="USD")
            for number, code in enumerate(CODES)
        )
        self.tick = 0
        self.newest: dict[str, int] = {}
        for code in CODES:
            self.trade(code)
        self.hub.flush()

    def trade(self, code: str, provider: str = "coinbase") -> int:
        """Let a symbol trade at the next price."""
        self.tick += 1
        self.newest[code] = self.tick
        price = Quote(
            symbol=code,
            provider=provider,
            currency="USD",
            last=Decimal(self.tick),
            received_at=NOON,
        )
        self.hub.publish(self.store.put((1, self.tick), [price]))
        return self.tick


class Page:
    """A page whose socket takes what is sent at once, or, stalled, when it is released."""

    def __init__(self) -> None:
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.received: list[str] = []
        self.closed: list[int] = []
        self.broken = False

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.close":
            self.closed.append(message["code"])
            return
        if not self.flowing.is_set():
            await self.flowing.wait()
        if self.broken:
            raise ConnectionResetError("the phone is in a tunnel")
        self.received.append(message["text"])

    def prices(self, code: str) -> list[int]:
        """Return all prices of a symbol that came, in order."""
        found = re.compile(rf'data-symbol="{re.escape(code)}" .*?data-field="last" value="(\d+)"')
        return [int(price) for text in self.received for price in found.findall(text)]


def stalled() -> Page:
    page = Page()
    page.flowing.clear()
    return page


async def test_a_page_begins_with_everything_it_watches():
    market, page = Market(), Page()
    market.hub.subscribe(EVERYTHING, page.send)
    assert len(page.received) == 1
    assert {code: page.prices(code) for code in CODES} == {
        code: [price] for code, price in market.newest.items()
    }
    assert "quotes-pulse" in page.received[0]
    assert "data-flash" not in page.received[0]


async def test_a_page_gets_its_symbols_and_no_others():
    market, page = Market(), Page()
    market.hub.subscribe(Watch(EN, places(price=("AAPL",))), page.send)
    market.trade("TSLA")
    market.hub.flush()
    assert len(page.received) == 1
    newest = market.trade("AAPL")
    market.hub.flush()
    assert len(page.received) == 2
    assert page.prices("AAPL")[-1] == newest
    assert page.prices("TSLA") == []


async def test_many_ticks_between_two_flushes_are_one_message_with_the_newest():
    market, page = Market(), Page()
    market.hub.subscribe(EVERYTHING, page.send)
    for _ in range(100):
        market.trade("AAPL")
    market.hub.flush()
    assert len(page.received) == 2
    assert page.prices("AAPL")[1:] == [market.newest["AAPL"]]


async def test_nothing_is_sent_when_nothing_changed():
    market, page = Market(), Page()
    market.hub.subscribe(EVERYTHING, page.send)
    market.hub.flush()
    assert len(page.received) == 1


async def test_pages_that_watch_the_same_get_the_same_object_rendered_once():
    market = Market()
    pages = [Page() for _ in range(50)]
    for page in pages:
        market.hub.subscribe(Watch(EN, places(price=("AAPL",))), page.send)
    before = market.hub.fragments.templates.renders["quotes/_price.html"]
    market.trade("AAPL")
    market.hub.flush()
    assert market.hub.fragments.templates.renders["quotes/_price.html"] == before + 1
    assert all(page.received[-1] is pages[0].received[-1] for page in pages)


async def test_a_fast_page_costs_no_task():
    market, page = Market(), Page()
    tasks = asyncio.all_tasks()
    subscriber = market.hub.subscribe(EVERYTHING, page.send)
    market.trade("AAPL")
    market.hub.flush()
    assert subscriber.sending is None
    assert asyncio.all_tasks() == tasks


async def test_a_running_hub_delivers_what_is_published_with_the_next_pace():
    market, page = Market(), Page()
    market.hub.subscribe(EVERYTHING, page.send)
    running = asyncio.create_task(market.hub.run(0.005))
    for count in (2, 3, 4):
        market.trade("AAPL")
        newest = market.trade("AAPL")
        await until(lambda count=count: len(page.received) == count)
        assert page.prices("AAPL")[-1] == newest
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


class TestASlowPage:
    async def test_it_receives_only_the_newest_price(self):
        market, page = Market(), stalled()
        subscriber = market.hub.subscribe(EVERYTHING, page.send)
        for _ in range(20):
            market.trade("AAPL")
            market.trade("TSLA")
            market.hub.flush()
        page.flowing.set()
        await until(lambda: subscriber.sending is None)
        assert len(page.received) == 2  # the first one, and one with all that it missed
        assert page.prices("AAPL")[1:] == [market.newest["AAPL"]]
        assert page.prices("TSLA")[1:] == [market.newest["TSLA"]]
        assert len(page.prices("BTC-USD")) == 1

    async def test_it_is_owed_at_most_one_state_per_symbol(self):
        market, page = Market(), stalled()
        subscriber = market.hub.subscribe(EVERYTHING, page.send)
        for _ in range(100):
            for code in CODES:
                market.trade(code)
            market.hub.flush()
            assert len(subscriber.owed) <= len(CODES)
        market.hub.unsubscribe(subscriber)

    async def test_it_delays_no_other(self):
        market, slow, fast = Market(), stalled(), Page()
        market.hub.subscribe(EVERYTHING, slow.send)
        market.hub.subscribe(EVERYTHING, fast.send)
        for _ in range(5):
            newest = market.trade("AAPL")
            market.hub.flush()
            assert fast.prices("AAPL")[-1] == newest  # before anything else had a turn
        assert slow.received == []

    async def test_what_it_missed_does_not_flash(self):
        market, page = Market(), stalled()
        subscriber = market.hub.subscribe(EVERYTHING, page.send)
        market.trade("AAPL")
        market.hub.flush()
        page.flowing.set()
        await until(lambda: subscriber.sending is None)
        assert "data-flash" not in page.received[-1]

    async def test_one_that_waits_more_than_once_within_a_send_is_served_too(self):
        market, received = Market(), []

        async def winding(message: dict[str, Any]) -> None:
            for _ in range(3):
                await asyncio.sleep(0)
            received.append(message["text"])

        subscriber = market.hub.subscribe(EVERYTHING, winding)
        market.trade("AAPL")
        market.hub.flush()
        await until(lambda: subscriber.sending is None)
        assert len(received) == 2

    async def test_it_learns_of_an_outage_when_it_has_caught_up(self):
        parts = Live()
        market, page = Market(parts.hub), stalled()
        subscriber = parts.hub.subscribe(EVERYTHING, page.send)
        parts.store.outages = {"coinbase": NOON}
        parts.hub.send(parts.changed_notes)
        page.flowing.set()
        await until(lambda: subscriber.sending is None)
        parts.hub.send(parts.changed_notes)  # as once a second
        assert any("unavailable since 12:00:00" in text for text in page.received)
        assert market.newest

    async def test_it_learns_that_an_outage_is_over_when_it_has_caught_up(self):
        parts = Live()
        Market(parts.hub)
        page = Page()
        subscriber = parts.hub.subscribe(EVERYTHING, page.send)
        parts.store.outages = {"coinbase": NOON}
        parts.hub.send(parts.changed_notes)
        assert "unavailable" in page.received[-1]
        page.flowing.clear()
        parts.hub.publish({"AAPL"})
        parts.hub.flush()
        parts.store.outages = {}
        parts.hub.send(parts.changed_notes)
        page.flowing.set()
        await until(lambda: subscriber.sending is None)
        parts.hub.send(parts.changed_notes)
        notes = [text for text in page.received if "quotes-notes" in text]
        assert "unavailable" not in notes[-1]


class TestAStuckPage:
    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hub_module, "STUCK_AFTER", 0.01)

    async def test_it_is_closed_with_a_code_that_reconnects_and_removed(self):
        market, page = Market(), stalled()
        market.hub.subscribe(EVERYTHING, page.send)
        await until(lambda: page.closed)
        assert page.closed == [4013]
        assert market.hub.watches == {}

    async def test_one_that_gets_stuck_while_it_catches_up_is_closed_too(self):
        market, page = Market(), stalled()
        subscriber = market.hub.subscribe(EVERYTHING, page.send)
        market.trade("AAPL")
        market.hub.flush()
        page.flowing.set()
        await until(lambda: len(page.received) == 1 or subscriber.sending is None)
        page.flowing.clear()
        market.trade("AAPL")
        market.hub.flush()
        await until(lambda: page.closed)
        assert page.closed == [4013]

    async def test_the_others_never_notice(self):
        market, stuck, well = Market(), stalled(), Page()
        market.hub.subscribe(EVERYTHING, stuck.send)
        market.hub.subscribe(EVERYTHING, well.send)
        await until(lambda: stuck.closed)
        newest = market.trade("AAPL")
        market.hub.flush()
        assert well.prices("AAPL")[-1] == newest
        assert well.closed == []

    async def test_one_that_cannot_even_be_closed_leaves_no_error_behind(self):
        market, events = Market(), []
        errors: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, found: errors.append(found))

        async def dead(message: dict[str, Any]) -> None:
            events.append(message["type"])
            if message["type"] == "websocket.close":
                raise RuntimeError("Unexpected ASGI message, after the socket was closed")
            await asyncio.Event().wait()

        tasks = asyncio.all_tasks()
        market.hub.subscribe(EVERYTHING, dead)
        await until(lambda: "websocket.close" in events and asyncio.all_tasks() == tasks)
        gc.collect()
        await asyncio.sleep(0)
        assert errors == []

    async def test_one_that_is_stuck_even_on_its_close_leaves_no_task_when_it_is_gone(self):
        market, events = Market(), []

        async def dead(message: dict[str, Any]) -> None:
            events.append(message["type"])
            await asyncio.Event().wait()

        tasks = asyncio.all_tasks()
        subscriber = market.hub.subscribe(EVERYTHING, dead)
        await until(lambda: "websocket.close" in events)
        left = asyncio.all_tasks() - tasks
        market.hub.unsubscribe(subscriber)
        for _ in range(10):
            await asyncio.sleep(0)
        try:
            assert asyncio.all_tasks() == tasks
        finally:
            for task in left:
                task.cancel()


class TestAPageThatFails:
    async def test_one_that_fails_at_once_is_removed(self):
        market, page = Market(), Page()
        page.broken = True
        market.hub.subscribe(EVERYTHING, page.send)
        assert market.hub.watches == {}

    async def test_one_that_fails_later_is_removed_and_the_others_are_served(self):
        market, broken, well = Market(), Page(), Page()
        for page in (broken, well):
            market.hub.subscribe(EVERYTHING, page.send)
        broken.broken = True
        newest = market.trade("AAPL")
        market.hub.flush()
        assert well.prices("AAPL")[-1] == newest
        assert len(market.hub.watches[EVERYTHING]) == 1

    async def test_one_that_fails_after_it_was_slow_is_removed(self):
        market, page = Market(), stalled()
        market.hub.subscribe(EVERYTHING, page.send)
        page.broken = True
        page.flowing.set()
        await until(lambda: market.hub.watches == {})
        assert page.closed == []

    async def test_one_that_left_gets_nothing_more_and_leaves_nothing(self):
        market, page = Market(), Page()
        subscriber = market.hub.subscribe(EVERYTHING, page.send)
        market.hub.unsubscribe(subscriber)
        market.hub.unsubscribe(subscriber)  # as happens when both sides notice the end
        market.trade("AAPL")
        market.hub.flush()
        assert len(page.received) == 1
        assert market.hub.watches == {}

    async def test_one_that_left_while_it_was_slow_leaves_no_task(self):
        market, page = Market(), stalled()
        tasks = asyncio.all_tasks()
        subscriber = market.hub.subscribe(EVERYTHING, page.send)
        market.hub.unsubscribe(subscriber)
        await until(lambda: asyncio.all_tasks() == tasks)
        assert page.closed == []


class TestMoving:
    APPLE, TESLA = Watch(EN, places(price=("AAPL",))), Watch(EN, places(price=("TSLA",)))

    async def test_a_page_that_moves_gets_what_it_watches_now_and_no_more_of_the_old(self):
        market, page = Market(), Page()
        subscriber = market.hub.subscribe(self.APPLE, page.send)
        market.hub.move(subscriber, self.TESLA)
        assert page.prices("TSLA") == [market.newest["TSLA"]]
        market.trade("AAPL")
        market.hub.flush()
        assert len(page.received) == 2
        assert set(market.hub.watches) == {self.TESLA}

    async def test_a_page_may_be_shown_its_new_rows_in_a_message_of_its_own(self):
        market, page = Market(), Page()
        subscriber = market.hub.subscribe(self.APPLE, page.send)
        market.hub.move(subscriber, self.TESLA, "<tbody></tbody>")
        assert page.received[-1].startswith("<tbody></tbody>")

    async def test_a_page_that_moves_nowhere_gets_nothing(self):
        market, page = Market(), Page()
        subscriber = market.hub.subscribe(self.APPLE, page.send)
        market.hub.move(subscriber, self.APPLE)
        assert len(page.received) == 1

    async def test_a_slow_page_that_moves_is_owed_nothing_of_the_old(self):
        market, page = Market(), stalled()
        subscriber = market.hub.subscribe(self.APPLE, page.send)
        market.trade("AAPL")
        market.hub.flush()
        market.hub.move(subscriber, self.TESLA)
        page.flowing.set()
        await until(lambda: subscriber.sending is None)
        assert page.prices("AAPL") == []
        assert page.prices("TSLA") == [market.newest["TSLA"]]

    async def test_a_page_that_joins_another_learns_of_the_same_outage(self):
        parts = Live()
        market, there, newcomer = Market(parts.hub), Page(), Page()
        market.trade("TSLA", provider="simulated")
        parts.hub.subscribe(self.TESLA, there.send)
        subscriber = parts.hub.subscribe(self.APPLE, newcomer.send)
        parts.store.outages = {"simulated": NOON}
        parts.hub.send(parts.changed_notes)
        parts.hub.move(subscriber, self.TESLA, "<tbody></tbody>")  # as for a board's new rows
        parts.hub.send(parts.changed_notes)
        assert "unavailable" in there.received[-1]
        assert any("unavailable" in text for text in newcomer.received)


async def test_a_page_with_a_rate_gets_the_newest_prices_that_often_and_no_more():
    market, slow, quick = Market(), Page(), Page()
    clock, rate = asyncio.get_running_loop().time, 0.05
    market.hub.subscribe(Watch(EN, places(price=CODES), rate=rate), slow.send)
    market.hub.subscribe(EVERYTHING, quick.send)
    running, began = asyncio.create_task(market.hub.run(0.001)), clock()
    for _ in range(50):
        market.trade("AAPL")
        await until(lambda: quick.prices("AAPL")[-1] == market.newest["AAPL"])
    await until(lambda: slow.prices("AAPL")[-1] == market.newest["AAPL"])
    running.cancel()
    updates = len(slow.received) - 1  # without the opening
    assert updates <= 1 + (clock() - began) / rate
    assert slow.prices("TSLA") == [3]  # nothing else is sent again


async def test_a_watch_that_nobody_has_keeps_nothing():
    market, page = Market(), Page()
    subscriber = market.hub.subscribe(Watch(EN, places(price=CODES), rate=30), page.send)
    for _ in range(2):
        market.trade("AAPL")
        market.hub.flush()
    assert page.prices("AAPL") == [1, 4]
    market.hub.unsubscribe(subscriber)
    assert market.hub.kept == market.hub.due == {}


class TestMessages:
    async def test_every_page_gets_the_message_of_its_watch(self):
        market, english, german = Market(), Page(), Page()
        market.hub.subscribe(EVERYTHING, english.send)
        market.hub.subscribe(Watch(DE, places(price=CODES)), german.send)
        market.hub.send(lambda watch: f"pulse in {watch.edition.language}")
        assert english.received[-1] == "pulse in en"
        assert german.received[-1] == "pulse in de"

    async def test_an_empty_message_is_not_sent(self):
        market, page = Market(), Page()
        market.hub.subscribe(EVERYTHING, page.send)
        market.hub.send(lambda watch: "")
        assert len(page.received) == 1

    async def test_a_slow_page_gets_no_pulses_and_its_notes_once(self):
        market, page = Market(), stalled()
        subscriber = market.hub.subscribe(EVERYTHING, page.send)
        for _ in range(10):
            market.hub.send(lambda watch: "a pulse")
        page.flowing.set()
        await until(lambda: subscriber.sending is None)
        assert [text.count('class="quotes-notes"') for text in page.received[1:]] == [1]
        assert not any("a pulse" in text for text in page.received)


class TestConflation:
    """In any order of events, each page ends with the newest prices and never goes back."""

    happenings = st.lists(
        st.one_of(
            st.tuples(st.just("trade"), st.sampled_from(CODES)),
            st.tuples(st.sampled_from(["stall", "release"]), st.integers(0, 2)),
            st.tuples(st.sampled_from(["flush", "turn", "join"]), st.just(0)),
        ),
        max_size=40,
    )

    @given(happenings)
    def test_each_page_ends_with_the_newest_of_all_and_never_goes_back(
        self, happenings: list[tuple[str, Any]]
    ):
        asyncio.run(self.play(happenings))

    async def play(self, happenings: list[tuple[str, Any]]) -> None:
        market = Market()
        pages = [Page(), Page(), Page()]
        watches = [EVERYTHING, EVERYTHING, Watch(DE, places(price=CODES))]
        subscribers = [
            market.hub.subscribe(watch, page.send)
            for watch, page in zip(watches, pages, strict=True)
        ]
        for what, given_ in happenings:
            await self.happen(what, given_, market, pages, subscribers)
        for page in pages:
            page.flowing.set()
        market.hub.flush()
        await until(lambda: not any(subscriber.sending for subscriber in subscribers))
        for page in pages:
            for code in CODES:
                prices = page.prices(code)
                assert prices[-1] == market.newest[code]
                assert prices == sorted(prices)

    async def happen(
        self,
        what: str,
        given_: Any,
        market: Market,
        pages: list[Page],
        subscribers: Collection[Subscriber],
    ) -> None:
        if what == "trade":
            market.trade(given_)
        elif what == "stall":
            pages[given_].flowing.clear()
        elif what == "release":
            pages[given_].flowing.set()
        elif what == "flush":
            market.hub.flush()
        elif what == "join":
            pages.append(Page())
            assert isinstance(subscribers, list)
            subscribers.append(market.hub.subscribe(EVERYTHING, pages[-1].send))
        else:
            await asyncio.sleep(0)


class TestTheEnd:
    async def test_all_pages_are_closed_with_the_code_also_stalled_ones(self):
        market = Market()
        pages = [Page(), stalled(), Page()]
        for page in pages:
            market.hub.subscribe(EVERYTHING, page.send)
        await market.hub.close(1012)
        await until(lambda: [page.closed for page in pages] == [[1012]] * 3)
        assert not market.hub.watches

    async def test_many_pages_are_not_closed_at_once(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(hub_module, "CLOSED_IN", 0.05)
        market = Market()
        pages = [Page() for _ in range(20)]
        for page in pages:
            market.hub.subscribe(EVERYTHING, page.send)
        closing = asyncio.create_task(market.hub.close(1012))
        closed = set()
        while not closing.done():
            await asyncio.sleep(0)
            closed.add(sum(bool(page.closed) for page in pages))
        assert closed >= set(range(1, 21))
