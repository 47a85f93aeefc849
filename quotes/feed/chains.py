"""Chains: the providers that each symbol is fetched from, the preferred first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import inf

from quotes.models import ProviderSymbol, Symbol
from quotes.providers import Instrument, Provider, provider_class


def load_chains(
    names: Sequence[str], codes: Collection[str] | None = None
) -> dict[str, dict[str, Instrument]]:
    """Return the instruments of each active symbol by provider, the preferred provider first.

    With `codes`, return only those of these symbols. Providers with a position in the admin come
    first. The others follow in the order of `names`. Simulated prices never replace real ones.
    """
    symbols = Symbol.objects.filter(active=True)
    if codes is not None:
        symbols = symbols.filter(code__in=codes)
    rows: dict[int, dict[str, ProviderSymbol]] = {}
    for row in ProviderSymbol.objects.filter(symbol__in=symbols):
        rows.setdefault(row.symbol_id, {})[row.provider] = row
    providers = [provider_class(name) for name in names]
    chains = ((each.code, _chain(each, rows.get(each.pk, {}), providers)) for each in symbols)
    return {code: chain for code, chain in chains if chain}


def load_chain(symbol: Symbol, names: Iterable[str]) -> dict[str, Instrument]:
    """Return the instruments of a symbol by provider, as `load_chains` does for all."""
    rows = {row.provider: row for row in ProviderSymbol.objects.filter(symbol=symbol)}
    return _chain(symbol, rows, map(provider_class, names))


def _chain(
    symbol: Symbol, rows: Mapping[str, ProviderSymbol], providers: Iterable[type[Provider]]
) -> dict[str, Instrument]:
    def place(provider: type[Provider]) -> float:
        position = rows[provider.name].position if provider.name in rows else None
        return inf if position is None else position

    chain: dict[str, Instrument] = {}
    for provider in sorted(providers, key=place):
        row = rows.get(provider.name)
        code = row.code if row else "" if provider.needs_code else symbol.code
        if code and not (chain and provider.invented):
            chain[provider.name] = _instrument(symbol, code)
    return chain


def _instrument(symbol: Symbol, code: str) -> Instrument:
    return Instrument(
        symbol=symbol.code,
        code=code,
        kind=symbol.kind,
        exchange=symbol.exchange,
        currency=symbol.currency,
        tick_size=symbol.tick_size,
        name=symbol.name,
        start=symbol.start,
    )
