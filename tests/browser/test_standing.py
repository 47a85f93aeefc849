"""Nothing moves while sources, markets, prices and notes come and go."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Exchange, OpenTab
from tests.servers import Site, eventually, manage, site

pytestmark = [pytest.mark.browser, pytest.mark.server]

MINUTE = 120  # frames in a minute, with the settings of other tests
GROWS = 50  # ticks until the price has a digit more
MOST = 2000  # ticks
PATHS = (
    "/",
    "/boards/crypto/",
    "/symbols/BTC-USD/",
    "/symbols/{share}/",
    "/embed/quotes/?symbols=BTC-USD,SOL-USD,{share}",
)
# A text that is not as wide as before keeps one of its edges; what moves keeps none, or is lower.
# The words of a sentence may begin another line in the room that is kept for it.
MOVED = """quotesTest.shifts.flatMap(({value, nodes}) => nodes
    .filter(([node]) => !document.querySelector(".panel-state")?.textContent.includes(node))
    .filter(([, was, is]) => was.top !== is.top || was.bottom !== is.bottom
        || (was.left !== is.left && was.right !== is.right))
    .map(([node, was, is]) => [value, node, was.left, was.top, is.left, is.top]))"""
# at any hour, it is day at one of the two; none of them has a break at noon
MARKETS = (("AAPL", "XNYS", "America/New_York"), ("BHP.AX", "XASX", "Australia/Sydney"))
LISTED = """
from datetime import UTC, datetime
from decimal import Decimal
from quotes.models import Board, LastQuote, Symbol
from quotes.quote import Quote
from quotes.quote.wire import to_wire
board = Board.objects.get(slug="crypto")
Symbol.objects.filter(code__in=("BTC-USD", "ETH-USD", "AAPL", "BHP.AX")).update(
    active=True, stale_after=86400
)
Symbol.objects.filter(code="SOL-USD").update(stale_after=1)
Symbol.objects.exclude(code__in=("BTC-USD", "ETH-USD", "SOL-USD", "{share}")).delete()
share = Symbol.objects.get(code="{share}")
board.symbols.add(share, through_defaults=dict(position=9))
now = datetime.now(UTC)
LastQuote.objects.create(symbol=share, epoch=1, batch=1, wire=to_wire(Quote(
    symbol=share.code, currency=share.currency, provider="coinbase", received_at=now,
    last=Decimal(101), reference=Decimal(100), reference_kind="prev_close")))
"""
HOURS = """
from quotes.models import MarketDay
MarketDay.objects.update_or_create(
    venue="{venue}", day="{day}", defaults=dict(opens={opens!r}, closes={closes!r}))
"""


class Market:
    """The market of a share, which opens and closes when a test wants it."""

    def __init__(self) -> None:
        for self.share, self.venue, zone in MARKETS:
            self.now = datetime.now(ZoneInfo(zone))
            if 2 <= self.now.hour <= 21:
                break

    def hours(self, *, is_open: bool) -> str:
        """Return the script that opens the market for an hour, or closes it for the day."""
        hour, day = timedelta(hours=1), self.now.date().isoformat()
        times = [(self.now + by).time().isoformat("minutes") for by in (-hour, hour)]
        opens, closes = times if is_open else (None, None)
        return HOURS.format(venue=self.venue, day=day, opens=opens, closes=closes)


@pytest.fixture(scope="module")
def market_of_share() -> Market:
    """A market in which it is day."""
    return Market()


@pytest.fixture
def moving(
    exchange: Exchange, market_of_share: Market, tmp_path: Path, few_symbols: Path
) -> Iterator[Site]:
    """The site with prices of the stub exchange, and a share whose market is open."""
    listed = shutil.copy(few_symbols, tmp_path / "listed.sqlite3")
    prepared = LISTED.format(share=market_of_share.share) + market_of_share.hours(is_open=True)
    manage("shell", "--verbosity", "0", "-c", prepared, DATABASE_URL=f"sqlite:///{listed}")
    source = {
        "DJANGO_SETTINGS_MODULE": "tests.browser.hurried",
        "QUOTES_PROVIDERS": "coinbase",
        "COINBASE_REST_URL": f"http://{exchange.host}",
        "COINBASE_WS_URL": f"ws://{exchange.host}",
    }
    exchange.mode("ok")
    with site(tmp_path, listed, "daphne", **source) as running:
        yield running
    exchange.mode("ok")


def moved(page: Page) -> list[list[object]]:
    """Return what moved, except a number that grew at one of its ends."""
    return list(page.evaluate(MOVED))


def test_nothing_moves_while_sources_markets_prices_and_notes_come_and_go(
    moving: Site, exchange: Exchange, market_of_share: Market, tab: OpenTab
):
    share = market_of_share.share
    paths = [path.format(share=share) for path in PATHS]
    eventually(exchange.heard, "the site listens to the exchange")
    for price in ("80,000.50", "99,950.50"):  # without a jump that would be held back
        exchange.tick("BTC-USD", price.replace(",", ""))
        eventually(lambda price=price: price in moving.get(paths[2]), "the site has a price")
    pages = [
        (path, tab(moving.url + path, viewport={"width": width, "height": 800}).live())
        for path, width in product(paths, (390, 1280))
    ]
    lively = [page for path, page in pages if share not in path]
    with_share = [page for path, page in pages if path not in (paths[0], paths[2])]

    for number in range(MOST):
        exchange.tick("BTC-USD", f"{99_950 + number}.50")
        exchange.tick("SOL-USD", f"{151 + number % 7}.40")
        lively[0].after_frames(1)
        if number > GROWS and all(len(page.frames) > MINUTE for page in lively):
            break
    else:
        pytest.fail(f"after {MOST} ticks, a page had {min(len(p.frames) for p in lively)} frames")
    for page in lively:
        expect(page.row("BTC-USD").locator("[data-field=last]").first).to_contain_text("100,")
    for page in (page for path, page in pages if path == paths[1]):
        expect(page.row("SOL-USD")).to_have_attribute("data-condition", "stale")

    for is_open in (False, True):
        moving.manage("shell", "-c", market_of_share.hours(is_open=is_open))
        for page in with_share:
            expect(page.row(share)).to_have_attribute(
                "data-condition", "live" if is_open else "closed"
            )

    exchange.close()
    for _, page in pages:
        expect(page.page.locator(".note-outage")).to_be_visible()
    exchange.mode("ok")
    for _, page in pages:
        expect(page.page.locator(".note-outage")).to_have_count(0)

    found = {(path, page.page.viewport_size["width"]): moved(page.page) for path, page in pages}
    assert {place: each for place, each in found.items() if each} == {}
