"""Fragments in a message: each states in `hx-swap-oob` where htmx must put it."""

from __future__ import annotations

from functools import lru_cache

from quotes.htmx import dialect
from quotes.watch import Edition

MAX_KNOWN = 20_000  # swaps, which each message needs for each of its symbols


@lru_cache(maxsize=MAX_KNOWN)
def swap_for(target: str, edition: Edition, code: str = "") -> str:
    """Return a swap, with the code of a symbol in its selector, as the htmx of a page knows it."""
    return dialect.swap(target.format(code=in_selectors(code)), edition.htmx)


def inside(html: str, swap: str) -> str:
    """Return the message that replaces what is inside a place; htmx drops the outer element."""
    return f'<div hx-swap-oob="{swap}">{html}</div>'


def in_selectors(text: str) -> str:
    """Return a text as it must be written between the quotation marks of a selector."""
    return "".join(map(_in_selector, text))


def _in_selector(character: str) -> str:
    # six hexadecimal digits need no space after them; htmx would divide the value there
    plain = character.isascii() and (character.isalnum() or character in "-_.^=:")
    return character if plain else f"\\{ord(character):06x}"


def addressed(html: str, swap: str = "true", flash: str = "") -> str:
    """Add to the outermost tag, at its first space, where htmx must put it."""
    marks = f' hx-swap-oob="{swap}"' + (f' data-flash="{flash}"' if flash else "")
    return html.replace(" ", marks + " ", 1)
