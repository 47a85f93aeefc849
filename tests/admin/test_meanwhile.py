"""Two editors at once, and what the history shows of their changes."""

from __future__ import annotations

import html
import re
from datetime import date
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models.signals import pre_save
from django.test import Client
from django.utils import timezone

from quotes.models import Board, BoardSymbol, Override, ProviderSymbol, Symbol

pytestmark = pytest.mark.django_db

INPUT = re.compile(r"<input\b[^>]*>")
SELECT = re.compile(r'<select\b[^>]*name="([^"]+)".*?</select>', re.DOTALL)
CHOSEN = re.compile(r'<option value="([^"]*)" selected')


def attribute(tag: str, name: str) -> str | None:
    found = re.search(rf'\b{name}="([^"]*)"', tag)
    return html.unescape(found[1]) if found else None


def opened(client: Client, path: str) -> dict[str, str]:
    """Open a form, and return what a browser would send of it."""
    page = client.get(path).content.decode()
    page = page[page.index('<form method="post"' if '<form method="post"' in page else "<form") :]
    sent = {}
    for tag in INPUT.findall(page):
        name, kind = attribute(tag, "name"), attribute(tag, "type")
        if name is None or kind in ("submit", "search") or name.startswith("_"):
            continue
        if kind not in ("checkbox", "radio") or " checked" in tag:
            sent[name] = attribute(tag, "value") or ("on" if kind == "checkbox" else "")
    for found in SELECT.finditer(page):
        chosen = CHOSEN.search(found[0])
        sent[found[1]] = html.unescape(chosen[1]) if chosen else ""
    return {name: value for name, value in sent.items() if "__prefix__" not in name}


def errors(response: Any) -> dict[str, list[str]]:
    return {} if response.status_code == 302 else dict(response.context["adminform"].form.errors)


@pytest.fixture
def apple() -> Symbol:
    return Symbol.objects.create(
        code="AAPL", name="Apple", kind="stock", exchange="NASDAQ", currency="USD"
    )


@pytest.fixture
def path(apple: Symbol) -> str:
    return f"/admin/quotes/symbol/{apple.pk}/change/"


def test_a_field_that_only_another_editor_changed_keeps_that_value(
    admin_client: Client, apple: Symbol, path: str
):
    form = opened(admin_client, path)
    Symbol.objects.update(exchange="NYSE", active=False)
    assert errors(admin_client.post(path, form | {"name": "Apple Inc."})) == {}
    apple.refresh_from_db()
    assert (apple.name, apple.exchange, apple.active) == ("Apple Inc.", "NYSE", False)


def test_a_field_that_both_changed_is_shown_and_saved_the_second_time(
    admin_client: Client, apple: Symbol, path: str
):
    form = opened(admin_client, path)
    Symbol.objects.update(name="Apple Computer")
    refused = admin_client.post(path, form | {"name": "Apple Inc."})
    [[text]] = errors(refused).values()
    assert text == (
        "Meanwhile somebody changed this to “Apple Computer”. Save again to replace that."
    )
    apple.refresh_from_db()
    assert apple.name == "Apple Computer"
    page = refused.content.decode()
    assert 'name="name" value="Apple Inc."' in page
    assert 'name="initial-name" value="Apple Computer"' in page
    again = form | {"name": "Apple Inc.", "initial-name": "Apple Computer"}
    assert errors(admin_client.post(path, again)) == {}
    apple.refresh_from_db()
    assert apple.name == "Apple Inc."


@pytest.mark.parametrize(
    ("language", "expected"), [("en", "bob changed this to “B”"), ("de", "hat bob dies in „B“")]
)
def test_the_second_editor_reads_who_changed_that_field(
    admin_client: Client, apple: Symbol, path: str, language: str, expected: str
):
    form = opened(admin_client, path)
    others = Client()
    for name, change in (("bob", {"name": "B"}), ("carol", {"exchange": "NYSE"})):
        others.force_login(User.objects.create_superuser(name))
        assert errors(others.post(path, opened(others, path) | change)) == {}
    sent, headers = form | {"name": "A"}, {"accept-language": language}
    [[text]] = errors(admin_client.post(path, sent, headers=headers)).values()
    assert expected in text


def test_the_same_change_by_both_is_no_error(admin_client: Client, apple: Symbol, path: str):
    form = opened(admin_client, path)
    Symbol.objects.update(name="Apple Inc.")
    assert errors(admin_client.post(path, form | {"name": "Apple Inc."})) == {}


def test_a_form_without_the_values_that_it_was_opened_with_is_saved(
    admin_client: Client, apple: Symbol, path: str
):
    form = opened(admin_client, path)
    form = {name: value for name, value in form.items() if not name.startswith("initial-")}
    assert errors(admin_client.post(path, form | {"name": "Apple Inc."})) == {}
    apple.refresh_from_db()
    assert apple.name == "Apple Inc."


def test_an_unchanged_form_changes_nothing_and_its_history_says_so(
    admin_client: Client, apple: Symbol, path: str
):
    ProviderSymbol.objects.create(symbol=apple, provider="simulated", code="AAPL", position=1)
    assert errors(admin_client.post(path, opened(admin_client, path))) == {}
    history = admin_client.get(path.replace("change", "history")).content.decode()
    assert "No fields changed." in history


def test_times_that_both_changed_are_shown_in_the_zone_of_the_admin(
    admin_client: Client, apple: Symbol
):
    begins = timezone.now().replace(microsecond=0)
    override = Override.objects.create(
        symbol=apple, kind="halted", begins=begins, ends=begins + timezone.timedelta(hours=1)
    )
    path = f"/admin/quotes/override/{override.pk}/change/"
    form = opened(admin_client, path)
    Override.objects.update(ends=begins + timezone.timedelta(hours=2))
    mine = form | {"ends_0": "2040-01-02", "ends_1": "03:04:05"}
    other = admin_client.post(path, mine | {"label": "x" * 99})  # another error is shown first
    assert 'name="initial-ends_0" value="2040' not in other.content.decode()
    refused = admin_client.post(path, mine)
    assert "Meanwhile" in errors(refused)["ends"][0]
    page = refused.content.decode()
    again = mine | {
        name: re.search(rf'name="{name}" value="([^"]*)"', page)[1]  # type: ignore[index]
        for name in ("initial-ends_0", "initial-ends_1")
    }
    assert errors(admin_client.post(path, again)) == {}
    override.refresh_from_db()
    assert override.ends.year == 2040


def test_the_history_shows_who_changed_what_from_which_value_to_which(
    admin_client: Client, admin_user: User, apple: Symbol, path: str
):
    code = ProviderSymbol.objects.create(symbol=apple, provider="simulated", code="AAPL")
    form = opened(admin_client, path)
    change = {"name": "Apple <b>Inc.</b>", "kind": "etf", "tick_size": "0.05"}
    change |= {"provider_symbols-0-position": "2"}
    assert errors(admin_client.post(path, form | change)) == {}
    history = admin_client.get(path.replace("change", "history")).content.decode()
    assert admin_user.username in history
    for text in (
        "Name: from “Apple” to “Apple &lt;b&gt;Inc.&lt;/b&gt;”",
        "Kind: from “Stock” to “ETF”",
        "Tick size: from “empty” to “0.05”",
        f"Provider code “{code}”: Position: from “empty” to “2”",
    ):
        assert text in history
    assert "Changed" not in history  # the values state it


def test_the_history_has_values_beside_what_has_none(
    admin_client: Client, apple: Symbol, path: str
):
    change = {"name": "Apple Inc.", "provider_symbols-0-provider": "simulated"}
    change |= {"provider_symbols-0-code": "AAPL"}
    assert errors(admin_client.post(path, opened(admin_client, path) | change)) == {}
    code = apple.provider_symbols.get()
    history = admin_client.get(path.replace("change", "history")).content.decode()
    added = f"Added provider code “{code}”. Name: from “Apple” to “Apple Inc.”"
    assert added in history


def test_the_history_is_in_the_language_of_its_reader(
    admin_client: Client, path: str, apple: Symbol
):
    admin_client.post(path, opened(admin_client, path) | {"kind": "etf"})
    german = admin_client.get(path.replace("change", "history"), headers={"accept-language": "de"})
    assert "Art: von „Stock“ zu „ETF“" in german.content.decode()


def test_a_board_that_another_editor_renamed_keeps_its_title(admin_client: Client):
    board = Board.objects.create(slug="tech", title="Tech")
    path = f"/admin/quotes/board/{board.pk}/change/"
    form = opened(admin_client, path)
    Board.objects.update(title="Technology")
    assert errors(admin_client.post(path, form | {"position": "3"})) == {}
    board.refresh_from_db()
    assert (board.title, board.position) == ("Technology", 3)


def test_a_list_keeps_what_another_editor_switched_off(admin_client: Client, apple: Symbol):
    other = Symbol.objects.create(code="MSFT", name="Microsoft", kind="stock")
    path = "/admin/quotes/symbol/"
    sent = opened(admin_client, path)
    Symbol.objects.filter(pk=apple.pk).update(active=False, reason="Delisted")
    [row] = [name for name, value in sent.items() if "-id" in name and value == str(other.pk)]
    del sent[row.replace("-id", "-active")]
    admin_client.post(path, sent | {"_save": "Save"})
    assert not Symbol.objects.filter(active=True).exists()
    apple.refresh_from_db()
    assert apple.reason == "Delisted"


def rows_of(apple: Symbol) -> dict[str, tuple[Any, str, Any, Any]]:
    """Return a row of each kind in the form of a symbol, a field of it, and two other values."""
    board = Board.objects.create(slug="bonds", title="Bonds", position=1)
    place = BoardSymbol.objects.create(board=board, symbol=apple)
    return {
        "places-0-position": (place, "position", 5, 6),
        "splits-0-new": (apple.splits.create(day=date(2026, 3, 2), new=4, old=1), "new", 5, 6),
        "aliases-0-code": (apple.aliases.create(code="APC"), "code", "APPL", "APP"),
    }


ROWS = ("places-0-position", "splits-0-new", "aliases-0-code")


@pytest.mark.parametrize("name", ROWS)
def test_a_row_that_only_another_editor_changed_keeps_that_value(
    admin_client: Client, apple: Symbol, path: str, name: str
):
    row, field, others, _ = rows_of(apple)[name]
    sent = opened(admin_client, path) | {"name": "Apple Inc."}
    type(row).objects.filter(pk=row.pk).update(**{field: others})
    assert admin_client.post(path, sent).status_code == 302
    row.refresh_from_db()
    apple.refresh_from_db()
    assert (getattr(row, field), apple.name) == (others, "Apple Inc.")


@pytest.mark.parametrize("name", ROWS)
def test_a_row_that_both_changed_is_shown_and_saved_the_second_time(
    admin_client: Client, apple: Symbol, path: str, name: str
):
    row, field, others, own = rows_of(apple)[name]
    sent = opened(admin_client, path) | {name: str(own)}
    type(row).objects.filter(pk=row.pk).update(**{field: others})
    response = admin_client.post(path, sent)
    assert f"changed this to “{others}”" in response.content.decode()
    again = sent | {f"initial-{name}": str(others)}
    assert admin_client.post(path, again).status_code == 302
    row.refresh_from_db()
    assert getattr(row, field) == own


def test_a_split_that_another_editor_corrected_is_not_confirmed_by_an_earlier_form(
    admin_client: Client, apple: Symbol, path: str
):
    split = apple.splits.create(day=date(2026, 3, 2), new=4, old=1, confirmed_at=timezone.now())
    sent = opened(admin_client, path)
    apple.splits.update(new=5, confirmed_at=None)
    assert admin_client.post(path, sent).status_code == 302
    split.refresh_from_db()
    assert (split.new, split.confirmed_at) == (5, None)


def test_a_list_names_a_place_that_both_editors_changed(admin_client: Client):
    board = Board.objects.create(slug="bonds", title="Bonds", position=1)
    path = "/admin/quotes/board/"
    sent = opened(admin_client, path) | {"form-0-position": "3", "_save": "Save"}
    Board.objects.update(position=2)
    response = admin_client.post(path, sent)
    assert "changed this to “2”. Save again to replace that." in response.content.decode()
    board.refresh_from_db()
    assert board.position == 2


def test_a_list_writes_only_what_is_edited_there(admin_client: Client):
    board = Board.objects.create(slug="bonds", title="Bonds", position=1)
    path = "/admin/quotes/board/"
    sent = opened(admin_client, path) | {"form-0-position": "3", "_save": "Save"}

    def rename(sender: Any, instance: Board, **given: Any) -> None:
        Board.objects.filter(pk=board.pk).update(title="Debts")

    pre_save.connect(rename, sender=Board)
    try:
        admin_client.post(path, sent)
    finally:
        pre_save.disconnect(rename, sender=Board)
    board.refresh_from_db()
    assert (board.title, board.position) == ("Debts", 3)


def test_a_save_that_another_one_comes_before_is_checked_again(
    admin_client: Client, apple: Symbol, path: str
):
    form = opened(admin_client, path) | {"code": "APPLE"}

    def take(instance: Symbol, **_: Any) -> None:  # after the check, before the write
        pre_save.disconnect(take, sender=Symbol)
        Symbol.objects.create(code="APPLE", name="Apple", kind="stock", currency="USD")

    pre_save.connect(take, sender=Symbol)
    assert errors(admin_client.post(path, form)) == {}  # the other one was rolled back with it
    apple.refresh_from_db()
    assert apple.code == "APPLE"
