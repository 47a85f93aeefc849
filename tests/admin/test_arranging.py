"""The page of the admin with the symbols of a board: search, add, move and remove."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from quotes.live import journal, lease
from quotes.models import Alias, Board, BoardSymbol, Symbol

ROW = re.compile(
    r'<tr><td>([0-9,.]+)</td><th scope="row">(?:<a [^>]*>)?([^<]+)(?:</a>)?</th><td>([^<]*)'
)


def make_symbol(code: str, name: str) -> Symbol:
    return Symbol.objects.create(code=code, name=name, kind="stock", currency="USD")


def member(name: str, *rights: str) -> Client:
    """Log in as somebody of the staff with rights on boards and on their symbols."""
    create_permissions(apps.get_app_config("quotes"), verbosity=0)
    user = User.objects.create(username=name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def shares(db: None) -> Board:
    """A board with five shares; Tesla, Intel and a bond with a space in its code are beside it."""
    board = Board.objects.create(slug="shares", title="Shares")
    for code, name in (
        ("AAPL", "Apple"),
        ("MSFT", "Microsoft"),
        ("NVDA", "Nvidia"),
        ("AMZN", "Amazon"),
        ("META", "Meta Platforms"),
    ):
        BoardSymbol.objects.create(board=board, symbol=make_symbol(code, name))
    for code, name in (("TSLA", "Tesla"), ("INTC", "Intel"), ("BUND 10Y", "Bund")):
        make_symbol(code, name)
    return board


def address(board: Board) -> str:
    return f"/admin/quotes/board/{board.pk}/symbols/"


def codes(board: Board) -> list[str]:
    """The symbols of a board in order, whose positions are 1, 2, 3."""
    rows = list(board.places.order_by("position").values_list("position", "symbol__code"))
    assert [position for position, _ in rows] == list(range(1, len(rows) + 1))
    return [code for _, code in rows]


def rows(response: Any) -> list[tuple[str, str, str]]:
    """The numbers, codes and names that a page shows."""
    return [(n, code, name.strip()) for n, code, name in ROW.findall(response.content.decode())]


class Tab:
    """An open page of the symbols of a board, with what was entered in it."""

    def __init__(self, client: Client, board: Board, query: str = "") -> None:
        self.client, self.address = client, address(board) + query
        self.read(client.get(self.address))

    def read(self, response: Any) -> None:
        assert response.status_code == 200
        page = response.content.decode()
        self.hidden = dict(
            re.findall(r'<input type="hidden" name="(shown|newest)" value="([^"]*)"', page)
        )

    def save(self, _add: str = "", _after: str = "", **entered: int | str) -> Any:
        """Enter numbers to move to, or "remove", by code; then save."""
        form = {**self.hidden, "codes": _add, "after": _after}
        for code, what in entered.items():
            pk = Symbol.objects.get(code=code).pk
            form |= {f"{pk}-remove": "on"} if what == "remove" else {f"{pk}-to": str(what)}
        return self.client.post(self.address, form)


def errors(response: HttpResponse) -> str:
    """The errors at the fields of a page that was not saved."""
    assert response.status_code == 200
    assert "Not saved" in response.content.decode()
    lists = re.findall(r'<ul class="errorlist.*?</ul>', response.content.decode(), re.DOTALL)
    return unescape(" ".join(re.sub("<[^>]*>", "", each) for each in lists))


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        ({"META": 1}, "META AAPL MSFT NVDA AMZN"),
        ({"AAPL": 5}, "MSFT NVDA AMZN META AAPL"),
        ({"AAPL": 999}, "MSFT NVDA AMZN META AAPL"),
        ({"MSFT": 4}, "AAPL NVDA AMZN MSFT META"),
        ({"AAPL": 2, "META": 1}, "META AAPL MSFT NVDA AMZN"),
        ({"AAPL": 5, "META": 1}, "META MSFT NVDA AMZN AAPL"),
        ({"AAPL": 9, "MSFT": 7}, "NVDA AMZN META MSFT AAPL"),
        ({"META": 2, "AMZN": 2}, "AAPL AMZN META MSFT NVDA"),
        ({"NVDA": 3}, "AAPL MSFT NVDA AMZN META"),
        ({"AAPL": "remove", "META": 1}, "META MSFT NVDA AMZN"),
        ({"MSFT": "remove", "AMZN": "remove"}, "AAPL NVDA META"),
    ],
)
def test_a_symbol_that_is_moved_to_a_number_gets_it(
    alice: Client, shares: Board, moved: dict[str, Any], expected: str
):
    assert Tab(alice, shares).save(**moved).status_code == 302
    assert codes(shares) == expected.split()


@pytest.mark.parametrize(
    ("added", "after", "expected"),
    [
        ("TSLA", "", "AAPL MSFT NVDA AMZN META TSLA"),
        ("intc, TSLA", "", "AAPL MSFT NVDA AMZN META INTC TSLA"),
        ("INTC\r\nTSLA TSLA", "aapl", "AAPL INTC TSLA MSFT NVDA AMZN META"),
        ("TSLA", "META", "AAPL MSFT NVDA AMZN META TSLA"),
        ("TWTR", "", "AAPL MSFT NVDA AMZN META TSLA"),
    ],
)
def test_symbols_are_added_at_the_end_or_after_another(
    alice: Client, shares: Board, added: str, after: str, expected: str
):
    Alias.objects.create(code="TWTR", symbol=Symbol.objects.get(code="TSLA"))
    assert Tab(alice, shares).save(added, after).status_code == 302
    assert codes(shares) == expected.split()


def test_a_code_with_a_space_is_added_between_commas(alice: Client, shares: Board):
    Tab(alice, shares).save("TSLA, BUND 10Y, INTC")
    assert codes(shares)[5:] == ["TSLA", "BUND 10Y", "INTC"]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"_add": "TSLA NOPE, ZZZ"}, "Unknown: NOPE, ZZZ. Nothing was saved."),
        ({"_add": "TSLA META"}, "Already on the board: META (5). Nothing was saved."),
        ({"_add": "TSLA", "_after": "INTC"}, "“INTC” is not on this board."),
        ({"_add": "TSLA", "_after": "AAPL", "AAPL": "remove"}, "removed at the same time"),
        ({"_add": "TSLA", "AAPL": "0"}, "Enter a whole number from 1."),
        ({"_add": "TSLA", "AAPL": "first"}, "Enter a whole number from 1."),
        ({"_add": "TSLA\0"}, "Null characters are not allowed."),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_saved(
    alice: Client, shares: Board, given: dict[str, Any], error: str
):
    before = codes(shares)
    response = Tab(alice, shares).save(**{"META": "1"} | given)
    assert error in errors(response)
    assert codes(shares) == before
    kept = response.content.decode()
    pk = Symbol.objects.get(code="META").pk
    assert re.search(rf'<input[^>]*name="{pk}-to"[^>]*value="1"', kept) or (
        re.search(rf'<input[^>]*value="1"[^>]*name="{pk}-to"', kept)
    )
    assert "TSLA" in kept


def test_a_page_leads_to_its_first_error(alice: Client, shares: Board):
    response = Tab(alice, shares).save("TSLA", NVDA="0", META="x")
    pk = Symbol.objects.get(code="NVDA").pk
    link = f'<a href="#id_{pk}-to">Move to: NVDA</a>: Enter a whole number from 1.'
    page = response.content.decode()
    assert page.count('class="first-error"') == page.count(link) == 1
    assert f'id="id_{pk}-to"' in page


def test_a_board_with_gaps_and_equal_positions_is_numbered_from_1(alice: Client, shares: Board):
    for place, position in zip(shares.places.all(), (7, 7, 7, 30, 30), strict=True):
        BoardSymbol.objects.filter(pk=place.pk).update(position=position)
    assert [number for number, *_ in rows(alice.get(address(shares)))] == list("12345")
    Tab(alice, shares).save(NVDA=1)
    assert codes(shares) == ["NVDA", "AAPL", "MSFT", "AMZN", "META"]


def test_a_board_of_many_equal_positions_is_numbered_from_1(alice: Client, shares: Board):
    fill(shares, 600)
    shares.places.update(position=0)
    Tab(alice, shares).save(META=1)
    assert codes(shares)[:4] == ["META", "AAPL", "MSFT", "NVDA"]


def fill(board: Board, count: int) -> None:
    """Put many symbols at the end of a board: S0, S1, S2."""
    given = {"kind": "etf", "currency": "USD"}
    more = [Symbol(code=f"S{number}", name=f"Fund {number}", **given) for number in range(count)]
    first = board.places.count() + 1
    BoardSymbol.objects.bulk_create(
        BoardSymbol(board=board, symbol=symbol, position=position)
        for position, symbol in enumerate(Symbol.objects.bulk_create(more), first)
    )


def test_its_history_is_one_click_away_for_those_who_may_see_it(alice: Client, shares: Board):
    link = f'<a href="/admin/quotes/board/{shares.pk}/history/" class="historylink">History</a>'
    assert link in alice.get(address(shares)).content.decode()
    bob = member("bob", "view_boardsymbol")
    assert "historylink" not in bob.get(address(shares)).content.decode()


def test_a_page_has_a_hundred_rows_and_a_search_keeps_their_numbers(alice: Client, shares: Board):
    fill(shares, 1200)
    first, last = rows(alice.get(address(shares))), rows(alice.get(address(shares) + "?p=13"))
    assert (len(first), first[0]) == (100, ("1", "AAPL", "Apple"))
    assert (len(last), last[-1]) == (5, ("1,205", "S1199", "Fund 1199"))
    for text, found in (("s1199", "1,205"), ("PLATFORMS", "5"), ("fund 77 ", "83")):
        assert rows(alice.get(address(shares), {"q": text}))[0][0] == found
    response = alice.get(address(shares), {"q": "nothing like it"})
    assert rows(response) == []
    assert "Nothing matches." in response.content.decode()


def test_found_rows_are_moved_and_the_search_stays(alice: Client, shares: Board):
    fill(shares, 300)
    response = Tab(alice, shares, "?q=S299").save(S299=2)
    assert response["Location"] == f"{address(shares)}?q=S299"
    assert codes(shares)[:3] == ["AAPL", "S299", "MSFT"]


def test_large_boards_cost_as_many_queries_as_small_ones(alice: Client, shares: Board):
    def count(add: str) -> tuple[int, int]:
        with CaptureQueriesContext(connection) as page:
            tab = Tab(alice, shares)
        with CaptureQueriesContext(connection) as save:
            assert tab.save(add, AAPL=4, MSFT="remove").status_code == 302
        return len(page), len(save)

    alice.get(address(shares))
    few = count("TSLA")
    fill(shares, 2000)
    Tab(alice, shares).save("MSFT", "AAPL", AAPL=1)
    assert count("INTC") == few


# Two editors


def test_a_change_of_another_is_named_and_nothing_entered_is_lost(alice: Client, shares: Board):
    bob = member("bob", *(f"{do}_board" for do in ("view", "change")), *ON_BOARDS)
    tab = Tab(alice, shares)
    Tab(bob, shares).save("INTC", "AAPL", NVDA="remove")
    response = tab.save("TSLA", META=1, NVDA=2, AMZN="remove")
    page = unescape(response.content.decode())
    assert "Not saved: this board was changed after you opened this page" in page
    assert re.search(r"<li>bob, [^<]* UTC: Added: INTC \(2\)\. Removed: NVDA\.</li>", page)
    assert "No longer on this board: NVDA." in page
    assert "Other numbers: MSFT: 2 → 3." in page
    assert codes(shares) == ["AAPL", "INTC", "MSFT", "AMZN", "META"]
    assert [code for _, code, _ in rows(response)] == codes(shares)
    tab.read(response)
    meta, amazon = (Symbol.objects.get(code=code).pk for code in ("META", "AMZN"))
    [field] = re.findall(rf'<input[^>]*name="{meta}-to"[^>]*>', page)
    assert 'value="1"' in field
    [box] = re.findall(rf'<input[^>]*name="{amazon}-remove"[^>]*>', page)
    assert "checked" in box
    assert tab.save("TSLA", META=1, AMZN="remove").status_code == 302
    assert codes(shares) == ["META", "AAPL", "INTC", "MSFT", "TSLA"]


ON_BOARDS = [f"{do}_boardsymbol" for do in ("view", "add", "change", "delete")]


def test_a_change_of_other_rows_does_not_hinder(alice: Client, shares: Board):
    fill(shares, 200)
    tab = Tab(alice, shares)
    Tab(alice, shares, "?p=3").save(S199=150)
    assert tab.save(AAPL=2).status_code == 302
    assert codes(shares)[:2] == ["MSFT", "AAPL"]


def test_a_row_that_another_moved_to_another_page_keeps_what_was_entered(
    alice: Client, shares: Board
):
    fill(shares, 200)
    tab = Tab(alice, shares)
    Tab(alice, shares).save(AAPL=180)
    response = tab.save(AAPL=3)
    assert ("180", "AAPL", "Apple") in rows(response)
    tab.read(response)
    tab.save(AAPL=3)
    assert codes(shares)[:3] == ["MSFT", "NVDA", "AAPL"]


# Rights, the history, and open pages


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        ("add", "AAPL MSFT NVDA AMZN META TSLA"),
        ("change", "META AAPL MSFT NVDA AMZN"),
        ("delete", "MSFT NVDA AMZN META"),
    ],
)
def test_each_right_allows_its_part_only(shares: Board, right: str, expected: str):
    rights = ("view_board", "change_board", "view_boardsymbol", f"{right}_boardsymbol")
    response = Tab(member("bob", *rights), shares).save("TSLA", AAPL="remove", META=1)
    assert response.status_code == 302
    assert codes(shares) == expected.split()


@pytest.mark.parametrize("rights", [("view_board", "view_boardsymbol"), ("view_board", *ON_BOARDS)])
def test_somebody_who_may_only_look_changes_nothing(shares: Board, rights: tuple[str, ...]):
    bob, before = member("bob", *rights), codes(shares)
    page = bob.get(address(shares))
    assert [code for _, code, _ in rows(page)] == before
    assert b"Move to" not in page.content
    assert b'type="checkbox"' not in page.content
    assert Tab(bob, shares).save("TSLA", AAPL="remove", META=1).status_code == 403
    assert codes(shares) == before


def test_nobody_else_sees_the_page(client: Client, shares: Board):
    assert client.get(address(shares)).status_code == 302
    for rights in ((), ("view_board",), ("view_boardsymbol",)):
        somebody = member(f"bob{len(rights)}{''.join(rights)}", *rights)
        assert somebody.get(address(shares)).status_code == 403


def test_a_save_is_in_the_history_and_in_a_message(alice: Client, shares: Board):
    response = Tab(alice, shares).save("TSLA", META=1, MSFT=99, AAPL="remove")
    summary = "Added: TSLA (5). Moved: MSFT (4), META (1). Removed: AAPL."
    assert summary in alice.get(response["Location"]).content.decode()
    history = f"/admin/quotes/board/{shares.pk}/history/"
    assert summary in alice.get(history).content.decode()
    german = "Hinzugefügt: TSLA (5). Verschoben: MSFT (4), META (1). Entfernt: AAPL."
    assert german in alice.get(history, headers={"accept-language": "de"}).content.decode()
    assert Tab(alice, shares).save().status_code == 302
    assert LogEntry.objects.count() == 1


@pytest.mark.parametrize(
    "entered", [{"_add": "TSLA"}, {"META": 1}, {"_add": "TSLA", "META": 1, "AAPL": "remove"}]
)
def test_a_save_tells_every_process_once_which_board_changed(
    transactional_db: None, alice: Client, shares: Board, entered: dict[str, Any]
):
    tab, before = Tab(alice, shares), lease.changes()
    tab.save(**entered)
    changed = journal.since(before)
    assert changed
    assert (changed.number, changed.boards) == (before + 1, {shares.pk})
    tab.save("NOPE")
    assert lease.changes() == before + 1


def test_a_new_board_leads_to_its_symbols(alice: Client, shares: Board):
    form = {"title": "Bonds", "slug": "bonds", "position": "1"}
    response = alice.post("/admin/quotes/board/add/", form)
    bonds = Board.objects.get(slug="bonds")
    assert response["Location"] == address(bonds)
    assert "There are no symbols on this board yet." in alice.get(address(bonds)).content.decode()
    Tab(alice, bonds).save("BUND 10Y")
    assert codes(bonds) == ["BUND 10Y"]
    assert "5 symbols on Shares" in alice.get("/admin/quotes/board/").content.decode()


def test_each_control_has_the_name_of_its_row(alice: Client, shares: Board):
    page = alice.get(address(shares)).content.decode()
    for label in ("Move to: META", "Remove: META"):
        assert page.count(f'aria-label="{label}"') == 1


def test_a_place_without_a_position_is_the_last(shares: Board):
    BoardSymbol.objects.filter(symbol__code="META").update(position=70)
    place = BoardSymbol.objects.create(board=shares, symbol=Symbol.objects.get(code="TSLA"))
    assert place.position == 71
    assert str(shares.places.last()) == "TSLA on Shares"
