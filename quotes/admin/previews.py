"""Previews: what the first source of a candidate has, before the symbol is added."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from quotes.admin.answers import PATIENCE, price
from quotes.charts.sparkline import sparkline
from quotes.doctor.requests import request as request_from
from quotes.instruments.search import Candidate, code_at
from quotes.providers import Instrument, Provider, ProviderError

FEW = 3  # codes that are requested even if each one takes a request of its own
DAY, DAYS = 86_400, 30
LINES = 6  # candidates of a source whose candles are requested, each by a request of its own

Key = tuple[str, str]  # a provider, and its code


@dataclass(frozen=True, slots=True)
class Preview:
    """The price of a candidate, and the path of a line in a box of 120 by 48; each may be ""."""

    price: str = ""
    path: str = ""


def previews(candidates: Sequence[Candidate]) -> Mapping[Key, Preview]:
    """Request what the first source of each candidate has, by the keys of their first rows.

    Each source gets one request for prices, or a few if it needs one for each code, and up to six
    for the closes of 30 days.
    """
    wanted: dict[str, list[Instrument]] = {}
    for each in candidates:
        name, code = code_at(each.rows[0])
        instrument = Instrument(symbol=code, code=code, kind=each.kind, currency=each.currency)
        wanted.setdefault(name, []).append(instrument)

    async def look(provider: Provider) -> dict[Key, Preview]:
        some = wanted[provider.name]
        lines: dict[str, str] = {}
        drawing = asyncio.create_task(_draw(provider, some[:LINES], lines))
        try:
            quotes = await provider.quotes(some[: max(FEW, provider.plan.batch or len(some))])
            await drawing
        finally:
            drawing.cancel()
        prices = {quote.symbol: price(quote) for quote in quotes}
        codes = prices.keys() | lines.keys()
        return {
            (provider.name, code): Preview(prices.get(code, ""), lines.get(code, ""))
            for code in codes
        }

    answers = request_from(wanted, look, PATIENCE).values()
    return {
        key: each for found in answers if isinstance(found, dict) for key, each in found.items()
    }


async def _draw(provider: Provider, some: list[Instrument], lines: dict[str, str]) -> None:
    """Put the lines of these instruments where the caller looks, as far as there is time."""
    if DAY not in provider.steps:
        return
    now = datetime.now(UTC)
    since = now - timedelta(days=DAYS)
    with suppress(TimeoutError, ProviderError):
        async with asyncio.timeout(PATIENCE / 2):  # so that prices are there
            for each in some:
                candles = await provider.candles(each, DAY, since, now)
                if line := sparkline([(c.start, c.close) for c in candles], since, now):
                    lines[each.code] = line.path
