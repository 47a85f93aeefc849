"""What an operator wants to know of a provider: does it answer, what, how soon, and if not, why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass

from quotes import conf
from quotes.doctor.beside import in_database
from quotes.doctor.deployment import remark_clock
from quotes.doctor.findings import Finding, first_line, span
from quotes.doctor.remedies import by_hand, origin, remedy, words_of
from quotes.feed import records
from quotes.feed.chains import load_chains
from quotes.feed.configured import configured_provider
from quotes.models import Symbol
from quotes.providers import Instrument, Provider, ProviderError
from quotes.quote import Quote
from quotes.store import Store

FEW = 3  # codes that are asked even of a provider that takes one at a time
MOST_NAMED = 5  # codes
MOST_APART = 2.0  # seconds between our clock and a source's, which tells whole seconds
CODES = "correct its codes in the admin, or switch those symbols off"
SPENT = "wait, take a larger plan, or put another provider first in QUOTES_PROVIDERS"
SEE = "see the database"


@dataclass(frozen=True, slots=True)
class Listed:
    """What the database knows of the active symbols, and of what providers were asked."""

    chains: Mapping[str, Mapping[str, Instrument]]  # by code: by provider
    symbols: dict[str, Symbol]  # by code
    uses: dict[str, tuple[str, int]]  # month and requests, by provider

    def instruments(self, name: str) -> list[Instrument]:
        """Return what a provider is asked of, first or in another's place."""
        return [chain[name] for chain in self.chains.values() if name in chain]


def load_listed(names: Sequence[str]) -> Listed:
    """Read what is listed of these providers."""
    return Listed(
        load_chains(names),
        {symbol.code: symbol for symbol in Symbol.objects.filter(active=True)},
        records.load_uses(),
    )


async def check_provider(name: str, listed: Awaitable[Listed], patience: float) -> Finding:
    """Ask a provider as the feed would, out of the same budget, within `patience` seconds."""
    found = Finding(f"provider {name}")
    try:
        provider = configured_provider(name)
    except ValueError as error:
        found.fail(str(error), "see docs/configuration.md, and restart the feed")
        return found
    try:
        known = await listed
    except Exception as error:  # each driver has exceptions of its own
        found.fail(f"not asked, for nobody knows what is listed: {first_line(error)}", SEE)
        return found
    visit = Visit(provider, known, found)
    try:
        await visit.make(patience)
    finally:
        await visit.pay()
        await provider.aclose()
    return found


class Visit:
    """One provider, asked once, and what came of it."""

    def __init__(self, provider: Provider, listed: Listed, found: Finding) -> None:
        self.provider, self.listed, self.found = provider, listed, found
        self.where = next((origin(client.base_url) for client in provider.clients), "")
        provider.standing.budget.read_month(*listed.uses.get(provider.name, ("", 0)))

    async def make(self, patience: float) -> None:
        """Ask, within so many seconds."""
        try:
            async with asyncio.timeout(patience):
                await self._ask()
                await self._let_it_check()
        except TimeoutError:
            self.found.fail(f"no full answer within {patience:g} s", by_hand(self.where))
        except ProviderError as error:
            spent = self.provider.standing.budget.left_in_month() == 0
            self.found.fail(words_of(error), SPENT if spent else self._remedy(error))
        self._remark_clock()
        self._remark_limits()
        if self.provider.name not in conf.get("PROVIDERS"):
            self.found.say("it is not in QUOTES_PROVIDERS: the feed does not ask it")

    async def pay(self) -> None:
        """Count what was spent of the month's requests where the feed counts, too."""
        budget = self.provider.standing.budget
        news = budget.report()
        if news is None:
            return
        try:
            await in_database(records.add_uses, {self.provider.name: news})
        except Exception as error:  # each driver has exceptions of its own
            words = f"{budget.unreported()} requests could not be counted: {first_line(error)}"
            self.found.warn(words, SEE)

    async def _ask(self) -> None:
        provider, instruments = self.provider, self.listed.instruments(self.provider.name)
        if not instruments:
            self.found.warn(
                "it is asked of no active symbol",
                "add codes in the admin, or with  manage.py loadcatalogue",
            )
            if provider.database:  # a query can be tried without codes
                await provider.check()
                self.found.say("its query runs")
            return
        asked = instruments[: max(FEW, provider.plan.batch or len(instruments))]
        began = time.perf_counter()
        quotes = [quote for quote in await provider.quotes(asked) if quote.last > 0]
        took = time.perf_counter() - began
        if quotes:
            self._remark_quote(max(quotes, key=lambda quote: quote.time), took)
        else:
            self.found.fail(f"it answers, in {took * 1000:.0f} ms, without any price", CODES)
        come = {quote.symbol for quote in quotes}
        missing = [each.code for each in asked if each.symbol not in come]
        self._remark_codes(missing, f"{len(asked)} codes that were asked, of {len(instruments)}")

    async def _let_it_check(self) -> None:
        if self.provider.database:  # its query ran already
            return
        try:
            quote = await self.provider.check()
        except ProviderError as error:
            self.found.warn(f"its own check failed: {words_of(error)}", self._remedy(error))
        else:
            if quote:
                self.found.say(f"its own check brought {quote.symbol} {quote.last:f}")

    def _remedy(self, error: ProviderError) -> str:
        return remedy(self.provider.name, self.where, error)

    def _remark_quote(self, quote: Quote, took: float) -> None:
        age = "of unknown age"
        if quote.source_time:
            seconds = (quote.received_at - quote.source_time).total_seconds()
            age = f"{span(max(0.0, seconds))} old"
        price = f"{quote.symbol} {quote.last:f} {quote.currency}"
        self.found.say(f"{price}, {age}, in {took * 1000:.0f} ms")
        if quote.delay:
            self.found.say(f"its prices may be {span(quote.delay)} late")
        if self._is_stale(quote):
            self.found.warn(
                f"its newest price is {age}, and the market of {quote.symbol} is open",
                "look at the source's own status page, and whether that symbol still trades",
            )

    def _is_stale(self, quote: Quote) -> bool:
        store = Store(stale_after=conf.get("STALE_AFTER"))
        store.keep([self.listed.symbols[quote.symbol]])
        store.put((1, 1), [quote])
        return store.states[quote.symbol].stale

    def _remark_codes(self, missing: Sequence[str], asked: str) -> None:
        if not missing:
            self.found.say(f"it knows all {asked}")
            return
        why = [self.provider.standing.unknown.get(code, f"{code} has no price") for code in missing]
        more = f"; and {len(why) - MOST_NAMED} more" if len(why) > MOST_NAMED else ""
        named = f"{'; '.join(why[:MOST_NAMED])}{more}"
        self.found.warn(f"{len(why)} of the {asked}, are of no use: {named}", CODES)

    def _remark_clock(self) -> None:
        told = [client.ahead for client in self.provider.clients if client.ahead is not None]
        if told:
            remark_clock(self.found, told[0], MOST_APART)

    def _remark_limits(self) -> None:
        budget, plan = self.provider.standing.budget, self.provider.plan
        parts = [f"{plan.per_minute:,} requests a minute"] if plan.per_minute else []
        if plan.per_month:
            left = budget.left_in_month()
            parts.append(f"{plan.per_month:,} a month, of which {left:,} are left")
        if parts:
            self.found.say(f"it allows {', '.join(parts)}; this check took {budget.unreported()}")
        elif self.provider.clients:
            self.found.say("what it allows is not known")
