"""Sparklines in a browser: they stay while prices move, and are drawn again about once a minute."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import OpenTab
from tests.servers import Site, manage, site

pytestmark = [pytest.mark.browser, pytest.mark.server]

CLOSES = """
from datetime import datetime, UTC
from decimal import Decimal
from quotes.candles import archive
from quotes.candles.growing import Row
now = int(datetime.now(UTC).timestamp()) // 300
archive.save({epoch}, [
    Row("BTC-USD", 300, (now - n) * 300, 0, *[Decimal({low} + n % 7 * 100)] * 4, 1_000_000,
        None, None, "simulated", False)
    for n in range(1, 200)
])
"""
SHAPE = "row => row.querySelector('.quotes-spark path:not(.base)')?.getAttribute('d') ?? ''"
BOX = """row => {
    const [path, cell] = ['.quotes-spark path:not(.base)', '.c-spark']
        .map(each => row.querySelector(each).getBoundingClientRect());
    return [path.width > 40, path.height > 10, path.left >= cell.left, path.right <= cell.right,
        path.top >= cell.top, path.bottom <= cell.bottom];
}"""


@pytest.fixture
def charted(tmp_path: Path, database_template: Path) -> Iterator[Site]:
    """The site with a simulated market, and candles of Bitcoin."""
    listed = shutil.copy(database_template, tmp_path / "listed.sqlite3")
    address = f"sqlite:///{listed}"
    script = CLOSES.format(epoch=1, low=60_000)
    manage("shell", "--verbosity", "0", "-c", script, DATABASE_URL=address)
    with site(tmp_path, listed, "daphne") as running:
        yield running


def test_a_sparkline_stays_while_prices_move_and_is_drawn_again_later(charted: Site, tab: OpenTab):
    page = tab(charted.url + "/boards/crypto/").live()
    page.until(lambda: page.row("BTC-USD").evaluate(SHAPE), "the sparkline is there")
    before = page.row("BTC-USD").evaluate(SHAPE)
    assert all(page.row("BTC-USD").evaluate(BOX))
    for _ in range(2):
        page.moves("BTC-USD")
    assert page.row("BTC-USD").evaluate(SHAPE)
    page.mark("BTC-USD")
    later = CLOSES.format(epoch=2**40, low=61_000).replace("1_000_000", "2_000_000")
    charted.manage("shell", "--verbosity", "0", "-c", later)
    page.until(lambda: page.row("BTC-USD").evaluate(SHAPE) != before, "it is drawn again")
    assert all(page.row("BTC-USD").evaluate(BOX))
    assert page.same("BTC-USD")
    assert page.loads == 1
