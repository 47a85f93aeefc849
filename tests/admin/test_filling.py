"""Boards that fill themselves, in the admin: their form, from a list and back, and files."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from quotes.boards import load_listed
from quotes.live.live import Live
from quotes.models import Board, BoardSymbol, LastQuote, Symbol
from quotes.quote.wire import to_wire
from quotes.staff.bulk import Placing, Plan, carry_out
from tests.groups import make_groups
from tests.servers import until

ROW = re.compile(r'<tr><th scope="row">([^<]*)</th><td>([^<]*)</td>(?:<td>([^<]*)</td>)?')
HEADER = "symbol,name,kind,exchange,currency\n"


@pytest.fixture
def shares(db: None) -> Board:
    """A list of two shares; beside it, an ETF and a coin."""
    board = Board.objects.create(slug="shares", title="Shares")
    for code, kind, exchange, currency in (
        ("MSFT", "stock", "NASDAQ", "USD"),
        ("AAPL", "stock", "NASDAQ", "USD"),
        ("SPY", "etf", "NYSE Arca", "USD"),
        ("BTC-EUR", "crypto", "", "EUR"),
    ):
        symbol = Symbol.objects.create(
            code=code, name=f"Name of {code}", kind=kind, exchange=exchange, currency=currency
        )
        if kind == "stock":
            BoardSymbol.objects.create(board=board, symbol=symbol)
    return board


def by_rule(board: Board, **rule: Any) -> Board:
    """Let a board fill itself."""
    board.places.all().delete()
    for name, value in ({"filling": "all", "kinds": ["etf"]} | rule).items():
        setattr(board, name, value)
    board.save()
    return board


def address(board: Board) -> str:
    return f"/admin/quotes/board/{board.pk}/change/"


def send(client: Client, board: Board, **entered: Any) -> Any:
    """Send the form of a board."""
    form = {
        "title": board.title,
        "slug": board.slug,
        "position": board.position,
        "filling": board.filling,
        "kinds": board.kinds,
        "exchange": board.exchange,
        "currency": board.currency,
        "source": board.source,
        "number": board.number or "",
        "order": board.order,
    }
    return client.post(address(board), form | entered)


def errors(response: Any) -> dict[str, list[str]]:
    """The errors of a form that was not saved, by field."""
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


def text(response: Any) -> str:
    return unescape(response.content.decode())


def codes(board: Board) -> list[str]:
    """The symbols that visitors see on a board."""
    return list(load_listed().boards[board.slug].codes)


# The rule


def test_a_rule_is_shown_before_it_is_saved(alice: Client, shares: Board):
    response = send(alice, shares, filling="all", kinds=["etf", "crypto"], _preview="1")
    assert errors(response) == {}
    page = text(response)
    assert "The rule finds 2 symbols now" in page
    assert "Nothing is saved yet." in page
    assert [code for code, *_ in ROW.findall(page)] == ["BTC-EUR", "SPY"]
    assert 'class="errornote"' not in page
    shares.refresh_from_db()
    assert (shares.filling, shares.kinds, shares.places.count()) == ("list", [], 2)


def test_a_preview_shows_the_first_ten_and_counts_all(alice: Client, shares: Board):
    many = [Symbol(code=f"F{n:02}", name="x", kind="fund", currency="USD") for n in range(25)]
    Symbol.objects.bulk_create(many)
    page = text(send(alice, shares, filling="all", kinds=["fund"], _preview="1"))
    assert "The rule finds 25 symbols now" in page
    assert [code for code, *_ in ROW.findall(page)] == [f"F{n:02}" for n in range(10)]
    assert "15 more symbols are not shown." in page


def test_a_preview_of_the_largest_rises_shows_them_with_their_values(
    alice: Client, shares: Board, make_quote: Any
):
    for code, last in (("AAPL", "101"), ("MSFT", "105"), ("SPY", "99")):
        symbol, wire = Symbol.objects.get(code=code), to_wire(make_quote(code, last))
        LastQuote.objects.create(symbol=symbol, epoch=1, batch=1, wire=wire)
    page = text(send(alice, shares, filling="rises", number="3", _preview="1"))
    assert [(code, value) for code, _, value in ROW.findall(page)] == [
        ("MSFT", "+5.00%"),
        ("AAPL", "+1.00%"),
    ]


def test_a_preview_states_why_a_stale_price_is_below_smaller_rises(
    alice: Client, shares: Board, make_quote: Any
):
    now, last = timezone.now(), "Symbols with a stale price are chosen last."
    for code, price, hours in (("BTC-USD", "101", 0), ("ETH-USD", "150", 1)):
        coin = Symbol.objects.create(code=code, name=code, kind="crypto", currency="USD")
        quote = make_quote(code, price, received_at=now - timedelta(hours=hours))
        LastQuote.objects.create(symbol=coin, epoch=1, batch=1, wire=to_wire(quote))
    given = {"filling": "rises", "number": "3", "kinds": ["crypto"], "_preview": "1"}
    page = text(send(alice, shares, **given))
    assert [code for code, *_ in ROW.findall(page)] == ["BTC-USD", "ETH-USD"]
    assert last in page
    Symbol.objects.get(code="ETH-USD").delete()
    assert last not in text(send(alice, shares, **given))


def test_an_invalid_rule_has_no_preview_and_names_its_errors(alice: Client, shares: Board):
    response = send(alice, shares, filling="rises", _preview="1")
    assert list(errors(response)) == ["number"]
    assert "The rule finds" not in text(response)


@pytest.mark.parametrize(
    ("entered", "field", "error"),
    [
        ({"filling": "rises"}, "number", "Enter how many symbols the board shows: from 1 to 100."),
        ({"filling": "falls", "number": "0"}, "number", "greater than or equal to 1"),
        ({"filling": "falls", "number": "101"}, "number", "less than or equal to 100"),
        ({"filling": "all", "number": "5"}, "number", "A board of all symbols has no number."),
        ({"filling": "traded", "number": "5"}, "currency", "Choose a currency"),
        (
            {"filling": "traded", "number": "5", "currency": "USD", "kinds": ["index"]},
            "kinds",
            "Only crypto, stocks and ETFs have a turnover.",
        ),
        ({"filling": "all", "exchange": "XYZ"}, "exchange", "No symbol has “XYZ”."),
        ({"filling": "all", "currency": "CHF"}, "currency", "No symbol has “CHF”."),
        ({"filling": "all", "source": "nobody"}, "source", "There is no provider “nobody”."),
        ({"filling": "all", "kinds": ["tulip"]}, "kinds", "tulip"),
        ({"filling": "by magic"}, "filling", "by magic"),
        ({"kinds": ["etf"]}, "filling", "A list that you arrange by hand has no conditions."),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_and_nothing_is_saved(
    alice: Client, shares: Board, entered: dict[str, Any], field: str, error: str
):
    found = errors(send(alice, shares, **entered))
    assert error in " ".join(found[field])
    assert codes(shares) == ["MSFT", "AAPL"]


def test_a_rule_keeps_an_exchange_that_no_symbol_has_any_more(alice: Client, shares: Board):
    board = by_rule(shares, kinds=[], exchange="NASDAQ")
    Symbol.objects.update(exchange="XETRA")
    assert send(alice, board, title="Mine").status_code == 302
    board.refresh_from_db()
    assert (board.title, board.exchange) == ("Mine", "NASDAQ")
    assert "The rule finds 0 symbols now" in text(alice.get(address(board)))


# From a list to a rule and back


def test_a_list_is_lost_only_after_a_question(alice: Client, shares: Board):
    response = send(alice, shares, filling="all", kinds=["etf"])
    [error] = errors(response)["filling"]
    assert error == "2 symbols that were placed by hand would be removed from this board."
    assert 'name="lose" value="2"' in text(response)
    assert shares.places.count() == 2
    assert send(alice, shares, filling="all", kinds=["etf"], lose="1").status_code == 200
    assert send(alice, shares, filling="all", kinds=["etf"], lose="2").status_code == 302
    assert shares.places.count() == 0
    assert codes(shares) == ["SPY"]


def test_an_empty_list_becomes_a_rule_without_a_question(alice: Client, shares: Board):
    shares.places.all().delete()
    assert send(alice, shares, filling="all", kinds=["etf"]).status_code == 302
    assert codes(shares) == ["SPY"]


def test_a_rule_that_becomes_a_list_keeps_its_symbols_in_order(alice: Client, shares: Board):
    board = by_rule(shares, kinds=["stock", "etf"])
    response = send(alice, board, filling="list")
    assert response.status_code == 302
    assert "keeps the 3 symbols that it has now" in text(alice.get(response["Location"]))
    Symbol.objects.filter(code="SPY").update(kind="fund")
    assert codes(board) == ["AAPL", "MSFT", "SPY"]
    assert list(board.places.values_list("position", flat=True)) == [1, 2, 3]


async def test_a_symbol_that_was_deleted_a_moment_ago_is_not_kept(live_parts: Live):
    def lists() -> Any:
        admin = User.objects.create(username="alice", is_staff=True, is_superuser=True)
        client = Client()
        client.force_login(admin)
        return send(client, board, filling="list")

    for code in ("AAPL", "MSFT"):
        await Symbol.objects.acreate(code=code, name=code, kind="stock", currency="USD")
    board = await Board.objects.acreate(slug="shares", title="Shares", filling="all")

    def is_known() -> bool:
        view = live_parts.listed.boards.get("shares")
        return view is not None and view.codes == ("AAPL", "MSFT")

    await until(is_known)  # the board may be read before the second symbol is
    gone = Symbol.objects.filter(code="AAPL")
    await sync_to_async(gone._raw_delete)("default")  # which this process has not heard of
    page = await sync_to_async(lists)()
    assert page.status_code == 302
    assert [each.symbol_id async for each in board.places.all()] == [
        (await Symbol.objects.aget()).pk
    ]


def test_the_history_names_the_rule_before_and_after(alice: Client, shares: Board):
    board = by_rule(shares)
    send(alice, board, kinds=["etf", "fund"])
    history = text(alice.get(f"/admin/quotes/board/{board.pk}/history/"))
    assert "Kinds: from “ETF” to “ETF, Fund”" in history
    assert LogEntry.objects.count() == 1


# The symbols of a board by rule


def test_the_page_of_its_symbols_changes_nothing_and_says_why(alice: Client, shares: Board):
    board = by_rule(shares, kinds=["stock"])
    path = f"/admin/quotes/board/{board.pk}/symbols/"
    page = text(alice.get(path))
    assert "This board fills itself" in page
    assert f'<a href="{address(board)}">Change the rule</a>' in page
    assert re.findall(r'change/">([A-Z]+)</a></th>', page) == ["AAPL", "MSFT"]
    assert "Move to" not in page
    assert alice.post(path, {"codes": "SPY", "shown": "", "newest": "0"}).status_code == 403
    assert board.places.count() == 0


def test_a_symbol_can_not_be_placed_on_it_by_hand(alice: Client, shares: Board):
    board = by_rule(shares)
    page = text(alice.get(f"/admin/quotes/symbol/{Symbol.objects.get(code='AAPL').pk}/change/"))
    choices = re.findall(r'<select name="places-0-board".*?</select>', page, re.DOTALL)
    assert "Shares" not in choices[0]
    assert board.title == "Shares"


@pytest.mark.parametrize("action", ["put", "move", "remove"])
def test_many_symbols_can_not_be_placed_on_it_at_once(alice: Client, shares: Board, action: str):
    board = by_rule(Board.objects.create(slug="funds", title="Funds"))
    apple = Symbol.objects.get(code="AAPL")
    chosen = {"action": action, "_selected_action": apple.pk, "index": 0}
    offered = text(alice.post("/admin/quotes/symbol/", chosen))
    assert ">Shares</option>" in offered
    assert ">Funds</option>" not in offered
    page = alice.post("/admin/quotes/symbol/", chosen | {"board": board.pk, "look": "1"})
    assert "Select a valid choice" in text(page)
    assert list(apple.boards.all()) == [shares]


def test_the_undo_of_a_bulk_change_puts_nothing_on_it(alice: Client, shares: Board):
    other = Board.objects.create(slug="other", title="Other")
    symbols, chosen = Symbol.objects.filter(code="AAPL"), Placing("move", other)
    user = User.objects.get(username="alice")
    done = carry_out(chosen, symbols, Plan.of(chosen, symbols).seal, user)
    by_rule(shares)
    page = alice.post(f"/admin/quotes/bulkchange/{done.pk}/undo/", follow=True)
    assert "left as they are: AAPL" in text(page)
    assert list(symbols.get().boards.all()) == [other]


def test_the_list_of_boards_counts_what_rules_find_without_a_query_for_each(
    alice: Client, shares: Board
):
    by_rule(shares)
    with CaptureQueriesContext(connection) as one:
        assert "1 symbols on Shares" in text(alice.get("/admin/quotes/board/"))
    for slug in "abc":
        Board.objects.create(slug=slug, title=slug, filling="all")
    with CaptureQueriesContext(connection) as four:
        page = text(alice.get("/admin/quotes/board/"))
    assert "4 symbols on a" in page
    assert page.count("<br>fills itself") == 4
    assert len(four) == len(one)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("boards__id__exact={}", {"SPY"}),
        ("boards__isnull=True", {"AAPL", "MSFT", "BTC-EUR"}),
        ("needs=board", {"AAPL", "MSFT", "BTC-EUR"}),
    ],
)
def test_filters_of_symbols_know_boards_by_rule(
    alice: Client, shares: Board, query: str, expected: set[str]
):
    board = by_rule(shares)
    Board.objects.create(slug="rises", title="Rises", filling="rises", number=5)
    page = text(alice.get(f"/admin/quotes/symbol/?{query.format(board.pk)}"))
    assert set(re.findall(r"field-code[^>]*><a [^>]*>([^<]*)</a>", page)) == expected


# Rights


@pytest.mark.parametrize("group", ["Quotes viewer", "Quotes editor"])
def test_only_those_who_may_edit_change_a_rule(shares: Board, group: str):
    make_groups()
    user = User.objects.create(username="bob", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    bob, board = Client(), by_rule(shares)
    bob.force_login(user)
    page = text(bob.get(address(board)))
    edits = group == "Quotes editor"
    assert ("Show what the rule finds" in page) == edits
    assert "The rule finds 1 symbol now" in page
    assert ("Kinds: ETF" in page) != edits
    assert send(bob, board, kinds=["fund"]).status_code == (302 if edits else 403)
    assert send(bob, board, kinds=["bond"], _preview="1").status_code == (200 if edits else 403)
    board.refresh_from_db()
    assert board.kinds == (["fund"] if edits else ["etf"])


def test_a_list_stays_for_those_who_may_not_remove_symbols(shares: Board):
    make_groups()
    user = User.objects.create(username="bob", is_staff=True)
    user.groups.add(Group.objects.get(name="Quotes editor"))
    Group.objects.get(name="Quotes editor").permissions.filter(
        codename="delete_boardsymbol"
    ).delete()
    bob = Client()
    bob.force_login(user)
    found = errors(send(bob, shares, filling="all", kinds=["etf"], lose="2"))
    assert "which you may not do" in found["filling"][0]
    assert shares.places.count() == 2


# Files


def test_a_file_names_the_rows_that_were_not_placed(alice: Client, shares: Board, tmp_path: Path):
    board, rows = by_rule(shares), HEADER + "TSLA,Tesla,stock,NASDAQ,USD\n"
    file = SimpleUploadedFile("rows.csv", rows.encode())
    given = {"file": file, "board": board.pk, "look": "1"}
    page = text(alice.post("/admin/quotes/symbol/load/", given, follow=True))
    assert "not put on shares, which fills itself" in page
    path = tmp_path / "rows.csv"
    path.write_text(rows)
    call_command("loadcatalogue", path, board="shares", stdout=(out := StringIO()))
    expected = "line 2: TSLA added, not put on board shares, which fills itself"
    assert expected in out.getvalue()
    assert board.places.count() == 0


def test_a_board_by_rule_is_saved_as_a_file_in_its_order(shares: Board, tmp_path: Path):
    by_rule(shares, kinds=["etf", "stock"])
    path = tmp_path / "saved.csv"
    call_command("savecatalogue", path, board="shares", verbosity=0)
    rows = path.read_text("utf-8-sig").splitlines()
    assert [row.partition(",")[0] for row in rows] == ["symbol", "AAPL", "MSFT", "SPY"]
