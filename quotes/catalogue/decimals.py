"""Numbers as spreadsheets of any language write them, read only if there is no doubt."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

from django.utils.formats import get_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from quotes.catalogue.words import quoted
from quotes.quote.values import price

MARKS = {".": _("decimal point"), ",": _("decimal comma")}
FITS = {  # by the mark of the file
    ",": _("%(text)s fits a decimal point, the file has a decimal comma"),
    ".": _("%(text)s fits a decimal comma, the file has a decimal point"),
}
OTHER = {".": ",", ",": "."}
SPACES = r"\s\u2009'’"  # or quotation marks, between thousands


def _pattern(mark: str) -> re.Pattern[str]:
    grouped = rf"[1-9]\d{{0,2}}([{OTHER[mark]}{SPACES}])\d{{3}}(?:\2\d{{3}})*(?!.*E)"
    pattern = rf"(\d*|{grouped})(?:{re.escape(mark)}(\d*))?(E[+-]?\d{{1,3}})?"
    return re.compile(pattern, re.ASCII | re.IGNORECASE)


PATTERNS = {mark: _pattern(mark) for mark in OTHER}


def readings(text: str) -> dict[str, Decimal]:
    """Return the positive numbers that a text can be, by decimal mark.

    A text such as “1.234” is 1.234 with a decimal point and 1234 with a decimal comma.
    """
    found = {}
    for mark, pattern in PATTERNS.items():
        if match := pattern.fullmatch(text):
            whole, group, fraction, exponent = (part or "" for part in match.groups())
            value = price(f"{whole.replace(group, '')}.{fraction}{exponent}")
            if value is not None:
                found[mark] = value
    return found


def mark_of(texts: Iterable[str]) -> str:
    """Return the decimal mark of the first number that can be read in one way only, or ""."""
    return next((mark for text in texts if len(found := readings(text)) == 1 for mark in found), "")


def number(text: str, mark: str) -> Decimal:
    """Return a number above 0 of a file with a decimal mark, which is "" if it is not known.

    Raise ValueError for anything else, and where a number could be a thousand times as large.
    """
    found = readings(text)
    values = sorted(set(found.values()))
    if not values:
        words = gettext("%(text)s is invalid, must be a number above 0")
        raise ValueError(words % {"text": quoted(text)})
    if mark and mark not in found:
        raise ValueError(FITS[mark] % {"text": quoted(text)})
    if len(values) == 1:
        return values[0]
    if mark and mark in text:
        return found[mark]
    small, large = values
    used = "." if "." in text else ","
    clear = str(small).replace(".", mark) if mark else f"{small}0".replace(".", used)
    words = gettext("%(text)s may be %(small)s or %(large)s: write %(clear)s or %(large)s")
    shown = str(small).replace(".", get_format("DECIMAL_SEPARATOR"))
    named = {"text": quoted(text), "small": shown, "large": large, "clear": clear}
    raise ValueError(words % named)
