"""Tags under a policy that allows only what has the nonce of the request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import OFTEN, OpenTab
from tests.browser.test_pieces import alone, live
from tests.servers import Site, site

pytestmark = [pytest.mark.browser, pytest.mark.server]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, few_symbols: Path) -> Iterator[Site]:
    """Another site, with the policy of the documents."""
    folder = tmp_path_factory.mktemp("nonces")
    settings = {"DJANGO_SETTINGS_MODULE": "tests.browser.nonces", "PIECES_CACHE": str(folder)}
    with site(folder, few_symbols, **(OFTEN | settings)) as running:
        yield running


@pytest.mark.parametrize("path", ["/tags/", "/piece/"])
def test_tags_are_live_under_a_policy_with_nonces(strict: Site, tab: OpenTab, path: str):
    strict.get(path)  # from now on, the piece is in the cache
    page = live(tab(strict.url + path))
    page.moves("BTC-USD")
    assert page.violations() == []
    alone(page)
    table = page.page.locator(".quotes-table")
    assert table.evaluate("(table) => getComputedStyle(table).display") == "block", "it has style"


def test_a_piece_with_the_nonce_of_an_earlier_page_loads_nothing(strict: Site, tab: OpenTab):
    strict.get("/stale/")
    page = tab(strict.url + "/stale/")
    page.until(lambda: any("style" in each for each in page.violations()), "a violation")
    assert page.asked.count("/live/") == 0
