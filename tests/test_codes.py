"""Codes and names: which a symbol may have, and where they must work."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import unquote

import pytest
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.urls import resolve, reverse
from hypothesis import assume, example, given
from hypothesis import strategies as st

from quotes.addresses import Address
from quotes.codes import MAX_CODE, code_of, validate_code, validate_text
from quotes.models import Symbol

BLANK = "\u115f\u1160\u2800\u3164\uffa0"  # letters and signs that show nothing
SILENT = "\u034f\u17b4\u180b\u180f\ufe00\ufe0f\U000e0100\U000e01ef"  # marks that show nothing
texts = st.text(min_size=1, max_size=MAX_CODE)
visible = st.characters(exclude_categories=["C", "Z"], exclude_characters="," + BLANK + SILENT)


def is_code(text: str) -> bool:
    with suppress(ValidationError):
        validate_code(text)
        return True
    return False


@given(texts)
@example("ß")
@example("ΐ")  # its capital letter is three characters
def test_a_code_is_written_in_one_way(text: str) -> None:
    assert code_of(code_of(text)) == code_of(text)


@given(st.text(visible, min_size=1, max_size=MAX_CODE).map(code_of))
@example("BTC/USD")
@example("A//B")
@example("..")
@example("A?B#C%41")
@example("A\\B")
@example("A;B&C=D+E")
def test_the_page_and_the_socket_of_a_code_are_its_own(code: str) -> None:
    assume(is_code(code))
    path = reverse("quotes:symbol", args=[code])
    assert path.isascii()
    assert resolve(unquote(path)).kwargs == {"code": code}
    assert "//" not in path
    assert not {".", ".."} & set(path.split("/"))
    query = Address(symbols=(code,)).socket.partition("?")[2]
    assert Address.read(QueryDict(query)).symbols == (code,)


@given(st.characters(categories=["Cc", "Cf", "Zl", "Zp"]))
def test_a_code_has_no_characters_that_hide_or_turn_others(hidden: str) -> None:
    assert not is_code(f"A{hidden}B")


@given(texts, st.sampled_from(BLANK + SILENT), texts)
@example("AAPL", "\ufe0f", "")  # it would look like AAPL
@example("", "\u3164", "")
def test_a_code_has_no_characters_that_show_nothing(before: str, silent: str, after: str) -> None:
    assert not is_code(before + silent + after)


@given(st.characters(categories=["Mc", "Me", "Mn"]), texts)
@example("\u0301", "A")
def test_no_text_begins_with_a_mark_of_the_letter_before_it(mark: str, rest: str) -> None:
    assert not is_code(mark + rest)
    with pytest.raises(ValidationError):
        validate_text(mark + rest)


@pytest.mark.parametrize("code", ["ＡＡＰＬ", "ａａｐｌ", "AAPＬ", "𝐀𝐀𝐏𝐋", "ⒶAPL"])
def test_another_form_of_an_ascii_code_is_refused_with_the_code(code: str) -> None:
    with pytest.raises(ValidationError, match=f"Write “AAPL” in place of “{code}”"):
        validate_code(code)


@pytest.mark.parametrize("code", ["株式", "株式Ａ", "ΑΒΓ", "한국", "ÅRE", "हिन्दी", "نفت"])
def test_codes_of_all_scripts_are_possible(code: str) -> None:
    validate_code(code)


@pytest.mark.django_db
def test_a_code_in_another_form_of_unicode_is_stored_in_the_form_in_which_it_is_found() -> None:
    symbol = Symbol(code="E\u0301", name="É", kind="stock", currency="USD")
    symbol.full_clean()
    assert symbol.code == "É" == code_of("e\u0301")


def test_the_codes_of_exchanges_are_possible() -> None:
    for code in ("BTC-USD", "BRK.B", "^GSPC", "EURUSD=X", "ES=F", "M&M.NS", "BTC/USD", "AAPL US"):
        Symbol(code=code, name=code, kind="stock", currency="USD").full_clean(validate_unique=False)


TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@given(
    texts, st.sampled_from(TURNING + BLANK) | st.characters(categories=["Cc", "Zl", "Zp"]), texts
)
@example("", "\n", "")
@example("", "\x1b", "[31m")
def test_a_name_has_no_characters_that_end_a_line_or_turn_text(
    before: str, hidden: str, after: str
) -> None:
    with pytest.raises(ValidationError):
        validate_text(before + hidden + after)


@given(st.text(st.sampled_from(" \u00a0\u00ad\u200b\u200d\u2060\ufe0f\ufeff"), min_size=1))
@example("\u200b")
@example("\u00ad")
@example("\u2060 \u00a0")
@example("\u200d\ufe0f")
def test_a_name_has_a_character_that_can_be_seen(name: str) -> None:
    with pytest.raises(ValidationError):
        validate_text(name)


def test_an_optional_name_may_be_empty() -> None:
    validate_text("")


others = st.characters(
    exclude_categories=["Cc", "Zl", "Zp", "Cs"], exclude_characters=TURNING + BLANK
)


@given(st.text(others).map(lambda text: f"A{text}"))
@example("می\u200cخواهم")  # a character that can't be seen, and is part of a Persian word
@example("בנק \u200f(1)")
@example("❤\ufe0f")
def test_names_have_all_other_characters(name: str) -> None:
    validate_text(name)
