from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from quotes.providers import REGISTRY, Plan, Provider, make_provider, provider_class
from tests.providers.contract import PROMPT, SERVED, FaultContract, ProviderContract, stub_of
from tests.servers import PATIENCE
from tests.stubs.coinbase import Coinbase
from tests.stubs.exchange import Bench

PROVIDERS = Path(__file__).parents[2] / "quotes" / "providers"


class TestEveryProvider(ProviderContract):
    @pytest.fixture(params=REGISTRY)
    async def bench(
        self, request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker
    ) -> AsyncIterator[Bench]:
        # a bench may use a database
        with django_db_blocker.unblock():
            async with stub_of(request.param).bench() as bench:
                yield bench


class TestEveryProviderWithASource(FaultContract):
    @pytest.fixture(params=SERVED)
    async def bench(self, request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
        # With a short timeout, the missing answer is the expected error.
        short = request.node.callspec.params.get("fault", PROMPT[0]) not in PROMPT
        async with stub_of(request.param).bench(patience=0.2 if short else PATIENCE) as bench:
            yield bench


@pytest.mark.parametrize("name", REGISTRY)
def test_a_provider_is_registered_under_its_own_name(name: str) -> None:
    assert provider_class(name).name == name


def test_an_unknown_provider_is_refused_with_the_known_names() -> None:
    with pytest.raises(ValueError, match=r"Unknown provider 'yaho', must be one of: .*, sim"):
        make_provider("yaho", {})


def test_providers_know_nothing_of_django() -> None:
    for path in set(PROVIDERS.glob("*.py")) - {PROVIDERS / "database.py"}:
        assert "django" not in path.read_text().lower().replace("nothing of django", "")


async def test_a_provider_without_a_stream_raises_not_implemented() -> None:
    class Ledger(Provider):
        name = title = attribution = "ledger"

        async def quotes(self, instruments):  # type: ignore[no-untyped-def]
            return []

    with pytest.raises(NotImplementedError, match="ledger has no stream: poll `quotes`"):
        Ledger().stream([])
    assert await Ledger().instruments() == []
    assert await Ledger().check() is None
    await Ledger().aclose()


async def test_a_client_spends_the_budget_of_its_provider_and_closes_with_it() -> None:
    class Ledger(Provider):
        name = title = attribution = "ledger"
        plan = Plan(per_month=1)

        async def quotes(self, instruments):  # type: ignore[no-untyped-def]
            return await rest.get("/products")

    async with Coinbase() as stub:
        provider = Ledger()
        rest = provider.make_client(stub.rest_url, timeout=5)
        assert provider.clients == [rest]
        await provider.quotes([])
        assert provider.standing.budget.left_in_month() == 0
        assert rest._client
        await provider.aclose()
        assert rest._client is None
