"""Live tags in places where nothing can be live: in debug mode, the log names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.template.loader import get_template

from quotes.embeds.position import place_after

TAG = '{% live_quote "BTC-USD" %}'


@pytest.mark.parametrize(
    ("before", "place"),
    [
        ("<title>", "<title>"),
        ("<title>{% block title %}", "<title>"),
        ("<title>A</title><p>", ""),
        ('<a title="', "an attribute"),
        ("<meta content='{{ words }} ", "an attribute"),
        ('<a href="{% url "a" %}" title="A">', ""),
        ("<select><option>A<option>", "<option>"),
        ("<select><option>A<option>B</select>", ""),
        ("<TEXTAREA>", "<textarea>"),
        ("<textarea></textarea>", ""),
        ("<svg><text>", "<svg>"),
        ("<svg/>", ""),
        ("<svg><foreignObject><p>", ""),
        ("<script>if (a<b) c = '", "<script>"),
        ("<style>a { } ", "<style>"),
        ("<!-- ", "a comment"),
        ("<!-- <title> -->", ""),
        ("{# <title> #}", ""),
        ("{% comment %}\n<title>{% endcomment %}", ""),
        ("{% if a %}<svg a>{% else %}<svg b>{% endif %}</svg>", ""),
        ("5 < 6 & 7 <", ""),
    ],
)
def test_a_place_is_known_from_the_template_before_it(before: str, place: str):
    assert place_after(before) == place


@pytest.fixture
def templates(settings: Any, tmp_path: Path) -> Path:
    """A folder for templates, in debug mode."""
    [given] = settings.TEMPLATES
    options = given["OPTIONS"] | {"debug": True}
    settings.TEMPLATES = [given | {"DIRS": [tmp_path], "OPTIONS": options}]
    return tmp_path


def test_the_log_names_the_template_the_line_and_the_other_tag_once(
    templates: Path, caplog: pytest.LogCaptureFixture
):
    page = templates / "page.html"
    page.write_text(f"{{% load quotes %}}<head>\n<title>{TAG}</title></head>\n<p>{TAG}</p>")
    for _ in "ab":
        get_template("page.html")
    place = f"{page}, line 2: the tag live_quote stands in <title>"
    assert caplog.messages == [f"{place}, where nothing can be live; use quote_value there"]


def test_a_live_table_is_named_as_well(templates: Path, caplog: pytest.LogCaptureFixture):
    (templates / "kept.html").write_text("{% load quotes %}<svg>{% live_quotes %}</svg>")
    get_template("kept.html")
    assert "the tag live_quotes stands in <svg>" in caplog.text


def test_without_debug_mode_and_for_other_tags_the_log_stays_empty(
    templates: Path, settings: Any, caplog: pytest.LogCaptureFixture
):
    (templates / "value.html").write_text(
        '{% load quotes %}<title>{% quote_value "BTC-USD" %}{% quotes_head %}</title>'
    )
    (templates / "live.html").write_text(f"{{% load quotes %}}<title>{TAG}</title>")
    get_template("value.html")
    [given] = settings.TEMPLATES
    settings.TEMPLATES = [given | {"OPTIONS": given["OPTIONS"] | {"debug": False}}]
    get_template("live.html")
    assert caplog.messages == []
