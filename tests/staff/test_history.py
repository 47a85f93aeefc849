"""The history: what users, commands and the feed did with a row, in one list."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html import unescape
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from quotes.feed import records
from quotes.instruments import lists
from quotes.live.missing import switch_off
from quotes.models import Board, HeldPrice, HistoryEntry, Override, ProviderSymbol, Symbol, history
from quotes.staff.merging import Merger

CHANGES = "/admin/quotes/historyentry/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def apple() -> Symbol:
    return Symbol.objects.create(code="AAPL", name="Apple", kind="stock", currency="USD")


def history_of(client: Client, row: Symbol | Board | Override, **headers: str) -> list[str]:
    """Return the lines of the history of a row, without their times."""
    path = f"/admin/quotes/{row._meta.model_name}/{row.pk}/history/"
    return lines(client.get(path, headers=headers).content.decode())


def all_changes(client: Client, query: str = "") -> list[str]:
    return lines(client.get(CHANGES + query).content.decode())


def lines(page: str) -> list[str]:
    rows = re.findall(r"<tr><th scope=\"row\">.*?</th>(.*?)</tr>", page, re.DOTALL)
    return [" ".join(unescape(re.sub("<[^>]+>", " ", row)).split()) for row in rows]


def load(folder: Path, text: str, *options: str) -> None:
    file = folder / "shares.csv"
    file.write_text("symbol,name,kind,exchange,currency,active\n" + text)
    call_command("loadcatalogue", str(file), "--verbosity", "0", *options)


def test_a_symbol_that_the_feed_switched_off_states_why(admin_client: Client, apple: Symbol):
    switch_off({"AAPL": "coinbase: AAPL is not a valid product"})
    reason = "coinbase: AAPL is not a valid product"
    assert history_of(admin_client, apple) == [
        f"the feed Symbol AAPL Active: from “yes” to “no” {reason}"
    ]
    german = history_of(admin_client, apple, accept_language="de")
    assert german == [f"der Feed Symbol AAPL Aktiv: von „ja“ zu „nein“ {reason}"]


def test_a_tick_size_of_a_provider_is_in_the_history_and_all_are_one_line(
    admin_client: Client, apple: Symbol
):
    other = Symbol.objects.create(code="MSFT", name="Microsoft", kind="stock", currency="USD")
    sized = Symbol.objects.create(
        code="NVDA", name="Nvidia", kind="stock", currency="USD", tick_size="0.5"
    )
    sizes = dict.fromkeys(("AAPL", "MSFT", "NVDA"), Decimal("0.0100"))
    assert records.save_tick_sizes(sizes) == {apple.pk, other.pk}
    assert history_of(admin_client, apple) == [
        "the feed Symbol AAPL Tick size: from “empty” to “0.01” Tick sizes of a provider"
    ]
    assert history_of(admin_client, sized) == []
    assert all_changes(admin_client) == ["the feed 2 symbols Tick sizes of a provider"]


def test_what_the_feed_did_is_in_the_order_of_time(admin_client: Client, apple: Symbol):
    now = timezone.now()
    apple.splits.create(
        day=date(2026, 6, 10), new=4, confirmed_at=now - timedelta(hours=3), price="27.30"
    )
    known = {"provider": "yahoo", "currency": "USD", "last": "27.30", "before": "109.20"}
    HeldPrice.objects.create(
        symbol=apple, at=now - timedelta(hours=1), outcome="confirmed", limit="0.3", **known
    )
    for ends in (now - timedelta(hours=2), now + timedelta(hours=2)):
        Override.objects.create(
            symbol=apple,
            kind="price",
            price="54.2",
            label="Takeover",
            begins=ends - timedelta(hours=1),
            ends=ends,
        )
    Symbol.objects.filter(pk=apple.pk).update(tick_size="0.01")
    jump = "jump of more than 30% from 109.20"
    assert history_of(admin_client, apple) == [
        f"the feed Held price AAPL 27.30 USD from Yahoo Finance held back: {jump} confirmed",
        "the feed Override AAPL Override ended: fixed price 54.20 USD “Takeover”",
        "the feed Split AAPL Split 4:1 of June 10, 2026 confirmed by the price 27.30",
    ]
    assert history_of(admin_client, apple) == all_changes(admin_client)
    german = history_of(admin_client, apple, accept_language="de")
    assert german[1].endswith("Überschreibung beendet: fester Kurs 54,20 USD „Takeover“")


def test_the_newest_reading_of_a_list_of_instruments_is_a_change(admin_client: Client):
    lists.failed("coinbase", "timed out")
    assert all_changes(admin_client) == [
        "the feed List of instruments Coinbase List of instruments not read: timed out"
    ]


def test_a_file_of_a_command_is_one_line_and_in_the_history_of_each_symbol(
    admin_client: Client, apple: Symbol, tmp_path: Path
):
    load(tmp_path, "AAPL,Apple Inc.,stock,,USD,no\nMSFT,Microsoft,stock,,USD,\n", "--dry-run")
    assert all_changes(admin_client) == []
    load(tmp_path, "AAPL,Apple Inc.,stock,,USD,no\nMSFT,Microsoft,stock,,USD,\n")
    load(tmp_path, "MSFT,Microsoft,stock,,USD,\n")  # changes nothing
    by, file = "manage.py loadcatalogue", "Loaded from a file: shares.csv"
    assert all_changes(admin_client) == [f"{by} 2 symbols {file}"]
    changed = "Name: from “Apple” to “Apple Inc.”; Active: from “yes” to “no”"
    assert history_of(admin_client, apple) == [f"{by} Symbol AAPL {changed} {file}"]
    board = Board.objects.get(slug="stock-market")
    assert history_of(admin_client, board) == [f"{by} Added: AAPL, MSFT. {file}"]
    page = admin_client.get(f"{CHANGES}{HistoryEntry.objects.get(model='').pk}/change/")
    rows = re.findall(r"<tr>(<td>.*?)</tr>", page.content.decode(), re.DOTALL)
    assert [" ".join(unescape(re.sub("<[^>]+>", " ", row)).split()) for row in rows] == [
        f"Symbol AAPL {changed}",
        "Symbol MSFT Added.",
        "Board Stock market Added: AAPL, MSFT.",
    ]


def test_a_renamed_symbol_keeps_its_history(admin_client: Client, apple: Symbol, tmp_path: Path):
    ProviderSymbol.objects.create(symbol=apple, provider="finnhub", code="AAPL")
    switch_off({"AAPL": "not found"})
    (tmp_path / "renames.csv").write_text("AAPL,APPLE\n")
    file = str(tmp_path / "renames.csv")
    call_command("renamesymbols", file, "--provider-codes", stdout=StringIO())
    by, why = "manage.py renamesymbols", "Renamed from a file: renames.csv"
    changed = "Symbol: from “AAPL” to “APPLE”; Finnhub: from “AAPL” to “APPLE”"
    expected = [
        f"{by} Symbol AAPL {changed} {why}",
        "the feed Symbol AAPL Active: from “yes” to “no” not found",
    ]
    assert history_of(admin_client, apple) == expected
    assert all_changes(admin_client, "?symbol=APPLE") == expected
    assert all_changes(admin_client, "?symbol=aapl") == expected


def test_a_merged_symbol_brings_its_history(admin_client: Client, apple: Symbol):
    other = Symbol.objects.create(code="MSFT", name="Microsoft", kind="stock", currency="USD")
    switch_off({"MSFT": "not found"})
    Merger(other, apple).run()
    off = "the feed Symbol MSFT Active: from “yes” to “no” not found"
    assert history_of(admin_client, apple) == [off]


def test_the_oldest_entries_are_deleted(apple: Symbol, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(history, "MAX_ENTRIES", 3)
    for number in range(5):
        history.record(history.FEED, [HistoryEntry.of(apple, [("name", None, str(number))])])
    kept = HistoryEntry.objects.order_by("pk").values_list("values", flat=True)
    assert [values[0][2] for values in kept] == ["2", "3", "4"]


def test_a_history_has_pages(admin_client: Client, apple: Symbol):
    begin = datetime(2026, 3, 30, 12, tzinfo=UTC)
    changes = [("name", None, str(number)) for number in range(120)]
    history.record(
        history.FEED,
        [
            HistoryEntry.of(apple, [each], at=begin + timedelta(seconds=number))
            for number, each in enumerate(changes)
        ],
    )
    seen, address = [], f"/admin/quotes/symbol/{apple.pk}/history/"
    while address:
        page = admin_client.get(address).content.decode()
        seen += re.findall("to “(\\d+)”", page)
        older = re.search(r'href="(\?until=[^"]*)">Older', page)
        address = f"/admin/quotes/symbol/{apple.pk}/history/{unescape(older[1])}" if older else ""
    assert seen == [str(number) for number in reversed(range(120))]


def test_lines_of_one_moment_stay_on_one_page(admin_client: Client, apple: Symbol):
    begin = datetime(2026, 3, 30, 12, tzinfo=UTC)
    entries = [HistoryEntry.of(apple, at=begin, reason=f"<b>{n}</b>") for n in range(60)]
    entries.append(HistoryEntry.of(apple, at=begin - timedelta(days=1), reason="first"))
    history.record(history.FEED, entries)
    page = admin_client.get(f"/admin/quotes/symbol/{apple.pk}/history/").content.decode()
    assert page.count("&lt;b&gt;") == 60
    assert "first" not in page
    older = unescape(re.search(r'href="(\?until=[^"]*)">Older', page)[1])  # type: ignore[index]
    page = admin_client.get(f"/admin/quotes/symbol/{apple.pk}/history/{older}").content.decode()
    assert ("first" in page, "&lt;b&gt;" in page) == (True, False)
