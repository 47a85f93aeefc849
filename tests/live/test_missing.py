"""Symbols that none of their providers has any more are switched off, never a whole catalogue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from django.db import transaction
from django.test import AsyncClient

from quotes import live
from quotes.live.missing import Missing, switch_off
from quotes.models import ProviderSymbol, Symbol
from tests.live.test_leader import fetching_from
from tests.stubs.coinbase import Coinbase
from tests.test_consumers import opened

QUARTER = 900.0  # seconds
pytestmark = pytest.mark.django_db(transaction=True)


def list_symbols(*codes: str) -> None:
    with transaction.atomic():
        for code in codes:
            symbol = Symbol.objects.create(code=code, name=code, kind="crypto", currency="USD")
            ProviderSymbol.objects.create(symbol=symbol, provider="coinbase", code=code)


class Watched:
    """The feed of this process, and a clock beside its own that a test sets."""

    def __init__(self, stub: Coinbase, missing: Missing) -> None:
        self.stub, self.missing, self.time = stub, missing, 0.0
        missing.clock = lambda: self.time

    async def answer(self, *, polled: bool = False) -> None:
        """Let the provider answer once more, a quarter of an hour later."""
        self.time += QUARTER
        for code in self.denials() if polled else ():
            self.missing.feed.sources["coinbase"].poll_again(code)
        before = self.denials()
        await self.missing.look()  # requests the unknown codes again, if nothing else does
        await self.stub.until(lambda: all(n > before[code] for code, n in self.denials().items()))
        await self.missing.look()

    def denials(self) -> dict[str, int]:
        return dict(self.missing.feed.sources["coinbase"].denials)


@asynccontextmanager
async def watched(settings: Any, *codes: str, unknown: int) -> AsyncIterator[Watched]:
    """A feed with these symbols, some of which are unknown to the exchange."""
    channel_layers.backends = {}
    await sync_to_async(list_symbols)(*codes)
    async with Coinbase(heartbeat=0.02) as stub:
        stub.enlist(*(code for code in codes if code.startswith("C")))
        settings.QUOTES = settings.QUOTES | fetching_from(stub) | {"PACE": 0.02}
        parts = await live.ensure_started()
        try:
            await stub.until(lambda: parts.writer and stub.subscriptions)
            assert parts.writer
            each = Watched(stub, Missing(parts.writer.feed, parts.in_database))
            await stub.until(lambda: len(each.denials()) == unknown)
            await each.missing.look()
            yield each
        finally:
            await live.stop()


async def inactive() -> dict[str, str]:
    """The symbols that are switched off, and the reasons."""
    found = Symbol.objects.filter(active=False).values_list("code", "not_found")
    return {code: reason async for code, reason in found}


async def test_a_symbol_that_is_not_found_five_times_in_an_hour_is_switched_off(settings: Any):
    async with watched(settings, "BTC-USD", "ETH-USD", "FOO-USD", unknown=1) as feed:
        page, _ = await opened("/ws/quotes/?symbols=BTC-USD,FOO-USD")
        for _ in range(3):
            await feed.answer()
        feed.time += QUARTER - 1
        await feed.missing.look()
        assert await inactive() == {}
        feed.time -= QUARTER - 1
        await feed.answer()
        reason = "coinbase: FOO-USD is not a valid product"
        assert await inactive() == {"FOO-USD": reason}
        while "Unknown symbol: FOO-USD" not in await page.receive_from():
            pass
        answer = await AsyncClient().get("/symbols/foo-usd/")
        assert answer.status_code == 404
        assert "“FOO-USD” has not been shown since" in answer.content.decode()
        await page.disconnect()


async def test_a_symbol_that_is_found_again_counts_from_the_start(settings: Any):
    async with watched(settings, "BTC-USD", "ETH-USD", "FOO-USD", unknown=1) as feed:
        for _ in range(3):
            await feed.answer()
        feed.missing.feed.sources["coinbase"].provider.standing.found("FOO-USD")
        feed.time += QUARTER
        await feed.missing.look()
        assert feed.missing.answers == {}
        assert await inactive() == {}


async def test_a_provider_that_knows_nothing_switches_nothing_off(settings: Any):
    async with watched(settings, "BTC-USD", "FOO-USD", "BAR-USD", unknown=2) as feed:
        for _ in range(6):
            await feed.answer(polled=True)
        assert await inactive() == {}


async def test_many_symbols_at_once_stay_on(settings: Any, caplog: pytest.LogCaptureFixture):
    known, unknown = [f"C{n}-USD" for n in range(7)], [f"N{n}-USD" for n in range(6)]
    async with watched(settings, *known, *unknown, unknown=6) as feed:
        for _ in range(6):
            await feed.answer()
        assert await inactive() == {}
    words = "6 symbols are not found by any of their providers, too many to switch off"
    assert caplog.text.count(words) == 1


def test_no_more_than_a_few_are_switched_off_in_a_day():
    list_symbols(*(f"S{number}-USD" for number in range(8)))
    reasons = {f"S{number}-USD": "coinbase: unknown" for number in range(8)}
    first, second = dict(list(reasons.items())[:4]), dict(list(reasons.items())[4:6])
    assert len(switch_off(first)) == 4
    assert switch_off(second) == []
    assert Symbol.objects.filter(active=True).count() == 4


def test_a_symbol_that_is_switched_on_again_has_no_reason():
    list_symbols("FOO-USD")
    switch_off({"FOO-USD": "coinbase: unknown"})
    symbol = Symbol.objects.get()
    assert symbol.not_found_at
    symbol.active = True
    symbol.save(update_fields=["active"])  # as an action of the admin does
    symbol.refresh_from_db()
    assert (symbol.not_found_at, symbol.not_found) == (None, "")


async def test_one_answer_may_be_enough_but_only_after_an_hour(settings: Any):
    settings.QUOTES = settings.QUOTES | {"NOT_FOUND_AFTER": 1}
    async with watched(settings, "BTC-USD", "ETH-USD", "FOO-USD", unknown=1) as feed:
        feed.time = 4 * QUARTER - 1
        await feed.missing.look()
        assert await inactive() == {}
        feed.time = 4 * QUARTER
        await feed.missing.look()
        assert (await inactive()).keys() == {"FOO-USD"}
