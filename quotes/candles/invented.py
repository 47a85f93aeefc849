"""Invented candles: those of simulated symbols, which are made when somebody asks for them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from quotes import conf
from quotes.feed.chains import instrument_of
from quotes.feed.configured import configured_provider
from quotes.models import LastQuote
from quotes.providers import REGISTRY, Candle, Instrument, Provider, provider_class
from quotes.quote import utc_now


def make(
    codes: Collection[str], step: int, start: datetime, end: datetime
) -> dict[str, list[Candle]]:
    """Return the candles of the symbols whose price is simulated, as far back as they are kept.

    They start from `start` to before `end`; the oldest comes first.
    """
    since = max(start, utc_now() - timedelta(days=conf.get("RETENTION")[step]))
    return {
        code: provider.make_candles(instrument, step, since, end)
        for code, (provider, instrument) in _inventors(codes).items()
    }


def _inventors(codes: Collection[str]) -> dict[str, tuple[Provider, Instrument]]:
    found: dict[str, tuple[Provider, Instrument]] = {}
    providers: dict[str, Provider] = {}
    for last in LastQuote.objects.filter(symbol__code__in=codes).select_related("symbol"):
        name = _provider_of(last)
        if name in REGISTRY and provider_class(name).invented:
            if name not in providers:
                providers[name] = configured_provider(name)
            found[last.symbol.code] = providers[name], instrument_of(last.symbol)
    return found


def _provider_of(last: LastQuote) -> str:
    try:
        return last.quote.provider
    except ValueError:  # another release wrote it; the feed will replace it
        return ""
