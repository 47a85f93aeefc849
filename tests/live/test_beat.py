"""A process is live only while it accepts batches, and all its outputs report the same."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models import F

from quotes import sessions
from quotes.feed.batch import Batch
from quotes.live import beat as beat_module
from quotes.live import layer, lease
from quotes.live.beat import Beat
from quotes.models import FeedLease, MarketDay, Symbol
from tests.servers import until
from tests.sockets import opened

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)


def test_prices_stop_five_seconds_after_the_newest_batch_and_once():
    clock = Clock()
    beat = Beat(clock, clock.now)
    clock.seconds = 3
    assert beat.hear() is False
    clock.seconds = 7.9
    assert beat.listen() is False
    clock.seconds = 8
    assert beat.listen() is True
    assert beat.listen() is False
    assert (beat.stopped, beat.heard_at) == (True, NOON + timedelta(seconds=3))
    assert beat.hear() is True
    assert (beat.stopped, beat.silence) == (False, 0)


def test_a_process_that_never_heard_its_feed_has_stopped_after_five_seconds():
    clock = Clock()
    beat = Beat(clock, clock.now)
    clock.seconds = 5
    assert beat.listen() is True
    assert beat.heard_at is None


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let prices stop at the next look."""
    monkeypatch.setattr(beat_module, "LIMIT", 0.0)


async def answers(client: Any) -> tuple[str, int, str]:
    """Return the answers of /healthz, /readyz and /metrics."""
    health, ready = await client.get("/healthz"), await client.get("/readyz")
    figures = (await client.get("/metrics")).content.decode().splitlines()
    [figure] = [line for line in figures if line.startswith("quotes_live ")]
    assert health.status_code == 200
    assert health.content == ready.content
    return health.content.decode(), ready.status_code, figure


async def test_without_batches_everything_reports_that_prices_stopped_until_one_comes(
    live_parts: Any, async_client: Any, soon: None, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "quotes.live")
    page, _ = await opened("/ws/quotes/?symbols=BTC-USD")
    await until(lambda: live_parts.beat.stopped)
    await until_received(page, "pulse-stopped")
    since = live_parts.store.stopped_at.isoformat(timespec="seconds")
    words = f"prices stopped at {since}"
    assert await answers(async_client) == (words, 503, "quotes_live 0.0")
    front = (await async_client.get("/")).content.decode()
    assert "pulse-stopped" in front
    assert "pulse-opening" not in front

    beat_module.LIMIT = 60.0
    await layer.send_batch(1, Batch(1, [], {}))
    await until(lambda: not live_parts.beat.stopped)
    await until_received(page, "pulse-live")
    assert await answers(async_client) == ("ok", 200, "quotes_live 1.0")
    assert "pulse-opening" in (await async_client.get("/")).content.decode()
    output = [each.message for each in caplog.records if each.name == "quotes.live.live"]
    assert [each.split(" for ")[0].split(",")[0] for each in output if "batch" in each] == [
        "no batch of the feed",
        "batches of the feed arrive again",
    ]
    await page.disconnect()


def stated(frame: str) -> datetime:
    """Return the time at which a page would state that prices stopped."""
    found = re.search(r'<time [^>]*datetime="([^"]*)" class="pulse-moment"', frame)
    assert found
    return datetime.fromisoformat(found[1])


async def list_bitcoin(live_parts: Any) -> None:
    """List a symbol without a price."""
    await Symbol.objects.acreate(code="BTC-USD", name="Bitcoin", kind="crypto", currency="USD")
    await live_parts.reload()


async def test_prices_never_stop_before_the_newest_of_them(
    live_parts: Any, make_quote: Callable[..., Any], soon: None
):
    await list_bitcoin(live_parts)
    page, _ = await opened("/ws/quotes/?symbols=BTC-USD")
    await until(lambda: live_parts.beat.stopped)
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=4)  # by another clock
    quote = make_quote("BTC-USD", source_time=later, received_at=datetime.now(UTC))
    live_parts.put([((1, 1), quote)])  # as from the database
    frame = await until_received(page, 'data-field="time"')
    assert stated(frame) >= later
    assert live_parts.store.stopped_at >= later
    await page.disconnect()


async def test_a_message_with_prices_brings_the_time_until_which_they_are_current(
    live_parts: Any, make_quote: Callable[..., Any]
):
    await list_bitcoin(live_parts)
    await layer.send_batch(1, Batch(1, [], {}))
    page, first = await opened("/ws/quotes/?symbols=BTC-USD")
    later = stated(first) + timedelta(seconds=4)
    quote = make_quote("BTC-USD", source_time=later, received_at=datetime.now(UTC))
    await layer.send_batch(1, Batch(2, [quote], {}))
    frame = await until_received(page, 'data-field="time"')
    assert stated(frame) >= later
    assert 'hx-swap-oob="outerMorph:.pulse-moment"' in frame
    await page.disconnect()


async def test_an_open_page_without_a_price_states_that_its_source_is_down(live_parts: Any):
    await list_bitcoin(live_parts)
    page, _ = await opened("/ws/quotes/?panel=BTC-USD")
    outages = {"simulated": datetime.now(UTC)}
    await layer.send_batch(1, Batch(1, [], outages))
    words = 'data-field="state">Prices from Simulated market unavailable since '
    await until_received(page, words)
    await page.disconnect()


async def test_before_the_first_batch_a_process_is_not_ready(live_parts: Any, async_client: Any):
    words = "opening: no batch of the feed yet"
    assert await answers(async_client) == (words, 503, "quotes_live 0.0")


async def test_a_page_is_live_with_the_first_batch_and_not_before(live_parts: Any):
    page, first = await opened("/ws/quotes/?symbols=BTC-USD")
    assert "pulse-opening" in first
    assert "pulse-live" not in first
    await layer.send_batch(1, Batch(1, [], {}))
    await until_received(page, "pulse-live")
    await page.disconnect()


async def test_a_lease_that_is_held_is_no_sign_of_the_feed_but_a_stored_batch_is(
    live_parts: Any, monkeypatch: pytest.MonkeyPatch
):
    looks = []
    stored = lease.newest_stored
    monkeypatch.setattr("quotes.live.beside.READ_EVERY", 0.0)
    monkeypatch.setattr(lease, "newest_stored", lambda: looks.append(1) or stored())
    later = datetime.now(UTC) + timedelta(hours=1)
    await FeedLease.objects.aupdate(holder="alice:1", expires_at=later, batch=5)
    await until(lambda: len(looks) > 5)
    assert live_parts.beat.heard_at is None
    await FeedLease.objects.aupdate(batch=6)
    await until(lambda: live_parts.beat.heard_at is not None)


async def test_a_change_that_no_message_brought_is_noticed(
    live_parts: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("quotes.live.changes.LOOK_EVERY", 0.0)
    given = {"name": "A coin", "kind": "crypto", "currency": "USD"}
    # as another process does it without a layer in common
    await Symbol.objects.abulk_create([Symbol(code="NEW-USD", **given)])
    await FeedLease.objects.aupdate(changes=F("changes") + 1)
    await until(lambda: "NEW-USD" in live_parts.store.states)


async def test_a_corrected_market_day_is_effective_without_a_restart(
    live_parts: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("quotes.live.changes.LOOK_EVERY", 0.0)
    noon = datetime(2027, 11, 18, 3, tzinfo=UTC)  # in Seoul

    def session() -> str:
        found = sessions.at("KRX", "stock", noon)
        return found.name if found else ""

    assert session() == "regular"
    day = await MarketDay.objects.acreate(venue="XKRX", day=noon.date())
    await until(lambda: session() == "closed")
    await day.adelete()
    await until(lambda: session() == "regular")


async def test_a_change_of_symbols_or_boards_is_counted(transactional_db: None):
    given = {"name": "A coin", "kind": "crypto", "currency": "USD"}
    await FeedLease.objects.acreate(epoch=1)
    symbol = await Symbol.objects.acreate(code="NEW-USD", **given)
    assert (await FeedLease.objects.aget()).changes == 1
    await symbol.adelete()
    assert (await FeedLease.objects.aget()).changes == 2


async def test_a_batch_that_is_not_accepted_is_no_sign_of_the_feed(
    live_parts: Any, make_quote: Callable[..., Any]
):
    live_parts.seen = (7, 3)
    heard_at = live_parts.beat.heard_at
    await live_parts.take(6, Batch(9, [make_quote()], {}))
    assert live_parts.beat.heard_at == heard_at


async def test_an_epoch_that_the_database_does_not_know_is_ignored_until_it_begins(
    live_parts: Any, make_quote: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("quotes.live.live.REFUSED_FOR", 0.0)
    foreign = layer.ignored["foreign"]
    for epoch in (9, 2):
        await live_parts.take(epoch, Batch(1, [make_quote()], {}))
    assert live_parts.seen == (0, 0)
    assert layer.ignored["foreign"] == foreign + 2
    await live_parts.take(1, Batch(4, [], {}))
    assert live_parts.seen == (1, 4)
    await FeedLease.objects.aupdate(epoch=2)
    await live_parts.take(2, Batch(1, [], {}))
    assert live_parts.seen == (2, 1)


@pytest.mark.parametrize("stopped", [False, True])
async def test_while_the_database_is_silent_the_epoch_that_beats_is_kept(
    live_parts: Any, monkeypatch: pytest.MonkeyPatch, stopped: bool
):
    def silent() -> int:
        raise OperationalError("the database is away")

    await live_parts.take(1, Batch(4, [], {}))
    monkeypatch.setattr("quotes.live.lease.epoch", silent)
    live_parts.beat.stopped = stopped
    await live_parts.take(2, Batch(1, [], {}))
    assert live_parts.seen == ((2, 1) if stopped else (1, 4))


async def test_messages_of_another_deployment_are_counted_and_not_taken(
    live_parts: Any, monkeypatch: pytest.MonkeyPatch
):
    ours, foreign = layer.group(), layer.ignored["foreign"]
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(layer, "_deployment", "elsewhere")
        elsewhere.setattr(layer, "group", lambda: ours)
        await layer.send_batch(1, Batch(7, [], {}))
    await layer.send_batch(1, Batch(1, [], {}))
    await until(lambda: layer.ignored["foreign"] == foreign + 1)
    await until(lambda: live_parts.seen == (1, 1))


async def until_received(page: Any, words: str) -> str:
    """Read a page's messages until one contains this text, and return that."""
    while words not in (message := await page.receive_from()):
        pass
    return str(message)
