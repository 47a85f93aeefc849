"""A catalogue is loaded in some statements, and everybody hears of it as of saves."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from quotes import catalogue
from quotes.live import journal, lease
from quotes.live.missing import switch_off
from quotes.models import Board, Symbol
from tests.servers import Postgres, Site

HEADER = "symbol,name,kind,exchange,currency,active,coinbase\n"


def load(*rows: str) -> list[catalogue.Outcome]:
    found = catalogue.read(BytesIO((HEADER + "\n".join(rows)).encode()))
    return catalogue.load(found.entries)


def shares(count: int, name: str = "A share") -> list[str]:
    return [f"S{number},{name},stock,NASDAQ,USD,,C{number}" for number in range(count)]


@pytest.mark.django_db
def test_many_rows_are_written_in_about_as_many_statements_as_few():
    counts = []
    for number in (1, 50):
        for name in ("A share", "Another name"):
            with CaptureQueriesContext(connection) as queries:
                load(*shares(number, name))
            counts.append(len(queries))
        Symbol.objects.all().delete()
        Board.objects.all().delete()
    assert counts[2] < counts[0] + 10
    assert counts[3] < counts[1] + 10


@pytest.mark.django_db(transaction=True)
def test_every_process_is_notified_of_what_changed_and_of_nothing_else():
    load(*shares(2))
    first, second = Symbol.objects.order_by("code")
    number = lease.changes()
    load("S0,A share,stock,NASDAQ,USD,,C0", "S1,A share,stock,NASDAQ,USD,,OTHER")
    changed = journal.since(number)
    assert changed
    assert (changed.symbols, changed.boards) == ({second.pk}, set())
    load("S0,Other,stock,NASDAQ,USD,,C0", "S2,A share,stock,NASDAQ,USD,,C2")
    changed = journal.since(number + 1)
    assert changed
    assert changed.symbols == {first.pk, Symbol.objects.get(code="S2").pk}
    assert changed.boards == {Board.objects.get().pk}


@pytest.mark.django_db
def test_another_code_of_a_provider_keeps_its_position():
    load(*shares(1))
    Symbol.objects.get().provider_symbols.update(position=1)
    load("S0,A share,stock,NASDAQ,USD,,OTHER")
    row = Symbol.objects.get().provider_symbols.get()
    assert (row.code, row.position) == ("OTHER", 1)


@pytest.mark.django_db
def test_a_row_that_switches_a_symbol_on_removes_the_reason_why_it_was_off():
    load(*shares(2))
    Symbol.objects.filter(code="S0").update(active=False, reason="Merged")
    switch_off({"S1": "coinbase: unknown"})
    load(*(row.replace("USD,,", "USD,yes,") for row in shares(2)))
    states = Symbol.objects.values_list("active", "reason", "not_found", "not_found_at")
    assert [*states] == [(True, "", "", None)] * 2


# A process loads a new symbol before another one, by a load or a form, has committed the same.
TWICE = """
from threading import Thread
from time import sleep
from django.db import connection, transaction
from quotes.models import Symbol
from tests.catalogue.test_loading import load, shares

def second():
    try:
        print(*load(*shares(1)))
    except Exception as error:
        print(error)
    finally:
        connection.close()

Symbol.objects.all().delete()
with transaction.atomic():
    {add}
    other = Thread(target=second)
    other.start()
    with connection.cursor() as cursor:
        waits = False
        while not waits:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            waits = cursor.fetchone()[0]
            sleep(0.01)
other.join()
"""


@pytest.mark.server
@pytest.mark.parametrize(
    ("add", "printed"),
    [
        ("load(*shares(1))", "line 2: S0 unchanged"),
        (
            "Symbol.objects.create(code='S0', name='S0', kind='stock', currency='USD')",
            "another process added symbols or boards at the same time: load the file again",
        ),
    ],
)
def test_a_symbol_that_two_add_at_once_is_added_once(
    postgres_server: Postgres, tmp_path: Path, add: str, printed: str
):
    site = Site(tmp_path, DATABASE_URL=postgres_server.url)
    code = TWICE.format(add=add)
    shell = site.manage("shell", "--verbosity", "0", "--command", code)
    assert shell.stdout.splitlines() == [printed]
