"""Under a WSGI server, pages have no sockets: they are refreshed again and again, and state it."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OFTEN, OpenTab
from tests.browser.test_stopped import grey
from tests.servers import Runfeed, Site, eventually

pytestmark = [pytest.mark.browser, pytest.mark.server]

PLACES = {
    "/boards/crypto/": 1,
    "/symbols/BTC-USD/": 1,
    "/embed/quotes/?symbols=BTC-USD": 1,
    "/article/": 4,
}


class WsgiSite(Site):
    """The site under the WSGI server of Django."""

    def command(self) -> list[str]:
        """Return the command line of the server."""
        options = ["--noasgi", "--noreload", f"127.0.0.1:{self.port}"]
        return [sys.executable, "manage.py", "runserver", *options]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What a test started, to end in reverse order."""
    with ExitStack() as running:
        yield running


@pytest.fixture
def served(tmp_path: Path, few_symbols: Path, stack: ExitStack) -> WsgiSite:
    """A site under WSGI whose pages are refreshed every two seconds."""
    shutil.copy(few_symbols, tmp_path / "site.sqlite3")
    env = OFTEN | {"DJANGO_SETTINGS_MODULE": "tests.browser.polled"}
    served = WsgiSite(tmp_path, "WSGI", **env)
    stack.callback(served.stop)
    return served.start()


@pytest.fixture
def feed(served: WsgiSite, stack: ExitStack) -> Runfeed:
    """The feed beside it."""
    feed = Runfeed(served, "feed").ready()
    stack.callback(feed.stop)
    eventually(lambda: served.get("/readyz") == "ok", "the feed leads")
    return feed


@pytest.mark.parametrize("path", PLACES)
def test_a_page_is_refreshed_by_requests_and_states_it(
    served: WsgiSite, feed: Runfeed, tab: OpenTab, path: str
):
    page = tab(served.url + path)
    good = page.page.locator(".quotes-pulse .pulse-well")
    shown = [each for each in (good.nth(n) for n in range(PLACES[path])) if each.is_visible()]
    for each in shown:
        expect(each).to_have_text("Refreshed every 2 s")
    page.moves("BTC-USD")
    requested = page.asked.count("/live/")
    # longer than a page that hears nothing keeps its colours
    page.until(lambda: page.asked.count("/live/") >= requested + 3, "three more refreshes")
    for each in shown:
        expect(each).to_be_visible()
    expect(page.page.locator(".pulse-ill:visible")).to_have_count(0)
    assert not grey(page)
    assert page.sockets == []
    assert page.complaints == []


def test_a_refreshed_page_keeps_its_language_and_its_elements(
    served: WsgiSite, feed: Runfeed, tab: OpenTab
):
    page = tab(f"{served.url}/article/", locale="de-DE")
    expect(page.page.locator(".pulse-well:visible").first).to_have_text("Alle 2 s aktualisiert")
    page.mark("BTC-USD")
    page.moves("BTC-USD")
    assert page.same("BTC-USD")
    assert "," in page.field("BTC-USD", "change-percent")


def test_a_page_shows_when_its_feed_or_its_server_has_ended(
    served: WsgiSite, feed: Runfeed, tab: OpenTab
):
    pages = [tab(served.url + path) for path in PLACES]
    for page in pages:
        page.moves("BTC-USD")
    feed.signal(signal.SIGKILL)
    for page, places in zip(pages, PLACES.values(), strict=True):
        stopped = page.page.locator(".pulse-ill:visible", has_text="Prices stopped at")
        expect(stopped).to_have_count(places)
        page.until(lambda page=page: grey(page), "prices are grey")
    again = Runfeed(served, "again").ready()
    for page in pages:
        expect(page.page.locator(".pulse-ill:visible")).to_have_count(0)
        page.moves("BTC-USD")
    served.kill()
    for page, places in zip(pages, PLACES.values(), strict=True):
        expect(page.page.locator(".pulse-ill:visible")).to_have_count(places)
    again.stop()
