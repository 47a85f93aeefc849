"""Texts of strangers, short and printable, for errors, logs and terminals."""

from __future__ import annotations

import re
from typing import Any

MAX_SHOWN = 40  # characters of a value in an error
MAX_LINE = 500  # characters of a stranger's text in a log or on a terminal


def short(value: Any) -> str:
    """Return the beginning of a value on one line, for an error."""
    text = repr(value[: MAX_SHOWN + 1] if isinstance(value, str | bytes) else value)
    return re.sub(r"\s+", " ", text)[:MAX_SHOWN]


def printable(text: str) -> str:
    """Escape all characters of a text that can't be printed, or that turn or move others."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(text: str, most: int = MAX_LINE) -> str:
    """Return a text of a stranger for a log or a terminal: printable, on one line, and short."""
    if len(text) <= most and text.isprintable():
        return text
    shown = printable(" ".join(text[: most + 1].split()))
    return shown if len(shown) <= most else shown[: most - 1] + "…"
