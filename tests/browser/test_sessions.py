"""What rows say of their markets has room in its column, in both languages and on a phone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import Exchange, OpenTab
from tests.servers import Site, manage, site

pytestmark = [pytest.mark.browser, pytest.mark.server]

# Three days old and of real exchanges: at any hour of the week some are open and some closed.
QUOTES = """
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from quotes import sessions
from quotes.models import LastQuote, Symbol
from quotes.quote import Quote
now = datetime.now(UTC)
at = now - timedelta(days=3)
for place, symbol in enumerate(Symbol.objects.exclude(kind="crypto")):
    more = ({}, {"session": "halted"}, {"delay": 900, "received_at": now})[place % 3]
    session = sessions.at(symbol.exchange, symbol.kind, now)
    if place % 3 == 0 and session and session.name in ("pre", "post", "closed"):
        line = sessions.timeline(sessions.VENUE_OF[symbol.exchange], symbol.kind != "index")
        more = {"received_at": now, "source_time": line.trading_before(now)[1]}
    quote = Quote(symbol=symbol.code, provider="yahoo", currency=symbol.currency,
        last=symbol.start or Decimal(100), reference=(symbol.start or 100) * Decimal("1.2345"),
        **{"received_at": at} | more)
    LastQuote.objects.create(symbol=symbol, epoch=1, batch=1, wire=quote.to_wire())
"""
TIGHT = """[...document.querySelectorAll('td:is(.c-state, .c-time, .c-percent, .c-last), .called')]
    .filter((cell) => cell.scrollWidth > cell.clientWidth
        || cell.offsetHeight > cell.parentElement.offsetHeight)
    .map((cell) => `${cell.closest('tr').dataset.symbol} ${cell.className} ${cell.innerText}`)"""
HEIGHTS = """[...new Set([...document.querySelectorAll('tr.quote')]
    .map((row) => row.getBoundingClientRect().height))]"""

# places that stand elsewhere once no price is called anything
MOVED = """(() => {
    const boxes = () => [...document.querySelectorAll('tr.quote, tr.quote > *, data')]
        .map((place) => JSON.stringify(place.getBoundingClientRect()));
    const before = boxes();
    document.querySelectorAll('.called').forEach((place) => place.remove());
    return boxes().filter((box, place) => box !== before[place]);
})()"""
CLOSED = """[...document.querySelectorAll('.called')].map((place) => place.innerText)"""
DAY_AND_TIME = r"\w{2,3}\.?\s\d\d:\d\d"


@pytest.fixture(scope="module")
def exchanges(
    exchange: Exchange, tmp_path_factory: pytest.TempPathFactory, database_template: Path
) -> Iterator[Site]:
    """The site in Berlin with prices of stocks that nobody moves."""
    folder = tmp_path_factory.mktemp("exchanges")
    listed = shutil.copy(database_template, folder / "listed.sqlite3")
    manage("shell", "--verbosity", "0", "-c", QUOTES, DATABASE_URL=f"sqlite:///{listed}")
    settings = {
        "DJANGO_TIME_ZONE": "Europe/Berlin",
        "QUOTES_PROVIDERS": "coinbase",
        "COINBASE_REST_URL": f"http://{exchange.host}",
        "COINBASE_WS_URL": f"ws://{exchange.host}",
    }
    with site(folder, listed, "daphne", **settings) as running:
        yield running


@pytest.mark.parametrize("width", [390, 980, 1090, 1280])
@pytest.mark.parametrize(
    ("language", "opens", "closed"),
    [("en", "Opens ", "At close"), ("de", "Öffnet ", "Schlusskurs")],
)
def test_a_state_fits_its_column_and_every_row_is_as_high(
    exchanges: Site, tab: OpenTab, width: int, language: str, opens: str, closed: str
):
    page = tab(viewport={"width": width, "height": 900}, locale=language)
    for path in ("/boards/stock-market/?kind=index", "/boards/stock-market/", "/"):
        page.open(exchanges.url + path)
        assert page.page.evaluate(TIGHT) == []
        assert len(page.page.evaluate(HEIGHTS)) == 1
        if "index" in path:
            assert opens in page.page.locator("tbody").inner_text()
            said = page.page.evaluate(CLOSED)
            timed = f"{closed} {DAY_AND_TIME}" if width == 390 else closed  # or in its column
            assert said
            assert all(re.fullmatch(timed, text) for text in said)
        assert page.page.evaluate(MOVED) == []
    page.open(f"{exchanges.url}/embed/quotes/?symbols=^GSPC,^AXJO,^N225,AAPL&lang={language}")
    assert page.page.evaluate(TIGHT) == []
    assert len(page.page.evaluate(HEIGHTS)) == 1
    assert page.page.evaluate(MOVED) == []
