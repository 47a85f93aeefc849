"""Templates of a site that replace ours: old ones work, and a check finds them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.template import Context, Template

from quotes.checks.installation import check_overrides
from quotes.conf import overrides
from quotes.models import Board, BoardSymbol, Symbol
from quotes.testing.market import LiveQuotes
from tests import revisions
from tests.servers import ROOT
from tests.snippets import snippets

OLD = ROOT / "tests" / "browser" / "replaced" / "quotes"  # with the least that must be in them
TAGS = '{% load quotes %}{% live_quotes "BTC-USD" %}<p>{% live_quote "BTC-USD" %}</p>'
NEWEST = revisions.current()


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    """The folder of a site's templates, which come before ours."""
    settings.TEMPLATES = [settings.TEMPLATES[0] | {"DIRS": [tmp_path, ROOT / "templates"]}]
    (tmp_path / "quotes").mkdir()
    return tmp_path / "quotes"


def the_warning(folder: Path, name: str, text: str) -> CheckMessage:
    (folder / name).write_text(text)
    [found] = check_overrides()
    assert str(folder / name) in found.msg
    return found


def test_our_own_templates_replace_nothing():
    assert check_overrides() == []


def test_a_copy_of_the_newest_revision_is_fine(folder: Path):
    for name in NEWEST:
        shutil.copy(ROOT / "templates" / name, folder)
    assert len(list(overrides.find())) == len(NEWEST) > 10
    assert check_overrides() == []


@pytest.mark.parametrize("revision", [7, 999])
def test_a_copy_of_another_revision_is_named(folder: Path, revision: int):
    ours, _ = NEWEST["quotes/_row.html"]
    found = the_warning(folder, "_row.html", f"{{# quotes/_row.html, revision {revision} #}}<tr>")
    assert found.id == "quotes.W030"
    assert f"is a copy of revision {revision} of our template, which now has revision {ours}" in (
        found.msg
    )
    assert str(ROOT / "templates" / "quotes" / "_row.html") in str(found.hint)
    assert f"begin with  {{# quotes/_row.html, revision {ours} #}}" in str(found.hint)


@pytest.mark.parametrize("text", ["<tr>", "{# quotes/_entry.html, revision 1 #}<tr>"])
def test_a_template_that_states_no_revision_of_its_own_gets_a_remark(folder: Path, text: str):
    found = the_warning(folder, "_row.html", text)
    assert (found.id, found.level) == ("quotes.I032", 20)
    assert "{# quotes/_row.html, revision " in str(found.hint)


def test_a_template_that_may_change_in_every_release_is_named(folder: Path):
    found = the_warning(folder, "_opener.html", "<span>")
    assert found.id == "quotes.W031"
    assert "Remove it. docs/embedding.md lists" in str(found.hint)


def test_the_documented_template_that_only_extends_ours_is_fine(
    folder: Path, live_quotes: LiveQuotes, client: Any
):
    [text] = snippets(r"html\+jinja")
    (folder / "board.html").write_text(text)
    Board.objects.create(slug="coins", title="Coins")
    assert "<title>Coins at my site</title>" in client.get("/boards/coins/").content.decode()
    assert check_overrides() == []


def test_a_template_that_django_can_not_read_stops_no_check(folder: Path):
    (folder / "_row.html").write_text("{% nothing %}")
    assert check_overrides() == []


def test_every_template_that_a_site_may_replace_is_documented():
    document = (ROOT / "docs" / "embedding.md").read_text()
    part = document.partition("### How do I change the templates?")[2].partition("\n### Which")[0]
    assert [name for name in NEWEST if f"`{name}`" not in part] == []


# Old templates


def test_templates_without_new_fields_are_live(live_quotes: LiveQuotes, client: Any, settings: Any):
    settings.TEMPLATES = [settings.TEMPLATES[0] | {"DIRS": [OLD.parent, ROOT / "templates"]}]
    symbol = Symbol.objects.create(code="BTC-USD", name="Bitcoin", kind="crypto", currency="USD")
    board = Board.objects.create(slug="coins", title="Coins")
    BoardSymbol.objects.create(board=board, symbol=symbol, position=1)
    paths = ("/boards/coins/", "/symbols/BTC-USD/", "/")
    html = [client.get(path).content.decode() for path in paths]
    html.append(Template(TAGS).render(Context()))
    assert all('<a href="/">My site</a>' in each for each in html[:-1])
    pages = [live_quotes.open(each) for each in html]
    for last in ("64,000.01", "64,001.00"):
        live_quotes.push("BTC-USD", last.replace(",", ""))
        live_quotes.clock.shift(hours=2)  # stale
        assert [page["BTC-USD"]["last"] for page in pages] == [last] * 4


# Revisions


def test_a_template_that_changed_has_a_new_revision():
    assert revisions.recorded() == NEWEST, "a template changed: run `make revisions`"


def test_only_changed_templates_get_a_new_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(ROOT / "templates" / "quotes", tmp_path / "quotes")
    record = shutil.copy(revisions.RECORD, tmp_path)
    document = tmp_path / "embedding.md"
    document.write_text(overrides.Override("quotes/_row.html", Path(), 0, 1).mark)
    for name, value in (("FOLDER", tmp_path), ("RECORD", Path(record)), ("DOCUMENT", document)):
        monkeypatch.setattr(revisions, name, value)
    row = tmp_path / "quotes" / "_row.html"
    row.write_text(row.read_text().replace("<tr", "<tr lang='en'"))
    revisions.renew()
    raised = NEWEST["quotes/_row.html"][0] + 1
    now = revisions.current()
    assert now["quotes/_row.html"][0] == raised
    assert now == revisions.recorded()
    assert document.read_text() == f"{{# quotes/_row.html, revision {raised} #}}"
    assert {k: v for k, v in now.items() if k != "quotes/_row.html"} == {
        k: v for k, v in NEWEST.items() if k != "quotes/_row.html"
    }
    revisions.renew()
    assert revisions.current() == now
