"""Prices are live in sites with other addresses: by language, and with static files elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OFTEN, OpenTab
from tests.servers import Command, Site, eventually, free_port, listens, manage

pytestmark = [pytest.mark.browser, pytest.mark.server]


class MovedSite(Site):
    """A site whose addresses begin with a language."""

    def answers(self) -> bool:
        """Return whether it answers."""
        return bool(self.get("/en/market/healthz"))


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory, few_symbols: Path) -> Iterator[Site]:
    """A site with `i18n_patterns`, whose static files another server has."""
    folder, port = tmp_path_factory.mktemp("moved"), free_port()
    env = OFTEN | {
        "DJANGO_SETTINGS_MODULE": "tests.browser.moved",
        "TEST_STATIC_HOST": f"http://127.0.0.1:{port}",
        "TEST_STATIC_ROOT": str(folder / "other" / "static"),
    }
    manage("collectstatic", "--no-input", "--verbosity", "0", **env)
    options = ["--bind", "127.0.0.1", "--directory", str(folder / "other"), str(port)]
    elsewhere = Command("-u", "-m", "http.server", *options)
    shutil.copy(few_symbols, folder / "site.sqlite3")
    running = MovedSite(folder, **env)
    try:
        eventually(lambda: listens(port), "the static files are served")
        yield running.start()
    finally:
        running.stop()
        elsewhere.stop()


def test_tags_follow_the_language_and_the_host_of_static_files(moved: Site, tab: OpenTab):
    page = tab(f"{moved.url}/de/tags/").live()
    page.mark("BTC-USD")
    page.moves("BTC-USD")
    page.moves("ETH-USD")
    assert page.same("BTC-USD")
    assert "," in page.page.title()
    assert "," in page.field("BTC-USD", "change-percent")
    links = page.page.locator("a").evaluate_all("all => all.map((each) => each.href)")
    address = f"{moved.url}/de/market/symbols"
    codes = ("BTC-USD", "ETH-USD", "BTC-USD")
    assert links == [f"{address}/{code}/" for code in codes]
    ours = {path for path in page.asked if path.startswith("/de/market")}
    assert {path for path in ours if "/scripts/" not in path} == {"/de/market/live/"}
    assert [address.partition("?")[0] for address in page.sockets] == [f"{moved.ws}/ws/quotes/"]
    styles = page.page.locator("link[rel=stylesheet]")
    loaded = styles.evaluate_all("all => all.map((each) => each.href)")
    assert loaded
    assert all(each.startswith(moved.env["TEST_STATIC_HOST"]) for each in loaded)
    assert page.complaints == []


@pytest.mark.parametrize(
    "path",
    [
        "/de/market/boards/crypto/",
        "/en/market/symbols/BTC-USD/",
        "/de/market/embed/quotes/?symbols=BTC-USD",
    ],
)
def test_our_pages_are_live_there(moved: Site, tab: OpenTab, path: str):
    page = tab(moved.url + path).live()
    page.moves("BTC-USD")
    expect(page.page.locator("html")).to_have_attribute("lang", path[1:3])
    links = page.page.locator("a[href*=symbols]").evaluate_all("all => all.map((e) => e.pathname)")
    assert all(link.startswith(path[:11]) for link in links)
    assert page.violations() == page.complaints == []
