"""Several streams of quotes as one, for a source whose own stream does not tell everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing

from quotes.providers.kit.errors import ProviderError
from quotes.quote import Quote

MAX_FAILURES = 3  # polls in a row


async def merged(*streams: AsyncGenerator[Quote]) -> AsyncGenerator[Quote]:
    """Yield what some streams yield, as it comes, until one of them ends or fails."""
    came: asyncio.Queue[Quote | asyncio.Task[None]] = asyncio.Queue()

    async def read(stream: AsyncGenerator[Quote]) -> None:
        async with aclosing(stream):
            async for quote in stream:
                came.put_nowait(quote)

    # Not in a TaskGroup: left by a generator that is closed, it raises a group of errors.
    tasks = [asyncio.create_task(read(stream)) for stream in streams]
    for task in tasks:
        task.add_done_callback(came.put_nowait)
    try:
        while isinstance(each := await came.get(), Quote):
            yield each
        each.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def repeated(
    poll: Callable[[], Awaitable[Iterable[Quote]]],
    interval: Callable[[], float],  # seconds
    stay_away: Callable[[float], object],  # told of the seconds that the source asks for
) -> AsyncGenerator[Quote]:
    """Yield what a poll brings after each interval.

    A stream beside it outlives a poll that fails, unless the source refuses it or it is the third
    in a row: then its ProviderError is raised.
    """
    failures, asked_away = 0, 0.0
    while True:
        await asyncio.sleep(max(interval(), asked_away))
        try:
            quotes = await poll()
        except ProviderError as error:
            failures, asked_away = failures + 1, error.retry_after or 0.0
            stay_away(asked_away)
            if error.refused or failures == MAX_FAILURES:
                raise
            continue
        failures, asked_away = 0, 0.0
        for quote in quotes:
            yield quote
