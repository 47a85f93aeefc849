"""A new symbol is found by what an operator knows of it, and fills the form of the admin."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.formats import date_format
from django.utils.timezone import localtime

from quotes.instruments import lists
from quotes.models import Alias, Instrument, InstrumentList, LastQuote, ProviderSymbol, Symbol
from quotes.providers import Instrument as Listed
from quotes.quote.wire import to_wire
from tests.groups import make_groups
from tests.servers import ROOT, Stub, free_port
from tests.stubs import alpaca, finnhub

FIND, ADD = "/admin/quotes/symbol/find/", "/admin/quotes/symbol/add/"

pytestmark = pytest.mark.django_db


def log_in(group: str = "") -> Client:
    user = User.objects.create(username="alice", is_staff=True, is_superuser=not group)
    if group:
        make_groups()
        user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def alice(db: None) -> Client:
    """Alice runs the site; she is logged in."""
    return log_in()


def text(response: Any) -> str:
    """Return the visible text of a page, on one line."""
    body = response.content.decode().partition('id="content-main"')[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def links(response: Any) -> dict[str, str]:
    """Return the addresses of the links of a page by their text."""
    found = re.findall(r'<a\b[^>]*href="([^"]*)"[^>]*>(.*?)</a>', response.content.decode())
    return {re.sub("<[^>]+>", "", name): unescape(address) for address, name in found}


def filled(alice: Client, address: str) -> dict[str, str]:
    """Return the values of the form at an address."""
    form = alice.get(address).context["adminform"].form
    return {name: str(form[name].value() or "") for name in form.fields}


def codes(alice: Client, address: str) -> dict[str, str]:
    """Return the provider codes in the form at an address."""
    rows = alice.get(address).context["inline_admin_formsets"][0].formset.forms
    return {row["provider"].value(): row["code"].value() for row in rows if row["code"].value()}


def test_the_button_to_add_a_symbol_leads_to_the_search(alice: Client, coinbase: Stub):
    response = alice.get(f"{ADD}?_changelist_filters=active__exact%3D1", follow=True)
    assert response.redirect_chain == [(FIND, 302)]
    assert "Code, name or ISIN" in text(response)
    assert alice.get(f"{ADD}?_popup=1").status_code == 200  # from the form of another model


def test_a_site_whose_providers_have_no_list_has_a_form_to_fill_in_by_hand(
    alice: Client, settings: Any
):
    settings.QUOTES = {"PROVIDERS": ["simulated", "yahoo"]}
    page = alice.get(f"{FIND}?q=btc-usd")
    assert "No provider of this site has a list of instruments" in text(page)
    assert "Alpaca, Binance, Coinbase, CoinGecko, Finnhub and Kraken" in text(page)
    assert filled(alice, links(page)["Fill in the form by hand"])["code"] == "BTC-USD"


def test_lists_that_were_not_read_yet_are_read_on_request(alice: Client, coinbase: Stub):
    page = alice.get(f"{FIND}?q=btc")
    assert "No list has been read yet" in text(page)
    assert "Coinbase: not read yet" in text(page)
    read = alice.post(f"{FIND}lists/", {"q": "btc"}, follow=True)
    assert "The list of Coinbase was read: 7 instruments." in read.content.decode()
    assert "2 candidates Show their prices and last 30 days BTC-USD" in text(read)
    at = date_format(localtime(InstrumentList.objects.get().read_at), "SHORT_DATETIME_FORMAT")
    assert f"Coinbase: 7 instruments, read {at}" in text(read).replace("\xa0", " ")


def test_a_list_that_can_not_be_read_keeps_the_one_before(alice: Client, coinbase: Stub):
    call_command("instruments", "--store", verbosity=0)
    coinbase.ask("/_mode?to=maintenance")
    page = alice.post(f"{FIND}lists/", follow=True)
    assert "The list of Coinbase was not read:" in page.content.decode()
    assert "The last try failed: " in text(page)
    assert "503" in InstrumentList.objects.get().error
    assert Instrument.objects.count() == 7


def test_a_provider_at_a_wrong_address_shows_no_password(alice: Client, settings: Any):
    address = f"http://user:canary-in-the-mine@127.0.0.1:{free_port()}"
    options = {"coinbase": {"rest_url": address}}
    settings.QUOTES = {"PROVIDERS": ["coinbase"], "PROVIDER_OPTIONS": options}
    page = alice.post(f"{FIND}lists/", follow=True).content.decode()
    assert "The list of Coinbase was not read:" in page
    assert "canary" not in page + InstrumentList.objects.get().error


def test_a_candidate_shows_its_sources_and_leads_to_a_filled_form(alice: Client, settings: Any):
    settings.QUOTES = {"PROVIDERS": ["alpaca", "finnhub", "yahoo"]}
    share = {"symbol": "", "code": "BRK.B", "kind": "stock", "exchange": "NYSE"}
    lists.store("alpaca", [Listed(**share, name="Berkshire Hathaway Inc. Class B")])
    lists.store("finnhub", [Listed(**share, name="BERKSHIRE HATHAWAY INC-CL B")])
    page = alice.get(f"{FIND}?q=brk-b")
    assert (
        "BRK.B Berkshire Hathaway Inc. Class B Stock · NYSE · USD "
        "Alpaca BRK.B , Finnhub BRK.B Add BRK.B" in text(page)
    )
    address = links(page)["Add BRK.B"]
    expected = {"code": "BRK.B", "name": "Berkshire Hathaway Inc. Class B", "kind": "stock"}
    expected |= {"exchange": "NYSE", "currency": "USD", "active": "True"}
    assert expected.items() <= filled(alice, address).items()
    # Yahoo has no list; it writes classes of shares in another way
    assert codes(alice, address) == {"alpaca": "BRK.B", "finnhub": "BRK.B", "yahoo": "BRK-B"}
    assert not Symbol.objects.exists()


def test_a_pair_fills_its_tick_size_in_full(alice: Client, coinbase: Stub):
    call_command("instruments", "--store", verbosity=0)
    address = links(alice.get(f"{FIND}?q=tiny"))["Add TINY-USD"]
    form = filled(alice, address)
    assert (form["tick_size"], form["exchange"]) == ("0.0000000001", "CRYPTO")
    assert codes(alice, address) == {"coinbase": "TINY-USD"}


def test_the_filled_form_is_saved_with_its_codes(alice: Client, coinbase: Stub):
    call_command("instruments", "--store", verbosity=0)
    address = links(alice.get(f"{FIND}?q=sol"))["Add SOL-USD"]
    response = alice.get(address)
    form = {
        name: str(each.value() if each.value() is not None else "")
        for part in (
            response.context["adminform"].form,
            *(row for rows in response.context["inline_admin_formsets"] for row in rows.formset),
            *(rows.formset.management_form for rows in response.context["inline_admin_formsets"]),
        )
        for each in part
        if (name := each.html_name)
    }
    assert alice.post(address, form).status_code == 302
    assert str(ProviderSymbol.objects.get(symbol__code="SOL-USD")) == "coinbase:SOL-USD"


def test_a_candidate_in_the_catalogue_leads_to_its_symbol(alice: Client, coinbase: Stub):
    call_command("instruments", "--store", verbosity=0)
    bitcoin = Symbol.objects.create(code="XBT", name="Bitcoin", kind="crypto", currency="USD")
    ProviderSymbol.objects.create(symbol=bitcoin, provider="coinbase", code="BTC-USD")
    page = alice.get(f"{FIND}?q=btc-usd")
    address = links(page)["Already in the catalogue: XBT"]
    assert address == f"/admin/quotes/symbol/{bitcoin.pk}/change/"
    assert "(switched off)" not in text(page)
    Symbol.objects.update(active=False)
    again = text(alice.get(f"{FIND}?q=btc-usd"))
    assert "Already in the catalogue: XBT (switched off)" in again


def test_a_tiny_price_of_the_catalogue_is_shown_as_on_pages(
    alice: Client, coinbase: Stub, make_quote: Any
):
    call_command("instruments", "--store", verbosity=0)
    tiny = Symbol.objects.create(
        code="TINY-USD", name="Tiny", kind="crypto", currency="USD", tick_size="0.0000000001"
    )
    ProviderSymbol.objects.create(symbol=tiny, provider="coinbase", code="TINY-USD")
    wire = to_wire(make_quote("TINY-USD", last="0.00001234"))
    LastQuote.objects.create(symbol=tiny, epoch=1, batch=1, wire=wire)
    page = text(alice.get(f"{FIND}?q=tiny"))
    assert "0.0000123400" in page
    assert "<" not in page


def test_a_symbol_of_the_catalogue_that_no_list_has_is_named(alice: Client, coinbase: Stub):
    call_command("instruments", "--store", verbosity=0)
    index = Symbol.objects.create(code="^GSPC", name="S&P 500", kind="index", currency="USD")
    page = alice.get(f"{FIND}?q=%5Egspc")
    assert links(page)["Already in the catalogue: ^GSPC"].endswith(f"/{index.pk}/change/")
    assert alice.get(f"{FIND}?q=%00").status_code == 200


@pytest.mark.parametrize("query", ["apple", "aapl", "APPL.OLD", "apc"])
def test_a_symbol_is_found_in_the_catalogue_by_its_name_and_other_codes(
    alice: Client, coinbase: Stub, query: str
):
    call_command("instruments", "--store", verbosity=0)
    apple = Symbol.objects.create(
        code="AAPL", name="Apple Inc.", kind="stock", currency="USD", active=False
    )
    ProviderSymbol.objects.create(symbol=apple, provider="yahoo", code="APC")
    Alias.objects.create(symbol=apple, code="APPL.OLD")
    page = alice.get(FIND, {"q": query})
    assert "Already in the catalogue: AAPL Apple Inc. (switched off)" in text(page)
    address = links(page)["Already in the catalogue: AAPL"]
    assert address == f"/admin/quotes/symbol/{apple.pk}/change/"


def test_five_symbols_of_the_catalogue_are_named_and_the_list_has_the_others(
    alice: Client, coinbase: Stub
):
    call_command("instruments", "--store", verbosity=0)
    for code in ("F6", "F5", "F4", "F3", "F2", "F1"):
        Symbol.objects.create(code=code, name=f"Gold {code}", kind="fund", currency="USD")
    page = alice.get(FIND, {"q": "gold"})
    assert re.findall(r"Already in the catalogue: (\w+)", text(page)) == [
        f"F{n}" for n in range(1, 6)
    ]
    more = links(page)["More symbols of the catalogue"]
    assert ">F6</a>" in alice.get(more).content.decode()
    Symbol.objects.get(code="F6").delete()
    assert "More symbols" not in text(alice.get(FIND, {"q": "gold"}))


def test_the_form_leads_back_to_the_search(alice: Client, coinbase: Stub):
    page = alice.get(f"{ADD}?code=GOLD")
    assert links(page)["Search in the lists of the providers"] == FIND
    other = alice.get("/admin/quotes/board/add/")
    assert "Search in the lists of the providers" not in links(other)


def test_what_no_list_has_can_still_be_filled_in_by_hand(alice: Client, coinbase: Stub):
    call_command("instruments", "--store", verbosity=0)
    page = alice.get(FIND, {"q": "<b>gold</b> & more"})
    words = "Nothing matches “&lt;b&gt;gold&lt;/b&gt; &amp; more” in the lists of Coinbase."
    assert words in page.content.decode()
    address = links(page)["Fill in the form by hand"]
    assert dict(parse_qsl(urlsplit(address).query)) == {"code": "<B>GOLD</B> & MORE"}


def test_the_number_of_queries_does_not_depend_on_the_candidates(alice: Client, coinbase: Stub):
    def count(typed: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            alice.get(f"{FIND}?q={typed}")
        return len(queries)

    some = [Listed(symbol="", code=f"A{n}-USD", name=f"A{n}/USD") for n in range(30)]
    lists.store("coinbase", some)
    for n in range(30):
        Symbol.objects.create(code=f"A{n}-USD", name="A", kind="crypto", currency="USD")
    assert count("a") == count("a7")


def test_all_that_the_document_names_as_known_is_found(
    alice: Client, coinbase: Stub, settings: Any
):
    shares, codes = Stub("alpaca"), Stub("finnhub")
    address = f"http://127.0.0.1:{shares.port}"
    settings.QUOTES["PROVIDERS"] = ["coinbase", "alpaca", "finnhub"]
    settings.QUOTES["PROVIDER_OPTIONS"] |= {
        "alpaca": {
            "rest_url": address,
            "assets_url": address,
            "api_key": alpaca.KEY,
            "api_secret": alpaca.SECRET,
        },
        "finnhub": {"rest_url": f"http://127.0.0.1:{codes.port}", "api_key": finnhub.KEY},
    }
    try:
        call_command("instruments", "--store", verbosity=0)
    finally:
        shares.stop()
        codes.stop()
    document = (ROOT / "docs" / "operations.md").read_text()
    step = document.partition("### How do I add or remove a symbol?")[2].partition("2. ")[0]
    known = re.findall("`([^`]+)`", step)
    assert len(known) == 5
    shown = {typed: text(alice.get(FIND, {"q": typed})) for typed in [*known, "US0378331005"]}
    assert [typed for typed, page in shown.items() if "candidate" not in page] == []
    assert "AAPL Apple Inc. Stock" in shown["apple"]
    assert "Finnhub AAPL" in shown["US0378331005"]


@pytest.mark.parametrize("path", [FIND, ADD])
def test_a_viewer_finds_and_reads_nothing(path: str, coinbase: Stub):
    bob = log_in("Quotes viewer")
    before = coinbase.load()
    assert bob.get(path, follow=True).status_code == 403
    assert bob.post(f"{FIND}lists/").status_code == 403
    assert coinbase.load() == before


def test_an_editor_may_add_a_symbol(coinbase: Stub):
    assert log_in("Quotes editor").get(FIND).status_code == 200


def test_lists_are_read_by_a_form_only(alice: Client, coinbase: Stub):
    assert alice.get(f"{FIND}lists/").status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="alice"))
    assert strict.post(f"{FIND}lists/").status_code == 403


def test_prices_of_candidates_are_requested_on_demand(alice: Client, coinbase: Stub):
    call_command("instruments", "--store", verbosity=0)
    before = coinbase.load()[1]
    page = alice.get(f"{FIND}?q=usd")
    assert coinbase.load()[1] == before
    page = alice.get(FIND + links(page)["Show their prices and last 30 days"])
    assert "Add TINY-USD 0.00001234 USD" in text(page)
    assert "Add SOL-USD 151.3 USD" in text(page)
    assert "Add QUIET-USD Fill in the form" in text(
        page
    )  # its source sends 0, because it has no trade
    lines = re.findall(r'<svg class="offer-line"[^>]*><path d="(M[^"]+)"/>', page.content.decode())
    assert len(lines) == 3  # the stub's other candles are below zero, or not there
    # one request for all prices
    assert coinbase.load()[1]["/products/stats"] == before.get("/products/stats", 0) + 1
    coinbase.ask("/_mode?to=maintenance")
    assert "Add SOL-USD DOGE-USD" in text(alice.get(f"{FIND}?q=usd&prices=1"))
