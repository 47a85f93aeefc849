"""All changes in the admin: who did what, and who may see it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import get_content_type_for_model
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from quotes.live.missing import switch_off
from quotes.models import (
    Board,
    BulkChange,
    HeldPrice,
    HistoryEntry,
    Load,
    Override,
    Symbol,
    history,
)
from quotes.staff.bulk import Placing, Plan, Switch, Undo, carry_out
from tests.groups import make_groups
from tests.staff.test_history import CHANGES, all_changes, history_of, load

NOON = datetime(2026, 3, 30, 12, tzinfo=UTC)

pytestmark = pytest.mark.django_db
Edit = Callable[..., LogEntry]


@pytest.fixture
def alice() -> User:
    return User.objects.create(username="alice", is_staff=True, is_superuser=True)


@pytest.fixture
def edit(alice: User) -> Edit:
    """Change a row as Alice, at a moment."""

    def edit(row: Any, text: str, at: datetime = NOON, user: User = alice) -> LogEntry:
        return LogEntry.objects.create(
            user=user,
            content_type=get_content_type_for_model(row),
            object_id=str(row.pk),
            object_repr=str(row),
            action_flag=CHANGE,
            action_time=at,
            change_message=text,
        )

    return edit


def share(code: str) -> Symbol:
    return Symbol.objects.create(code=code, name=code, kind="stock", currency="USD")


def member(*groups: str) -> Client:
    """Log in as somebody of groups of the staff."""
    make_groups()
    user = User.objects.create(username="bob", is_staff=True)
    user.groups.set(Group.objects.filter(name__in=groups))
    client = Client()
    client.force_login(user)
    return client


def test_the_newest_change_is_first_and_leads_to_its_row(admin_client: Client, edit: Edit):
    apple, board = share("AAPL"), Board.objects.create(slug="shares", title="Shares")
    edit(apple, "Renamed it.")
    edit(board, "<b>Arranged</b> it.", NOON + timedelta(seconds=1))
    page = admin_client.get(CHANGES).content.decode()
    assert all_changes(admin_client) == [
        "alice Board Shares <b>Arranged</b> it.",
        "alice Symbol AAPL Renamed it.",
    ]
    assert "&lt;b&gt;Arranged" in page
    assert f'<a href="/admin/quotes/symbol/{apple.pk}/change/">AAPL</a>' in page
    assert "03/30/2026 12:00:01" in page
    assert "Time (UTC)" in page
    apple.delete()
    assert "<a href" not in re.findall("<tr>.*?</tr>", page_of(admin_client), re.DOTALL)[-1]


def page_of(client: Client) -> str:
    return client.get(CHANGES).content.decode()


def test_changes_are_chosen_by_symbol_author_kind_and_day(
    admin_client: Client, admin_user: User, edit: Edit
):
    apple, other = share("AAPL"), share("AAL")
    board = Board.objects.create(slug="shares", title="Shares")
    edit(apple, "one")
    edit(other, "two", NOON + timedelta(days=1))
    edit(board, "three", NOON + timedelta(days=2), user=admin_user)
    switch_off({"AAPL": "not found"})
    off = "the feed Symbol AAPL Active: from “yes” to “no” not found"
    one, two, three = "alice Symbol AAPL one", "alice Symbol AAL two", "admin Board Shares three"
    assert set(all_changes(admin_client)) == {off, one, two, three}
    for query, expected in {
        "symbol=aapl": {off, one},
        "symbol=AA": {off, one, two},
        "symbol=MSFT": set(),
        "who=user:alice": {one, two},
        "who=user:admin": {three},
        "who=feed:": {off},
        "kind=board": {three},
        "kind=symbol": {off, one, two},
        "kind=override": set(),
        "day=2026-03-31": {two},
        "day=2026-03-31&who=user:admin": set(),
        "who=user:alice&symbol=AAPL&kind=symbol&day=2026-03-30": {one},
    }.items():
        assert set(all_changes(admin_client, f"?{query}")) == expected, query


@pytest.mark.parametrize(
    "query",
    [
        "day=yesterday",
        "who=user:nobody",
        "kind=user",
        "until=soon",
        "until=2026-03-30",
        "until=0001-01-01T00:00:00%2B14:00",
        "until=9999-12-31T23:59:59-12:00",
        "day=0001-01-01",
        "day=9999-12-31",
        "symbol=%00",
        "symbol=" + "A" * 101,
        "page=x",
    ],
)
def test_a_wrong_address_is_answered(admin_client: Client, edit: Edit, query: str, settings: Any):
    settings.TIME_ZONE = "Asia/Tokyo"
    apple = share("AAPL")
    edit(apple, "one")
    for page in (CHANGES, f"/admin/quotes/symbol/{apple.pk}/history/"):
        assert admin_client.get(f"{page}?{query}").status_code == 200


def test_a_day_that_no_page_can_show_is_refused(admin_client: Client):
    page = admin_client.get(f"{CHANGES}?day=9999-12-31").content.decode()
    assert "Ensure this value is less than or equal to 2999-12-31." in page


def test_entries_of_other_programs_are_shown(admin_client: Client, edit: Edit):
    apple = share("AAPL")
    edit(apple, "[import] corrected")
    nameless = edit(apple, "one", NOON + timedelta(seconds=1))
    for key in (None, "", "AAPL", "9" * 40):
        LogEntry.objects.filter(pk=nameless.pk).update(object_id=key)
        expected = ["alice Symbol AAPL one", "alice Symbol AAPL [import] corrected"]
        assert all_changes(admin_client) == history_of(admin_client, apple) == expected


def test_a_bulk_change_is_one_line_that_leads_to_its_symbols(admin_client: Client, alice: User):
    board = Board.objects.create(slug="shares", title="Shares")
    rows = [share(code) for code in ("AAPL", "MSFT", "NVDA")]
    board.places.create(symbol=rows[0])
    change(Switch(active=False, reason="Delisted"), alice)
    change(Placing("put", board), alice)
    assert all_changes(admin_client) == [
        "alice 2 symbols Put on a board: Shares",
        "alice 3 symbols Switch off: Delisted",
    ]
    assert history_of(admin_client, rows[1])[-1] == (
        "alice Symbol MSFT Active: from “yes” to “no: Delisted” Switch off: Delisted"
    )
    assert history_of(admin_client, board) == ["alice Added: MSFT, NVDA. Put on a board: Shares"]
    [link] = re.findall(r'href="([^"]+)">3 symbols', page_of(admin_client))
    page = admin_client.get(link).content.decode()
    assert re.findall(r">(\w+)</a></td><td>Active: from", page) == ["AAPL", "MSFT", "NVDA"]
    assert "Switch off: Delisted" in page


def test_what_somebody_changed_in_german_is_read_in_english(
    admin_client: Client, alice: User, tmp_path: Path
):
    board = Board.objects.create(slug="shares", title="Shares")
    apple = share("AAPL")
    with translation.override("de"):
        Undo.carry_out(change(Switch(active=False, reason="Delisted"), alice).pk, alice)
        change(Placing("put", board), alice)
        load(tmp_path, "AAPL,AAPL,stock,,USD,no\n")
    assert [line.split(" AAPL ")[1] for line in history_of(admin_client, apple)] == [
        "Active: from “yes” to “no” Loaded from a file: shares.csv",
        "Boards: from “empty” to “Shares” Put on a board: Shares",
        "Active: from “no: Delisted” to “yes” Undone: Switch off: Delisted",
        "Active: from “yes” to “no: Delisted” Switch off: Delisted",
    ]
    assert history_of(admin_client, board) == ["alice Added: AAPL. Put on a board: Shares"]
    stock_market = Board.objects.get(slug="stock-market")
    assert "Added: AAPL." in history_of(admin_client, stock_market)[0]


def test_the_home_page_has_the_recent_actions_of_its_user(
    admin_client: Client, admin_user: User, alice: User, edit: Edit
):
    apple, microsoft = share("AAPL"), share("MSFT")
    edit(apple, "one", user=admin_user)
    edit(microsoft, "of somebody else")
    change(Switch(active=True), alice)
    assert recent(admin_client) == ["Changed: AAPL Symbol"]
    change(Switch(active=False, reason="Delisted"), admin_user)
    assert recent(admin_client) == [
        "Changed: 2 symbols Switch off: Delisted",
        "Changed: AAPL Symbol",
    ]
    page = admin_client.get("/admin/").content.decode()
    [link] = re.findall(r'href="([^"]+)">2 symbols', page)
    assert "MSFT" in admin_client.get(link).content.decode()
    for number in range(10):
        edit(apple, "again", timezone.now() + timedelta(minutes=number), admin_user)
    assert recent(admin_client) == ["Changed: AAPL Symbol"] * 10


def test_who_may_not_see_symbols_reads_no_number_of_them(alice: User):
    share("AAPL")
    change(Switch(active=False, reason="Delisted"), alice)
    User.objects.filter(pk=alice.pk).update(is_superuser=False)
    client = Client()
    client.force_login(User.objects.get(pk=alice.pk))
    assert recent(client) == []


def recent(client: Client) -> list[str]:
    """Return the recent actions of the home page, as text."""
    page = client.get("/admin/").content.decode().partition('id="recent-actions-module"')[2]
    rows = re.findall(r"<li.*?</li>", page, re.DOTALL)
    return [" ".join(re.sub("<[^>]+>", " ", row).split()) for row in rows]


def change(chosen: Any, user: User) -> Any:
    rows = Symbol.objects.all()
    return carry_out(chosen, rows, Plan.of(chosen, rows).seal, user)


def test_the_deletion_of_many_symbols_is_one_line(admin_client: Client):
    keys = [share(code).pk for code in ("AAPL", "MSFT", "NVDA")]
    address = "/admin/quotes/symbol/"
    delete = {"action": "delete_selected", "post": "yes"}
    admin_client.post(address, {**delete, "_selected_action": keys[:1]})
    admin_client.post(address, {**delete, "_selected_action": keys[1:]})
    assert all_changes(admin_client) == [
        "admin 2 symbols Deleted",
        "admin Symbol AAPL Deleted.",
    ]
    assert all_changes(admin_client, "?symbol=nvda") == ["admin Symbol NVDA Deleted."]


def test_an_undo_is_a_change_too(admin_client: Client, alice: User):
    share("AAPL")
    done = change(Switch(active=False, reason="Delisted"), alice)
    Undo.carry_out(done.pk, alice)
    assert all_changes(admin_client)[0] == "alice 1 symbol Undone: Switch off: Delisted"


def test_users_see_the_changes_of_what_they_may_see(edit: Edit):
    apple = share("AAPL")
    override = Override.objects.create(
        symbol=apple, kind="note", label="Fork", begins=NOON, ends=NOON + timedelta(hours=1)
    )
    edit(apple, "one")
    edit(override, "two")
    edit(User.objects.get(), "a new password")
    bob = member("Quotes viewer")
    expected = {
        "the feed Override AAPL Override ended: note “Fork”",
        "alice Symbol AAPL one",
        "alice Override AAPL: Fork two",
    }
    assert set(all_changes(bob)) == set(history_of(bob, apple)) == expected
    group = Group.objects.get(name="Quotes viewer")
    group.permissions.remove(group.permissions.get(codename="view_override"))
    assert all_changes(bob) == ["alice Symbol AAPL one"]
    assert history_of(bob, apple) == ["alice Symbol AAPL one"]
    assert "All changes" in bob.get("/admin/").content.decode()


def test_somebody_without_symbols_sees_no_changes(edit: Edit, alice: User):
    share("AAPL")
    change(Switch(active=False), alice)
    batch = HistoryEntry.objects.get(model="")
    bob = member()
    for page in (CHANGES, f"{CHANGES}{batch.pk}/change/"):
        assert bob.get(page).status_code == 403
        assert Client().get(page).status_code == 302


def test_nobody_changes_the_record(admin_client: Client, alice: User):
    share("AAPL")
    change(Switch(active=False), alice)
    kept = list(HistoryEntry.objects.values())
    for entry in HistoryEntry.objects.all():
        admin_client.post(f"{CHANGES}{entry.pk}/change/", {"reason": "x", "_save": "1"})
        assert admin_client.post(f"{CHANGES}{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    delete = {"action": "delete_selected", "_selected_action": [kept[0]["id"]], "post": "yes"}
    admin_client.post(CHANGES, delete)
    assert admin_client.get(f"{CHANGES}add/").status_code == 403
    assert list(HistoryEntry.objects.values()) == kept


@pytest.mark.parametrize("key", ["0", "x", "9" * 30])
def test_changes_that_do_not_exist_are_not_found(admin_client: Client, key: str):
    assert admin_client.get(f"{CHANGES}{key}/change/").status_code == 404


def test_many_changes_cost_no_query_each(admin_client: Client, edit: Edit, alice: User):
    counts = []
    for number in range(1, 31):
        row = share(f"C{number}")
        edit(row, "one")
        history.record(history.FEED, [HistoryEntry.of(row, [("name", None, "x")])])
        if number in (3, 30):
            change(Switch(active=number == 30), alice)
            batch = HistoryEntry.objects.filter(model="").latest("pk")
            pages = (CHANGES, f"{CHANGES}?symbol=C1", f"{CHANGES}{batch.pk}/change/")
            for page in (*pages, f"/admin/quotes/symbol/{row.pk}/history/"):
                admin_client.get(page)
                with CaptureQueriesContext(connection) as queries:
                    admin_client.get(page)
                counts.append(len(queries))
    assert counts[:4] == counts[4:]


@pytest.mark.parametrize(
    ("zone", "named", "time"), [("UTC", "UTC", "12:00"), ("Asia/Tokyo", "Asia/Tokyo", "21:00")]
)
def test_each_page_with_times_names_their_zone_once(
    admin_client: Client, edit: Edit, settings: Any, zone: str, named: str, time: str
):
    settings.TIME_ZONE = zone
    apple = share("AAPL")
    edit(apple, "one")
    ends = NOON + timedelta(hours=1)
    note = Override.objects.create(symbol=apple, kind="note", label="x", begins=NOON, ends=ends)
    held = {"provider": "yahoo", "currency": "USD", "last": "2", "outcome": "confirmed"}
    price = HeldPrice.objects.create(symbol=apple, at=NOON, **held)
    row = {"action": "switch_on", "by": "alice", "count": 1, "symbols": {}}
    BulkChange.objects.create(**row)
    Load.objects.create(name="his.csv", by="bob", state="done", holder="elsewhere:7")
    form = f"override/{note.pk}/change/"
    for path in ("override/", form, "heldprice/", "bulkchange/", "load/"):
        page = admin_client.get(f"/admin/quotes/{path}").content.decode()
        assert page.count(f"Times are in {named}.") == 1, path
    page = admin_client.get(f"/admin/quotes/heldprice/{price.pk}/change/").content.decode()
    assert f"Times are in {named}." in page
    assert f"{time}:00" in page
    page = admin_client.get(f"/admin/quotes/symbol/{apple.pk}/history/").content.decode()
    assert f"Time ({named})" in page
    assert f"{time}:00" in page
    assert "Times are in" not in admin_client.get("/admin/quotes/board/").content.decode()


def test_a_day_is_one_of_the_zone(admin_client: Client, edit: Edit, settings: Any):
    settings.TIME_ZONE = "Asia/Tokyo"
    edit(share("AAPL"), "one", datetime(2026, 3, 30, 15, 30, tzinfo=UTC))
    assert all_changes(admin_client, "?day=2026-03-30") == []
    assert all_changes(admin_client, "?day=2026-03-31") == ["alice Symbol AAPL one"]
