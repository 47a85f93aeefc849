"""An iframe that is out of view in the page of another site gets nothing, and returns at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import FrameLocator, expect

from tests.browser.conftest import OFTEN, OpenTab
from tests.browser.foreign import foreign
from tests.browser.proxy import proxy
from tests.browser.tab import Tab
from tests.servers import Site, eventually, site

pytestmark = [pytest.mark.browser, pytest.mark.server]

ARTICLE = """<!doctype html><title>Article</title><link rel="icon" href="data:,">
<h1>Markets today</h1><div style="height: 300vh"></div>
<iframe src="http://127.0.0.1:{port}/embed/quotes/?symbols=BTC-USD,AAPL" height="244"></iframe>
<div style="height: 300vh"></div>"""
PULSES = 8  # twice as many as it takes to show "Not live"


@pytest.fixture(scope="module")
def news() -> Iterator[str]:
    """A long page of another site; an iframe is in its middle."""
    with foreign(ARTICLE) as origin:
        yield origin


@pytest.fixture(scope="module")
def framed(
    news: str, tmp_path_factory: pytest.TempPathFactory, few_symbols: Path
) -> Iterator[Site]:
    """A site that lets the other one frame its embeds, with a fast pulse."""
    more = {"QUOTES_EMBED_ORIGINS": news, "DJANGO_SETTINGS_MODULE": "tests.browser.brisk"}
    folder = tmp_path_factory.mktemp("framed")
    with site(folder, few_symbols, "uvicorn", **(OFTEN | more)) as running:
        yield running


def show(page: Tab) -> FrameLocator:
    """Scroll to the iframe."""
    page.page.locator("iframe").scroll_into_view_if_needed()
    return page.page.frame_locator("iframe")


def leave(page: Tab) -> None:
    """Scroll to the top of the article, far from the iframe."""
    page.page.evaluate("scrollTo(0, 0)")


def moves(frame: FrameLocator) -> None:
    """Wait until the iframe is live, and a price in it moves."""
    expect(frame.locator(".pulse-live .pulse-well")).to_be_visible()
    expect(frame.locator(".pulse-ill")).to_be_hidden()
    price = frame.locator("[data-symbol='BTC-USD'] data")
    expect(price).not_to_have_attribute("value", price.get_attribute("value") or "")


def wait_for_pulses(page: Tab) -> None:
    """Wait until a page that is in view has some more pulses."""
    page.frames.clear()
    page.until(lambda: sum("quotes-pulse" in f for f in page.frames) >= PULSES, "some pulses")


def sockets(served: Site) -> int:
    """Return how many sockets are open."""
    lines = served.get("/metrics").splitlines()
    return next(int(float(line.split()[1])) for line in lines if line.startswith("quotes_sockets "))


def test_an_iframe_gets_nothing_until_it_is_in_view(news: str, framed: Site, tab: OpenTab):
    other = tab(f"{framed.url}/embed/quotes/?symbols=BTC-USD").live()
    page = tab(f"{news}/{framed.port}")
    expect(page.page.frame_locator("iframe").locator("[data-symbol='BTC-USD']")).to_be_attached()
    wait_for_pulses(other)
    assert page.sockets == []
    assert "/live/" not in page.asked
    moves(show(page))
    assert page.complaints == []


def test_an_iframe_out_of_view_loses_its_socket_and_is_live_at_once_when_it_returns(
    news: str, framed: Site, tab: OpenTab
):
    page = tab(f"{news}/{framed.port}")
    moves(show(page))
    eventually(lambda: sockets(framed) == 1, "one socket is open")
    leave(page)
    page.until(lambda: any("quotes-waits" in each for each in page.frames), "the last message")
    eventually(lambda: sockets(framed) == 0, "no socket is open")
    page.frames.clear()
    opened, requested = len(page.sockets), len(page.asked)
    wait_for_pulses(tab(f"{framed.url}/embed/quotes/?symbols=BTC-USD").live())
    assert page.frames == []
    assert (len(page.sockets), len(page.asked)) == (opened, requested)
    moves(show(page))
    assert len(page.asked) == requested
    assert page.loads == 1
    assert page.complaints == []


def test_an_iframe_in_view_answers_and_keeps_what_it_shows(news: str, framed: Site, tab: OpenTab):
    page = tab(f"{news}/{framed.port}")
    moves(show(page))
    page.until(lambda: len(page.sent) > PULSES, "an answer to each mark")
    moves(page.page.frame_locator("iframe"))


def test_without_sockets_an_iframe_requests_quotes_only_while_it_is_in_view(
    news: str, framed: Site, tab: OpenTab
):
    other = tab(f"{framed.url}/embed/quotes/?symbols=BTC-USD").live()
    with proxy(framed.port) as wire:
        wire.refuses_sockets = True
        page = tab(f"{news}/{wire.port}")
        wait_for_pulses(other)
        assert "/live/" not in page.asked
        frame = show(page)
        page.until(lambda: page.asked.count("/live/") > 2, "some requests")
        expect(frame.locator(".pulse-late .pulse-ill")).to_be_visible()
        leave(page)
        wait_for_pulses(other)  # a request may have been on its way
        requested = page.asked.count("/live/")
        wait_for_pulses(other)
        assert page.asked.count("/live/") == requested
        wire.refuses_sockets = False
        moves(show(page))
