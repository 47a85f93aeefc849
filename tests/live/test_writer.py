"""Writer: accepted quotes and candles are written, or wait until they can be.

An outage is logged once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from quotes.candles.growing import STEPS
from quotes.feed import records
from quotes.feed.batch import Batch
from quotes.feed.feed import Feed
from quotes.live import lease
from quotes.live.writer import Writer
from quotes.models import Candle, FeedLease, LastQuote
from tests.candles.test_growing import NOON, quote
from tests.candles.test_tending import Bench


class Stored:
    """A writer with a feed that has no provider, and a database that can be away."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.number = bench, 0
        feed = Feed(self.nothing, self.nothing, bench.history.take)
        self.writer = Writer(bench.database, 1, feed, {}, bench.history)
        self.feed = feed

    async def nothing(self, _: object) -> None:
        pass

    def accept(self, last: int) -> None:
        """Let the feed accept a quote, and publish it."""
        self.number += 1
        self.feed.gate.add(quote(last, NOON.replace(second=self.number)))
        self.writer.add(Batch(self.number, self.feed.gate.take(), {}))

    async def last(self) -> list[int]:
        return [int(row.quote.last) async for row in LastQuote.objects.all()]

    async def closes(self) -> set[int]:
        return {int(row.close) async for row in Candle.objects.all()}


@pytest.fixture
async def stored(transactional_db: None) -> Stored:
    bench = Bench()
    await bench.list("BTC-USD")
    await bench.history.lead(1)
    return Stored(bench)


async def test_what_could_not_be_written_waits_and_an_outage_is_two_lines_each(
    stored: Stored, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    stored.bench.database.away = True
    for last in (5, 6, 7):
        stored.accept(last)
        await stored.writer.write()
    assert stored.writer.waiting() == {"quotes": 1, "candles": 4, "held_prices": 0}
    stored.bench.database.away = False
    for _ in range(2):
        await stored.writer.write()
    assert (await stored.last(), await stored.closes()) == ([7], {7})
    assert stored.writer.waiting() == {"quotes": 0, "candles": 0, "held_prices": 0}
    shown = [each.message for each in caplog.records if each.levelno >= logging.INFO]
    assert shown == [
        "could not store last quotes, keeping them: the database is away",
        "could not store candles, keeping them: the database is away",
        "last quotes are stored again",
        "candles are stored again",
    ]


async def test_what_can_be_written_is_written_beside_what_fails(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def broken(*_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr("quotes.feed.records.save_last_quotes", broken)
    stored.accept(5)
    for _ in range(2):
        await stored.writer.write()
    assert (await stored.last(), await stored.closes()) == ([], {5})
    [record] = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert record.exc_info  # a defect has a traceback, once


async def test_many_quotes_and_candles_are_written_one_part_after_the_other(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("quotes.live.writer.MAX_ROWS", 4)
    bench, codes = Bench(), [f"C{number}-USD" for number in range(6)]
    await bench.list(*codes)
    await bench.history.lead(1)
    await FeedLease.objects.aupdate_or_create(pk=1, defaults={"epoch": 1})
    stored = Stored(bench)
    for number, code in enumerate(codes, 1):
        stored.number += 1
        stored.feed.gate.add(quote(number, symbol=code))
        stored.writer.add(Batch(stored.number, stored.feed.gate.take(), {}))
    stored.feed.number = stored.number
    read: list[int] = []
    for written in (4, 8):
        # another process reads the quotes that are newer than those that it knows
        known = await sync_to_async(lease.newest_stored)()
        await stored.writer.write()
        assert stored.writer.waiting()["candles"] == len(codes) * len(STEPS) - written
        read += [
            int(each.last) for _, each in await sync_to_async(records.load_newer_quotes)(known)
        ]
    assert sorted(read) == [1, 2, 3, 4, 5, 6]
    await stored.writer.write_all()
    assert stored.writer.waiting() == {"quotes": 0, "candles": 0, "held_prices": 0}
    assert sorted(await stored.last()) == [1, 2, 3, 4, 5, 6]
    assert await Candle.objects.acount() == len(codes) * len(STEPS)
    assert (await sync_to_async(lease.newest_stored)()) == (1, stored.number)


async def test_a_quote_that_came_during_a_failed_write_is_not_replaced_by_an_older_one(
    stored: Stored,
):
    read = stored.bench.database
    failing = Interrupted(read, lambda: stored.accept(6))
    stored.writer.in_database = failing
    stored.accept(5)
    await stored.writer.write()
    await stored.writer.write()
    assert await stored.last() == [6]


class Interrupted:
    """A database whose first call fails, after something else has happened."""

    def __init__(self, database: Callable[..., Any], meanwhile: Callable[[], None]) -> None:
        self.database, self.meanwhile, self.calls = database, meanwhile, 0

    async def __call__(self, read: Callable[..., Any], *given: Any) -> Any:
        self.calls += 1
        if self.calls == 1:
            self.meanwhile()
            self.database.away = True  # type: ignore[attr-defined]
        try:
            return await self.database(read, *given)
        finally:
            self.database.away = False  # type: ignore[attr-defined]
