"""Files as spreadsheets and people write them, read in their own encoding and separator."""

from __future__ import annotations

import shutil
import subprocess
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import pytest

from quotes import catalogue
from quotes.catalogue import InvalidCatalogue

FOLDER = Path(__file__).with_name("libreoffice")
SOURCE = FOLDER / "symbols.fods"
TEXT = "symbol,name,kind,exchange,currency,tick_size\nÄ,Ärzte,stock,XETRA,EUR,0.5\n"
SEMICOLONS = TEXT.replace(",", ";").replace("0.5", "0,5")
LETTERS = TEXT.replace("Ä", "A")

# the filter's options: separator, quotation mark, encoding, first line, columns, language,
# quotation marks around all texts, special numbers, cells as they are shown
FORMATS = {  # file: locale, options, what it is read as
    "commas-utf-8": ("en-US", "44,34,76,1,,0,false,false,true", "UTF-8, commas, decimal point"),
    "semicolons-utf-8": (
        "de-DE",
        "59,34,76,1,,0,false,false,true",
        "UTF-8, semicolons, decimal comma",
    ),
    "tabs-utf-16": ("en-US", "9,34,65535,1,,0,false,false,true", "UTF-16, tabs, decimal point"),
    "semicolons-windows-1252": (
        "de-DE",
        "59,34,1,1,,0,false,false,true",
        "Windows-1252, semicolons, decimal comma",
    ),
    "quoted-commas": ("de-DE", "44,34,76,1,,0,true,false,true", "UTF-8, commas, decimal comma"),
    "tabs-as-stored": ("de-DE", "9,34,76,1,,0,false,false,false", "UTF-8, tabs, decimal comma"),
}
PROFILE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Setup/L10N"><prop oor:name="ooSetupSystemLocale" oor:op="fuse">
<value>{}</value></prop></item></oor:items>
"""


def read(content: bytes) -> catalogue.Catalogue:
    return catalogue.read(BytesIO(content))


def names(found: catalogue.Catalogue) -> list[str]:
    return [entry.symbol.name for entry in found.entries]


def check_the_sheet(content: bytes, form: str) -> None:
    """Check that a file has the entries of SOURCE."""
    found = read(content)
    assert str(found) == f"{form}, 4 rows"
    rows = [
        (e.symbol.code, e.symbol.name, e.symbol.tick_size, e.symbol.start) for e in found.entries
    ]
    assert rows == [
        ("RHM.DE", "Rheinmetall, “Düsseldorf”", Decimal("0.01"), Decimal("1234.5")),
        ("DTE.DE", "Deutsche Telekom", Decimal("0.001"), Decimal("28.75")),
        ("SHIB-USD", 'Shiba Inu; the "dog"', Decimal("1E-8"), Decimal("0.00001")),
        ("BTC-USD", "Bitcoin €", None, Decimal(64000)),
    ]
    assert [e.codes for e in found.entries] == [{"yahoo": "RHM.DE"}, {"yahoo": "DTE.DE"}, {}, {}]
    assert [e.line for e in found.entries] == [2, 3, 5, 6]


class TestLibreOffice:
    @pytest.mark.parametrize("name", FORMATS)
    def test_files_that_it_wrote_have_the_entries_of_the_sheet(self, name: str):
        check_the_sheet((FOLDER / f"{name}.csv").read_bytes(), FORMATS[name][2])

    @pytest.mark.server
    @pytest.mark.parametrize("name", FORMATS)
    def test_a_sheet_that_it_saves_now_has_its_entries(self, name: str, tmp_path: Path):
        program = shutil.which("soffice")
        if program is None:  # too large for CI
            pytest.skip("LibreOffice is missing: “apt-get install libreoffice-calc-nogui”")
        locale, options, form = FORMATS[name]
        profile = tmp_path / "profile"
        (profile / "user").mkdir(parents=True)
        (profile / "user" / "registrymodifications.xcu").write_text(PROFILE.format(locale))
        target = f"csv:Text - txt - csv (StarCalc):{options}"
        command = [program, f"-env:UserInstallation={profile.as_uri()}", "--headless"]
        command += ["--convert-to", target, "--outdir", str(tmp_path), str(SOURCE)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        check_the_sheet((tmp_path / "symbols.csv").read_bytes(), form)


class TestEncodings:
    @pytest.mark.parametrize(
        ("codec", "name"),
        [
            ("utf-8", "UTF-8"),
            ("utf-8-sig", "UTF-8"),
            ("utf-16", "UTF-16"),
            ("utf-16-le", "UTF-16"),
            ("utf-16-be", "UTF-16"),
            ("cp1252", "Windows-1252"),
        ],
    )
    def test_a_file_in_any_usual_encoding_keeps_its_letters(self, codec: str, name: str):
        found = read(TEXT.encode(codec))
        assert (found.format.encoding, names(found)) == (name, ["Ärzte"])

    def test_a_mark_of_bytes_from_a_big_machine_is_read(self):
        assert names(read(b"\xfe\xff" + TEXT.encode("utf-16-be"))) == ["Ärzte"]

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (TEXT.encode() + "Ö".encode("cp1252"), "line 3: is not UTF-8: "),
            (b"\xef\xbb\xbf" + TEXT.encode("cp1252"), "line 2: is not UTF-8: "),
            (TEXT.encode("utf-16")[:-1], "line 2: is not UTF-16: "),
            (TEXT.encode("cp1252") + b"\r\n\x81", "line 4: is not UTF-8 or Windows-1252: "),
        ],
        ids=["two encodings", "a false mark", "half a character", "another encoding"],
    )
    def test_letters_are_never_guessed(self, content: bytes, words: str):
        with pytest.raises(InvalidCatalogue) as refused:
            read(content)
        assert str(refused.value).startswith(words)
        assert str(refused.value).endswith("; save the file as “CSV UTF-8”")


class TestSeparators:
    @pytest.mark.parametrize(
        ("separator", "name"), [(",", "commas"), (";", "semicolons"), ("\t", "tabs")]
    )
    @pytest.mark.parametrize("first", ["", "sep={}\r\n", '"SEP={}"\n', "\r\nsep={}{}{}\r\n"])
    def test_they_are_found_by_the_header_or_stated(self, separator: str, name: str, first: str):
        text = LETTERS.replace(",", separator).replace("Arzte", '"A,;Z"')
        found = read((first.format(*separator * 3) + text).encode())
        assert found.format.separator == separator
        assert str(found.format) == f"UTF-8, {name}, decimal point"
        assert found.entries[0].line == 2 + first.count("\n")
        assert names(found) == ["A,;Z"]

    def test_another_stated_separator_is_refused(self):
        with pytest.raises(InvalidCatalogue, match=r"^line 1: sep=# is not valid, must be a comma"):
            read(("sep=#\n" + LETTERS.replace(",", "#")).encode())

    def test_names_of_columns_have_any_case_and_order_spaces_and_quotation_marks(self):
        text = '  Currency ; "TICK SIZE";Exchange;Kind;\xa0Name;"Symbol "\n'
        found = read((text + "eur;0,5;XETRA;Stock;Arzte;A\n").encode())
        [entry] = found.entries
        symbol = entry.symbol
        assert (symbol.code, symbol.kind, symbol.currency) == ("A", "stock", "EUR")
        assert symbol.tick_size == Decimal("0.5")

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_empty_rows_and_columns_do_not_count(self, end: str):
        rows = ["", ";;;", *(f";{line};;" for line in SEMICOLONS.splitlines()), " ; ;\xa0", ""]
        found = read(end.join(rows).encode())
        assert (names(found), found.entries[0].line) == (["Ärzte"], 4)

    def test_empty_cells_at_the_end_may_be_missing(self):
        # Excel omits them after row 16
        assert read(LETTERS.replace(",0.5", "").encode()).entries[0].symbol.tick_size is None


FAULTS = {
    "": "the file is empty",
    "\r\n \n": "the file is empty",
    "PK\x03\x04...": "the file is a spreadsheet (such as .xlsx or .ods) or another zip file, must",
    "%PDF-1.7": "the file is a PDF, must be CSV: open it and save it as “CSV UTF-8”",
    LETTERS + 'B,"B,stock,X,EUR,\n': "line 3: invalid CSV: a cell begins with a quotation mark",
    LETTERS + '\nB,"B"C,stock,X,EUR,\n': "line 4: invalid CSV: text follows a quotation mark; in",
    LETTERS + "B," + "B" * 50_000: "line 3: has more than 50,000 characters",
    LETTERS + 'B,"' + "B\n" * 70_000 + '"': "line 3: invalid CSV: a cell is too long",
    LETTERS + "B," * 51: "line 3: has more than 50 cells",
    LETTERS + "\n" * 1_100_000: "the file has more than 1,100,000 lines: remove empty ones",
    LETTERS * 20_001: "the file has more than 20,000 rows: divide it into several files",
    "sep=,\n" + LETTERS * 20_001: "the file has more than 20,000 rows: divide it into several",
    " " * (20 * 2**20 + 1): "the file has more than 20 MB: divide it into several files",
}


@pytest.mark.parametrize("text", FAULTS, ids=FAULTS.values())
def test_what_cannot_be_read_is_refused_with_its_line(text: str):
    with pytest.raises(InvalidCatalogue) as refused:
        read(text.encode())
    [error] = refused.value.errors
    assert error.startswith(FAULTS[text])


def test_the_largest_file_is_read():
    many = "".join(f"S{n},Coin {n},crypto,,USD,0.5\n" for n in range(19_999))
    assert len(read((LETTERS + many + "\n" * 100_000).encode()).entries) == 20_000
