"""Old names: accepted for one release, with a warning that names the new one."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.template import Context, Template

from quotes import conf
from quotes.checks.installation import check_overrides
from quotes.checks.settings import check_settings
from quotes.conf import renamed
from quotes.models import Symbol
from quotes.testing.market import LiveQuotes
from tests.servers import ROOT

ACCEPTED = "The old name is accepted until the next release"


@pytest.fixture
def old_pace(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """PACE is the new name of INTERVAL, which the site still has."""
    monkeypatch.setitem(renamed.SETTINGS, "INTERVAL", "PACE")
    settings.QUOTES = {"INTERVAL": 1.5}


@pytest.mark.usefixtures("old_pace")
def test_an_old_setting_is_read_with_a_warning():
    words = f"the key of QUOTES 'INTERVAL' is now 'PACE'. {ACCEPTED}"
    with pytest.warns(DeprecationWarning, match=words):
        assert conf.get("PACE") == 1.5


@pytest.mark.usefixtures("old_pace")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_check_names_an_old_setting_and_an_invalid_value_of_it(settings: Any):
    [found] = check_settings()
    assert found.id == "quotes.W033"
    assert "'INTERVAL' is now 'PACE'" in found.msg
    settings.QUOTES = {"INTERVAL": 0}
    assert [each.id for each in check_settings()] == ["quotes.W033", "quotes.E006"]


@pytest.mark.usefixtures("old_pace")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_new_setting_counts_if_a_site_has_both(settings: Any):
    settings.QUOTES = {"INTERVAL": 1.5, "PACE": 2.5}
    assert conf.get("PACE") == 2.5


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    """The folder of a site's templates, which come before ours."""
    settings.TEMPLATES = [settings.TEMPLATES[0] | {"DIRS": [tmp_path, ROOT / "templates"]}]
    (tmp_path / "quotes").mkdir()
    return tmp_path / "quotes"


@pytest.mark.parametrize(
    ("new", "tag"),
    [
        ("quotes/_price.html", '{% live_quote "AAPL" %}'),
        ("quotes/_entry.html", '{% live_quotes "AAPL" %}'),
        ("quotes/static_quote.html", '{% static_quote "AAPL" %}'),
        ("quotes/static_quote.txt", '{% static_quote "AAPL" text=True %}'),
    ],
)
def test_an_old_template_of_a_site_is_used_and_named_by_a_check(
    folder: Path, monkeypatch: pytest.MonkeyPatch, live_quotes: LiveQuotes, new: str, tag: str
):
    monkeypatch.setitem(renamed.TEMPLATES, "quotes/old_name.html", new)
    (folder / "old_name.html").write_text("<b >Mine</b>")
    Symbol.objects.create(code="AAPL", name="Apple Inc.", kind="stock", currency="USD")
    live_quotes.push("AAPL", "101")
    assert "Mine" in Template("{% load quotes %}" + tag).render(Context())
    [found] = check_overrides()
    assert found.id == "quotes.W033"
    assert f"the template 'quotes/old_name.html' is now '{new}'" in found.msg


def test_an_old_logger_gets_the_records_of_the_new_one(monkeypatch: pytest.MonkeyPatch):
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    old, new = logging.getLogger("quotes.before"), logging.getLogger("quotes.after")
    old.addHandler(handler)
    old.setLevel(logging.DEBUG)
    monkeypatch.setitem(renamed.LOGGERS, "quotes.before", "quotes.after")
    monkeypatch.setattr(new, "parent", new.parent)
    apps.get_app_config("quotes").ready()
    logging.getLogger("quotes.after").debug("a detail")
    old.removeHandler(handler)
    assert [each.getMessage() for each in records] == ["a detail"]


@pytest.mark.parametrize(
    ("old", "new", "series"),
    [
        ("quotes_connections", "quotes_sockets", "quotes_connections 0.0"),
        ("quotes_messages", "quotes_frames", "quotes_messages_total 0.0"),
    ],
)
def test_a_metric_has_its_old_name_too(
    monkeypatch: pytest.MonkeyPatch, live_quotes: LiveQuotes, client: Any,
    old: str, new: str, series: str,
):  # fmt: skip
    monkeypatch.setitem(renamed.METRICS, old, new)
    lines = client.get("/metrics").content.decode().splitlines()
    assert series in lines
    assert series.replace(old, new) in lines
    assert f"# HELP {series.split(maxsplit=1)[0]} The old name of {new}" in lines
