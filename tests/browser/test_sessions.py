"""The texts about markets fit into their column, in both languages and on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.browser.conftest import OpenTab
from tests.browser.states import unreachable
from tests.servers import Site

pytestmark = [pytest.mark.browser, pytest.mark.server]

# Three days old and of real exchanges: at any hour of the week some are open and some closed.
QUOTES = """
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from quotes import sessions
from quotes.models import LastQuote, ProviderSymbol, Symbol
from quotes.quote import Quote
from quotes.quote.wire import to_wire
now = datetime.now(UTC)
at = now - timedelta(days=3)
late = {"delay": 900, "received_at": now}
others = {"provider": "yahoo"} | late
kinds = ("rolling_24h", "utc_day", "prev_close")
MORE = ({}, {"session": "halted"}, late, others, others | {"session": "halted"},
    {"provider": "yahoo"}, {"session": "regular", "delay": 900, "provider": "yahoo"})
for place, symbol in enumerate(Symbol.objects.order_by("kind", "pk")):
    more = MORE[place % len(MORE)]
    session = sessions.at(symbol.exchange, symbol.kind, now)
    if place % 2 == 0 and session and session.name in ("pre", "post", "closed"):
        line = sessions.timeline(sessions.VENUE_OF[symbol.exchange], symbol.kind != "index")
        more = more | {"received_at": now, "source_time": line.trading_before(now)[1]}
    crypto = symbol.kind == "crypto"
    ProviderSymbol.objects.update_or_create(
        symbol=symbol, provider="finnhub", defaults={"code": symbol.code})
    quote = Quote(symbol=symbol.code, currency=symbol.currency,
        last=symbol.start or Decimal(100), reference=(symbol.start or 100) * Decimal("1.2345"),
        reference_kind=kinds[place % 3] if crypto else "prev_close",
        **{"received_at": at, "provider": "finnhub"} | more)
    LastQuote.objects.create(symbol=symbol, epoch=1, batch=1, wire=to_wire(quote))
"""
WIDTHS = (320, 390, 500, 720, 980, 1090, 1280)
TIGHT = """[...document.querySelectorAll(
    `td:is(.c-state, .c-time, .c-percent, .c-last), .quotes-called, .quote .quotes-since,
    .c-state small`)]
    .filter((cell) => cell.offsetParent && (cell.scrollWidth > cell.clientWidth + 1
        && getComputedStyle(cell).display !== 'inline'
        || cell.offsetHeight > cell.closest('tr').offsetHeight))
    .map((cell) => `${cell.closest('tr').dataset.symbol} ${cell.className} ${cell.innerText}`)"""
HEIGHTS = """[...new Set([...document.querySelectorAll('tr.quote')]
    .map((row) => row.getBoundingClientRect().height))]"""

# places that move when no price has a label, and no row has a remark
MOVED = """(() => {
    const boxes = () => [...document.querySelectorAll('tr.quote, tr.quote > *, data')]
        .map((place) => JSON.stringify(place.getBoundingClientRect()));
    const before = boxes();
    const gone = [...document.querySelectorAll('.c-state [aria-hidden] > *, td .quotes-since')]
        .map((place) => [place, document.createComment('')]);
    gone.forEach(([place, mark]) => place.replaceWith(mark));
    const moved = boxes().filter((box, place) => box !== before[place]);
    gone.reverse().forEach(([place, mark]) => mark.replaceWith(place));
    return moved;
})()"""
SAID = """[...document.querySelectorAll('.c-state [data-field=state]')]
    .map((place) => place.innerText)"""
BASES = """[...document.querySelectorAll('td :is(.quotes-since, small)')]
    .filter((place) => place.offsetParent).map((place) => place.innerText)"""
CLOSED = """[...document.querySelectorAll('.quotes-called')].filter((place) => place.offsetParent)
    .map((place) => place.innerText.trim())"""
DAY_AND_TIME = r"\w{2,3}\.?\s\d\d:\d\d"


@pytest.fixture(scope="module")
def exchanges(tmp_path_factory: pytest.TempPathFactory, database_template: Path) -> Iterator[Site]:
    """The site in Berlin with fixed prices, because its sources can't be reached."""
    folder = tmp_path_factory.mktemp("exchanges")
    with unreachable(folder, database_template, QUOTES) as running:
        yield running


@pytest.mark.parametrize(
    ("language", "opens", "closed", "halted", "late", "since"),
    [
        ("en", "Opens ", "At close", "Halted", "15 min", "vs prev. close"),
        ("de", "Öffnet ", "Schlusskurs", "Ausgesetzt", "15 Min.", "zum Vortag"),
    ],
)
def test_a_state_fits_its_column_and_every_row_is_as_high(
    exchanges: Site,
    tab: OpenTab,
    language: str,
    opens: str,
    closed: str,
    halted: str,
    late: str,
    since: str,
):
    page = tab(locale=language)
    embed = f"/embed/quotes/?symbols=^GSPC,^AXJO,^N225,AAPL&lang={language}"
    indices, stocks, crypto = (
        "/boards/stock-market/?kind=index",
        "/boards/stock-market/",
        "/boards/crypto/",
    )
    for path, width in product((indices, stocks, crypto, "/", embed), WIDTHS):
        if width == WIDTHS[0]:
            page.open(exchanges.url + path)
        page.page.set_viewport_size({"width": width, "height": 900})
        place = f"{path} at {width} px"
        assert page.page.evaluate(TIGHT) == [], place
        assert len(page.page.evaluate(HEIGHTS)) == 1, place
        assert page.page.evaluate(MOVED) == [], place
        output = {tuple(text.split("\n")) for text in page.page.evaluate(SAID)}
        calls = page.page.evaluate(CLOSED)
        columns = width >= 704
        if path == indices:
            assert opens in page.page.locator("tbody").inner_text(), place
            timed = f"{closed} {DAY_AND_TIME}" if width < 1200 else closed  # or in its column
            assert calls, place
            assert [text for text in calls if not re.fullmatch(timed, text)] == [], place
        if path in (indices, stocks, crypto) and columns:
            assert (halted, f"{late} · Yahoo") in output, place
        if path in (indices, stocks, crypto) and not columns:
            assert {(halted,)} <= output, place  # the gravest alone
        if path == crypto:
            assert since in page.page.evaluate(BASES), place
