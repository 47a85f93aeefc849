"""Charts: drawn once for all pages, moved by quotes, drawn again when a bar begins."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils.formats import date_format

from quotes.candles import archive
from quotes.candles.growing import DAY, Row
from quotes.live.live import Live
from quotes.models import Symbol
from quotes.quote import Quote
from quotes.quote.values import EPOCH
from tests.market import tell, without_candles
from tests.servers import until
from tests.sockets import Page, opened

NOON = datetime(2026, 3, 4, 17, 0, 30, tzinfo=UTC)  # a Wednesday; the stock market is open
CHART = re.compile(r'<div[^>]* id="(quotes-chart-[^"]*)"[^>]*class="quotes-charted">')
CHART_ID = re.compile(r'id="(quotes-chart-[^"]*)"')
LAST_BAR = re.compile(r'<svg hx-swap-oob="outerMorph" id="quotes-chart-[^"]*-now"')
DAILY = "/symbols/BTC-USD/?range=1y"


async def store_bars(code: str, step: int, until_: datetime, *closes: str) -> None:
    """Store candles with these closes; the last one is that of a moment."""
    last = (until_ - EPOCH) // timedelta(seconds=step)
    rows = [
        Row(
            code, step, (last - n) * step, 0, *[Decimal(close)] * 4, 1, Decimal(7), None, "c", False
        )
        for n, close in enumerate(reversed(closes))
    ]
    await sync_to_async(archive.save)(1, rows)


@pytest.fixture
async def market(live_parts: Live, make_quote: Callable[..., Quote], settings: Any) -> Live:
    """Bitcoin with daily bars of a week, and Apple without any."""
    settings.QUOTES = settings.QUOTES | {"PROVIDERS": ["coinbase"]}  # simulated ones have a past
    live_parts.store.clock = lambda: NOON
    for code, kind, exchange in (
        ("BTC-USD", "crypto", "COINBASE"),
        ("AAPL", "stock", "NASDAQ"),
        ("ETH-USD", "crypto", "COINBASE"),
    ):
        await Symbol.objects.acreate(
            code=code, name=code, kind=kind, exchange=exchange, currency="USD"
        )
    await store_bars("BTC-USD", DAY, NOON, *map(str, range(64_000, 64_700, 100)))
    await store_bars("ETH-USD", DAY, NOON, *map(str, range(3_000, 3_700, 100)))
    await live_parts.reload()
    await tell(live_parts, quote(make_quote, "64600"))
    return live_parts


def quote(make_quote: Callable[..., Quote], last: str, at: datetime = NOON) -> Quote:
    return make_quote("BTC-USD", last, provider="coinbase", source_time=at, received_at=at)


def table_of(page: str) -> str:
    """Return the table below a chart."""
    return page.partition("<table><thead>")[2].partition("</table>")[0]


async def message(page: Page, pattern: re.Pattern[str]) -> str:
    """Return the next message in which a pattern is found."""
    while True:
        text: str = await page.receive_from()
        if pattern.search(text):
            return text


async def read(client: Any, path: str, language: str = "en") -> str:
    response = await client.get(path, headers={"accept-language": language})
    assert response.status_code == 200
    text: str = response.content.decode()
    return text


async def test_a_page_shows_its_chart_and_its_socket_the_same(market: Live, async_client: Any):
    page = await read(async_client, DAILY)
    [chart] = re.findall(r'<div id="quotes-chart-.*?</figure>.*?</div>', page, re.DOTALL)
    assert chart.count("<rect x=") == 2 * 7  # a column for each day, and for narrow screens
    assert "Close 64,600.00" in chart
    _, first = await opened("/ws/quotes/?chart=1y/BTC-USD&lang=en")
    marked = chart.replace("<div ", '<div hx-swap-oob="outerMorph" ', 1)
    assert marked in first


async def test_a_split_appears_in_open_charts_that_begin_before_it(market: Live, async_client: Any):
    page, first = await opened("/ws/quotes/?chart=1y/BTC-USD&lang=en")
    assert "Split" not in first
    bitcoin, day = await Symbol.objects.aget(code="BTC-USD"), NOON.date()
    for before, new in ((0, 4), (2, 3), (400, 2), (-5, 5)):
        await bitcoin.splits.acreate(day=day - timedelta(days=before), new=new)
    await market.reload()
    frame = await message(page, re.compile("was split"))
    marks = re.findall(r'<text class="note event \w+" x="([\d.]+)%">([^<]*)<', frame)
    assert marks == [("57.14", "Split 3:1"), ("85.71", "Split 4:1")]
    assert f"BTC-USD was split 4:1 on {date_format(day, 'DATE_FORMAT')}." in frame
    assert frame.count("was split") == 2
    compared = await read(async_client, "/symbols/ETH-USD/?range=1y&with=BTC-USD")
    assert compared.count("BTC-USD was split") == 2
    await page.disconnect()


async def test_a_confirmed_split_adjusts_open_charts_and_files_until_it_is_switched_off(
    market: Live, async_client: Any
):
    async def closes() -> list[list[str]]:
        table = table_of(await read(async_client, DAILY))
        rows = (await read(async_client, "/symbols/BTC-USD/bars.csv?range=1y")).split()
        return [[row.split(",")[5] for row in rows[4:6]], re.findall(r"[\d,]+\.00", table)]

    page, _ = await opened("/ws/quotes/?chart=1y/BTC-USD&lang=en")
    before = await closes()
    assert before[0] == ["64300", "64400"]
    assert "64,300.00" in before[1]
    bitcoin, at = await Symbol.objects.aget(code="BTC-USD"), NOON - timedelta(days=2)
    split = await bitcoin.splits.acreate(day=at.date(), new=4, confirmed_at=at, price="64400")
    await market.reload()
    drawn = await message(page, re.compile("was split"))
    assert "16,075.00" in drawn
    after = await closes()
    assert after[0] == ["16075", "64400"]
    assert "16,075.00" in after[1]
    assert "64,300.00" not in after[1]
    split.adjusts = False
    await split.asave()
    await market.reload()
    assert "16,075.00" not in await message(page, re.compile("was split"))
    assert await closes() == before
    await page.disconnect()


async def test_a_quote_moves_the_last_bar_in_less_than_a_kilobyte(
    market: Live, make_quote: Callable[..., Quote], async_client: Any
):
    await read(async_client, DAILY)
    page, _ = await opened("/ws/quotes/?chart=1y/BTC-USD&lang=en")
    await tell(market, quote(make_quote, "64601.5"))
    frame = await message(page, LAST_BAR)
    assert "64,601.50" in frame
    assert "High 64,601.50" in frame
    assert not CHART.search(frame)
    assert len(frame.encode()) < 1_300
    await page.disconnect()


async def test_a_page_with_nothing_but_a_chart_gets_one_message_for_a_quote(
    market: Live, make_quote: Callable[..., Quote], async_client: Any
):
    await read(async_client, DAILY)
    page, _ = await opened("/ws/quotes/?chart=1y/BTC-USD&lang=en")
    await tell(market, quote(make_quote, "64601.5"))
    frames = [await page.receive_from()]
    while not LAST_BAR.search(frames[-1]):
        frames.append(await page.receive_from())
    timed = [frame for frame in frames if 'class="pulse-moment"' in frame]
    assert [frame for frame in timed if "quotes-pulse" not in frame] == frames[-1:]
    await page.disconnect()


@pytest.mark.parametrize(
    ("language", "title", "point"), [("en", "1 year", ","), ("de", "1 Jahr", ".")]
)
async def test_a_chart_has_texts_in_the_language_of_its_page_also_when_it_moves(
    market: Live, make_quote: Callable[..., Quote], language: str, title: str, point: str
):
    page, _ = await opened(f"/ws/quotes/?chart=1y/BTC-USD&lang={language}")
    assert f'aria-label="BTC-USD, {title}"' in await message(page, CHART)
    await tell(market, quote(make_quote, "64601.5"))
    assert f'aria-label="64{point}601' in await message(page, LAST_BAR)
    await page.disconnect()


async def test_a_page_that_opens_after_a_move_shows_it(
    market: Live, make_quote: Callable[..., Quote], async_client: Any
):
    await read(async_client, DAILY)
    first, _ = await opened("/ws/quotes/?chart=1y/BTC-USD&lang=en")
    await tell(market, quote(make_quote, "64601.5"))
    moved = LAST_BAR.sub("<svg", await message(first, LAST_BAR))
    assert "64,601.50" in moved
    page = await read(async_client, DAILY)
    second, opening = await opened("/ws/quotes/?chart=1y/BTC-USD&lang=en")
    for shown in (page, opening):
        [tag] = re.findall(r'<svg class="tag".*?</svg>', shown)
        assert "64,601.50" in tag
        assert "64,600.00</text></svg></g>" not in shown
    await first.disconnect()
    await second.disconnect()


async def test_a_price_that_returns_before_the_next_drawing_is_shown(
    market: Live, make_quote: Callable[..., Quote], async_client: Any
):
    await read(async_client, DAILY)
    page, _ = await opened("/ws/quotes/?chart=1y/BTC-USD&lang=en")
    await tell(market, quote(make_quote, "64601.5"))
    await message(page, LAST_BAR)
    later = NOON + timedelta(minutes=2)  # when it is drawn again
    market.store.clock = lambda: later
    await tell(market, quote(make_quote, "64600", later))
    assert "64,600.00</text></svg></g>" in await message(page, re.compile('class="tag"'))
    await page.disconnect()


async def test_charts_move_while_the_database_is_away(
    market: Live, make_quote: Callable[..., Quote], async_client: Any
):
    await read(async_client, DAILY)
    page, _ = await opened("/ws/quotes/?chart=1y/BTC-USD&lang=en")
    async with without_candles():
        for minutes in (2, 4, 65):  # the chart is drawn again, and its bars are to be read again
            later = NOON + timedelta(minutes=minutes)
            market.store.clock = lambda later=later: later
            await tell(market, quote(make_quote, str(64_600 + minutes), later))
            await message(page, re.compile(f"{64_600 + minutes:,}.00</text></svg></g>"))
        assert f"{64_665:,}.00</text></svg></g>" in await read(async_client, DAILY)
    await page.disconnect()


async def test_more_charts_than_are_kept_stay_current(
    market: Live, make_quote: Callable[..., Quote], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("quotes.live.charts.MAX_DRAWN", 2)
    charts = ",".join(f"{each}/BTC-USD" for each in ("1m", "6m", "1y", "5y"))
    page, _ = await opened(f"/ws/quotes/?chart={charts}&lang=en")
    await until(lambda: len(market.charts.drawn) == 4)
    drawn = {key: id(each) for key, each in market.charts.drawn.items()}
    await tell(market, quote(make_quote, "64601.5"))
    moved = await message(page, LAST_BAR)
    assert len(LAST_BAR.findall(moved)) == 4
    assert drawn == {key: id(each) for key, each in market.charts.drawn.items()}
    await page.disconnect()


async def test_the_bars_of_an_open_chart_stay_although_there_is_no_room(
    market: Live, make_quote: Callable[..., Quote], async_client: Any, monkeypatch: Any
):
    monkeypatch.setattr("quotes.live.bars.MAX_KEPT", 0)
    await read(async_client, DAILY)
    page, _ = await opened("/ws/quotes/?chart=1y/BTC-USD&lang=en")
    await until(lambda: market.charts.drawings.bars.shown)
    await read(async_client, "/symbols/ETH-USD/?range=1y")
    await read(async_client, "/symbols/AAPL/?range=1y")
    assert {code for code, _ in market.charts.drawings.bars.series} == {"BTC-USD", "AAPL"}
    await tell(market, quote(make_quote, "64601.5"))
    assert "64,601.50" in await message(page, LAST_BAR)
    await page.disconnect()


async def test_charts_that_no_page_shows_are_forgotten(market: Live, async_client: Any):
    await read(async_client, DAILY)
    page, _ = await opened("/ws/quotes/?chart=1m/BTC-USD&lang=en")
    await until(lambda: {place.form.range for place, _ in market.charts.drawn} == {"1m", "1y"})
    later = NOON + timedelta(minutes=6)
    market.store.clock = lambda: later
    await until(lambda: {place.form.range for place, _ in market.charts.drawn} == {"1m"})
    await page.disconnect()


async def test_a_symbol_with_another_start_price_has_another_past(
    live_parts: Live, async_client: Any
):
    made = await Symbol.objects.acreate(
        code="ABC", name="ABC", kind="stock", exchange="NASDAQ", currency="USD", start=100
    )
    await live_parts.reload()
    await read(async_client, "/symbols/ABC/?range=1y")
    page, _ = await opened("/ws/quotes/?chart=1y/ABC&lang=en")
    [before] = live_parts.charts.drawn.values()
    made.start = 5000
    await made.asave()
    await live_parts.reload()
    await until(lambda: [*live_parts.charts.drawn.values()] != [before])
    [after] = live_parts.charts.drawn.values()
    assert before.chart
    assert after.chart
    ratio = after.chart.frame.bars[0].close / before.chart.frame.bars[0].close
    assert 40 < ratio < 60
    await page.disconnect()


async def test_a_symbol_that_is_deleted_and_made_again_has_the_same_chart(
    market: Live, async_client: Any
):
    await read(async_client, DAILY)
    _, first = await opened("/ws/quotes/?chart=1y/BTC-USD&lang=en")
    found = await Symbol.objects.aget(code="BTC-USD")
    await found.adelete()
    await market.reload()
    found.pk, found.active = None, False  # so that no chart of it is drawn before it has bars
    await found.asave()
    await store_bars("BTC-USD", DAY, NOON, *map(str, range(64_000, 64_700, 100)))
    found.active = True
    await found.asave()
    await market.reload()
    page = await read(async_client, DAILY)
    assert CHART_ID.findall(page) == CHART_ID.findall(first) != []


async def test_prices_without_a_tick_size_have_labels(market: Live, async_client: Any):
    await store_bars("AAPL", DAY, NOON, *[f"0.0000{n}" for n in range(1231, 1239)])
    page = await read(async_client, "/symbols/AAPL/?range=1m")
    assert len(re.findall('<text class="value"', page)) > 2


async def test_while_many_pages_want_charts_others_get_theirs_by_socket(
    market: Live, async_client: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("quotes.live.charts.MAX_NEW", 0)
    page = await read(async_client, DAILY)
    assert "The chart appears here as soon as its prices are read." in page
    socket, _ = await opened("/ws/quotes/?chart=1y/BTC-USD&lang=en")
    assert "<figure" in await message(socket, CHART)
    await socket.disconnect()


async def test_a_page_may_have_ten_charts(market: Live, async_client: Any):
    charts = [
        f"{each}/{code}" for each in ("1m", "6m", "1y", "5y") for code in market.listed.symbols
    ]
    answer = await async_client.get("/live/?chart=" + ",".join(charts[:10]))
    assert answer.status_code == 200
    answer = await async_client.get("/live/?chart=" + ",".join(charts[:11]))
    assert answer.status_code == 400
    assert answer.content == b"11 charts requested, at most 10 are allowed"


async def test_a_chart_comes_as_rarely_as_its_page_wants(
    market: Live, make_quote: Callable[..., Quote], async_client: Any
):
    await read(async_client, DAILY)
    often, _ = await opened("/ws/quotes/?chart=1y/BTC-USD&lang=en")
    rarely, _ = await opened("/ws/quotes/?chart=1y/BTC-USD&rate=5&lang=en")
    for number in range(601, 607):
        await tell(market, quote(make_quote, f"64{number}"))
        await message(often, re.compile(f">64,{number}.00</text></svg></g>"))
    came = 0
    while not await rarely.receive_nothing(timeout=0.01):
        came += bool(LAST_BAR.search(await rarely.receive_from()))
    assert came <= 2  # in six turns
    await often.disconnect()
    await rarely.disconnect()


async def test_a_quote_of_another_day_begins_a_bar(
    market: Live, make_quote: Callable[..., Quote], async_client: Any
):
    await read(async_client, DAILY)
    page, first = await opened("/ws/quotes/?chart=1y/BTC-USD&lang=en")
    morning = NOON + timedelta(days=1)
    market.store.clock = lambda: morning
    await tell(market, quote(make_quote, "64700", morning))
    frame = await message(page, CHART)
    assert frame.count("<rect x=") == first.count("<rect x=") + 2
    await page.disconnect()


async def test_a_second_page_costs_no_query(market: Live, async_client: Any):
    await read(async_client, DAILY)
    asked = len(market.charts.drawings.bars.series)
    drawn = {key: id(each) for key, each in market.charts.drawn.items()}
    await read(async_client, DAILY)
    assert len(market.charts.drawings.bars.series) == asked
    assert drawn == {key: id(each) for key, each in market.charts.drawn.items()}
    assert market.fragments.templates.renders["quotes/_chart_table.html"] == 1


async def test_the_table_has_the_same_bars_as_the_chart_above_it(
    market: Live, make_quote: Callable[..., Quote], async_client: Any
):
    assert "4 Mar 2026" in table_of(await read(async_client, DAILY))
    morning = NOON + timedelta(days=1)
    market.store.clock = lambda: morning
    await tell(market, quote(make_quote, "64700", morning))
    later = await read(async_client, DAILY)
    assert '<th scope="row">5 Mar 2026</th><td>64,700.00<td>' in table_of(later)
    assert "4. M&#228;r 2026" in table_of(await read(async_client, DAILY, "de"))


async def test_a_symbol_without_bars_has_words_in_place_of_a_chart(market: Live, async_client: Any):
    page = await read(async_client, "/symbols/AAPL/?range=5d")
    assert "There are no prices to draw yet." in page
    assert "<figure" not in page


async def test_a_range_that_is_longer_than_its_prices_states_since_when_they_are_there(
    market: Live, async_client: Any
):
    page = await read(async_client, "/symbols/BTC-USD/?range=5y")
    assert "Prices are stored since Feb. 26, 2026." in page
    assert "Prices are stored since" not in await read(async_client, "/symbols/BTC-USD/?range=all")


async def test_that_day_is_the_one_of_the_first_bar_in_any_zone(
    market: Live, async_client: Any, settings: Any
):
    settings.TIME_ZONE = "America/New_York"
    page = await read(async_client, "/symbols/BTC-USD/?range=5y")
    assert "Prices are stored since Feb. 26, 2026." in page


async def test_a_month_of_a_stock_is_drawn_from_its_hours(market: Live, async_client: Any):
    openings = [
        datetime(2026, month, day, 14, 30, tzinfo=UTC)
        for month, days in (
            (2, (4, 5, 6, *range(9, 14), *range(17, 21), *range(23, 28))),
            (3, (2, 3)),
        )
        for day in days
    ]
    for opening in openings:
        await store_bars("AAPL", 3600, opening + timedelta(hours=6), *["250"] * 7)
        await store_bars("AAPL", DAY, opening, "250")
    await read(async_client, "/symbols/AAPL/?range=1m")
    [drawn] = [each for (place, _), each in market.charts.drawn.items() if place.code == "AAPL"]
    assert drawn.step == 3600
    assert "Prices are stored since" not in drawn.html


async def test_before_the_opening_a_session_is_compared_with_the_close_before_it(
    market: Live, make_quote: Callable[..., Quote], async_client: Any
):
    morning = datetime(2026, 3, 4, 13, 0, tzinfo=UTC)  # 08:00 in New York
    market.store.clock = lambda: morning
    session = datetime(2026, 3, 3, 14, 30, tzinfo=UTC)
    await store_bars("AAPL", DAY, session, "100", "109")
    await store_bars("AAPL", 300, session + timedelta(hours=6), *["109"] * 60)
    early = make_quote(
        "AAPL", "110", provider="alpaca", source_time=morning, received_at=morning,
        reference=Decimal(109), reference_kind="prev_close", session="pre",
    )  # fmt: skip
    await tell(market, early)
    page = await read(async_client, "/symbols/AAPL/?range=1d")
    assert "109.00, up 9.00% from the previous close of 100.00" in page


async def test_without_the_database_a_page_opens_and_its_chart_comes_later(
    market: Live, async_client: Any
):
    async with without_candles():
        page = await read(async_client, DAILY)
        assert "The chart appears here as soon as its prices are read." in page
        socket, _ = await opened("/ws/quotes/?chart=1y/BTC-USD&lang=en")
    assert "<figure" in await message(socket, CHART)
    await socket.disconnect()


async def test_symbols_are_compared_in_percent(market: Live, async_client: Any):
    page = await read(async_client, "/symbols/BTC-USD/?range=1m&with=eth-usd")
    assert re.search(r"BTC-USD \+0.94%.*ETH-USD \+20.00%", page, re.DOTALL)
    assert "1m/BTC-USD,/ETH-USD" in page
    _, first = await opened("/ws/quotes/?chart=1m/BTC-USD,/ETH-USD&lang=en")
    assert "ETH-USD +20.00%" in first


async def test_a_chart_of_an_unknown_symbol_is_named_and_ends_nothing(market: Live):
    page, first = await opened("/ws/quotes/?chart=1m/NOPE&price=BTC-USD&lang=en")
    assert "Unknown symbols: NOPE" in first
    await page.disconnect()
