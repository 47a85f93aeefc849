"""The fixture `live_quotes`, as the tests of a site use it."""

from __future__ import annotations

import logging
import socket
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.template import Context, Template
from django.utils import translation

from quotes import live
from quotes.models import Board, BoardSymbol, LastQuote, Symbol
from quotes.quote.wire import to_wire
from quotes.testing.market import LiveQuotes

TAGS = '{% load quotes %}{% live_quotes "BTC-USD" "AAPL" %}<p>{% live_quote "BTC-USD" %}</p>'


def paint(tags: str = TAGS) -> str:
    """Return the HTML of a site's template."""
    return Template(tags).render(Context())


def make_symbols() -> None:
    Symbol.objects.create(code="BTC-USD", name="Bitcoin", kind="crypto", currency="USD")
    Symbol.objects.create(
        code="AAPL", name="Apple Inc.", kind="stock", currency="USD", exchange="NASDAQ"
    )


@pytest.fixture
def market(live_quotes: LiveQuotes) -> LiveQuotes:
    """The fixture, with Bitcoin and Apple in the database."""
    make_symbols()
    return live_quotes


def test_a_page_shows_the_price_that_was_pushed_before_it_was_opened(market: LiveQuotes):
    market.push("BTC-USD", "64000.01")
    page = market.open(paint())
    assert page.first["BTC-USD"]["last"] == "64,000.01"
    assert page["BTC-USD"].last == Decimal("64000.01")
    assert [each.symbol for each in page.first.fragments] == ["BTC-USD", "AAPL", "BTC-USD"]


def test_an_open_page_receives_a_price_at_once_at_all_places_of_its_symbol(market: LiveQuotes):
    page = market.open(paint())
    page.read()
    market.push("BTC-USD", "64001", reference="63000")
    [message] = page.read()
    assert [each["last"] for each in message.fragments] == ["64,001.00", "64,001.00"]
    assert message["BTC-USD"]["change-percent"] == "+1.59%"
    assert page["BTC-USD"].way == "up"
    assert page["AAPL"].last is None
    assert page.read() == []


def test_a_page_receives_nothing_of_a_symbol_that_it_does_not_show(market: LiveQuotes):
    page = market.open(paint('{% load quotes %}{% live_quote "AAPL" %}'))
    page.read()
    market.push("BTC-USD", "64001")
    assert page.read() == []


def test_the_first_message_shows_everything_again(market: LiveQuotes):
    market.push("AAPL", "101")
    page = market.open(paint())
    market.push("AAPL", "102")
    first, second = page.messages
    assert first["AAPL"]["last"] == "101.00"
    assert second["AAPL"]["last"] == "102.00"


def test_several_pages_are_open_at_once(market: LiveQuotes):
    pages = [market.open(paint()) for _ in range(3)]
    market.push("AAPL", "101")
    assert [page["AAPL"]["last"] for page in pages] == ["101.00"] * 3


def test_our_own_pages_are_opened_from_the_answers_to_a_client(market: LiveQuotes, client: Any):
    board = Board.objects.create(slug="coins", title="Coins")
    BoardSymbol.objects.create(board=board, symbol=Symbol.objects.get(code="BTC-USD"), position=1)
    paths = ("/", "/boards/coins/", "/symbols/BTC-USD/", "/embed/quotes/?symbols=BTC-USD")
    pages = [market.open(client.get(path)) for path in paths]
    market.push("BTC-USD", "64001")
    assert [page["BTC-USD"]["last"] for page in pages] == ["64,001.00"] * 4


def test_a_page_keeps_its_language(market: LiveQuotes, client: Any):
    page = market.open(client.get("/embed/quotes/?symbols=BTC-USD&lang=de"))
    market.push("BTC-USD", "64001.5")
    assert page["BTC-USD"]["last"] == "64.001,50"
    with translation.override("de"):
        html = paint()
    page = market.open(html)
    market.push("BTC-USD", "64002.5")
    assert page["BTC-USD"]["last"] == "64.002,50"


def test_a_page_of_a_site_with_htmx_2_is_opened_too(market: LiveQuotes, settings: Any):
    settings.QUOTES = settings.QUOTES | {"HTMX": 2}
    page = market.open(paint())
    market.push("BTC-USD", "64002.5")
    assert page["BTC-USD"]["last"] == "64,002.50"
    assert "outerMorph" not in page.messages[-1].html


def test_all_that_follows_from_a_quote_has_happened_after_it(market: LiveQuotes, client: Any):
    market.open(client.get("/symbols/AAPL/"))
    market.push("AAPL", "101")  # after the first quote of a symbol, its figures are read
    assert market.live.tasks.running == set()


def test_figures_come_only_from_candles_of_the_test(market: LiveQuotes, client: Any):
    market.push("AAPL", "101")  # simulated: outside of tests, its candles would be made
    page = market.open(client.get("/symbols/AAPL/"))
    assert page["AAPL"]["last"] == "101.00"
    assert "year-low" not in page["AAPL"].fields


def test_the_clock_stands_still_until_a_test_moves_it(market: LiveQuotes):
    market.push("BTC-USD", "64001")
    page = market.open(paint())
    assert page["BTC-USD"].condition == "live"
    assert "15:00:00" in page.first.text
    market.clock.shift(minutes=20)
    assert page["BTC-USD"].condition == "stale"
    assert page["BTC-USD"]["state"] == "20 min old"
    market.push("BTC-USD", "64001")
    assert page["BTC-USD"].condition == "live"


def test_markets_open_and_close_by_the_clock(market: LiveQuotes):
    page = market.open(paint())
    market.push("AAPL", "101")
    assert page["AAPL"].condition == "live"
    market.clock.move_to(datetime(2026, 3, 7, 15, tzinfo=UTC))  # a Saturday
    assert page["AAPL"].condition == "closed"
    assert "Closed" in page["AAPL"].text


def test_a_clock_without_a_time_zone_is_refused(market: LiveQuotes):
    with pytest.raises(ValueError, match=r"has no time zone: use datetime\(…, tzinfo=UTC\)"):
        market.clock.move_to(datetime(2026, 3, 7, 15))


def test_prices_stop_until_the_next_quote(market: LiveQuotes, caplog: pytest.LogCaptureFixture):
    page = market.open(paint())
    assert page.condition == "live"
    with caplog.at_level(logging.ERROR, "quotes"):
        market.stop_prices()
        assert page.condition == "stopped"
        market.push("AAPL", "101")
    assert page.condition == "live"


def test_a_quote_has_the_provider_and_the_times_that_it_is_given(market: LiveQuotes):
    given = market.push("AAPL", "101", provider="yahoo", bid="100.5", delay=900)
    assert (given.provider, given.bid, given.delay) == ("yahoo", Decimal("100.5"), 900)
    assert given.time == market.clock.now
    assert "Delayed 15 min" in market.open(paint()).first["AAPL"].text


def test_a_pushed_quote_replaces_that_of_the_database(market: LiveQuotes):
    stored = market.push("AAPL", "99")
    wire = to_wire(stored)
    LastQuote.objects.create(
        symbol=Symbol.objects.get(code="AAPL"), epoch=2_000_000_000, batch=9, wire=wire
    )
    market.push("AAPL", "101")
    assert market.open(paint())["AAPL"]["last"] == "101.00"


def test_a_symbol_that_is_switched_off_disappears_from_an_open_page(market: LiveQuotes):
    market.push("AAPL", "101")
    page = market.open(paint())
    Symbol.objects.filter(code="AAPL").update(active=False)
    market.push("BTC-USD", "64001")
    assert page["AAPL"].condition == "unknown"
    assert "Unknown symbol: AAPL" in page["AAPL"].text


def test_a_symbol_is_known_to_the_next_request_of_a_client(live_quotes: LiveQuotes, client: Any):
    make_symbols()
    assert "Apple Inc." in client.get("/embed/quotes/?symbols=AAPL").content.decode()


def test_no_provider_runs_and_nothing_is_left(db: None):
    make_symbols()
    with LiveQuotes() as market:
        market.push("BTC-USD", "64001")
        market.open(paint())
        assert market.live.writer is None
        assert market.live.tasks.running == set()
    assert live.current() is None
    assert market.live.hub.watches == {}
    assert Symbol.objects.count() == 2  # over the same connection, which is still open


def test_another_machine_can_not_be_reached(market: LiveQuotes):
    with pytest.raises(RuntimeError, match=r"not to 'api\.kraken\.com'"):
        socket.create_connection(("api.kraken.com", 443))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda market: market.push("BTC", "1"),
            LookupError,
            "there is no active symbol 'BTC' in the database of this test, only: AAPL, BTC-USD. Cr",
        ),
        (
            lambda market: market.push("AAPL", 101.5),
            TypeError,
            'last is 101.5, must be a text or a Decimal: "101.5"',
        ),
        (
            lambda market: market.push("AAPL", "101,5"),
            ValueError,
            "last is '101,5', must be a number, such as \"64000.01\"",
        ),
        (
            lambda market: market.push("AAPL", "101", ask=1.5),
            TypeError,
            'ask is 1.5, must be a text or a Decimal: "1.5"',
        ),
        (
            lambda market: market.push("AAPL", "101", offer="1"),
            TypeError,
            "a quote has no 'offer', only: source_time, bid, ask,",
        ),
        (
            lambda market: market.open("<h1>Welcome</h1>"),
            ValueError,
            "use a tag such as {% live_quote %} in it. It begins with: '<h1>Welcome</h1>'",
        ),
        (
            lambda market: market.open(paint())["ETH-USD"],
            LookupError,
            "the page shows no symbol 'ETH-USD', only: BTC-USD, AAPL",
        ),
        (
            lambda market: market.open(paint())["AAPL"]["volume"],
            LookupError,
            "AAPL shows no field 'volume', only: last, change-percent, time, state",
        ),
    ],
)
def test_an_error_states_what_was_given_and_what_is_there(
    market: LiveQuotes, call: Any, error: type[Exception], words: str
):
    with pytest.raises(error) as raised:
        call(market)
    assert words in str(raised.value)


def test_a_page_that_is_an_error_is_not_opened(market: LiveQuotes, client: Any):
    with pytest.raises(ValueError, match="the page answers 404, must be 200"):
        market.open(client.get("/symbols/NOTHING/"))


def test_a_refused_socket_states_the_cause(market: LiveQuotes, settings: Any):
    settings.ALLOWED_HOSTS = ["shop.example"]
    with pytest.raises(ConnectionError, match=r"/ws/quotes/\S+ is refused with 403: Pages of"):
        market.open(paint())


@pytest.mark.django_db(transaction=True)
async def test_an_async_test_uses_the_same_calls(live_quotes: LiveQuotes, async_client: Any):
    await sync_to_async(make_symbols)()
    live_quotes.push("BTC-USD", "64000")
    page = live_quotes.open(await async_client.get("/symbols/BTC-USD/"))
    live_quotes.push("BTC-USD", "64001")
    assert page["BTC-USD"]["last"] == "64,001.00"
