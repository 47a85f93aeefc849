"""The layer's door: whatever arrives there, a process keeps its prices and reads the next batch."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from channels.layers import channel_layers, get_channel_layer

from quotes.feed.batch import Batch
from quotes.live import layer
from quotes.live.live import Live
from quotes.models import FeedLease, Symbol
from quotes.quote import Quote
from quotes.quote.wire import FIELDS, to_wire
from tests.servers import Redis, until


def changed(quote: Quote, **values: Any) -> list[Any]:
    """Return the wire form of a quote with other values."""
    given = dict(zip(FIELDS, to_wire(quote), strict=True)) | values
    return list(given.values())


GARBAGE: list[dict[str, Any]] = [
    {"epoch": "1"},
    {"epoch": -1},
    {"epoch": 2**80},
    {"number": None},
    {"number": True},
    {"quotes": None},
    {"quotes": [7]},
    {"quotes": [[]]},
    {"outages": []},
    {"outages": {"coinbase": "soon"}},
    {"outages": {"coinbase": "2026-03-02T12:00:00"}},
    {"outages": {"x" * 61: "2026-03-02T12:00:00+00:00"}},
]
NO_QUOTE: list[dict[str, Any]] = [
    {"last": "1E+999999"},
    {"last": "NaN"},
    {"last": None},
    {"bid": "-Infinity"},
    {"volume": {}},
    {"symbol": "A" * 61},
    {"symbol": "BTC\n-USD"},
    {"symbol": 7},
    {"provider": "\x1b[2J"},
    {"currency": "E" * 1_000_000},
    {"received_at": None},
    {"received_at": "2026-03-02T12:00:00"},
    {"source_time": "9999"},
    {"session": ["regular"]},
    {"delay": -1},
    {"delay": 2**70},
    {"sequence": "1"},
]


@pytest.mark.parametrize("values", [*GARBAGE, *NO_QUOTE], ids=lambda v: str(v)[:40])
async def test_an_invalid_message_is_counted_and_changes_nothing(
    live_parts: Live, make_quote: Callable[..., Quote], values: dict[str, Any]
):
    await Symbol.objects.acreate(code="BTC-USD", name="Bitcoin", kind="crypto", currency="USD")
    await live_parts.reload()
    quote = make_quote("BTC-USD", "64000.00", received_at=datetime.now(UTC))
    ignored = layer.ignored["invalid"]
    message = {
        "type": "quotes.batch", "deployment": layer._deployment, "epoch": 1, "number": 1,
        "quotes": [to_wire(quote)], "outages": {},
    }  # fmt: skip
    of_quote = values.keys() <= set(FIELDS)
    message |= {"quotes": [changed(quote, **values)]} if of_quote else values
    await get_channel_layer().group_send(layer.group(), message)
    await layer.send_batch(1, Batch(2, [quote], {}))
    await until(lambda: live_parts.seen == (1, 2))
    assert layer.ignored["invalid"] == ignored + 1
    assert live_parts.store.states["BTC-USD"].quote == quote


@pytest.mark.parametrize(
    "message",
    [
        {"type": "quotes.joined"},
        {"type": "quotes.joined", "channel": 7},
        {"type": "quotes.joined", "channel": "c" * 100},
        {"type": "quotes.unwritten", "epoch": 1},
        {"type": "quotes.unwritten", "epoch": "1", "quotes": []},
        {"type": "quotes.unwritten", "epoch": 1, "quotes": [[1]]},
        {"type": "quotes.unwritten", "epoch": 1, "quotes": [[-1, []]]},
    ],
    ids=lambda v: str(v)[:70],
)
async def test_an_invalid_question_or_answer_is_counted_and_ends_nothing(
    live_parts: Live, message: dict[str, Any]
):
    ignored = layer.ignored["invalid"]
    await get_channel_layer().group_send(layer.group(), message | {"deployment": layer._deployment})
    await layer.send_batch(1, Batch(1, [], {}))
    await until(lambda: live_parts.seen == (1, 1))
    assert layer.ignored["invalid"] == ignored + 1


async def test_a_batch_that_was_seen_is_not_read_again(live_parts: Live):
    ignored = layer.ignored["invalid"]
    await layer.send_batch(1, Batch(2, [], {}))
    await until(lambda: live_parts.seen == (1, 2))
    message = {"type": "quotes.batch", "deployment": layer._deployment, "epoch": 1}
    message |= {"number": 2, "quotes": ["unreadable"], "outages": {}}
    await get_channel_layer().group_send(layer.group(), message)  # as a feed hears itself
    await layer.send_batch(1, Batch(3, [], {}))
    await until(lambda: live_parts.seen == (1, 3))
    assert layer.ignored["invalid"] == ignored


async def test_unwritten_quotes_of_another_deployment_are_not_shown(
    live_parts: Live, make_quote: Callable[..., Quote]
):
    await Symbol.objects.acreate(code="BTC-USD", name="Bitcoin", kind="crypto", currency="USD")
    await live_parts.reload()
    quote, foreign = make_quote("BTC-USD", "64000.00"), layer.ignored["foreign"]
    answer = {
        "type": "quotes.unwritten", "deployment": layer._deployment, "epoch": 2**40,
        "quotes": [(7, to_wire(quote))],
    }  # fmt: skip
    await get_channel_layer().group_send(layer.group(), answer)  # as from a copy of our database
    await until(lambda: layer.ignored["foreign"] == foreign + 1)
    assert live_parts.store.states["BTC-USD"].quote is None


async def test_many_invalid_messages_are_one_line_of_the_log(
    live_parts: Live, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(layer.rarely, "_logged", {})
    ignored = layer.ignored["invalid"]
    for epoch in ["\n\x1b[31mERROR forged"] * 50:
        message = {"type": "quotes.batch", "deployment": layer._deployment, "epoch": epoch}
        await get_channel_layer().group_send(layer.group(), message)
    await until(lambda: layer.ignored["invalid"] == ignored + 50)
    lines = [each for each in caplog.messages if "invalid message" in each]
    assert len(lines) == 1
    assert lines[0].isprintable()
    assert len(lines[0]) < 200


async def test_bytes_of_another_program_on_redis_end_nothing(
    settings: Any, transactional_db: None, redis_server: Redis
):
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [redis_server.url], "prefix": "quotes"},
        }
    }
    channel_layers.backends.clear()
    await FeedLease.objects.acreate(epoch=1)
    parts, ignored = Live(), layer.ignored["invalid"]
    await parts.start(pages=False)
    try:
        name = f"quotes__group__{layer.group()}"
        await until(lambda: redis_server.say(f"PUBLISH {name} hello") == ":1")  # one listener
        for junk in ("\x81\xa1a", "\xc1", "{}"):
            redis_server.say(f"PUBLISH {name} {junk}")
        await until(lambda: layer.ignored["invalid"] == ignored + 4)
        await layer.send_batch(1, Batch(1, [], {}))
        await until(lambda: parts.seen == (1, 1))
    finally:
        await parts.stop()
        await channel_layers["default"].flush()
        channel_layers.backends.clear()
