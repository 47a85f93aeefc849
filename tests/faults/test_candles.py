"""After a fault the stored candles equal those of the exchange, which trades all the time."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from quotes.fields import from_text
from tests.faults.deployment import CANDLES, Market
from tests.faults.oracle import Candles, differing
from tests.servers import Redis, Runfeed, Site, eventually

pytestmark = pytest.mark.server


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
        eventually(lambda: "stored" in last.output(), "candles of the gaps arrive")
        market.trade(0)
        theirs = market.candles()
        eventually(lambda: not differing(theirs, stored(site)), "the candles are equal")
    finally:
        last.stop()
    assert len(theirs) >= 12
