"""The admin: it shows the stored values, refuses invalid ones, and publishes changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, time, timedelta
from decimal import Decimal
from html import unescape
from io import BytesIO
from typing import Any
from urllib.parse import urljoin

import pytest
from asgiref.sync import async_to_sync
from channels.layers import channel_layers, get_channel_layer
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission, User
from django.db import connection, transaction
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from quotes import catalogue, sessions
from quotes.live import layer, lease
from quotes.live.missing import switch_off
from quotes.models import (
    Alias,
    Board,
    BoardSymbol,
    BulkChange,
    HeldPrice,
    HistoryEntry,
    LastQuote,
    Load,
    MarketDay,
    Override,
    ProviderSymbol,
    Symbol,
)
from quotes.providers import REGISTRY
from quotes.quote.wire import to_wire
from tests.groups import make_groups
from tests.servers import free_port

SYMBOLS = "/admin/quotes/symbol/"
BOARDS = "/admin/quotes/board/"


@pytest.fixture
def alice(db: None) -> Client:
    """Alice runs the site; she is logged in."""
    client = Client()
    client.force_login(User.objects.create(username="alice", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def listed(db: None) -> Board:
    """A board with AAPL, MSFT and NVDA, and bitcoin beside it."""
    board = Board.objects.create(slug="stock-market", title="Stock market")
    for position, (code, name) in enumerate(
        (("AAPL", "Apple"), ("MSFT", "Microsoft"), ("NVDA", "Nvidia")), start=1
    ):
        symbol = Symbol.objects.create(code=code, name=name, kind="stock", currency="USD")
        BoardSymbol.objects.create(board=board, symbol=symbol, position=position)
    bitcoin = Symbol.objects.create(code="BTC-USD", name="Bitcoin", kind="crypto", currency="USD")
    ProviderSymbol.objects.create(symbol=bitcoin, provider="coinbase", code="BTC-USD-AT-COINBASE")
    return board


def test_held_prices_are_listed_and_can_not_be_changed(alice: Client, listed: Board) -> None:
    apple, now = Symbol.objects.get(code="AAPL"), timezone.now()
    known = {"provider": "coinbase", "currency": "USD"}
    held = HeldPrice.objects.create(
        symbol=apple, at=now, last="0", before="101.25", outcome="no_price", **known
    )
    crossed = {"last": "102", "book": "103 / 101", "outcome": "crossed"}
    HeldPrice.objects.create(symbol=apple, at=now - timedelta(minutes=1), **crossed, **known)
    page = text(alice.get("/admin/quotes/heldprice/").content.decode())
    second = f"{timezone.localtime(now):%H:%M:%S}"
    assert f"{second} AAPL 0 USD – no price not a valid price, after 101.25 coinbase" in page
    reason = "bid above ask: 103 / 101, both left out"
    assert f"AAPL 102 USD – bid above ask {reason} coinbase" in page
    assert (
        alice.post(f"/admin/quotes/heldprice/{held.pk}/change/", {"last": "1"}).status_code == 403
    )


@pytest.mark.parametrize(
    ("language", "shown"),
    [
        ("en", "1,198,012.50 5,103 / 5,101"),
        ("de", "1.198.012,50 5.103 / 5.101"),
    ],
)
def test_held_prices_have_separators_in_the_language_of_the_operator(
    alice: Client, listed: Board, language: str, shown: str
):
    known = {"symbol": Symbol.objects.get(code="AAPL"), "provider": "coinbase", "currency": "USD"}
    numbers = {"last": "1198012.50", "book": "5103 / 5101"}
    held = HeldPrice.objects.create(at=timezone.now(), outcome="crossed", **numbers, **known)
    for path in ("/admin/quotes/heldprice/", f"/admin/quotes/heldprice/{held.pk}/change/"):
        page = alice.get(path, headers={"accept-language": language}).content.decode()
        assert all(number in text(page) for number in shown.split(" ", 1)), path


def test_a_held_number_that_may_have_been_cut_stays_as_it_is(alice: Client, listed: Board):
    cut, book = "1234567." + "1" * 56, "5103 / " + "5101" * 20
    texts = {"last": cut, "book": book[:64], "before": "0." + "1" * 61}  # the last one is whole
    known = {"symbol": Symbol.objects.get(code="AAPL"), "provider": "coinbase", "currency": "USD"}
    for outcome in ("crossed", "no_price"):
        HeldPrice.objects.create(at=timezone.now(), outcome=outcome, **texts, **known)
    page = alice.get("/admin/quotes/heldprice/", headers={"accept-language": "de"})
    shown = text(page.content.decode())
    assert f"{cut} USD – Geld über Brief Geld über Brief: {book[:64]}, beide" in shown
    assert f"{cut} USD – kein Kurs kein gültiger Kurs, nach 0,{'1' * 61} coinbase" in shown


def text(page: str) -> str:
    """Return the visible text of a page, on one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def symbol_form(**changes: str) -> dict[str, str]:
    """The form of a symbol as Alice fills it in."""
    return {
        "code": "TSLA",
        "name": "Tesla",
        "kind": "stock",
        "exchange": "NASDAQ",
        "currency": "USD",
        "active": "on",
        "tick_size": "",
        "stale_after": "",
        "start": "",
        "provider_symbols-TOTAL_FORMS": "0",
        "provider_symbols-INITIAL_FORMS": "0",
        "places-TOTAL_FORMS": "0",
        "places-INITIAL_FORMS": "0",
        "splits-TOTAL_FORMS": "0",
        "splits-INITIAL_FORMS": "0",
        "aliases-TOTAL_FORMS": "0",
        "aliases-INITIAL_FORMS": "0",
    } | changes


def split_row(number: int, day: str, new: str, old: str) -> dict[str, str]:
    """A new row of splits in the form of a symbol."""
    given = {"day": day, "new": new, "old": old, "symbol": "", "id": ""}
    return {"splits-TOTAL_FORMS": str(number + 1)} | {
        f"splits-{number}-{name}": value for name, value in given.items()
    }


def board_form(board: Board, **changes: str) -> dict[str, str]:
    """The form of a board as it is."""
    return {"title": board.title, "slug": board.slug, "position": "0"} | changes


def errors(response: Any) -> str:
    """Return the errors of a refused form."""
    lists = re.findall(
        r'<ul class="errorlist[^>]*>(.*?)</ul>', response.content.decode(), re.DOTALL
    )
    return " ".join(re.sub(r"<[^>]*>", "", each) for each in lists)


def found(response: Any) -> list[str]:
    """The symbols of a list."""
    assert response.status_code == 200
    return re.findall(r'field-code"><a [^>]*>([^<]*)<', response.content.decode())


def test_no_help_text_has_markup():
    # the admin prints it unescaped: an example like /boards/<slug>/ loses its slug
    models = apps.get_app_config("quotes").get_models()
    fields = [field for model in models for field in model._meta.fields]
    assert [field for field in fields if "<" in field.help_text] == []


# Lists


def test_the_list_of_symbols_shows_prices_and_provider_codes(
    alice: Client, listed: Board, make_quote: Callable[..., Any]
):
    wire = to_wire(make_quote("AAPL", "119801.25", received_at=timezone.now()))
    symbol = Symbol.objects.get(code="AAPL")
    LastQuote.objects.create(symbol=symbol, epoch=1, batch=1, wire=wire)
    response = alice.get(SYMBOLS)
    assert found(response) == ["AAPL", "BTC-USD", "MSFT", "NVDA"]
    page = response.content.decode()
    assert '<td class="field-last">119,801.25 USD</td>' in page
    assert '<td class="field-sources"><span title="coinbase BTC-USD-AT-COINBASE">1</span>' in page


def test_the_list_of_symbols_shows_the_age_of_prices_and_points_of_an_index(
    alice: Client, listed: Board, make_quote: Callable[..., Any]
):
    index = Symbol.objects.create(code="^GSPC", name="S&P 500", kind="index", currency="USD")
    for symbol, age in ((Symbol.objects.get(code="AAPL"), 5), (index, 60 * 24 * 3)):
        received = timezone.now() - timedelta(minutes=age)
        wire = to_wire(make_quote(symbol.code, "6854.94", received_at=received))
        LastQuote.objects.create(symbol=symbol, epoch=1, batch=1, wire=wire)
    page = text(alice.get(SYMBOLS).content.decode())
    assert "Symbol Active Name Kind Last State Providers" in page
    assert "AAPL Apple Stock 6,854.94 USD 5 min old 0" in page
    assert "^GSPC S&P 500 Index 6,854.94 pts 3 days old 0" in page
    assert "MSFT Microsoft Stock — 0" in page
    german = text(alice.get(SYMBOLS, headers={"accept-language": "de"}).content.decode())
    assert "Symbol Aktiv Name Art Letzter Kurs Zustand Anbieter" in german
    assert "6.854,94 USD 5 Min. alt" in german


def test_the_list_of_symbols_marks_stale_prices_without_live_parts_and_of_inactive_symbols(
    alice: Client, listed: Board, make_quote: Callable[..., Any]
):
    Symbol.objects.filter(code__in=("AAPL", "BTC-USD")).update(stale_after=60, active=False)
    ahead = timezone.now() + timedelta(hours=1)  # the clock of the source
    for code, received in (("BTC-USD", timezone.now() - timedelta(minutes=5)), ("AAPL", ahead)):
        wire = to_wire(make_quote(code, received_at=received))
        LastQuote.objects.create(symbol=Symbol.objects.get(code=code), epoch=1, batch=1, wire=wire)
    page = alice.get(SYMBOLS).content.decode()
    assert re.findall(r'<span class="stale">([^<]*)<', page) == ["5 min old"]
    assert '<span class="">&lt;1 min old</span>' in page


def test_the_names_of_the_sources_are_text_too(alice: Client, listed: Board):
    row = next(
        row for row in alice.get(SYMBOLS).content.decode().split("<tr>") if ">BTC-USD<" in row
    )
    assert text(row).endswith("1 coinbase BTC-USD-AT-COINBASE")


def test_a_price_that_another_release_wrote_is_left_out(alice: Client, listed: Board):
    symbol = Symbol.objects.get(code="AAPL")
    LastQuote.objects.create(symbol=symbol, epoch=1, batch=1, wire={"v": 999})
    assert "AAPL Apple Stock — 0" in text(alice.get(SYMBOLS).content.decode())


@pytest.mark.parametrize(
    ("query", "codes"),
    [
        ("q=bitcoin", ["BTC-USD"]),
        ("q=aapl", ["AAPL"]),
        ("q=AT-COINBASE", ["BTC-USD"]),
        ("q=oldapple", ["AAPL"]),
        ("q=nothing", []),
        ("q=" + "a" * 100_000, []),  # SQLite refuses so long a pattern
        ("kind__exact=crypto", ["BTC-USD"]),
        ("active__exact=0", ["MSFT"]),
        ("boards__slug__exact=stock-market", None),
        ("o=-1", ["NVDA", "MSFT", "BTC-USD", "AAPL"]),
    ],
)
def test_symbols_are_searched_filtered_and_sorted(
    alice: Client, listed: Board, query: str, codes: list[str] | None
):
    Symbol.objects.filter(code="MSFT").update(active=False)
    Alias.objects.create(symbol=Symbol.objects.get(code="AAPL"), code="OLDAPPLE")
    if codes is None:
        query, codes = f"boards__id__exact={listed.pk}", ["AAPL", "MSFT", "NVDA"]
    assert found(alice.get(f"{SYMBOLS}?{query}")) == codes


def many(count: int, prefix: str, make_quote: Callable[..., Any]) -> None:
    for number in range(count):
        code = f"{prefix}{number}"
        symbol = Symbol.objects.create(code=code, name=code, kind="etf", currency="USD")
        ProviderSymbol.objects.create(symbol=symbol, provider="coinbase", code=code)
        wire = to_wire(make_quote(code, "5", received_at=timezone.now()))
        LastQuote.objects.create(symbol=symbol, epoch=1, batch=1, wire=wire)
        board = Board.objects.create(slug=code.lower(), title=code)
        BoardSymbol.objects.create(board=board, symbol=symbol)


@pytest.mark.parametrize("path", [SYMBOLS, BOARDS])
def test_a_list_of_40_costs_as_many_queries_as_one_of_5(
    alice: Client, make_quote: Callable[..., Any], path: str
):
    many(5, "A", make_quote)
    alice.get(path)
    with CaptureQueriesContext(connection) as few:
        alice.get(path)
    many(35, "B", make_quote)
    with CaptureQueriesContext(connection) as more:
        alice.get(path)
    assert len(more) == len(few)


def test_names_stay_text(alice: Client, listed: Board):
    Symbol.objects.filter(code="AAPL").update(name="<img src=x onerror=alert(1)>")
    Board.objects.update(title="<img src=x>")
    pk = Symbol.objects.get(code="AAPL").pk
    board = f"{BOARDS}{listed.pk}"
    for path in (
        SYMBOLS,
        BOARDS,
        f"{SYMBOLS}{pk}/change/",
        f"{board}/change/",
        f"{board}/symbols/",
    ):
        page = alice.get(path).content.decode()
        assert "&lt;img" in page
        assert "<img src=x" not in page


def test_only_staff_may_look(client: Client, db: None):
    for path in (SYMBOLS, BOARDS):
        response = client.get(path)
        assert response.status_code == 302
        assert response["Location"].startswith("/admin/login/")


EMPTY = {
    SYMBOLS: ("There are no symbols yet.", "Add symbol", "add/"),
    BOARDS: ("There are no boards yet.", "Add board", "add/"),
    "/admin/quotes/marketday/": ("All markets keep the hours", "Add market day", "add/"),
    "/admin/quotes/heldprice/": ("No price has been held back.", "All symbols", "../symbol/"),
}


@pytest.mark.parametrize("path", EMPTY)
def test_an_empty_list_explains_itself_and_leads_on(alice: Client, path: str):
    sentence, link, target = EMPTY[path]
    page = alice.get(path).content.decode()
    assert sentence in text(page)
    [found] = re.findall(rf'<p><a href="([^"]*)">{link}</a></p>', page)
    assert found == urljoin(path, target)
    assert alice.get(found, follow=True).status_code == 200
    german = text(alice.get(path, headers={"accept-language": "de"}).content.decode())
    assert sentence not in german


@pytest.mark.parametrize("path", [SYMBOLS, BOARDS])
def test_a_search_that_finds_nothing_leads_to_all(alice: Client, listed: Board, path: str):
    page = alice.get(f"{path}?q=zzzz").content.decode()
    count = {SYMBOLS: 4, BOARDS: 1}[path]
    assert f"Nothing matches. Show all {count}" in text(page)
    assert f'<p><a href="?">Show all {count}</a></p>' in page
    assert "There are no" not in page


def test_a_search_that_finds_no_symbol_leads_to_the_lists_of_the_providers(
    alice: Client, listed: Board
):
    [found] = re.findall(
        r'<a href="([^"]*)">Search in the lists of the providers</a>',
        alice.get(f"{SYMBOLS}?q=z%26z").content.decode(),
    )
    assert found == "/admin/quotes/symbol/find/?q=z%26z"
    for path in (f"{SYMBOLS}?active__exact=0", f"{BOARDS}?q=zzzz"):
        assert "lists of the providers" not in alice.get(path).content.decode()


@pytest.mark.parametrize(
    ("language", "query", "found", "every"),
    [
        ("en", "bitcoin", "1 result", "1,204 total"),
        ("en", "fund", "1,200 results", "1,204 total"),
        ("de", "fund", "1.200 Treffer", "1.204 insgesamt"),
    ],
)
def test_a_search_counts_what_it_found_and_leads_back_to_all(
    alice: Client, listed: Board, language: str, query: str, found: str, every: str
):
    known = {"name": "A fund", "kind": "fund", "currency": "USD"}
    Symbol.objects.bulk_create(Symbol(code=f"F{number}", **known) for number in range(1200))
    headers = {"accept-language": language}
    page = alice.get(f"{SYMBOLS}?q={query}", headers=headers).content.decode()
    assert f'{found} (<a href="?">{every}</a>)' in page
    assert every not in alice.get(f"{SYMBOLS}?p=13", headers=headers).content.decode()


def test_somebody_who_may_not_add_is_not_sent_there(db: None):
    client = granted("view")
    page = client.get("/admin/quotes/marketday/").content.decode()
    assert "Add market day" not in page
    assert ">All symbols</a>" in page


# Symbols


def test_a_symbol_is_added_with_its_code_at_a_provider_and_its_board(alice: Client, listed: Board):
    assert alice.get(f"{SYMBOLS}add/?code=").status_code == 200
    given = symbol_form(
        **{
            "provider_symbols-TOTAL_FORMS": "1",
            "provider_symbols-0-provider": "coinbase",
            "provider_symbols-0-code": "TSLA-USD",
            "places-TOTAL_FORMS": "1",
            "places-0-board": str(listed.pk),
            "places-0-position": "9",
        }
    )
    response = alice.post(f"{SYMBOLS}add/", given)
    assert response.status_code == 302, errors(response)
    symbol = Symbol.objects.get(code="TSLA")
    assert symbol.tick_size is None
    assert symbol.provider_symbols.get().code == "TSLA-USD"
    assert [str(place) for place in listed.places.all()][-1] == "TSLA on Stock market"


@pytest.mark.parametrize(
    ("providers", "placed", "active", "warnings"),
    [
        (["simulated"], True, True, []),
        # the form has a code for coinbase, which does not answer
        (["kraken", "coinbase"], True, True, ["Coinbase did not answer, so TSLA-USD was not"]),
        (["kraken"], True, True, ["has no price, because it has no code for a provider of this"]),
        (["simulated"], False, True, ["is on no board. <a href="]),
        (["kraken"], False, False, []),
    ],
)
def test_a_saved_symbol_that_visitors_will_not_see_move_has_a_warning(
    alice: Client,
    listed: Board,
    settings: Any,
    providers: list[str],
    placed: bool,
    active: bool,
    warnings: list[str],
):
    nowhere = {"coinbase": {"rest_url": f"http://127.0.0.1:{free_port()}"}}
    settings.QUOTES = {
        **settings.QUOTES,
        "PROVIDERS": providers,
        "PROVIDER_OPTIONS": nowhere,
    }
    given = symbol_form(
        active="on" if active else "",
        **{
            "provider_symbols-TOTAL_FORMS": "1",
            "provider_symbols-0-provider": "coinbase",
            "provider_symbols-0-code": "TSLA-USD",
            "places-TOTAL_FORMS": "1",
            "places-0-board": str(listed.pk) if placed else "",
        },
    )
    response = alice.post(f"{SYMBOLS}add/", given, follow=True)
    found = [str(each) for each in response.context["messages"] if each.level_tag == "warning"]
    assert len(found) == len(warnings)
    assert all(warning in text for warning, text in zip(warnings, found, strict=True))
    links = re.findall(r'<a href="([^"]+)#(\w+-group)">', " ".join(found))
    lacking = {"has no code for": "provider_symbols-group", "is on no board": "places-group"}
    lacks = [rows for words, rows in lacking.items() if words in " ".join(found)]
    assert [rows for _, rows in links] == lacks
    assert all(f'id="{rows}"' in alice.get(form).content.decode() for form, rows in links)


def test_a_code_may_be_typed_with_small_letters(alice: Client, listed: Board):
    response = alice.post(f"{SYMBOLS}add/", symbol_form(code=" tsla  x "))
    assert response.status_code == 302, errors(response)
    assert Symbol.objects.filter(code="TSLA X").exists()


@pytest.mark.parametrize(
    ("field", "given", "output"),
    [
        ("code", "a,b", "“A,B” contains a comma, which separates the symbols in an address."),
        ("code", "A\u202eB", "contains an invisible character."),
        ("code", "\u3164", "contains an invisible character."),
        ("code", "\u0301A", "begins with a mark that needs a letter before it."),
        ("code", "ＡＡＰＬ", "Write “AAPL” in place of “ＡＡＰＬ”."),
        ("name", "\u3164", "Remove the character U+3164. Texts must not contain control"),
        ("code", "A/../B", "No part of “A/../B” between slashes may be empty, “.” or “..”."),
        ("code", "/A", "No part of “/A” between slashes may be empty, “.” or “..”."),
        ("code", "", "This field is required."),
        ("code", "AAPL", "Symbol with this Symbol already exists."),
        ("code", "A" * 61, "at most 60 characters"),
        (
            "currency",
            "GBp",
            (
                "“GBp” is not a valid currency: use a code like USD, EUR or USDT, "
                "and GBP for prices in pence."
            ),
        ),
        ("currency", "$", "“$” is not a valid currency"),
        ("tick_size", "0", "greater than or equal to"),
        ("tick_size", "-0.01", "greater than or equal to"),
        ("tick_size", "NaN", "Enter a number."),
        ("stale_after", "0", "greater than or equal to 1"),
        ("kind", "house", "house is not one of the available choices."),
        ("name", "", "This field is required."),
        ("name", "Tes\u202ela", "Remove the character U+202E. Texts must not contain control"),
        ("exchange", "NAS\u202eDAQ", "Remove the character U+202E."),
        ("name", "Tes\nla", "Remove the character U+000A. Texts must not contain control"),
    ],
)
def test_invalid_values_are_refused_with_a_reason(
    alice: Client, listed: Board, field: str, given: str, output: str
):
    response = alice.post(f"{SYMBOLS}add/", symbol_form(**{field: given}))
    assert response.status_code == 200
    assert output in errors(response).replace("&quot;", '"')
    assert not Symbol.objects.filter(name="Tesla").exists()


def test_a_name_that_turns_text_is_refused_in_german_too(alice: Client, listed: Board):
    form = symbol_form(name="Tes\u2067la")
    response = alice.post(f"{SYMBOLS}add/", form, headers={"accept-language": "de"})
    assert "Entfernen Sie das Zeichen U+2067. Texte dürfen keine Steuerzeichen" in errors(response)


def test_a_symbol_has_one_code_per_provider(alice: Client, listed: Board):
    given = symbol_form(**{"provider_symbols-TOTAL_FORMS": "2"})
    for number in range(2):
        given[f"provider_symbols-{number}-provider"] = "coinbase"
        given[f"provider_symbols-{number}-code"] = f"TSLA{number}"
    response = alice.post(f"{SYMBOLS}add/", given)
    assert response.status_code == 200
    assert "duplicate" in errors(response)


@pytest.mark.parametrize(
    ("language", "titles", "none"),
    [
        (
            "en",
            ["Needs attention", "Active", "Not found", "Kind", "Board", "Currency", "Exchange"],
            "none",
        ),
        (
            "de",
            [
                "Braucht Aufmerksamkeit",
                "Aktiv",
                "Nicht gefunden",
                "Art",
                "Kursliste",
                "Währung",
                "Börse",
            ],
            "ohne",
        ),
    ],
)
def test_a_filter_has_its_title_and_words_for_no_value(
    alice: Client, listed: Board, language: str, titles: list[str], none: str
):
    page = alice.get(SYMBOLS, headers={"accept-language": language}).content.decode()
    assert re.findall("<summary>(.*?)</summary>", page) == titles
    assert f">{none}</a></li>" in page
    users = alice.get("/admin/auth/user/", headers={"accept-language": language})
    assert (
        "<h1>{}</h1>".format("Users" if language == "en" else "Benutzer") in users.content.decode()
    )


def first_error(response: Any) -> tuple[str, str]:
    """Return the id to which the page of a form leads, and the error that it names."""
    page = response.content.decode()
    [(anchor, words)] = re.findall(r'<p class="first-error"><a href="#([^"]*)">(.*?)</p>', page)
    assert f'id="{anchor}"' in page
    return anchor, unescape(words.replace("</a>", ""))


def test_a_form_leads_to_its_first_error(alice: Client, listed: Board):
    path = f"{BOARDS}{listed.pk}/change/"
    title = ("id_title", "Title: This field is required.")
    assert first_error(alice.post(path, board_form(listed, title=""))) == title
    splits = symbol_form(**split_row(0, "2026-03-04", "x", "1"))
    anchor, words = first_error(alice.post(f"{SYMBOLS}add/", splits))
    assert (anchor, words) == ("id_splits-0-new", "New shares: new row 1: Enter a whole number.")
    codes = symbol_form(**{"provider_symbols-TOTAL_FORMS": "2"})
    for number in range(2):
        codes[f"provider_symbols-{number}-provider"] = "coinbase"
        codes[f"provider_symbols-{number}-code"] = f"TSLA{number}"
    anchor, words = first_error(alice.post(f"{SYMBOLS}add/", codes))
    assert anchor == "provider_symbols-1"
    assert words.startswith("new row 2: ")
    assert "first-error" not in alice.get(path).content.decode()


def code_form(row: ProviderSymbol, **changes: str) -> dict[str, str]:
    """The form of bitcoin with a code of one provider."""
    given = symbol_form(code="BTC-USD", name="Bitcoin", kind="crypto", exchange="")
    given |= {"provider_symbols-TOTAL_FORMS": "1", "provider_symbols-INITIAL_FORMS": "1"}
    of_row = {"id": str(row.pk), "symbol": str(row.symbol_id), "provider": row.provider}
    of_row |= {"code": row.code} | changes
    return given | {f"provider_symbols-0-{name}": value for name, value in of_row.items()}


def offered(page: str) -> list[str]:
    """The providers that the first row of codes offers."""
    [select] = re.findall(
        r'<select name="provider_symbols-0-provider".*?</select>', page, re.DOTALL
    )
    return [text(option) for option in re.findall(r"<option.*?</option>", select)]


def known() -> list[str]:
    """The known providers: the one of this site, and those that are off."""
    return ["simulated", *(f"{name} (off)" for name in sorted(REGISTRY) if name != "simulated")]


def test_a_code_of_a_provider_that_is_off_is_kept(alice: Client, listed: Board, settings: Any):
    settings.QUOTES = settings.QUOTES | {"PROVIDERS": ["kraken", "binance"]}
    row = ProviderSymbol.objects.get()
    path = f"{SYMBOLS}{row.symbol_id}/change/"
    page = alice.get(path, headers={"accept-language": "de"}).content.decode()
    assert offered(page)[1:4] == ["binance", "kraken", "alpaca (aus)"]
    assert '<option value="coinbase" selected>coinbase (aus)</option>' in page
    assert alice.post(path, code_form(row, code="XBT")).status_code == 302
    assert str(ProviderSymbol.objects.get()) == "coinbase:XBT"


def test_a_code_is_for_one_of_the_known_providers(
    alice: Client, listed: Board, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(REGISTRY, "mint", "mysite.mint.Mint")
    row = ProviderSymbol.objects.get()
    path = f"{SYMBOLS}{row.symbol_id}/change/"
    assert offered(alice.get(path).content.decode())[1:] == known()
    response = alice.post(path, code_form(row, provider="coinbse"))
    assert errors(response) == "Unknown provider “coinbse”: choose a provider from the list."
    assert alice.post(path, code_form(row, provider="mint")).status_code == 302
    assert str(ProviderSymbol.objects.get()) == "mint:BTC-USD-AT-COINBASE"


def test_a_code_of_an_unknown_provider_is_shown_as_such_and_blocks_nothing(
    alice: Client, listed: Board
):
    ProviderSymbol.objects.update(provider="mint")
    row = ProviderSymbol.objects.get()
    path = f"{SYMBOLS}{row.symbol_id}/change/"
    page = alice.get(path).content.decode()
    assert offered(page)[1:] == [*known(), "mint – unknown provider"]
    assert alice.post(path, code_form(row, code="BTC")).status_code == 302
    assert str(ProviderSymbol.objects.get()) == "mint:BTC"
    assert alice.post(path, code_form(row, provider="kraken")).status_code == 302
    assert ProviderSymbol.objects.get().provider == "kraken"


def test_a_symbol_is_changed(alice: Client, listed: Board):
    symbol = Symbol.objects.get(code="AAPL")
    path = f"{SYMBOLS}{symbol.pk}/change/"
    assert "Apple" in alice.get(path).content.decode()
    given = symbol_form(code="AAPL", name="Apple Computer", tick_size="0.01")
    assert alice.post(path, given).status_code == 302
    symbol.refresh_from_db()
    assert (symbol.name, symbol.digits) == ("Apple Computer", 2)


def run(alice: Client, action: str, *codes: str) -> Any:
    """Choose an action for symbols; if it has a preview, confirm that."""
    chosen = list(Symbol.objects.filter(code__in=codes).values_list("pk", flat=True))
    return carry_out(alice, SYMBOLS, {"action": action, "_selected_action": chosen})


def carry_out(client: Client, url: str, given: dict[str, Any]) -> Any:
    response = client.post(url, given, follow=True)
    seal = re.search(r'name="seal" value="(\w+)"', response.content.decode(errors="replace"))
    if not seal:
        return response
    confirmed = given | {"seal": seal[1], "carry_out": "1", "reason": "Test"}
    return client.post(url, confirmed, follow=True)


def test_chosen_symbols_are_saved_as_csv(alice: Client, listed: Board):
    response = run(alice, "save_as_csv", "AAPL", "MSFT")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(
        r'attachment; filename="symbols-\d{4}-\d\d-\d\d\.csv"', response["Content-Disposition"]
    )
    saved = catalogue.read(BytesIO(response.content)).entries
    assert [entry.symbol.code for entry in saved] == ["AAPL", "MSFT"]


def active() -> list[str]:
    return list(Symbol.objects.filter(active=True).values_list("code", flat=True))


def switched_in_the_list(*off: str) -> dict[str, str]:
    given = {"form-TOTAL_FORMS": "4", "form-INITIAL_FORMS": "4", "_save": "Save"}
    for number, symbol in enumerate(Symbol.objects.all()):
        given[f"form-{number}-id"] = str(symbol.pk)
        if symbol.code not in off:
            given[f"form-{number}-active"] = "on"
    return given


def test_symbols_are_switched_in_the_list_itself(alice: Client, listed: Board):
    alice.post(SYMBOLS, switched_in_the_list("AAPL", "NVDA"))
    assert active() == ["BTC-USD", "MSFT"]


@pytest.mark.parametrize(
    ("stored", "shown"), [("0.010000000000", "0.01"), ("87508.83", "87508.83"), ("100", "100")]
)
def test_numbers_in_fields_have_no_zeros_at_their_end(
    alice: Client, listed: Board, stored: str, shown: str
):
    Symbol.objects.filter(code="AAPL").update(tick_size=stored, start=stored)
    symbol = Symbol.objects.get(code="AAPL")
    page = alice.get(f"{SYMBOLS}{symbol.pk}/change/").content.decode()
    values = re.findall(r'name="(?:tick_size|start)" value="([^"]*)"', page)
    assert values == [shown, shown]
    given = symbol_form(code="AAPL", name="Apple", tick_size=values[0], start=values[1])
    assert alice.post(f"{SYMBOLS}{symbol.pk}/change/", given).status_code == 302
    assert Symbol.objects.get(code="AAPL").tick_size == symbol.tick_size


def labels(page: str) -> list[str]:
    """Return the labels of all controls that have no text beside them."""
    return [unescape(label) for label in re.findall(r'aria-label="([^"]*)"', page)]


def test_each_control_of_the_list_has_the_name_of_its_row(alice: Client, listed: Board):
    page = alice.get(SYMBOLS).content.decode()
    for code in ("AAPL", "BTC-USD", "MSFT", "NVDA"):
        assert f"Active: {code}" in labels(page)
    assert "Position: Stock market" in labels(alice.get(BOARDS).content.decode())
    assert (
        '<label for="searchbar">Symbol, name, former code or a provider&#x27;s code</label>' in page
    )


def test_each_control_of_a_form_has_the_name_of_its_row(alice: Client, listed: Board):
    bitcoin = Symbol.objects.get(code="BTC-USD")
    BoardSymbol.objects.create(board=listed, symbol=bitcoin, position=4)
    path = f"{SYMBOLS}{bitcoin.pk}/change/"
    found = labels(alice.get(path).content.decode())
    for name in ("Provider", "Code", "Position", "Delete"):
        assert f"{name}: BTC-USD at coinbase" in found
    for name in ("Board", "Position", "Delete"):
        assert f"{name}: BTC-USD on Stock market" in found
    assert "Code: new row" in found  # which Django copies
    german = alice.get(path, headers={"accept-language": "de"}).content.decode()
    assert "Kürzel: BTC-USD bei coinbase" in labels(german)
    assert "Position: BTC-USD auf Stock market" in labels(german)


# Boards


def order(board: Board) -> list[tuple[str, int]]:
    return list(board.places.order_by("position").values_list("symbol__code", "position"))


def test_the_form_of_a_symbol_explains_its_exchange_codes_and_positions_as_text(
    alice: Client, listed: Board
):
    symbol = Symbol.objects.get(code="AAPL")
    page = text(alice.get(f"{SYMBOLS}{symbol.pk}/change/").content.decode())
    assert "It decides the market hours: NASDAQ" in page
    assert "Code: The provider's name for the symbol" in unescape(page)
    assert "Position: A symbol with a lower position comes first." in page


def test_the_form_of_a_board_begins_with_its_title_and_leads_to_its_symbols(
    alice: Client, listed: Board
):
    page = alice.get(f"{BOARDS}{listed.pk}/change/").content.decode()
    assert re.findall(r'<input [^>]*name="(title|slug|position)"', page) == [
        "title", "slug", "position",
    ]  # fmt: skip
    assert f'href="{BOARDS}{listed.pk}/symbols/"' in page


def test_a_symbol_put_on_a_board_without_a_position_is_its_last(alice: Client, listed: Board):
    places = {"places-TOTAL_FORMS": "1", "places-0-board": str(listed.pk)}
    response = alice.post(f"{SYMBOLS}add/", symbol_form(**places))
    assert response.status_code == 302, errors(response)
    assert order(listed)[-1] == ("TSLA", 4)


@pytest.mark.parametrize(
    ("field", "given", "output"),
    [
        ("slug", "stock market", "letters, numbers, underscores or hyphens"),
        ("slug", "stock-market", "Board with this Slug already exists."),
        ("title", "", "This field is required."),
        ("position", "-1", "greater than or equal to 0"),
    ],
)
def test_an_invalid_board_is_refused_with_a_reason(
    alice: Client, listed: Board, field: str, given: str, output: str
):
    form = {"title": "Bonds", "slug": "bonds", "position": "1"}
    response = alice.post(f"{BOARDS}add/", form | {field: given})
    assert response.status_code == 200
    assert output in errors(response)


def test_boards_are_ordered_in_their_list(alice: Client, listed: Board):
    crypto = Board.objects.create(slug="crypto", title="Crypto", position=5)
    given = {"form-TOTAL_FORMS": "2", "form-INITIAL_FORMS": "2", "_save": "Save"}
    for number, (board, position) in enumerate(((listed, "2"), (crypto, "1"))):
        given |= {f"form-{number}-id": str(board.pk), f"form-{number}-position": position}
    alice.post(BOARDS, given)
    assert [board.slug for board in Board.objects.all()] == ["crypto", "stock-market"]


# Splits


def test_a_split_is_entered_with_its_symbol(alice: Client, listed: Board):
    rows = split_row(0, "2022-08-25", "3", "1") | split_row(1, "2024-05-20", "1", "10")
    response = alice.post(f"{SYMBOLS}add/", symbol_form(**rows))
    assert response.status_code == 302
    splits = Symbol.objects.get(code="TSLA").split_days
    assert splits == [(date(2022, 8, 25), "3:1"), (date(2024, 5, 20), "1:10")]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (split_row(0, "2022-08-25", "3", "3"), "Both numbers are equal."),
        (split_row(0, "2022-08-25", "0", "1"), "greater than or equal to 1"),
        (split_row(0, "2022-08-25", "3", "1000000"), "less than or equal to 100000"),
        (split_row(0, "2022-02-30", "3", "1"), "Enter a valid date."),
        (
            split_row(0, "2022-08-25", "3", "1") | split_row(1, "2022-08-25", "4", "1"),
            "Please correct the duplicate data for day.",
        ),
    ],
)
def test_an_invalid_split_is_refused(
    alice: Client, listed: Board, rows: dict[str, str], expected: str
):
    response = alice.post(f"{SYMBOLS}add/", symbol_form(**rows))
    assert response.status_code == 200
    assert expected in errors(response)
    assert not Symbol.objects.filter(code="TSLA").exists()


# Permissions

MODELS = (Board, HeldPrice, MarketDay, Override, Symbol)


def granted(*names: str) -> Client:
    """Log in as somebody who works here and has these rights on all models."""
    create_permissions(apps.get_app_config("quotes"), verbosity=0)
    user = User.objects.create(username="bob", is_staff=True)
    names_of = [f"{name}_{model._meta.model_name}" for name in names for model in MODELS]
    user.user_permissions.set(Permission.objects.filter(codename__in=names_of))
    client = Client()
    client.force_login(user)
    return client


def rows_of_all() -> dict[type[Model], Model]:
    """Make a row of each model of the admin."""
    apple = Symbol.objects.get(code="AAPL")
    market_day = MarketDay.objects.create(venue="XKRX", day=date(2027, 11, 18))
    held = {"last": "0", "provider": "coinbase", "currency": "USD", "outcome": "no_price"}
    now = timezone.now()
    times = {"begins": now - timedelta(hours=1), "ends": now + timedelta(hours=1)}
    override = Override.objects.create(symbol=apple, kind="halted", **times)
    held_price = HeldPrice.objects.create(symbol=apple, at=timezone.now(), **held)
    bulk_change = BulkChange.objects.create(action="switch_on", by="alice", count=0, symbols={})
    return {
        Board: Board.objects.get(), BulkChange: bulk_change, HeldPrice: held_price,
        HistoryEntry: HistoryEntry.objects.create(what="loaded", role="feed"),
        MarketDay: market_day, Override: override, Symbol: apple,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rights", "may_view", "may_change"),
    [((), False, False), (("view",), True, False), (("view", "change"), True, True)],
)
def test_every_page_and_action_of_the_admin_needs_its_right(
    listed: Board, rights: tuple[str, ...], may_view: bool, may_change: bool
):
    client, rows = granted(*rights), rows_of_all()
    ours = {m for m in admin.site._registry if m._meta.app_label == "quotes"}
    assert set(rows) == ours - {Load}  # it has tests beside its pages
    before = contents()
    for model, row in rows.items():
        url = f"/admin/quotes/{model._meta.model_name}/"
        for page in (url, f"{url}{row.pk}/change/", f"{url}{row.pk}/history/"):
            assert client.get(page).status_code == (200 if may_view else 403), page
        may_edit = may_change and model not in (BulkChange, HeldPrice, HistoryEntry)
        assert client.get(f"{url}add/").status_code == 403
        assert client.post(f"{url}add/", {}).status_code == 403
        changed = client.post(f"{url}{row.pk}/change/", {})
        assert changed.status_code == (200 if may_edit else 403), url
        assert client.post(f"{url}{row.pk}/delete/", {"post": "yes"}).status_code == 403
        own = [getattr(a, "__name__", a) for a in admin.site._registry[model].actions]
        for action in [*own, "delete_selected"]:
            given = {"action": action, "_selected_action": [row.pk], "post": "yes"}
            carry_out(client, url, given)
    for method in (client.get, client.post):
        page = f"/admin/quotes/bulkchange/{rows[BulkChange].pk}/undo/"
        allowed = (302 if method == client.post else 200) if may_change else 403
        assert method(page).status_code == allowed
    assert (contents() == before) == (not may_change)
    if may_change:  # the actions of symbols, of which one switches off
        assert not Symbol.objects.get(code="AAPL").active


def contents() -> list[tuple[Any, ...]]:
    """Return all that the admin can change."""
    models = (*MODELS, Alias, BoardSymbol, ProviderSymbol)
    return [row for model in models for row in model._default_manager.order_by("pk").values_list()]


# Market days

MARKET_DAYS = "/admin/quotes/marketday/"
EXAM = {"venue": "XKRX", "day": "2027-11-18", "opens": "10:00", "closes": "16:30"}


def test_a_market_day_is_added_and_listed(alice: Client):
    alice.post(f"{MARKET_DAYS}add/", EXAM)
    alice.post(f"{MARKET_DAYS}add/", {"venue": "XNYS", "day": "2027-01-09", "opens": ""})
    assert MarketDay.corrections() == {
        ("XKRX", date(2027, 11, 18)): (time(10), time(16, 30)),
        ("XNYS", date(2027, 1, 9)): None,
    }
    listed = alice.get(MARKET_DAYS).content.decode()
    assert "10:00 – 16:30" in listed
    assert "closed all day" in listed
    assert "NYSE, NASDAQ, NYSE ARCA" in listed


@pytest.mark.parametrize(
    ("given", "output"),
    [
        ({"opens": ""}, "Enter both times, or none if it is closed all day."),
        ({"closes": ""}, "Enter both times, or none if it is closed all day."),
        ({"closes": "10:00"}, "This time must be later than the opening."),
        (
            {"day": "2099-11-18"},
            "The calendar knows this exchange from {} to {}.",
        ),
        ({"venue": "XMOO"}, "Select a valid choice. XMOO is not one of the available choices."),
        ({"opens": "noon"}, "Enter a valid time."),
    ],
)
def test_an_invalid_market_day_is_refused_with_a_reason(
    alice: Client, given: dict[str, str], output: str
):
    response = alice.post(f"{MARKET_DAYS}add/", EXAM | given)
    assert response.status_code == 200
    assert output.format(*sessions.years("XKRX")) in errors(response)
    assert MarketDay.corrections() == {}


def test_a_market_day_exists_once(alice: Client):
    alice.post(f"{MARKET_DAYS}add/", EXAM)
    response = alice.post(f"{MARKET_DAYS}add/", EXAM | {"closes": "17:00"})
    assert "already exists" in errors(response)


# Changes are published


class Listener:
    """Receives the messages to the group of all processes."""

    def __init__(self) -> None:
        channel_layers.backends = {}
        self.layer = get_channel_layer()
        self.channel = async_to_sync(self.layer.new_channel)()
        layer.enter(lease.deployment())
        async_to_sync(self.layer.group_add)(layer.group(), self.channel)

    def heard(self) -> list[str]:
        """Return the types of all messages since the last call."""
        return async_to_sync(self._heard)()

    async def _heard(self) -> list[str]:
        await self.layer.send(self.channel, {"type": "end"})
        kinds: list[str] = []
        while (message := await self.layer.receive(self.channel))["type"] != "end":
            kinds.append(message["type"])
        return kinds


@pytest.fixture
def listener(transactional_db: None, listed: Board) -> Listener:
    """A listener that receives all messages from now on."""
    return Listener()


ONCE = ["quotes.change"]


def test_every_form_that_is_saved_is_published_once(
    alice: Client, listed: Board, listener: Listener
):
    alice.post(f"{SYMBOLS}add/", symbol_form())
    assert listener.heard() == ONCE
    pk = Symbol.objects.get(code="TSLA").pk
    alice.post(f"{SYMBOLS}{pk}/change/", symbol_form(name="Tesla Motors"))
    assert listener.heard() == ONCE
    alice.post(f"{SYMBOLS}{pk}/delete/", {"post": "yes"})
    assert listener.heard() == ONCE
    alice.post(f"{BOARDS}{listed.pk}/change/", board_form(listed, title="Shares"))
    listed.refresh_from_db()
    assert listed.title == "Shares"
    assert listener.heard() == ONCE
    alice.post(f"{MARKET_DAYS}add/", EXAM)
    assert listener.heard() == ONCE


def test_symbols_switched_in_the_list_are_published_once(
    alice: Client, listed: Board, listener: Listener
):
    alice.post(SYMBOLS, switched_in_the_list("AAPL", "NVDA"))
    assert active() == ["BTC-USD", "MSFT"]
    assert listener.heard() == ONCE


def test_symbols_switched_by_an_action_are_published_once(
    alice: Client, listed: Board, listener: Listener
):
    run(alice, "switch_off", "AAPL", "MSFT", "NVDA")
    assert active() == ["BTC-USD"]
    assert listener.heard() == ONCE


def test_changes_that_were_refused_or_rolled_back_are_not_published(
    alice: Client, listed: Board, listener: Listener
):
    alice.post(f"{SYMBOLS}add/", symbol_form(code="btc usd"))
    with transaction.atomic():
        Symbol.objects.get(code="AAPL").save()
        transaction.set_rollback(True)
    with transaction.atomic():
        with transaction.atomic():
            Symbol.objects.get(code="AAPL").delete()
            transaction.set_rollback(True)
        assert Symbol.objects.filter(code="AAPL").exists()
    assert Symbol.objects.filter(code="AAPL").exists()
    assert listener.heard() == []


def test_nothing_is_published_before_it_can_be_read(listed: Board, listener: Listener):
    with transaction.atomic():
        Symbol.objects.get(code="AAPL").save()
        with transaction.atomic():
            Symbol.objects.get(code="MSFT").save()
        assert listener.heard() == []
    assert listener.heard() == ONCE


def test_a_change_is_saved_even_where_the_layer_is_down(
    alice: Client, listed: Board, settings: Any, transactional_db: None
):
    layer = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer"}
    layer["CONFIG"] = {"hosts": ["redis://127.0.0.1:1"]}  # no Redis is there
    channel_layers.backends = {}
    settings.CHANNEL_LAYERS = {"default": layer}
    assert alice.post(f"{SYMBOLS}add/", symbol_form()).status_code == 302
    assert Symbol.objects.filter(code="TSLA").exists()
    channel_layers.backends = {}


# The site around our models


def test_the_login_has_a_heading_and_names_the_site(client: Client, db: None):
    page = client.get("/admin/login/").content.decode()
    assert "<h1>Log in</h1>" in page
    assert "<title>Log in | Quoteboard</title>" in page


def test_our_models_come_first_and_are_in_the_header(alice: Client):
    page = alice.get("/admin/").content.decode()
    assert page.index('class="app-quotes') < page.index('class="app-auth')
    names = ["Boards", "Held prices", "Market days", "Overrides", "Symbols", "All changes"]
    [sections] = re.findall(r'<nav id="models".*?</nav>', page, re.DOTALL)
    assert re.findall(r"<a [^>]*>([^<]*)</a>", sections) == names


def test_the_header_leads_only_to_what_somebody_may_see(db: None):
    client = granted()
    assert "/admin/quotes/" not in client.get("/admin/").content.decode()


def test_a_symbol_with_another_code_keeps_the_former_one(alice: Client, listed: Board):
    apple = Symbol.objects.get(code="AAPL")
    form = symbol_form(code="APPLE", name="Apple")
    page = alice.post(f"{SYMBOLS}{apple.pk}/change/", form, follow=True).content.decode()
    assert "“AAPL” now leads to “APPLE”." in text(page)
    assert [*apple.aliases.values_list("code", flat=True)] == ["AAPL"]
    history = f"{SYMBOLS}{apple.pk}/history/"
    changed = "Symbol APPLE Symbol: from “AAPL” to “APPLE”; Exchange: from “empty” to “NASDAQ”"
    assert text(alice.get(history).content.decode()).count("from “AAPL”") == 1
    assert changed in text(alice.get(history).content.decode())
    german = alice.get(history, headers={"accept-language": "de"}).content.decode()
    assert "Börse: von „leer“ zu „NASDAQ“" in text(german)


def alias_row(code: str, **more: str) -> dict[str, str]:
    """A new row of former codes in the form of a symbol."""
    given = {"code": code, "until": "", "symbol": "", "id": ""} | more
    return {"aliases-TOTAL_FORMS": "1"} | {f"aliases-0-{n}": each for n, each in given.items()}


def test_a_former_code_is_added_and_deleted_with_its_symbol(alice: Client, listed: Board):
    apple = Symbol.objects.get(code="AAPL")
    page = f"{SYMBOLS}{apple.pk}/change/"
    form = symbol_form(code="AAPL", name="Apple")
    refused = alice.post(page, form | alias_row("MSFT"))
    assert "“MSFT” is the code of a symbol, so it can't lead to another" in unescape(
        errors(refused)
    )
    assert alice.post(page, form | alias_row("APPL", until="2026-11-30")).status_code == 302
    row = apple.aliases.get()
    assert (row.code, row.until) == ("APPL", date(2026, 11, 30))
    microsoft = f"{SYMBOLS}{Symbol.objects.get(code='MSFT').pk}/change/"
    again = symbol_form(code="MSFT", name="Microsoft") | alias_row("APPL")
    assert "This is already a former code of a symbol." in errors(alice.post(microsoft, again))
    kept = {"id": str(row.pk), "symbol": str(apple.pk), "DELETE": "on"}
    gone = form | alias_row("APPL", **kept) | {"aliases-INITIAL_FORMS": "1"}
    assert alice.post(page, gone).status_code == 302
    assert not apple.aliases.exists()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("MSFT", "“MSFT” is the code of another symbol. Choose another one, or merge “AAPL” into"),
        ("OLD", "“OLD” is a former code of “MSFT”. Choose another one, or first delete the former"),
    ],
)
def test_a_code_of_another_symbol_is_refused_with_what_to_do(
    alice: Client, listed: Board, code: str, error: str
):
    Symbol.objects.get(code="MSFT").aliases.create(code="OLD")
    apple = Symbol.objects.get(code="AAPL")
    refused = alice.post(f"{SYMBOLS}{apple.pk}/change/", symbol_form(code=code))
    assert error in errors(refused)
    if code == "OLD":
        assert error in errors(alice.post(f"{SYMBOLS}add/", symbol_form(code=code)))


@pytest.mark.parametrize("may", [{"view"}, {"view", "change"}, {"view", "delete"}])
def test_only_those_who_may_change_and_delete_symbols_merge_them(listed: Board, may: set[str]):
    client, apple = granted(*may), Symbol.objects.get(code="AAPL")
    page, into = f"{SYMBOLS}{apple.pk}/merge/", {"into": Symbol.objects.get(code="MSFT").pk}
    assert client.get(page, into).status_code == 403
    assert client.post(page, into).status_code == 403
    assert Symbol.objects.filter(code="AAPL").exists()
    assert page not in client.get(f"{SYMBOLS}{apple.pk}/change/").content.decode()


@pytest.mark.parametrize("given", ["<b>", " ", "a\0b", "1.5", "9" * 30])
def test_a_symbol_that_no_list_offers_is_refused(alice: Client, listed: Board, given: str):
    apple = Symbol.objects.get(code="AAPL")
    for page, name in (
        (f"{SYMBOLS}{apple.pk}/merge/", "into"),
        ("/admin/quotes/override/add/", "symbol"),
        ("/admin/quotes/board/add/", "places-0-symbol"),
    ):
        assert alice.get(page, {name: given}).status_code == 200
        refused = alice.post(
            page, {name: given, "places-TOTAL_FORMS": 1, "places-INITIAL_FORMS": 0}
        )
        assert refused.status_code == 200
        assert "errorlist" in refused.content.decode()


def test_the_address_of_a_new_override_fills_in_its_symbol_and_no_times(
    alice: Client, listed: Board
):
    apple = Symbol.objects.get(code="AAPL")
    given = {"symbol": apple.pk, "begins": "now", "ends": "2026-11-30"}
    page = alice.get("/admin/quotes/override/add/", given)
    assert page.status_code == 200
    assert f'<option value="{apple.pk}" selected' in page.content.decode()


def test_a_preview_states_what_a_merge_moves_and_why_one_is_refused(alice: Client, listed: Board):
    apple = Symbol.objects.get(code="AAPL")
    address = f"{SYMBOLS}{apple.pk}/merge/"
    page = alice.get(address, {"into": Symbol.objects.get(code="BTC-USD").pk}).content.decode()
    assert "Places on boards 1 0" in text(page)
    assert Symbol.objects.filter(code="AAPL").exists()
    assert "be merged into itself" in errors(alice.post(address, {"into": apple.pk}))
    gone = alice.post(address, {"into": 999_999})
    assert "This symbol no longer exists. Choose another one." in errors(gone)
    assert alice.get(f"{SYMBOLS}999999/merge/").status_code == 404
    alice.post(address, {"into": Symbol.objects.get(code="BTC-USD").pk})
    assert {*Symbol.objects.values_list("code", flat=True)} == {"MSFT", "NVDA", "BTC-USD"}


def test_a_symbol_that_was_not_found_states_it_and_is_back_in_one_action(
    alice: Client, listed: Board
):
    switch_off({"AAPL": "coinbase: AAPL is not a valid product"})
    apple = Symbol.objects.get(code="AAPL")
    page = alice.get(SYMBOLS, {"not_found": "1"})
    assert found(page) == ["AAPL"]
    assert "not found on" in text(page.content.decode())
    form = text(alice.get(f"{SYMBOLS}{apple.pk}/change/").content.decode())
    assert "because none of its providers has it. Correct its codes below" in form
    assert "coinbase: AAPL is not a valid product" in form
    home = alice.get("/admin/").content.decode()
    assert "1 symbol was switched off, because none of its providers has it" in home
    assert f"{SYMBOLS}?not_found=1" in home
    run(alice, "switch_on", "AAPL")
    assert found(alice.get(SYMBOLS, {"not_found": "1"})) == []
    assert Symbol.objects.get(code="AAPL").active
    assert "switched off, because" not in alice.get("/admin/").content.decode()


def test_without_an_active_symbol_the_home_page_leads_to_all_symbols(alice: Client):
    page = alice.get("/admin/").content.decode()
    assert f'<a href="{SYMBOLS}">No symbol is active</a>' in page


def test_a_list_has_the_name_of_its_rows_as_title(alice: Client):
    for path, title in ((SYMBOLS, "Symbols"), ("/admin/auth/user/", "Users")):
        assert f"<title>{title} | Quoteboard</title>" in alice.get(path).content.decode()


def test_without_groups_their_list_names_the_command_that_makes_them(alice: Client):
    groups = "/admin/auth/group/"
    assert "“manage.py quotes_setup” makes those of" in alice.get(groups).content.decode()
    make_groups()
    page = alice.get(groups).content.decode()
    assert "quotes_setup" not in page
    assert "Quotes viewer" in page


# Overrides

OVERRIDES = "/admin/quotes/override/"


def override_form(**changes: str) -> dict[str, str]:
    """The form of an override of AAPL for a day of 2026 as Alice fills it in."""
    return {
        "symbol": str(Symbol.objects.get(code="AAPL").pk),
        "kind": "price",
        "price": "54.20",
        "label": "Takeover at 54.20",
        "begins_0": "2026-12-01",
        "begins_1": "09:30",
        "ends_0": "2026-12-01",
        "ends_1": "16:00",
    } | changes


def test_an_override_is_added_listed_and_ended(alice: Client, listed: Board):
    now = timezone.localtime()
    tomorrow = {"begins_0": f"{now:%Y-%m-%d}", "begins_1": f"{now:%H:%M:%S}"}
    tomorrow |= {"ends_0": f"{now + timedelta(days=1):%Y-%m-%d}", "ends_1": f"{now:%H:%M:%S}"}
    assert alice.post(f"{OVERRIDES}add/", override_form(**tomorrow)).status_code == 302
    override = Override.objects.get()
    page = text(alice.get(OVERRIDES, {"now": "1"}).content.decode())
    assert "AAPL fixed price 54.2 USD Takeover at 54.20" in page
    assert "shown now" in page
    end = {"action": "end_now", "_selected_action": [override.pk]}
    assert "1 override ended." in alice.post(OVERRIDES, end, follow=True).content.decode()
    assert "Nothing matches." in alice.get(OVERRIDES, {"now": "1"}).content.decode()
    history = alice.get(f"{OVERRIDES}{override.pk}/history/").content.decode()
    assert "Changed ends." in text(history)


def test_a_fixed_price_has_the_digits_of_its_symbol_in_the_form(alice: Client, listed: Board):
    Symbol.objects.filter(code="AAPL").update(tick_size=Decimal("0.01"))
    for given, shown in (("54.2", "54.20"), ("54.205", "54.205")):
        Override.objects.all().delete()
        alice.post(f"{OVERRIDES}add/", override_form(price=given))
        page = alice.get(f"{OVERRIDES}{Override.objects.get().pk}/change/").content.decode()
        assert f'name="price" value="{shown}"' in page


def test_who_may_not_change_numbers_reads_them_without_added_zeros(listed: Board):
    make_groups()
    bob = User.objects.create_user("bob", is_staff=True)
    bob.groups.add(Group.objects.get(name="Quotes viewer"))
    client = Client()
    client.force_login(bob)
    apple = Symbol.objects.get(code="AAPL")
    apple.tick_size, apple.start = Decimal("0.010"), None
    apple.save()
    page = client.get(f"{SYMBOLS}{apple.pk}/change/").content.decode()
    rows = dict(
        re.findall(r'field-(\w+)(?:(?! field-).)*?class="readonly">([^<]*)<', page, re.DOTALL)
    )
    assert (rows["tick_size"], rows["start"]) == ("0.01", "none")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"ends_1": "09:30"}, "This time must be later than the beginning."),
        ({"ends_1": "09:00"}, "This time must be later than the beginning."),
        ({"begins_0": "0001-01-02"}, "This is in the year 1. Enter a time from the year 2000 on."),
        ({"begins_0": "1999-12-30"}, "This is in the year 1999."),
        ({"price": ""}, "Enter the price that pages show."),
        ({"kind": "halted"}, "Only a fixed price has a price."),
        ({"label": "x" * 31}, "at most 30 characters"),
        ({"symbol": "999999"}, "Select a valid choice."),
    ],
)
def test_an_invalid_override_is_refused_in_the_form(
    alice: Client, listed: Board, changes: dict[str, str], error: str
):
    assert error in errors(alice.post(f"{OVERRIDES}add/", override_form(**changes)))
    assert not Override.objects.exists()


def test_overrides_are_listed_with_as_many_queries_as_one(alice: Client, listed: Board):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            alice.get(OVERRIDES)
        return len(captured)

    now = timezone.now()
    for number, symbol in enumerate(Symbol.objects.all()):
        ends = now + timedelta(hours=1)
        Override.objects.create(symbol=symbol, kind="halted", begins=now, ends=ends)
        if number == 0:
            one = queries()
    assert queries() == one


def test_a_new_board_is_the_last_one_unless_somebody_moves_it(alice: Client):
    position = r'name="position" value="(\d+)"'
    assert re.findall(position, alice.get(f"{BOARDS}add/").content.decode()) == ["0"]
    Board.objects.create(slug="b", title="B", position=4)
    Board.objects.create(slug="a", title="A", position=1)
    assert re.findall(position, alice.get(f"{BOARDS}add/").content.decode()) == ["5"]
    given = {"title": "New", "slug": "new", "position": "5", "filling": "list", "order": "code"}
    alice.post(f"{BOARDS}add/", given)
    assert list(Board.objects.values_list("slug", flat=True)) == ["a", "b", "new"]
