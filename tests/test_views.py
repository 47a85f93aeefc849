"""Pages: complete without JavaScript, from memory, and safe to frame and to cache or not."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import global_settings
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.core.files.base import ContentFile
from django.db import connection
from django.test import AsyncClient
from django.utils.html import escape
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from quoteboard.storage import Storage

from quotes import catalogue
from quotes.htmx import scripts
from quotes.models import Board, BoardSymbol, Symbol
from tests.catalogues import catalogue_of
from tests.examples import examples
from tests.market import tell
from tests.servers import until

TRADING = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)  # a Monday: New York and Europe are open
PAGES = (
    "/",
    "/boards/crypto/",
    "/boards/stock-market/",
    "/symbols/BTC-USD/",
    "/live/?board=crypto&symbols=BTC-USD",
    "/embed/quotes/?symbols=BTC-USD,AAPL",
    "/healthz",
)
STRANGE = (
    "q=%00&kind=%ff&sort=%F0%9F%92%A9",
    "page=99999999999999999999",
    "page=-1",
    "page=1e9",
    "page=%D9%A3",
    "page=%C2%B2",
    "sort=--last",
    "sort=-",
    "lang=xx",
    "lang=../../etc",
    "board=crypto&mark=00000000&page=7&sort=-change",
    "board=none&mark=1",
    "symbols=" + ",".join(["BTC-USD"] * 500),
    "symbols=%3Cscript%3E",
    "symbols=^GSPC,BRK.B&theme=%22%3E%3Cscript%3E",
    "q=" + "a" * 100_000,
    "&".join(f"symbols=S{number}" for number in range(900)),
    "&".join(f"a{number}=1" for number in range(1100)),
    ";;;&&&===%%%",
)


@pytest.fixture
async def board(live_parts: Any, make_quote: Callable[..., Any]) -> Any:
    """The live parts while markets are open, with the starter catalogue and a price of each."""
    live_parts.store.clock = lambda: TRADING
    # as if it had heard the batch before the first one: else it reads everything again, later
    live_parts.seen = (1, 0)
    await sync_to_async(list_starters)()
    await live_parts.reload()
    now = live_parts.store.clock()
    await tell(live_parts, *(make_quote(code, received_at=now) for code in live_parts.store.states))
    return live_parts


def list_starters() -> None:
    """Load the starter catalogue without a notice to the process."""
    with catalogue.STARTER.open("rb") as file:
        entries = catalogue.read(file).entries
    symbols = Symbol.objects.bulk_create(entry.symbol for entry in entries)
    for slug, (title, kinds) in catalogue.STARTER_BOARDS.items():
        if not any(symbol.kind in kinds for symbol in symbols):
            continue
        board = Board.objects.create(slug=slug, title=title)
        BoardSymbol.objects.bulk_create(
            BoardSymbol(board=board, symbol=symbol, position=place)
            for place, symbol in enumerate(symbols)
            if symbol.kind in kinds
        )


async def read(client: Any, path: str, **headers: str) -> str:
    response = await client.get(path, headers=headers)
    assert response.status_code == 200, path
    return response.content.decode()


def rows(page: str) -> dict[str, str]:
    """The quotes of a page by symbol."""
    found = re.finditer(
        r'<(?P<tag>tr|section)[^>]* data-symbol="(?P<code>[^"]*)".*?</(?P=tag)>', page, re.DOTALL
    )
    return {row["code"]: row[0] for row in found}


def fields(row: str) -> dict[str, str]:
    """Return the texts of a quote, by field."""
    return {
        name: unescape(re.sub(r"<[^>]*>", "", text)).strip()
        for name, text in re.findall(r'data-field="([^"]*)"[^>]*>(.*?)</', row, re.DOTALL)
    }


LOOK = 'SELECT "quotes_feedlease"."listings"'


@asynccontextmanager
async def queries(parts: Any) -> AsyncIterator[list[str]]:
    """Collect the queries of all threads that a page could use.

    Left out is what the process itself asks once a second: whether symbols or boards changed.
    """
    collected: list[str] = []

    def begin() -> None:
        connection.ensure_connection()
        connection.force_debug_cursor = True
        connection.queries_log.clear()

    def end() -> None:
        connection.force_debug_cursor = False
        statements = (query["sql"] for query in connection.queries_log)
        collected.extend(each for each in statements if not each.startswith(LOOK))

    await sync_to_async(begin)()
    await parts.in_database(begin)
    yield collected
    await sync_to_async(end)()
    await parts.in_database(end)


# Complete without JavaScript


@pytest.mark.parametrize("path", ["/", "/boards/crypto/", "/boards/stock-market/?page=2"])
async def test_every_symbol_of_a_page_has_its_price_change_percent_and_time(
    board: Any, async_client: Any, path: str
):
    page = await read(async_client, path)
    shown = rows(page)
    assert len(shown) >= 12
    for row in shown.values():
        output = fields(row)
        assert output["last"].startswith("101")
        assert output["change-percent"] == "+1.00%"
        assert re.fullmatch(r"\d\d:\d\d:\d\d", output["time"])
        assert re.search(r'<time [^>]*datetime="\d{4}-\d\d-\d\dT[^"]*\+00:00"', row)
        if path != "/":
            assert output["change"].startswith("+1")


async def test_a_board_shows_the_reference_of_its_changes(
    board: Any, async_client: Any, make_quote: Callable[..., Any]
):
    rolling = {"received_at": board.store.clock(), "reference_kind": "rolling_24h"}
    states = board.store.states.items()
    coins = [code for code, state in states if state.symbol.kind == "crypto"]
    await tell(board, *(make_quote(code, **rolling) for code in coins))
    crypto = unescape(await read(async_client, "/boards/crypto/"))
    assert "· Change: over 24 h</bdi></p>" in crypto
    stocks = unescape(await read(async_client, "/boards/stock-market/"))
    assert "· Change: vs prev. close</bdi></p>" in stocks
    german = unescape(await read(async_client, "/boards/crypto/", **{"Accept-Language": "de"}))
    assert "· Änderung: in 24 Std.</bdi></p>" in german


async def test_starter_boards_have_titles_in_the_language_of_the_visitor(
    board: Any, async_client: Any
):
    german = {"Accept-Language": "de"}
    for path in ("/", "/boards/crypto/", "/symbols/BTC-USD/"):
        page = await read(async_client, path, **german)
        assert ">Krypto<" in page, path
        assert ">Aktienmarkt<" in page, path
        assert "Crypto" not in page, path
        assert ">Crypto<" in await read(async_client, path), path
    assert "<title>Krypto –" in await read(async_client, "/boards/crypto/", **german)


@pytest.mark.parametrize(
    ("slug", "title"), [("crypto", "Stock market"), ("crypto", "Coins"), ("mine", "Crypto")]
)
async def test_a_title_that_an_operator_wrote_is_not_translated(
    board: Any, async_client: Any, slug: str, title: str
):
    await Board.objects.filter(slug="crypto").aupdate(slug=slug, title=title)
    await board.reload()
    page = await read(async_client, f"/boards/{slug}/", **{"Accept-Language": "de"})
    assert f"<h1>{title}</h1>" in page


async def test_debug_mode_does_not_keep_all_statements_of_a_process(board: Any, settings: Any):
    # no request ends in the thread of the database: Django does not delete its statements
    settings.DEBUG = True
    for _ in range(100):
        await board.in_database(Symbol.objects.count)
    assert await board.in_database(lambda: len(connection.queries_log)) < 50


async def test_a_board_shows_its_symbols_in_order_50_to_a_page(board: Any, async_client: Any):
    def places() -> list[str]:
        listed = BoardSymbol.objects.filter(board__slug="crypto")
        return list(listed.values_list("symbol__code", flat=True))

    codes = await sync_to_async(places)()
    assert list(rows(await read(async_client, "/boards/crypto/"))) == codes[:50]
    assert list(rows(await read(async_client, "/boards/crypto/?page=2"))) == codes[50:100]
    assert list(rows(await read(async_client, "/boards/crypto/?page=9999"))) == codes[100:]


async def test_a_symbols_page_shows_all_that_is_known_of_it(
    board: Any, async_client: Any, make_quote: Any
):
    known = dict.fromkeys(("bid", "ask", "open", "high", "low", "volume"), Decimal(100))
    await tell(board, make_quote("AAPL", received_at=board.store.clock(), **known))
    page = await read(async_client, "/symbols/AAPL/")
    output = fields(rows(page)["AAPL"])
    assert output["last"].startswith("101")
    assert known.keys() | {"source", "reference"} <= output.keys()
    assert "vs prev. close" in page


async def test_a_symbols_page_leaves_out_what_is_unknown(
    board: Any, async_client: Any, make_quote: Any
):
    only = make_quote("AAPL", provider="kraken", received_at=board.store.clock(), reference=None)
    await tell(board, only)
    panel = rows(await read(async_client, "/symbols/AAPL/"))["AAPL"]
    of_candles = {"year-low", "year-high", "period"}  # which a simulated market always has
    assert set(fields(panel)) - of_candles == {"last", "state", "time", "source"}
    assert "—" not in unescape(panel)
    await tell(board, make_quote("AAPL", received_at=only.received_at, bid=Decimal(100)))
    assert {"bid"} == {"bid", "ask"} & set(
        fields(rows(await read(async_client, "/symbols/AAPL/"))["AAPL"])
    )


def meta(page: str) -> dict[str, str]:
    """Return what a page states of itself to other sites, by name."""
    found = re.findall(r'<meta (?:name|property)="([^"]*)" content="([^"]*)">', page)
    return {name: unescape(content) for name, content in found}


async def test_a_symbols_page_states_its_price_to_other_sites_and_in_its_tab(
    board: Any, async_client: Any, make_quote: Any
):
    now = board.store.clock()
    await tell(board, make_quote("BTC-USD", "0.00001423", received_at=now, delay=900))
    page = await read(async_client, "/symbols/btc-usd/")
    title = "BTC-USD 0.00001423 USD ▼ −100.00% (15:00:00) – Bitcoin – Quoteboard"
    assert f"<title>{title}</title>" in unescape(page)
    card = meta(page)
    assert card["og:title"] == "BTC-USD 0.00001423 USD ▼ −100.00% – Bitcoin"
    assert card["og:description"] == card["description"]
    assert card["description"] == (
        "0.00001423 USD, ▼ −100.00% vs prev. close, as of March 2, 2026, 15:00 UTC"
        " · Delayed 15 min · simulated"
    )
    assert (card["og:type"], card["twitter:card"]) == ("website", "summary")
    address = "http://testserver/symbols/BTC-USD/"
    assert card["og:url"] == address
    assert f'<link rel="canonical" href="{address}">' in page


async def test_a_symbol_without_a_price_states_that_to_other_sites(board: Any, async_client: Any):
    def name() -> None:
        Symbol.objects.create(code='A&"<B>', name="</title>&", kind="bond", currency="USD")

    await sync_to_async(name)()
    await board.reload()
    page = await read(async_client, "/symbols/A%26%22%3CB%3E/")
    assert "<title>A&amp;&quot;&lt;B&gt; &#8211; &lt;/title&gt;&amp; &#8211; Quoteboard<" in page
    card = meta(page)
    assert card["og:description"] == "No price yet"
    assert card["og:url"] == "http://testserver/symbols/A&%22%3CB%3E/"


async def test_a_symbols_page_has_its_neighbours_on_the_smallest_board_with_enough_of_them(
    board: Any, async_client: Any
):
    def places() -> list[str]:
        mine = Board.objects.create(slug="mine", title="Mine", position=98)
        for code in ("ETH-USD", "AAPL"):
            mine.places.create(symbol=Symbol.objects.get(code=code), position=0)
        few = Board.objects.create(slug="few", title="A few", position=99)
        codes = ("ETH-USD", "AAPL", "BTC-USD", "SOL-USD", "MSFT", "XRP-USD", "DOGE-USD", "ADA-USD")
        for place, code in enumerate(codes):
            few.places.create(symbol=Symbol.objects.get(code=code), position=place)
        return list(codes)

    codes = await sync_to_async(places)()
    await board.reload()
    for code, around in (("ETH-USD", codes[1:6]), ("SOL-USD", codes[1:3] + codes[4:7])):
        page = await read(async_client, f"/symbols/{code}/")
        assert list(rows(page)) == [code, *around]
        assert ">More from A few</h2>" in page
        socket = unescape(re.findall(r'hx-ws:connect="([^"]*)"', page)[0])
        assert f"symbols={','.join(around)}&panel={code}" in socket
    await sync_to_async(lambda: Board.objects.all().delete())()
    await board.reload()
    assert "More from" not in await read(async_client, "/symbols/ETH-USD/")


async def test_an_index_has_points_and_nobody_bids_for_it(board: Any, async_client: Any):
    for path in ("/symbols/^GSPC/", "/boards/stock-market/?kind=index"):
        row = rows(await read(async_client, path))["^GSPC"]
        assert "pts" in row
        assert not {"bid", "ask"} & fields(row).keys()


async def test_a_symbol_is_found_in_small_letters_too(board: Any, async_client: Any):
    assert "Bitcoin" in await read(async_client, "/symbols/btc-usd/")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/boards/crypto/",
        "/symbols/BTC-USD/",
        "/embed/quotes/",
        "/embed/quotes/?symbols=AAPL,BTC-USD",
        "/embed/quotes/?symbols=AAPL&sources=0&attribution=off&foot=no&notes=&theme=none&lang=xx",
    ],
)
async def test_every_page_shows_that_its_prices_are_not_for_trading(
    board: Any, async_client: Any, make_quote: Callable[..., Any], path: str
):
    now = board.store.clock()
    await tell(
        board, *(make_quote(c, provider="coinbase", received_at=now) for c in board.store.states)
    )
    page = unescape(await read(async_client, path))
    assert page.count("For information only, not for trading") == 1
    assert ("Prices by Coinbase" in page) == (path != "/embed/quotes/")


async def test_a_page_shows_that_simulated_prices_are_not_real(board: Any, async_client: Any):
    for path in ("/", "/boards/crypto/", "/symbols/AAPL/", "/embed/quotes/?symbols=AAPL"):
        assert "SIMULATED" in await read(async_client, path), path


async def test_a_search_finds_by_symbol_and_name_and_stays_in_its_field(
    board: Any, async_client: Any
):
    page = await read(async_client, "/boards/crypto/?q=bitcoin")
    assert "BTC-USD" in rows(page)
    assert all("bitcoin" in row.lower() for row in rows(page).values())
    hostile = '"><script>alert(1)</script>'
    page = await read(async_client, "/boards/crypto/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert hostile not in page
    assert escape(hostile) in page


async def all_drawn(parts: Any) -> None:
    """Wait until the process has read the candles for its sparklines, beside the pages."""
    await until(lambda: parts.sparklines.shown() == parts.fragments.sparks.keys())


async def without_a_query(parts: Any, request: Callable[[], Awaitable[Any]]) -> Any:
    """Return the answer to a request that queries nothing."""
    for _ in range(3):  # the live parts may read something of their own meanwhile
        async with queries(parts) as asked:
            answer = await request()
        if not asked:
            break
    assert asked == []
    return answer


async def test_pages_read_memory_and_not_the_database(board: Any, async_client: Any):
    await all_drawn(board)
    for path in PAGES:
        if path.startswith("/symbols/"):
            await read(async_client, path)  # the first page of a chart reads its candles
            await until(lambda: not (board.charts.begun or board.fragments.known.reading))
        await without_a_query(board, partial(read, async_client, path))


# Unknown pages and strange requests


@pytest.mark.parametrize(
    "path",
    ["/boards/bonds/", "/symbols/NONE/", "/symbols/%00/", "/nowhere/", "/live/?board=bonds"],
)
async def test_unknown_pages_are_not_found(board: Any, async_client: Any, path: str):
    response = await async_client.get(path)
    assert response.status_code == 404
    assert "404" not in response.content.decode()  # neither the number nor a name of Django's


async def test_an_address_that_does_not_exist_is_described_in_words(async_client: Any, board: Any):
    page = (await async_client.get("/nowhere/")).content.decode()
    assert "There is no page at this address." in page
    assert "Resolver404" not in page


def broken(board: Any, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pages fail."""
    client.raise_request_exception = False
    monkeypatch.setattr(board.rows, "choose", None)


@pytest.mark.parametrize(
    ("status", "path", "heading"),
    [
        (404, "/nowhere/", "Seite nicht gefunden"),
        (404, "/symbols/DOGE/", "Seite nicht gefunden"),
        (400, "/admin/?" + "&".join(["a"] * 30_000), "Ungültige Anfrage"),
        (403, "/admin/login/", "Formular nicht angenommen"),
        (500, "/boards/crypto/", "Serverfehler"),
    ],
)
async def test_a_page_of_an_error_has_the_navigation_and_the_language_of_the_site(
    board: Any, monkeypatch: pytest.MonkeyPatch, status: int, path: str, heading: str
):
    client = AsyncClient(enforce_csrf_checks=True)
    await all_drawn(board)
    broken(board, client, monkeypatch)
    german = {"Accept-Language": "de"}
    request = client.post if "login" in path else client.get
    response = await without_a_query(board, partial(request, path, headers=german))
    page = unescape(response.content.decode())
    assert response.status_code == status
    assert '<html lang="de">' in page
    assert f"<h1>{heading}</h1>" in page
    navigation = re.search(r'<nav.*href="/boards/crypto/">Krypto</a>.*</nav>', page)
    assert bool(navigation) == (status != 500)  # its page contains nothing that may have failed
    assert re.search(r'<p class="more">.*<a href="/">', page)
    assert len(re.findall(r'<link rel="stylesheet"', page)) == 1


async def test_the_page_of_a_server_error_needs_no_boards(
    board: Any, async_client: Any, monkeypatch: pytest.MonkeyPatch
):
    async_client.raise_request_exception = False
    monkeypatch.setattr(board.rows, "listed", None)
    response = await async_client.get("/boards/crypto/")
    assert response.status_code == 500
    assert "<h1>Server error</h1>" in response.content.decode()


async def test_an_account_without_permission_gets_a_page_that_leads_on(
    board: Any, async_client: Any
):
    user = await User.objects.acreate(username="ann", is_staff=True)
    await async_client.aforce_login(user)
    response = await async_client.get("/admin/quotes/symbol/")
    page = response.content.decode()
    assert response.status_code == 403
    assert "Access denied" in page
    assert '<a href="/boards/crypto/">Crypto</a>' in page


async def test_the_page_of_an_unknown_symbol_leads_to_a_search_for_it(
    board: Any, async_client: Any
):
    page = (await async_client.get("/symbols/DOGE/")).content.decode()
    [link] = re.findall(r'<a href="(/search/\?q=[^"]*)"', page)
    assert "DOGE-USD" in rows(await read(async_client, link))
    strange = (await async_client.get("/symbols/A%26B/C%22/")).content.decode()
    assert 'href="/search/?q=A%26B%2FC%22"' in strange


@pytest.mark.parametrize(
    ("unknown", "meant"),
    [("BTCUSD", "BTC-USD"), ("aple", "AAPL"), ("GSPC", "^GSPC"), ("Z" * 2000, ""), ("%00", "")],
)
async def test_the_page_of_an_unknown_symbol_names_those_that_may_be_meant(
    board: Any, async_client: Any, unknown: str, meant: str
):
    page = (await async_client.get(f"/symbols/{unknown}/")).content.decode()
    named = re.findall(r'<a href="/symbols/[^"]*">([^<]*)</a>', page)
    assert meant in named if meant else not named
    assert len(named) <= 3


async def test_a_symbol_page_states_the_kind_once(board: Any, async_client: Any):
    page = await read(async_client, "/symbols/BTC-USD/")
    assert '<p class="symbol-boards"><a href="/boards/crypto/">Crypto</a></p>' in page
    assert 'class="facts"' not in page
    page = await read(async_client, "/symbols/AAPL/")
    assert '<p class="facts"><span>NASDAQ</span><span>Stock</span></p>' in page


async def test_a_filter_that_finds_nothing_leads_to_a_search_of_all_symbols(
    board: Any, async_client: Any
):
    found = await read(async_client, "/boards/stock-market/?q=doge%26")
    assert '<a href="/search/?q=doge%26">Search all symbols</a>' in found
    assert ("SIMULATED" in found) == ("SIMULATED" in await read(async_client, "/"))
    assert "No symbol on this board matches “doge&”." in unescape(found)


async def test_a_board_without_rows_leads_to_the_other_boards(board: Any, async_client: Any):
    await Board.objects.acreate(slug="mine", title="Mine")
    await board.reload()
    empty = await read(async_client, "/boards/mine/", **{"Accept-Language": "de"})
    [row] = re.findall(r'<tr class="empty">.*', unescape(empty))
    assert "Andere Kurslisten: " in row
    assert '<a href="/boards/crypto/">Krypto</a>' in row
    assert "/boards/mine/" not in row
    await Symbol.objects.filter(kind="crypto").aupdate(active=False)
    await board.reload()
    assert 'href="/boards/stock-market/"' in (await read(async_client, "/boards/crypto/"))


@pytest.mark.parametrize("path", ["/", "/search/?q=doge"])
async def test_an_empty_site_offers_the_command_that_fills_it_to_staff_alone(
    live_parts: Any, async_client: Any, settings: Any, path: str
):
    german = {"Accept-Language": "de"}
    page = await read(async_client, path)
    assert "There are no boards yet." in page
    assert "manage.py" not in page
    assert not async_client.cookies
    for name, is_staff in (("bob", False), ("alice", True)):
        await async_client.aforce_login(
            await User.objects.acreate(username=name, is_staff=is_staff)
        )
        offered = "Run “manage.py quotes_setup” to load two boards with symbols."
        assert (offered in await read(async_client, path)) == is_staff
        offered = "„manage.py quotes_setup“ lädt zwei Kurslisten"
        assert (offered in await read(async_client, path, **german)) == is_staff
    await async_client.alogout()
    settings.DEBUG = True
    assert "quotes_setup" in await read(async_client, path)
    await Symbol.objects.acreate(code="BTC-USD", name="Bitcoin", kind="crypto")
    await live_parts.reload()
    assert "quotes_setup" not in await read(async_client, path)  # it would load nothing


async def test_the_menu_of_orders_leads_back_to_that_of_the_board(board: Any, async_client: Any):
    back = 'href="?kind=etf">Order of the board</a>'
    assert back in await read(async_client, "/boards/stock-market/?kind=etf&sort=-last&page=2")
    assert back not in await read(async_client, "/boards/stock-market/?kind=etf")


async def test_a_search_finds_symbols_of_all_boards_with_live_rows(board: Any, async_client: Any):
    page = await read(async_client, "/search/?q=bitcoin")
    found = rows(page)
    assert {"BTC-USD", "IBIT"} <= found.keys()
    assert fields(found["BTC-USD"])["last"].startswith("101")
    assert "/ws/quotes/?symbols=" in page
    assert f"{len(found)} results for “bitcoin”" in unescape(page)


async def test_a_search_for_a_code_leads_to_its_page(board: Any, async_client: Any):
    response = await async_client.get("/search/?q=btc-usd")
    assert (response.status_code, response["Location"]) == (302, "/symbols/BTC-USD/")


async def test_a_search_with_many_results_has_pages(board: Any, async_client: Any):
    first = await read(async_client, "/search/?q=us")
    second = await read(async_client, "/search/?q=us&page=2")
    assert len(rows(first)) == 50
    assert not rows(first).keys() & rows(second).keys()
    assert 'href="?q=us&amp;page=2"' in first


@pytest.mark.parametrize("path", ["/search/", "/search/?q=zzzz"])
async def test_a_search_that_finds_nothing_shows_the_boards(
    board: Any, async_client: Any, path: str
):
    page = await read(async_client, path)
    assert {"BTC-USD", "AAPL"} <= rows(page).keys()
    assert ("Nothing matches “zzzz”." in unescape(page)) == ("zzzz" in path)


async def test_suggestions_are_the_likeliest_symbols_with_their_prices(
    board: Any, async_client: Any
):
    found = await read(async_client, "/search/suggestions/?q=bit")
    assert re.findall(r'<li><a href="/symbols/([^/]*)/"', found)[0] == "BTC-USD"
    assert found.count("<li>") == 8
    assert 'name="first" value="bit"' in found
    response = await async_client.get("/search/?q=bit&first=bit")
    assert response["Location"] == "/symbols/BTC-USD/"
    assert (await async_client.get("/search/?q=eth&first=bit")).status_code == 200
    assert "results for “bit”" in unescape(found)
    assert '<bdi class="suggestion-name"><b>Bit</b>coin</bdi>' in found
    assert "101" in found
    assert await read(async_client, "/search/suggestions/?q=b") == ""


async def test_suggestions_for_a_chart_add_to_it_what_it_lacks(board: Any, async_client: Any):
    answer = await read(
        async_client, "/search/suggestions/?of=BTC-USD&range=1y&with=ETH-USD&add=ethereum"
    )
    links = re.findall(r'<a href="([^"]*)"', unescape(answer))
    assert links[0] == "?range=1y&with=ETH-USD&add=ETC-USD"
    assert not any(link.endswith("add=ETH-USD") for link in links)


async def test_a_typed_name_adds_its_symbol_to_the_chart(board: Any, async_client: Any):
    answer = await async_client.get("/symbols/BTC-USD/?range=1y&with=SPY&add=apple")
    assert 'name="chart" value="1y/BTC-USD,/SPY,/AAPL"' in answer.content.decode()
    assert answer["HX-Push-Url"] == "?range=1y&with=SPY%2CAAPL"


async def test_a_text_that_may_mean_several_symbols_stays_in_its_field_with_links_to_them(
    board: Any, async_client: Any
):
    answer = await async_client.get("/symbols/BTC-USD/?add=ethereum")
    page = unescape(answer.content.decode())
    assert 'name="add" value="ethereum"' in page
    assert "There is no symbol “ethereum”. Did you mean" in page
    assert '<a href="?add=ETH-USD">ETH-USD</a> (Ethereum)' in page
    assert "HX-Push-Url" not in answer


async def test_debug_mode_has_the_error_pages_of_django(board: Any, settings: Any):
    settings.DEBUG = True
    client = AsyncClient(enforce_csrf_checks=True)
    assert "CSRF verification failed" in (await client.post("/admin/login/")).content.decode()
    assert "Using the URLconf" in (await client.get("/nowhere/")).content.decode()


async def test_a_symbol_of_a_kind_that_another_program_stored_stops_no_page(
    board: Any, async_client: Any
):
    await Symbol.objects.filter(code="AAPL").aupdate(kind="")
    await board.reload()
    page = await read(async_client, "/boards/stock-market/")
    assert "AAPL" in rows(page)
    await read(async_client, "/symbols/AAPL/")


async def test_a_symbol_switched_off_is_as_missing_as_one_that_never_was(
    board: Any, async_client: Any
):
    def switch_off() -> None:
        Symbol.objects.filter(code="AAPL").update(active=False)

    await sync_to_async(switch_off)()
    await board.reload()
    off = await async_client.get("/symbols/AAPL/")
    never = await async_client.get("/symbols/NONE/")
    assert off.status_code == never.status_code == 404
    assert off.content.replace(b"AAPL", b"NONE") == never.content


async def test_pages_of_a_site_whose_requests_are_transactions(
    board: Any, async_client: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    for path in (*PAGES, "/search/?q=bit", "/symbols/AAPL/bars.csv", *scripts.ours()):
        assert (await async_client.get(path)).status_code == 200


async def test_too_many_symbols_are_refused_with_both_numbers(board: Any, async_client: Any):
    for path, limit in (("/live/", 1000), ("/embed/quotes/", 200)):
        many = ",".join(f"S{number}" for number in range(limit + 1))
        response = await async_client.get(f"{path}?symbols={many}")
        assert response.status_code == 400
        words = f"{limit + 1} symbols requested, at most {limit} are allowed"
        assert words in response.content.decode()


async def ask(path: str, query: bytes) -> int:
    """Send the whole application a request that no client library would send."""
    from quoteboard.asgi import application

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query,
        "headers": [(b"host", b"testserver")],
    }
    sent: list[dict[str, Any]] = []
    asked = [{"type": "http.request"}]

    async def receive() -> dict[str, Any]:
        if not asked:
            await asyncio.Event().wait()  # the client never disconnects
        return asked.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, receive, send)
    return int(sent[0]["status"])


def strange_query() -> st.SearchStrategy[bytes]:
    """Draw any bytes, or pairs of a name that our addresses use and any value."""
    known = ("q", "kind", "sort", "page", "symbols", "price", "panel", "board", "mark", "lang")
    names = st.sampled_from((*known, "theme", "opening"))
    values = st.one_of(
        st.text(max_size=20), st.sampled_from(("crypto", "-last", "BTC-USD,AAPL", "de", "2"))
    )
    pairs = st.lists(st.tuples(names, values), max_size=5)
    joined = pairs.map(lambda given: "&".join(f"{name}={value}" for name, value in given))
    return st.one_of(st.binary(max_size=60), joined.map(lambda text: text.encode("utf-8")))


def strange_examples(test: Any) -> Any:
    for query in STRANGE:
        test = example(query=query.encode())(test)
    return test


@pytest.mark.parametrize("path", ["/boards/crypto/", "/live/", "/embed/quotes/"])
@strange_examples
@given(query=strange_query())
@hypothesis_settings(
    examples(40), database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_no_query_is_an_error_of_ours(board: Any, path: str, query: bytes):
    assert await ask(path, query) in (200, 400, 404)


async def test_pages_are_only_read(board: Any, async_client: Any):
    for path in PAGES:
        head = await async_client.head(path)
        assert head.status_code == 200, path
        assert head.content == b"", path
        for method in (async_client.post, async_client.put, async_client.delete):
            assert (await method(path)).status_code == 405, path


# Headers


def directives(header: str) -> dict[str, list[str]]:
    given = (part.split() for part in header.split(";") if part.strip())
    return {name: values for name, *values in given}


async def test_every_page_has_the_strict_policy_of_the_settings(
    board: Any, async_client: Any, settings: Any
):
    wanted = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
    assert "unsafe" not in str(wanted)
    pages = (path for path in PAGES if "embed" not in path and "healthz" not in path)
    for path in [*pages, "/nowhere/", "/admin/login/"]:
        response = await async_client.get(path)
        policy = directives(response["Content-Security-Policy"])
        assert policy == {name: list(values) for name, values in wanted.items()}, path
        assert response["X-Frame-Options"] == "DENY", path
        assert response["X-Content-Type-Options"] == "nosniff", path


async def test_pages_need_nothing_that_the_policy_forbids(board: Any, async_client: Any):
    for path in PAGES:
        page = await read(async_client, path)
        page = re.sub(r'<link rel="canonical" [^>]*>', "", page)  # nothing is loaded from there
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|hx-on|javascript:|js:", page), path
        assert not re.search(r"<script(?![^>]*\ssrc=)", page), path
        assert not re.search(r'(?:src|href|hx-get|connect)="(?:https?:)?//', page), path


async def test_public_pages_set_no_cookie_and_are_the_same_with_and_without(
    board: Any, async_client: Any
):
    for path in [*PAGES, "/nowhere/"]:
        response = await async_client.get(path)
        assert not response.cookies, path
        assert "Cookie" not in response.get("Vary", ""), path


async def test_german_readers_get_german_numbers(board: Any, async_client: Any, make_quote: Any):
    fresh = board.store.clock()
    await tell(board, make_quote("BTC-USD", "64000.01", received_at=fresh))
    german = {"accept-language": "de-AT,de;q=0.9,en;q=0.5"}
    for path in ("/", "/boards/crypto/", "/symbols/BTC-USD/", "/embed/quotes/?symbols=BTC-USD"):
        response = await async_client.get(path, headers=german)
        page = response.content.decode()
        assert '<html lang="de"' in page, path
        assert "64.000,01" in page, path
        assert "lang=de" in page, path  # its socket and its retry are in German, too
        assert response["Content-Language"] == "de"
        assert "Accept-Language" in response["Vary"]
        assert "64,000.01" in await read(async_client, path, **{"accept-language": "fr"})


@pytest.mark.parametrize("path", ["/", "/boards/crypto/", "/nowhere/", "/embed/quotes/?lang=ar"])
async def test_a_page_in_arabic_goes_from_right_to_left(
    board: Any, async_client: Any, settings: Any, tmp_path: Path, path: str
):
    settings.LANGUAGES = [("en", "English"), ("ar", "Arabic")]
    settings.LOCALE_PATHS = [catalogue_of(tmp_path, "ar")]
    page = (await async_client.get(path, headers={"accept-language": "ar"})).content.decode()
    assert re.search(r'<html lang="ar" dir="rtl"[ >]', page)


FRENCH = ("/", "/boards/crypto/", "/symbols/BTC-USD/", "/embed/quotes/?symbols=BTC-USD&lang=fr")


@pytest.mark.parametrize("path", FRENCH)
async def test_a_page_in_a_language_without_our_texts_is_english_as_a_whole(
    board: Any, async_client: Any, settings: Any, make_quote: Any, path: str
):
    settings.LANGUAGES = global_settings.LANGUAGES
    await tell(board, make_quote("BTC-USD", "64000.01", received_at=board.store.clock()))
    response = await async_client.get(path, headers={"accept-language": "fr"})
    page = response.content.decode()
    assert '<html lang="en"' in page
    assert response["Content-Language"] == "en"
    assert "64,000.01" in page
    assert "Heure" not in page  # as Django's own catalogue calls the time


@pytest.mark.parametrize("path", FRENCH)
async def test_a_site_adds_a_language_with_a_catalogue_of_its_own(
    board: Any, async_client: Any, settings: Any, make_quote: Any, tmp_path: Path, path: str
):
    settings.LANGUAGES = global_settings.LANGUAGES
    settings.LOCALE_PATHS = [catalogue_of(tmp_path, "fr", Open="Ouvert", Connecting="Connexion")]
    await tell(board, make_quote("BTC-USD", "64000.01", received_at=board.store.clock()))
    page = await read(async_client, path, **{"accept-language": "fr"})
    assert '<html lang="fr"' in page
    assert "64\N{NO-BREAK SPACE}000,01" in unescape(page)
    assert "Connexion" in page


# Weight


async def test_a_board_of_50_rows_weighs_less_than_12_kb(board: Any, async_client: Any):
    page = await read(async_client, "/boards/crypto/")
    assert len(rows(page)) == 50
    assert len(gzip.compress(page.encode(), 6)) < 12_000


@pytest.mark.parametrize("path", ["/", "/boards/crypto/", "/symbols/BTC-USD/"])
async def test_style_and_scripts_weigh_less_than_25_kb_together(
    path: str, board: Any, async_client: Any, tmp_path: Path
):
    page = await read(async_client, path)
    loaded = re.findall(r'<link rel="stylesheet" href="/static/([^"]*)"', page)
    assert len(loaded) == len(set(loaded))
    collected = Storage(tmp_path)
    files = {}
    for name in {
        *loaded,
        "quotes/page.css",
        "quotes/theme.css",
        "quotes/quotes.css",
        "quotes/chart.css",
    }:
        collected.save(name, ContentFile(Path(finders.find(name)).read_bytes()))
        files[name] = None
    assert [error for *_, error in collected.post_process(files) if error is not True] == []
    loaded = [collected.hashed_files[name] for name in loaded]  # what pages load
    style = "".join((tmp_path / name).read_text() for name in loaded if name.endswith(".css"))
    assert "@import" not in style
    assert style.index("--quotes-ground:") < style.index(".live-quotes") < style.index(".skip")
    [script] = re.findall('<script type="module" src="([^"]*)" data-quotes></script>', page)
    scripts = await async_client.get(script, headers={"accept-encoding": "gzip"})
    weights = [len(gzip.compress((tmp_path / name).read_bytes(), 6)) for name in loaded]
    assert sum(weights) + len(scripts.content) < 25_000


# A page that shows "Not live"


async def test_the_answer_to_doubt_has_the_rows_a_new_socket_and_no_sign_of_life(
    board: Any, async_client: Any
):
    answer = await read(async_client, "/live/?board=crypto&symbols=ETH-USD,BTC-USD&lang=en")
    assert list(rows(answer)) == ["ETH-USD", "BTC-USD"]
    assert all('hx-swap-oob="outerMorph"' in row for row in rows(answer).values())
    assert "data-flash" not in answer
    pulse = re.search(r'<span [^>]*class="quotes-pulse[^>]*>', answer)
    assert pulse
    assert "pulse-late" in pulse[0]
    assert 'hx-swap-oob="outerMorph:.quotes-pulse"' in pulse[0]
    socket = re.search(r'<span [^>]*id="quotes-socket"[^>]*>', answer)
    assert socket
    assert 'hx-swap-oob="true"' in socket[0]
    assert 'hx-ws:connect="/ws/boards/crypto/?symbols=ETH-USD,BTC-USD&amp;lang=en"' in socket[0]
    assert "quotes-opener" not in answer


OPENING = "/live/?opening=1&symbols=AAPL,MSFT&symbols=TSLA&price=BTC-USD&price=BTC-USD&lang=en"


async def test_the_answer_to_the_tags_of_a_page_does_not_show_that_it_is_late(
    board: Any, async_client: Any
):
    answer = await read(async_client, OPENING)
    assert "pulse-opening" in answer
    assert "/ws/quotes/?symbols=AAPL,MSFT,TSLA&amp;price=BTC-USD&amp;lang=en" in answer


async def test_the_answer_to_the_tags_of_a_page_brings_the_end_of_the_page_once(
    board: Any, async_client: Any
):
    first = await read(async_client, OPENING)
    [end] = re.findall(r'<div id="quotes-end".*?</div>', first, re.DOTALL)
    assert "hx-swap-oob" not in end, "the opener puts it at the end of the body"
    assert re.findall(r'id="(quotes-[a-z]*)"', end) == [
        "quotes-end",
        "quotes-socket",
        "quotes-retry",
        "quotes-announcement",
    ]
    [(name, value)] = re.findall(r'class="quotes-watch" name="([^"]*)" value="([^"]*)"', end)
    later = await read(async_client, f"{OPENING}&{name}={value}")
    assert "quotes-end" not in later
    assert 'hx-swap-oob="true" id="quotes-socket"' in later


async def test_the_answer_to_the_tags_of_a_page_removes_the_openers_of_what_it_watches(
    board: Any, async_client: Any
):
    answer = await read(async_client, OPENING)
    assert re.findall(r'hx-swap-oob="delete:([^"]*)"', answer) == [
        ".quotes-watch[name='symbols'][value='AAPL\\00002cMSFT']+.quotes-opener",
        ".quotes-watch[name='symbols'][value='TSLA']+.quotes-opener",
        ".quotes-watch[name='price'][value='BTC-USD']+.quotes-opener",
    ]


async def test_a_page_of_a_board_that_changed_meanwhile_gets_its_new_rows(
    board: Any, async_client: Any
):
    answer = await read(async_client, "/live/?board=stock-market&symbols=AAPL&mark=old&page=2")
    assert '<tbody hx-swap-oob="outerMorph" id="quotes-rows">' in answer
    assert len(rows(answer)) == 50
    mark = board.listed.boards["stock-market"].mark
    assert f"&amp;mark={mark}" in answer


async def test_a_page_is_found_by_its_own_address(board: Any, async_client: Any):
    page = await read(async_client, "/boards/stock-market/?q=a&sort=-last&page=2")
    output = re.findall(r'class="quotes-watch" name="([^"]*)" value="([^"]*)"', page)
    response = await async_client.get("/live/", dict(output))
    answer = response.content.decode()
    assert list(rows(answer)) == list(rows(page))
    pattern = r'hx-ws:connect="([^"]*)"'
    assert re.findall(pattern, answer) == re.findall(pattern, page)


# Embedded in other sites


async def test_only_the_listed_origins_may_frame_an_embed(
    board: Any, async_client: Any, settings: Any
):
    path = "/embed/quotes/?symbols=BTC-USD,AAPL"
    response = await async_client.get(path)
    assert directives(response["Content-Security-Policy"])["frame-ancestors"] == ["'none'"]
    partners = ["https://partner.example", "https://bank.example:8443"]
    settings.QUOTES = settings.QUOTES | {"EMBED_ORIGINS": partners}
    for query in ("", "&theme=dark", "," + ",".join(f"S{number}" for number in range(300))):
        response = await async_client.get(path + query)
        policy = directives(response["Content-Security-Policy"])
        assert policy["frame-ancestors"] == partners
        assert policy["default-src"] == ["'none'"]
        assert "unsafe" not in response["Content-Security-Policy"]
        assert "X-Frame-Options" not in response
        assert not response.cookies


async def test_an_embed_has_its_symbols_theme_and_language_from_its_address(
    board: Any, async_client: Any
):
    page = await read(async_client, "/embed/quotes/?symbols=BTC-USD,NONE,AAPL&theme=dark&lang=de")
    assert list(rows(page)) == ["BTC-USD", "NONE", "AAPL"]
    assert 'data-condition="unknown"' in rows(page)["NONE"]
    assert '<html lang="de" data-theme="dark">' in page
    assert "NONE" in page
    assert "+1,00" in page
    assert "/admin/" not in page
    assert "csrf" not in page.lower()
    assert 'data-theme="auto"' in await read(async_client, "/embed/quotes/?theme=%22%3E%3Cb%3E")


async def test_an_embed_has_the_times_of_the_exchange_and_its_rate_from_its_address(
    board: Any, async_client: Any
):
    page = await read(async_client, "/embed/quotes/?symbols=BTC-USD&zone=exchange&rate=5")
    assert "zone=exchange&amp;rate=5" in page
    page = await read(async_client, "/embed/quotes/?symbols=BTC-USD&zone=Mars/Base&rate=1e9")
    assert 'name="zone"' not in page
    assert 'name="rate"' not in page


@pytest.mark.parametrize("zone", ["utc", "exchange"])
async def test_an_embed_that_chose_a_zone_names_it_beside_every_time(
    board: Any, async_client: Any, make_quote: Any, zone: str
):
    await tell(board, make_quote("BTC-USD", "64000.01", received_at=board.store.clock()))
    page = await read(async_client, f"/embed/quotes/?symbols=BTC-USD&zone={zone}")
    assert re.search(r'data-field="time"[^>]*>[\d:]+ UTC<', page)


async def test_links_of_an_embed_leave_its_frame(board: Any, async_client: Any):
    page = await read(async_client, "/embed/quotes/?symbols=BTC-USD")
    links = re.findall(r"<a [^>]*>", page)
    assert links
    assert all('target="_top"' in link or 'target="_blank"' in link for link in links)
