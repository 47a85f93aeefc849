"""The same in Chromium, Firefox and WebKitGTK: run it with `make browsers`."""

from __future__ import annotations

from collections.abc import Callable

from tests.browsers.windows import Window
from tests.servers import Site, eventually

BOARD, SYMBOL = "/boards/crypto/", "/symbols/BTC-USD/"
PRICE = "document.querySelector(\"[data-symbol='BTC-USD'] data\").value"
SEEN = "document.querySelector('{}')?.checkVisibility({{visibilityProperty: true}})"
LIVE, NOT_LIVE = SEEN.format(".pulse-live .pulse-well"), SEEN.format(".pulse-ill")
COLUMNS = ".quotes-chart .columns.fine [tabindex]"  # of a wide window
COLUMN = f"document.querySelectorAll({COLUMNS!r})[{{}}]"
LINES = "[...{}.querySelectorAll('text')].map((line) => line.textContent)"
READ = """[...document.querySelectorAll(".quotes-chart [tabindex] text")]
  .filter((text) => text.checkVisibility({visibilityProperty: true}))
  .filter((text) => text.getClientRects().length)
  .map((line) => line.textContent)"""


def mark(window: Window) -> None:
    """Mark the document, so that one that was loaded again is noticed."""
    window.value("window.marked = true")


def moves(window: Window) -> None:
    """Wait until the page is live, and the price moves."""
    window.until(LIVE)
    price = window.value(PRICE)
    window.until(f"{PRICE} !== {price!r}")


def reads(window: Window, lines: str, act: Callable[[], None] = lambda: None) -> None:
    """Wait until the chart shows the values of a bar, and nothing else.

    On a busy machine, a driver may hold a finger down for so long that it is no tap: tap again.
    """
    same = f"JSON.stringify({READ}) === JSON.stringify({lines})"
    eventually(lambda: act() or window.value(same), same)


def test_prices_move_without_a_reload(window: Window, market: Site):
    for path in (BOARD, SYMBOL):
        window.open(market.url + path)
        mark(window)
        moves(window)
        assert window.value("window.marked")


def test_a_bar_is_read_by_hover_focus_and_tap(window: Window, market: Site):
    window.open(f"{market.url}{SYMBOL}?range=1y")
    last = LINES.format("document.querySelector('.quotes-chart .now .fine[tabindex]')")
    reads(window, last)
    window.hover(COLUMNS, 10)
    reads(window, LINES.format(COLUMN.format(10)))
    window.hover("h1")
    reads(window, last)
    window.value(COLUMN.format(20) + ".focus()")
    reads(window, LINES.format(COLUMN.format(20)))
    reads(window, LINES.format(COLUMN.format(30)), lambda: window.tap(COLUMNS, 30))


def test_without_its_server_a_page_is_not_live_and_heals(window: Window, market: Site):
    window.open(market.url + SYMBOL)
    mark(window)
    moves(window)
    market.kill()
    try:
        window.until(f"{NOT_LIVE} && !{LIVE}")
    finally:
        market.start()
    moves(window)
    assert window.value(f"window.marked && !{NOT_LIVE}")


def test_after_back_and_forward_a_page_is_live(window: Window, market: Site):
    window.open(market.url + BOARD)
    moves(window)
    window.click("[data-symbol='BTC-USD'] a")
    window.until(f"location.pathname === '{SYMBOL}'")
    moves(window)
    for by, path in ((-1, BOARD), (1, SYMBOL), (-1, BOARD)):
        window.go(by)
        window.until(f"location.pathname === '{path}'")
        moves(window)
