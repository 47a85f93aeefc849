"""The feed: fetches each symbol from the first provider that works, and publishes batches.

One feed runs in the whole deployment. It uses neither the database nor the layer: the caller passes
the functions that do.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from math import inf

from quotes import kinds
from quotes.feed.batch import Batch
from quotes.feed.gate import Gate
from quotes.feed.held import Decision, Held
from quotes.feed.sources import BACK_OFF, Source
from quotes.feed.splits import Split
from quotes.providers import Instrument, Provider, ProviderError
from quotes.quote import Quote, utc_now
from quotes.sessions import of_price

logger = logging.getLogger(__name__)

GATHER = 0.02  # seconds between two batches, in which quotes gather
BEAT = 1.0  # seconds after which an empty batch shows that the feed works
FALL_BACK_AFTER = 5.0  # seconds that a provider must fail; a short failure changes nothing
RETURN_AFTER = 60.0  # seconds that a provider must work before its symbols return to it

Chain = Mapping[str, Instrument]  # by provider, the preferred first
Publish = Callable[[Batch], Awaitable[None]]
Learn = Callable[[dict[str, Decimal]], Awaitable[None]]


class Feed:
    """Runs a source per provider and publishes their quotes in numbered batches."""

    def __init__(
        self,
        publish: Publish,
        learn: Learn,
        accepted: Callable[[Quote], object] = lambda quote: None,  # called with each quote
        max_jump: Mapping[str, float] | None = None,  # by kind of instrument
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.publish, self.learn, self.clock, self.now = publish, learn, clock, now
        self.jumps = {kind: Decimal(str(part)) for kind, part in (max_jump or {}).items()}
        self.gate = Gate(self.max_jump, accepted, self.is_price, clock=clock)
        self.sources: dict[str, Source] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.chains: Mapping[str, Chain] = {}  # by symbol
        self.in_use: dict[str, str] = {}  # the provider that each symbol is fetched from
        self.requested: dict[str, list[str]] = {}  # providers that get requests, by symbol
        self.unsettled: set[str] = set()  # symbols that need more than their first provider
        self.number = 0
        self.rested_at = 0.0  # when the next batch may leave
        self.rerouted_at = 0.0
        self.ended = False

    def follow(
        self,
        providers: Iterable[Provider],
        chains: Mapping[str, Chain],
        acted: bool = True,
    ) -> None:
        """Fetch each of these symbols from the first of its providers that works.

        A chain that is the same object as before was not edited. If the operator `acted`, also try
        the providers again that refused requests.
        """
        if self.ended:
            return
        before, self.chains = self.chains, chains
        gone = before.keys() - chains.keys()
        edited = {code for code, chain in chains.items() if before.get(code) is not chain}
        for symbol in gone | edited:
            self.requested.pop(symbol, None)
            if symbol in before and _codes(before[symbol]) != _codes(chains.get(symbol, {})):
                self._forget(symbol)
        for symbol in gone:
            self.in_use.pop(symbol, None)
        for provider in providers:
            source = self._source(provider)
            if acted:
                source.act()
        self.unsettled = (self.unsettled - gone) | edited
        self._route()
        self._watch_all()

    def reroute(self) -> None:
        """Choose the provider of each symbol.

        Preferred providers that fail still get requests, to notice when they work again.
        """
        if self._route():
            self._watch_all()

    async def run(self) -> None:
        """Publish until cancelled: at least one batch a second, empty if no quote changed."""
        task = asyncio.current_task()
        try:
            # layers use `wait_for`, which before Python 3.12 may lose a cancellation
            while not (task and task.cancelling()):
                await self._wait()
                self.rested_at = time.monotonic() + GATHER
                if self.clock() >= self.rerouted_at + BEAT:
                    self.reroute()
                self.number += 1
                await self.publish(Batch(self.number, self.gate.take(), self.outages()))
        finally:
            self.ended = True
            for name in list(self.tasks):
                self._stop(name)

    def outages(self) -> dict[str, datetime]:
        """Return by name, for each failing provider, the time when it began to fail."""
        return {
            name: source.down_since
            for name, source in self.sources.items()
            if source.down_since and source.instruments
        }

    def arrivals(self) -> dict[str, tuple[str, int, int]]:
        """Return, by symbol, the provider in use, and the numbers of its turns and skipped ticks.

        Between two calls with the same result, no quote of the symbol was missed. Symbols whose
        provider fails are left out.
        """
        failing = self.outages()
        return {
            symbol: (name, self.sources[name].turns, self.sources[name].provider.standing.skipped)
            for symbol, name in self.in_use.items()
            if name not in failing
        }

    def skipped(self, limit: int) -> dict[tuple[str, str], int]:
        """Return how many superseded ticks were left out, for the codes with the most of them.

        The keys are pairs of a provider and its code.
        """
        counts: Counter[tuple[str, str]] = Counter()
        for name, source in self.sources.items():
            counts.update({(name, c): n for c, n in source.provider.standing.skipped_of.items()})
        return dict(counts.most_common(limit))

    def max_jump(self, symbol: str) -> Decimal | None:
        """Return the largest change of a price, as a fraction, that needs no confirmation."""
        return self.jumps.get(self._kind(symbol))

    def is_price(self, quote: Quote) -> bool:
        """Return whether the last price of a quote is valid for the kind of its symbol."""
        return quote.last > 0 or kinds.of(self._kind(quote.symbol)).is_price(quote.last)

    def remember(self, quotes: Iterable[Quote], held: Iterable[Held] = ()) -> None:
        """Compare the first quotes with these, which an earlier feed accepted or held back."""
        self.gate.remember(quotes)
        self.gate.resume(held)

    def follow_splits(self, splits: Iterable[Split]) -> None:
        """Let prices confirm these splits."""
        self.gate.follow_splits(splits)

    def decide(self, decisions: Iterable[Decision]) -> None:
        """Accept or reject held prices; end rejections that are not among all these decisions."""
        known = list(decisions)
        self.gate.end_deleted(known)
        for each in known:
            self.gate.decide(each)

    def held_prices(self) -> list[Held]:
        """Return the held prices that are not stored yet, the oldest first."""
        return list(self.gate.unstored)

    def held_prices_stored(self, held: Iterable[Held]) -> None:
        """Forget held prices that are stored now."""
        self.gate.stored(held)

    async def aclose(self) -> None:
        """Close the connections of all providers."""
        for source in self.sources.values():
            await source.provider.aclose()

    def _forget(self, symbol: str) -> None:
        self.gate.forget(symbol)
        for source in self.sources.values():
            source.forget(symbol)

    def _kind(self, symbol: str) -> str:
        chain = self.chains.get(symbol)
        return next(iter(chain.values())).kind if chain else ""

    def _route(self) -> bool:
        """Choose the provider of each symbol; return whether other requests are needed."""
        self.rerouted_at = self.clock()
        outdated = False
        for symbol in self._to_route():
            chain = self.chains[symbol]
            chosen = self._best(symbol, chain)
            if chosen != self.in_use.get(symbol):
                self.in_use[symbol] = chosen
                self.sources[chosen].poll_again(symbol)  # its stream may be quiet for long
            names = self._requested(chain, chosen)
            if self.requested.get(symbol) != names:
                self.requested[symbol], outdated = names, True
            if names == list(chain)[:1]:
                self.unsettled.discard(symbol)
            else:
                self.unsettled.add(symbol)
        return outdated

    def _to_route(self) -> Collection[str]:
        """Return the symbols that may need another provider than now."""
        troubled = [source.troubled() for source in self.sources.values()]
        some = self.unsettled.union(*(each for each in troubled if each is not None))
        return list(self.chains) if None in troubled else some & self.chains.keys()

    def _requested(self, chain: Chain, chosen: str) -> list[str]:
        """Return the providers that get requests: the chosen one, and all before it that fail."""
        names = list(chain)
        well = self._is_well(chosen, chain[chosen])
        return names[: names.index(chosen) + 1] if well else names

    def _watch_all(self) -> None:
        wanted: dict[str, list[Instrument]] = {name: [] for name in self.sources}
        for symbol, chain in self.chains.items():
            for name in self.requested[symbol]:
                wanted[name].append(chain[name])
        for name, instruments in wanted.items():
            self._watch(self.sources[name], instruments)

    def _best(self, symbol: str, chain: Chain) -> str:
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
        return not (failing or refused or source.has_no_price(instrument.code))

    def _has_rested(self, name: str, symbol: str) -> bool:
        source = self.sources[name]
        well_since = max(source.up_since, source.priced_since.get(symbol, -inf))
        return self.clock() - well_since >= RETURN_AFTER

    def _source(self, provider: Provider) -> Source:
        """Return the source of a provider, a new one for a provider that is not known yet."""
        if provider.name not in self.sources:
            self.sources[provider.name] = Source(
                provider,
                self._taker(provider.name),
                self.gate.wake.set,
                is_price=self.is_price,
                now=self.now,
                clock=self.clock,
            )
        return self.sources[provider.name]

    def _taker(self, name: str) -> Callable[[Quote, datetime | None], None]:
        def take(quote: Quote, asked_at: datetime | None) -> None:
            if self.in_use.get(quote.symbol) == name:
                self.gate.add(in_session(quote, self.chains[quote.symbol][name]), asked_at)

        return take

    def _watch(self, source: Source, instruments: list[Instrument]) -> None:
        known, source.instruments = source.instruments, instruments
        if len(known) == len(instruments) and all(map(_same_request, known, instruments)):
            return
        self._stop(source.provider.name)
        if instruments:
            self.tasks[source.provider.name] = asyncio.create_task(self._keep(source))
        else:
            source.rest()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(BEAT):
                await self.gate.wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(max(0.0, self.rested_at - time.monotonic()))

    async def _keep(self, source: Source) -> None:
        learning = asyncio.create_task(self._learn_tick_sizes(source))
        try:
            # a TaskGroup that fails while it is cancelled raises its failure, not the cancellation
            while self.tasks.get(source.provider.name) is asyncio.current_task():
                try:
                    await source.run()
                except Exception:
                    words = "%s: stopped by an unexpected error, starting again"
                    logger.exception(words, source.provider.name)
                    source.fail()
                await asyncio.sleep(BACK_OFF)
        finally:
            learning.cancel()

    async def _learn_tick_sizes(self, source: Source) -> None:
        try:
            await self._read_tick_sizes(source)
        except Exception:
            logger.exception("%s: could not read tick sizes", source.provider.name)

    async def _read_tick_sizes(self, source: Source) -> None:
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
            logger.warning("%s: could not read tick sizes: %s", source.provider.name, error)
            source.provider.standing.back_off(error.retry_after or 0.0)
            return
        source.sized |= unsized.keys()  # with or without a result
        sizes = {unsized[i.code]: i.tick_size for i in known if i.code in unsized and i.tick_size}
        if sizes:
            await self.learn(sizes)

    def _stop(self, name: str) -> None:
        if task := self.tasks.pop(name, None):
            task.cancel()


def in_session(quote: Quote, instrument: Instrument) -> Quote:
    """Return a quote with the session of its time by the calendar, if its source stated none."""
    if quote.session is not None:
        return quote
    return replace(quote, session=of_price(instrument.exchange, instrument.kind, quote.time))


def _same_request(one: Instrument, other: Instrument) -> bool:
    return one is other or _request(one) == _request(other)


def _request(each: Instrument) -> Instrument:
    # the fields that a request depends on; the simulated market reads tick sizes at its next start
    return replace(each, tick_size=None, name="")


def _codes(chain: Chain) -> dict[str, tuple[str, str]]:
    return {name: (each.code, each.currency) for name, each in chain.items()}
