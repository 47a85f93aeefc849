"""Before a symbol is saved, its form shows what contradicts it, and each fix is one click away."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client

from quotes.admin import answers
from quotes.feed import records
from quotes.instruments import lists
from quotes.models import ProviderSymbol, Symbol
from quotes.providers import Instrument as Listed
from tests.groups import make_groups
from tests.servers import Stub, free_port

SYMBOLS = "/admin/quotes/symbol/"
ADD = f"{SYMBOLS}add/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def coinbase(coinbase: Stub) -> Stub:
    """A site with prices of Coinbase, whose list was read."""
    call_command("instruments", "--store", verbosity=0)
    return coinbase


def form(*codes: str, **changes: str) -> dict[str, str]:
    """The form of a symbol as Alice fills it in, with codes like "coinbase:SOL-USD"."""
    given = {
        "code": "SOL-USD",
        "name": "Solana",
        "kind": "crypto",
        "exchange": "CRYPTO",
        "currency": "USD",
        "active": "on",
        "provider_symbols-TOTAL_FORMS": str(len(codes)),
        "provider_symbols-INITIAL_FORMS": "0",
        "places-TOTAL_FORMS": "0",
        "places-INITIAL_FORMS": "0",
        "splits-TOTAL_FORMS": "0",
        "splits-INITIAL_FORMS": "0",
        "aliases-TOTAL_FORMS": "0",
        "aliases-INITIAL_FORMS": "0",
    }
    for number, each in enumerate(codes):
        row = f"provider_symbols-{number}-"
        provider, _, code = each.partition(":")
        given |= {f"{row}provider": provider, f"{row}code": code, f"{row}position": ""}
    return given | changes


def found(response: Any) -> list[str]:
    """Return the contradictions of a page."""
    return [each.text for each in response.context["findings"].contradictions]


def fixes(response: Any) -> dict[str, str]:
    """Return the buttons of a page that fix something: their values by their texts."""
    page = response.content.decode()
    buttons = re.findall(r'name="_fix" value="([^"]*)">([^<]*)</button>', page)
    return {unescape(text): unescape(value) for value, text in buttons}


def codes_of(code: str) -> list[str]:
    return [str(each) for each in ProviderSymbol.objects.filter(symbol__code=code)]


def test_a_form_that_a_candidate_filled_shows_the_price_of_each_source(
    alice: Client, coinbase: Stub
):
    page = alice.get(f"{ADD}?code=SOL-USD&kind=crypto&currency=USD&coinbase=SOL-USD")
    assert found(page) == []
    assert "Coinbase: SOL-USD (SOL/USD) is 151.3 USD" in page.content.decode()


def test_a_source_without_a_trade_has_no_price(alice: Client, coinbase: Stub):
    page = alice.get(f"{ADD}?code=QUIET-USD&kind=crypto&currency=USD&coinbase=QUIET-USD")
    assert found(page) == []
    assert "Coinbase has no price for QUIET-USD." in page.content.decode()


def test_a_symbol_without_a_contradiction_is_saved_at_once(alice: Client, coinbase: Stub):
    response = alice.post(ADD, form("coinbase:SOL-USD"))
    assert response.status_code == 302
    assert codes_of("SOL-USD") == ["coinbase:SOL-USD"]


class TestUnknownCodes:
    def test_one_that_is_not_in_the_list_is_refused(self, alice: Client, coinbase: Stub):
        page = alice.post(ADD, form("coinbase:SOLUSD"))
        [text] = found(page)
        words = "Coinbase does not know the code “SOLUSD”: it is not in the list of "
        assert text.startswith(words)
        assert not Symbol.objects.exists()

    def test_the_code_of_the_list_is_one_click_away(self, alice: Client, coinbase: Stub):
        given = form("coinbase:SOLUSD")
        fix = fixes(alice.post(ADD, given))["Save with SOL-USD"]
        assert alice.post(ADD, given | {"_fix": fix}).status_code == 302
        assert codes_of("SOL-USD") == ["coinbase:SOL-USD"]

    def test_a_symbol_without_the_code_is_one_click_away(self, alice: Client, coinbase: Stub):
        given = form("coinbase:NOPE", "kraken:SOLUSD")
        fix = fixes(alice.post(ADD, given))["Save without Coinbase"]
        assert alice.post(ADD, given | {"_fix": fix}).status_code == 302
        assert codes_of("SOL-USD") == ["kraken:SOLUSD"]

    def test_it_is_saved_if_the_operator_accepts_just_that(self, alice: Client, coinbase: Stub):
        given = form("coinbase:NOPE")
        seal = alice.post(ADD, given).context["findings"].seal
        other = alice.post(ADD, form("coinbase:OTHER", accepted=seal))
        assert "“OTHER”" in found(other)[0]
        assert alice.post(ADD, given | {"accepted": seal}).status_code == 302
        assert codes_of("SOL-USD") == ["coinbase:NOPE"]

    def test_one_that_its_source_prices_is_known_whatever_the_list_has(
        self, alice: Client, coinbase: Stub
    ):
        lists.store("coinbase", [Listed(symbol="", code="ETH-USD")], shorter=True)
        assert alice.post(ADD, form("coinbase:SOL-USD")).status_code == 302

    def test_one_without_any_list_is_known_by_its_source(self, alice: Client, settings: Any):
        yahoo = Stub("yahoo")
        address = f"http://127.0.0.1:{yahoo.port}"
        options = {"yahoo": {"rest_url": address, "accept": "personal-use"}}
        settings.QUOTES = {"PROVIDERS": ["yahoo"], "PROVIDER_OPTIONS": options}
        try:
            shares = {"kind": "stock", "exchange": "NASDAQ"}
            page = alice.post(ADD, form("yahoo:NOPE", code="NOPE", **shares))
            assert found(page)[0].startswith("Yahoo Finance does not know the code “NOPE”: ")
            given = form("yahoo:AAPL", code="AAPL", **shares)
            assert alice.post(ADD, given).status_code == 302
        finally:
            yahoo.stop()


def test_a_code_of_another_symbol_leads_to_it(alice: Client, coinbase: Stub):
    other = Symbol.objects.create(code="SOLANA", name="Solana", kind="crypto", currency="USD")
    ProviderSymbol.objects.create(symbol=other, provider="coinbase", code="SOL-USD")
    given = form("coinbase:SOL-USD")
    page = alice.post(ADD, given)
    assert found(page) == ["The code “SOL-USD” of Coinbase belongs to “SOLANA”."]
    link = f'<a href="{SYMBOLS}{other.pk}/change/">Open SOLANA</a>'
    assert link in page.content.decode()
    assert "Save without Coinbase" in fixes(page)


def test_one_coin_may_have_prices_in_several_currencies(alice: Client, settings: Any):
    settings.QUOTES = {"PROVIDERS": ["simulated"]}
    dollars = Symbol.objects.create(code="BTC-USD", name="Bitcoin", kind="crypto", currency="USD")
    ProviderSymbol.objects.create(symbol=dollars, provider="coingecko", code="bitcoin")
    given = form("coingecko:bitcoin", code="BTC-EUR", currency="EUR")
    assert alice.post(ADD, given).status_code == 302
    page = alice.post(ADD, form("coingecko:bitcoin", code="XBT"))
    assert found(page) == ["The code “bitcoin” of CoinGecko belongs to “BTC-USD”."]


def test_an_exchange_without_hours_has_the_one_that_was_meant(alice: Client, settings: Any):
    settings.QUOTES = {"PROVIDERS": ["simulated"]}
    given = form(code="TSLA", kind="stock", exchange="NASDAK")
    page = alice.post(ADD, given)
    assert found(page)[0].startswith("The hours of the exchange “NASDAK” are not known.")
    assert list(fixes(page)) == ["Save with NASDAQ", "Save without an exchange"]
    assert alice.post(ADD, given | {"_fix": "exchange=NASDAQ"}).status_code == 302
    assert Symbol.objects.get().exchange == "NASDAQ"


def test_another_currency_of_the_source_is_one_click_away(alice: Client, coinbase: Stub):
    given = form("coinbase:BTC-EUR", code="BTC-EUR")
    page = alice.post(ADD, given)
    assert found(page) == ["Coinbase has the prices of “BTC-EUR” in EUR, not in USD."]
    assert alice.post(ADD, given | {"_fix": fixes(page)["Save with EUR"]}).status_code == 302
    assert Symbol.objects.get().currency == "EUR"


def test_another_currency_is_known_from_the_list_if_the_source_does_not_answer(
    alice: Client, coinbase: Stub
):
    coinbase.ask("/_mode?to=maintenance")
    page = alice.post(ADD, form("coinbase:BTC-EUR", code="BTC-EUR"))
    assert found(page) == ["Coinbase has the prices of “BTC-EUR” in EUR, not in USD."]
    assert "Coinbase did not answer, so BTC-EUR was not checked" in page.content.decode()


@pytest.mark.parametrize("other", ["BRK.B", "BRK/B", "BRKB"])
def test_the_same_code_in_another_spelling_leads_to_its_symbol(
    alice: Client, settings: Any, other: str
):
    settings.QUOTES = {"PROVIDERS": ["simulated"]}
    Symbol.objects.create(code=other, name="Berkshire", kind="stock", currency="USD")
    page = alice.post(ADD, form(code="BRK-B", kind="stock", exchange="NYSE"))
    assert found(page) == [f"“BRK-B” is already here, as “{other}”."]
    assert f"Open {other}</a>" in page.content.decode()


@pytest.mark.parametrize("trouble", ["maintenance", "slow", "garbage", "unauthorized"])
def test_a_source_that_does_not_answer_blocks_nothing_and_is_named(
    alice: Client, coinbase: Stub, trouble: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(answers, "PATIENCE", 0.3)
    coinbase.ask(f"/_mode?to={trouble}")
    response = alice.post(ADD, form("coinbase:SOL-USD"), follow=True)
    texts = [str(each) for each in response.context["messages"]]
    words = "Coinbase did not answer, so SOL-USD was not checked: "
    assert [text for text in texts if text.startswith(words)]
    assert codes_of("SOL-USD") == ["coinbase:SOL-USD"]


def test_a_provider_that_can_not_be_built_blocks_nothing_and_shows_no_secret(
    alice: Client, settings: Any
):
    address = f"http://user:canary-in-the-mine@127.0.0.1:{free_port()}"
    options = {"coinbase": {"rest_url": address}}
    settings.QUOTES = {"PROVIDERS": ["finnhub", "coinbase"], "PROVIDER_OPTIONS": options}
    response = alice.post(ADD, form("finnhub:SOL", "coinbase:SOL-USD"), follow=True)
    texts = " ".join(str(each) for each in response.context["messages"])
    assert "Finnhub did not answer, so SOL was not checked: A key is missing" in texts
    assert "Coinbase did not answer" in texts
    assert "canary" not in response.content.decode()
    assert codes_of("SOL-USD") == ["coinbase:SOL-USD", "finnhub:SOL"]


class TestChangedSymbols:
    def change(self, **changes: str) -> tuple[str, dict[str, str]]:
        """The form of a symbol that was saved with a code that its source does not know."""
        symbol = Symbol.objects.create(code="SOL-USD", name="Solana", kind="crypto", currency="USD")
        row = ProviderSymbol.objects.create(symbol=symbol, provider="coinbase", code="NOPE")
        kept = {"provider_symbols-0-id": str(row.pk), "provider_symbols-0-symbol": str(symbol.pk)}
        kept["provider_symbols-INITIAL_FORMS"] = "1"
        return f"{SYMBOLS}{symbol.pk}/change/", form("coinbase:NOPE", **kept) | changes

    def test_what_was_saved_so_may_be_saved_again(self, alice: Client, coinbase: Stub):
        path, given = self.change(name="SOL")
        assert alice.post(path, given).status_code == 302

    def test_a_new_code_is_checked(self, alice: Client, coinbase: Stub):
        path, given = self.change()
        page = alice.post(path, given | {"provider_symbols-0-code": "NADA"})
        assert "“NADA”" in found(page)[0]
        fix = fixes(page)["Save without Coinbase"]
        assert alice.post(path, given | {"_fix": fix}).status_code == 302
        assert codes_of("SOL-USD") == []

    def test_who_may_not_delete_a_code_is_not_offered_that(self, coinbase: Stub):
        make_groups()
        editor = User.objects.create(username="bob", is_staff=True)
        editor.groups.add(Group.objects.get(name="Quotes editor"))
        bob = Client()
        bob.force_login(editor)
        path, given = self.change()
        page = bob.post(path, given | {"provider_symbols-0-code": "NADA"})
        assert "“NADA”" in found(page)[0]
        assert list(fixes(page)) == ["Save with SOL-USD"]

    def test_a_new_currency_is_compared_with_all_codes(self, alice: Client, coinbase: Stub):
        path, given = self.change()
        ProviderSymbol.objects.update(code="SOL-USD")
        given |= {"provider_symbols-0-code": "SOL-USD", "currency": "EUR"}
        assert found(alice.post(path, given)) == [
            "Coinbase has the prices of “SOL-USD” in USD, not in EUR."
        ]


@pytest.mark.parametrize(
    "query",
    [
        "code=%00&coinbase=%00&exchange=%00&currency=%00&kind=%00",
        "code=SOL-USD&coinbase=SOL-USD",  # neither kind nor currency
        f"code={'x' * 500}&coinbase={'x' * 500}&kind=nonsense&tick_size=nonsense&start=1e999",
        "code=%F0%9F%98%80&coinbase=../stats&currency=%2500",
    ],
    ids=["null", "few", "long", "odd"],
)
def test_an_address_with_nonsense_opens_the_form(alice: Client, coinbase: Stub, query: str):
    assert alice.get(f"{ADD}?{query}").status_code == 200
    assert not Symbol.objects.exists()


def test_a_fix_changes_no_other_field(alice: Client, coinbase: Stub):
    given = form("coinbase:SOL-USD") | {"_fix": "name=Mallory"}
    assert alice.post(ADD, given).status_code == 302
    assert Symbol.objects.get().name == "Solana"


def test_requests_for_a_form_count_in_the_monthly_plan(alice: Client, settings: Any):
    coins = Stub("coingecko")
    options = {"rest_url": f"http://127.0.0.1:{coins.port}", "demo_key": "stub"}
    settings.QUOTES = {
        "PROVIDERS": ["coingecko"],
        "PROVIDER_OPTIONS": {"coingecko": options},
    }
    try:
        given = form("coingecko:bitcoin", code="BTC-USD")
        assert alice.post(ADD, given).status_code == 302
        assert [count for _, count in records.load_uses().values()] == [1]
    finally:
        coins.stop()
