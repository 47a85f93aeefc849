"""The leader reads the lists of instruments once a day."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from quotes.live.instruments import DailyLists
from quotes.live.live import Live
from quotes.models import Instrument, InstrumentList
from quotes.providers import make_provider
from tests.stubs.coinbase import Coinbase

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_feed_stores_the_lists_of_its_providers(
    settings: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("quotes.live.instruments.BEGIN_AFTER", 0.0)
    async with Coinbase() as stub:
        options = {"rest_url": stub.rest_url, "ws_url": stub.ws_url}
        settings.QUOTES = {"PROVIDERS": ["coinbase"], "PROVIDER_OPTIONS": {"coinbase": options}}
        process = Live()
        await process.start(pages=False, feed=True)
        try:
            async with asyncio.timeout(10):
                while not await InstrumentList.objects.filter(count=7).aexists():
                    await asyncio.sleep(0)
        finally:
            await process.stop()
    assert await Instrument.objects.filter(symbol="BTC-USD", provider="coinbase").aexists()


async def test_a_list_that_fails_is_reported_and_the_one_before_stays(
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.INFO, logger="quotes.live")
    async with Coinbase() as stub:
        provider = make_provider("coinbase", {"rest_url": stub.rest_url})
        daily = DailyLists({"coinbase": provider})
        await daily.read_due()
        assert "coinbase: stored 7 instruments" in caplog.messages
        await InstrumentList.objects.aupdate(tried_at=None)
        stub.mode = "maintenance"
        await daily.read_due()
        await daily.in_database.close()
        await provider.aclose()
    words = "coinbase: no new list of instruments, trying again in 1 h: "
    assert any(message.startswith(words) for message in caplog.messages)
    state = await InstrumentList.objects.aget()
    assert (state.count, "503" in state.error) == (7, True)
    assert await sync_to_async(Instrument.objects.count)() == 7
