"""Held prices in the admin: operators accept and reject them, and nobody else does."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from quotes.feed import records
from quotes.live import journal, lease
from quotes.models import HeldPrice, Symbol
from quotes.quote.wire import to_wire
from tests.groups import make_groups

LIST = "/admin/quotes/heldprice/"
MakeQuote = Callable[..., Any]


def member(name: str, group: str) -> Client:
    """Log in as somebody of a group of the staff."""
    make_groups()
    user = User.objects.create(username=name, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def alice(db: None) -> Client:
    return member("alice", "Quotes operator")


@pytest.fixture
def bob(db: None) -> Client:
    return member("bob", "Quotes operator")


@pytest.fixture
def hold(db: None, make_quote: MakeQuote) -> Callable[..., HeldPrice]:
    """Hold a price of a share, as the feed does."""

    def hold(code: str = "AAPL", at: datetime | None = None, **more: Any) -> HeldPrice:
        given = {"name": code, "kind": "stock", "currency": "USD"}
        symbol, _ = Symbol.objects.get_or_create(code=code, defaults=given)
        quote = make_quote(code, "27.30", provider="yahoo", received_at=at or timezone.now())
        known = {"last": "27.30", "before": "109.20", "limit": "0.3", "outcome": "waits"}
        return HeldPrice.objects.create(
            symbol=symbol,
            at=quote.received_at,
            provider="yahoo",
            currency="USD",
            wire=to_wire(quote),
            **known | more,
        )

    return hold


def decide(client: Client, action: str, *rows: HeldPrice) -> str:
    """Choose an action for rows of the list; return what the next page says about it."""
    chosen = {"action": action, "_selected_action": [row.pk for row in rows]}
    page = client.post(LIST, chosen, follow=True).content.decode()
    return " ".join(text(each) for each in re.findall(r"<li\s+class=.*?</li>", page, re.DOTALL))


def text(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def decisions() -> list[tuple[str, bool]]:
    """Return what a feed reads."""
    return [(each.symbol, each.accepts) for each in records.load_decisions()]


def test_a_row_says_what_an_operator_must_know(alice: Client, hold: Callable[..., HeldPrice]):
    row = hold()
    expected = "27.30 USD −75.00% waiting for confirmation jump of more than 30% from 109.20 yahoo"
    assert expected in text(alice.get(LIST).content.decode())
    page = text(alice.get(f"{LIST}{row.pk}/change/").content.decode())
    assert "jump of more than 30%" in page
    assert "Reject: the feed goes on to hold back this price" in page


@pytest.mark.parametrize(("action", "accepts"), [("accept", True), ("reject", False)])
@pytest.mark.django_db(transaction=True)
def test_a_decision_reaches_the_feed_and_the_history(
    alice: Client, hold: Callable[..., HeldPrice], action: str, accepts: bool
):
    apple, microsoft, other = hold(), hold("MSFT"), hold("TSLA")
    number = lease.changes()
    said = decide(alice, action, apple, microsoft)
    label = action.capitalize()
    assert f"“{label}” was sent to the feed for 2 prices." in said
    assert decisions() == [("AAPL", accepts), ("MSFT", accepts)]
    changed = journal.since(number)
    assert changed
    assert changed.symbols == {apple.symbol_id, microsoft.symbol_id}
    entry = LogEntry.objects.get(object_id=str(apple.symbol_id))
    assert entry.user.get_username() == "alice"
    history = f"/admin/quotes/symbol/{apple.symbol_id}/history/"
    shown = text(alice.get(history).content.decode())
    assert f"“{label}” for the held price 27.30 USD of yahoo." in shown
    german = text(alice.get(history, headers={"accept-language": "de"}).content.decode())
    assert "“ für den zurückgehaltenen Kurs 27.30 USD von yahoo." in german
    assert "waits for the feed" in text(alice.get(LIST).content.decode())
    other.refresh_from_db()
    assert other.decided_at is None


def test_the_second_of_two_operators_is_told(
    alice: Client, bob: Client, hold: Callable[..., HeldPrice]
):
    row = hold()
    decide(alice, "accept", row)
    said = decide(bob, "reject", row)
    assert "AAPL 27.30 USD was left as it is: waiting for confirmation; “accept” by alice" in said
    assert decisions() == [("AAPL", True)]
    assert LogEntry.objects.count() == 1


@pytest.mark.parametrize("outcome", ["confirmed", "dropped", "no_price", "crossed", "accepted"])
def test_a_price_that_is_no_longer_held_can_not_be_decided(
    alice: Client, hold: Callable[..., HeldPrice], outcome: str
):
    row = hold(outcome=outcome)
    for action in ("accept", "reject"):
        assert "AAPL 27.30 USD was left as it is" in decide(alice, action, row)
    assert decisions() == []
    assert 'name="action"' not in page_of(alice, row)


def test_a_rejection_is_undone_until_it_ends(alice: Client, hold: Callable[..., HeldPrice]):
    now = timezone.now()
    by = {"decision": "reject", "decided_by": "bob", "decided_at": now, "outcome": "rejected"}
    lasts = hold(until=now + timedelta(hours=5), **by)
    ended = hold("MSFT", until=now - timedelta(seconds=5), **by)
    assert "rejected by bob until" in page_of(alice, lasts)
    assert re.findall(r'name="action" value="(\w+)"', page_of(alice, lasts)) == ["accept"]
    assert "rejected by bob, ended" in page_of(alice, ended)
    assert "was left as it is: rejected by bob until" in decide(alice, "reject", lasts)
    said = decide(alice, "accept", lasts, ended)
    assert "“Accept” was sent to the feed for 1 price." in said
    assert "MSFT 27.30 USD was left as it is: rejected by bob, ended" in said
    assert decisions() == [("AAPL", True)]


def page_of(client: Client, row: HeldPrice) -> str:
    return client.get(f"{LIST}{row.pk}/change/").content.decode()


@pytest.mark.parametrize("group", ["Quotes viewer", "Quotes editor"])
def test_those_without_the_permission_see_no_action_and_change_nothing(
    hold: Callable[..., HeldPrice], group: str
):
    row, carol = hold(), member("carol", group)
    page = carol.get(LIST).content.decode() + page_of(carol, row)
    assert 'name="action"' not in page
    assert "held-help" not in page
    for action in ("accept", "reject", "delete_selected"):
        decide(carol, action, row)
        chosen = {"index": 0, "post": "yes", "_selected_action": row.pk, "action": action}
        carol.post(LIST, chosen)
        carol.post(f"{LIST}{row.pk}/change/", chosen | {"decision": "accept", "_save": "1"})
    assert decisions() == []
    assert LogEntry.objects.count() == 0
    assert HeldPrice.objects.filter(decided_at=None).count() == 1


def test_the_buttons_of_a_price_decide_about_it(alice: Client, hold: Callable[..., HeldPrice]):
    row = hold()
    hold("MSFT")
    form = page_of(alice, row).partition('class="decide"')[2].partition("</form>")[0]
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
    buttons = re.findall(r'name="action" value="(\w+)">(\w+)<', form)
    assert buttons == [("accept", "Accept"), ("reject", "Reject")]
    alice.post(LIST, fields | {"action": "reject"})
    assert decisions() == [("AAPL", False)]


def test_many_prices_cost_no_query_each_and_few_words(
    alice: Client, hold: Callable[..., HeldPrice]
):
    counts = []
    for number in range(1, 31):
        hold(f"C{number}", at=timezone.now() - timedelta(minutes=number), outcome="confirmed")
        if number in (3, 30):
            with CaptureQueriesContext(connection) as queries:
                alice.get(LIST)
            counts.append(len(queries))
    assert counts[0] == counts[1]
    said = decide(alice, "accept", *HeldPrice.objects.all())
    assert said.count("was left as it is:") == 5
    assert "25 more were left as they are." in said


@pytest.mark.django_db(transaction=True)
def test_a_deletion_reaches_the_feed_and_the_history(alice: Client, hold: Callable[..., HeldPrice]):
    now = timezone.now()
    by = {"decision": "reject", "decided_by": "bob", "decided_at": now, "outcome": "rejected"}
    rows = [hold(code, until=now + timedelta(hours=5), **by) for code in ("AAPL", "MSFT")]
    number = lease.changes()
    decide(alice, "delete_selected", rows[0])
    alice.post(LIST, {"action": "delete_selected", "_selected_action": rows[0].pk, "post": "yes"})
    alice.post(f"{LIST}{rows[1].pk}/delete/", {"post": "yes"})
    assert decisions() == []
    changed = journal.since(number)
    assert changed
    assert changed.symbols == {row.symbol_id for row in rows}
    history = alice.get(f"/admin/quotes/symbol/{rows[0].symbol_id}/history/").content.decode()
    assert "Deleted." in text(history)
