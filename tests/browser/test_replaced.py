"""Templates of a site in place of ours, with the least that must be in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import OFTEN, OpenTab
from tests.servers import Site, site

pytestmark = [pytest.mark.browser, pytest.mark.server]


@pytest.fixture(scope="module")
def replaced(few_symbols: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with old templates of its own."""
    folder = tmp_path_factory.mktemp("replaced")
    settings = "tests.browser.replaced"
    with site(folder, few_symbols, DJANGO_SETTINGS_MODULE=settings, **OFTEN) as running:
        yield running


@pytest.mark.parametrize(
    "path", ["/", "/boards/crypto/", "/symbols/BTC-USD/", "/embed/quotes/?symbols=BTC-USD"]
)
def test_prices_in_templates_without_new_fields_move(replaced: Site, tab: OpenTab, path: str):
    page = tab(replaced.url + path).live()
    page.moves("BTC-USD")
    page.moves("BTC-USD")
    assert page.complaints == []
    assert page.loads == 1
    assert page.page.get_by_role("link", name="My site").count() == ("embed" not in path)
