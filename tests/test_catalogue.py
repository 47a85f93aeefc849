"""The catalogue: a CSV file is loaded completely or not at all, with a result for each row."""

from __future__ import annotations

from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from quotes.models import Board, BoardSymbol, ProviderSymbol, Symbol

pytestmark = pytest.mark.django_db

HEADER = "symbol,name,kind,exchange,currency,coinbase,tick_size,start\n"
APPLE = "AAPL,Apple,stock,NASDAQ,USD,,0.01,200\n"
BITCOIN = "BTC-USD,Bitcoin,crypto,CRYPTO,USD,BTC-USD,,64000\n"


class Loader:
    """Writes CSV files and loads them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "mine.csv"

    def __call__(self, text: str | bytes, *options: str, verbosity: int = 1) -> str:
        content = text if isinstance(text, bytes) else text.encode()
        self.path.write_bytes(content)
        output = StringIO()
        call_command("loadcatalogue", str(self.path), *options, stdout=output, verbosity=verbosity)
        return output.getvalue()


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    return Loader(tmp_path)


def contents() -> list[list[tuple]]:
    """All symbols, codes and places, without their keys."""
    symbols = Symbol.objects.order_by("code").values_list(
        "code",
        "name",
        "kind",
        "exchange",
        "currency",
        "tick_size",
        "start",
        "stale_after",
        "active",
    )
    codes = ProviderSymbol.objects.order_by("symbol__code", "provider")
    places = BoardSymbol.objects.order_by("board__slug", "position")
    return [
        [*symbols],
        [*codes.values_list("symbol__code", "provider", "code")],
        [*places.values_list("board__slug", "position", "symbol__code")],
    ]


class TestSaving:
    def test_a_saved_board_is_loaded_into_an_empty_site_as_it_was(self, tmp_path: Path):
        call_command("loadcatalogue", stdout=StringIO())
        Symbol.objects.filter(code="ETH-USD").update(active=False, name="=1+1", stale_after=90)
        before, files = contents(), []
        for board in Board.objects.all():
            files.append((str(tmp_path / f"{board.slug}.csv"), board.slug))
            output = StringIO()
            call_command("savecatalogue", files[-1][0], board=board.slug, stdout=output)
            assert output.getvalue() == f"{board.slug}.csv: {board.places.count()} symbols\n"
        Symbol.objects.all().delete()
        for path, slug in files:
            call_command("loadcatalogue", path, board=slug, stdout=StringIO())
        assert contents() == before

    def test_a_saved_file_that_is_loaded_at_once_changes_nothing(self, tmp_path: Path):
        call_command("loadcatalogue", stdout=StringIO())
        path, output = str(tmp_path / "all.csv"), StringIO()
        call_command("savecatalogue", path, verbosity=0)
        call_command("loadcatalogue", path, stdout=output)
        assert output.getvalue().endswith("291 rows, 0 added, 0 updated, 291 unchanged\n")

    def test_a_saved_json_is_loaded_into_an_empty_site_as_it_was(self, tmp_path: Path):
        call_command("loadcatalogue", stdout=StringIO())
        Symbol.objects.filter(code="ETH-USD").update(active=False, name="=1+1", stale_after=90)
        path = str(tmp_path / "crypto.JSON")
        call_command("savecatalogue", path, board="crypto", stdout=StringIO())
        Symbol.objects.exclude(places__board__slug="crypto").delete()
        before = contents()
        Symbol.objects.all().delete()
        output = StringIO()
        call_command("loadcatalogue", path, board="crypto", stdout=output)
        assert output.getvalue().startswith("crypto.JSON: UTF-8, JSON, ")
        assert contents() == before

    def test_an_unknown_board_and_a_folder_are_refused(self, load: Loader, tmp_path: Path):
        with pytest.raises(CommandError, match="must be one of: there is none yet"):
            call_command("savecatalogue", str(tmp_path / "a.csv"), board="crypto")
        load(HEADER + APPLE)
        with pytest.raises(CommandError, match="'crypto', must be one of: stock-market"):
            call_command("savecatalogue", str(tmp_path / "a.csv"), board="crypto")
        with pytest.raises(CommandError, match="Is a directory"):
            call_command("savecatalogue", str(tmp_path))


class TestADryRun:
    def test_it_states_the_fate_of_each_row_and_changes_nothing(self, load: Loader):
        load(HEADER + APPLE)
        before = contents()
        output = load(HEADER + APPLE.replace("Apple", "Apple Inc.") + BITCOIN, "--dry-run")
        assert contents() == before
        assert "line 2: AAPL updated\nline 3: BTC-USD added\n" in output
        assert "2 rows, 1 added, 1 updated, 0 unchanged (dry run: nothing was changed)" in output

    def test_then_the_file_can_be_loaded(self, load: Loader):
        load(HEADER + BITCOIN, "--dry-run")
        load(HEADER + BITCOIN)
        assert codes_on("crypto") == ["BTC-USD"]


def codes_on(slug: str) -> list[str]:
    return list(
        BoardSymbol.objects.filter(board__slug=slug)
        .order_by("position", "pk")
        .values_list("symbol__code", flat=True)
    )


class TestTheStarter:
    def test_it_lists_291_symbols_on_two_boards_and_again_it_changes_nothing(self):
        first, again = StringIO(), StringIO()
        call_command("loadcatalogue", stdout=first)
        assert Symbol.objects.count() == 291
        assert [board.slug for board in Board.objects.all()] == ["crypto", "stock-market"]
        assert len(codes_on("crypto")) + len(codes_on("stock-market")) == 291
        assert codes_on("crypto")[:2] == ["BTC-USD", "ETH-USD"]
        assert first.getvalue().split(": ", 1)[1] == (
            "291 rows, 291 added, 0 updated, 0 unchanged\n"
        )
        before = list(Symbol.objects.values())
        call_command("loadcatalogue", stdout=again)
        assert again.getvalue().endswith("0 added, 0 updated, 291 unchanged\n")
        assert list(Symbol.objects.values()) == before


class TestLoading:
    def test_a_row_becomes_a_symbol_with_its_codes_on_the_board_of_its_kind(self, load: Loader):
        load(HEADER + APPLE + BITCOIN)
        apple = Symbol.objects.get(code="AAPL")
        assert (apple.name, apple.kind, apple.exchange) == ("Apple", "stock", "NASDAQ")
        assert (apple.tick_size, apple.start) == (Decimal("0.01"), 200)
        assert codes_on("crypto") == ["BTC-USD"]
        assert codes_on("stock-market") == ["AAPL"]
        assert str(ProviderSymbol.objects.get()) == "coinbase:BTC-USD"

    def test_any_provider_may_have_a_column_of_codes(self, load: Loader):
        load(
            "symbol,name,kind,exchange,currency,finnhub,alpaca,database\n"
            "AAPL,Apple,stock,NASDAQ,USD,AAPL,,apple_1\n"
        )
        codes = ProviderSymbol.objects.values_list("provider", "code")
        assert sorted(codes) == [("database", "apple_1"), ("finnhub", "AAPL")]

    def test_it_prints_the_result_of_each_row(self, load: Loader):
        load(HEADER + APPLE)
        output = load(HEADER + APPLE.replace("Apple", "Apple Inc.") + BITCOIN)
        assert output.splitlines() == [
            "mine.csv: UTF-8, commas, decimal point, 2 rows",
            "line 2: AAPL updated",
            "line 3: BTC-USD added",
            "mine.csv: 2 rows, 1 added, 1 updated, 0 unchanged",
        ]

    def test_it_states_which_known_symbols_are_new_on_a_board(self, load: Loader):
        load(HEADER + APPLE + BITCOIN)
        changed = HEADER + APPLE + BITCOIN.replace("Bitcoin", "Coin") + APPLE.replace("AAPL", "B")
        output = load(changed, "--board", "mine")
        assert output.splitlines()[1:] == [
            "line 2: AAPL unchanged, put on board mine",
            "line 3: BTC-USD updated, put on board mine",
            "line 4: B added",
            "mine.csv: 3 rows, 1 added, 1 updated, 1 unchanged, 2 put on a board",
        ]
        assert load(changed, "--board", "mine").endswith("0 added, 0 updated, 3 unchanged\n")

    def test_it_names_exchanges_whose_hours_are_not_known(self, load: Loader):
        output = load(HEADER + APPLE.replace("NASDAQ", "NASDAK") + BITCOIN)
        assert "market hours are not known for: NASDAK (docs/operations.md has" in output
        assert "not known" not in load(HEADER + APPLE + BITCOIN)

    def test_it_can_keep_silent(self, load: Loader):
        assert load(HEADER + APPLE, verbosity=0) == ""

    def test_all_may_go_on_one_board_that_is_made(self, load: Loader):
        load(HEADER + APPLE + BITCOIN, "--board", "my-favourites")
        board = Board.objects.get()
        assert (board.slug, board.title) == ("my-favourites", "My favourites")
        assert codes_on("my-favourites") == ["AAPL", "BTC-USD"]

    def test_new_ones_stand_at_the_end_of_the_board(self, load: Loader):
        load(HEADER + BITCOIN)
        load(HEADER + BITCOIN.replace("BTC", "ETH") + BITCOIN)
        assert codes_on("crypto") == ["BTC-USD", "ETH-USD"]

    def test_new_ones_stand_at_the_end_of_a_board_with_gaps(self, load: Loader):
        load(HEADER + BITCOIN)
        BoardSymbol.objects.update(position=100)
        load(HEADER + BITCOIN.replace("BTC", "ETH"))
        assert codes_on("crypto") == ["BTC-USD", "ETH-USD"]

    @pytest.mark.parametrize(
        ("given", "currency", "start", "tick_size"),
        [
            ("GBp", "GBP", "73.42", "0.005"),
            ("gbx", "GBP", "73.42", "0.005"),
            ("ZAc", "ZAR", "73.42", "0.005"),
            ("Ila", "ILS", "73.42", "0.005"),
            ("USX", "USD", "73.42", "0.005"),
            ("KWF", "KWD", "7.342", "0.0005"),
            ("gbp", "GBP", "7342", "0.5"),
        ],
    )
    def test_prices_in_small_units_become_prices_in_the_currency(
        self, load: Loader, given: str, currency: str, start: str, tick_size: str
    ):
        load(HEADER + f"VOD.L,Vodafone,stock,LSE,{given},,0.5,7342\n")
        vodafone = Symbol.objects.get()
        assert (vodafone.currency, vodafone.start) == (currency, Decimal(start))
        assert vodafone.tick_size == Decimal(tick_size)

    def test_what_was_switched_off_stays_off(self, load: Loader):
        load(HEADER + APPLE)
        Symbol.objects.update(active=False)
        load(HEADER + APPLE.replace("Apple", "Apple Inc."))
        assert not Symbol.objects.get().active

    def test_a_row_can_switch_a_symbol_off_and_set_its_age(self, load: Loader):
        load(HEADER + APPLE)
        header = HEADER.strip() + ",active,stale_after\n"
        output = load(header + APPLE.strip() + ",No,90\n")
        apple = Symbol.objects.get(code="AAPL")
        assert (apple.active, apple.stale_after) == (False, 90)
        assert "AAPL updated" in output
        assert "AAPL unchanged" in load(header + APPLE.strip() + ",,\n")
        with pytest.raises(CommandError) as refused:
            load(header + APPLE.strip() + ",perhaps,1.5\n")
        assert "active: 'perhaps' is invalid, must be one of: yes, no, true," in str(refused.value)
        assert "stale_after: '1.5' is invalid, must be whole seconds above 0" in str(refused.value)

    def test_nothing_is_deleted(self, load: Loader):
        load(HEADER + APPLE + BITCOIN)
        load(HEADER + APPLE)
        assert Symbol.objects.count() == 2
        assert codes_on("crypto") == ["BTC-USD"]
        assert ProviderSymbol.objects.count() == 1

    def test_an_empty_cell_keeps_the_tick_size_from_a_provider(self, load: Loader):
        load(HEADER + BITCOIN)
        Symbol.objects.update(tick_size=Decimal("0.01"))
        assert "1 unchanged" in load(HEADER + BITCOIN)
        assert Symbol.objects.get().tick_size == Decimal("0.01")

    def test_another_code_at_a_provider_replaces_the_old(self, load: Loader):
        load(HEADER + BITCOIN)
        assert "1 updated" in load(HEADER + BITCOIN.replace(",BTC-USD,", ",XBT-USD,"))
        assert ProviderSymbol.objects.get().code == "XBT-USD"

    def test_what_spreadsheets_write_is_read(self, load: Loader):
        text = (HEADER + APPLE).replace("\n", "\r\n").replace("Apple", '"Apple, Inc."')
        load(b"\xef\xbb\xbf" + text.encode())
        assert Symbol.objects.get().name == "Apple, Inc."

    def test_a_sheet_of_a_german_excel_is_read_and_the_output_states_as_what(self, load: Loader):
        text = (HEADER + APPLE).replace(",", ";").replace("0.01", "0,01").replace("200", "1.234,50")
        output = load(f"sep=;\r\n{text.replace('stock', 'Stock').upper()}".encode("utf-16"))
        assert output.splitlines()[:2] == [
            "mine.csv: UTF-16, semicolons, decimal comma, 1 row",
            "line 3: AAPL added",
        ]
        apple = Symbol.objects.get()
        assert (apple.tick_size, apple.start) == (Decimal("0.01"), Decimal("1234.5"))

    def test_blank_lines_count_as_none(self, load: Loader):
        assert ": 1 row, 1 added" in load(HEADER + "\n" + APPLE + "\n\n")


FAULTS = {
    "a wrong header": (
        "ticker,title\nAAPL,Apple\n",
        (
            "line 1: columns 'symbol', 'name', 'kind', 'exchange', 'currency' are missing, "
            "the required columns are: symbol, name, "
        ),
    ),
    "an unknown column": (
        HEADER.replace("start", "price") + APPLE,
        "line 1: unknown column 'price', must be one of: symbol, name, kind,",
    ),
    "a column of no provider": (
        HEADER.replace("coinbase", "coinbse") + APPLE,
        "line 1: unknown column 'coinbse', must be one of: symbol, name, kind,",
    ),
    "a column twice": (HEADER.replace("tick_size", "name") + APPLE, "line 1:"),
    "a short row": (
        HEADER + APPLE + "BTC-USD,Bitcoin,crypto\n",
        "line 3: has 3 cells, must have as many as line 1",
    ),
    "a row of one cell": (HEADER + "AAPL\n", "line 2: has 1 cell, must have as many as line 1"),
    "a long row": (
        HEADER + "AAPL,Apple,stock,NASDAQ,USD,,0.01,200,9\n",
        "line 2: has 9 cells, must have as many as line 1",
    ),
    "a bad kind": (
        HEADER + APPLE.replace("stock", "house"),
        (
            "line 2: kind: 'house' is not a valid kind, must be one of: crypto, stock, etf, "
            "index, fund, bond, currency, future"
        ),
    ),
    "a bad symbol": (
        HEADER + APPLE.replace("AAPL", "aapl"),
        "line 2: symbol: Write “AAPL” in place of “aapl”",
    ),
    "no symbol": (HEADER + APPLE.replace("AAPL", ""), "line 2: symbol: This field cannot be blank"),
    "no name": (HEADER + APPLE.replace("Apple", " "), "line 2: name: This field cannot be blank"),
    "a bad currency": (HEADER + APPLE.replace("USD", "$"), "line 2: currency: “$” is not a valid"),
    "a tick of zero": (
        HEADER + APPLE.replace("0.01", "0"),
        "line 2: tick_size: '0' is invalid, must be a number above 0",
    ),
    "a bad tick": (
        HEADER + APPLE.replace("0.01", "1/8"),
        "line 2: tick_size: '1/8' is invalid, must",
    ),
    "a tick of nan": (HEADER + APPLE.replace("0.01", "NaN"), "line 2: tick_size: 'NaN' is"),
    "a tick too fine": (HEADER + APPLE.replace("0.01", "1E-13"), "line 2: tick_size: Ensure"),
    "a start too high": (HEADER + APPLE.replace("200", "1E+30"), "line 2: start: Ensure"),
    "a long code": (
        HEADER + BITCOIN.replace(",BTC-USD,", f",{'B' * 61},"),
        "line 2: coinbase: En",
    ),
    "a duplicate": (HEADER + APPLE + BITCOIN + APPLE, "line 4: symbol 'AAPL' is already on line 2"),
    "two encodings": (
        (HEADER + APPLE.replace("Apple", "Äpple")).encode() + "Ä".encode("cp1252"),
        "line 3: is not UTF-8: ",
    ),
    "a spreadsheet": (b"PK\x03\x04", "the file is a spreadsheet (such as .xlsx or .ods) or an"),
    "an open quote": (
        HEADER + APPLE.replace("Apple", '"Apple'),
        "line 2: invalid CSV: a cell begins with a quotation mark and has none at its end",
    ),
    "a huge cell": (
        HEADER + APPLE.replace("Apple", "A" * 200_000),
        "line 2: has more than 50,000 characters",
    ),
    "an empty file": ("", "the file is empty"),
    "a header alone": (HEADER, "the file has no rows below line 1"),
    "a NUL in the symbol": (HEADER + APPLE.replace("AAPL", "AA\0PL"), "line 2: "),
    "a NUL in the name": (HEADER + APPLE.replace("Apple", "App\0le"), "line 2: "),
    "only NULs": (b"\0" * 100, "line 1: columns 'symbol', "),
    "a direction in the name": (HEADER + APPLE.replace("Apple", "A\u202ee"), "line 2: name: Rem"),
}


class TestTheStarterAgain:
    """A second run without a file, as docs/operations.md describes it."""

    def test_overwrites_edited_names_and_puts_symbols_back(self):
        call_command("loadcatalogue", verbosity=0)
        Symbol.objects.filter(code="BTC-USD").update(name="My coin", active=False)
        Symbol.objects.get(code="ETH-USD").delete()
        BoardSymbol.objects.get(symbol__code="AAPL").delete()
        call_command("loadcatalogue", "--if-empty", verbosity=0)
        assert Symbol.objects.get(code="BTC-USD").name == "My coin"
        call_command("loadcatalogue", verbosity=0)
        bitcoin = Symbol.objects.get(code="BTC-USD")
        assert (bitcoin.name, bitcoin.active) == ("Bitcoin", False)
        assert codes_on("crypto")[-1] == "ETH-USD"
        assert codes_on("stock-market")[-1] == "AAPL"


class TestFaults:
    @pytest.mark.parametrize(("content", "words"), FAULTS.values(), ids=FAULTS)
    def test_an_invalid_file_is_refused_with_the_line_and_nothing_is_changed(
        self, load: Loader, content: str | bytes, words: str
    ):
        load(HEADER + "MSFT,Microsoft,stock,NASDAQ,USD,,,\n")
        with pytest.raises(CommandError) as refused:
            load(content)
        assert "mine.csv was not loaded and nothing was changed:\n" in str(refused.value)
        assert f"\n{words}" in str(refused.value)
        assert [symbol.code for symbol in Symbol.objects.all()] == ["MSFT"]
        assert Board.objects.count() == 1

    def test_all_errors_are_named_at_once(self, load: Loader):
        with pytest.raises(CommandError) as refused:
            load(HEADER + APPLE.replace("stock", "house") + BITCOIN + BITCOIN)
        lines = str(refused.value).splitlines()
        assert [line.partition(":")[0] for line in lines[1:]] == ["line 2", "line 4"]

    def test_they_are_in_english_on_a_german_site(self, load: Loader, settings: Any):
        settings.LANGUAGE_CODE = "de"
        with pytest.raises(CommandError) as refused:
            load(HEADER + APPLE.replace("Apple,stock", ",shares"))
        error = "line 2: name: This field cannot be blank; kind: 'shares' is not a valid kind, must"
        assert str(refused.value).splitlines()[1].startswith(error)

    def test_all_errors_of_a_row_are_one_clause_each(self, load: Loader):
        with pytest.raises(CommandError) as refused:
            load(HEADER + "AAPL,,stock,NASDAQ,$,,,\n")
        [line] = str(refused.value).splitlines()[1:]
        assert line.startswith("line 2: name: This field cannot be blank; currency: “$” is not a")
        assert not line.endswith(".")

    def test_of_very_many_errors_fifty_are_named_and_the_rest_counted(self, load: Loader):
        with pytest.raises(CommandError) as refused:
            load(HEADER + "aapl,Apple,stock,NASDAQ,USD,,,\n" * 80)
        assert len(str(refused.value).splitlines()) == 52
        assert str(refused.value).endswith("… and 30 more")

    def test_what_a_refused_file_was_read_as_is_printed(self, tmp_path: Path):
        path, output = tmp_path / "mine.csv", StringIO()
        path.write_text("symbol;title\n")
        with pytest.raises(CommandError, match="unknown column 'title'"):
            call_command("loadcatalogue", str(path), stdout=output)
        assert output.getvalue() == "mine.csv: UTF-8, semicolons\n"

    def test_a_missing_file_is_reported(self, tmp_path: Path):
        path = tmp_path / "nowhere.csv"
        with pytest.raises(CommandError, match=r"Can't read .*nowhere.csv: No such file"):
            call_command("loadcatalogue", str(path))

    def test_a_folder_is_refused(self, tmp_path: Path):
        with pytest.raises(CommandError, match=r"Can't read .*: Is a directory"):
            call_command("loadcatalogue", str(tmp_path))

    def test_a_file_that_the_system_does_not_give_is_refused(self):
        with pytest.raises(CommandError, match=r"Can't read /proc/self/mem: \w"):
            call_command("loadcatalogue", "/proc/self/mem")

    @pytest.mark.parametrize("slug", ["my favourites", "../etc", "<b>", "b" * 51])
    def test_a_board_needs_a_slug(self, load: Loader, slug: str):
        with pytest.raises(CommandError, match="--board"):
            load(HEADER + APPLE, "--board", slug)
        assert not Symbol.objects.exists()


@pytest.mark.parametrize(
    ("field", "largest", "too_large"),
    [
        ("start", "99999999999.999999999999", "999999999999.999999999999"),
        ("tick_size", "9999999.999999999999", "99999999.999999999999"),
    ],
)
def test_a_number_that_is_accepted_can_be_read_again(field: str, largest: str, too_large: str):
    symbol = Symbol(code="AAPL", name="Apple", kind="stock", currency="USD")
    setattr(symbol, field, Decimal(too_large))
    with pytest.raises(ValidationError, match=field):
        symbol.full_clean()
    setattr(symbol, field, Decimal(largest))
    symbol.full_clean()
    symbol.save()
    assert getattr(Symbol.objects.get(), field) == pytest.approx(Decimal(largest))
