"""Streams of providers for tests, read in the background."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Self

from quotes.providers import Instrument, Provider, ProviderError
from quotes.quote import Quote
from tests.servers import PATIENCE


class Reader:
    """Reads a stream to its end; iterating yields its quotes and raises its error."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[Quote | ProviderError] = asyncio.Queue()

    async def read(self, stream: AsyncIterator[Quote]) -> None:
        """Read a stream until it fails."""
        try:
            async for quote in stream:
                self.came.put_nowait(quote)
        except ProviderError as error:
            self.came.put_nowait(error)

    async def until(self, condition: Callable[[Quote], object]) -> Quote:
        """Return the first quote that fulfils a condition."""
        return await anext(quote async for quote in self if condition(quote))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Quote:
        each = await self.came.get()
        if isinstance(each, ProviderError):
            raise each
        return each


@asynccontextmanager
async def open_stream(
    provider: Provider, *instruments: Instrument
) -> AsyncIterator[AsyncIterator[Quote]]:
    """Open a provider's stream for at most ten seconds; only the caller reads it."""
    async with asyncio.timeout(PATIENCE), aclosing(provider.stream(instruments)) as stream:  # type: ignore[type-var]
        yield stream


@asynccontextmanager
async def read_stream(provider: Provider, *instruments: Instrument) -> AsyncIterator[Reader]:
    """Read a provider's stream for as long as this is open, at most ten seconds."""
    reader = Reader()
    async with open_stream(provider, *instruments) as stream:
        task = asyncio.create_task(reader.read(stream))
        try:
            yield reader
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
