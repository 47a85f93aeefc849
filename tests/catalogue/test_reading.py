"""Entries are read from a file as they were written, in whatever form, and faults have words."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from decimal import Decimal
from io import BytesIO, StringIO
from unicodedata import category

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from quotes import catalogue
from quotes.catalogue import InvalidCatalogue
from quotes.catalogue.reading import FAILED_FORMULA
from quotes.catalogue.sheet import NOT_ASCII

COLUMNS = ("symbol", "name", "kind", "exchange", "currency", "tick_size", "start", "kraken")
CODECS = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "cp1252": "Windows-1252",
}
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
MARKS = {".": "decimal point", ",": "decimal comma"}
HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
# letters that show nothing, and marks that do; they are refused
BLANK = "\u115f\u1160\u2800\u3164\uffa0"
MARKS_OF_FORMS = [(0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF)]
SILENT = "\u034f\u17b4\u17b5" + "".join(
    chr(code) for first, last in MARKS_OF_FORMS for code in range(first, last + 1)
)

Entry = tuple[str, str, str, str, str, Decimal | None, Decimal, str]


def single_spaced(text: str) -> str:
    return " ".join(text.split())


def texts(most: int) -> st.SearchStrategy[str]:
    letters = st.characters(exclude_categories=HIDDEN, exclude_characters=BLANK + SILENT)
    common = st.sampled_from("äÉß€ ,;'\"#=+-@.5")
    found = st.text(st.one_of(common, letters), min_size=1, max_size=most).map(single_spaced)
    return found.filter(lambda text: not FAILED_FORMULA.fullmatch(text) and begins_well(text))


def begins_well(text: str) -> bool:
    """Return whether a text begins with a character that stands alone, and not as if escaped."""
    escape = text[:1] == "'" and text[1:2] in ("=", "+", "-", "@", "'")
    return bool(text) and not category(text[0]).startswith("M") and not escape


prices = st.decimals("0.01", "1e6", places=2)
kinds = st.sampled_from(["crypto", "stock", "etf", "index"])
codes = st.from_regex(r"[A-Z]{1,5}[.=/-][A-Z]{2,4}", fullmatch=True)
entries = st.tuples(
    codes, texts(30), kinds, texts(20), st.just("USD"), st.none() | prices, prices, codes
)


@dataclass
class Style:
    """How a file is written."""

    codec: str
    separator: str
    mark: str
    end: str
    quoting: int
    order: list[str]
    capitals: bool
    stated: bool  # the separator, in the first line
    gap: int  # an empty column before this one, and an empty row before this row

    def cell(self, value: str | Decimal | None) -> str:
        if isinstance(value, Decimal):
            return f"{value:f}".replace(".", self.mark)
        return value or ""

    def write(self, rows: list[Entry]) -> bytes:
        header = [name.upper() if self.capitals else f" {name} " for name in self.order]
        cells = [header, *([self.cell(row[COLUMNS.index(c)]) for c in self.order] for row in rows)]
        for row in cells:
            row.insert(self.gap, "")
        cells.insert(self.gap, ["" for _ in header])
        output = StringIO(newline="")
        if self.stated:
            output.write(f"sep={self.separator}{self.end}")
        csv.writer(
            output, delimiter=self.separator, lineterminator=self.end, quoting=self.quoting
        ).writerows(cells)
        return output.getvalue().encode(self.codec)


styles = st.builds(
    Style,
    codec=st.sampled_from([*CODECS]),
    separator=st.sampled_from([*SEPARATORS]),
    mark=st.sampled_from([*MARKS]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    order=st.permutations(COLUMNS),
    capitals=st.booleans(),
    stated=st.booleans(),
    gap=st.integers(0, 8),
)


def read(content: bytes) -> catalogue.Catalogue:
    return catalogue.read(BytesIO(content))


def is_utf_8(content: bytes) -> bool:
    """Return whether all of the letters beyond ASCII, or some of them, are UTF-8."""
    for found in NOT_ASCII.findall(content):
        try:
            found.decode()
        except UnicodeDecodeError:
            continue
        return True
    return not NOT_ASCII.search(content)


@given(st.lists(entries, min_size=1, max_size=6, unique_by=lambda row: row[0]), styles)
def test_entries_are_read_as_they_were_written(rows: list[Entry], style: Style):
    try:
        content = style.write(rows)
    except UnicodeEncodeError:
        assume(False)  # Windows-1252 has few letters
    assume(style.codec != "cp1252" or not is_utf_8(content))
    found = read(content)
    assert str(found.format) == ", ".join(
        (CODECS[style.codec], SEPARATORS[style.separator], MARKS[style.mark])
    )
    read_rows = [
        (
            entry.symbol.code,
            entry.symbol.name,
            entry.symbol.kind,
            entry.symbol.exchange,
            entry.symbol.currency,
            entry.symbol.tick_size,
            entry.symbol.start,
            entry.codes["kraken"],
        )
        for entry in found.entries
    ]
    assert read_rows == rows
    lines = content.decode(style.codec).split(style.end)
    assert all(entry.symbol.code in lines[entry.line - 1] for entry in found.entries)


HEADER = "Symbol;Name;Kind;Exchange;Currency;Tick size;Start;Yahoo\n"
APPLE = "AAPL;Apple;stock;NASDAQ;USD;0,01;200;AAPL\n"


def errors(text: str) -> list[str]:
    with pytest.raises(InvalidCatalogue) as refused:
        read(text.encode())
    return refused.value.errors


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("stock", "house", "Kind: 'house' is not a valid kind, must be one of: crypto, stock, "),
        ("0,01", "0.0", "Tick size: '0.0' is invalid, must be a number above 0"),
        ("0,01", "#REF!", "Tick size: '#REF!' is the error of a formula: type the text in"),
        ("200", "1.5", "Start: '1.5' fits a decimal point, the file has a decimal comma"),
        ("200", "1.234", "Start: '1.234' may be 1.234 or 1234: write 1,234 or 1234"),
        ("AAPL;A", "1E+05;A", "Symbol: '1E+05' is a number that a spreadsheet made of a code: "),
        ("AAPL;A", "01.09.2026;A", "Symbol: '01.09.2026' is a date that a spreadsheet made of"),
        ("AAPL\n", "Sep 26\n", "Yahoo: 'Sep 26' is a date that a spreadsheet made of a code: "),
        ("AAPL\n", "#NAME?\n", "Yahoo: '#NAME?' is the error of a formula"),
        ("Apple", "#NV", "Name: '#NV' is the error of a formula: type the text in its place"),
        ("Apple", "A" * 201, "Name: has 201 characters, must have at most 200"),
        ("NASDAQ", "A\0", "Exchange: remove the invisible character U+0000"),
        ("AAPL\n", "A\u3164L\n", "Yahoo: remove the invisible character U+3164"),
        ("AAPL;A", "A\ufe0fAPL;A", "Symbol: remove the invisible character U+FE0F"),
        ("AAPL;A", "ＡＡＰＬ;A", "Symbol: Write “AAPL” in place of “ＡＡＰＬ”"),
        ("AAPL\n", "A\u202eL\n", "Yahoo: remove the invisible character U+202E"),
        ("Apple", "A\u202ee", "Name: Remove the character U+202E. Texts must not contain"),
        ("Apple", '"A\ne"', "Name: Remove the character U+000A. Texts must not contain"),
        ("AAPL\n", "AAPL;;more\n", "has 10 cells, must have as many as line 1"),
    ],
)
def test_an_invalid_cell_is_refused_under_the_name_of_its_column(old: str, new: str, words: str):
    broken = APPLE.replace(old, new, 1) if not old.endswith("\n") else APPLE[: -len(old)] + new
    more = APPLE.replace("AAPL", "MSFT")
    [error] = errors(HEADER + more + broken)
    assert error.startswith(f"line 3: {words}")
    assert error.isprintable()


def test_all_errors_of_all_rows_are_found_at_once():
    first = APPLE.replace("stock", "house").replace("200", "x").replace("AAPL\n", "2026-09-01\n")
    found = errors(HEADER + first + "\n" + APPLE + APPLE)
    assert [error.partition(":")[0] for error in found] == ["line 2", "line 4", "line 5"]
    assert [part.partition(":")[0] for part in found[0].split("; ")] == ["line 2", "Start", "Yahoo"]


def test_a_duplicate_is_found_with_all_other_errors():
    house = APPLE.replace("stock", "house")
    again = "symbol 'AAPL' is already on line 2"
    first, second, third = errors(HEADER + house + house + APPLE)
    assert first.startswith("line 2: Kind: ")
    assert again not in first
    assert second.startswith("line 3: Kind: ")
    assert second.endswith(f"; {again}")
    assert third == f"line 4: {again}"


@pytest.mark.parametrize(
    "header",
    [
        "Symbol;Name;Art;Börse;Währung;Kursschritt;Startkurs",
        "CODE;name;ART;Bo\u0308rse;währung;KURSSCHRITT;Start",
        "code;name;kind;exchange;currency;tick size;start price",
    ],
)
def test_columns_may_have_the_names_that_the_admin_has_in_each_language(header: str):
    text = f"{header}\nSAP;SAP SE;stock;XETRA;EUR;0,01;150,5\n"
    for codec in ("utf-8", "utf-16"):
        [entry] = read(text.encode(codec)).entries
        symbol = entry.symbol
        assert (symbol.code, symbol.exchange, symbol.currency) == ("SAP", "XETRA", "EUR")
        assert (symbol.tick_size, symbol.start) == (Decimal("0.01"), Decimal("150.5"))


def test_an_error_has_the_name_that_the_file_gives_to_its_column():
    header = "Code;Name;Art;Börse;Währung\n"
    [error] = errors(header + "SAP;SAP SE;Aktien;XETRA;EUR\n")
    assert error.startswith("line 2: Art: 'aktien' is not a valid kind, must be one of: crypto, ")
    [twice] = errors(header.replace("Name", "Name;Symbol") + "A;A;A;stock;;EUR\n")
    assert twice == "line 1: columns 'Code' and 'Symbol' are both the column symbol"


def test_all_errors_of_the_header_are_found_at_once():
    header = HEADER.replace("Kind", "Sort").replace("Name", "symbol").replace("Yahoo", "")
    missing, *others = errors(header + "\n" + APPLE)
    assert missing.startswith("line 1: columns 'name', 'kind' are missing, the required columns")
    assert [error.partition(", must")[0] for error in others] == [
        "line 1: column 'Symbol' appears twice",
        "line 1: unknown column 'Sort'",
        "line 3: 'AAPL' is in column 8, which has no name on line 1",
    ]


def test_a_row_is_named_by_the_line_where_it_begins():
    text = HEADER + APPLE.replace("NASDAQ", '"NAS\n\nDAQ"') + APPLE.replace("stock", "house")
    assert [error[:7] for error in errors(text)] == ["line 2:", "line 5:"]


def test_between_commas_a_decimal_point_is_taken_for_granted():
    row = "symbol,name,kind,exchange,currency,start\nA,A,stock,,USD,1.234\n"
    assert read(row.encode()).entries[0].symbol.start == Decimal("1.234")
    [error] = errors(row.replace(",", ";"))
    assert error.endswith("start: '1.234' may be 1.234 or 1234: write 1.2340 or 1234")


def test_a_few_errors_are_shown_and_the_others_counted():
    rows = "".join(f"S{n};Apple;house;;USD;;;\n" for n in range(1_400))
    with pytest.raises(InvalidCatalogue) as refused:
        read((HEADER + rows).encode())
    shown = refused.value.shown
    assert (len(shown), shown[-1]) == (51, "… and 1,350 more")
    assert str(refused.value.format) == "UTF-8, semicolons"
