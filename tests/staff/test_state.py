"""The home page of the admin states whether prices arrive, from where, and what has none."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from math import inf
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from quotes import formats
from quotes.feed.batch import Batch
from quotes.live import beat, layer
from quotes.models import FeedLease, HeldPrice, LastQuote, Symbol
from quotes.quote.wire import to_wire
from tests.servers import until

HOME = "/admin/"


@pytest.fixture
def operator(transactional_db: None) -> User:
    """An operator of the site."""
    return User.objects.create(username="alice", is_staff=True, is_superuser=True)


@pytest.fixture
def client(operator: User) -> Client:
    """The operator's browser."""
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def live_client(operator: User, live_parts: Any) -> AsyncClient:
    """The operator's browser, at a process with live parts."""
    client = AsyncClient()
    client.force_login(operator)
    return client


def verdicts(page: str) -> list[tuple[str, str]]:
    """Return the verdicts of a page, each with its state."""
    found = re.findall(r'<li class="(good|bad)">(.*?)</li>', page, re.DOTALL)
    return [(state, unescape(re.sub(r"<[^>]*>", "", text))) for state, text in found]


def of_home(client: Client, **headers: str) -> list[tuple[str, str]]:
    """Return the verdicts of the home page."""
    return verdicts(client.get(HOME, headers=headers).content.decode())


def lead() -> None:
    """Let a feed run, as far as the database shows."""
    later = timezone.now() + timedelta(minutes=1)
    FeedLease.objects.update_or_create(pk=1, defaults={"holder": "feed", "expires_at": later})


def test_it_states_in_the_language_of_the_operator_that_no_feed_runs(client: Client):
    assert ("bad", "No feed runs. “manage.py doctor” reports why.") in of_home(client)
    german = of_home(client, **{"accept-language": "de"})
    assert ("bad", "Es läuft kein Feed. „manage.py doctor“ nennt den Grund.") in german
    lead()
    assert ("good", "The feed runs") in of_home(client)


def test_symbols_without_a_price_are_counted_and_listed(
    client: Client, make_quote: Callable[..., Any]
):
    assert ("bad", "No symbol is active") in of_home(client)
    for code in ("AAPL", "MSFT", "NVDA"):
        Symbol.objects.create(code=code, name=code, kind="stock", currency="USD")
    Symbol.objects.create(code="OFF", name="Off", kind="stock", currency="USD", active=False)
    apple = Symbol.objects.get(code="AAPL")
    LastQuote.objects.create(symbol=apple, epoch=1, batch=1, wire=to_wire(make_quote("AAPL", "5")))
    assert ("bad", "2 symbols have no price") in of_home(client)
    [link] = re.findall(r'<a href="([^"]*)">2 symbols', client.get(HOME).content.decode())
    listed = client.get(unescape(link)).content.decode()
    assert re.findall(r'field-code"><a [^>]*>([^<]*)<', listed) == ["MSFT", "NVDA"]
    chosen = re.findall(r'<li class="selected">\s*<a [^>]*>([^<]*)<', listed)
    assert [each.strip() for each in chosen][:2] == ["no price", "All"]  # and any activity
    Symbol.objects.filter(code__in=("MSFT", "NVDA")).delete()
    assert ("good", "All symbols have a price") in of_home(client)


@pytest.mark.parametrize(
    ("language", "shown"),
    [("en", "1,200 symbols have no price"), ("de", "1.200 Symbole haben keinen Kurs")],
)
def test_many_symbols_without_a_price_are_counted_with_separators(
    client: Client, language: str, shown: str
):
    known = {"name": "A fund", "kind": "fund", "currency": "USD"}
    Symbol.objects.bulk_create(Symbol(code=f"F{number}", **known) for number in range(1200))
    assert ("bad", shown) in of_home(client, **{"accept-language": language})


def test_held_prices_that_wait_are_counted_and_linked(client: Client):
    for code, outcome in (("AAPL", "waits"), ("MSFT", "waits"), ("NVDA", "dropped")):
        symbol = Symbol.objects.create(code=code, name=code, kind="stock", currency="USD")
        HeldPrice.objects.create(
            symbol=symbol,
            at=timezone.now(),
            provider="coinbase",
            last="5",
            currency="USD",
            outcome=outcome,
        )
    assert ("bad", "2 held prices wait for confirmation") in of_home(client)
    german = of_home(client, **{"accept-language": "de"})
    assert ("bad", "2 zurückgehaltene Kurse warten auf Bestätigung") in german
    [link] = re.findall(r'<a href="([^"]*)">2 held', client.get(HOME).content.decode())
    listed = client.get(unescape(link)).content.decode()
    assert sorted(re.findall(r"field-symbol[^>]*><a [^>]*>([^<]*)<", listed)) == ["AAPL", "MSFT"]
    HeldPrice.objects.update(outcome="confirmed")
    assert not [text for _, text in of_home(client) if "held" in text]


def test_it_costs_four_queries_of_any_number_of_symbols(client: Client):
    with CaptureQueriesContext(connection) as queries:
        client.get(HOME)
    assert len([each for each in queries if "quotes_" in each["sql"]]) == 4


@pytest.mark.parametrize(("right", "shown"), [("view", True), ("change", True), ("add", False)])
def test_it_is_for_those_who_may_see_symbols(
    client: Client, operator: User, right: str, shown: bool
):
    create_permissions(apps.get_app_config("quotes"), verbosity=0)
    User.objects.update(is_superuser=False)
    assert of_home(client) == []
    operator.user_permissions.set(Permission.objects.filter(codename=f"{right}_symbol"))
    assert bool(of_home(client)) == shown
    assert client.get(HOME).status_code == 200


async def test_sources_that_fail_are_named_with_the_time(live_client: AsyncClient, live_parts: Any):
    await layer.send_batch(1, Batch(1, [], {}))
    await until(lambda: live_parts.beat.heard_at)
    page = (await live_client.get(HOME)).content.decode()
    assert ("good", "All providers work") in verdicts(page)
    since = timezone.now()
    await layer.send_batch(1, Batch(2, [], {"coinbase": since}))
    await until(lambda: live_parts.store.outages)
    page = (await live_client.get(HOME)).content.decode()
    at = formats.clock_or_day(since, timezone.now())
    words = f"Prices from Coinbase unavailable since {at} UTC"
    assert ("bad", words) in verdicts(page)
    assert ("good", "All providers work") not in verdicts(page)


async def test_prices_that_stopped_are_reported_with_the_time(
    live_client: AsyncClient, live_parts: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(beat, "LIMIT", 0.0)
    await until(lambda: live_parts.store.stopped_at)
    page = (await live_client.get(HOME)).content.decode()
    at = formats.clock_or_day(live_parts.store.stopped_at, timezone.now())
    words = f"Prices stopped at {at} UTC"
    assert ("bad", words) in verdicts(page)
    assert ("good", "All providers work") not in verdicts(page)


async def test_times_of_another_day_have_their_day(
    live_client: AsyncClient, live_parts: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(beat, "LIMIT", inf)  # it stopped long ago, not just now
    at = live_parts.store.stopped_at = timezone.now() - timedelta(days=3)
    live_parts.store.outages["coinbase"] = at
    with translation.override("en"):  # a test before this one may have left another language
        written = formats.day_and_time(at, timezone.now())
    page = (await live_client.get(HOME)).content.decode()
    assert ("bad", f"Prices stopped at {written} UTC") in verdicts(page)
    assert ("bad", f"Prices from Coinbase unavailable since {written} UTC") in verdicts(page)


async def test_a_process_that_has_not_heard_the_feed_does_not_vouch_for_providers(
    live_client: AsyncClient, live_parts: Any
):
    assert live_parts.beat.heard_at is None
    page = (await live_client.get(HOME)).content.decode()
    assert ("good", "All providers work") not in verdicts(page)
