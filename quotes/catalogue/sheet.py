"""A CSV file as spreadsheets write it: its encoding, its separator and its rows."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from typing import BinaryIO
from unicodedata import normalize

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from quotes.catalogue.decimals import MARKS
from quotes.catalogue.words import at_line
from quotes.formats import grouped
from quotes.quote.texts import one_line

MAX_BYTES = 20 * 2**20
MAX_ROWS = 20_000
MAX_LINES = 1_100_000  # a sheet of Excel has 1,048,576 rows, and most of them may be empty
MAX_CELLS = 50  # in a row
MAX_LINE = 50_000  # characters
MAX_SHOWN = 50  # errors
SEPARATORS = {",": _("commas"), ";": _("semicolons"), "\t": _("tabs")}
JSON = "JSON"  # in place of a separator
UTF_8, UTF_16, WINDOWS = "UTF-8", "UTF-16", "Windows-1252"
UTF_16_CODECS = {  # by the first bytes; without a mark, the first two characters are ASCII
    re.compile(rb"\xff\xfe|\xfe\xff"): "utf-16",
    re.compile(rb"(?:[^\0]\0){2}"): "utf-16-le",
    re.compile(rb"(?:\0[^\0]){2}"): "utf-16-be",
}
NOT_ASCII = re.compile(rb"[\x80-\xff]+")
SEP = re.compile(r'\s*"?sep=(.)', re.IGNORECASE)  # Excel reads the separator from this first line
FORMULA = ("=", "+", "-", "@")  # a spreadsheet computes a cell that begins so
SPACES = str.maketrans("\xa0\u2007\u202f", "   ")  # do not break a line
OTHER_FILES = {
    b"PK\x03\x04": _("a spreadsheet (such as .xlsx or .ods) or another zip file"),
    b"\xd0\xcf\x11\xe0": _("an old spreadsheet (.xls)"),
    b"%PDF-": _("a PDF"),
}
QUOTES = {  # words of Python's csv: ours
    "unexpected end of data": _("a cell begins with a quotation mark and has none at its end"),
    "field larger than": _("a cell is too long; is there a quotation mark at its end?"),
    "expected after": _("text follows a quotation mark; inside a cell, double the mark"),
}


@dataclass(frozen=True, slots=True)
class Format:
    """How a file is written. As text: “UTF-16, semicolons, decimal comma”."""

    encoding: str
    separator: str
    mark: str = ""  # of decimals; empty if no number of the file shows it

    def __str__(self) -> str:
        words = (self.encoding, SEPARATORS.get(self.separator, JSON), MARKS.get(self.mark))
        return ", ".join(str(word) for word in words if word)


class InvalidCatalogue(Exception):
    """Raised when a catalogue can't be loaded; `errors` has one line of text for each error."""

    def __init__(self, errors: list[str], format: Format | None = None) -> None:  # noqa: A002
        self.errors = [one_line(error, 1000) for error in errors]
        self.format = format  # None if the file is not a readable CSV file
        super().__init__("\n".join(self.shown))

    @property
    def shown(self) -> list[str]:
        """The first errors, and the number of the others."""
        more = len(self.errors) - MAX_SHOWN
        if more <= 0:
            return self.errors
        words = ngettext("… and %(n)s more", "… and %(n)s more", more)
        return [*self.errors[:MAX_SHOWN], words % {"n": grouped(more)}]


@dataclass(frozen=True, slots=True)
class Row:
    """A row with at least one cell that is not empty."""

    line: int  # of the file, where the row begins
    cells: list[str]  # without spaces around their texts

    def cell(self, place: int) -> str:
        """Return the text at a place; rows may end early, because Excel omits empty cells."""
        return self.cells[place] if place < len(self.cells) else ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows of a file. The first one has the names of the columns."""

    format: Format
    rows: list[Row]


def open_sheet(file: BinaryIO, names: Collection[str]) -> Sheet:
    """Read a CSV file; raise InvalidCatalogue for any other file."""
    return sheet_of(*read_text(file), names)


def read_text(file: BinaryIO) -> tuple[str, str]:
    """Return the text of a file, and its encoding.

    Raise InvalidCatalogue for a file of another type or encoding, or one that is too large.
    """
    return _decode(_content(file))


def sheet_of(text: str, encoding: str, names: Collection[str]) -> Sheet:
    """Return the rows of CSV, whose separator is found by the names of its columns.

    Raise InvalidCatalogue for invalid CSV.
    """
    separator = _separator(text, names)
    rows = list(islice(_rows(text, separator), MAX_ROWS + 3))
    if SEP.match(text):
        del rows[0]
    if len(rows) > MAX_ROWS + 1:
        raise too_many_rows()
    if not rows:
        raise InvalidCatalogue([gettext("the file is empty")])
    return Sheet(Format(encoding, separator), rows)


def too_many_rows() -> InvalidCatalogue:
    """Return the error of a file that is too long."""
    words = gettext("the file has more than %(most)s rows: divide it into several files")
    return InvalidCatalogue([words % {"most": grouped(MAX_ROWS)}])


def _content(file: BinaryIO) -> bytes:
    content = file.read(MAX_BYTES + 1)
    for start, what in OTHER_FILES.items():
        if content.startswith(start):
            words = gettext("the file is %(what)s, must be CSV: open it and save it as “CSV UTF-8”")
            raise InvalidCatalogue([words % {"what": what}])
    if len(content) > MAX_BYTES:
        words = gettext("the file has more than %(most)d MB: divide it into several files")
        raise InvalidCatalogue([words % {"most": MAX_BYTES // 2**20}])
    return content


def _decode(content: bytes) -> tuple[str, str]:
    """Return the text of a file and the name of its encoding.

    Raise InvalidCatalogue unless the encoding is UTF-8, UTF-16 or Windows-1252.
    """
    codec = next((c for start, c in UTF_16_CODECS.items() if start.match(content)), "utf-8-sig")
    try:
        return content.decode(codec), UTF_8 if codec == "utf-8-sig" else UTF_16
    except UnicodeDecodeError as error:
        if codec != "utf-8-sig" or content.startswith(codecs.BOM_UTF8) or _some_utf_8(content):
            name = UTF_8 if codec == "utf-8-sig" else UTF_16
            raise _not(name, error) from error
    try:
        return content.decode("cp1252"), WINDOWS
    except UnicodeDecodeError as error:
        raise _not(gettext("UTF-8 or Windows-1252"), error) from error


def _some_utf_8(content: bytes) -> bool:
    """Return whether a file that is not UTF-8 was, before a part of it was cut or replaced.

    Letters in Windows-1252 almost never form a valid sequence of UTF-8.
    """
    for found in NOT_ASCII.finditer(content):
        try:
            found[0].decode()
        except UnicodeDecodeError:
            continue
        return True
    return False


def _not(name: str, error: UnicodeDecodeError) -> InvalidCatalogue:
    before = error.object[: error.start].replace(b"\0", b"").replace(b"\r\n", b"\n")
    line = 1 + before.replace(b"\r", b"\n").count(b"\n")
    words = gettext("is not %(encoding)s: %(reason)s; save the file as “CSV UTF-8”")
    named = {"encoding": name, "reason": gettext(error.reason)}
    return InvalidCatalogue([at_line(line, words % named)])


def _separator(text: str, names: Collection[str]) -> str:
    """Return the separator that the first line states, or under which most names are found."""
    if stated := SEP.match(text):
        if stated[1] not in SEPARATORS:
            words = gettext("sep=%(given)s is not valid, must be a comma, a semicolon or a tab")
            raise InvalidCatalogue([at_line(1, words % {"given": stated[1]})])
        return stated[1]

    def found(separator: str) -> tuple[int, int]:
        cells = _first(text, separator)
        return sum(name_of(cell) in names for cell in cells), len(cells)

    return max(SEPARATORS, key=found)


def _first(text: str, separator: str) -> list[str]:
    try:
        return next(_rows(text, separator)).cells
    except (InvalidCatalogue, StopIteration):
        return []


def plain(cell: str) -> str:
    """Return a text without spaces around it, and with common spaces in it."""
    return cell.translate(SPACES).strip()


def escaped(text: str) -> str:
    """Return a text as a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith((*FORMULA, "'")) else text


def unescaped(cell: str) -> str:
    """Return the text of a cell that `escaped` may have written."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith((*FORMULA, "'")) else cell


def name_of(heading: str) -> str:
    """Return the name of the column with a heading: “Tick size” is tick_size."""
    return "_".join(normalize("NFC", heading).casefold().split())


def _lines(text: str) -> Iterator[str]:
    for number, line in enumerate(StringIO(text, newline=""), 1):  # they end with LF, CR or both
        if len(line) > MAX_LINE:
            words = gettext("has more than %(most)s characters") % {"most": grouped(MAX_LINE)}
            raise InvalidCatalogue([at_line(number, words)])
        if number > MAX_LINES:
            words = gettext("the file has more than %(most)s lines: remove empty ones")
            raise InvalidCatalogue([words % {"most": grouped(MAX_LINES)}])
        yield line


def _rows(text: str, separator: str) -> Iterator[Row]:
    reader = csv.reader(_lines(text), delimiter=separator, strict=True, skipinitialspace=True)
    line = 1
    try:
        for cells in reader:
            if any(cells[MAX_CELLS:]):
                words = gettext("has more than %(most)d cells") % {"most": MAX_CELLS}
                raise InvalidCatalogue([at_line(line, words)])
            texts = map(plain, cells[:MAX_CELLS])
            row = Row(line, [*map(unescaped, texts)])
            if any(row.cells):
                yield row
            line = reader.line_num + 1
    except csv.Error as error:
        cause = next((ours for theirs, ours in QUOTES.items() if theirs in str(error)), str(error))
        words = gettext("invalid CSV: %(cause)s") % {"cause": cause}
        raise InvalidCatalogue([at_line(line, words)]) from error
