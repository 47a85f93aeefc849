"""The feed: asks each symbol of the best provider that has it, and publishes what they bring.

One feed runs in the whole deployment. Nothing here touches the database or the layer: what to
do with a batch is handed in.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from math import inf

from quotes.feed.gate import Pending
from quotes.feed.sources import BACK_OFF, Source
from quotes.providers import Instrument, Provider, ProviderError
from quotes.quote import Quote, utc_now

logger = logging.getLogger(__name__)

GATHER = 0.02  # seconds between two batches: what comes meanwhile leaves together
HEARTBEAT = 1.0  # seconds after which an empty batch says that the feed lives
FALL_BACK_AFTER = 5.0  # seconds of failing; a hiccup changes nothing
RETURN_AFTER = 60.0  # seconds that a provider must be well again before its symbols come back


@dataclass(frozen=True, slots=True)
class Batch:
    """What changed since the batch before; empty, it is a heartbeat."""

    number: int
    quotes: list[Quote]
    outages: dict[str, datetime]  # providers that can't be read, and since when


Publish = Callable[[Batch], Awaitable[None]]
Learn = Callable[[dict[str, Decimal]], Awaitable[None]]


class Feed:
    """Runs a source per provider and publishes what they bring in numbered batches."""

    def __init__(
        self,
        publish: Publish,
        learn: Learn,
        max_jump: Mapping[str, float] | None = None,  # by kind of instrument
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.publish, self.learn, self.clock, self.now = publish, learn, clock, now
        self.jumps = {kind: Decimal(str(part)) for kind, part in (max_jump or {}).items()}
        self.pending = Pending(self.max_jump, clock=clock)
        self.sources: dict[str, Source] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.chains: Mapping[str, Mapping[str, Instrument]] = {}  # symbol: by provider, best first
        self.in_use: dict[str, str] = {}  # symbol: the provider that it is asked of now
        self.number = 0
        self.rested_at = 0.0  # when the next batch may leave
        self.rerouted_at = 0.0
        self.ended = False

    def follow(
        self,
        providers: Iterable[Provider],
        chains: Mapping[str, Mapping[str, Instrument]],
        acted: bool = True,
    ) -> None:
        """Bring quotes of these symbols, each of the first of its providers that is well.

        Where the operator acted, those that refused us are asked again.
        """
        if self.ended:
            return
        for symbol, chain in self.chains.items():
            if _codes(chain) != _codes(chains.get(symbol, {})):
                self._forget(symbol)
        self.chains = chains
        for provider in providers:
            if provider.name not in self.sources:
                take = self._taker(provider.name)
                self.sources[provider.name] = Source(
                    provider, take, self.pending.wake.set, self.now, self.clock
                )
            if acted:
                self.sources[provider.name].act()
        self.in_use = {each: name for each, name in self.in_use.items() if each in self.chains}
        self.reroute()

    def reroute(self) -> None:
        """Choose for each symbol the provider that it is asked of now.

        Better ones that fail are asked on, so that it is seen when they are well again.
        """
        self.rerouted_at = self.clock()
        wanted: dict[str, list[Instrument]] = {name: [] for name in self.sources}
        for symbol, chain in self.chains.items():
            chosen = self._best(symbol, chain)
            if chosen != self.in_use.get(symbol):
                self.in_use[symbol] = chosen
                self.sources[chosen].ask_for(symbol)  # its stream may have nothing new to say
            for name, instrument in chain.items():
                wanted[name].append(instrument)
                if name == chosen and self._is_well(name, instrument):
                    break
        for name, instruments in wanted.items():
            self._watch(self.sources[name], instruments)

    async def run(self) -> None:
        """Publish until cancelled; an empty batch a second says that the feed lives."""
        task = asyncio.current_task()
        try:
            # not for ever: `wait_for`, which layers use, may lose a cancellation before Python 3.12
            while not (task and task.cancelling()):
                await self._wait()
                self.rested_at = time.monotonic() + GATHER
                if self.clock() >= self.rerouted_at + HEARTBEAT:
                    self.reroute()
                self.number += 1
                await self.publish(Batch(self.number, self.pending.take(), self.outages()))
        finally:
            self.ended = True
            for name in list(self.tasks):
                self._stop(name)

    def outages(self) -> dict[str, datetime]:
        """Return the providers that can't be read, and since when."""
        return {
            name: source.down_since
            for name, source in self.sources.items()
            if source.down_since and source.instruments
        }

    def max_jump(self, symbol: str) -> Decimal | None:
        """Return by what part a symbol's price may differ from the one before, unconfirmed."""
        chain = self.chains.get(symbol)
        return self.jumps.get(next(iter(chain.values())).kind) if chain else None

    async def aclose(self) -> None:
        """Close what the providers keep open."""
        for source in self.sources.values():
            await source.provider.aclose()

    def _forget(self, symbol: str) -> None:
        self.pending.forget(symbol)
        for source in self.sources.values():
            source.forget(symbol)

    def _best(self, symbol: str, chain: Mapping[str, Instrument]) -> str:
        used = self.in_use.get(symbol, "")
        well = [name for name in chain if self._is_well(name, chain[name])]
        if used not in well:
            return next(iter(well), used if used in chain else next(iter(chain)))
        rested = (name for name in well[: well.index(used)] if self._has_rested(name, symbol))
        return next(rested, used)

    def _is_well(self, name: str, instrument: Instrument) -> bool:
        source, now = self.sources[name], self.clock()
        troubles = (source.failing_since, source.unpriced.get(instrument.symbol))
        failing = any(since is not None and now - since >= FALL_BACK_AFTER for since in troubles)
        refused = source.refused and not source.streaming
        return not (failing or refused or source.lacks(instrument.code))

    def _has_rested(self, name: str, symbol: str) -> bool:
        source = self.sources[name]
        well_since = max(source.up_since, source.priced_since.get(symbol, -inf))
        return self.clock() - well_since >= RETURN_AFTER

    def _taker(self, name: str) -> Callable[[Quote, datetime | None], None]:
        def take(quote: Quote, asked_at: datetime | None) -> None:
            if self.in_use.get(quote.symbol) == name:
                self.pending.add(quote, asked_at)

        return take

    def _watch(self, source: Source, instruments: list[Instrument]) -> None:
        known, source.instruments = source.instruments, instruments
        if known == instruments or list(map(_asked, known)) == list(map(_asked, instruments)):
            return
        self._stop(source.provider.name)
        if instruments:
            self.tasks[source.provider.name] = asyncio.create_task(self._keep(source))
        else:
            source.rest()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(HEARTBEAT):
                await self.pending.wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(max(0.0, self.rested_at - time.monotonic()))

    async def _keep(self, source: Source) -> None:
        learning = asyncio.create_task(self._learn_tick_sizes(source))
        try:
            # not for ever: a TaskGroup that fails while it is cancelled tells of its failure only
            while self.tasks.get(source.provider.name) is asyncio.current_task():
                try:
                    await source.run()
                except Exception:
                    logger.exception("%s died, starting it again", source.provider.name)
                    source.fail()
                await asyncio.sleep(BACK_OFF)
        finally:
            learning.cancel()

    async def _learn_tick_sizes(self, source: Source) -> None:
        try:
            await self._ask_tick_sizes(source)
        except Exception:
            logger.exception("%s: no tick sizes", source.provider.name)

    async def _ask_tick_sizes(self, source: Source) -> None:
        unsized = {
            each.code: each.symbol
            for each in source.instruments
            if each.tick_size is None and each.code not in source.sized
        }
        if not unsized or not source.provider.sizes or source.refused:
            return
        try:
            known = await source.provider.instruments()
        except ProviderError as error:
            logger.warning("%s: no tick sizes: %s", source.provider.name, error)
            source.provider.budget.stay_away(error.retry_after or 0.0)
            return
        source.sized |= unsized.keys()  # whether it told them or has none
        sizes = {unsized[i.code]: i.tick_size for i in known if i.code in unsized and i.tick_size}
        if sizes:
            await self.learn(sizes)

    def _stop(self, name: str) -> None:
        if task := self.tasks.pop(name, None):
            task.cancel()


def _asked(each: Instrument) -> Instrument:
    # all that a provider is asked by; a simulated one steps by its tick sizes from its next start
    return replace(each, tick_size=None, name="")


def _codes(chain: Mapping[str, Instrument]) -> dict[str, tuple[str, str]]:
    return {name: (each.code, each.currency) for name, each in chain.items()}
