"""After a fault the stored candles equal those of the exchange, which trades all the time."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from quotes.fields import from_text
from tests.servers import Redis, Runfeed, Site, Stub, eventually

pytestmark = pytest.mark.server

Candles = dict[tuple[str, int, int], tuple[Decimal, ...]]  # by symbol, step and start

CANDLES = """
SELECT code, step, quotes_candle.start, open, high, low, close
FROM quotes_candle JOIN quotes_symbol ON quotes_symbol.id = symbol_id
"""


class Market(Stub):
    """The exchange, as a process."""

    def __init__(self) -> None:
        super().__init__("market")

    def trade(self, per_second: float) -> None:
        """Let each product trade so often."""
        self.ask(f"/_trade?per_second={per_second}")

    def candles(self) -> Candles:
        """Return its candles: open, high, low and close."""
        return {
            (product, int(step), int(start)): tuple(
                Decimal(str(each)) for each in (opened, high, low, closed)
            )
            for series, rows in self.ask("/_market")["candles"].items()
            for product, step in [series.split()]
            for start, low, high, opened, closed, _ in rows
        }


@pytest.fixture
def market() -> Iterator[Market]:
    """An exchange that trades."""
    market = Market()
    yield market
    market.stop()


@pytest.fixture
def site(listed: Path, market: Market, redis_server: Redis) -> Site:
    """A site that follows the exchange. It is not started: these tests only need feeds."""
    settings = {"DJANGO_SETTINGS_MODULE": "tests.faults.settings", "QUOTES_FEED": "external"}
    return Site(listed, "uvicorn", REDIS_URL=redis_server.url, **settings, **market.settings)


def stored(site: Site) -> Candles:
    """Return the candles in the database of a site."""
    with closing(sqlite3.connect(site.folder / "site.sqlite3")) as database:
        return {
            (code, step, start): tuple(map(from_text, prices))
            for code, step, start, *prices in database.execute(CANDLES)
        }


def differing(theirs: Candles, ours: Candles) -> list[str]:
    """Return the candles of the exchange that the site does not have, or has otherwise."""
    return [
        f"{key}: {candle}, stored {ours.get(key)}"
        for key, candle in sorted(theirs.items())
        if ours.get(key) != candle
    ]


def test_candles_equal_those_of_the_exchange_after_kills_of_the_only_feed(
    site: Site, market: Market
):
    for number in range(3):
        feed = Runfeed(site, f"feed-{number}").ready()
        before = market.ask("/_market")["trades"]
        eventually(lambda before=before: market.ask("/_market")["trades"] > before + 300, "trades")
        feed.signal(signal.SIGKILL)
    last = Runfeed(site, "last").ready()
    try:
        eventually(lambda: "stored" in last.said(), "candles of the gaps arrive")
        market.trade(0)
        theirs = market.candles()
        eventually(lambda: not differing(theirs, stored(site)), "the candles are equal")
    finally:
        last.stop()
    assert len(theirs) >= 12
