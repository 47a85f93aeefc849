"""Bulk changes on PostgreSQL: each is written and undone, while the feed stores its quotes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import Postgres, Site

pytestmark = pytest.mark.server

ALL = """
import os
import psycopg
from django.contrib.auth.models import User
from django.db import transaction
from quotes.models import Board, Symbol
from quotes.staff.bulk import Order, Placing, Plan, Switch, Undo, carry_out

alice = User.objects.create(username="alice")
crypto = Symbol.objects.filter(kind="crypto")
board = Board.objects.create(slug="new", title="New")
STORE = "INSERT INTO quotes_lastquote (symbol_id, epoch, batch, wire) VALUES (%s, 1, 1, '{}')"

def contents():
    rows = Symbol.objects.order_by("pk").values_list(
        "active", "reason", "boards", "places__position",
        "provider_symbols__provider", "provider_symbols__position")
    return sorted(map(repr, rows))

def store():
    with psycopg.connect(os.environ["DATABASE_URL"], options="-c lock_timeout=500") as feed:
        feed.execute("SET CONSTRAINTS ALL IMMEDIATE")
        feed.execute(STORE, [crypto.first().pk])
        feed.rollback()

for choose in (
    lambda: Switch(active=False, reason="Test"),
    lambda: Placing("put", board),
    lambda: Placing("move", board),
    lambda: Placing("remove", Board.objects.get(slug="crypto")),
    lambda: Order(["kraken", "coinbase"]),
):
    before = contents()
    with transaction.atomic():
        done = carry_out(choose(), crypto, Plan.of(choose(), crypto).seal, alice)
        store()
    changed = before != contents()
    undo = Undo.carry_out(done.pk, alice)
    print(done.action, changed, before == contents(), len(undo.restored) == done.count > 50)
"""


def test_every_bulk_change_is_undone_completely_and_the_feed_stores_meanwhile(
    postgres_server: Postgres, tmp_path: Path
):
    site = Site(tmp_path, DATABASE_URL=postgres_server.url)
    printed = site.manage("shell", "--verbosity", "0", "--command", ALL).stdout.splitlines()
    actions = ("switch_off", "put", "move", "remove", "order")
    assert printed == [f"{action} True True True" for action in actions]


AT_ONCE = """
import os
import threading
import psycopg
from django.contrib.auth.models import User
from quotes.models import Board, Symbol
from quotes.staff.bulk import Placing, Plan, Refused, Undo, carry_out

alice = User.objects.create(username="alice")
board, crypto = Board.objects.create(slug="new", title="New"), Symbol.objects.filter(kind="crypto")
PLACE = "INSERT INTO quotes_boardsymbol (board_id, symbol_id, position) VALUES (%s, %s, 1)"
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

def while_another_places_it(board, write):
    with (
        psycopg.connect(os.environ["DATABASE_URL"]) as other,
        psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as look,
    ):
        other.execute(PLACE, [board.pk, crypto.first().pk])

        def commit():
            while not look.execute(WAITS).fetchone()[0]:
                pass
            other.commit()

        thread = threading.Thread(target=commit)
        thread.start()
        try:
            print(write())
        except Refused as refusal:
            print(refusal)
        thread.join()

def place():
    return carry_out(chosen, crypto, Plan.of(chosen, crypto).seal, alice)

chosen = Placing("put", board)
while_another_places_it(board, place)
print(board.places.count())
board.places.all().delete()
chosen = Placing("move", board)
done = place()
while_another_places_it(Board.objects.get(slug="crypto"), lambda: Undo.carry_out(done.pk, alice))
print(Undo.carry_out(done.pk, alice).left == [crypto.first().code])
"""


def test_a_symbol_that_another_places_at_the_same_time_is_no_error(
    postgres_server: Postgres, tmp_path: Path
):
    site = Site(tmp_path, DATABASE_URL=postgres_server.url)
    printed = site.manage("shell", "--verbosity", "0", "--command", AT_ONCE).stdout.splitlines()
    refused, placed, left, undone = printed
    assert "the symbols or your choice changed after the preview" in refused
    assert "somebody else changed the same symbols" in left
    assert (placed, undone) == ("1", "True")
