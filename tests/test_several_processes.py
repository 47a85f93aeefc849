"""One feed, two web processes and Redis between them: a visitor sees the same in either."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.servers import ROOT, Daemon, Redis, Site, environment, eventually

pytestmark = pytest.mark.server

SWITCH_OFF = """
from quotes.models import Symbol
symbol = Symbol.objects.get(code="ETH-USD")
symbol.active = False
symbol.save()
"""


@pytest.fixture
def two_sites(
    tmp_path: Path, database_template: Path, redis_server: Redis
) -> Iterator[tuple[Site, Site]]:
    """Two web processes on one database, and a feed beside them."""
    shutil.copy(database_template, tmp_path / "site.sqlite3")
    env = {"REDIS_URL": redis_server.url, "QUOTES_FEED": "external"}
    sites = Site(tmp_path, "uvicorn", **env), Site(tmp_path, "daphne", **env)
    feed = Daemon(
        [sys.executable, "manage.py", "runfeed"], env=environment(**sites[0].env), cwd=ROOT
    )
    feed.start()
    for each in sites:
        each.start()
    yield sites
    for each in sites:
        each.stop()
    feed.stop()


def open_page(site: Site, path: str = "/ws/quotes/?symbols=BTC-USD") -> ClientConnection:
    """Open a socket as a page of the site does."""
    return connect(site.ws + path, origin=site.url)


def price(page: ClientConnection) -> str:
    """Wait for a frame with a price and return that."""
    while 'data-field="last" value="' not in (frame := str(page.recv(timeout=20))):
        pass
    return frame.partition('data-field="last" value="')[2].partition('"')[0]


def test_prices_of_one_feed_move_in_every_process(two_sites: tuple[Site, Site]):
    with open_page(two_sites[0]) as first, open_page(two_sites[1]) as second:
        seen = [{price(page) for _ in range(6)} for page in (first, second)]
    assert seen[0] & seen[1]
    assert min(len(prices) for prices in seen) > 1


def test_prices_move_again_after_redis_was_gone(two_sites: tuple[Site, Site], redis_server: Redis):
    with open_page(two_sites[0]) as page:
        price(page)
        redis_server.stop()
        redis_server.start()
        before = price(page)
        eventually(lambda: price(page) != before, "a new price after Redis came back")


def test_a_change_of_listings_reaches_every_process(two_sites: tuple[Site, Site]):
    two_sites[0].manage("shell", "--command", SWITCH_OFF)
    for site in two_sites:
        eventually(
            lambda site=site: "ETH-USD" not in site.get("/boards/crypto/"), "ETH-USD has gone"
        )
