"""The German catalogues: every text has a translation, and the compiled files are up to date."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import translation

from quotes.providers import REGISTRY, provider_class
from quotes.shown import ATTRIBUTIONS
from tests.conftest import lacking
from tests.servers import ROOT

CATALOGUE = Path("locale/de/LC_MESSAGES/django.po")
APPS = (ROOT / "quotes", ROOT / "site" / "logins", ROOT / "site" / "quoteboard")
COMPILED = CATALOGUE.with_suffix(".mo")


@pytest.fixture
def gettext() -> None:
    """The programs of gettext."""
    if not shutil.which("msgfmt") or not shutil.which("xgettext"):
        lacking("gettext", "gettext")


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def copy_with_templates(app: Path, folder: Path) -> None:
    """Copy an app and its templates, which are outside of it: those of `quotes`, or the others."""
    shutil.copytree(app, folder)
    if app.name == "quotes":
        shutil.copytree(ROOT / "templates" / "quotes", folder / "templates")
    elif app.name == "quoteboard":
        others = shutil.ignore_patterns("quotes")
        shutil.copytree(ROOT / "templates", folder / "templates", ignore=others)


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_every_text_is_translated_and_nothing_else(
    gettext: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any, app: Path
):
    settings.LOCALE_PATHS = []  # else the catalogue there would be written
    copy_with_templates(app, tmp_path / app.name)
    monkeypatch.chdir(tmp_path / app.name)
    call_command("makemessages", locale=["de"], verbosity=0)
    for kind in ("--untranslated", "--only-fuzzy", "--only-obsolete"):
        assert run("msgattrib", kind, "--no-wrap", str(CATALOGUE)) == "", kind


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_the_compiled_catalogue_is_up_to_date(gettext: None, tmp_path: Path, app: Path):
    compiled = tmp_path / "django.mo"
    run("msgfmt", "--check-format", "--output-file", str(compiled), str(app / CATALOGUE))
    assert run("msgunfmt", str(app / COMPILED)) == run("msgunfmt", str(compiled))


@pytest.mark.parametrize("name", REGISTRY)
def test_the_attribution_of_each_provider_is_translated(name: str):
    written = provider_class(name).attribution
    assert written in ATTRIBUTIONS
    with translation.override("de"):
        assert translation.gettext(written) != written
