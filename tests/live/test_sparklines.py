"""Sparklines: drawn from the stored candles, once for all pages, and not sent with ticks."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from quotes.candles import archive
from quotes.candles.growing import Row
from quotes.fragments import Spark
from quotes.live.live import Live
from quotes.live.sparklines import DRAW_EVERY, STEP
from quotes.models import Board, BoardSymbol, Symbol
from quotes.quote import Quote
from quotes.quote.values import EPOCH
from quotes.watch import Edition
from tests.market import tell, without_candles
from tests.servers import until
from tests.sockets import opened

SUNDAY = datetime(2026, 3, 1, 12, 2, tzinfo=UTC)  # the stock market was open on Friday
FRIDAY = datetime(2026, 2, 27, 14, 30, tzinfo=UTC), datetime(2026, 2, 27, 21, 0, tzinfo=UTC)
PATH = "/ws/boards/all/"
SOCKETS = (PATH, "/ws/quotes/?symbols=BTC-USD,AAPL")
PAGES = (
    "/boards/all/",
    "/",
    "/search/?q=usd&page=1",
    "/symbols/AAPL/",
    "/embed/quotes/?symbols=BTC-USD",
)


def svg_of(html: str, code: str) -> str:
    """Return the sparkline of a symbol in a page or a message, or ""."""
    places = rf'<tr [^>]*data-symbol="{code}".*?</tr>', rf"<div [^>]*'{code}'\]>\.c-spark.*?</div>"
    found = re.findall("|".join(places), html, re.DOTALL)
    svgs = re.findall('<svg class="quotes-spark".*?</svg>', "".join(found))
    assert len(svgs) <= 1
    return svgs[0] if svgs else ""


def line_of(svg: str) -> str:
    """Return the path of a sparkline, or ""."""
    found = re.findall(r'<path d="(M[^"]+)"', svg)
    return found[-1] if found else ""


async def store_closes(code: str, until_: datetime, *closes: str) -> None:
    """Store candles of five minutes with these closes, the last of which ends at a moment."""
    first = (until_ - EPOCH) // timedelta(seconds=STEP) - len(closes)
    rows = [
        Row(code, STEP, (first + n) * STEP, 0, *[Decimal(close)] * 4, 1, None, None, "here", False)
        for n, close in enumerate(closes)
    ]
    await sync_to_async(archive.save)(1, rows)


@pytest.fixture
async def market(live_parts: Live, make_quote: Callable[..., Quote]) -> Live:
    """A board with a cryptocurrency and a stock, on a Sunday."""
    live_parts.store.clock = lambda: SUNDAY
    board = await Board.objects.acreate(slug="all", title="All")
    for place, (code, kind, exchange) in enumerate(
        [("BTC-USD", "crypto", "COINBASE"), ("AAPL", "stock", "NASDAQ")]
    ):
        symbol = await Symbol.objects.acreate(
            code=code, name=code, kind=kind, exchange=exchange, currency="USD"
        )
        await BoardSymbol.objects.acreate(board=board, symbol=symbol, position=place)
    await live_parts.reload()
    await tell(live_parts, make_quote("BTC-USD", "64000", reference=Decimal(63900)))
    return live_parts


def later(parts: Live, by: timedelta = DRAW_EVERY) -> None:
    """Let all sparklines be due."""
    now = parts.store.clock() + by
    parts.store.clock = lambda: now


async def drawn_all(parts: Live) -> None:
    """Wait until all sparklines that are due are drawn."""
    now = parts.store.clock()
    await until(lambda: parts.sparklines.drawn_at == now)


async def drawn(parts: Live, code: str) -> Spark:
    """Return the sparkline of a symbol as soon as it has a line."""
    await until(lambda: parts.fragments.sparks.get(code, Spark()).path)
    return parts.fragments.sparks[code]


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_shows_the_last_day_with_its_reference_lowest_and_highest_price(
    market: Live, async_client: Any, path: str
):
    await store_closes("BTC-USD", SUNDAY, "63900", "63800.5", "64010", "64000")
    later(market)
    await drawn(market, "BTC-USD")
    svg = svg_of((await async_client.get(path)).content.decode(), "BTC-USD")
    assert line_of(svg)
    assert 'aria-label="Last session: low 63,800.50, high 64,010.00"' in svg
    assert svg.index('<path d="M0 ') < svg.index(line_of(svg))  # the reference is 63,900
    german = await async_client.get(path, headers={"accept-language": "de"})
    assert "Tief 63.800,50, Hoch 64.010,00" in svg_of(german.content.decode(), "BTC-USD")


async def test_before_the_opening_a_session_is_not_compared_with_its_own_close(
    market: Live, make_quote: Callable[..., Quote]
):
    await store_closes("AAPL", FRIDAY[1], *["100"] * 50, "109")
    closing = {"reference": Decimal(100), "reference_kind": "prev_close"}
    await tell(market, make_quote("AAPL", "109", source_time=FRIDAY[1], **closing))
    later(market)
    assert (await drawn(market, "AAPL")).reference is not None
    monday = SUNDAY.replace(day=2, hour=13)  # 08:00 in New York
    market.store.clock = lambda: monday
    closing["reference"] = Decimal(109)
    await tell(market, make_quote("AAPL", "110", source_time=monday, received_at=monday, **closing))
    await drawn_all(market)
    assert (await drawn(market, "AAPL")).reference is None


@pytest.mark.parametrize("socket", SOCKETS)
async def test_a_tick_comes_without_the_sparkline_and_keeps_the_one_on_the_page(
    market: Live, make_quote: Callable[..., Quote], socket: str
):
    await store_closes("BTC-USD", SUNDAY, "63900", "63800.5", "64010", "64000")
    later(market)
    await drawn(market, "BTC-USD")
    page, _ = await opened(socket)
    await tell(market, make_quote("BTC-USD", "64001.23"))
    frame = ""
    while "64001.23" not in frame:
        frame = await page.receive_from()
    assert '<td class="c-spark" hx-morph-skip></td>' in frame
    assert "quotes-spark" not in frame
    await page.disconnect()


@pytest.mark.parametrize("socket", SOCKETS)
async def test_an_open_page_is_sent_the_sparklines_that_changed_and_no_others(
    market: Live, socket: str
):
    await store_closes("BTC-USD", SUNDAY, "63900", "63800.5", "64010", "64000")
    await store_closes("AAPL", FRIDAY[1], "270", "271", "272")
    later(market)
    before = (await drawn(market, "BTC-USD")).path
    page, _ = await opened(socket)
    await store_closes("BTC-USD", SUNDAY + timedelta(minutes=5), "64020")
    later(market, timedelta(minutes=6))
    frame = ""
    while "quotes-spark" not in frame:
        frame = await page.receive_from()
    assert line_of(svg_of(frame, "BTC-USD")) not in ("", before)
    assert not svg_of(frame, "AAPL")
    assert "data-field" not in frame  # no row
    await page.disconnect()


async def test_pages_with_rows_and_entries_share_one_drawing(market: Live):
    await store_closes("BTC-USD", SUNDAY, "63900", "63800.5", "64010", "64000")
    later(market)
    await drawn_all(market)
    messages, counts = [], []
    for socket in SOCKETS:
        page, first = await opened(socket)
        messages.append(svg_of(first, "BTC-USD"))
        counts.append(market.fragments.templates.renders["quotes/_spark.html"])
        await page.disconnect()
    assert line_of(messages[0])
    assert messages[0] == messages[1]
    assert counts == [2, 2]  # symbols, not pages


async def test_a_symbol_on_no_board_is_drawn_while_a_page_shows_it(market: Live):
    await Symbol.objects.acreate(code="ETH-USD", name="Ether", kind="crypto", currency="USD")
    await market.reload()
    await store_closes("ETH-USD", SUNDAY, "3200", "3210", "3190")
    later(market)
    await drawn_all(market)
    assert "ETH-USD" not in market.fragments.sparks
    page, frame = await opened("/ws/quotes/?symbols=ETH-USD")
    while not line_of(svg_of(frame, "ETH-USD")):
        frame = await page.receive_from()
    await page.disconnect()
    later(market)
    await until(lambda: "ETH-USD" not in market.fragments.sparks)


async def test_a_page_that_was_away_gets_the_newest_sparklines_with_its_first_message(
    market: Live, async_client: Any
):
    page = (await async_client.get("/boards/all/")).content.decode()
    assert line_of(svg_of(page, "BTC-USD")) == ""
    await store_closes("BTC-USD", SUNDAY, "63900", "63800.5", "64010", "64000")
    later(market)
    path = (await drawn(market, "BTC-USD")).path
    for socket in SOCKETS:
        page, first = await opened(socket)
        assert line_of(svg_of(first, "BTC-USD")) == path
        await page.disconnect()


@pytest.mark.parametrize("socket", [PATH + "?symbols=BTC-USD", "/ws/quotes/?symbols=BTC-USD"])
async def test_a_symbol_that_is_active_again_comes_with_its_sparkline(market: Live, socket: str):
    await store_closes("BTC-USD", SUNDAY, "63900", "63800.5", "64010", "64000")
    later(market)
    path = (await drawn(market, "BTC-USD")).path
    page, _ = await opened(socket)
    for active in (False, True):
        await Symbol.objects.filter(code="BTC-USD").aupdate(active=active)
        await market.reload()
        frame = await page.receive_from()
        assert (line_of(svg_of(frame, "BTC-USD")) == path) == active
    await page.disconnect()


async def test_a_closed_market_shows_its_last_session(
    market: Live, make_quote: Callable[..., Quote]
):
    opens, closes = FRIDAY
    await tell(market, make_quote("AAPL", "272", source_time=closes))
    await store_closes("AAPL", opens - timedelta(minutes=5), "999", "999", "999")  # before it
    await store_closes("AAPL", closes, *["270", "275", "272"] * 26)  # all of it
    later(market)
    spark = await drawn(market, "AAPL")
    assert (spark.low, spark.high) == (270, 275)
    assert spark.path.startswith("M0 ") or spark.path.startswith("M1 ")


@pytest.mark.parametrize("closes", [[], ["64000"], ["64000", "64010"]])
async def test_fewer_than_three_prices_are_no_line(
    market: Live, async_client: Any, closes: list[str]
):
    await store_closes("BTC-USD", SUNDAY, *closes)
    later(market)
    await until(lambda: "BTC-USD" in market.fragments.sparks)
    svg = svg_of((await async_client.get("/boards/all/")).content.decode(), "BTC-USD")
    assert line_of(svg) == ""
    assert 'aria-hidden="true"' in svg


async def test_a_tiny_price_is_text_for_screen_readers(market: Live):
    await store_closes("BTC-USD", SUNDAY, "0.00001423", "0.00001424", "0.00001425")
    later(market)
    await drawn(market, "BTC-USD")
    html = market.fragments.spark("BTC-USD", Edition("en"))
    assert 'low 0.00001423, high 0.00001425"' in html


async def test_without_the_database_pages_keep_their_sparklines(market: Live, async_client: Any):
    await store_closes("BTC-USD", SUNDAY, "63900", "63800.5", "64010", "64000")
    later(market)
    before = await drawn(market, "BTC-USD")
    async with without_candles():
        asked = market.sparklines.drawn_at
        later(market)
        await until(lambda: market.sparklines.drawn_at > asked)
        page = (await async_client.get("/boards/all/")).content.decode()
        assert line_of(svg_of(page, "BTC-USD")) == before.path
