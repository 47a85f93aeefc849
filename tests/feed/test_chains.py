"""The providers of each symbol, in order of preference."""

from __future__ import annotations

from decimal import Decimal

import pytest

from quotes.feed.chains import load_chains
from quotes.models import ProviderSymbol, Symbol

pytestmark = pytest.mark.django_db


def listed(code: str) -> Symbol:
    return Symbol.objects.create(code=code, name=code.title(), kind="stock", currency="USD")


class TestInstruments:
    @pytest.fixture(autouse=True)
    def symbols(self) -> None:
        """BTC has codes at both exchanges, ETH at one, AAPL at none."""
        btc, eth, _ = (listed(code) for code in ("BTC-USD", "ETH-USD", "AAPL"))
        for symbol, provider, code in [
            (btc, "coinbase", "BTC-USD"),
            (btc, "kraken", "XXBTZUSD"),
            (eth, "kraken", "XETHZUSD"),
        ]:
            ProviderSymbol.objects.create(symbol=symbol, provider=provider, code=code)

    @staticmethod
    def chains(*names: str) -> dict[str, dict[str, str]]:
        """Return the codes that each symbol is asked by, by provider, the best first."""
        found = load_chains(names).items()
        return {code: {name: each.code for name, each in chain.items()} for code, chain in found}

    def test_the_order_of_preference_decides_of_whom_a_symbol_is_asked_first(self):
        for names in (["coinbase", "kraken"], ["kraken", "coinbase"]):
            assert list(self.chains(*names)["BTC-USD"]) == names

    def test_a_symbol_is_asked_of_those_that_have_it_by_their_code(self):
        assert self.chains("coinbase", "kraken") == {
            "BTC-USD": {"coinbase": "BTC-USD", "kraken": "XXBTZUSD"},
            "ETH-USD": {"kraken": "XETHZUSD"},
        }

    def test_a_position_comes_before_the_order_of_preference(self):
        rows = ProviderSymbol.objects.filter(symbol__code="BTC-USD")
        rows.filter(provider="kraken").update(position=1)
        assert list(self.chains("coinbase", "kraken")["BTC-USD"]) == ["kraken", "coinbase"]
        rows.filter(provider="coinbase").update(position=0)
        assert list(self.chains("kraken", "coinbase")["BTC-USD"]) == ["coinbase", "kraken"]

    def test_invented_prices_never_take_the_place_of_real_ones(self):
        chains = self.chains("coinbase", "kraken", "simulated")
        assert list(chains["BTC-USD"]) == ["coinbase", "kraken"]
        assert chains["AAPL"] == {"simulated": "AAPL"}

    def test_a_provider_that_needs_no_code_has_everything(self):
        assert set(self.chains("simulated")) == {"BTC-USD", "ETH-USD", "AAPL"}

    def test_a_symbol_that_is_switched_off_is_nobodys(self):
        Symbol.objects.filter(code="BTC-USD").update(active=False)
        assert "BTC-USD" not in self.chains("coinbase", "simulated")

    def test_an_instrument_says_what_its_symbol_says(self):
        Symbol.objects.filter(code="AAPL").update(
            name="Apple", tick_size=Decimal("0.01"), start=Decimal(200), exchange="NASDAQ"
        )
        apple = load_chains(["simulated"])["AAPL"]["simulated"]
        assert (apple.name, apple.kind, apple.currency) == ("Apple", "stock", "USD")
        assert (apple.tick_size, apple.start) == (Decimal("0.01"), 200)
        assert apple.exchange == "NASDAQ"
