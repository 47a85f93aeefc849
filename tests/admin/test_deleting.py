"""A deletion of much states numbers; of little, each row."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from quotes.models import Board, BoardSymbol, HeldPrice, Symbol
from tests.groups import make_groups

pytestmark = pytest.mark.django_db


def list_symbols(count: int) -> Board:
    """Add a board with this many symbols."""
    board = Board.objects.create(slug="many", title="Many")
    known = {"name": "A share", "kind": "stock", "currency": "USD"}
    symbols = Symbol.objects.bulk_create(Symbol(code=f"S{n:03}", **known) for n in range(count))
    BoardSymbol.objects.bulk_create(
        BoardSymbol(board=board, symbol=each, position=place)
        for place, each in enumerate(symbols, start=1)
    )
    return board


def delete_all(client: Client, **more: str) -> Any:
    """Request the deletion of all symbols, from the list."""
    keys = [str(key) for key in Symbol.objects.values_list("pk", flat=True)]
    chosen: dict[str, Any] = {"action": "delete_selected", "_selected_action": keys}
    return client.post("/admin/quotes/symbol/", chosen | more)


def text(response: Any) -> str:
    content = unescape(re.sub(r"<[^>]+>", " ", response.content.decode()))
    return " ".join(content.split())


@pytest.mark.parametrize(("count", "listed"), [(3, True), (300, False)])
def test_the_symbols_of_a_large_board_are_counted_and_not_listed(
    admin_client: Client, count: int, listed: bool
):
    board = list_symbols(count)
    with CaptureQueriesContext(connection) as queries:
        shown = text(admin_client.get(f"/admin/quotes/board/{board.pk}/delete/"))
    assert f"Places on boards: {count}" in shown
    assert ("S001" in shown) is listed
    assert len(queries) < 15
    admin_client.post(f"/admin/quotes/board/{board.pk}/delete/", {"post": "yes"})
    assert not Board.objects.exists()
    assert Symbol.objects.count() == count


def test_of_many_symbols_the_first_are_named(admin_client: Client):
    list_symbols(300)
    shown = text(delete_all(admin_client))
    assert "Symbols: 300" in shown
    assert "Symbol: S099" in shown
    assert "S100" not in shown
    assert "and 200 more" in shown
    delete_all(admin_client, post="yes")
    assert not Symbol.objects.exists()


def test_many_symbols_are_deleted_without_a_statement_for_each(admin_client: Client):
    list_symbols(300)
    with CaptureQueriesContext(connection) as queries:
        delete_all(admin_client, post="yes")
    assert not Symbol.objects.exists()
    assert len(queries) < 100


@pytest.mark.parametrize("count", [3, 300])
def test_a_deletion_needs_the_permission_for_all_that_it_takes_along(client: Client, count: int):
    board = list_symbols(count)
    symbol = Symbol.objects.latest("pk")
    HeldPrice.objects.create(
        symbol=symbol, provider="coinbase", currency="USD", at="2026-03-02T12:00Z", last="1"
    )
    make_groups()  # and so the permissions
    erin = User.objects.create(username="erin", is_staff=True)
    names = ("view_symbol", "delete_symbol")
    erin.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(erin)
    shown = text(delete_all(client))
    assert "your account doesn't have permission to delete the following types" in shown
    assert "held price" in shown
    assert delete_all(client, post="yes").status_code == 403
    assert Symbol.objects.count() == board.places.count() == count


def test_the_deletion_is_the_last_action(admin_client: Client):
    list_symbols(1)
    page = admin_client.get("/admin/quotes/symbol/").content.decode()
    actions = re.search(r'<select name="action".*?</select>', page, re.DOTALL)
    assert actions is not None
    assert re.findall(r'value="(\w+)"', actions[0])[-1] == "delete_selected"
