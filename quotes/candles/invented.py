"""Invented candles: those of simulated symbols, which are made when they are read."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from quotes import conf
from quotes.feed.chains import load_chains
from quotes.feed.configured import configured_provider
from quotes.providers import Candle, provider_class
from quotes.quote import utc_now


def make(
    codes: Collection[str], step: int, start: datetime, end: datetime
) -> dict[str, list[Candle]]:
    """Return the candles of those symbols that are simulated, as far back as candles are kept.

    They start from `start` to before `end`; the oldest comes first.
    """
    since = max(start, utc_now() - timedelta(days=conf.get("RETENTION")[step]))
    names = conf.get("PROVIDERS")
    inventors = {each: configured_provider(each) for each in names if provider_class(each).invented}
    return {
        code: inventors[name].make_candles(instrument, step, since, end)
        for code, chain in (load_chains(names, codes) if inventors else {}).items()
        for name, instrument in chain.items()
        if name in inventors
    }
