"""Chromium, and servers with markets that move."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.proxy import Proxy, proxy
from tests.browser.tab import Tab
from tests.servers import PATIENCE, Command, Site, manage, shared_site, site

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SEEDED = {"SIMULATED_SEED": "7"}
OFTEN = SEEDED | {"SIMULATED_RATE": "120"}  # for `few_symbols`
STAFF = {
    "DJANGO_SUPERUSER_USERNAME": "alice",
    "DJANGO_SUPERUSER_EMAIL": "alice@example.com",
    "DJANGO_SUPERUSER_PASSWORD": "a long password for Alice",
}


class Exchange:
    """A stub exchange in a process of its own, whose prices move only when a test moves them."""

    def __init__(self, name: str = "coinbase") -> None:
        self.process = Command("-m", f"tests.stubs.{name}", "--port", "0")
        self.host = f"127.0.0.1:{self.process.ready}"

    def tick(self, product: str, price: str) -> None:
        """Trade a product at a price."""
        self._ask(f"/_tick?product={product}&price={price}")

    def mode(self, to: str) -> None:
        """Switch a fault on."""
        self._ask(f"/_mode?to={to}")

    def close(self) -> None:
        """Be in maintenance: refuse requests and new sockets, then cut those that are open."""
        self.mode("maintenance")
        self._ask("/_cut")

    def heard(self) -> bool:
        """Return whether a feed listens to its prices."""
        return bool(self._ask("/_state")["subscriptions"])

    def _ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://{self.host}{path}", timeout=10) as response:
            return json.load(response)


OpenTab = Callable[..., Tab]
expect.set_options(timeout=PATIENCE * 1000)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Add to the report of a failure what the open pages show at that moment."""
    report = yield
    if report.failed:
        tabs = Tab.of_open_pages()
        report.sections.extend((f"page {each.page.url}", each.evidence()) for each in tabs)
    return report


# Not of the session: while Playwright runs, this thread has a running event loop, which the
# asynchronous tests of other packages could not bear.
@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    """Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def tab(browser: Browser) -> Iterator[OpenTab]:
    """Return a maker of tabs, each of a visitor of its own unless given a `context`.

    Such a visitor wants no flashes, which cost Chromium half of its time, unless a test asks for
    them with `reduced_motion="no-preference"`.
    """
    contexts = []

    def open_tab(url: str = "", *, context: Any = None, **options: Any) -> Tab:
        if context is None:
            context = browser.new_context(**{"reduced_motion": "reduce"} | options)
            contexts.append(context)
        opened = Tab(context)
        return opened.open(url) if url else opened

    yield open_tab
    for context in contexts:
        context.close()


@pytest.fixture(scope="package")
def market(common_folder: Path, database_template: Path) -> Iterator[Site]:
    """The site under daphne with a seeded simulated market, shared by tests that keep it."""
    folder = common_folder / "market"
    with shared_site(folder, database_template, **SEEDED, **STAFF) as running:
        yield running


@pytest.fixture
def wire(market: Site) -> Iterator[Proxy]:
    """A way to the market that can be disturbed."""
    with proxy(market.port) as passing:
        yield passing


@pytest.fixture(scope="package")
def exchange() -> Iterator[Exchange]:
    """A stub exchange, shared by all tests."""
    running = Exchange()
    yield running
    running.process.stop()


@pytest.fixture(scope="package")
def quiet(
    exchange: Exchange, tmp_path_factory: pytest.TempPathFactory, database_template: Path
) -> Iterator[Site]:
    """The site with prices of the stub exchange; Solana's are old after a second."""
    folder = tmp_path_factory.mktemp("quiet")
    listed = shutil.copy(database_template, folder / "listed.sqlite3")
    limit = "from quotes.models import Symbol as S; S.objects.filter(code='SOL-USD')"
    limit += ".update(stale_after=1)"
    manage("shell", "--verbosity", "0", "-c", limit, DATABASE_URL=f"sqlite:///{listed}")
    source = {
        "QUOTES_PROVIDERS": "coinbase",
        "COINBASE_REST_URL": f"http://{exchange.host}",
        "COINBASE_WS_URL": f"ws://{exchange.host}",
    }
    with site(folder, listed, "daphne", **source) as running:
        yield running
