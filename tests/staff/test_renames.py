"""A file of renames: all of its rows are carried out, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from quotes.models import Alias, ProviderSymbol, Symbol
from tests.servers import ROOT
from tests.snippets import snippets

Output = pytest.CaptureFixture[str]


@pytest.fixture
def listed(db: None) -> None:
    """FB, TWTR and AAPL, with codes at a provider."""
    for code in ("FB", "TWTR", "AAPL"):
        symbol = Symbol.objects.create(code=code, name=code, kind="stock", currency="USD")
        ProviderSymbol.objects.create(symbol=symbol, provider="finnhub", code=code)


def run(folder: Path, text: str, *options: str) -> None:
    file = folder / "renames.csv"
    file.write_text(text)
    call_command("renamesymbols", str(file), *options)


def refusal(folder: Path, text: str) -> list[str]:
    """The lines of the error with which a file is refused."""
    with pytest.raises(CommandError) as refused:
        run(folder, text)
    return str(refused.value).splitlines()[1:]


def codes() -> set[str]:
    return {*Symbol.objects.values_list("code", flat=True)}


@pytest.mark.parametrize("header", ["", "Old,New,Date\n"])
def test_a_file_renames_its_symbols(listed: None, tmp_path: Path, capsys: Output, header: str):
    run(tmp_path, f"{header}FB,META,2022-06-09\ntwtr,X,\n")
    first = 2 if header else 1
    assert capsys.readouterr().out.splitlines() == [
        f"line {first}: FB renamed to META",
        f"line {first + 1}: TWTR renamed to X",
        "renames.csv: 2 rows",
    ]
    assert codes() == {"META", "X", "AAPL"}
    known = {each.code: (each.symbol.code, str(each.until)) for each in Alias.objects.all()}
    assert known == {"FB": ("META", "2022-06-09"), "TWTR": ("X", "None")}
    assert {*ProviderSymbol.objects.values_list("code", flat=True)} == {"FB", "TWTR", "AAPL"}


def test_a_file_can_be_loaded_again(listed: None, tmp_path: Path, capsys: Output):
    run(tmp_path, "FB,META\n")
    run(tmp_path, "FB,META\n")
    assert "line 1: FB is META already" in capsys.readouterr().out


def test_a_dry_run_changes_nothing(listed: None, tmp_path: Path, capsys: Output):
    run(tmp_path, "FB,META\n", "--dry-run")
    assert capsys.readouterr().out.splitlines() == [
        "line 1: FB renamed to META",
        "renames.csv: 1 row (dry run: nothing was changed)",
    ]
    assert codes() == {"FB", "TWTR", "AAPL"}
    assert not Alias.objects.exists()


def test_codes_of_providers_are_renamed_on_request(listed: None, tmp_path: Path, capsys: Output):
    run(tmp_path, "FB,META\n", "--provider-codes")
    assert "line 1: FB renamed to META, its code at finnhub too" in capsys.readouterr().out
    assert ProviderSymbol.objects.get(symbol__code="META", provider="finnhub").code == "META"


def test_one_wrong_row_keeps_all_from_being_renamed(listed: None, tmp_path: Path):
    assert refusal(tmp_path, "FB,META\nTWTR,AAPL\nNOPE,X\n") == [
        (
            "line 2: “AAPL” is the code of another symbol. Choose another one, or merge “TWTR” "
            "into “AAPL”."
        ),
        "line 3: there is no symbol 'NOPE'",
    ]
    assert codes() == {"FB", "TWTR", "AAPL"}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("FB,META\nMETA,FB\n", "line 2: 'FB' got this code on line 1: remove one of both"),
        ("FB,META\nFB,X\n", "line 2: 'FB' is renamed on line 1 already"),
        ("FB,FB\n", "line 1: 'FB' is both codes: give the old one and the new one"),
        ("FB\n", "line 1: has 1 cell, must have an old code, a new code and perhaps a date"),
        ("FB,A//B\n", "line 1: No part of “A//B” between slashes may be empty, “.” or “..”."),
        (f"FB,{'A' * 61}\n", f"line 1: '{'A' * 39} has 61 characters, must have at most 60"),
        ("FB,META,9/6/22\n", "line 1: '9/6/22' is not a valid date, must be like 2026-11-30"),
        ("FB,META,9999-01-01\n", "line 1: 9999-01-01 is in the future: load this row on that day"),
        ("old,new\n", "the file has no rows"),
    ],
)
def test_an_invalid_row_is_named_with_its_reason(
    listed: None, tmp_path: Path, text: str, error: str
):
    assert refusal(tmp_path, text) == [error]


def test_errors_are_in_english_on_a_german_site(listed: None, tmp_path: Path, settings: Any):
    settings.LANGUAGE_CODE = "de"
    assert refusal(tmp_path, "FB,A//B\n")[0].startswith("line 1: No part of “A//B” between slashes")
    assert refusal(tmp_path, "%PDF-1.7")[0].startswith("the file is a PDF, must be CSV")
    assert refusal(tmp_path, "FB,AAPL\n")[0].startswith("line 1: “AAPL” is the code of another")


def test_a_chain_of_renames_ends_at_the_last_code(listed: None, tmp_path: Path):
    run(tmp_path, "FB,META\nMETA,MVRS\n")
    assert codes() == {"MVRS", "TWTR", "AAPL"}
    assert {each.code: each.symbol.code for each in Alias.objects.all()} == {
        "FB": "MVRS",
        "META": "MVRS",
    }


def test_the_commands_of_the_documentation_work(
    listed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
):
    document = ROOT / "docs" / "operations.md"
    [rows] = [each for each in snippets("csv", document) if each.startswith("FB,")]
    [commands] = [each for each in snippets("sh", document) if "renamesymbols" in each]
    Symbol.objects.filter(code="TWTR").update(code="SQ")
    (tmp_path / "renames.csv").write_text(rows)
    monkeypatch.chdir(tmp_path)
    for command in commands.splitlines():
        call_command(*command.removeprefix(".venv/bin/python manage.py ").split())
    assert codes() == {"META", "XYZ", "AAPL"}
    assert ProviderSymbol.objects.get(symbol__code="META", provider="finnhub").code == "META"
