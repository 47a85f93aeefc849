"""A renamed or merged symbol: its history stays, and its former code leads to it everywhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection
from django.template import Context, Template
from django.test import AsyncClient
from django.utils import timezone

from quotes.candles import archive
from quotes.candles.growing import Row
from quotes.feed.records import load_last_quotes
from quotes.models import Alias, Board, BoardSymbol, LastQuote, ProviderSymbol, Split, Symbol
from quotes.quote.wire import to_wire
from quotes.staff.merging import Merger
from quotes.staff.renaming import rename
from tests.market import tell
from tests.servers import until
from tests.sockets import opened

MARCH = datetime(2026, 3, 2, tzinfo=UTC)
DAY = 86_400


def share(code: str, **more: Any) -> Symbol:
    given = {"name": f"{code} Inc.", "kind": "stock", "exchange": "NASDAQ", "currency": "USD"}
    return Symbol.objects.create(code=code, **given | more)


def daily(code: str, day: int, close: str) -> Row:
    """The candle of a day in March."""
    price, start = Decimal(close), int((MARCH + timedelta(days=day)).timestamp())
    return Row(code, DAY, start, 0, *[price] * 4, 5_000_000, None, None, "coinbase", False)


def closes(code: str) -> dict[int, Decimal]:
    """The stored closes of a symbol, by day of March."""
    found = archive.load(code, DAY, MARCH, MARCH + timedelta(days=90))
    return {(each.start - MARCH).days: each.close for each in found}


def quoted(symbol: Symbol, quote: Any) -> None:
    LastQuote.objects.create(symbol=symbol, epoch=1, batch=1, wire=to_wire(quote))


@pytest.fixture
def facebook(db: None, make_quote: Callable[..., Any]) -> Symbol:
    """FB at 331, on two boards, with two days of candles, a split and a code at a provider."""
    symbol = share("FB")
    for slug, position in (("tech", 3), ("ads", 1)):
        board = Board.objects.create(slug=slug, title=slug.title())
        BoardSymbol.objects.create(board=board, symbol=symbol, position=position)
    ProviderSymbol.objects.create(symbol=symbol, provider="finnhub", code="FB", position=1)
    Split.objects.create(symbol=symbol, day=MARCH, new=4)
    quoted(symbol, make_quote("FB", "331", received_at=timezone.now()))
    archive.save(1, [daily("FB", 0, "330"), daily("FB", 1, "331")])
    return symbol


@pytest.fixture
def real(settings: Any) -> None:
    """A site without simulated prices, which would get candles of their own."""
    settings.QUOTES = settings.QUOTES | {"PROVIDERS": ["finnhub"]}


def refusal(work: Callable[..., Any], *given: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        work(*given)
    return " ".join(refused.value.messages)


# Renaming


def test_a_renamed_symbol_keeps_all_that_it_had(real: None, facebook: Symbol):
    rename(facebook, "META")
    symbol = Symbol.objects.get(code="META")
    assert symbol.pk == facebook.pk
    assert closes("META") == {0: 330, 1: 331}
    assert [(quote.symbol, quote.last) for _, quote in load_last_quotes()] == [("META", 331)]
    assert {board.slug for board in symbol.boards.all()} == {"tech", "ads"}
    assert [*symbol.aliases.values_list("code", flat=True)] == ["FB"]


def test_a_simulated_symbol_keeps_its_prices(db: None):
    symbol = share("FB", start=300)
    now = timezone.now().replace(second=0, microsecond=0)
    before = archive.load("FB", 3600, now - timedelta(days=4), now - timedelta(hours=1))
    rename(symbol, "META")
    assert before
    assert archive.load("META", 3600, now - timedelta(days=4), now - timedelta(hours=1)) == before


def test_a_symbol_that_gets_its_former_code_back_has_one_alias(facebook: Symbol):
    rename(facebook, "META")
    rename(facebook, "FB")
    assert Symbol.objects.get(pk=facebook.pk).code == "FB"
    assert [alias.code for alias in Alias.objects.all()] == ["META"]


def test_two_names_in_a_row_both_lead_to_the_symbol(facebook: Symbol):
    rename(facebook, "META")
    rename(facebook, "MVRS")
    assert {each.code: each.symbol.code for each in Alias.objects.all()} == {
        "FB": "MVRS",
        "META": "MVRS",
    }


def test_symbols_can_not_exchange_their_codes(facebook: Symbol):
    apple = share("AAPL")
    assert refusal(rename, apple, "FB") == (
        "“FB” is the code of another symbol. Choose another one, or merge “AAPL” into “FB”."
    )
    rename(facebook, "META")
    assert refusal(rename, apple, "FB") == (
        "“FB” is a former code of “META”. Choose another one, or first delete the former code in "
        "the form of “META”."
    )
    assert {*Symbol.objects.values_list("code", flat=True)} == {"AAPL", "META"}


def test_an_alias_is_not_the_code_of_a_symbol(facebook: Symbol):
    alias = Alias(code="fb", symbol=share("AAPL"))
    assert "Write “FB” in place of “fb”." in refusal(alias.full_clean)
    assert refusal(Alias(code="FB", symbol=alias.symbol).full_clean) == (
        "“FB” is the code of a symbol, so it can't lead to another one. Rename or merge that "
        "symbol first."
    )


# Merging


def test_a_merged_symbol_gives_all_that_the_other_lacks(real: None, facebook: Symbol):
    meta = share("META")
    tech = Board.objects.get(slug="tech")
    BoardSymbol.objects.create(board=tech, symbol=meta, position=7)
    ProviderSymbol.objects.create(symbol=meta, provider="yahoo", code="META", position=1)
    archive.save(1, [daily("META", 1, "999"), daily("META", 2, "332")])
    Alias.objects.create(code="FCBK", symbol=facebook)
    parts = {part.title: (part.moved, part.left) for part in Merger(facebook, meta).parts}
    assert parts == {
        "candles": (1, 1),
        "former codes": (1, 0),
        "last quotes": (1, 0),
        "places on boards": (1, 1),
        "provider codes": (1, 0),
        "splits": (1, 0),
    }
    Merger(facebook, meta).run()
    assert closes("META") == {0: 330, 1: 999, 2: 332}
    assert [(quote.symbol, quote.last) for _, quote in load_last_quotes()] == [("META", 331)]
    places = BoardSymbol.objects.values_list("board__slug", "symbol__code", "position")
    assert {*places} == {("tech", "META", 7), ("ads", "META", 1)}
    codes = meta.provider_symbols.values_list("provider", "code", "position")
    assert {*codes} == {("yahoo", "META", 1), ("finnhub", "FB", None)}
    assert meta.split_days == [(MARCH.date(), "4:1")]
    assert {*meta.aliases.values_list("code", flat=True)} == {"FB", "FCBK"}
    assert [*Symbol.objects.values_list("code", flat=True)] == ["META"]


def test_the_quote_of_the_symbol_that_stays_stays(facebook: Symbol, make_quote: Callable[..., Any]):
    meta = share("META")
    quoted(meta, make_quote("META", "500", received_at=timezone.now()))
    Merger(facebook, meta).run()
    assert [(quote.symbol, quote.last) for _, quote in load_last_quotes()] == [("META", 500)]


def test_symbols_that_can_not_be_merged_are_named_with_the_reason(real: None, facebook: Symbol):
    assert refusal(Merger(facebook, facebook).run) == (
        "“FB” can't be merged into itself. Choose another symbol."
    )
    euro = share("META.DE", currency="EUR")
    assert refusal(Merger(facebook, euro).run) == (
        "“FB” has prices in USD and “META.DE” in EUR. Only symbols with the same currency can be "
        "merged, because their candles are joined."
    )
    assert closes("FB") == {0: 330, 1: 331}


def test_a_merge_uses_the_code_that_the_symbol_has_by_then(real: None, facebook: Symbol):
    meta = share("META")
    late = Merger(Symbol.objects.get(code="FB"), meta)  # the page was opened before the rename
    rename(facebook, "FCBK")
    late.run()
    assert {*meta.aliases.values_list("code", flat=True)} == {"FB", "FCBK"}


def test_who_merges_a_symbol_at_the_same_moment_as_another_person_is_told(
    real: None, facebook: Symbol
):
    meta = share("META")
    late = Merger(Symbol.objects.get(code="FB"), meta)  # both have sent the form
    Merger(facebook, meta).run()
    assert refusal(late.run) == "“FB” no longer exists: another person merged or deleted it."


def test_a_merge_moves_many_candles_in_a_few_statements(
    real: None, facebook: Symbol, django_assert_max_num_queries: Any
):
    meta = share("META")
    archive.save(1, [daily("FB", day, "330") for day in range(2, 80)])
    with django_assert_max_num_queries(45, connection=connection):
        Merger(facebook, meta).run()
    assert len(closes("META")) == 80


# Former codes, on pages and in files


@pytest.fixture
async def renamed(live_parts: Any, make_quote: Callable[..., Any]) -> Any:
    """The live parts after FB, at 331, was renamed to META; AAPL beside it."""

    def change() -> None:
        symbol = share("FB")
        share("AAPL")
        rename(symbol, "META")

    await sync_to_async(change)()
    await until(lambda: "META" in live_parts.store.states and live_parts.listed.aliases)
    await tell(live_parts, make_quote("META", "331", received_at=live_parts.store.clock()))
    return live_parts


@pytest.mark.parametrize(
    ("path", "to"),
    [
        ("/symbols/FB/", "/symbols/META/"),
        ("/symbols/fb/?range=1y&with=AAPL", "/symbols/META/?range=1y&with=AAPL"),
        ("/symbols/FB/bars.csv?range=5d", "/symbols/META/bars.csv?range=5d"),
    ],
)
async def test_a_former_address_leads_to_the_new_one_for_good(renamed: Any, path: str, to: str):
    answer = await AsyncClient().get(path)
    assert (answer.status_code, answer["Location"]) == (301, to)
    assert answer["Cache-Control"] == "no-store"  # the code may come back
    assert (await AsyncClient().get(to)).status_code == 200


async def test_a_search_for_a_former_code_leads_to_the_symbol(renamed: Any):
    answer = await AsyncClient().get("/search/?q=fb")
    assert (answer.status_code, answer["Location"]) == (302, "/symbols/META/")
    suggested = (await AsyncClient().get("/search/suggestions/?q=fb")).content.decode()
    assert "/symbols/META/" in suggested


async def test_a_comparison_with_a_former_code_shows_the_symbol(renamed: Any):
    page = (await AsyncClient().get("/symbols/AAPL/?with=FB")).content.decode()
    assert "There is no symbol" not in page
    assert "with=META" in page


def shown(html: str) -> list[tuple[str, str]]:
    """The symbols and prices in a piece of a page or in a message."""
    found = r'data-symbol="([^"]*)" data-way.*?<data [^>]*value="([^"]*)"'
    return re.findall(found, html, re.DOTALL)


async def test_an_embed_and_tags_with_a_former_code_show_the_symbol(renamed: Any):
    embed = (await AsyncClient().get("/embed/quotes/?symbols=FB,META")).content.decode()
    assert shown(embed) == [("META", "331")]
    source = '{% load quotes %}{% live_quotes "FB" %}{% live_quote "FB" %}'
    tags = Template(source).render(Context())
    assert shown(tags) == [("META", "331"), ("META", "331")]
    value = Template('{% load quotes %}{% quote_value "FB" %} {% static_quote "FB" text=True %}')
    assert value.render(Context()).startswith("331.00 ")
    assert "Unknown" not in value.render(Context())


@pytest.mark.parametrize("query", ["symbols=FB", "price=FB", "panel=FB"])
async def test_a_page_with_a_former_code_gets_the_symbol_in_its_place(renamed: Any, query: str):
    page, first = await opened(f"/ws/quotes/?{query}")
    piece = (await AsyncClient().get(f"/live/?{query}")).content.decode()
    for message in (first, piece):
        assert re.search(r"""hx-swap-oob="outerMorph:[^"]*\[data-symbol='FB'\]""", message)
        assert ("META", "331") in shown(message)
        assert "unknown" not in message
    await page.disconnect()


async def test_an_open_page_follows_a_rename(live_parts: Any, make_quote: Callable[..., Any]):
    await sync_to_async(share)("FB")
    await until(lambda: "FB" in live_parts.store.states)
    page, first = await opened("/ws/quotes/?symbols=FB&chart=1d/FB")
    assert 'data-symbol="FB"' in first
    await sync_to_async(lambda: rename(Symbol.objects.get(code="FB"), "META"))()
    message = ""
    while not re.search(r'hx-swap-oob="outerMorph:#quotes-chart-\w+"', message):
        message = await page.receive_from()
    assert "outerMorph:tr.quote-entry[data-symbol='FB']" in message
    assert "unknown" not in message
    await tell(live_parts, make_quote("META", "332", received_at=live_parts.store.clock()))
    while ("META", "332") not in shown(message):
        message = await page.receive_from()
    await page.disconnect()


def test_a_file_with_a_former_code_means_the_symbol(
    facebook: Symbol, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    rename(facebook, "META")
    file = tmp_path / "old.csv"
    file.write_text("symbol,name,kind,exchange,currency\nFB,Meta Platforms,stock,NASDAQ,USD\n")
    call_command("loadcatalogue", str(file), "--board", "tech")
    assert "line 2: FB updated, its code is now META" in capsys.readouterr().out
    assert [*Symbol.objects.values_list("code", "name")] == [("META", "Meta Platforms")]


async def test_a_former_code_that_is_added_or_deleted_reaches_every_process(live_parts: Any):
    apple = await sync_to_async(share)("AAPL")
    await until(lambda: "AAPL" in live_parts.listed.symbols)
    alias = await Alias.objects.acreate(code="APPL", symbol=apple)
    await until(lambda: live_parts.listed.aliases.get("APPL") == "AAPL")
    await alias.adelete()
    await until(lambda: "APPL" not in live_parts.listed.aliases)
