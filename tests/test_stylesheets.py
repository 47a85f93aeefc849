"""The stylesheets: the rules that each may contain, so that foreign pages do not change."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from quotes.store import FLASH
from tests.servers import ROOT

STATIC = ROOT / "quotes" / "static" / "quotes"
OURS = re.compile(r"\.quotes?(?=[-.:\[ ]|$)")  # the beginning of each selector in other sites
SPLIT = re.compile(r",(?![^()]*(?:\([^()]*\)[^()]*)*\))")  # at commas outside of brackets


def rules(name: str) -> Iterator[tuple[str, str]]:
    """Return the (selector, declarations) of a stylesheet; a keyframe has its name for both."""
    css = re.sub(r"/\*.*?\*/", "", (STATIC / name).read_text(), flags=re.DOTALL)
    within: list[str] = []
    for before, mark in re.findall(r"([^{}]*)([{}])", css):
        if mark == "{":
            within.append(before.strip())
        elif not (opened := within.pop()).startswith("@") and "@keyframes" not in str(within):
            for selector in SPLIT.split(opened):
                yield selector.strip(), before.strip()
    assert within == [], "every bracket is closed"


def keyframes(name: str) -> list[str]:
    return re.findall(r"@keyframes\s+([\w-]+)", (STATIC / name).read_text())


def declared(declarations: str) -> list[str]:
    """Return the names of the properties that a rule sets."""
    return [each.partition(":")[0].strip() for each in declarations.split(";") if each.strip()]


def test_rules_are_read_as_browsers_read_them(tmp_path, monkeypatch):
    css = """/* a { } */ .a:is(b, c), d > e { x: 1; y: 2 }
    @media (width < 9px) { f { z: 3 } } @keyframes g { from { w: 4 } } h { v: 5 }"""
    (tmp_path / "some.css").write_text(css)
    monkeypatch.setattr("tests.test_stylesheets.STATIC", tmp_path)
    found = [(selector, declared(declarations)) for selector, declarations in rules("some.css")]
    assert found == [(".a:is(b, c)", ["x", "y"]), ("d > e", ["x", "y"]), ("f", ["z"]), ("h", ["v"])]


def test_a_flash_in_a_table_is_as_long_as_the_store_counts_it():
    lengths = {
        float(length)
        for _, declarations in rules("quotes.css")
        for length in re.findall(r"animation: quotes-flash-\d ([\d.]+)s", declarations)
    }
    assert lengths == {FLASH}


def test_every_selector_of_a_strange_page_begins_with_a_class_of_ours():
    found = [s for name in ("reset.css", "quotes.css") for s, _ in rules(name)]
    assert len(found) > 100
    assert [selector for selector in found if not OURS.match(selector)] == []


def test_the_theme_sets_its_own_properties_and_the_scheme_of_quotes_and_outweighs_nothing():
    quotes = ":where(.live-quotes, .live-quote-foot, .quotes-inline, .quote[data-symbol])"
    for selector, declarations in rules("theme.css"):
        if selector == quotes:
            assert declared(declarations) == ["color-scheme"]
        else:
            assert all(name.startswith("--quotes-") for name in declared(declarations))
        assert re.sub(r":where\([^()]*\)", "", selector) == ""


@pytest.mark.parametrize(
    "name", ["theme.css", "reset.css", "quotes.css", "page.css", "boards.css", "symbol.css"]
)
def test_what_has_a_name_in_a_whole_page_has_our_prefix(name: str):
    named = [n for _, declarations in rules(name) for n in declared(declarations)]
    named = [n for n in named if n.startswith("--")] + keyframes(name)
    assert [n for n in named if not n.removeprefix("--").startswith("quotes-")] == []


def test_every_property_that_is_used_has_a_value_in_the_theme():
    given = {name for _, declarations in rules("theme.css") for name in declared(declarations)}
    for name in ("quotes.css", "page.css", "boards.css", "symbol.css"):
        given |= {each for _, declarations in rules(name) for each in declared(declarations)}
        assert set(re.findall(r"var\((--[\w-]+)\)", (STATIC / name).read_text())) <= given
