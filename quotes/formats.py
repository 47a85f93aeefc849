"""Numbers and times as text for people, in their language.

Values are formatted once per tick and language, and its notation is looked up once.
Django's filters would do that work for every cell.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cache
from typing import NamedTuple

from django.utils import dateformat, timezone, translation
from django.utils.formats import get_format, number_format
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext, pgettext

MINUS = "−"
ARROWS = {"up": "▲", "down": "▼", "flat": "•"}
COLLAPSED_ZEROS = 4  # after the decimal separator: below 0.0001
ZEROS = "0" * COLLAPSED_ZEROS
WHOLE = '<span class="quotes-whole">'  # around all digits of a number that is also shown shortened
ROUNDING = Context(prec=400, rounding=ROUND_HALF_UP)  # more digits than any price has
ROUNDS_TO_ONE = Decimal("0.995")  # with two decimals
MAX_DIGITS = 30
MOVED = Decimal("0.001")  # the largest part of a price that rounding to its tick size may move


class Notation(NamedTuple):
    """The separators of a language, and its patterns for percentages and large numbers."""

    decimal: str
    marks: dict[int, str]  # Python's separators, by those of the language; empty if the same
    percent: str  # "{}%"
    large: tuple[tuple[Decimal, str], ...]  # the largest unit first: (1000000, "{}M")


@cache
def notation(language: str) -> Notation:
    """Return the notation of a language: Django's separators, and patterns of our catalogues."""
    with translation.override(language):
        decimal = get_format("DECIMAL_SEPARATOR", language, use_l10n=True)
        thousand = get_format("THOUSAND_SEPARATOR", language, use_l10n=True)
        return Notation(
            decimal,
            {} if (thousand, decimal) == (",", ".") else {ord(","): thousand, ord("."): decimal},
            pgettext("a percentage, such as +1.25", "{}%"),
            (
                (Decimal(10) ** 12, pgettext("a number of millions of millions", "{}T")),
                (Decimal(10) ** 9, pgettext("a number of thousands of millions", "{}B")),
                (Decimal(10) ** 6, pgettext("a number of millions", "{}M")),
            ),
        )


def language_of_texts(language: str) -> str:
    """Return the language in which a page in this language has our texts.

    It is the same one if a catalogue has them, ours or one of the site. Else it is that of the site
    or English, because gettext returns these. Django's own catalogues have only a few of the words.
    """
    with translation.override(language):
        found = pgettext("the code of the language of this catalogue", "en")
    return language if language.partition("-")[0] == found.partition("-")[0] else found


def counted(number: int, word: str) -> str:
    """Return a number of things for an operator, in English: "1 row", "2 rows"."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def grouped(number: int) -> str:
    """Return a whole number as the reader writes it: 20,000."""
    return number_format(number, force_grouping=True)


def rounded_to(value: Decimal, digits: int) -> Decimal:
    """Round half up to this many decimals; numbers may have any length."""
    return value.quantize(_unit(digits), context=ROUNDING)


@cache
def _unit(digits: int) -> Decimal:
    return Decimal(1).scaleb(-digits)


def number(value: Decimal, digits: int, language: str) -> str:
    """Write a number with this many decimals, rounded half up: 64123.4 as 64,123.40."""
    return _written(rounded_to(value, digits), language)


def _written(value: Decimal, language: str) -> str:
    """Write all digits of a number; zero has no sign."""
    text, marks = f"{value:,f}", notation(language).marks
    text = text.translate(marks) if marks else text
    return text.replace("-", MINUS if value else "", 1) if text[0] == "-" else text


def signed(value: Decimal, digits: int, language: str) -> str:
    """Write a number with its sign; a number that rounds to zero has no sign."""
    rounded = rounded_to(value, digits)
    return ("+" if rounded > 0 else "") + _written(rounded, language)


def percent(value: Decimal, language: str) -> str:
    """Write a percentage with sign and two decimals: +1.25%, in German +1,25 %."""
    return notation(language).percent.format(signed(value, 2, language))


def compact(value: Decimal, language: str) -> SafeString:
    """Write a large number abbreviated, 1234567 as 1.23M, and a small one with two decimals.

    A number below 1 keeps two significant digits: 0.0034.
    """
    for size, pattern in notation(language).large:
        if value >= size * ROUNDS_TO_ONE:
            return SafeString(escape(pattern.format(number(value / size, 2, language))))
    if value >= 1000 or value == value.to_integral_value():
        return collapsed(number(value, 0, language), language)
    return collapsed(number(value, significant(value, 2), language), language)


def significant(value: Decimal, digits: int) -> int:
    """Return the number of decimals that keeps two significant digits, and at least `digits`."""
    return min(max(digits, 1 - value.adjusted()), MAX_DIGITS)


def plain(value: Decimal) -> str:
    """Write all digits for machines and screen readers, without an exponent."""
    return f"{value:f}"


def price_digits(value: Decimal, digits: int | None) -> int:
    """Return how many decimals to show: those of the tick size, or else those of the price.

    A price keeps more digits if rounding would move it by over 0.1 %, as the middle of two ticks or
    a price of another market may be. It keeps two significant digits if it would become zero.
    """
    if digits is None:
        exponent = value.as_tuple().exponent
        digits = max(2, -exponent if isinstance(exponent, int) else 2)
    if value.adjusted() + digits >= 3:  # then half a unit of the last digit is not too much
        return min(digits, MAX_DIGITS)
    if value and abs(value) < _unit(digits):
        digits = significant(value, digits)
    while digits < MAX_DIGITS and abs(rounded_to(value, digits) - value) > MOVED * abs(value):
        digits += 1
    return min(digits, MAX_DIGITS)


def price(value: Decimal, digits: int | None, language: str) -> SafeString:
    """Write a price; below 0.0001 a <sub> shows the number of zeros: 0.0₅1234.

    Screen readers and the clipboard get the complete number.
    """
    return collapsed(number(value, price_digits(value, digits), language), language)


def price_change(value: Decimal, digits: int, language: str) -> SafeString:
    """Write the change of a price with its sign, as short as the price: +0.0₇12."""
    return collapsed(signed(value, digits, language), language)


def collapsed(text: str, language: str) -> SafeString:
    """Replace the zeros of a number below 0.0001 by their count; the number 0 keeps two zeros."""
    if ZEROS not in text:
        return SafeString(text)
    mark = notation(language).decimal
    whole, _, fraction = text.partition(mark)
    rest = fraction.lstrip("0")
    zeros = len(fraction) - len(rest)
    if whole.lstrip("+" + MINUS) != "0" or zeros < COLLAPSED_ZEROS:
        return SafeString(text)  # digits, sign and separators only
    short = format_html("0<sub>{}</sub>{}", zeros, rest) if rest else "00"
    return format_html(
        f'<span class="quotes-tiny" aria-hidden="true">{{}}{{}}{{}}</span>{WHOLE}{{}}</span>',
        whole,
        mark,
        short,
        text,
    )


def whole(text: str) -> str:
    """Return a number with all its digits, also if `collapsed` has shortened it."""
    return text.rpartition(WHOLE)[2].removesuffix("</span>")


def direction(change: Decimal | None, digits: int) -> str:
    """Return the direction of the change after rounding: "up", "down" or "flat"."""
    if change is None:
        return "flat"
    rounded = rounded_to(change, digits)
    return "up" if rounded > 0 else "down" if rounded < 0 else "flat"


def clock(moment: datetime, zone: tzinfo | None = None) -> str:
    """Write the time of day to the second, in a time zone or that of the page."""
    return _clock(timezone.localtime(moment, zone))


def clock_or_day(moment: datetime, now: datetime, zone: tzinfo | None = None) -> str:
    """Write the time of day to the second, or the day and the minute if it is not today."""
    local = timezone.localtime(moment, zone)
    today = local.date() == now.astimezone(local.tzinfo).date()
    return _clock(local) if today else day_and_time(moment, now)


def _clock(local: datetime) -> str:
    return local.time().isoformat("seconds")


def day_and_time(moment: datetime, seen_from: datetime) -> str:
    """Write a moment in the site's time zone: “Mon 15:30”, or “3 Nov” if it is six days away.

    A weekday alone would then be ambiguous. `seen_from` is a fixed moment, not now: the meaning of
    a text on a page must not change at midnight.
    """
    far = abs(moment - seen_from) >= timedelta(days=6)
    pattern = pgettext("day and month, for Django's date filter", "j M") if far else "D H:i"
    text = dateformat.format(timezone.localtime(moment), pattern)
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def age(seconds: float, language: str) -> str:
    """Write an age in its largest unit, short enough for a narrow column: “5 min old”.

    A negative age is written as 0: the clock of a source may be ahead of ours.
    """
    span = timedelta(seconds=max(0, seconds))
    with translation.override(language):
        if span.days:
            return ngettext("%(n)d day old", "%(n)d days old", span.days) % {"n": span.days}
        if hours := span.seconds // 3600:
            return gettext("%(n)d h old") % {"n": hours}
        if minutes := span.seconds // 60:
            return gettext("%(n)d min old") % {"n": minutes}
        return gettext("<1 min old")
