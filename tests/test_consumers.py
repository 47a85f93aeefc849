"""Sockets, driven through the site's whole ASGI application."""

from __future__ import annotations

import asyncio
import html
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import transaction

from quotes import conf, live
from quotes.addresses import Address
from quotes.boards import BoardQuery
from quotes.feed.batch import Batch
from quotes.live import journal, layer
from quotes.models import Board, BoardSymbol, Change, Symbol
from tests.market import tell
from tests.servers import PATIENCE, until
from tests.sockets import Page, opened, socket

LISTED = {  # board: symbols in its order
    "crypto": ("BTC-USD", "ETH-USD", "SOL-USD"),
    "stock-market": ("AAPL", "MSFT"),
}
TOO_MUCH = 4408


def symbols(frame: str) -> list[str]:
    """Return the symbols that a message shows, in order, without those that it removes."""
    shown = re.sub(r"<tr[^>]*delete:[^>]*></tr>", "", frame)
    return re.findall(r'data-symbol="([^"]*)"(?![^>]*data-condition="unknown")', shown)


def lasts(frame: str) -> dict[str, str]:
    """The prices that a message shows, as machines read them."""
    return dict(re.findall(r'data-symbol="([^"]*)".*?<data [^>]*value="([^"]*)"', frame, re.DOTALL))


async def update(page: Page) -> str:
    """Return the next message with a quote: pulses and notes may come at any time."""
    while True:
        frame = await page.receive_from()
        if 'data-symbol="' in frame or "quotes-rows" in frame:
            return frame


async def publish(parts: Any, *quotes: Any) -> None:
    """Send a batch through the layer, and wait until the pages have received it."""
    await tell(parts, *quotes)
    await until(lambda: not parts.hub.changed)


def list_symbols() -> None:
    with transaction.atomic():
        for place, (slug, codes) in enumerate(LISTED.items()):
            fill(slug, *codes, place=place)


def fill(slug: str, *codes: str, place: int = 9) -> None:
    """Create a board with new symbols."""
    board = Board.objects.create(slug=slug, title=slug.title(), position=place)
    for position, code in enumerate(codes, start=1):
        kind = "crypto" if slug == "crypto" else "stock"
        symbol = Symbol.objects.create(code=code, name=code, kind=kind, currency="USD")
        BoardSymbol.objects.create(board=board, symbol=symbol, position=position)


async def list_boards(parts: Any) -> None:
    """Create two boards, and wait until this process and its pages have read them."""
    await sync_to_async(list_symbols)()
    await until(lambda: parts.listed.boards.keys() >= LISTED.keys())
    await publish(parts)  # an empty batch, which arrives after the notice of the boards


@pytest.fixture
async def listed(live_parts: Any) -> Any:
    """The live parts with two boards: BTC, ETH and SOL; AAPL and MSFT."""
    await list_boards(live_parts)
    return live_parts


@pytest.fixture
def now_quote(listed: Any, make_quote: Any) -> Callable[..., Any]:
    """Return a maker of quotes that are fresh, of a market that is open."""

    def make(symbol: str, last: str, **more: Any) -> Any:
        return make_quote(symbol, last, received_at=listed.store.clock(), **more)

    return make


def board_address(parts: Any, slug: str, **query: str) -> str:
    """The socket's address on the page of a board."""
    chosen = Address(board=slug, query=BoardQuery(**query), language="en")
    return parts.rows.choose(chosen)[0].socket


async def change(work: Callable[[], Any]) -> Any:
    """Change symbols or boards in one transaction, as a form of the admin does."""

    def in_a_transaction() -> Any:
        with transaction.atomic():
            return work()

    return await sync_to_async(in_a_transaction)()


# The first message of a socket


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/ws/cryptoupdates/", ["BTC-USD", "ETH-USD", "SOL-USD"]),
        ("/ws/stock-market/", ["AAPL", "MSFT"]),
        ("/ws/boards/crypto/", ["BTC-USD", "ETH-USD", "SOL-USD"]),
        ("/ws/quotes/?symbols=MSFT,BTC-USD", ["MSFT", "BTC-USD"]),
    ],
)
async def test_a_socket_begins_with_everything_its_page_shows(
    listed: Any, now_quote: Any, path: str, shown: list[str]
):
    await publish(listed, *(now_quote(code, "64000.01") for code in shown))
    page, first = await opened(path)
    assert lasts(first) == dict.fromkeys(shown, "64000.01")
    assert symbols(first) == shown
    assert 'class="quotes-pulse pulse-live' in first
    assert "data-flash" not in first
    await page.disconnect()


async def test_a_symbol_without_a_price_yet_is_in_the_first_message_too(listed: Any):
    page, first = await opened("/ws/quotes/?symbols=AAPL")
    assert symbols(first) == ["AAPL"]
    assert "No price" in first
    await page.disconnect()


async def test_a_price_that_changed_before_the_socket_opened_is_in_its_first_message(
    listed: Any, now_quote: Any, async_client: Any
):
    await publish(listed, now_quote("BTC-USD", "64000"))
    paper = (await async_client.get("/boards/crypto/")).content.decode()
    await publish(listed, now_quote("BTC-USD", "64001"))
    address = re.search(r'hx-ws:connect="([^"]*)"', paper)
    assert address
    page, first = await opened(html.unescape(address[1]))
    assert 'value="64000"' in paper
    assert lasts(first)["BTC-USD"] == "64001"
    await page.disconnect()


async def test_a_row_on_the_wire_is_the_row_of_the_page(
    listed: Any, now_quote: Any, async_client: Any
):
    await publish(listed, now_quote("BTC-USD", "64000"), now_quote("ETH-USD", "3200"))
    page, first = await opened("/ws/cryptoupdates/")
    paper = (await async_client.get("/boards/crypto/")).content.decode()
    on_page = re.findall(r'<tr id="quote-.*?</tr>', paper, re.DOTALL)
    on_wire = re.findall(r"<tr .*?</tr>", first, re.DOTALL)
    assert len(on_page) == 3
    drawn = [re.sub('<svg class="quotes-spark".*?</svg>', "", row) for row in on_page]
    assert [row.replace(' hx-swap-oob="outerMorph"', "") for row in on_wire] == drawn
    await page.disconnect()


async def test_the_pages_of_codes_of_any_script_and_length_are_live(
    listed: Any, now_quote: Any, async_client: Any
):
    codes = [f"{'証' * 58}{number}" for number in range(10, 60)]
    await change(lambda: fill("kanji", *codes))
    await listed.reload()
    await publish(listed, *(now_quote(code, "1") for code in codes))
    for path, rows in (("/boards/kanji/?sort=-symbol", codes[::-1]), ("/", codes[:6])):
        paper = (await async_client.get(path)).content.decode()
        address = re.search(r'hx-ws:connect="([^"]*)"', paper)
        assert address
        page, first = await opened(html.unescape(address[1]))
        assert [html.unescape(code) for code in symbols(first)][-len(rows) :] == rows
        await page.disconnect()


async def test_the_front_page_is_live_with_more_boards_than_one_socket_can_watch(
    listed: Any, async_client: Any
):
    def boards() -> None:
        for board in range(10, 50):
            fill(f"b{board}", *(f"S{board}.{n}" for n in range(6)))

    await change(boards)
    await listed.reload()
    paper = (await async_client.get("/")).content.decode()
    address = re.search(r'hx-ws:connect="([^"]*)"', paper)
    assert address
    page, first = await opened(html.unescape(address[1]))
    assert set(symbols(first)) == set(symbols(paper))
    # of 200: the first boards have 5 symbols, and the 6 of another board after 32 are too many
    assert len(symbols(first)) == 5 + 32 * 6
    assert 'href="/boards/b49/"' in paper
    await page.disconnect()


async def test_symbols_narrows_a_board_and_keeps_the_given_order(listed: Any):
    page, first = await opened("/ws/boards/crypto/?symbols=sol-usd,BTC-USD")
    assert symbols(first) == ["SOL-USD", "BTC-USD"]
    await page.disconnect()


async def test_a_board_shows_no_symbols_of_other_boards(listed: Any):
    page, first = await opened("/ws/boards/crypto/?symbols=AAPL,BTC-USD")
    assert symbols(first) == ["BTC-USD"]
    await page.disconnect()


async def test_a_symbol_that_is_switched_off_is_as_unknown_as_one_that_never_was(listed: Any):
    await change(lambda: Symbol.objects.filter(code="AAPL").update(active=False))
    await listed.reload()
    off, first = await opened("/ws/quotes/?symbols=AAPL")
    never, other = await opened("/ws/quotes/?symbols=NONE")
    nameless = re.sub(r'datetime="[^"]*">[^<]*<', "<", first.replace("AAPL", "NONE"))
    assert nameless == re.sub(r'datetime="[^"]*">[^<]*<', "<", other)
    await off.disconnect()
    await never.disconnect()


@pytest.mark.parametrize(
    ("language", "number"),
    [("de", "64.000,01"), ("en", "64,000.01"), ("klingon", "64,000.01")],
)
async def test_each_socket_has_numbers_in_the_language_of_its_page(
    listed: Any, now_quote: Any, language: str, number: str
):
    await publish(listed, now_quote("BTC-USD", "64000.01"))
    page, first = await opened(f"/ws/quotes/?symbols=BTC-USD&lang={language}")
    assert f">{number}<" in first
    await publish(listed, now_quote("BTC-USD", "64000.02"))
    assert f">{number[:-1]}2<" in await update(page)
    await page.disconnect()


# Refused sockets


async def test_more_than_200_symbols_are_refused_before_the_socket_opens(listed: Any):
    many = ",".join(f"S{number}" for number in range(200))
    assert await socket(f"/ws/quotes/?symbols={many},ONE-MORE").connect() == (False, 1000)
    assert await socket(f"/ws/quotes/?symbols={many}&price=ONE-MORE").connect() == (False, 1000)
    page, first = await opened(f"/ws/quotes/?symbols={many}")
    assert "S199" in first
    await page.disconnect()


async def test_5000_symbols_are_refused_as_quickly_as_one_too_many(listed: Any):
    many = ",".join(f"S{number}" for number in range(5000))
    assert not (await socket(f"/ws/boards/crypto/?symbols={many}").connect())[0]


async def test_an_unknown_board_is_refused_before_the_socket_opens(listed: Any):
    assert not (await socket("/ws/boards/bonds/").connect())[0]


async def test_a_board_named_in_the_query_does_not_change_where_an_address_leads(listed: Any):
    page, first = await opened("/ws/cryptoupdates/?board=stock-market")
    assert symbols(first) == ["BTC-USD", "ETH-USD", "SOL-USD"]
    await page.disconnect()


@pytest.mark.parametrize(
    "path", ["/ws/", "/ws/nowhere/", "/ws/boards/", "/ws/boards/a/b/", "/", "/ws/boards/%00/"]
)
async def test_an_address_that_leads_nowhere_is_refused_without_a_traceback(
    listed: Any, path: str, caplog: pytest.LogCaptureFixture
):
    assert not (await socket(path).connect())[0]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_unknown_symbols_are_named_on_the_page_and_cost_the_others_nothing(listed: Any):
    page, first = await opened("/ws/quotes/?symbols=AAPL,NONE,<IMG%20SRC>")
    assert symbols(first) == ["AAPL"]
    assert "Unknown symbols: NONE, &lt;IMG SRC&gt;" in first
    assert "<IMG" not in first
    await page.disconnect()


async def test_hostile_names_stay_text(listed: Any, now_quote: Any):
    name = """<img src=x onerror=alert(1)>"'&"""
    await change(lambda: Symbol.objects.get(code="AAPL").save())
    await change(lambda: Symbol.objects.filter(code="AAPL").update(name=name, exchange=name))
    await listed.reload()
    quote = now_quote("AAPL", "101", session=name, currency=name)  # the layer refuses these
    await listed.take(listed.seen[0], Batch(listed.seen[1] + 1, [quote], {}), known=True)
    page, first = await opened("/ws/quotes/?symbols=AAPL&price=AAPL&panel=AAPL")
    assert "<img" not in first
    assert "&lt;img src=x onerror=alert(1)&gt;" in first
    await page.disconnect()


async def test_a_code_that_no_check_ever_saw_stays_text(listed: Any):
    code = """A'"><img src=x>"""
    await change(lambda: Symbol.objects.create(code=code, name="Evil", kind="stock", currency="E"))
    await listed.reload()
    message = listed.fragments.opening(Address(symbols=(code,)).watch(listed.listed))
    assert "<img" not in message


# Later messages of a socket


async def test_a_page_receives_only_the_symbols_it_watches(listed: Any, now_quote: Any):
    apple, _ = await opened("/ws/quotes/?symbols=AAPL")
    crypto, _ = await opened("/ws/cryptoupdates/")
    await publish(listed, now_quote("BTC-USD", "64000"), now_quote("MSFT", "400"))
    assert lasts(await update(crypto)) == {"BTC-USD": "64000"}
    await publish(listed, now_quote("AAPL", "102"))
    assert lasts(await update(apple)) == {"AAPL": "102"}
    await apple.disconnect()
    await crypto.disconnect()


async def test_a_price_that_moved_flashes_and_one_that_did_not_does_not(
    listed: Any, now_quote: Any
):
    await publish(listed, now_quote("AAPL", "101"), now_quote("MSFT", "400"))
    page, _ = await opened("/ws/quotes/?symbols=AAPL,MSFT")
    await publish(listed, now_quote("AAPL", "102"), now_quote("MSFT", "400"))
    frame = await update(page)
    assert symbols(frame) == ["AAPL", "MSFT"]
    assert re.findall(r'data-flash="([^"]*)"', frame) == ["up-1"]
    await page.disconnect()


async def test_a_row_shows_by_itself_that_its_market_opened(listed: Any, now_quote: Any):
    def list_on_an_exchange() -> None:
        apple = Symbol.objects.get(code="AAPL")
        apple.exchange = "NASDAQ"
        apple.save()

    opening = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    listed.store.clock = lambda: opening - timedelta(seconds=1)
    await change(list_on_an_exchange)
    await until(lambda: listed.store.states["AAPL"].symbol.exchange)
    await publish(listed, now_quote("AAPL", "101"))
    page, first = await opened("/ws/stock-market/")
    assert ">Pre-market<" in first
    listed.store.clock = lambda: opening
    frame = await update(page)
    assert symbols(frame) == ["AAPL"]
    assert ">Open<" in frame
    assert "data-flash" not in frame


async def test_a_hundred_quotes_between_two_paces_are_one_message_with_the_newest(
    live_parts: Any, settings: Any, make_quote: Any
):
    await live.stop()
    settings.QUOTES = settings.QUOTES | {"PACE": 0.5}
    parts = await live.ensure_started()
    await list_boards(parts)
    page, _ = await opened("/ws/quotes/?symbols=AAPL,MSFT")

    def fresh(code: str, last: int) -> Any:
        return make_quote(code, str(last), received_at=parts.store.clock())

    await publish(parts, fresh("AAPL", 100))  # a pace begins
    assert lasts(await update(page)) == {"AAPL": "100"}
    for last in range(101, 201):
        await tell(parts, fresh("AAPL", last))
    assert lasts(await update(page)) == {"AAPL": "200"}
    await publish(parts, fresh("MSFT", 400))
    assert lasts(await update(page)) == {"MSFT": "400"}
    await page.disconnect()


async def test_200_sockets_of_a_board_cause_as_many_renders_as_one(listed: Any, now_quote: Any):
    await publish(listed, *(now_quote(code, "100") for code in LISTED["crypto"]))
    renders = listed.fragments.templates.renders
    first, _ = await opened("/ws/cryptoupdates/")
    rows = renders["quotes/_row.html"]
    pages = [await opened("/ws/cryptoupdates/") for _ in range(199)]
    assert renders["quotes/_row.html"] == rows
    everyone = [first, *(page for page, _ in pages)]
    await publish(listed, now_quote("BTC-USD", "101"))
    frames = {await update(page) for page in everyone}
    assert [lasts(frame) for frame in frames] == [{"BTC-USD": "101"}]
    assert renders["quotes/_row.html"] == rows + 1
    for page in everyone:
        await page.disconnect()


async def test_a_board_that_changes_is_rendered_once_for_all_its_pages(listed: Any):
    renders, address = listed.fragments.templates.renders, board_address(listed, "crypto")
    pages = [(await opened(address))[0] for _ in range(50)]
    before = renders["quotes/_rows.html"]
    await change(lambda: Symbol.objects.get(code="ETH-USD").delete())
    assert len({await update(page) for page in pages}) == 1
    assert renders["quotes/_rows.html"] - before == 1
    for page in pages:
        await page.disconnect()


async def test_pages_that_left_are_forgotten(listed: Any):
    pages = [(await opened("/ws/cryptoupdates/"))[0] for _ in range(5)]
    for page in pages:
        await page.disconnect()
    assert not listed.hub.watches
    assert not listed.on_change


# Changes of symbols and boards


def switch(code: str, *, active: bool) -> None:
    symbol = Symbol.objects.get(code=code)
    symbol.active = active
    symbol.save()


async def test_a_symbol_switched_off_leaves_open_boards_and_comes_back_switched_on(
    listed: Any, now_quote: Any
):
    page, _ = await opened(board_address(listed, "crypto"))
    await change(lambda: switch("ETH-USD", active=False))
    rows = await update(page)
    assert rows.startswith('<tbody hx-swap-oob="outerMorph" id="quotes-rows"')
    assert symbols(rows) == ["BTC-USD", "SOL-USD"]
    await publish(listed, now_quote("ETH-USD", "3200"))
    await publish(listed, now_quote("BTC-USD", "64000"))
    assert lasts(await update(page)) == {"BTC-USD": "64000"}
    await change(lambda: switch("ETH-USD", active=True))
    assert symbols(await update(page)) == ["BTC-USD", "ETH-USD", "SOL-USD"]
    await publish(listed, now_quote("ETH-USD", "3201"))
    while (shown := lasts(await update(page))).get("ETH-USD") != "3201":
        assert shown.get("ETH-USD") in ("", "3200", None)
    await page.disconnect()


async def test_a_new_order_reaches_open_boards(listed: Any):
    page, _ = await opened(board_address(listed, "crypto"))

    def to_the_front() -> None:
        place = BoardSymbol.objects.get(symbol__code="SOL-USD")
        place.position = 0
        place.save()

    await change(to_the_front)
    assert symbols(await update(page)) == ["SOL-USD", "BTC-USD", "ETH-USD"]
    await page.disconnect()


async def test_a_new_symbol_reaches_open_boards_and_is_live_there(listed: Any, now_quote: Any):
    page, _ = await opened(board_address(listed, "crypto"))

    def add() -> None:
        new = Symbol.objects.create(code="ADA-USD", name="Cardano", kind="crypto", currency="USD")
        board = Board.objects.get(slug="crypto")
        BoardSymbol.objects.create(board=board, symbol=new, position=9)

    await change(add)
    assert symbols(await update(page)) == ["BTC-USD", "ETH-USD", "SOL-USD", "ADA-USD"]
    await publish(listed, now_quote("ADA-USD", "0.5"))
    while (shown := lasts(await update(page))) != {"ADA-USD": "0.5"}:
        assert shown == {"ADA-USD": ""}
    await page.disconnect()


async def test_the_count_below_the_rows_changes_with_the_rows(listed: Any):
    page, _ = await opened(board_address(listed, "crypto"))
    german, _ = await opened(board_address(listed, "crypto", search="eth") + "&lang=de")
    await change(lambda: switch("ETH-USD", active=False))
    assert '<p class="count"><bdi>2 symbols' in await update(page)
    assert '<p class="count"><bdi>0 Symbole gefunden.' in await update(german)
    await change(lambda: switch("ETH-USD", active=True))
    assert '<p class="count"><bdi>3 symbols' in await update(page)
    assert '<p class="count"><bdi>1 Symbol gefunden.' in await update(german)
    await page.disconnect()
    await german.disconnect()


async def test_a_board_that_outgrows_its_page_gets_links_to_the_others(listed: Any):
    page, _ = await opened(board_address(listed, "crypto"))

    def add() -> None:
        board = Board.objects.get(slug="crypto")
        for number in range(conf.get("PAGE_SIZE")):
            new = Symbol.objects.create(code=f"X{number}", name="X", kind="crypto", currency="USD")
            BoardSymbol.objects.create(board=board, symbol=new, position=9)

    await change(add)
    assert 'rel="next" href="?page=2"' in await update(page)
    await page.disconnect()


async def test_a_new_name_reaches_open_pages(listed: Any):
    page, _ = await opened("/ws/quotes/?symbols=AAPL")

    def rename() -> None:
        symbol = Symbol.objects.get(code="AAPL")
        symbol.name = "Apple Computer"
        symbol.save()

    await change(rename)
    assert "Apple Computer" in await update(page)
    await page.disconnect()


async def test_a_sorted_and_searched_board_stays_so_when_its_rows_change(
    listed: Any, now_quote: Any
):
    await publish(
        listed, now_quote("BTC-USD", "1"), now_quote("ETH-USD", "3"), now_quote("SOL-USD", "2")
    )
    page, _ = await opened(board_address(listed, "crypto", sort="-last"))
    await change(lambda: switch("SOL-USD", active=False))
    assert symbols(await update(page)) == ["ETH-USD", "BTC-USD"]
    await page.disconnect()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"search": "dail"}, ["ETH-USD"]),
        ({"sort": "-name"}, ["SOL-USD", "ETH-USD", "BTC-USD"]),
    ],
)
async def test_pages_that_search_or_sort_by_name_follow_a_new_name(
    listed: Any, query: dict[str, str], found: list[str]
):
    page, _ = await opened(board_address(listed, "crypto", **query))

    def rename() -> None:
        symbol = Symbol.objects.get(code="ETH-USD")
        symbol.name = "Daily ether"
        symbol.save()

    await change(rename)
    shown = await update(page)
    while "quotes-rows" not in shown:
        shown = await update(page)
    assert symbols(shown) == found
    await page.disconnect()


async def test_a_page_that_comes_back_to_a_changed_board_gets_its_new_rows(listed: Any):
    address = board_address(listed, "crypto")
    await change(lambda: switch("ETH-USD", active=False))
    await until(lambda: "ETH-USD" not in listed.listed.symbols)
    page, first = await opened(address)
    while "quotes-rows" not in first:
        first = await update(page)
    assert symbols(first) == ["BTC-USD", "SOL-USD"]
    await page.disconnect()


async def test_a_socket_that_names_no_rows_follows_its_board(listed: Any):
    page, _ = await opened("/ws/cryptoupdates/")
    await change(lambda: switch("ETH-USD", active=False))
    assert symbols(await update(page)) == ["BTC-USD", "SOL-USD"]
    await page.disconnect()


async def test_a_change_with_a_lost_message_is_found_by_the_gap(listed: Any):
    page, _ = await opened(board_address(listed, "crypto"))
    await change(lambda: Symbol.objects.filter(code="ETH-USD").update(active=False))
    ether = await Symbol.objects.aget(code="ETH-USD")
    await change(lambda: journal.enter([(Change.What.SYMBOL, ether.pk)]))  # and no message
    epoch, number = listed.seen
    await layer.send_batch(epoch, Batch(number + 5, [], {}))
    assert symbols(await update(page)) == ["BTC-USD", "SOL-USD"]
    await page.disconnect()


# What pages should not send


@pytest.mark.parametrize("text", ["", "garbage", '{"symbols": ["MSFT"]}', "\x00", "{" * 4096])
async def test_messages_of_pages_are_ignored(listed: Any, now_quote: Any, text: str):
    page, _ = await opened("/ws/quotes/?symbols=AAPL")
    await page.send_input({"type": "websocket.receive", "text": text})
    await publish(listed, now_quote("AAPL", "102"))
    assert lasts(await update(page)) == {"AAPL": "102"}
    await page.disconnect()


@pytest.mark.parametrize("frame", [{"text_data": "x" * 4097}, {"bytes_data": b"\x00"}])
async def test_a_page_that_sends_too_much_is_closed_for_good_and_others_stay(
    listed: Any, now_quote: Any, frame: dict[str, Any], caplog: pytest.LogCaptureFixture
):
    good, _ = await opened("/ws/cryptoupdates/")
    bad, _ = await opened("/ws/cryptoupdates/")
    await bad.send_to(**frame)
    closed = await bad.receive_output()
    assert (closed["type"], closed["code"]) == ("websocket.close", TOO_MUCH)
    await publish(listed, now_quote("BTC-USD", "64000"))
    assert lasts(await update(good)) == {"BTC-USD": "64000"}
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    await good.disconnect()
    await bad.disconnect()


async def test_frames_that_come_together_with_a_refused_one_are_not_counted(listed: Any):
    page, _ = await opened("/ws/cryptoupdates/")
    before = listed.limits.refused["binary"]
    for _ in range(3):
        await page.send_to(bytes_data=b"\x00")
    assert (await page.receive_output())["code"] == TOO_MUCH
    assert await page.receive_nothing()
    assert listed.limits.refused["binary"] == before + 1
    await page.disconnect()  # raises what the application raised


async def test_nothing_is_sent_to_a_page_that_was_closed(listed: Any, now_quote: Any):
    good, _ = await opened("/ws/cryptoupdates/")
    bad, _ = await opened("/ws/cryptoupdates/")
    await bad.send_to(bytes_data=b"\x00")
    assert (await bad.receive_output())["type"] == "websocket.close"
    await publish(listed, now_quote("BTC-USD", "64000"))
    await update(good)
    assert bad.output_queue.empty()
    await good.disconnect()
    await bad.disconnect()


# Whether an embedded page is in view

EMBEDDED = "/ws/quotes/?symbols=AAPL&lang=en&seen=1"
SEEN = {"text_data": '{"headers": {}, "body": {}}'}
UNSEEN = 4410


@pytest.fixture
def brisk(settings: Any, listed: Any) -> Any:
    """The live parts with a pulse every half second."""
    settings.QUOTES = settings.QUOTES | {"PULSE": conf.FAST}
    return listed


async def mark(page: Page) -> None:
    """Wait for a mark, which the page answers while it is in view."""
    async with asyncio.timeout(PATIENCE):
        while 'id="quotes-seen"' not in await page.receive_from():
            pass


async def last_of(page: Page) -> tuple[str, int]:
    """Return the last message to a page, and the code with which its socket was closed."""
    frame = ""
    async with asyncio.timeout(PATIENCE):
        while (output := await page.receive_output())["type"] == "websocket.send":
            frame = output["text"]
    return frame, output["code"]


async def test_a_page_that_goes_out_of_view_loses_its_socket_and_waits_for_its_return(brisk: Any):
    page, _ = await opened(EMBEDDED)
    await mark(page)
    for _ in range(3):
        await page.send_to(**SEEN)
        await mark(page)
    before = brisk.hub.counts["unseen"]
    last, code = await last_of(page)
    assert code == UNSEEN
    assert brisk.hub.counts["unseen"] == before + 1
    for id_ in ("quotes-socket", "quotes-retry"):
        assert re.search(rf'<span [^>]*id="{id_}" [^>]*hx-trigger="intersect ', last)
    assert html.escape(EMBEDDED) in last
    assert not brisk.hub.watches
    await page.disconnect()


async def test_a_page_that_can_not_report_that_it_is_in_view_stays(brisk: Any, now_quote: Any):
    silent, _ = await opened(EMBEDDED)
    other, _ = await opened("/ws/quotes/?symbols=AAPL")
    await other.send_to(**SEEN)  # an address without `seen`
    leaves, _ = await opened(EMBEDDED)
    await leaves.send_to(**SEEN)
    assert (await last_of(leaves))[1] == UNSEEN
    await publish(brisk, now_quote("AAPL", "102"))
    for page in (silent, other):
        assert lasts(await update(page)) == {"AAPL": "102"}
        await page.disconnect()
    await leaves.disconnect()
