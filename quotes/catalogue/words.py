"""Errors of a file in the language of the operator: lines, texts of the file, words of Python."""

from __future__ import annotations

from django.utils.translation import gettext, gettext_noop, pgettext

from quotes.quote.texts import short

OF_PYTHON = (  # of its json and its codecs, so that they are translated
    gettext_noop("Expecting value"),
    gettext_noop("Expecting property name enclosed in double quotes"),
    gettext_noop("Expecting ':' delimiter"),
    gettext_noop("Expecting ',' delimiter"),
    gettext_noop("Illegal trailing comma before end of object"),
    gettext_noop("Illegal trailing comma before end of array"),
    gettext_noop("Unterminated string starting at"),
    gettext_noop("Invalid control character at"),
    gettext_noop("Invalid \\escape"),
    gettext_noop("Invalid \\uXXXX escape"),
    gettext_noop("invalid start byte"),
    gettext_noop("invalid continuation byte"),
    gettext_noop("unexpected end of data"),
    gettext_noop("character maps to <undefined>"),
    gettext_noop("truncated data"),
    gettext_noop("illegal encoding"),
    gettext_noop("illegal UTF-16 surrogate"),
)


def at_line(line: int, error: str) -> str:
    """Return an error with the line of the file where it is."""
    return gettext("line %(line)d: %(error)s") % {"line": line, "error": error}


def quoted(text: str) -> str:
    """Return the beginning of a text of a file on one line, in quotation marks of the language."""
    shown = short(text)
    marks = pgettext("the two quotation marks around a text of a file", "''")
    if marks == "''":
        return shown
    return f"{marks[0]}{shown[1:].removesuffix(shown[0])}{marks[1]}"
