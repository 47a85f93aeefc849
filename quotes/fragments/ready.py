"""Ready templates: their texts, with the strings of a state between them.

Each tick renders rows. For `{{ shown.last }}`, Django finds out what kind of value it is, and
whether it is to be called, localized or escaped. But `shown` is a dictionary of escaped strings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.template import Context, Node, Template
from django.template.base import FilterExpression, Variable, VariableNode
from django.utils.safestring import SafeString

SHOWN = "shown"  # the variable with the strings


class Ready:
    """A template that prints the strings of `shown` itself, and has Django render all else."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self.parts = [(_name(node), node) for node in template.nodelist]

    def render(self, values: dict[str, Any]) -> str:
        """Return the text of the template with these variables."""
        context, template = (
            Context(values, autoescape=self.template.engine.autoescape),
            self.template,
        )
        with context.render_context.push_state(template), context.bind_template(template):
            return "".join(self._texts(context, values.get(SHOWN)))

    def _texts(self, context: Context, shown: Any) -> Iterator[str]:
        for name, node in self.parts:
            if name:
                try:
                    text = shown[name]
                except Exception:
                    text = None  # Django decides what it prints then, or names the line
                if type(text) is SafeString:
                    yield text
                    continue
            yield str(node.render_annotated(context))


def _name(node: Node) -> str:
    """Return the name of a string of `shown` that a node prints as it is, or ""."""
    match node:
        case VariableNode(
            filter_expression=FilterExpression(
                filters=[], var=Variable(lookups=(variable, name), translate=False)
            )
        ) if variable == SHOWN:
            return str(name)
    return ""
