"""Below a prefix, a board connects, moves and heals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import OFTEN, OpenTab
from tests.browser.proxy import proxy
from tests.servers import Site, site

pytestmark = [pytest.mark.browser, pytest.mark.server]


@pytest.fixture
def below_market(tmp_path: Path, few_symbols: Path) -> Iterator[Site]:
    """A site under daphne with a fast pulse, below /market."""
    env = OFTEN | {
        "DJANGO_SETTINGS_MODULE": "tests.browser.brisk",
        "DJANGO_SCRIPT_NAME": "/market",
    }
    with site(tmp_path, few_symbols, **env) as running:
        yield running


def test_a_board_below_a_prefix_connects_moves_and_heals(below_market: Site, tab: OpenTab):
    with proxy(below_market.port) as wire:
        page = tab(f"{wire.url}/market/boards/crypto/").live()
        page.mark("BTC-USD")
        page.moves("BTC-USD")
        wire.silence()
        page.until(lambda: len(page.sockets) == 2, "a new socket")
        page.live().moves("BTC-USD")
        assert page.same("BTC-USD")
        assert page.loads == 1
        assert "/market/live/" in page.asked
        assert all(path.startswith("/market/") for path in page.asked)
        assert all("/market/ws/boards/crypto/" in address for address in page.sockets)
        page.page.get_by_role("link", name="BTC-USD").click()
        page.live().moves("BTC-USD")
        assert page.page.url.startswith(f"{wire.url}/market/symbols/BTC-USD/")


def test_tags_below_a_prefix_are_live_and_lead_to_pages_below_it(
    tmp_path: Path, few_symbols: Path, tab: OpenTab
):
    env = OFTEN | {
        "DJANGO_SETTINGS_MODULE": "tests.browser.elsewhere",
        "DJANGO_SCRIPT_NAME": "/market",
    }
    with site(tmp_path, few_symbols, **env) as running:
        page = tab(f"{running.url}/market/article/").live()
        page.moves("BTC-USD")
        assert "/market/live/" in page.asked
        assert [each.partition("?")[0] for each in page.sockets] == [
            f"{running.ws}/market/ws/quotes/"
        ]
        links = page.page.locator(".quotes a").evaluate_all("all => all.map((e) => e.pathname)")
        assert links
        assert all(link.startswith("/market/symbols/") for link in links)
