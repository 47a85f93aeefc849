"""The German catalogue: every text has a translation, and the compiled file is up to date."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.conftest import lacking
from tests.servers import ROOT

CATALOGUE = Path("locale/de/LC_MESSAGES/django.po")
COMPILED = CATALOGUE.with_suffix(".mo")


@pytest.fixture
def gettext() -> None:
    """The programs of gettext."""
    if not shutil.which("msgfmt") or not shutil.which("xgettext"):
        lacking("gettext", "gettext")


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_every_text_is_translated_and_nothing_else(
    gettext: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(ROOT / "quotes", tmp_path / "quotes")
    shutil.copytree(ROOT / "templates", tmp_path / "quotes" / "templates")
    monkeypatch.chdir(tmp_path / "quotes")
    call_command("makemessages", locale=["de"], verbosity=0)
    for kind in ("--untranslated", "--only-fuzzy", "--only-obsolete"):
        assert run("msgattrib", kind, "--no-wrap", str(CATALOGUE)) == "", kind


def test_the_compiled_catalogue_is_up_to_date(gettext: None, tmp_path: Path):
    compiled = tmp_path / "django.mo"
    written = ROOT / "quotes" / CATALOGUE
    run("msgfmt", "--check-format", "--output-file", str(compiled), str(written))
    assert run("msgunfmt", str(ROOT / "quotes" / COMPILED)) == run("msgunfmt", str(compiled))
