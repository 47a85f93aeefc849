"""The feed: keeps the providers alive, checks and orders what they say, and publishes it.

One feed runs in the whole deployment. Nothing here touches the database or the layer: what to
do with a batch is handed in.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from quotes.providers import Instrument, Provider, ProviderError
from quotes.quote import Quote

logger = logging.getLogger(__name__)

GATHER = 0.02  # seconds between two batches: what comes meanwhile leaves together
HEARTBEAT = 1.0  # seconds after which an empty batch says that the feed lives
BACK_OFF = 1.0  # seconds, doubled with each failure in a row
LONGEST_BACK_OFF = 20.0  # seconds
MOST_AHEAD = timedelta(seconds=5)  # that a source's clock may be before ours
STEADY = 5.0  # seconds after which a stream counts as back; one that flaps is still an outage


@dataclass(frozen=True, slots=True)
class Batch:
    """What changed since the batch before; empty, it is a heartbeat."""

    number: int
    quotes: list[Quote]
    outages: dict[str, datetime]  # providers that can't be read, and since when


Publish = Callable[[Batch], Awaitable[None]]
Learn = Callable[[dict[str, Decimal]], Awaitable[None]]


@dataclass(slots=True)
class Pending:
    """Quotes on their way to the next batch: per symbol the newest, in order of time."""

    latest: dict[str, Quote] = field(default_factory=dict)
    changed: dict[str, Quote] = field(default_factory=dict)
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, quote: Quote, asked_at: datetime | None = None) -> bool:
        """Take a quote unless a newer one is known; say whether it was taken.

        `asked_at` is when a poll began: an answer without a time of its own may be older than
        what a stream said since.
        """
        quote = timely(uncrossed(quote))
        known = self.latest.get(quote.symbol)
        if known is not None and _older(quote, known, asked_at):
            return False
        self.latest[quote.symbol] = self.changed[quote.symbol] = quote
        self.wake.set()
        return True

    def take(self) -> list[Quote]:
        """Hand over what came since the last call."""
        quotes, self.changed = list(self.changed.values()), {}
        self.wake.clear()
        return quotes


class Source:
    """One provider, kept alive: streamed where it can be, polled where it can't."""

    def __init__(self, provider: Provider, pending: Pending) -> None:
        self.provider, self.pending = provider, pending
        self.instruments: Sequence[Instrument] = ()
        self.down_since: datetime | None = None
        self.streaming = False
        self.stream_ended = asyncio.Event()
        self.named: set[str] = set()  # unknown codes that the log has named
        self.told: dict[str, str] = {}  # the last failure that the log told, of stream and poll

    async def run(self) -> None:
        """Bring quotes for ever."""
        self.streaming = False
        async with asyncio.TaskGroup() as tasks:
            if self.provider.streams:
                tasks.create_task(self._keep_streaming())
            else:
                self.stream_ended.set()
            tasks.create_task(self._keep_polling())

    async def _keep_streaming(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await self._stream()
            except ProviderError as error:
                failures = 0 if time.monotonic() - began > STEADY else failures
                wait = back_off(failures, error)
                self._warn("stream", error, wait)
                failures += 1
            self.streaming = False
            self.stream_ended.set()
            await asyncio.sleep(wait)

    async def _stream(self) -> None:
        steady = None
        try:
            async for quote in self.provider.stream(self.instruments):
                self.streaming = True
                self._take(quote)
                if steady is None:
                    steady = asyncio.get_running_loop().call_later(STEADY, self._up)
        finally:
            if steady is not None:
                steady.cancel()
        raise ProviderError("the stream ended")

    async def _keep_polling(self) -> None:
        failures = 0
        while True:
            await self.stream_ended.wait()
            try:
                await self._poll()
            except ProviderError as error:
                wait = back_off(failures, error)
                self.down_since = self.down_since or datetime.now(UTC)
                self._warn("poll", error, wait)
                failures += 1
            else:
                wait, failures = self.provider.poll_interval, 0
            await asyncio.sleep(wait)
            if self.streaming:
                self.stream_ended.clear()

    async def _poll(self) -> None:
        asked_at = datetime.now(UTC)
        for quote in await self.provider.quotes(self.instruments):
            self._take(quote, asked_at)
        self._name_unknown()
        self._up()

    def _take(self, quote: Quote, asked_at: datetime | None = None) -> None:
        if self.provider.unknown.keys() - self.named:
            self._name_unknown()
        self.pending.add(quote, asked_at)

    def _up(self) -> None:
        if self.down_since:
            logger.info("%s is back", self.provider.name)
            self.down_since = None
            self.told.clear()
            self.pending.wake.set()

    def _warn(self, what: str, error: ProviderError, wait: float) -> None:
        # one line per cause, not one per attempt
        level = logging.DEBUG if self.told.get(what) == str(error) else logging.WARNING
        self.told[what] = str(error)
        logger.log(
            level,
            "%s: %s stopped, trying again in %.0f s: %s",
            self.provider.name,
            what,
            wait,
            error,
        )
        self.pending.wake.set()

    def _name_unknown(self) -> None:
        for code in self.provider.unknown.keys() - self.named:
            logger.warning("%s: %s: %s", self.provider.name, code, self.provider.unknown[code])
        self.named |= self.provider.unknown.keys()


class Feed:
    """Runs a source per provider and publishes what they bring in numbered batches."""

    def __init__(self, publish: Publish, learn: Learn) -> None:
        self.publish, self.learn = publish, learn
        self.pending = Pending()
        self.sources: dict[str, Source] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.number = 0
        self.rested_at = 0.0  # when the next batch may leave

    def watch(self, provider: Provider, instruments: Sequence[Instrument]) -> None:
        """Bring quotes of these instruments from a provider, and of no others."""
        source = self.sources.get(provider.name)
        if source is None:
            source = self.sources[provider.name] = Source(provider, self.pending)
        if source.instruments == instruments:
            return
        self._stop(provider.name)
        source.instruments = instruments
        if instruments:
            self.tasks[provider.name] = asyncio.create_task(self._keep(source))

    async def run(self) -> None:
        """Publish until cancelled; an empty batch a second says that the feed lives."""
        task = asyncio.current_task()
        try:
            # not for ever: `wait_for`, which layers use, may lose a cancellation before Python 3.12
            while not (task and task.cancelling()):
                await self._wait()
                self.rested_at = time.monotonic() + GATHER
                self.number += 1
                await self.publish(Batch(self.number, self.pending.take(), self.outages()))
        finally:
            for name in list(self.tasks):
                self._stop(name)

    def outages(self) -> dict[str, datetime]:
        """Return the providers that can't be read, and since when."""
        return {
            name: source.down_since
            for name, source in self.sources.items()
            if source.down_since and source.instruments
        }

    async def aclose(self) -> None:
        """Close what the providers keep open."""
        for source in self.sources.values():
            await source.provider.aclose()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(HEARTBEAT):
                await self.pending.wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(max(0.0, self.rested_at - time.monotonic()))

    async def _keep(self, source: Source) -> None:
        try:
            await self._learn_tick_sizes(source)
        except Exception:
            logger.exception("%s: no tick sizes", source.provider.name)
        # not for ever: a TaskGroup that fails while it is cancelled tells of its failure only
        while self.tasks.get(source.provider.name) is asyncio.current_task():
            try:
                await source.run()
            except Exception:
                logger.exception("%s died, starting it again", source.provider.name)
                source.down_since = source.down_since or datetime.now(UTC)
            await asyncio.sleep(BACK_OFF)

    async def _learn_tick_sizes(self, source: Source) -> None:
        unsized = {i.code: i.symbol for i in source.instruments if i.tick_size is None}
        if not unsized:
            return
        try:
            known = await source.provider.instruments()
        except ProviderError as error:
            logger.warning("%s: no tick sizes: %s", source.provider.name, error)
            return
        sizes = {unsized[i.code]: i.tick_size for i in known if i.code in unsized and i.tick_size}
        if sizes:
            await self.learn(sizes)

    def _stop(self, name: str) -> None:
        if task := self.tasks.pop(name, None):
            task.cancel()


def back_off(failures: int, error: ProviderError) -> float:
    """Return the seconds to stay away: what the source asked for, else full jitter."""
    if error.retry_after is not None:
        return error.retry_after + random.random()
    if error.refused:
        return random.uniform(LONGEST_BACK_OFF / 2, LONGEST_BACK_OFF)
    return random.uniform(0, min(LONGEST_BACK_OFF, BACK_OFF * 2 ** min(failures, 10)))


def uncrossed(quote: Quote) -> Quote:
    """Drop a bid above its ask: one of them is wrong, and nobody knows which."""
    if quote.bid is None or quote.ask is None or quote.bid <= quote.ask:
        return quote
    return replace(quote, bid=None, ask=None)


def timely(quote: Quote) -> Quote:
    """Drop a source's time that is yet to come: it would keep out all that follow."""
    if quote.source_time is None or quote.source_time <= quote.received_at + MOST_AHEAD:
        return quote
    return replace(quote, source_time=None)


def _older(quote: Quote, known: Quote, asked_at: datetime | None) -> bool:
    if quote.source_time is None:
        return asked_at is not None and known.received_at > asked_at
    if known.source_time is not None:
        return quote.source_time < known.source_time
    return asked_at is not None and quote.source_time < known.received_at
