"""Falling back, with two real providers and the stubs of their venues."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from quotes.feed import feed as feed_module
from quotes.feed import sources
from quotes.feed.batch import Batch
from quotes.feed.feed import Feed
from quotes.providers import Instrument, make_provider
from tests.servers import until
from tests.stubs.coinbase import Coinbase
from tests.stubs.kraken import Kraken


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for hundredths of seconds where the feed waits for seconds."""
    for module in (feed_module, sources):
        monkeypatch.setattr(module, "BACK_OFF", 0.01)
    monkeypatch.setattr(sources, "MAX_BACK_OFF", 0.05)
    monkeypatch.setattr(sources, "STEADY", 0.05)
    monkeypatch.setattr(feed_module, "BEAT", 0.02)
    monkeypatch.setattr(feed_module, "FALL_BACK_AFTER", 0.0)
    monkeypatch.setattr(feed_module, "RETURN_AFTER", 0.2)


@pytest.mark.parametrize("fault", ["maintenance", "unauthorized", "garbage"])
async def test_prices_come_from_the_second_while_the_first_fails_and_from_it_again(fault: str):
    published: list[Batch] = []

    async def publish(batch: Batch) -> None:
        published.append(batch)

    async def learn(sizes: dict[str, Decimal]) -> None:
        pass

    async with Coinbase(heartbeat=0.02) as first, Kraken(heartbeat=0.02) as second:
        urls = [{"rest_url": stub.rest_url, "ws_url": stub.ws_url} for stub in (first, second)]
        coinbase, kraken = make_provider("coinbase", urls[0]), make_provider("kraken", urls[1])
        coinbase.poll_interval = kraken.poll_interval = 0.05
        chain = {
            "coinbase": Instrument(symbol="BTC-USD", code="BTC-USD"),
            "kraken": Instrument(symbol="BTC-USD", code="XXBTZUSD"),
        }
        feed = Feed(publish, learn)
        feed.follow((coinbase, kraken), {"BTC-USD": chain})
        running = asyncio.create_task(feed.run())

        def source() -> str:
            known = feed.gate.latest.get("BTC-USD")
            return known.provider if known else ""

        await until(lambda: source() == "coinbase")
        assert second.sockets == 0  # the second gets no request while the first works
        first.mode = fault
        await first.hang_up()
        await until(lambda: source() == "kraken")
        await until(lambda: "coinbase" in published[-1].outages)
        first.mode = "ok"
        feed.follow((coinbase, kraken), {"BTC-USD": chain})  # what an operator does about a refusal
        await until(lambda: source() == "coinbase" and not published[-1].outages)
        await until(lambda: second.sockets == 0)
        running.cancel()
        await asyncio.wait([running])
        await feed.aclose()
