"""A JSON file is read as the same symbols as CSV, or refused with the line and what is wrong."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given

from quotes import catalogue
from quotes.catalogue import InvalidCatalogue
from quotes.models import Symbol
from tests.catalogue.test_writing import listed, values

BITCOIN = {
    "symbol": "BTC-USD", "name": "Bitcoin", "kind": "crypto", "exchange": "", "currency": "USD",
}  # fmt: skip


def read(text: str | bytes) -> list[catalogue.Entry]:
    content = text if isinstance(text, bytes) else text.encode()
    return catalogue.read(BytesIO(content)).entries


def of(**changes: Any) -> str:
    """Return a file with bitcoin, changed, on its third line."""
    return f"[\n\n{json.dumps(BITCOIN | changes)}\n]\n"


def error(text: str | bytes) -> str:
    with pytest.raises(InvalidCatalogue) as raised:
        read(text)
    return str(raised.value)


@given(listed)
def test_a_written_file_is_read_as_the_same_symbols_as_csv(written: list[Symbol]):
    as_json, as_csv = catalogue.json_of(written), catalogue.csv_of(written)
    found, expected = read(as_json), read(as_csv.encode("utf-8-sig"))
    assert [values(each.symbol) for each in found] == [values(each.symbol) for each in expected]
    assert [each.symbol.active for each in found] == [each.symbol.active for each in expected]
    assert [each.codes for each in found] == [each.codes for each in expected]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"tick_size": 0.01}, "0.01"),
        ({"tick_size": "0.01"}, "0.01"),
        ({"Tick size": 1e-08}, "0.00000001"),
        ({"Kursschritt": 5}, "5"),
    ],
)
def test_a_number_keeps_its_digits(given: dict[str, Any], expected: str):
    [entry] = read(of(**given))
    assert format(entry.symbol.tick_size, "f") == expected
    assert entry.line == 3


def test_a_value_that_is_left_out_or_null_is_an_empty_cell():
    [entry] = read(of(tick_size=None, coinbase=None, active=None))
    assert entry.given == ("name", "kind", "exchange", "currency")
    assert entry.codes == {}


def test_a_file_with_a_byte_order_mark_is_read():
    assert read(of().encode("utf-8-sig"))[0].symbol.code == "BTC-USD"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (of(symbol=5), "line 3: 'symbol' is a number, must be a text"),
        (of(active="maybe"), "line 3: active: 'maybe' is invalid, must be one of: yes, no"),
        (of(active=1), "line 3: 'active' is a number, must be true or false or a text"),
        (of(tick_size=[]), "line 3: 'tick_size' is a list, must be a number or a text"),
        (of(name="Bit\ud800coin"), "line 3: name: Remove the character U+D800."),
        (of(name={"en": "x"}), "line 3: 'name' is an object, must be a text"),
        (of(start=float("nan")), "line 3: NaN is not valid JSON: leave the value out"),
        (of(start=float("inf")), "line 3: Infinity is not valid JSON"),
        (of(start=-1), "line 3: start: '-1' is invalid, must be a number above 0"),
        (of(colour="red"), "line 3: unknown column 'colour', must be one of: symbol, name"),
        (of().replace('"kind"', '"symbol"'), "line 3: 'symbol' appears twice in an object"),
        ("[\n{}\n{}]", "line 3: invalid JSON: expected “,” or “]”"),
        ('[\n{"symbol": "A"\n"name": ""}]', "line 3: invalid JSON: Expecting ',' delimiter"),
        ("[\n{},\n]", "line 3: invalid JSON: Expecting value"),
        ("[5]", "line 1: a number is in place of an object, must be a list of objects"),
        ("[null]", "line 1: null is in place of an object"),
        ("[" * 200_000, "line 1: lists in lists are too deep"),
        ('{"symbol": "A"}', "the file is a JSON object, must be a list of objects"),
        ("[]", "the list in the file is empty"),
        ("[", "line 1: invalid JSON: Expecting value"),
        (of() + "x", "text follows the end of the JSON list: remove it"),
        (of(name="x" * 20_000), "line 3: invalid JSON: an object is invalid or has over 20,000"),
        (of(name="x" * 300), "line 3: name: has 300 characters, must have at most 200"),
        (of(**{f"c{n}": "" for n in range(50)}), "the file has more than 50 different names"),
        (of(name="Ü").encode("utf-16"), "the file is JSON in UTF-16, must be in UTF-8"),
        (b'[{"name": "\xdc"}]', "the file is JSON in Windows-1252, must be in UTF-8"),
        ("[" + "{}," * 20_001 + "{}]", "the file has more than 20,000 rows"),
    ],
    ids=lambda given: None if len(given) < 100 else f"{given[:20]!r}",
)
def test_a_file_that_can_not_be_meant_is_refused_with_its_line(text: str | bytes, expected: str):
    assert expected in error(text)


def test_the_same_symbol_twice_is_refused_with_both_lines():
    two = json.dumps([BITCOIN, BITCOIN], indent=1)
    assert "line 9: symbol 'BTC-USD' is already on line 2" in error(two)
