"""The position of a live tag in its template: in some places of HTML, nothing can be live.

In debug mode, Django's lexer knows where each tag stands. So the text before it shows what is open.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

from django.template.base import Node, Origin, Parser, Token, tag_re

logger = logging.getLogger(__name__)

# elements whose content is text, or that show no HTML
DEAD = frozenset(("title", "option", "select", "textarea", "svg", "script", "style"))
INSIDE = {"select": ("option",)}  # elements that end with another one
COMMENT = re.compile(r"{%\s*comment\b.*?%}.*?{%\s*endcomment\s*%}", re.DOTALL)

Compile = Callable[[Parser, Token], Node]


def checked(compile_tag: Compile) -> Compile:
    """Warn in debug mode, when a template is read, if a live tag stands where it can't be live."""

    def compile_and_check(parser: Parser, token: Token) -> Node:
        if token.position is not None and parser.origin is not None:
            _name_place(parser.origin, token, token.position[0])
        return compile_tag(parser, token)

    return compile_and_check


def place_after(source: str) -> str:
    """Return the place at the end of a part of a template, such as "<title>"; "" if it is usual."""
    html = tag_re.sub("", COMMENT.sub("", source))
    reader = _Reader(convert_charrefs=False)
    reader.feed(html)
    if reader.open:
        return f"<{reader.open[-1]}>"
    rest = re.match(r"<(!--|[a-z])", reader.rawdata, re.IGNORECASE)
    if rest is None:
        return ""
    return "a comment" if rest[1] == "!--" else "an attribute"


def _name_place(origin: Origin, token: Token, start: int) -> None:
    if origin.loader is None:  # a template that is no file
        return
    loader: Any = origin.loader
    place = place_after(loader.get_contents(origin)[:start])
    if place:
        logger.warning(
            "%s, line %d: the tag %s stands in %s, where nothing can be live; "
            "use quote_value there",
            origin.name,
            token.lineno,
            token.contents.split()[0],
            place,
        )


class _Reader(HTMLParser):
    """Knows which of the elements are open that show no HTML."""

    def __init__(self, *, convert_charrefs: bool) -> None:
        super().__init__(convert_charrefs=convert_charrefs)
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in DEAD:
            self.open.append(tag)
        elif tag == "foreignobject":  # HTML in SVG
            self.open = [each for each in self.open if each != "svg"]

    def handle_endtag(self, tag: str) -> None:
        # all of them, because branches of a template may open it several times
        ended = (tag, *INSIDE.get(tag, ()))
        self.open = [each for each in self.open if each not in ended]
