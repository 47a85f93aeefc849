"""The site on PostgreSQL: the same pages, and all last quotes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import Postgres, Site, eventually, manage

pytestmark = pytest.mark.server


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_the_board_runs_on_postgresql(server: str, postgres_server: Postgres, tmp_path: Path):
    site = Site(tmp_path, server, DATABASE_URL=postgres_server.url)
    script = "from quotes.models import LastQuote; print(LastQuote.objects.count())"

    def written() -> bool:
        found = manage("shell", "--verbosity", "0", "--command", script, **site.env)
        return found.stdout.strip() == "291"

    try:
        site.start()
        assert 'data-symbol="BTC-USD"' in site.get("/boards/crypto/")
        eventually(written, "291 last quotes are written down")
    finally:
        site.stop()


# Another connection stores a quote after the symbol's quotes are deleted, and before the symbol is.
DELETE = """
import os
import psycopg
from django.db.models.signals import post_delete
from quotes.models import BoardSymbol, Symbol

symbol = Symbol.objects.get(code="BTC-USD")
STORE = "INSERT INTO quotes_lastquote (symbol_id, epoch, batch, wire) VALUES (%s, 1, 1, '{}')"

def store(**kwargs):
    try:
        with psycopg.connect(os.environ["DATABASE_URL"], options="-c lock_timeout=500") as feed:
            feed.execute(STORE, [symbol.pk])
    except psycopg.errors.LockNotAvailable:
        print("the feed had to wait")

post_delete.connect(store, sender=BoardSymbol)
symbol.delete()
print(Symbol.objects.filter(code="BTC-USD").count(), "left")
"""


def output(script: str, server: Postgres, folder: Path) -> list[str]:
    """Return the lines that a script prints."""
    site = Site(folder, DATABASE_URL=server.url)
    return site.manage("shell", "--verbosity", "0", "--command", script).stdout.splitlines()


def test_a_symbol_is_deleted_while_the_feed_stores_its_quote(
    postgres_server: Postgres, tmp_path: Path
):
    assert output(DELETE, postgres_server, tmp_path) == ["the feed had to wait", "0 left"]


MANY = """
from django.db import connection
from django.test.utils import CaptureQueriesContext
from quotes.models import Symbol

coins = Symbol.objects.filter(kind="crypto")
print(coins.count() > 50)
with CaptureQueriesContext(connection) as queries:
    coins.delete()
print(sum("FOR UPDATE" in each["sql"] for each in queries), coins.all().count())
"""


def test_many_symbols_are_locked_at_once_before_they_are_deleted(
    postgres_server: Postgres, tmp_path: Path
):
    assert output(MANY, postgres_server, tmp_path) == ["True", "1 0"]


# The feed writes a stored and a new candle while the symbol is locked and its candles still exist.
CANDLES = """
from decimal import Decimal
from threading import Thread
from time import sleep
from django.db import connection
from django.db.models.signals import pre_delete
from quotes.candles import archive
from quotes.candles.growing import Row
from quotes.models import Candle, Symbol

def candles(*starts):
    one = Decimal(1)
    rest = (0, one, one, one, one, 1, None, None, "any", False)
    return [Row("BTC-USD", 60, start, *rest) for start in starts]

def write():
    archive.save(1, candles(0, 60))
    print("the feed had to wait, and wrote")

def wait(**kwargs):
    feed.start()
    # not pg_stat_activity: within a transaction, it stays as it was at first
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with connection.cursor() as cursor:
        while True:
            cursor.execute(waiting)
            if cursor.fetchone()[0]:
                break
            sleep(0.01)

archive.save(1, candles(0))
feed = Thread(target=write)
pre_delete.connect(wait, sender=Symbol)
Symbol.objects.get(code="BTC-USD").delete()
feed.join()
print(Symbol.objects.filter(code="BTC-USD").count(), "left")
"""


def test_a_symbol_is_deleted_while_the_feed_writes_its_candles(
    postgres_server: Postgres, tmp_path: Path
):
    lines = output(CANDLES, postgres_server, tmp_path)
    assert lines == ["the feed had to wait, and wrote", "0 left"]


# As many threads as a pool has connections stand for the processes of a site.
LOGINS = """
from concurrent.futures import ThreadPoolExecutor
from django.db import connection
from logins import throttle

def attempt(number):
    try:
        throttle.count("192.0.2.1", "alice")
    except throttle.LoginRefused:
        return False
    finally:
        connection.close()
    return True

with ThreadPoolExecutor(8) as pool:
    hashed = sum(pool.map(attempt, range(40)))
print("some" if 0 < hashed <= 5 else f"{hashed} passwords", "hashed")
"""


def test_processes_count_failed_logins_together(postgres_server: Postgres, tmp_path: Path):
    assert output(LOGINS, postgres_server, tmp_path) == ["some hashed"]


# A former and a new code of a coin, each with a candle of the same minute and one of its own.
MERGE = """
from decimal import Decimal
from quotes.candles import archive
from quotes.candles.growing import Row
from quotes.models import Alias, Candle, Symbol
from quotes.staff.merging import Merger
from quotes.staff.renaming import rename

def candle(code, start, price):
    rest = (0, *[Decimal(price)] * 4, 1, None, None, "any", False)
    return Row(code, 60, start, *rest)

archive.save(1, [candle("BTC-USD", 0, 1), candle("BTC-USD", 60, 1)])
archive.save(1, [candle("ETH-USD", 60, 2), candle("ETH-USD", 120, 2)])
target = Symbol.objects.get(code="ETH-USD")
Merger(Symbol.objects.get(code="BTC-USD"), target).run()
rename(target, "ETHER-USD")
print([str(each.close) for each in Candle.objects.filter(symbol=target).order_by("start")])
print([(each.code, each.symbol.code) for each in Alias.objects.all()])
"""


def test_symbols_are_merged_and_renamed(postgres_server: Postgres, tmp_path: Path):
    assert output(MERGE, postgres_server, tmp_path) == [
        "['1', '2', '2']",
        "[('BTC-USD', 'ETHER-USD'), ('ETH-USD', 'ETHER-USD')]",
    ]


# Two symbols have the same position, and a third one is moved between them.
ARRANGE = """
from quotes.models import Board, Symbol
from quotes.staff.arranging import Edit, places_of, save

def symbol(code):
    return Symbol.objects.get_or_create(code=code, defaults={"name": code, "kind": "crypto"})[0].pk

board = Board.objects.create(slug="coins", title="Coins")
for code, position in (("BTC-USD", 7), ("ETH-USD", 7), ("SOL-USD", 9), ("ADA-USD", None)):
    board.places.create(symbol_id=symbol(code), position=position)
edit = Edit({symbol("SOL-USD"): 2}, frozenset([symbol("ADA-USD")]), [symbol("XRP-USD")])
save(board, places_of(board), edit)
print(list(board.places.order_by("position").values_list("position", "symbol__code")))
"""


def test_the_symbols_of_a_board_are_arranged(postgres_server: Postgres, tmp_path: Path):
    assert output(ARRANGE, postgres_server, tmp_path) == [
        "[(1, 'BTC-USD'), (2, 'SOL-USD'), (3, 'ETH-USD'), (4, 'XRP-USD')]"
    ]


# While one operator adds two coins to a board on its page, a bulk change, or another program, puts
# them there in the other order.
MEANWHILE = """
import os
import threading
import psycopg
from time import sleep
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from quotes.models import Board, Symbol
from quotes.staff.bulk import Placing, Plan, Refused, carry_out

settings.ALLOWED_HOSTS = ["testserver"]
alice = User.objects.create(username="alice", is_staff=True, is_superuser=True)
coins, board = Symbol.objects.filter(code__in=["BTC-USD", "ETH-USD"]), None
client = Client()
client.force_login(alice)
INSERT = 'INSERT INTO "quotes_boardsymbol"'
PLACE = "INSERT INTO quotes_boardsymbol (board_id, symbol_id, position) VALUES (%s, %s, 1)"
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"

def wait():
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as look:
        while not look.execute(WAITING).fetchone()[0]:
            sleep(0.01)

def add_while(other):
    thread = threading.Thread(target=other)
    def meanwhile(execute, sql, *given):
        if sql.startswith(INSERT) and not thread.ident:
            thread.start()
            placed.wait()
        return execute(sql, *given)
    with connection.execute_wrapper(meanwhile):
        entered = {"codes": "ETH-USD BTC-USD", "after": ""}
        answer = client.post(f"/admin/quotes/board/{board.pk}/symbols/", entered)
    thread.join()
    print(answer.status_code, "Already on the board: BTC-USD (1)" in answer.content.decode())
    print(sorted(board.places.values_list("symbol__code", flat=True)))

def change():
    threading.Thread(target=lambda: (wait(), placed.set())).start()
    try:
        carry_out(chosen, coins, seal, alice)
    except Refused as refusal:
        print(str(refusal)[:20])
    finally:
        connection.close()

def place():
    with psycopg.connect(os.environ["DATABASE_URL"]) as other:
        other.execute(PLACE, [board.pk, coins.get(code="BTC-USD").pk])
        placed.set()
        wait()

for other in (change, place):
    placed = threading.Event()
    board = Board.objects.create(slug=other.__name__, title="New")
    chosen = Placing("put", board)
    seal = Plan.of(chosen, coins).seal
    add_while(other)
"""


def test_two_who_place_the_same_symbols_do_not_wait_for_each_other_forever(
    postgres_server: Postgres, tmp_path: Path
):
    assert output(MEANWHILE, postgres_server, tmp_path) == [
        "Nothing was changed,",
        "302 False",
        "['BTC-USD', 'ETH-USD']",
        "200 True",
        "['BTC-USD']",
    ]


# A file with a known symbol among 600 new ones is being loaded.
LOAD = """
import os
import psycopg
from io import BytesIO
from django.db import transaction
from quotes import catalogue

rows = "".join(f"NEW{n},New,stock,NASDAQ,USD\\n" for n in range(600))
file = "symbol,name,kind,exchange,currency\\nETH-USD,Ether,crypto,CRYPTO,USD\\n" + rows
UPDATE = "UPDATE quotes_symbol SET name = 'Other' WHERE code = %s"

def edit(code):
    try:
        with psycopg.connect(os.environ["DATABASE_URL"], options="-c lock_timeout=500") as editor:
            return editor.execute(UPDATE, [code]).rowcount
    except psycopg.errors.LockNotAvailable:
        return "waits"

with transaction.atomic():
    catalogue.load(catalogue.read(BytesIO(file.encode())).entries)
    print(edit("BTC-USD"), edit("SOL-USD"), edit("ETH-USD"))
print(edit("ETH-USD"))
"""


def test_a_load_locks_only_the_symbols_in_its_file(postgres_server: Postgres, tmp_path: Path):
    assert output(LOAD, postgres_server, tmp_path) == ["1 1 waits", "1"]


# Bob saves another field of a form while Alice's save is between its reading and its writing.
EDITORS = """
import os
import psycopg
from threading import Event, Thread
from time import sleep
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from quotes.models import Symbol
from tests.admin.test_meanwhile import opened

settings.ALLOWED_HOSTS = ["testserver"]
symbol = Symbol.objects.get(code="BTC-USD")
page = f"/admin/quotes/symbol/{symbol.pk}/change/"
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"

def editor(name):
    client = Client()
    client.force_login(User.objects.create(username=name, is_staff=True, is_superuser=True))
    return client, opened(client, page)

(alice, hers), (bob, his) = editor("alice"), editor("bob")

def save():
    try:
        print(bob.post(page, his | {"stale_after": "99", "_save": "1"}).status_code)
    finally:
        saved.set()
        connection.close()

def meanwhile(execute, sql, *given):
    if sql.startswith('UPDATE "quotes_symbol"') and not other.ident:
        other.start()
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as look:
            while not (saved.is_set() or look.execute(WAITING).fetchone()[0]):
                sleep(0.01)
    return execute(sql, *given)

saved, other = Event(), Thread(target=save)
with connection.execute_wrapper(meanwhile):
    print(alice.post(page, hers | {"name": "Coin", "_save": "1"}).status_code)
other.join()
symbol.refresh_from_db()
print(symbol.name, symbol.stale_after)
"""


def test_two_who_save_a_form_at_the_same_time_both_keep_their_edits(
    postgres_server: Postgres, tmp_path: Path
):
    assert output(EDITORS, postgres_server, tmp_path) == ["302", "302", "Coin 99"]


WRITE = """
from datetime import UTC, datetime
from decimal import Decimal
from django.db import connection
from quotes.feed import records
from quotes.models import LastQuote, Symbol
from quotes.quote import Quote

codes = Symbol.objects.values_list("code", flat=True)
for batch in range(1, 201):
    now = datetime.now(UTC)
    records.save_last_quotes({
        code: ((1, batch), Quote(
            symbol=code, provider="coinbase", currency="USD", last=Decimal(batch), received_at=now
        ))
        for code in codes
    })
with connection.cursor() as cursor:
    cursor.execute("SELECT pg_relation_size('quotes_lastquote')")
    print(LastQuote.objects.count(), cursor.fetchone()[0])
"""


def test_quotes_that_are_written_again_and_again_need_little_space(
    postgres_server: Postgres, tmp_path: Path
):
    count, size = output(WRITE, postgres_server, tmp_path)[-1].split()
    assert int(count) == 291
    assert int(size) < 291 * 2000  # bytes: room for a few versions of each
