"""Numbers of spreadsheets: never a thousand times too large or too small."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quotes.catalogue.decimals import mark_of, number

SWAPPED = str.maketrans(".,", ",.")
GROUPS = st.sampled_from(["", ",", " ", "'", "’", "\N{THIN SPACE}"])
amounts = st.decimals("1e-9", "1e9", places=9).map(Decimal.normalize)


def written(value: Decimal, mark: str, group: str) -> str:
    """Write a number as a spreadsheet does; the group “,” stands for the mark's counterpart."""
    whole, point, fraction = f"{value:,f}".partition(".")
    text = whole.replace(",", group) + point + fraction
    return text if mark == "." else text.translate(SWAPPED)


@given(st.lists(amounts, min_size=1, max_size=5), st.sampled_from(".,"), GROUPS)
@example([Decimal("1.234")], ",", "")
@example([Decimal(1234)], ",", ",")
@example([Decimal(1234), Decimal("0.5")], ".", ",")
@example([Decimal("1234.5")], ",", ",")
def test_a_number_is_read_as_it_was_meant_or_refused(values: list[Decimal], mark: str, group: str):
    texts = [written(value, mark, group) for value in values]
    found = mark_of(texts)
    assert found in ("", mark)
    for text, value in zip(texts, values, strict=True):
        with suppress(ValueError):
            assert number(text, found) == value
            continue
        # only thousands are refused, and three decimals while the mark is not known
        assert value == value.to_integral() or not found


@given(st.decimals("0.01", "1e9", places=2), st.sampled_from(".,"), GROUPS)
def test_a_price_in_cents_is_never_refused(value: Decimal, mark: str, group: str):
    text = written(value, mark, group)
    assert number(text, mark_of([text])) == value


@pytest.mark.parametrize(
    ("text", "mark", "value"),
    [
        ("1.234,56", ",", "1234.56"),
        ("1,234.56", ".", "1234.56"),
        ("1.234.567", "", "1234567"),
        ("1 234,5", ",", "1234.5"),
        ("1'234.5", ".", "1234.5"),
        ("1,234", ",", "1.234"),
        ("1.234", ".", "1.234"),
        ("0,125", "", "0.125"),
        ("1234,567", "", "1234.567"),
        ("1E-05", ",", "0.00001"),
        ("1,5E-05", ",", "0.000015"),
        (",5", "", "0.5"),
    ],
)
def test_a_clear_number_is_read(text: str, mark: str, value: str):
    assert number(text, mark) == Decimal(value)


@pytest.mark.parametrize(
    ("text", "mark", "words"),
    [
        ("1.234", "", "'1.234' may be 1.234 or 1234: write 1.2340 or 1234"),
        ("1,234", "", "'1,234' may be 1.234 or 1234: write 1,2340 or 1234"),
        ("1.234", ",", "'1.234' may be 1.234 or 1234: write 1,234 or 1234"),
        ("1,234", ".", "'1,234' may be 1.234 or 1234: write 1.234 or 1234"),
        ("1.5", ",", "'1.5' fits a decimal point, the file has a decimal comma"),
        ("1,234E3", ".", "'1,234E3' fits a decimal comma, the file has a decimal point"),
        ("1,5", ".", "'1,5' fits a decimal comma, the file has a decimal point"),
        *(
            (text, ".", f"{text!r} is invalid, must be a number above 0")
            for text in ("0", "-1", "1/8", "NaN", "$5", "1,23,456", "1.2.3", ".", "E5", "١٢", "1_0")
        ),
        *(
            (text, ".", f"{text!r} is invalid, must be a number above 0")
            for text in ("0.01 200", "1 2", "0 123", "1,234 567", "1234,567.8")
        ),
    ],
)
def test_a_doubtful_number_is_refused_with_what_to_write(text: str, mark: str, words: str):
    with pytest.raises(ValueError, match=r"^'") as refused:
        number(text, mark)
    assert str(refused.value) == words


@pytest.mark.parametrize(("text", "mark"), [("1.234", ""), ("1,234", ""), ("1.234", ",")])
def test_what_a_refusal_advises_to_write_is_read(text: str, mark: str):
    with pytest.raises(ValueError, match="write") as refused:
        number(text, mark)
    for advice in str(refused.value).partition("write ")[2].split(" or "):
        assert number(advice, mark or mark_of([advice])) in (Decimal("1.234"), 1234)
