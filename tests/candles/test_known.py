"""Known figures: pages share one query a minute, and open without it."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from quotes.candles import archive, known
from quotes.candles.figures import NOTHING, Figures
from quotes.candles.growing import DAY, Row
from quotes.models import Symbol
from quotes.watch import Edition, Watch, places
from tests.servers import until
from tests.test_views import queries

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
EN = Edition("en")
PATH = "/symbols/BTC-USD/"


def list_symbol() -> None:
    Symbol.objects.create(code="BTC-USD", name="Bitcoin", kind="crypto", currency="USD")


def save(closes: range, until: datetime = NOON) -> None:
    """Store candles of the days up to a day, with these closes."""
    start = int(until.timestamp()) // DAY * DAY
    rows = [
        Row(
            symbol="BTC-USD",
            step=DAY,
            start=start - DAY * (len(closes) - 1 - place),
            opened=0,
            closed=1,
            counter=None,
            provider="bourse",
            mixed=False,
            volume=Decimal(7),
            **dict.fromkeys(("open", "high", "low", "close"), Decimal(close)),
        )
        for place, close in enumerate(closes)
    ]
    archive.save(1, rows)


def rename(table: str, to: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {to}")


def of_candles(statements: list[str]) -> list[str]:
    """Return those that read daily candles; the chart of a day reads others."""
    return [each for each in statements if re.search('quotes_candle.*"step" = 86400', each)]


def put(live: Any, make_quote: Any, number: int, **more: Any) -> None:
    quote = make_quote("BTC-USD", "500", **{"received_at": NOON, "session": "always"} | more)
    live.hub.publish(live.store.put((1, number), [quote]))


@pytest.fixture
async def live(live_parts: Any, make_quote: Any) -> Any:
    """The live parts with Bitcoin at 500, and candles of 400 days, which closed at 1, 2, 3, …"""
    live_parts.store.clock = lambda: NOON
    await sync_to_async(list_symbol)()
    await sync_to_async(save)(range(1, 401))
    await live_parts.reload()
    put(live_parts, make_quote, 1)
    return live_parts


@asynccontextmanager
async def hanging(live: Any) -> AsyncIterator[None]:
    """Let the database hang."""
    answers = threading.Event()
    waiting = asyncio.create_task(live.in_database(answers.wait))
    yield
    answers.set()
    await waiting


def shown(live: Any) -> Figures:
    """Return the figures of Bitcoin that pages show now."""
    return live.fragments.known.of(live.store.states["BTC-USD"])


async def test_many_pages_read_the_candles_of_a_symbol_in_one_query(live: Any, async_client: Any):
    async with queries(live) as asked:
        await asyncio.gather(*(async_client.get(PATH) for _ in range(20)))
        await async_client.get("/live/?panel=BTC-USD")
    assert len(of_candles(asked)) == 1
    assert shown(live).bases["5D"] == 395


async def test_figures_are_read_again_after_a_minute(live: Any, async_client: Any):
    seconds = 0.0
    live.fragments.known.clock = lambda: seconds
    await async_client.get(PATH)
    for passed, count in ((known.READ_EVERY - 1, 0), (1, 1), (1, 0)):
        seconds += passed
        async with queries(live) as asked:
            await async_client.get(PATH)
            await until(lambda: not live.fragments.known.reading)
        assert len(of_candles(asked)) == count


async def test_a_confirmed_split_reaches_the_figures_of_an_open_page_at_once(
    live: Any, async_client: Any
):
    await async_client.get(PATH)
    assert shown(live).bases["5D"] == 395
    bitcoin = await Symbol.objects.aget()
    split = await bitcoin.splits.acreate(day=NOON.date(), new=5, confirmed_at=NOON)
    await live.reload()
    await until(lambda: shown(live).bases["5D"] == 79)
    await split.adelete()
    await live.reload()
    await until(lambda: shown(live).bases["5D"] == 395)


async def test_a_page_that_stays_open_begins_its_periods_with_the_closes_of_yesterday(
    live: Any, async_client: Any, make_quote: Any
):
    await async_client.get(PATH)
    await sync_to_async(save)(range(900, 901), NOON + timedelta(days=1))
    assert shown(live).bases["5D"] == 395
    put(live, make_quote, 2, received_at=NOON + timedelta(days=1))
    await until(lambda: shown(live).bases["5D"] == 396)


async def test_figures_that_did_not_change_are_not_drawn_again(live: Any, async_client: Any):
    await async_client.get(PATH)
    before = live.fragments.paint("panel", "BTC-USD", EN)
    live.fragments.known.read_at.clear()
    await async_client.get(PATH)
    await until(lambda: not live.fragments.known.reading)
    assert live.fragments.paint("panel", "BTC-USD", EN) is before


async def test_a_page_opens_without_figures_while_the_database_hangs_and_gets_them_later(
    live: Any, async_client: Any
):
    panels: list[str] = []

    async def send(event: dict[str, Any]) -> None:
        if "quote-panel" in event["text"]:
            panels.append(event["text"])

    live.hub.subscribe(Watch(EN, places(panel=["BTC-USD"])), send)
    async with hanging(live):
        for _ in range(3):
            assert "Bitcoin" in (await async_client.get(PATH)).content.decode()
        assert shown(live) == NOTHING
        await until(lambda: not live.hub.changed)
        before = len(panels)
    await until(lambda: shown(live).bases.get("5D") == 395)
    await until(lambda: len(panels) > before)


async def test_only_the_first_page_waits_for_a_database_that_hangs(
    live: Any, async_client: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(known, "WAIT", 3600.0)
    seconds = 100.0
    live.fragments.known.clock = lambda: seconds
    async with hanging(live):
        first = asyncio.create_task(async_client.get(PATH))
        await until(lambda: "BTC-USD" in live.fragments.known.reading)
        seconds += known.WAIT
        assert (await async_client.get(PATH)).status_code == 200
        assert not first.done()
    await first


async def test_a_database_that_fails_is_reported_once_and_read_again_after_a_minute(
    live: Any, async_client: Any, caplog: Any
):
    seconds = 0.0
    live.fragments.known.clock = lambda: seconds
    await sync_to_async(rename)("quotes_candle", "elsewhere")
    try:
        for _ in range(3):
            assert (await async_client.get(PATH)).status_code == 200
            seconds += known.READ_EVERY
    finally:
        await sync_to_async(rename)("elsewhere", "quotes_candle")
    [record] = [each for each in caplog.records if each.name == "quotes.candles.known"]
    words = "could not read daily candles, showing pages without their figures: no such table"
    assert record.getMessage().startswith(words)
    assert record.levelno == logging.WARNING
    await async_client.get(PATH)
    assert shown(live).bases["5D"] == 395


async def test_figures_for_which_there_is_no_memory_are_not_read_at_each_tick(
    live: Any, async_client: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(known, "MAX_KNOWN", 0)
    async with queries(live) as asked:
        for _ in range(5):
            await async_client.get(PATH)
    assert live.fragments.known.figures == {}
    assert len(of_candles(asked)) == 1
