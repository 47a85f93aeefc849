"""An operator's day, from the first symbol to the last undo, seen on an open board."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import SEEDED, STAFF, Exchange, OpenTab
from tests.browser.day import Day, sources
from tests.servers import Site, site

pytestmark = [pytest.mark.browser, pytest.mark.server]


@pytest.fixture
def office(
    exchange: Exchange, tmp_path_factory: pytest.TempPathFactory, few_symbols: Path
) -> Iterator[Site]:
    """A site with few symbols, some of them simulated."""
    exchange.mode("ok")
    folder = tmp_path_factory.mktemp("office")
    with site(folder, few_symbols, "daphne", **SEEDED, **STAFF, **sources(exchange)) as running:
        running.manage("createsuperuser", "--noinput")
        yield running
    exchange.tick("TINY-USD", "0.0000123400")  # as other tests expect it


def test_an_operators_day_is_seen_on_an_open_board(office: Site, exchange: Exchange, tab: OpenTab):
    day = Day(office.url, exchange, "crypto", tab)
    day.work()
    assert day.board.loads == day.found.loads == 1  # all came through the sockets
    assert day.board.complaints == day.found.complaints == []
