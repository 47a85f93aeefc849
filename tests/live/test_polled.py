"""Requests of a WSGI server: each reads the database, and nothing keeps running after it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from quotes import live
from quotes.live import lease, polled
from quotes.models import LastQuote, Symbol
from quotes.quote.wire import to_wire

PAGES = ["/", "/boards/none/", "/symbols/AAPL/", "/search/?q=a", "/embed/quotes/?symbols=AAPL"]


def our_threads() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name.startswith("quotes")}


@pytest.fixture
def tick(transactional_db: None, make_quote: Callable[..., Any]) -> Callable[[str], None]:
    """Return what stores a price of AAPL, as the feed of another process does."""
    aapl = Symbol.objects.create(code="AAPL", name="Apple", kind="stock", currency="USD")

    def store(last: str) -> None:
        wire = to_wire(make_quote("AAPL", last, received_at=timezone.now()))
        LastQuote.objects.update_or_create(
            symbol=aapl, defaults={"epoch": 1, "batch": 1, "wire": wire}
        )

    store("101")
    return store


def test_each_request_shows_the_price_that_is_stored_now(client: Client, tick: Any):
    for last in ("101", "102", "103"):
        tick(last)
        assert f'value="{last}"' in client.get("/live/?price=AAPL").content.decode()
        assert f'value="{last}"' in client.get("/symbols/AAPL/").content.decode()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_asks_for_no_socket_and_leaves_nothing_running(client: Client, tick: Any, path: str):
    before = our_threads()
    page = client.get(path).content.decode()
    assert "hx-ws:connect" not in page
    assert live.current() is None
    assert our_threads() <= before
    assert ('hx-trigger="load, ' in page) == ("none" not in path)


def test_an_answer_states_how_often_the_page_is_refreshed_and_takes_turns(
    client: Client, tick: Any
):
    assert lease.take("another process")
    first = client.get("/live/?opening=1&price=AAPL&lang=de").content.decode()
    assert "pulse-polled turn-1" in first
    assert "Alle 15 s aktualisiert" in first
    assert "/live/?lang=de&amp;turn=2" in first
    second = client.get("/live/?lang=de&turn=2&price=AAPL").content.decode()
    assert "pulse-polled turn-2" in second
    assert "/live/?lang=de&amp;turn=1" in second
    assert "ws/quotes" not in first + second


def test_without_a_feed_prices_have_stopped_when_the_newest_arrived(client: Client, tick: Any):
    arrived = LastQuote.objects.get().quote.received_at
    answer = client.get("/live/?price=AAPL").content.decode()
    assert "pulse-stopped" in answer
    assert f'datetime="{timezone.localtime(arrived).isoformat(timespec="seconds")}"' in answer
    assert client.get("/readyz").status_code == 503


def test_the_log_states_once_what_to_do_if_this_server_can_not_run_the_feed(
    client: Client, tick: Any, settings: Any, caplog: pytest.LogCaptureFixture
):
    polled._explain.cache_clear()
    settings.QUOTES = settings.QUOTES | {"FEED": "inline"}
    for _ in "ab":
        client.get("/live/?price=AAPL")
    [message] = [each for each in caplog.messages if "WSGI" in each]
    assert "run manage.py runfeed beside it" in message


def test_tags_of_our_own_pages_need_no_connection_of_the_event_loop(
    client: Client, tick: Any, settings: Any
):
    """Django refuses to use the database there, and the page would be an error 500."""
    [given] = settings.TEMPLATES
    without_request = {"context_processors": []}
    settings.TEMPLATES = [given | {"OPTIONS": without_request}]
    assert client.get("/symbols/AAPL/").status_code == 200
