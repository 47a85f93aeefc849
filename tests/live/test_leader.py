"""A process that leads the feed: operators' changes, held prices, and the cost of visitors."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, pairwise
from threading import Event
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from django.db import OperationalError, connection

from quotes import live
from quotes.candles import archive
from quotes.candles.growing import STEPS
from quotes.feed.chains import load_chains
from quotes.feed.records import NOTHING
from quotes.live import changes, lease
from quotes.live.live import Live
from quotes.models import HeldPrice, LastQuote, ProviderSymbol, Symbol
from quotes.quote import Quote, utc_now
from quotes.quote.wire import to_wire
from quotes.staff.deciding import decide, delete
from tests.servers import PATIENCE, until
from tests.sockets import Page
from tests.stubs.coinbase import Coinbase
from tests.test_consumers import lasts, opened, update

STATS = "/products/stats"
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def bitcoin(transactional_db: None) -> None:
    symbol = await Symbol.objects.acreate(
        code="BTC-USD", name="Bitcoin", kind="crypto", currency="USD"
    )
    await ProviderSymbol.objects.acreate(symbol=symbol, provider="coinbase", code="BTC-USD")


def fetching_from(stub: Coinbase) -> dict[str, Any]:
    """The settings of a feed that fetches from a stub."""
    options = {"rest_url": stub.rest_url, "ws_url": stub.ws_url}
    return {"PROVIDERS": ["coinbase"], "PROVIDER_OPTIONS": {"coinbase": options}}


async def test_a_refusal_outlives_a_listing_that_is_only_read_again(
    bitcoin: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quotes.feed.feed.BEAT", 0.02)
    monkeypatch.setattr("quotes.live.live.FIRST_BATCH", 0.0)
    async with Coinbase() as stub:
        settings.QUOTES, stub.mode = fetching_from(stub), "unauthorized"
        process, noticed = Live(), []
        await process.start(pages=False, feed=True)
        try:
            await stub.until(lambda: stub.requests[STATS] and process.store.outages)
            process.on_change.add(noticed.append)
            for _ in range(5):
                await process.reload()  # as while the database comes and goes
            assert len(noticed) == 5
            batches = process.counts["batches"]
            await stub.until(lambda: process.counts["batches"] > batches + 5)
            assert stub.requests[STATS] == 1
            await sync_to_async(changes.send)()  # as after a change in the admin
            await stub.until(lambda: stub.requests[STATS] == 2)
        finally:
            await process.stop()


async def test_a_missing_price_is_stored_as_held_and_the_last_price_stays(
    bitcoin: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quotes.live.writer.STORE_EVERY", 0.02)
    async with Coinbase(heartbeat=0.02) as stub:
        settings.QUOTES = fetching_from(stub)
        process = Live()
        await process.start(pages=False, feed=True)
        try:
            for last in ("64001.50", "0"):
                await stub.tick("BTC-USD", last, best_bid="64001.60", best_ask="64001.50")
                stored: list[Any] = []
                while not any(str(row.last) == last for row in stored):
                    stored = [row async for row in HeldPrice.objects.all()]
                    stored += [row.quote async for row in LastQuote.objects.all()]
            held = [row async for row in HeldPrice.objects.order_by("at")]
            assert [row.outcome for row in held] == ["crossed", "no_price"]
            assert [row.book for row in held] == ["64001.60 / 64001.50", ""]
            assert (held[1].last, held[1].before) == ("0", "64001.50")
            assert str(process.store.states["BTC-USD"].quote.last) == "64001.50"
        finally:
            await process.stop()


async def held(last: str) -> HeldPrice:
    """Wait until a price is stored as held, and return it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            row = await HeldPrice.objects.filter(last=last, outcome="waits").afirst()
            if row is not None:
                return row
            await asyncio.sleep(0.01)


async def outcome(row: HeldPrice) -> str:
    """Wait until a held price has another outcome, and return it."""
    async with asyncio.timeout(PATIENCE):
        while row.outcome == "waits":
            await asyncio.sleep(0.01)
            await row.arefresh_from_db()
    return row.outcome


async def test_an_operator_accepts_and_rejects_held_prices(
    bitcoin: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quotes.candles.tending.MAINTAIN_EVERY", 3600.0)  # no candles
    channel_layers.backends = {}
    async with Coinbase(heartbeat=0.02) as stub:
        settings.QUOTES = settings.QUOTES | fetching_from(stub) | {"PACE": 0.02}
        page, _ = await opened("/ws/quotes/?symbols=BTC-USD")
        try:
            await stub.until(lambda: stub.requests[STATS] and stub.subscriptions)
            await stub.tick("BTC-USD", "64001.50")
            await stub.tick("BTC-USD", "119801.25")
            row = await held("119801.25")
            await sync_to_async(decide)([row.pk], "accept", "alice")
            while lasts(await update(page)) != {"BTC-USD": "119801.25"}:
                pass
            assert await outcome(row) == "accepted"
            await stub.tick("BTC-USD", "64002.50")
            row = await held("64002.50")
            await sync_to_async(decide)([row.pk], "reject", "alice")
            assert await outcome(row) == "rejected"
            for last in ("64003.50", "64004.50", "119802.25"):
                await stub.tick("BTC-USD", last)
            assert lasts(await update(page)) == {"BTC-USD": "119802.25"}
        finally:
            await page.disconnect()
            await live.stop()


async def test_the_deletion_of_a_rejected_price_ends_the_rejection(
    bitcoin: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quotes.candles.tending.MAINTAIN_EVERY", 3600.0)  # no candles
    async with Coinbase(heartbeat=0.02) as stub:
        settings.QUOTES = fetching_from(stub)
        process = Live()
        await process.start(pages=False, feed=True)
        try:
            await stub.until(lambda: stub.subscriptions)
            await stub.tick("BTC-USD", "64001.50")
            await stub.until(
                lambda: process.store.states["BTC-USD"].quote.last == Decimal("64001.50")
            )
            await stub.tick("BTC-USD", "119801.25")
            row = await held("119801.25")
            await sync_to_async(decide)([row.pk], "reject", "alice")
            assert await outcome(row) == "rejected"
            await sync_to_async(delete)([row.pk])
            async with asyncio.timeout(PATIENCE):
                for cents in count(26):  # near the rejected one: two of them confirm each other
                    await stub.tick("BTC-USD", f"119801.{cents}")
                    await asyncio.sleep(0.02)
                    if process.store.states["BTC-USD"].quote.last > Decimal(100_000):
                        break
            rows = HeldPrice.objects.values_list("outcome", flat=True)
            assert "rejected" not in await sync_to_async(list)(rows)
        finally:
            await process.stop()


async def test_a_split_that_was_entered_ahead_is_confirmed_by_its_price(
    bitcoin: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quotes.candles.tending.MAINTAIN_EVERY", 3600.0)  # no candles
    channel_layers.backends = {}
    symbol = await Symbol.objects.aget()
    async with Coinbase(heartbeat=0.02) as stub:
        settings.QUOTES = settings.QUOTES | fetching_from(stub) | {"PACE": 0.02}
        page, _ = await opened("/ws/quotes/?symbols=BTC-USD")
        try:
            await stub.until(lambda: stub.requests[STATS] and stub.subscriptions)
            await stub.tick("BTC-USD", "64001.50")
            while lasts(await update(page)) != {"BTC-USD": "64001.50"}:
                pass
            number = await sync_to_async(lease.changes)()
            split = await symbol.splits.acreate(day=utc_now().date(), new=4)
            await until(lambda: live.current().changes > number)
            await stub.tick("BTC-USD", "16000.25")
            while lasts(await update(page)) != {"BTC-USD": "16000.25"}:
                pass
            async with asyncio.timeout(PATIENCE):
                while split.confirmed_at is None:
                    await asyncio.sleep(0.01)
                    await split.arefresh_from_db()
            assert split.price == "16000.25"
            row = await HeldPrice.objects.aget()
            assert (row.outcome, row.split, row.before) == ("split", "4:1", "64001.50")
        finally:
            await page.disconnect()
            await live.stop()


@pytest.mark.parametrize("decision", ["accept", "reject"])
async def test_a_decision_is_not_lost_when_the_feed_restarts_before_it_reads_it(
    bitcoin: None, settings: Any, monkeypatch: pytest.MonkeyPatch, decision: str
) -> None:
    monkeypatch.setattr("quotes.live.writer.STORE_EVERY", 0.02)
    async with Coinbase(heartbeat=0.02) as stub:
        settings.QUOTES = fetching_from(stub)
        process = Live()
        await process.start(pages=False, feed=True)
        await stub.until(lambda: stub.subscriptions)
        await stub.tick("BTC-USD", "64001.50")
        await stub.until(lambda: process.store.states["BTC-USD"].quote.last == Decimal("64001.50"))
        await stub.tick("BTC-USD", "119801.25")
        row = await held("119801.25")
        await process.stop()
        await sync_to_async(decide)([row.pk], decision, "alice")
        process = Live()
        await process.start(pages=False, feed=True)
        try:
            assert await outcome(row) == f"{decision}ed"
            shown = {"accept": "119801.25", "reject": "64001.50"}[decision]
            assert str(process.store.states["BTC-USD"].quote.last) == shown
        finally:
            await process.stop()


async def test_a_feed_that_gets_no_answer_of_the_database_states_it(
    bitcoin: None,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("quotes.live.leader.BEGIN_WITHIN", 0.0)
    monkeypatch.setattr("quotes.live.live.FIRST_BATCH", 0.0)
    process = Live()
    await process.start(pages=False, feed=True)
    try:
        await until(lambda: "giving the lease back: no answer within 0 s" in caplog.text)
    finally:
        await process.stop()


async def test_a_feed_begins_although_all_answers_together_take_long(
    bitcoin: None, settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("quotes.live.leader.BEGIN_WITHIN", 1.5)
    monkeypatch.setattr("quotes.live.live.FIRST_BATCH", 0.0)
    read: list[str] = []

    def slowly(execute: Any, sql: str, *more: Any) -> Any:
        if sql.startswith("SELECT") and 'FROM "quotes_candle"' in sql:
            time.sleep(0.5)
            read.append(sql)
        return execute(sql, *more)

    process = Live()
    await process.in_feed(lambda: connection.execute_wrappers.append(slowly))
    await process.start(pages=False, feed=True)
    try:
        await until(lambda: process.seen != NOTHING)
        assert len(read) == len(STEPS)  # two seconds
        assert "giving the lease back" not in caplog.text
    finally:
        await process.stop()


async def test_an_edit_is_read_while_the_feed_waits_for_the_database(
    bitcoin: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quotes.live.writer.STORE_EVERY", 0.02)
    waits, go_on = Event(), Event()

    def wait(execute: Any, sql: str, *more: Any) -> Any:
        if "INSERT INTO quotes_lastquote" in sql:
            waits.set()
            go_on.wait(PATIENCE)
        return execute(sql, *more)

    async with Coinbase(heartbeat=0.02) as stub:
        settings.QUOTES = fetching_from(stub)
        process = Live()
        await process.in_feed(lambda: connection.execute_wrappers.append(wait))
        await process.start(pages=False, feed=True)
        try:
            await stub.tick("BTC-USD", "64001.50")
            await until(waits.is_set)
            symbol = await Symbol.objects.aget()
            symbol.name = "The first coin"
            await symbol.asave()
            await until(lambda: process.store.states["BTC-USD"].symbol.name == "The first coin")
            assert process.writer is not None
            assert process.writer.writing
        finally:
            go_on.set()
            await process.stop()


async def test_500_visitors_cost_the_exchange_what_one_does(
    bitcoin: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quotes.candles.tending.MAINTAIN_EVERY", 3600.0)  # no candles
    channel_layers.backends = {}
    pages: list[Page] = []
    costs = []
    async with Coinbase(heartbeat=0.02) as stub:
        settings.QUOTES = settings.QUOTES | fetching_from(stub) | {"PACE": 0.02}
        try:
            for visitors, last in ((1, "64001.50"), (500, "64002.50")):
                while len(pages) < visitors:
                    pages.append((await opened("/ws/quotes/?symbols=BTC-USD"))[0])
                await stub.until(lambda: stub.requests[STATS] and stub.subscriptions)
                await stub.tick("BTC-USD", last)
                for page in pages:
                    while lasts(await update(page)) != {"BTC-USD": last}:
                        pass
                costs.append((stub.connects, len(stub.subscriptions), dict(stub.requests)))
        finally:
            for page in pages:
                await page.disconnect()
            await live.stop()
    assert costs[0] == costs[1]
    assert costs[0][:2] == (1, 1)


async def test_a_simulated_market_has_its_past_at_once_and_goes_on_after_a_restart(
    transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quotes.live.writer.STORE_EVERY", 0.02)
    settings.QUOTES = settings.QUOTES | {"PROVIDERS": ["simulated"]}
    await Symbol.objects.acreate(code="BTC-USD", name="Bitcoin", kind="crypto", currency="USD")
    quotes: list[Quote] = []
    for _ in range(2):
        process = Live()
        await process.start(pages=False, feed=True)
        try:
            while not (rows := [row async for row in LastQuote.objects.all()]) or (
                quotes and rows[0].quote.received_at <= quotes[0].received_at
            ):
                pass
            quotes.append(rows[0].quote)
        finally:
            await process.stop()

    end = utc_now()
    start = quotes[0].time.replace(second=0, microsecond=0) - timedelta(days=1)
    minutes = await sync_to_async(archive.load)("BTC-USD", 60, start, end)
    assert all(before.close == after.open for before, after in pairwise(minutes))
    made = {minute.start: minute for minute in minutes}
    assert list(made) == [start + n * MINUTE for n in range(len(minutes))]
    for quote in quotes:
        now = quote.time.replace(second=0, microsecond=0)
        assert quote.reference == quote.open == made[now - timedelta(days=1)].open
        spread = quote.ask - quote.bid
        assert made[now].low - spread <= quote.last <= made[now].high + spread
        day = [each for moment, each in made.items() if now - 1440 * MINUTE <= moment < now]
        high, low = max(each.high for each in day), min(each.low for each in day)
        assert high <= quote.high <= max(high, made[now].high + spread)
        assert low >= quote.low >= min(low, made[now].low - spread)


async def test_the_first_price_of_a_new_feed_may_not_jump_from_the_last_of_the_one_before(
    bitcoin: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quotes.live.writer.STORE_EVERY", 0.02)
    last = Quote(
        symbol="BTC-USD",
        provider="coinbase",
        currency="USD",
        last=Decimal("64000.25"),
        received_at=datetime.now(UTC) - timedelta(hours=1),
    )
    symbol = await Symbol.objects.aget()
    await LastQuote.objects.acreate(symbol=symbol, epoch=1, batch=1, wire=to_wire(last))
    async with Coinbase(heartbeat=0.02) as stub:
        settings.QUOTES = fetching_from(stub)
        await stub.tick("BTC-USD", "640002.50")
        process = Live()
        await process.start(pages=False, feed=True)
        try:
            held: list[HeldPrice] = []
            while not held:
                held = [row async for row in HeldPrice.objects.all()]
            assert (held[0].last, held[0].before) == ("640002.50", "64000.25")
        finally:
            await process.stop()


async def test_a_corrected_code_is_fetched_although_the_database_went_away_meanwhile(
    bitcoin: None, settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("quotes.live.leader.FOLLOW_AGAIN", 0.02)
    async with Coinbase() as stub:
        settings.QUOTES = fetching_from(stub)
        process, reads = Live(), Counter[str]()
        await process.start(pages=False, feed=True)

        def fail_twice(*given: Any) -> Any:  # the feed alone; pages read the same, before or after
            reads["codes"] += 1
            if reads["codes"] <= 2:
                raise OperationalError("the database went away")
            return load_chains(*given)

        try:
            await stub.until(lambda: stub.subscriptions)
            monkeypatch.setattr("quotes.live.leader.load_chains", fail_twice)
            code = await ProviderSymbol.objects.aget()
            code.code = "ETH-USD"
            await code.asave()
            await stub.until(lambda: stub.subscriptions[-1]["product_ids"] == ["ETH-USD"])
        finally:
            await process.stop()
    words = "could not read the codes of symbols for providers, trying again: "
    assert caplog.text.count(words) == 1  # a line per outage
