from __future__ import annotations

import pytest

from quotes.providers import Plan, ProviderError
from quotes.providers.kit.budgets import Budget
from quotes.providers.kit.standing import Standing


@pytest.fixture
def standing() -> Standing:
    return Standing(Budget(Plan()))


def test_a_refusal_lasts_until_the_operator_acts(standing: Standing) -> None:
    standing.refuse("quotes", "answered 401 unauthorized")
    assert standing.refused("quotes") == "answered 401 unauthorized"
    assert standing.refused("candles") == ""
    assert set(standing.refusals) == {"quotes"}
    standing.act()
    assert standing.refused("quotes") == ""
    assert not standing.refusals


def test_a_dropped_code_has_a_reason_until_it_is_found(standing: Standing) -> None:
    standing.drop("NOPE", "NOPE is not listed")
    standing.drop("NOPE", "NOPE is delisted")
    assert standing.lacks("NOPE")
    assert not standing.lacks("BTC-USD")
    assert standing.unknown == {"NOPE": "NOPE is delisted"}
    standing.found("NOPE")
    standing.found("BTC-USD")
    assert not standing.lacks("NOPE")


def test_forgotten_codes_are_no_longer_unknown(standing: Standing) -> None:
    standing.drop("A", "A is not listed")
    standing.drop("B", "B is not listed")
    standing.forget_codes()
    assert standing.unknown == {}


def test_only_its_methods_change_it(standing: Standing) -> None:
    with pytest.raises(TypeError):
        standing.unknown["NOPE"] = "NOPE is not listed"  # type: ignore[index]
    with pytest.raises(TypeError):
        standing.refusals["quotes"] = "answered 403"  # type: ignore[index]


async def test_no_request_is_sent_while_it_backs_off(standing: Standing) -> None:
    standing.back_off(30)
    with pytest.raises(ProviderError, match="backing off for another 30 s"):
        await standing.budget.spend()
