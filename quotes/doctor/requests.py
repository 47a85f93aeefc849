"""Requests to providers outside of the feed, counted in the same monthly budgets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from quotes.doctor.beside import Loop
from quotes.doctor.remedies import describe
from quotes.doctor.secrecy import Secrecy
from quotes.feed import records
from quotes.feed.configured import configured_provider
from quotes.providers import Instrument, Provider, ProviderError
from quotes.providers.kit.client import timeout_error

Work = Callable[[Provider], Awaitable[Any]]


class Failed(Exception):
    """Raised, or returned, when a provider can't be built or does not answer; without secrets."""


def request(names: Iterable[str], work: Work, patience: float | None = None) -> dict[str, Any]:
    """Do some work with each of these providers at the same time, and return its results by name.

    The result is a `Failed` for a provider that fails, or that needs more than `patience` seconds.
    """
    found: dict[str, Any] = {}
    providers: dict[str, Provider] = {}
    for name in names:
        try:
            providers[name] = configured_provider(name)
        except ValueError as error:
            found[name] = Failed(Secrecy().public(str(error)))
    uses = records.load_uses()
    for name, provider in providers.items():
        if provider.standing.budget.plan.per_month is not None:
            provider.standing.budget.read_month(*uses.get(name, ("", 0)))
    try:
        with asyncio.Runner(loop_factory=Loop) as runner:
            return found | runner.run(_all(providers, work, patience))
    finally:
        reports = {name: each.standing.budget.report() for name, each in providers.items()}
        if counted := {name: report for name, report in reports.items() if report}:
            records.add_uses(counted)


async def listed_by(provider: Provider) -> list[Instrument]:
    """Return the instruments that a provider lists, for `request`."""
    return await provider.instruments()


async def _all(
    providers: dict[str, Provider], work: Work, patience: float | None
) -> dict[str, Any]:
    results = [_one(provider, work, patience) for provider in providers.values()]
    return dict(zip(providers, await asyncio.gather(*results), strict=True))


async def _one(provider: Provider, work: Work, patience: float | None) -> Any:
    try:
        async with asyncio.timeout(patience):
            return await work(provider)
    except TimeoutError:
        return Failed(str(timeout_error(provider.name, patience or 0)))
    except ProviderError as error:
        return Failed(Secrecy().public(describe(error)))
    finally:
        await provider.aclose()
