"""A ready template prints what Django prints of the same template."""

from __future__ import annotations

from typing import Any

import pytest
from django.template import Context, Engine
from django.utils.safestring import SafeString

from quotes.fragments.ready import Ready

VALUES: dict[str, Any] = {
    "shown": {
        "last": SafeString("1.5 <sub>4</sub>"),
        "name": "R&D <b>",
        "number": 1234.5,
        "nothing": None,
        "made": lambda: "now",
        "within": {"last": SafeString("<i>")},
    },
    "widget": "<row>",
}
SOURCES = (
    "a {{ shown.last }} b",
    "{{ shown.name }}{{ shown.number }}{{ shown.nothing }}{{ shown.made }}",
    "{{ shown.last|upper }}{{ shown.name|safe }}{{ shown.name|escape }}",
    "{{ shown.absent }}{{ absent.last }}{{ shown }}{{ shown.within.last }}{{ widget }}",
    "{% autoescape off %}{{ shown.name }}{% endautoescape %}{{ shown.last }}",
    "{% if shown.last %}{{ shown.last }}{% else %}none{% endif %}{{ shown.name }}",
    "{% with shown=shown.within %}{{ shown.last }}{% endwith %}{{ shown.last }}",
)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("autoescape", [True, False])
@pytest.mark.parametrize("invalid", ["", "no %s"])
def test_the_text_is_that_of_django(source: str, autoescape: bool, invalid: str):
    engine = Engine(autoescape=autoescape, string_if_invalid=invalid)
    template = engine.from_string(source)
    expected = template.render(Context(VALUES, autoescape=autoescape))
    assert Ready(template).render(VALUES) == expected


def test_without_shown_the_text_is_that_of_django():
    template = Engine().from_string("{{ shown.last }} {{ widget }}")
    assert Ready(template).render({"widget": 1}) == template.render(Context({"widget": 1}))


def test_a_template_that_extends_another_is_rendered_as_a_whole():
    base = "<{% block middle %}{% endblock %}>{{ shown.last }}"
    child = "{% extends 'base' %}{% block middle %}{{ shown.last }}{% endblock %}"
    loader = ("django.template.loaders.locmem.Loader", {"base": base, "child": child})
    template = Engine(loaders=[loader]).get_template("child")
    last = VALUES["shown"]["last"]
    assert Ready(template).render(VALUES) == f"<{last}>{last}"


def test_an_error_names_its_place_while_a_site_is_debugged():
    class Broken(dict[str, str]):
        def __missing__(self, name: str) -> str:
            raise ZeroDivisionError(name)

    template = Engine(debug=True).from_string("a\nb {{ shown.last }}")
    with pytest.raises(ZeroDivisionError) as raised:
        Ready(template).render({"shown": Broken()})
    assert raised.value.template_debug["line"] == 2  # type: ignore[attr-defined]
