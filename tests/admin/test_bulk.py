"""Many symbols are changed at once in the admin: after a preview, in one write, with an undo."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from quotes.live import journal, lease
from quotes.live.missing import switch_off
from quotes.models import Board, BulkChange, HistoryEntry, ProviderSymbol, Symbol
from tests.groups import make_groups

SYMBOLS = "/admin/quotes/symbol/"
RECENT = "/admin/quotes/bulkchange/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def shares() -> dict[str, Symbol]:
    """Three shares of a board, and bitcoin on no board; with codes of two providers."""
    board = Board.objects.create(slug="shares", title="Shares")
    Board.objects.create(slug="new", title="New", position=1)
    found = {}
    for code, kind in (
        ("AAPL", "stock"),
        ("MSFT", "stock"),
        ("NVDA", "stock"),
        ("BTC-USD", "crypto"),
    ):
        found[code] = Symbol.objects.create(code=code, name=code, kind=kind, currency="USD")
        ProviderSymbol.objects.create(symbol=found[code], provider="coinbase", code=code)
        if kind == "stock":
            board.places.create(symbol=found[code])
            ProviderSymbol.objects.create(symbol=found[code], provider="yahoo", code=code)
    return found


def text(response: Any) -> str:
    page = response.content.decode()
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def choose(client: Client, action: str, *codes: str, **more: Any) -> Any:
    """Choose symbols and an action in the list; return the page after it."""
    keys = [*Symbol.objects.filter(code__in=codes).values_list("pk", flat=True)]
    return client.post(SYMBOLS, {"action": action, "index": 0, "_selected_action": keys, **more})


def fields(response: Any) -> dict[str, Any]:
    """Return the hidden fields of a page, as a browser sends them."""
    inputs = re.findall(
        r'<input type="hidden" name="(\w+)" value="([^"]*)">', response.content.decode()
    )
    given: dict[str, list[str]] = {}
    for name, value in inputs:
        if name != "csrfmiddlewaretoken":
            given.setdefault(name, []).append(unescape(value))
    return given


def look(client: Client, action: str, *codes: str, **more: Any) -> Any:
    """Choose an action, fill in its form, and return the preview."""
    first = choose(client, action, *codes)
    return client.post(SYMBOLS, {**fields(first), **more, "look": "1"})


def confirm(client: Client, page: Any, address: str = SYMBOLS, **more: Any) -> Any:
    """Press the button of a preview, and return the page after it."""
    return client.post(address, {**fields(page), **more, "carry_out": "1"}, follow=True)


def undo_of(response: Any) -> str:
    """Return the address of the undo in a message."""
    [link] = re.findall(rf'href="({RECENT}\d+/undo/)"', response.content.decode())
    return str(link)


def undo(client: Client, response: Any) -> Any:
    return client.post(undo_of(response), follow=True)


def active() -> list[str]:
    return [*Symbol.objects.filter(active=True).values_list("code", flat=True)]


def on(slug: str) -> list[str]:
    """Return the symbols of a board in its order."""
    return [place.symbol.code for place in Board.objects.get(slug=slug).places.all()]


def test_a_preview_states_what_would_change_and_changes_nothing(
    admin_client: Client, shares: dict[str, Symbol]
):
    Symbol.objects.filter(code="NVDA").update(active=False)
    shown = text(choose(admin_client, "switch_off", "AAPL", "MSFT", "NVDA"))
    assert "2 symbols change 1 symbol needs no change" in shown
    assert "AAPL yes no MSFT yes no" in shown
    assert active() == ["AAPL", "BTC-USD", "MSFT"]


def test_symbols_are_switched_off_with_a_reason_that_their_form_and_history_show(
    admin_client: Client, shares: dict[str, Symbol]
):
    page = choose(admin_client, "switch_off", "AAPL", "MSFT")
    done = confirm(admin_client, page, reason="Merged into X")
    assert "2 symbols changed (Switch off: Merged into X). Undo" in text(done)
    assert active() == ["BTC-USD", "NVDA"]
    form = text(admin_client.get(f"{SYMBOLS}{shares['AAPL'].pk}/change/"))
    assert "Switched off: Merged into X" in form
    history = text(admin_client.get(f"{SYMBOLS}{shares['AAPL'].pk}/history/"))
    assert "Active: from “yes” to “no: Merged into X”" in history
    confirm(admin_client, choose(admin_client, "switch_on", "AAPL"))
    assert Symbol.objects.get(code="AAPL").reason == ""
    assert "AAPL" in active()


def test_whoever_switches_symbols_off_can_type_the_reason_at_once(
    admin_client: Client, shares: dict[str, Symbol]
):
    page = choose(admin_client, "switch_off", "AAPL")
    assert re.search(r'<input[^>]* name="reason"[^>]* autofocus', page.content.decode())


def test_without_a_reason_nothing_is_switched_off(admin_client: Client, shares: dict[str, Symbol]):
    page = confirm(admin_client, choose(admin_client, "switch_off", "AAPL"), reason=" ")
    assert "This field is required." in text(page)
    assert "1 symbol changes" in text(page)
    assert "AAPL" in active()


def test_symbols_are_put_on_a_board_moved_and_removed(
    admin_client: Client, shares: dict[str, Symbol]
):
    new = Board.objects.get(slug="new").pk
    page = look(admin_client, "put", "AAPL", "BTC-USD", board=new)
    assert "AAPL Shares Shares, New BTC-USD none New" in text(page)
    confirm(admin_client, page, board=new)
    assert (on("shares"), on("new")) == (["AAPL", "MSFT", "NVDA"], ["AAPL", "BTC-USD"])
    moved = confirm(admin_client, look(admin_client, "move", "MSFT", "AAPL", board=new), board=new)
    assert (on("shares"), on("new")) == (["NVDA"], ["AAPL", "BTC-USD", "MSFT"])
    page = look(admin_client, "remove", "NVDA", "BTC-USD", board=new)
    assert "1 symbol changes 1 symbol needs no change" in text(page)
    confirm(admin_client, page, board=new)
    assert (on("shares"), on("new")) == (["NVDA"], ["AAPL", "MSFT"])
    undo(admin_client, moved)
    assert (on("shares"), on("new")) == (["AAPL", "MSFT", "NVDA"], ["AAPL"])


def test_a_provider_is_put_first_where_a_symbol_has_its_code(
    admin_client: Client, shares: dict[str, Symbol], settings: Any
):
    settings.QUOTES = {"PROVIDERS": ["coinbase", "yahoo"]}
    page = look(admin_client, "order", "AAPL", "BTC-USD", first="yahoo")
    assert "1 symbol stays as it is (no code for yahoo): BTC-USD" in text(page)
    assert "AAPL coinbase, yahoo yahoo, coinbase" in text(page)
    done = confirm(admin_client, page, first="yahoo")
    rows = shares["AAPL"].provider_symbols
    assert dict(rows.values_list("provider", "position")) == {"coinbase": None, "yahoo": 1}
    page = look(admin_client, "order", "AAPL", first="coinbase", second="yahoo")
    confirm(admin_client, page, first="coinbase", second="yahoo")
    assert dict(rows.values_list("provider", "position")) == {"coinbase": 1, "yahoo": 2}
    assert "left as they are: AAPL." in text(undo(admin_client, done))
    assert dict(rows.values_list("provider", "position")) == {"coinbase": 1, "yahoo": 2}


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"first": "yahoo", "second": "yahoo"}, "Choose each provider only once."),
        ({"second": "yahoo"}, "Choose a first provider, or none at all."),
        ({"first": "<b>"}, "Select a valid choice."),
    ],
)
def test_an_order_that_can_not_be_meant_is_refused(
    admin_client: Client, shares: dict[str, Symbol], given: dict[str, str], error: str
):
    page = look(admin_client, "order", "AAPL", **given)
    assert error in text(page)
    confirm(admin_client, page, **given)
    assert not BulkChange.objects.exists()


def test_all_symbols_of_a_search_are_changed(admin_client: Client, shares: dict[str, Symbol]):
    address = f"{SYMBOLS}?kind__exact=stock&q=A"
    Symbol.objects.create(code="ADBE", name="Adobe", kind="stock", currency="USD")
    given = {"action": "switch_off", "index": 0, "select_across": "1"}
    page = admin_client.post(address, {**given, "_selected_action": [shares["AAPL"].pk]})
    assert "3 symbols change" in text(page)
    confirm(admin_client, page, address, reason="Test")
    assert active() == ["BTC-USD", "MSFT"]


def test_what_changed_after_the_preview_is_shown_and_nothing_is_written(
    admin_client: Client, shares: dict[str, Symbol]
):
    page = choose(admin_client, "switch_off", "AAPL", "MSFT")
    Symbol.objects.filter(code="MSFT").update(active=False)
    again = confirm(admin_client, page, reason="Test")
    assert "Nothing was changed, because the symbols or your choice changed after" in text(again)
    assert "1 symbol changes 1 symbol needs no change" in text(again)
    assert "AAPL" in active()
    confirm(admin_client, again, reason="Test")
    assert active() == ["BTC-USD", "NVDA"]
    new = str(Board.objects.get(slug="new").pk)
    page = look(admin_client, "put", "AAPL", board=str(Board.objects.get(slug="shares").pk))
    assert "Nothing was changed" in text(confirm(admin_client, page, board=new))
    assert on("new") == []


def test_two_who_confirm_the_same_preview_change_it_once(
    admin_client: Client, shares: dict[str, Symbol]
):
    page = choose(admin_client, "switch_off", "AAPL")
    confirm(admin_client, page, reason="First")
    assert "Nothing was changed" in text(confirm(admin_client, page, reason="Second"))
    assert BulkChange.objects.count() == 1
    assert Symbol.objects.get(code="AAPL").reason == "First"


def test_an_undo_leaves_what_others_changed_since_and_names_it(
    admin_client: Client, shares: dict[str, Symbol]
):
    switch_off({"NVDA": "yahoo: NVDA is unknown"})
    page = choose(admin_client, "switch_on", "NVDA")
    on_again = confirm(admin_client, page)
    assert "NVDA" in active()
    page = choose(admin_client, "switch_off", "AAPL", "MSFT", "BTC-USD")
    off = confirm(admin_client, page, reason="Test")
    Symbol.objects.get(code="MSFT").delete()
    bitcoin = Symbol.objects.get(code="BTC-USD")
    bitcoin.active = True
    bitcoin.save()
    shown = text(admin_client.get(undo_of(off)))
    assert "1 symbol is changed back" in shown
    assert "2 symbols were changed or deleted since then" in shown
    assert "stay as they are: BTC-USD, MSFT" in shown
    assert "AAPL" not in active()
    done = text(undo(admin_client, off))
    assert "1 symbol is as before." in done
    assert "Changed or deleted since then, and left as they are: BTC-USD, MSFT." in done
    assert active() == ["AAPL", "BTC-USD", "NVDA"]
    undo(admin_client, on_again)
    lost = Symbol.objects.get(code="NVDA")
    assert (lost.active, lost.not_found) == (False, "yahoo: NVDA is unknown")
    assert lost.not_found_at


def test_a_symbol_whose_board_is_gone_is_left_where_it_is(
    admin_client: Client, shares: dict[str, Symbol]
):
    new = Board.objects.get(slug="new").pk
    done = confirm(admin_client, look(admin_client, "move", "AAPL", board=new), board=new)
    Board.objects.get(slug="shares").delete()
    assert "left as they are: AAPL" in text(undo(admin_client, done))
    assert on("new") == ["AAPL"]


def test_a_change_is_undone_once_and_within_an_hour(
    admin_client: Client, shares: dict[str, Symbol]
):
    done = confirm(admin_client, choose(admin_client, "switch_off", "AAPL"), reason="Test")
    undo(admin_client, done)
    confirm(admin_client, choose(admin_client, "switch_off", "AAPL"), reason="Test")
    again = undo(admin_client, done)
    assert "This was already undone by admin." in text(again)
    assert "AAPL" not in active()
    old = BulkChange.objects.get(undone_at=None)
    BulkChange.objects.filter(pk=old.pk).update(at=timezone.now() - timedelta(hours=1))
    for response in (
        admin_client.get(f"{RECENT}{old.pk}/undo/"),
        admin_client.post(f"{RECENT}{old.pk}/undo/", follow=True),
    ):
        assert "can no longer be undone, because it is more than an hour old" in text(response)
    assert "AAPL" not in active()


def test_the_recent_changes_are_listed_with_their_undos_for_30_days(
    admin_client: Client, shares: dict[str, Symbol]
):
    assert "No symbols were changed in bulk in the last 30 days." in text(admin_client.get(RECENT))
    assert RECENT in admin_client.get(SYMBOLS).content.decode()
    confirm(admin_client, choose(admin_client, "switch_off", "AAPL"), reason="First")
    BulkChange.objects.update(at=timezone.now() - timedelta(days=30))
    assert "No symbols were changed in bulk in the last 30 days." in text(admin_client.get(RECENT))
    undone = confirm(admin_client, choose(admin_client, "switch_off", "MSFT"), reason="Second")
    undo(admin_client, undone)
    confirm(admin_client, choose(admin_client, "switch_off", "NVDA"), reason="Third")
    page = admin_client.get(RECENT)
    assert not BulkChange.objects.filter(detail="First").exists()
    assert "undone by admin" in text(page)
    assert len(re.findall(r'/undo/"', page.content.decode())) == 1
    assert "Undo “Switch off: Third”" in page.content.decode()


@pytest.mark.parametrize(
    ("group", "actions"),
    [
        ("viewer", set()),
        ("editor", {"switch_on", "switch_off", "put", "move", "remove", "order"}),
    ],
)
def test_only_those_who_may_change_symbols_are_offered_the_actions(
    client: Client, admin_client: Client, shares: dict[str, Symbol], group: str, actions: set[str]
):
    make_groups()
    done = confirm(admin_client, choose(admin_client, "switch_off", "AAPL"), reason="Test")
    user = User.objects.create(username=group, is_staff=True)
    user.groups.add(Group.objects.get(name=f"Quotes {group}"))
    client.force_login(user)
    page = client.get(SYMBOLS).content.decode()
    offered = set(re.findall(r'<option value="(\w+)">', page))
    assert offered & {"switch_on", "switch_off", "put", "move", "remove", "order"} == actions
    preview = choose(admin_client, "switch_off", "MSFT")
    confirm(client, preview, reason="Test")
    assert ("MSFT" not in active()) is bool(actions)
    assert client.get(RECENT).status_code == 200
    assert (undo_of(done) in client.get(RECENT).content.decode()) is bool(actions)
    expected = 200 if actions else 403
    assert client.get(undo_of(done)).status_code == expected
    assert client.post(undo_of(done), follow=True).status_code == expected
    assert ("AAPL" in active()) is bool(actions)


@pytest.mark.django_db(transaction=True)
def test_every_process_is_notified_of_the_symbols_and_boards(
    admin_client: Client, shares: dict[str, Symbol]
):
    number = lease.changes()
    done = confirm(admin_client, choose(admin_client, "switch_off", "AAPL", "MSFT"), reason="Test")
    new = Board.objects.get(slug="new")
    confirm(admin_client, look(admin_client, "put", "NVDA", board=new.pk), board=new.pk)
    changed = journal.since(number)
    assert changed
    assert changed.symbols == {shares["AAPL"].pk, shares["MSFT"].pk}
    assert changed.boards == {new.pk}
    number = lease.changes()
    undo(admin_client, done)
    changed = journal.since(number)
    assert changed
    assert changed.symbols == {shares["AAPL"].pk, shares["MSFT"].pk}


def test_the_number_of_statements_does_not_grow_with_the_symbols(
    admin_client: Client, shares: dict[str, Symbol]
):
    counts = []
    for codes in (["AAPL"], ["BTC-USD", "MSFT", "NVDA"]):
        page = choose(admin_client, "switch_off", *codes)
        with CaptureQueriesContext(connection) as queries:
            confirm(admin_client, page, reason="Test")
        counts.append(len(queries))
    assert counts[1] <= counts[0]


def test_the_recent_bulk_changes_lead_back_to_the_symbols(admin_client: Client):
    page = admin_client.get("/admin/quotes/bulkchange/").content.decode()
    trail = page.partition('class="breadcrumbs"')[2].partition("</div>")[0]
    assert '<a href="/admin/quotes/symbol/">Symbols</a>' in trail
    assert '<a href="/admin/quotes/symbol/" aria-current="true">Symbols</a>' in page


def test_the_number_of_a_recent_bulk_change_leads_to_its_symbols(
    admin_client: Client, shares: dict[str, Symbol]
):
    confirm(admin_client, choose(admin_client, "switch_off", "AAPL", "MSFT"), reason="First")
    name = "2 symbols: Switch off: First"
    page = admin_client.get(RECENT).content.decode()
    [link] = re.findall(rf'href="([^"]+)" aria-label="{name}">2</a>', page)
    symbols = text(admin_client.get(link))
    assert "Symbol AAPL Active: from “yes” to “no: First”" in symbols
    assert "Symbol MSFT" in symbols
    HistoryEntry.objects.all().delete()  # as when there are too many
    assert name not in admin_client.get(RECENT).content.decode()
