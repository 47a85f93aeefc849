"""Numbers and times as people read them, in the reader's language.

Formatting happens once per tick and language, with separators looked up once per language:
Django's own filters do the same work for every cell of every row.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cache
from typing import NamedTuple

from django.utils import dateformat, timezone, translation
from django.utils.formats import get_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, ngettext, pgettext

MINUS = "−"
ARROWS = {"up": "▲", "down": "▼", "flat": "•"}
COLLAPSED_ZEROS = 4  # after the decimal separator: below 0.0001
ROUNDING = Context(prec=400, rounding=ROUND_HALF_UP)  # more digits than any provider lets through
MOST_DIGITS = 30
UNITS = ((Decimal(10) ** 12, "T"), (Decimal(10) ** 9, "B"), (Decimal(10) ** 6, "M"))


class Separators(NamedTuple):
    """What stands between digits in one language."""

    decimal: str
    thousand: str


@cache
def separators(language: str) -> Separators:
    """Return the separators of a language, as Django knows them."""
    return Separators(
        get_format("DECIMAL_SEPARATOR", language, use_l10n=True),
        get_format("THOUSAND_SEPARATOR", language, use_l10n=True),
    )


def rounded_to(value: Decimal, digits: int) -> Decimal:
    """Round half up to this many decimals, however long the number is."""
    return value.quantize(Decimal(1).scaleb(-digits), context=ROUNDING)


def number(value: Decimal, digits: int, language: str) -> str:
    """Write a number with this many decimals, rounded half up: 64123.4 as 64,123.40."""
    rounded = rounded_to(value, digits)
    text = f"{abs(rounded):,f}"
    if rounded < 0:
        text = MINUS + text
    marks = separators(language)
    return text.translate({ord(","): marks.thousand, ord("."): marks.decimal})


def signed(value: Decimal, digits: int, language: str) -> str:
    """Write a number with its sign; what rounds to zero has none."""
    rounded = rounded_to(value, digits)
    if not rounded:
        return number(Decimal(0), digits, language)
    return ("+" if rounded > 0 else "") + number(rounded, digits, language)


def percent(value: Decimal, language: str) -> str:
    """Write a percentage with sign and two decimals: +1.25 %."""
    return signed(value, 2, language) + "\N{NO-BREAK SPACE}%"


def compact(value: Decimal, language: str) -> str:
    """Write a large number short: 1234567 as 1.23M; a small one with two decimals at most."""
    for size, unit in UNITS:
        if rounded_to(value / size, 2) >= 1:
            return number(value / size, 2, language) + unit
    if value >= 1000 or value == value.to_integral_value():
        return number(value, 0, language)
    return number(value, 2, language)


def plain(value: Decimal) -> str:
    """Write every digit for machines and screen readers: never an exponent."""
    return f"{value:f}"


def price_digits(value: Decimal, digits: int | None) -> int:
    """Return how many decimals a price takes: its tick size's, else those it came with.

    A price that its tick size would round to zero keeps two digits that say something.
    """
    if digits is None:
        exponent = value.as_tuple().exponent
        digits = max(2, -exponent if isinstance(exponent, int) else 2)
    if value and abs(value) < Decimal(1).scaleb(-digits):
        digits = 1 - value.adjusted()
    return min(digits, MOST_DIGITS)


def price(value: Decimal, digits: int | None, language: str) -> SafeString:
    """Write a price; below 0.0001 its zeros are counted in a <sub>: 0.0₅1234.

    Screen readers and the clipboard get the whole number.
    """
    return collapsed(number(value, price_digits(value, digits), language), language)


def price_change(value: Decimal, digits: int, language: str) -> SafeString:
    """Write what a price moved by, signed, and as narrow as the price itself: +0.0₇12."""
    return collapsed(signed(value, digits, language), language)


def collapsed(text: str, language: str) -> SafeString:
    """Count the zeros of a written number below 0.0001 in place of writing them; of 0 keep two."""
    mark = separators(language).decimal
    whole, _, fraction = text.partition(mark)
    rest = fraction.lstrip("0")
    zeros = len(fraction) - len(rest)
    if whole.lstrip("+" + MINUS) != "0" or zeros < COLLAPSED_ZEROS:
        return mark_safe(text)  # noqa: S308  digits, sign and separators only
    short = format_html("0<sub>{}</sub>{}", zeros, rest) if rest else "00"
    return format_html(
        '<span class="quotes-tiny" aria-hidden="true">{}{}{}</span>'
        '<span class="quotes-whole">{}</span>',
        whole,
        mark,
        short,
        text,
    )


def direction(change: Decimal | None, digits: int) -> str:
    """Return "up", "down" or "flat", as the change reads when it is rounded."""
    if change is None:
        return "flat"
    rounded = rounded_to(change, digits)
    return "up" if rounded > 0 else "down" if rounded < 0 else "flat"


def clock(moment: datetime) -> str:
    """Write the time of day in the site's time zone, to the second."""
    return f"{timezone.localtime(moment):%H:%M:%S}"


def day_and_time(moment: datetime, seen_from: datetime) -> str:
    """Write a moment in the site's time zone: “Mon 15:30”, or “3 Nov” where that is far away.

    Far is where a weekday might be another week's. `seen_from` need not be now: what stands on a
    page must not change its meaning at midnight.
    """
    far = abs(moment - seen_from) >= timedelta(days=6)
    pattern = pgettext("day and month, for Django's date filter", "j M") if far else "D H:i"
    text = dateformat.format(timezone.localtime(moment), pattern)
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def age(seconds: float, language: str) -> str:
    """Write how old something is, in the largest unit that fits a narrow column: “5 min old”."""
    span = timedelta(seconds=seconds)
    with translation.override(language):
        if span.days:
            return ngettext("%(n)d day old", "%(n)d days old", span.days) % {"n": span.days}
        if hours := span.seconds // 3600:
            return gettext("%(n)d h old") % {"n": hours}
        if minutes := span.seconds // 60:
            return gettext("%(n)d min old") % {"n": minutes}
        return gettext("<1 min old")
