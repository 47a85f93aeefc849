"""Errors of a file are in the language of the operator: no English word is left in German ones."""

from __future__ import annotations

import json
import re
from io import BytesIO
from typing import Any

import pytest
from django.utils import translation

from quotes import catalogue
from quotes.catalogue import InvalidCatalogue

HEADER = "symbol,name,kind,exchange,currency,tick_size,stale_after,active,kraken\n"
AAPL = {"symbol": "AAPL", "name": "Apple", "kind": "stock", "exchange": "", "currency": "USD"}
ENGLISH = """
a above are as at be character characters column columns data decimal expecting file follows has
have illegal invalid is line maps more must not of or place remove rows starting string the this
to truncated twice type unexpected value with write
"""
QUOTED = re.compile(r"„[^“]*“")


def row(**changes: str) -> str:
    """Return a row of CSV below HEADER, with Apple and some other cells."""
    cells = {**dict.fromkeys(HEADER.strip().split(","), ""), **AAPL, **changes}
    return ",".join(cells.values()) + "\n"


def of(**changes: Any) -> str:
    return json.dumps([AAPL | changes])


FILES: dict[str, str | bytes] = {
    "another kind": HEADER + row(kind="stonk"),
    "an empty name": HEADER + row(name=""),
    "a long name": HEADER + row(name="x" * 101),
    "a long cell": HEADER + row(name="x" * 300),
    "a comma in a code": HEADER + row(symbol='"A,B"'),
    "a code in small letters": HEADER + row(symbol="aapl"),
    "an invisible character": HEADER + row(kraken="A\u200bB"),
    "a currency": HEADER + row(currency="$"),
    "no number": HEADER + row(tick_size="small"),
    "a large number": HEADER + row(tick_size="99999999"),
    "many digits": HEADER + row(tick_size="0.01234567890123456789"),
    "no seconds": HEADER + row(stale_after="soon"),
    "many seconds": HEADER + row(stale_after="0"),
    "no state": HEADER + row(active="maybe"),
    "a number in place of a code": HEADER + row(symbol="1E+05"),
    "a date in place of a code": HEADER + row(kraken="2026-11-30"),
    "the error of a formula": HEADER + row(name="#NAME?"),
    "the same symbol twice": HEADER + row() + row(),
    "few cells": HEADER + row() + "MSFT\n",
    "many cells": HEADER + row().rstrip() + ",,x\n",
    "one missing column": row(symbol="symbol,name,kind,exchange"),
    "missing columns": "symbol,name\nA,B\n",
    "an unknown column": HEADER.replace("kraken", "colour") + row(),
    "a column twice": HEADER.replace("kraken", "kind") + row(),
    "two names of a column": HEADER.replace("kraken", "Art") + row(),
    "a cell without a column": HEADER.replace("kraken", "") + row(kraken="x"),
    "a decimal point among commas": HEADER.replace(",", ";")
    + row(tick_size="1/5").replace(",", ";").replace("/", ",")
    + row(symbol="MSFT", tick_size="1.5").replace(",", ";"),
    "a decimal comma among points": HEADER.replace(",", ";")
    + row(tick_size="1.5").replace(",", ";")
    + row(symbol="MSFT", tick_size="1/5").replace(",", ";").replace("/", ","),
    "a number with two meanings": HEADER.replace(",", ";")
    + row(tick_size="1.234").replace(",", ";"),
    "nothing": "",
    "no rows": HEADER,
    "no such separator": "sep=x\n" + HEADER,
    "an open quotation mark": HEADER + '"A',
    "text after a quotation mark": HEADER + '"A"x,B\n',
    "a long line": HEADER + "x" * 60_000,
    "many cells in a row": HEADER + "x," * 60,
    "many rows": HEADER + "x\n" * 20_002,
    "many errors": HEADER + row(kind="stonk") * 60,
    "a spreadsheet": b"PK\x03\x04",
    "an old spreadsheet": b"\xd0\xcf\x11\xe0",
    "a PDF": b"%PDF-1.7",
    "a large file": "x" * (20 * 2**20 + 1),
    "a part of UTF-8": "ä ".encode() + b"\xe4 \n",
    "no letter of UTF-8": b"\xef\xbb\xbf\xff",
    "a cut file": b"\xef\xbb\xbf\xc3",
    "no encoding": b"\x81\n",
    "half of UTF-16": "ab".encode("utf-16") + b"\0",
    "JSON: an object": "{}",
    "JSON: an empty list": "[]",
    "JSON: a number": "[5]",
    "JSON: null": "[null]",
    "JSON: lists in lists": "[" * 200_000,
    "JSON: text after the list": of() + "x",
    "JSON: no comma between objects": "[{}{}]",
    "JSON: a name twice": '[{"symbol": "A", "symbol": "B"}]',
    "JSON: NaN": of(start=float("nan")),
    "JSON: no text": of(symbol=5, name=[], active={}),
    "JSON: no number": of(tick_size=True, start="x"),
    "JSON: long": of(name="x" * 20_000),
    "JSON: many names": of(**{f"c{n}": "" for n in range(50)}),
    "JSON: UTF-16": of(name="Ü").encode("utf-16"),
    "JSON: no value": "[{",
    "JSON: no name": "[{'a': 1}]",
    "JSON: no colon": '[{"a" 1}]',
    "JSON: no comma": '[{"a": 1 "b": 2}]',
    "JSON: an open text": '[{"a": "b',
    "JSON: a line in a text": '[{"a": "b\n"}]',
    "JSON: an escape": r'[{"a": "\q"}]',
    "JSON: a cut escape": r'[{"a": "\u12"}]',
}


def errors(content: str | bytes, language: str) -> list[str]:
    file = BytesIO(content if isinstance(content, bytes) else content.encode())
    with translation.override(language):
        with pytest.raises(InvalidCatalogue) as refused:
            catalogue.read(file)
        return refused.value.shown


def english_words(line: str) -> set[str]:
    """Return the English words of an error outside of the texts that it quotes from the file."""
    return set(ENGLISH.split()) & set(re.findall(r"[a-z]+", QUOTED.sub(" ", line).lower()))


@pytest.mark.parametrize("content", FILES.values(), ids=FILES.keys())
def test_an_error_has_no_english_word_in_german(content: str | bytes):
    english, german = errors(content, "en"), errors(content, "de")
    assert len(german) == len(english)
    for line, translated in zip(english, german, strict=True):
        assert english_words(line), line
        assert not english_words(translated), translated
        assert "'" not in translated


def test_a_long_text_of_the_file_is_cut_and_quoted():
    [error] = errors(HEADER + row(kind="x" * 100), "de")
    assert error.startswith(f"Zeile 2: kind: „{'x' * 39}“ ist keine gültige Art, möglich sind: ")
