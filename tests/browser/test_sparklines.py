"""Sparklines in a browser: they stay while prices move, are drawn again, and move nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator

from quotes.live.sparklines import DRAW_EVERY
from tests.browser.conftest import OpenTab
from tests.servers import PATIENCE, Site, manage, site

pytestmark = [pytest.mark.browser, pytest.mark.server]

CLOSES = """
from datetime import datetime, UTC
from decimal import Decimal
from quotes.candles import archive
from quotes.candles.growing import Row
now = int(datetime.now(UTC).timestamp()) // 300
archive.save({epoch}, [
    Row(code, 300, (now - n) * 300, 0, *[Decimal({low} + n % 7 * 100)] * 4, 1_000_000,
        None, None, "simulated", False)
    for n in range(1, 200) for code in ("BTC-USD", "ALONE")
])
"""
# on no board, so that it is drawn only while a page shows it
ALONE = """
from quotes.models import Symbol
Symbol.objects.create(code="ALONE", name="On no board", kind="crypto", currency="USD")
"""
LINE = ".quotes-spark path:last-child"
SHAPES = f"rows => rows.map((row) => row.querySelector('{LINE}')?.getAttribute('d') ?? '')"
# the entries of an embed below the rows of a board, twice
BELOW = """async () => {
    const answer = await fetch('/embed/quotes/?symbols=BTC-USD');
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const table = page.querySelector('table');
    document.querySelector('main').append(table, table.cloneNode(true));
}"""
# the places of cells in their rows, from left to right: (left, right, top, bottom)
CELLS = """names => [...document.querySelectorAll('.quote[data-way]')].map((row) => {
    const from = row.getBoundingClientRect();
    return names.map((name) => row.querySelector(name).getBoundingClientRect()).map((box) =>
        [box.left - from.left, box.right - from.left, box.top - from.top, box.bottom - from.top]);
})"""
STROKE = """(row, [way, condition]) => {
    row.dataset.way = way;
    row.dataset.condition = condition;
    return [...row.querySelectorAll('.quotes-spark path')].map((p) => getComputedStyle(p).stroke);
}"""
GAIN, LOSS, MUTED = "rgb(8, 120, 58)", "rgb(192, 31, 46)", "rgb(89, 97, 114)"
BOX = """row => {
    const [path, cell] = ['.quotes-spark path:last-child', '.c-spark']
        .map(each => row.querySelector(each).getBoundingClientRect());
    return [path.width > 40, path.height > 10, path.left >= cell.left, path.right <= cell.right,
        path.top >= cell.top, path.bottom <= cell.bottom];
}"""


@pytest.fixture
def charted(tmp_path: Path, few_symbols: Path) -> Iterator[Site]:
    """The site with a simulated market, and candles of Bitcoin."""
    listed = shutil.copy(few_symbols, tmp_path / "listed.sqlite3")
    address = f"sqlite:///{listed}"
    script = ALONE + CLOSES.format(epoch=1, low=60_000)
    manage("shell", "--verbosity", "0", "-c", script, DATABASE_URL=address)
    with site(tmp_path, listed, "daphne") as running:
        yield running


def shape(places: Locator) -> str:
    """Return the path that all sparklines of a symbol have, or ""."""
    shapes = set(places.evaluate_all(SHAPES))
    return str(shapes.pop()) if len(shapes) == 1 else ""


def test_all_sparklines_of_a_symbol_stay_while_prices_move_and_are_drawn_again_later(
    charted: Site, tab: OpenTab
):
    page = tab(charted.url + "/boards/crypto/").live()
    page.page.evaluate(BELOW)
    places = page.row("BTC-USD")
    page.until(lambda: shape(places), "they are there")
    before = shape(places)
    page.mark("BTC-USD")
    for _ in range(2):
        page.moves("BTC-USD")
    assert shape(places) == before
    later = CLOSES.format(epoch=2**40, low=61_000).replace("1_000_000", "2_000_000")
    charted.manage("shell", "--verbosity", "0", "-c", later)
    due = DRAW_EVERY.total_seconds() + PATIENCE
    page.until(lambda: shape(places) not in ("", before), "they are drawn again", due)
    assert places.count() == 3
    for place in places.all()[:2]:
        assert all(place.evaluate(BOX))
    assert page.same("BTC-USD")
    assert page.loads == 1


def test_a_sparkline_that_comes_later_moves_nothing(charted: Site, tab: OpenTab):
    view = {"width": 600, "height": 600}
    path = charted.url + "/embed/quotes/?symbols=ALONE,BTC-USD"
    names = [".c-symbol", ".c-spark", ".c-last"]
    without = tab(viewport=view, java_script_enabled=False).open(path)
    assert without.row("ALONE").count() == 1
    assert shape(without.row("ALONE")) == ""
    page = tab(viewport=view).open(path)
    page.until(lambda: shape(page.row("ALONE")), "it comes by the socket")
    assert page.page.evaluate(CELLS, names) == without.page.evaluate(CELLS, names)
    assert page.shifts() == []


def test_a_sparkline_stands_between_name_and_price_where_both_have_room(market: Site, tab: OpenTab):
    page = tab(market.url + "/embed/quotes/?symbols=BTC-USD,AAPL,^GSPC,SHIB-USD,NOPE")
    widths = {320: 0, 375: 0, 376: 56, 390: 56, 559: 56, 560: 80, 1280: 80}
    for width, expected in widths.items():
        page.page.set_viewport_size({"width": width, "height": 600})
        rows = page.page.evaluate(CELLS, [".c-symbol", ".quotes-spark", ".c-last", ".c-percent"])
        assert len(rows) == 4
        for name, spark, last, percent in rows:
            assert spark[1] - spark[0] == expected, width
            if expected:
                assert name[1] - name[0] > 128, width
                assert name[1] + 8 < spark[0] < spark[1] < min(last[0], percent[0]) - 8, width
                assert abs((spark[2] + spark[3]) - (last[2] + percent[3])) <= 2, width
                assert spark == rows[0][1], width


def test_a_sparkline_has_the_colour_of_its_change_and_none_if_the_price_is_old(
    market: Site, tab: OpenTab
):
    for path in ("/boards/crypto/", "/embed/quotes/?symbols=BTC-USD"):
        page = tab(market.url + path)
        page.until(lambda page=page: shape(page.row("BTC-USD")), "the sparkline is there")
        page.page.evaluate("document.getElementById('quotes-socket').remove()")
        for way, condition, line in [
            ("up", "live", GAIN),
            ("down", "closed", LOSS),
            ("flat", "live", MUTED),
            ("up", "stale", MUTED),
        ]:
            strokes = page.row("BTC-USD").evaluate(STROKE, [way, condition])
            assert strokes == [MUTED, line], path  # the reference, and the prices
