from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotes.providers import Instrument, Plan, ProviderError
from quotes.providers.kit.batches import KEPT, Codes
from quotes.providers.kit.budgets import Budget
from quotes.providers.kit.errors import RejectedError
from quotes.providers.kit.faults import REST
from quotes.providers.kit.standing import Standing
from tests.examples import examples


class Source:
    """A source that lists some codes, and rejects a batch with a bad one of them."""

    def __init__(self, *codes: str, bad: Sequence[str] = ()) -> None:
        self.listed, self.bad = list(codes), set(bad)
        self.down, self.now, self.reads = False, 0.0, 0
        self.batches: list[list[str]] = []
        self.standing = Standing(Budget(Plan()))
        self.codes = Codes(self.read, self.standing, lambda: self.now)

    async def read(self) -> dict[str, Instrument]:
        self.reads += 1
        if self.down:
            raise ProviderError("down for lunch")
        return {
            code: Instrument(symbol="", code=code, name=f"{code}!", currency="EUR")
            for code in self.listed
        }

    async def fetch(self, codes: Sequence[str]) -> dict[str, Any]:
        self.batches.append(list(codes))
        if self.bad.intersection(codes):
            raise RejectedError("one of them is bad")
        return {code: code.lower() for code in codes}

    async def rows(self, size: int = 8, pace: float = 0.0) -> dict[str, Any]:
        groups = await self.codes.find([instrument(code) for code in self.listed])
        return await self.codes.rows(self.fetch, groups, size, pace)


def instrument(code: str, symbol: str = "") -> Instrument:
    return Instrument(symbol=symbol or f"MY-{code}", code=code, currency="USD")


async def test_a_code_that_is_not_listed_is_dropped_and_not_requested() -> None:
    source = Source("A", "B")
    groups = await source.codes.find([instrument("NOPE"), instrument("B")])
    assert list(groups) == ["B"]
    assert source.standing.unknown == {"NOPE": "NOPE is not in the list of instruments"}


async def test_an_instrument_has_our_symbol_and_the_name_and_currency_of_the_list() -> None:
    groups = await Source("A").codes.find([instrument("A"), instrument("A", symbol="OTHER")])
    found = [(each.symbol, each.code, each.name, each.currency) for each in groups["A"]]
    assert found == [("MY-A", "A", "A!", "EUR"), ("OTHER", "A", "A!", "EUR")]


async def test_a_list_is_kept_for_a_while() -> None:
    source = Source("A")
    await source.rows()
    source.now = KEPT - 1
    await source.rows()
    assert source.reads == 1
    source.now = KEPT
    await source.rows()
    assert source.reads == 2


async def test_a_code_that_is_listed_later_is_no_longer_unknown() -> None:
    source = Source("A")
    await source.codes.find([instrument("NEW")])
    assert set(source.standing.unknown) == {"NEW"}
    source.listed.append("NEW")
    source.now = KEPT
    assert list(await source.codes.find([instrument("NEW")])) == ["NEW"]
    assert source.standing.unknown == {}


async def test_an_old_list_is_better_than_none() -> None:
    source = Source("A")
    await source.rows()
    source.down, source.now = True, KEPT
    assert await source.rows() == {"A": "a"}
    source.down = False
    await source.rows()
    assert source.reads == 3


async def test_no_list_at_all_is_an_error() -> None:
    source = Source("A")
    source.down = True
    with pytest.raises(ProviderError, match="down for lunch"):
        await source.codes.find([instrument("A")])
    assert source.standing.unknown == {}


async def test_an_empty_list_drops_no_code() -> None:
    source = Source()
    with pytest.raises(ProviderError, match="the list of the source is empty"):
        await source.codes.find([instrument("A")])
    assert source.standing.unknown == {}


async def test_a_bad_code_is_found_by_halving_and_not_requested_until_the_list_is_read_again() -> (
    None
):
    source = Source(*"ABCDEFGH", bad=["F"])
    assert await source.rows() == {code: code.lower() for code in "ABCDEGH"}
    assert [len(batch) for batch in source.batches] == [8, 4, 4, 2, 1, 1, 2]
    assert source.standing.unknown == {"F": "one of them is bad"}
    source.batches.clear()
    assert len(await source.rows()) == 7
    assert source.batches == [list("ABCDEGH")]
    source.bad.clear()
    source.now = KEPT
    assert len(await source.rows()) == 8
    assert source.standing.unknown == {}


async def test_any_other_error_is_an_error() -> None:
    class Down(Source):
        async def fetch(self, codes: Sequence[str]) -> dict[str, Any]:
            raise ProviderError("too busy")

    with pytest.raises(ProviderError, match="too busy"):
        await Down("A", "B").rows()


async def test_a_batch_that_fails_does_not_stop_the_others() -> None:
    class Partly(Source):
        async def fetch(self, codes: Sequence[str]) -> dict[str, Any]:
            if "C" in codes:
                raise ProviderError("too busy")
            return await super().fetch(codes)

    source = Partly(*"ABCDEF")
    for resting in ({}, dict.fromkeys("CD", "too busy"), dict.fromkeys("CD", "too busy")):
        assert await source.rows(size=2) == {code: code.lower() for code in "ABEF"}
        assert source.standing.resting == resting
    assert not source.codes.faults.due("CD")  # they rest


async def test_the_good_half_of_a_rejected_batch_is_kept_when_the_other_half_fails() -> None:
    class Partly(Source):
        async def fetch(self, codes: Sequence[str]) -> dict[str, Any]:
            if codes == list("ABCD"):
                raise ProviderError("too busy")
            return await super().fetch(codes)

    source = Partly(*"ABCDEFGH", bad=["F"])
    assert await source.rows() == {code: code.lower() for code in "EGH"}
    assert source.standing.unknown == {"F": "one of them is bad"}


async def test_a_code_that_rests_is_named_as_its_instrument() -> None:
    class Partly(Source):
        async def read(self) -> dict[str, Instrument]:
            found = await super().read()
            return found | {"ALIAS": found["B"]}

        async def fetch(self, codes: Sequence[str]) -> dict[str, Any]:
            if "B" in codes and self.bad:
                raise ProviderError("too busy")
            return {code: code.lower() for code in codes}

    source = Partly(*"AB", bad="B")
    groups = await source.codes.find([instrument("A"), instrument("ALIAS")])
    for _ in range(2):
        await source.codes.rows(source.fetch, groups, 1)
    assert source.standing.resting == {"ALIAS": "too busy"}
    source.bad.clear()
    source.now = REST
    await source.codes.rows(source.fetch, groups, 1)
    assert source.standing.resting == {}


async def test_batches_keep_the_pace() -> None:
    source, began = Source(*"ABC"), time.monotonic()
    await source.rows(size=1, pace=0.05)
    assert time.monotonic() - began >= 0.1
    assert len(source.batches) == 3


@given(st.integers(1, 40), st.integers(1, 9), st.data())
@examples(50)
async def test_bad_codes_do_not_affect_the_others(
    count: int, size: int, data: st.DataObject
) -> None:
    codes = [f"C{number}" for number in range(count)]
    bad = data.draw(st.sets(st.sampled_from(codes)))
    source = Source(*codes, bad=sorted(bad))
    assert set(await source.rows(size)) == set(codes) - bad
    assert set(source.standing.unknown) == bad
    assert max(map(len, source.batches)) <= size
