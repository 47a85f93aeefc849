"""Symbols are compared with their sources again, some on each page, with what was found."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client

from quotes.models import ProviderSymbol, Symbol
from tests.groups import make_groups
from tests.servers import Stub

SYMBOLS = "/admin/quotes/symbol/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def coinbase(coinbase: Stub) -> Stub:
    """A site with prices of Coinbase, whose list was read."""
    call_command("instruments", "--store", verbosity=0)
    return coinbase


def add(code: str, at_coinbase: str, currency: str = "USD") -> Symbol:
    symbol = Symbol.objects.create(code=code, name=code, kind="crypto", currency=currency)
    if at_coinbase:
        ProviderSymbol.objects.create(symbol=symbol, provider="coinbase", code=at_coinbase)
    return symbol


def check(client: Client, **more: Any) -> Any:
    keys = [*Symbol.objects.values_list("pk", flat=True)]
    return client.post(SYMBOLS, {"action": "check_again", "_selected_action": keys, **more})


def check_more(client: Client, page: Any) -> Any:
    """Press the button of a page that checks the next symbols."""
    inputs = re.findall(
        r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.content.decode()
    )
    given: dict[str, list[str]] = {}
    for name, value in inputs:
        given.setdefault(name, []).append(unescape(value))
    return client.post(SYMBOLS, given)


def text(response: Any) -> str:
    page = response.content.decode()
    main = page[page.index('<main id="content-start"') :] if "content-start" in page else page
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


def test_each_symbol_with_something_against_it_is_shown(admin_client: Client, coinbase: Stub):
    add("BTC-USD", "BTC-USD")
    add("ETH-EUR", "ETH-USD", "EUR")
    add("NOPE-USD", "NOPE-USD")
    add("SOL-USD", "")
    shown = text(check(admin_client))
    assert "4 of 4 symbols are checked." in shown
    assert "BTC-USD" not in shown
    assert "Coinbase has the prices of “ETH-USD” in USD, not in EUR." in shown
    assert "Coinbase does not know the code “NOPE-USD”" in shown
    assert "SOL-USD No provider of this site with real prices has a code for it." in shown
    assert "Check" not in shown.partition("symbols are checked")[2]


def test_a_source_that_does_not_answer_is_named(admin_client: Client, coinbase: Stub):
    add("BTC-USD", "BTC-USD")
    coinbase.ask("/_mode?to=maintenance")
    assert "Coinbase did not answer, so BTC-USD was not checked" in text(check(admin_client))


def test_many_symbols_are_checked_some_at_a_time(
    admin_client: Client, coinbase: Stub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("quotes.admin.checking.AT_ONCE", 2)
    for number, code in enumerate(("NOPE-USD", "BTC-USD", "ETH-USD")):
        add(f"S{number}", code)
    page = check(admin_client)
    assert "2 of 3 symbols are checked." in text(page)
    assert "Check 1 more" in page.content.decode()
    page = check_more(admin_client, page)
    shown = text(page)
    assert "3 of 3 symbols are checked." in shown
    assert "each has a price. Found before: S0" in shown
    assert "more" not in shown.partition("checked")[2]


def test_a_viewer_requests_nothing(client: Client, coinbase: Stub):
    make_groups()
    add("NOPE-USD", "NOPE-USD")
    for group, allowed in (("viewer", False), ("editor", True)):
        user = User.objects.create(username=group, is_staff=True)
        user.groups.add(Group.objects.get(name=f"Quotes {group}"))
        client.force_login(user)
        assert ("does not know the code" in text(check(client))) is allowed
        assert ('value="check_again"' in client.get(SYMBOLS).content.decode()) is allowed
