"""What the documents say is so: commands exist and run, snippets work, every setting is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import call_command, get_commands
from django.template import Context, Template

from quotes import conf
from quotes.models import Board
from tests.servers import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()


def snippets(language: str) -> list[str]:
    """Return the code blocks of a language in all documents."""
    text = "\n".join(path.read_text() for path in DOCUMENTS)
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_first_screen_of_the_readme_shows_the_page():
    top = (ROOT / "README.md").read_text().splitlines()[:12]
    assert any("docs/board-light.png" in line for line in top)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_links_to_is_there(path: Path):
    for target in re.findall(r"\]\(([^)#]+)\)|src(?:set)?=\"([^\"]+)\"", path.read_text()):
        name = "".join(target)
        if not name.startswith("http"):
            assert (path.parent / name).exists(), name


def test_every_make_target_in_the_documents_is_in_the_makefile():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {n for block in snippets("sh") for n in re.findall(r"\bmake ([a-z]+)", block)}
    assert {"run", "test"} <= named <= targets


def test_every_management_command_in_the_documents_exists():
    text = "\n".join(path.read_text() for path in DOCUMENTS)
    named = set(re.findall(r"manage\.py ([a-z]+)", text))
    assert {"loadcatalogue", "runfeed"} <= named <= set(get_commands())


@pytest.mark.django_db
def test_the_catalogue_command_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    [line] = [
        line for block in snippets("sh") for line in block.splitlines() if "my-symbols" in line
    ]
    (tmp_path / "my-symbols.csv").write_text(
        "symbol,name,kind,exchange,currency\nAAPL,Apple Inc.,stock,NASDAQ,USD\n"
    )
    monkeypatch.chdir(tmp_path)
    call_command(*line.partition("manage.py ")[2].split(), verbosity=0)
    assert Board.objects.get(slug="my-board").symbols.get().code == "AAPL"


@pytest.mark.django_db
@pytest.mark.parametrize("snippet", snippets("django"))
def test_a_template_in_the_documents_renders(snippet: str):
    call_command("loadcatalogue", verbosity=0)
    page = Template(snippet).render(Context({"watched_codes": ["BTC-USD", "AAPL"]}))
    assert "quotes.css" in page
    assert "Unknown" not in page


@pytest.mark.parametrize("snippet", snippets("python"))
def test_python_in_the_documents_is_python(snippet: str):
    compile(snippet, "a document", "exec")


def test_settings_in_the_documents_are_settings():
    for snippet in snippets("python"):
        if "QUOTES = " in snippet:
            given: dict[str, dict[str, object]] = {}
            exec(snippet, given)
            assert given["QUOTES"].keys() <= conf.DEFAULTS.keys()


def test_every_environment_variable_is_documented():
    source = (ROOT / "site" / "quoteboard" / "settings.py").read_text()
    read = set(re.findall(r'"((?:DJANGO|QUOTES|DATABASE|REDIS)_[A-Z_]+)"', source))
    read -= {"DJANGO_SETTINGS_MODULE"}
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", CONFIGURATION.partition("## The app")[0]))
    assert read <= named
    assert named - read <= {
        "COINBASE_REST_URL",
        "COINBASE_WS_URL",
        "SIMULATED_RATE",
        "SIMULATED_SEED",
    }


def test_every_key_of_the_app_is_documented():
    table = CONFIGURATION.partition("## The app")[2]
    assert set(re.findall(r"^\| `([A-Z_]+)`", table, re.MULTILINE)) == conf.DEFAULTS.keys()
