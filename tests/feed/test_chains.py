"""The providers of each symbol, in order of preference."""

from __future__ import annotations

from decimal import Decimal

import pytest

from quotes.feed.chains import load_chains
from quotes.models import ProviderSymbol, Symbol

pytestmark = pytest.mark.django_db


def listed(code: str) -> Symbol:
    return Symbol.objects.create(code=code, name=code.title(), kind="stock", currency="USD")


class TestChains:
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
        """Return the code of each symbol by provider, the preferred provider first."""
        found = load_chains(names).items()
        return {code: {name: each.code for name, each in chain.items()} for code, chain in found}

    def test_the_order_of_preference_decides_which_provider_comes_first(self):
        for names in (["coinbase", "kraken"], ["kraken", "coinbase"]):
            assert list(self.chains(*names)["BTC-USD"]) == names

    def test_a_symbol_has_the_code_of_each_provider_that_lists_it(self):
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

    def test_simulated_prices_never_replace_real_ones(self):
        chains = self.chains("coinbase", "kraken", "simulated")
        assert list(chains["BTC-USD"]) == ["coinbase", "kraken"]
        assert chains["AAPL"] == {"simulated": "AAPL"}

    def test_a_provider_without_codes_has_every_symbol(self):
        assert set(self.chains("simulated")) == {"BTC-USD", "ETH-USD", "AAPL"}

    def test_an_inactive_symbol_has_no_chain(self):
        Symbol.objects.filter(code="BTC-USD").update(active=False)
        assert "BTC-USD" not in self.chains("coinbase", "simulated")

    def test_an_instrument_has_the_values_of_its_symbol(self):
        Symbol.objects.filter(code="AAPL").update(
            name="Apple", tick_size=Decimal("0.01"), start=Decimal(200), exchange="NASDAQ"
        )
        apple = load_chains(["simulated"])["AAPL"]["simulated"]
        assert (apple.name, apple.kind, apple.currency) == ("Apple", "stock", "USD")
        assert (apple.tick_size, apple.start) == (Decimal("0.01"), 200)
        assert apple.exchange == "NASDAQ"
