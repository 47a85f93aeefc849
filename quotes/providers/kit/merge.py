"""Several streams of quotes as one, for sources whose own stream is incomplete."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing

from quotes.providers.kit.errors import ProviderError
from quotes.quote import Quote

MAX_FAILURES = 3  # polls in a row


async def merge(*streams: AsyncGenerator[Quote]) -> AsyncGenerator[Quote]:
    """Yield the quotes of several streams as they come, until one of them ends or fails."""
    came: asyncio.Queue[Quote | asyncio.Task[None]] = asyncio.Queue()

    async def read(stream: AsyncGenerator[Quote]) -> None:
        async with aclosing(stream):
            async for quote in stream:
                came.put_nowait(quote)

    # We cannot use a TaskGroup: when the generator is closed, it would raise a group of errors.
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


async def repeat(
    poll: Callable[[], Awaitable[Iterable[Quote]]],
    interval: Callable[[], float],  # seconds
    back_off: Callable[[float], object],  # called with the seconds that the source wants
) -> AsyncGenerator[Quote]:
    """Yield the quotes of a poll after each interval.

    A failed poll does not end the stream beside it. Raise ProviderError if the source refuses
    the poll, or if three polls in a row fail.
    """
    failures, retry_after = 0, 0.0
    while True:
        await asyncio.sleep(max(interval(), retry_after))
        try:
            quotes = await poll()
        except ProviderError as error:
            failures, retry_after = failures + 1, error.retry_after or 0.0
            back_off(retry_after)
            if error.refused or failures == MAX_FAILURES:
                raise
            continue
        failures, retry_after = 0, 0.0
        for quote in quotes:
            yield quote
