"""The feed is killed: each place with prices shows that they stopped, and loses its colours."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SEEDED, OpenTab
from tests.browser.tab import Tab
from tests.servers import Redis, Runfeed, site

pytestmark = [pytest.mark.browser, pytest.mark.server]

PLACES = {
    "/boards/crypto/": 1,
    "/article/": 4,
    "/embed/quotes/?symbols=BTC-USD,AAPL": 1,
    "/symbols/BTC-USD/?range=1y&with=ETH-USD,SOL-USD,DOGE-USD,ADA-USD": 1,
}
COLOURS = """() => [...document.querySelectorAll(".quote[data-way] .quotes-arrow")]
    .filter((arrow) => arrow.closest(".quote").dataset.way !== "flat")
    .map((arrow) => [getComputedStyle(arrow).color, arrow.closest(".quote")])
    .concat([...document.querySelectorAll(".quotes-chart .line")]
        .map((line) => [getComputedStyle(line).stroke, document]))
    .map(([colour, around]) => colour
        === getComputedStyle(around.querySelector(".quotes-currency")).color)"""

MIDDLES = """(sign) => [...sign.querySelectorAll("time, .pulse-more")]
    .map((text) => text.getBoundingClientRect())
    .map((box) => box.top + box.height / 2)"""


def grey(page: Tab) -> bool:
    """Return whether no price has the colour of a gain or a loss, and no line one of its own."""
    return all(page.page.evaluate(COLOURS))


def test_when_the_feed_is_killed_every_place_shows_it_in_sight_and_in_grey(
    tab: OpenTab, tmp_path: Path, few_symbols: Path, redis_server: Redis
):
    env = {
        "DJANGO_SETTINGS_MODULE": "tests.browser.elsewhere",
        "REDIS_URL": redis_server.url,
        "QUOTES_FEED": "external",
    }
    with ExitStack() as running:
        served = running.enter_context(site(tmp_path, few_symbols, "uvicorn", **SEEDED | env))
        feed = Runfeed(served, "feed").ready()
        running.callback(feed.stop)
        pages = {tab(served.url + path).live().listen(): n for path, n in PLACES.items()}
        for page in pages:
            page.until(lambda page=page: not grey(page), "prices have colours")
        board = next(iter(pages))
        board.page.evaluate("scrollTo(0, document.body.scrollHeight)")
        feed.signal(signal.SIGKILL)
        for page, places in pages.items():
            signs = page.page.locator(".pulse-ill")
            expect(signs).to_have_count(places)
            for sign in signs.all():
                expect(sign).to_be_visible()
                expect(sign).to_contain_text("Prices stopped at")
            page.until(lambda page=page: grey(page), "no price has a colour")
        expect(board.page.locator(".pulse-ill")).to_be_in_viewport(ratio=1)
        stopped_at, trying_again = board.page.locator(".pulse-ill").evaluate(MIDDLES)
        assert stopped_at == pytest.approx(trying_again, abs=1), "both texts stand on one line"
        expect(board.page.locator(".quote").last).to_be_in_viewport(ratio=1)
        running.callback(Runfeed(served, "second").ready().stop)
        for page in pages:
            page.live()
            page.until(lambda page=page: not grey(page), "the colours are back")
            assert page.loads == 1
            assert not page.says_not_live()
            stopped, end = page.heard()
            assert stopped.startswith("Prices stopped at ")
            assert end == "Prices are live again."
