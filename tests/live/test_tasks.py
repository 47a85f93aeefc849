"""The background work of the live parts."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from quotes.live import tasks
from tests.servers import PATIENCE


async def test_work_that_loses_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tasks, "CANCEL_AGAIN", 0.01)
    works, lost = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        works.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        lost.set()
        await asyncio.Event().wait()

    running = tasks.Tasks()
    running.keep(work)
    await works.wait()
    async with asyncio.timeout(PATIENCE):
        await running.stop()
    assert lost.is_set()
    assert not running.running
