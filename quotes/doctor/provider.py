"""Check of a provider: whether it answers, with which prices, how fast, or why it fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass

from quotes import conf, kinds, sessions
from quotes.doctor.beside import in_database
from quotes.doctor.deployment import compare_clocks
from quotes.doctor.findings import Report, first_line, span
from quotes.doctor.remedies import describe, origin, remedy, try_by_hand
from quotes.feed import records
from quotes.feed.chains import load_chains
from quotes.feed.configured import configured_provider
from quotes.models import MarketDay, Symbol
from quotes.providers import Instrument, Provider, ProviderError
from quotes.quote import Quote, false_time
from quotes.store import Store

FEW = 3  # codes that are requested even if each one takes a request of its own
MAX_NAMED = 5  # codes
MAX_CLOCK_DIFFERENCE = 2.0  # seconds between our clock and a source's, which has whole seconds
CORRECT_CODES = "correct its codes in the admin, or switch those symbols off"
NEXT_MONTH = (
    "wait for the next month, choose a larger plan, or put another provider first in "
    f"{conf.PROVIDERS}"
)
SEE_DATABASE = "see the check of the database"


@dataclass(frozen=True, slots=True)
class Stored:
    """The active symbols, their provider codes and the use of monthly plans in the database."""

    chains: Mapping[str, Mapping[str, Instrument]]  # by code: by provider
    symbols: dict[str, Symbol]  # by code
    uses: records.Uses

    def instruments(self, name: str) -> list[Instrument]:
        """Return the instruments of a provider, preferred or not."""
        return [chain[name] for chain in self.chains.values() if name in chain]


def load_stored(names: Sequence[str]) -> Stored:
    """Read from the database what the checks of these providers need."""
    sessions.correct(MarketDay.corrections())
    return Stored(
        load_chains(names),
        {symbol.code: symbol for symbol in Symbol.objects.filter(active=True)},
        records.load_uses(),
    )


async def check_provider(name: str, stored: Awaitable[Stored], patience: float) -> Report:
    """Request quotes as the feed would, from the same budget, within `patience` seconds."""
    report = Report(f"provider {name}")
    try:
        provider = configured_provider(name)
    except ValueError as error:
        report.fail(str(error), "correct the options (see docs/providers.md) and restart the feed")
        return report
    try:
        known = await stored
    except Exception as error:  # each driver has exceptions of its own
        text = f"not checked, because its codes can't be read: {first_line(error)}"
        report.fail(text, SEE_DATABASE)
        return report
    check = ProviderCheck(provider, known, report)
    try:
        await check.run(patience)
    finally:
        await check.count_requests()
        await provider.aclose()
    return report


class ProviderCheck:
    """Requests quotes from one provider once, and reports the answer."""

    def __init__(self, provider: Provider, stored: Stored, report: Report) -> None:
        self.provider, self.stored, self.report = provider, stored, report
        self.where = next((origin(client.base_url) for client in provider.clients), "")
        provider.standing.budget.read_month(*stored.uses.get(provider.name, ("", 0)))

    async def run(self, patience: float) -> None:
        """Request quotes within `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                await self._request()
                await self._run_own_check()
        except TimeoutError:
            self.report.fail(f"no complete answer within {patience:g} s", try_by_hand(self.where))
        except ProviderError as error:
            spent = self.provider.standing.budget.left_in_month() == 0
            self.report.fail(describe(error), NEXT_MONTH if spent else self._remedy(error))
        self._compare_clocks()
        self._report_limits()
        if self.provider.name not in conf.get("PROVIDERS"):
            self.report.ok(f"not in {conf.PROVIDERS}, so the feed does not use it")

    async def count_requests(self) -> None:
        """Add the requests of this check to the month's use, which the feed reads too."""
        budget = self.provider.standing.budget
        requests = budget.report()
        if requests is None:
            return
        try:
            await in_database(records.add_uses, {self.provider.name: requests})
        except Exception as error:  # each driver has exceptions of its own
            text = f"{budget.unreported()} requests could not be counted: {first_line(error)}"
            self.report.warn(text, SEE_DATABASE)

    async def _request(self) -> None:
        provider, instruments = self.provider, self.stored.instruments(self.provider.name)
        if not instruments:
            self.report.warn(
                "no active symbol has a code for it",
                "add codes in the admin or with “manage.py loadcatalogue”",
            )
            if provider.database:  # a query can be tried without codes
                await provider.check()
                self.report.ok("its query works")
            return
        requested = instruments[: max(FEW, provider.plan.batch or len(instruments))]
        began = time.perf_counter()
        kind = {each.symbol: kinds.of(each.kind) for each in requested}
        answer = await provider.quotes(requested)
        quotes = [quote for quote in answer if kind[quote.symbol].is_price(quote.last)]
        took = time.perf_counter() - began
        if quotes:
            self._report_quote(max(quotes, key=lambda each: (not each.mistimed, each.time)), took)
            self._report_false_times([quote for quote in quotes if quote.mistimed])
        else:
            self.report.fail(f"it answered in {took * 1000:.0f} ms without a price", CORRECT_CODES)
        priced = {quote.symbol for quote in quotes}
        missing = [each.code for each in requested if each.symbol not in priced]
        of_all = f" (the site has {len(instruments)})" if len(requested) < len(instruments) else ""
        self._report_codes(missing, f"{len(requested)} requested codes{of_all}")

    async def _run_own_check(self) -> None:
        if self.provider.database:  # its query ran already
            return
        try:
            quote = await self.provider.check()
        except ProviderError as error:
            self.report.warn(f"its test request failed: {describe(error)}", self._remedy(error))
        else:
            if quote:
                self.report.ok(f"its test request returned {quote.symbol} {quote.last:f}")

    def _remedy(self, error: ProviderError) -> str:
        return remedy(self.provider.name, self.where, error)

    def _report_quote(self, quote: Quote, took: float) -> None:
        age = "of unknown age"
        if quote.source_time and not quote.mistimed:
            seconds = (quote.received_at - quote.source_time).total_seconds()
            age = f"{span(max(0.0, seconds))} old"
        price = f"{quote.symbol} {quote.last:f} {quote.currency}"
        self.report.ok(f"{price}, {age}, received in {took * 1000:.0f} ms")
        if quote.delay:
            self.report.ok(f"its prices may be {span(quote.delay)} late")
        if self._is_stale(quote):
            self.report.warn(
                f"its newest price is {age} although the market of {quote.symbol} is open",
                "read the provider's status page, and check whether that symbol is still traded",
            )

    def _report_false_times(self, quotes: Sequence[Quote]) -> None:
        if not quotes:
            return
        named = [f"{quote.symbol} ({false_time(quote)})" for quote in quotes[:MAX_NAMED]]
        more = f"; and {len(quotes) - MAX_NAMED} more" if len(quotes) > MAX_NAMED else ""
        self.report.warn(
            f"times that can't be true: {'; '.join(named)}{more}. Such prices age from their last "
            "change",
            "often a local time without its zone: let the source state UTC or an offset, like "
            "2026-11-23T12:00:00Z or 2026-11-23T07:00:00-05:00",
        )

    def _is_stale(self, quote: Quote) -> bool:
        store = Store(stale_after=conf.get("STALE_AFTER"))
        store.keep([self.stored.symbols[quote.symbol]])
        store.put((1, 1), [quote])
        return store.states[quote.symbol].stale

    def _report_codes(self, missing: Sequence[str], requested: str) -> None:
        if not missing:
            self.report.ok(f"it has prices for all {requested}")
            return
        why = [self.provider.standing.why(code) or f"{code} has no price" for code in missing]
        more = f"; and {len(why) - MAX_NAMED} more" if len(why) > MAX_NAMED else ""
        reasons = f"{'; '.join(why[:MAX_NAMED])}{more}"
        self.report.warn(f"no price for {len(why)} of {requested}: {reasons}", CORRECT_CODES)

    def _compare_clocks(self) -> None:
        measured = [client.ahead for client in self.provider.clients if client.ahead is not None]
        if measured:
            compare_clocks(self.report, measured[0], MAX_CLOCK_DIFFERENCE)

    def _report_limits(self) -> None:
        budget, plan = self.provider.standing.budget, self.provider.plan
        parts = [f"{plan.per_minute:,} requests a minute"] if plan.per_minute else []
        if plan.per_month:
            left = budget.left_in_month()
            parts.append(f"{plan.per_month:,} a month ({left:,} are left)")
        if parts:
            self.report.ok(
                f"it allows {' and '.join(parts)}; this check used {budget.unreported()}"
            )
        elif self.provider.clients:
            self.report.ok("its limits are unknown")
