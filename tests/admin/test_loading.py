"""Symbols are loaded from a file in the admin, after a look at what would change."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import timedelta
from html import unescape
from io import BytesIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.utils import timezone

from quotes.models import Board, HistoryEntry, Load, Symbol, Upload
from tests.groups import make_groups

LOAD = "/admin/quotes/symbol/load/"
RECENT = "/admin/quotes/load/"
FILE = """symbol,name,kind,exchange,currency,coinbase
BTC-USD,Bitcoin,crypto,CRYPTO,USD,BTC-USD
AAPL,Apple Inc.,stock,NASDAQ,USD,
"""
WRONG = FILE + "<b>,A share,stick,NASDAQ,USD,\n"

pytestmark = pytest.mark.django_db


def send(client: Client, content: str, button: str = "look", **more: str) -> Any:
    file = BytesIO(content.encode())
    file.name = "symbols.csv"
    return client.post(LOAD, {"file": file, button: "1", **more}, follow=True)


def text(response: Any) -> str:
    page = response.content.decode()
    main = page[page.index('<main id="content-start"') :] if "content-start" in page else page
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


def test_a_look_shows_what_would_be_done_and_changes_nothing(admin_client: Client):
    Symbol.objects.create(
        code="AAPL", name="Apple", kind="stock", exchange="NASDAQ", currency="USD"
    )
    shown = text(send(admin_client, FILE))
    assert "UTF-8, commas. 2 rows: 1 added, 1 updated, 0 unchanged, 1 put on a board" in shown
    assert "2 BTC-USD added crypto" in shown
    assert "3 AAPL updated Name: from “Apple” to “Apple Inc.” stock-market" in shown
    assert list(Symbol.objects.values_list("name", flat=True)) == ["Apple"]
    assert not Board.objects.exists()


def test_a_look_shows_each_value_before_and_after(admin_client: Client):
    send(admin_client, FILE, "load")
    changed = FILE.replace("Bitcoin,crypto", "<b>Bit,index").replace("USD,BTC-USD", "EUR,XBT")
    shown = text(send(admin_client, changed))
    assert (
        "BTC-USD updated Name: from “Bitcoin” to “<b>Bit” Kind: from “Crypto” to “Index”" in shown
    )
    assert "Currency: from “USD” to “EUR” Coinbase: from “BTC-USD” to “XBT”" in shown
    assert "AAPL" not in shown


def test_the_history_of_symbols_and_boards_has_what_a_file_changed(admin_client: Client):
    send(admin_client, FILE, "load")
    send(admin_client, FILE.replace("Apple Inc.", "Apple") + "MSFT,Microsoft,stock,,USD,\n", "load")
    paths = {each.code: f"symbol/{each.pk}" for each in Symbol.objects.all()}
    paths |= {each.slug: f"board/{each.pk}" for each in Board.objects.all()}
    shown = {
        name: [
            " ".join(unescape(re.sub("<[^>]+>", " ", row)).split())
            for row in re.findall(
                r"<th scope=\"row\">.*?</tr>",
                admin_client.get(f"/admin/quotes/{path}/history/").content.decode(),
                re.DOTALL,
            )
        ]
        for name, path in paths.items()
    }
    ends = {name: [row.partition("admin ")[2] for row in rows] for name, rows in shown.items()}
    file = "Loaded from a file: symbols.csv"
    assert ends == {
        "BTC-USD": [f"Symbol BTC-USD Added. {file}"],
        "AAPL": [
            f"Symbol AAPL Name: from “Apple Inc.” to “Apple” {file}",
            f"Symbol AAPL Added. {file}",
        ],
        "MSFT": [f"Symbol MSFT Added. {file}"],
        "crypto": [f"Added: BTC-USD. {file}"],
        "stock-market": [f"Added: MSFT. {file}", f"Added: AAPL. {file}"],
    }


def test_a_file_is_loaded_completely(admin_client: Client):
    shown = text(send(admin_client, FILE, "load"))
    assert "2 rows: 2 added, 0 updated, 0 unchanged" in shown
    assert sorted(Symbol.objects.values_list("code", flat=True)) == ["AAPL", "BTC-USD"]
    assert Symbol.objects.get(code="BTC-USD").provider_symbols.get().code == "BTC-USD"
    again = text(send(admin_client, FILE, "load"))
    assert "2 rows: 0 added, 0 updated, 2 unchanged" in again


def kept(response: Any) -> str:
    """Return the key of the file that a preview keeps, as its form sends it."""
    [key] = re.findall(r'name="kept" value="(\d+)"', response.content.decode())
    return str(key)


def test_a_file_is_chosen_once_for_its_preview_and_its_load(admin_client: Client):
    preview = send(admin_client, FILE)
    assert "“symbols.csv” is kept for an hour" in text(preview)
    given = {"kept": kept(preview), "load": "1"}
    done = admin_client.post(LOAD, given, follow=True)
    assert "What was done UTF-8, commas. 2 rows: 2 added, 0 updated, 0 unchanged" in text(done)
    assert "2 BTC-USD added crypto" in text(done)
    assert Symbol.objects.count() == 2
    again = text(admin_client.post(LOAD, given, follow=True))
    assert "The file is no longer kept. Choose it again." in again
    assert not Upload.objects.exists()


def test_a_file_that_was_looked_at_is_offered_again(admin_client: Client, client: Client):
    assert "is not loaded yet" not in text(admin_client.get(LOAD))
    send(admin_client, FILE)
    page = admin_client.get(LOAD)
    assert "“symbols.csv” is kept for an hour, and is not loaded yet." in text(page)
    [link] = re.findall(r'href="([^"]+)">Go on with this file', page.content.decode())
    preview = admin_client.get(link)
    assert "What would be done" in text(preview)
    client.force_login(User.objects.create_superuser("carol"))
    assert "is not loaded yet" not in text(client.get(LOAD))
    admin_client.post(LOAD, sealed(preview), follow=True)
    assert "is not loaded yet" not in text(admin_client.get(LOAD))


def sealed(response: Any) -> dict[str, str]:
    """Return the hidden fields of a preview, with the button that loads."""
    found = re.findall(r'name="(kept|seal)" value="(\w+)"', response.content.decode())
    return dict(found) | {"load": "1"}


def test_what_changed_since_the_preview_is_not_overwritten_unseen(admin_client: Client):
    apple = Symbol.objects.create(
        code="AAPL", name="Apple", kind="stock", exchange="NASDAQ", currency="USD"
    )
    preview = send(admin_client, FILE)
    Symbol.objects.filter(pk=apple.pk).update(name="Apple Computer")  # by another operator
    again = admin_client.post(LOAD, sealed(preview), follow=True)
    assert "Other values would change now. Look again, then load." in text(again)
    assert "from “Apple Computer” to “Apple Inc.”" in text(again)
    assert list(Symbol.objects.values_list("name", flat=True)) == ["Apple Computer"]
    assert not HistoryEntry.objects.exists()
    done = admin_client.post(LOAD, sealed(again), follow=True)
    assert "2 rows: 1 added, 1 updated" in text(done)
    assert Symbol.objects.get(pk=apple.pk).name == "Apple Inc."


@pytest.mark.parametrize("seal", ["a" * 65, "\0"])
def test_a_seal_that_no_preview_has_is_refused(admin_client: Client, seal: str):
    given = sealed(send(admin_client, FILE)) | {"seal": seal}
    refused = text(admin_client.post(LOAD, given, follow=True))
    assert "The file is no longer kept. Choose it again." in refused
    assert not Symbol.objects.exists()


def test_another_file_or_an_hour_ends_the_time_of_a_kept_one(admin_client: Client):
    first = kept(send(admin_client, FILE))
    second = kept(send(admin_client, FILE.replace("AAPL", "MSFT")))
    gone = "The file is no longer kept."
    assert gone in text(admin_client.post(LOAD, {"kept": first, "load": "1"}, follow=True))
    Upload.objects.update(at=timezone.now() - timedelta(hours=1))
    assert gone in text(admin_client.post(LOAD, {"kept": second, "load": "1"}, follow=True))
    third = Upload.keep("bob", "bob.csv", FILE.encode())
    assert [*Upload.objects.all()] == [third]  # old ones are deleted with the next one
    for key in (str(third.pk), "", "-1", "9" * 30, "x"):
        refused = text(admin_client.post(LOAD, {"kept": key, "load": "1"}, follow=True))
        assert gone in refused or "Choose a file." in refused or "whole number" in refused
    assert not Symbol.objects.exists()


def test_chosen_symbols_are_saved_as_json_that_loads_again(admin_client: Client):
    send(admin_client, FILE, "load")
    keys = [*Symbol.objects.values_list("pk", flat=True)]
    given = {"action": "save_as_json", "_selected_action": keys}
    saved = admin_client.post("/admin/quotes/symbol/", given)
    assert saved["Content-Type"] == "application/json"
    assert re.search(r'filename="symbols-[\d-]+\.json"', saved["Content-Disposition"])
    shown = text(send(admin_client, saved.content.decode()))
    assert "UTF-8, JSON. 2 rows: 0 added, 0 updated, 2 unchanged" in shown


def test_a_file_with_an_error_is_not_kept(admin_client: Client):
    assert 'name="kept"' not in send(admin_client, WRONG).content.decode()
    assert not Upload.objects.exists()


def test_new_symbols_are_put_on_the_chosen_board(admin_client: Client):
    mine = Board.objects.create(slug="mine", title="Mine")
    send(admin_client, FILE, "load", board=str(mine.pk))
    assert [place.symbol.code for place in mine.places.all()] == ["BTC-USD", "AAPL"]
    assert Board.objects.count() == 1


@pytest.mark.parametrize("button", ["look", "load"])
@pytest.mark.parametrize(
    ("content", "error"),
    [
        (WRONG, "line 4: symbol: Write “<B>” in place of “<b>”; kind: 'stick' is not a valid kind"),
        ("PK\x03\x04", "must be CSV"),
        ("", "The submitted file is empty."),
        ("a;b\n1;2\n", "columns"),
        ("=1+1,name,kind,exchange,currency\n", "line 1: column 'symbol' is missing"),
    ],
)
def test_a_file_with_an_error_is_refused_with_its_line_and_changes_nothing(
    admin_client: Client, button: str, content: str, error: str
):
    response = send(admin_client, content, button)
    assert response.status_code == 200
    assert error in text(response)
    assert "<b>," not in response.content.decode()
    assert not Symbol.objects.exists()


FAULTY = """Symbol;Name;Art;Börse;Währung;Kursschritt;Aktiv;kraken
AAPL;Apple;stonk;;USD;0,01;ja;
msft;;stock;;$;klein;;2026-11-30
AAPL;Apple;stock;;USD;1.5;;
X
"""
FAULTY_IN_GERMAN = """
Zeile 2: Art: „stonk“ ist keine gültige Art, möglich sind: crypto, stock, etf, index, fund, bond,
currency, future; Aktiv: „ja“ ist ungültig, möglich sind: yes, no, true, false, 1, 0
Zeile 3: Symbol: Schreiben Sie „MSFT“ statt „msft“; Name: Dieses Feld darf nicht leer sein; Währung:
„$“ ist keine gültige Währung: erlaubt sind Kürzel wie USD, EUR oder USDT, und GBP für Kurse in
Pence; Kursschritt: „klein“ ist ungültig, möglich ist eine Zahl über 0; kraken: „2026-11-30“ ist ein
Datum, das eine Tabellenkalkulation aus einem Code gemacht hat: Formatieren Sie die Spalte als Text,
und geben Sie den Code noch einmal ein
Zeile 4: Kursschritt: „1.5“ passt zu einem Dezimalpunkt, die Datei hat ein Dezimalkomma; „AAPL“
steht schon in Zeile 2
Zeile 5: hat 1 Zelle, muss so viele haben wie Zeile 1
"""
FAULTY_JSON = """[
{"symbol": "AAPL", "name": 5},
{"symbol": "MSFT", "tick_size": []}
]
"""
FAULTY_JSON_IN_GERMAN = """
Zeile 2: „name“ ist eine Zahl, muss ein Text sein
Zeile 3: „tick_size“ ist eine Liste, muss eine Zahl oder ein Text sein
"""


def in_german(client: Client, content: str) -> Any:
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"
    return send(client, content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(FAULTY, FAULTY_IN_GERMAN), (FAULTY_JSON, FAULTY_JSON_IN_GERMAN)],
    ids=["CSV", "JSON"],
)
def test_a_german_page_states_all_errors_of_a_file_in_german(
    admin_client: Client, content: str, expected: str
):
    page = in_german(admin_client, content).content.decode()
    [errors] = re.findall('<ul class="errorlist">(.*?)</ul>', page, re.DOTALL)
    shown = re.findall("<li>(.*?)</li>", unescape(errors))
    assert " ".join(shown).split() == expected.split()


def test_a_german_page_states_the_form_of_a_file_in_german(admin_client: Client):
    assert "UTF-8, Kommas. 2 Zeilen: 2 hinzugefügt" in text(in_german(admin_client, FILE))
    row = "AAPL;Apple;stock;;USD;0,01\n"
    semicolons = "symbol;name;kind;exchange;currency;tick_size\n" + row
    assert "UTF-8, Semikolons, Dezimalkomma. 1 Zeile" in text(in_german(admin_client, semicolons))


def test_only_those_who_may_add_and_change_symbols_may_load(client: Client):
    make_groups()
    for name, allowed in (("viewer", False), ("editor", True), ("operator", True)):
        user = User.objects.create(username=name, is_staff=True)
        user.groups.add(Group.objects.get(name=f"Quotes {name}"))
        client.force_login(user)
        assert (client.get(LOAD).status_code == 200) is allowed
        assert (send(client, FILE).status_code == 200) is allowed
        linked = LOAD in client.get("/admin/quotes/symbol/").content.decode()
        assert linked is allowed
    assert not Symbol.objects.exists()


def page_of(load: Load) -> str:
    return f"{LOAD}{load.pk}/"


def elsewhere(**given: Any) -> Load:
    """Return Bob's load, on which a process of another machine works."""
    return Load.objects.create(**{"by": "bob", "name": "his.csv", "holder": "elsewhere:7"} | given)


def sign_in(client: Client, group: str) -> None:
    make_groups()
    user = User.objects.create(username=group, is_staff=True)
    user.groups.add(Group.objects.get(name=f"Quotes {group}"))
    client.force_login(user)


def test_a_viewer_neither_sees_nor_cancels_loads(client: Client):
    load = elsewhere()
    sign_in(client, "viewer")
    assert client.get(page_of(load)).status_code == 403
    assert client.post(page_of(load)).status_code == 403
    assert client.get(RECENT).status_code == 403
    assert RECENT not in client.get("/admin/quotes/symbol/").content.decode()
    load.refresh_from_db()
    assert load.cancelled_by == ""


def test_an_editor_sees_and_cancels_loads_of_others_but_not_their_previews(client: Client):
    load, preview = elsewhere(step=3, done=500, of=1000), elsewhere(is_preview=True)
    sign_in(client, "editor")
    shown = text(client.get(page_of(load)))
    assert "“his.csv” is being loaded Step 3 of 6: Writing symbols" in shown
    assert re.search(r"500 of 1,000 rows bob began it \([0-9:]{8} UTC\)", shown)
    assert "in progress" in text(client.get(RECENT))
    assert client.get(page_of(preview)).status_code == 404
    assert client.post(page_of(preview)).status_code == 404
    assert "editor cancels it." in text(client.post(page_of(load), follow=True))
    load.refresh_from_db()
    preview.refresh_from_db()
    assert (load.cancelled_by, preview.cancelled_by) == ("editor", "")


def test_a_cancellation_after_the_end_states_that_all_is_loaded(admin_client: Client):
    send(admin_client, FILE, "load")
    load = Load.objects.get()
    shown = admin_client.post(page_of(load), follow=True)
    assert "It is too late to cancel: “symbols.csv” is loaded." in unescape(shown.content.decode())
    assert "What was done" in text(shown)
    assert Symbol.objects.count() == 2


def test_a_second_load_waits_for_the_end_of_the_first_one(admin_client: Client):
    load = elsewhere()
    assert "bob loads “his.csv” now. See how far it is" in text(admin_client.get(LOAD))
    preview = send(admin_client, FILE)
    refused = admin_client.post(LOAD, sealed(preview), follow=True)
    assert "Another file is being loaded. Wait for its end, then load this one." in text(refused)
    assert page_of(load) in refused.content.decode()
    assert "Wait for its end, then load this one." in text(send(admin_client, FILE, "load"))
    assert not Symbol.objects.exists()
    Load.objects.filter(pk=load.pk).update(state="done")
    assert "2 rows: 2 added" in text(admin_client.post(LOAD, sealed(refused), follow=True))


def test_a_load_whose_process_is_silent_has_no_result(admin_client: Client):
    load = elsewhere(seen_at=timezone.now() - timedelta(minutes=1))
    assert "“his.csv” has no result, because the server" in text(admin_client.get(page_of(load)))
    assert "ended without a result" in text(admin_client.get(RECENT))
    assert "2 rows: 2 added" in text(send(admin_client, FILE, "load"))


def test_the_list_of_loads_leads_to_the_report_of_each(admin_client: Client):
    send(admin_client, FILE)
    assert "No file was loaded in the last 30 days." in text(admin_client.get(RECENT))
    send(admin_client, FILE, "load")
    shown = admin_client.get(RECENT)
    assert "symbols.csv 2 rows: 2 added, 0 updated, 0 unchanged" in text(shown)
    [report] = set(re.findall(rf'href="({LOAD}\d+/)"', shown.content.decode()))
    page = text(admin_client.get(report))
    moment = r"\([A-Za-z.]+ \d{1,2}, \d{4} [0-9:]{8} UTC\)"
    assert re.search(f"admin loaded “symbols.csv” {moment}", page)
    assert "2 BTC-USD added crypto" in text(admin_client.get(report))


@pytest.mark.django_db(transaction=True)
def test_a_load_that_another_process_writes_into_sqlite_is_not_cancelled(admin_client: Client):
    load = elsewhere(seen_at=timezone.now() + timedelta(minutes=1))
    with closing(sqlite3.connect(connection.settings_dict["NAME"])) as other:
        other.execute("BEGIN IMMEDIATE")
        shown = text(admin_client.post(page_of(load), follow=True))
    assert "“his.csv” is being loaded" in shown
    assert "The database is busy. Cancel again in some seconds." in shown
    load.refresh_from_db()
    assert load.cancelled_by == ""
