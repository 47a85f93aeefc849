"""The search over all symbols."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quotes.codes import comparable
from quotes.models import Symbol
from quotes.search import MOST, SymbolIndex, matched

NAMES = {
    "BCH-USD": "Bitcoin Cash",
    "TAO-USD": "Bittensor",
    "IBIT": "iShares Bitcoin Trust",
    "BIT": "Bit Digital",
    "BTC": "Bitcoin",
    "ÄÖ": "Ärzte & Öl",
    "RBIT": "Orbital",
    "^GSPC": "S&P 500",
}
INDEX = SymbolIndex(Symbol(code=code, name=name) for code, name in NAMES.items())
texts = st.text(st.sampled_from("aAbBiItT. &^"), min_size=1, max_size=6)


def test_the_likeliest_symbol_is_the_first():
    # this code, names that begin with it, words that do, the rest
    assert INDEX.find("bit") == ["BIT", "BCH-USD", "TAO-USD", "BTC", "IBIT", "RBIT"]
    assert INDEX.find("bitcoin")[0] == "BTC"


@pytest.mark.parametrize("wanted", ["ärzte", "ÄRZTE", "a\u0308rzte", "  Öl ", "Ärzte & Öl"])
def test_letters_are_compared_as_a_reader_does(wanted: str):
    assert INDEX.find(wanted) == ["ÄÖ"]


@pytest.mark.parametrize("wanted", ["", "  ", "zzz", "\n", "USD\nTAO", "\x1f", "GSPC\x1fS&P"])
def test_nothing_is_found_by_what_no_symbol_has(wanted: str):
    assert INDEX.find(wanted) == []


@given(st.dictionaries(texts, texts, min_size=1, max_size=20), texts)
def test_exactly_the_symbols_with_the_text_are_found(names: dict[str, str], wanted: str):
    index = SymbolIndex(Symbol(code=code, name=name) for code, name in names.items())
    text = comparable(wanted.strip())
    having = [
        code
        for code, name in names.items()
        if text and (text in comparable(code) or text in comparable(name))
    ]
    found = index.find(wanted)
    assert sorted(found) == sorted(having)
    assert found[:1] == [code for code in found if comparable(code) == text][:1] or (
        text not in map(comparable, names)
    )


letters = st.text(st.sampled_from("aAbBß\u00e9e\u0301ﬁi &"), max_size=8)


@given(letters, letters)
@example("Straße Cafe\u0301 Nord", "caf\u00e9")
def test_the_part_of_a_text_that_matches_is_what_was_searched_for(text: str, search: str):
    before, match, after = matched(text, search)
    wanted = comparable(search.strip())
    assert before + match + after == text
    assert comparable(match) in ("", wanted)
    if text.isascii():  # else no part may be as long as what was searched for
        assert bool(match) == bool(wanted and wanted in comparable(text))


@pytest.mark.parametrize("unknown", ["BTC", "GSPC", "BITS", "Z" * 60, "ABABABABAB" * 6, ""])
def test_an_unknown_code_has_few_that_are_near(unknown: str):
    index = SymbolIndex(
        Symbol(code=code, name="") for code in [*NAMES, "A" * 60, *("AB" * n for n in range(1, 30))]
    )
    near = index.near(unknown)
    assert len(near) <= 3
    assert ("^GSPC" in near) == (unknown == "GSPC")


def test_at_most_so_many_are_found():
    index = SymbolIndex(Symbol(code=f"S{n}", name="A share") for n in range(MOST + 20))
    assert len(index.find("share")) == MOST
