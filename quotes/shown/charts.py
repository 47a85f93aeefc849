"""How charts write numbers and times, in one language. All texts are plain, not markup."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from typing import NamedTuple

from django.utils import dateformat, translation
from django.utils.translation import gettext, gettext_noop, pgettext

from quotes import formats
from quotes.charts.bars import DAY, MONTH, QUARTER, WEEK, YEAR, Bar
from quotes.charts.drawing import Reading

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
ABBREVIATED = Decimal(10) ** 9  # from here on, numbers are abbreviated on an axis
TITLES = {
    "1d": gettext_noop("1 day"),
    "5d": gettext_noop("5 days"),
    "1m": gettext_noop("1 month"),
    "6m": gettext_noop("6 months"),
    "ytd": gettext_noop("This year"),
    "1y": gettext_noop("1 year"),
    "5y": gettext_noop("5 years"),
    "all": gettext_noop("All years"),
}  # of quotes.charts.ranges.RANGES
UNITS = {WEEK: "week", MONTH: "whole month", QUARTER: "quarter", YEAR: "year"}


class Patterns(NamedTuple):
    """The items of a reading."""

    open: str
    high: str
    low: str
    close: str
    volume: str
    change: str
    nothing: str
    split: str


@cache
def patterns(language: str) -> Patterns:
    """Return the items of a reading in a language."""
    with translation.override(language):
        return Patterns(
            pgettext("the open of a bar of a chart", "Open {}"),
            pgettext("the highest price of a bar of a chart", "High {}"),
            pgettext("the lowest price of a bar of a chart", "Low {}"),
            pgettext("the close of a bar of a chart", "Close {}"),
            pgettext("the volume of a bar of a chart", "Vol {}"),
            pgettext("the change of a bar of a chart", "{} since the bar before"),
            pgettext("in place of the prices of a bar of a chart", "No data"),
            pgettext("at the day of a split in a chart", "Split {}"),
        )


class ChartTexts:
    """Writes what a chart shows, see `quotes.charts.drawing.Texts`.

    `digits` are the decimals of a price by its tick size; None if that is not known.
    """

    def __init__(self, language: str, digits: int | None) -> None:
        self.language, self.digits = language, digits

    def price(self, value: Decimal) -> str:
        """Write a price; below 0.0001 a small digit counts the zeros: 0.0₅1234."""
        return self._short(formats.number(value, self.digits_of(value), self.language))

    def digits_of(self, value: Decimal) -> int:
        """Return with how many decimals a price is written."""
        return formats.price_digits(value, self.digits)

    def axis(self, value: Decimal, step: Decimal) -> str:
        """Write a price with the digits of a step, and abbreviate a very large one."""
        for size, pattern in formats.notation(self.language).large:
            if abs(value) >= max(size, ABBREVIATED):
                return pattern.format(self._stepped(value / size, step / size))
        return self._short(self._stepped(value, step))

    def percent(self, value: Decimal) -> str:
        """Write a percentage without its sign."""
        pattern = formats.notation(self.language).percent
        return pattern.format(formats.number(abs(value), 2, self.language))

    def percent_axis(self, value: Decimal, step: Decimal) -> str:
        """Write a percentage with its sign and the digits of a step."""
        pattern = formats.notation(self.language).percent
        return pattern.format(formats.signed(value, _decimals(step), self.language))

    def mark(self, moment: datetime, unit: str) -> str:
        """Write a time of the axis as its "time", "day", "month" or "year"."""
        return f"{moment:%H:%M}" if unit == "time" else _date(moment.date(), unit, self.language)

    def when(self, start: datetime, step: int) -> str:
        """Write when a bar of this many seconds began."""
        if step < DAY:
            return f"{_date(start.date(), 'day', self.language)}, {start:%H:%M %Z}"
        return _date(start.date(), UNITS.get(step, "date"), self.language)

    def period(self, start: datetime, step: int) -> str:
        """Write when a bar of this many seconds began and ended."""
        if step >= DAY:
            return self.when(start, step)
        end = start + timedelta(seconds=step)
        return f"{_date(start.date(), 'day', self.language)}, {start:%H:%M}–{end:%H:%M %Z}"

    @property
    def nothing(self) -> str:
        """Return the text of a gap."""
        return patterns(self.language).nothing

    def split(self, ratio: str) -> str:
        """Write the mark of a split, such as 4:1."""
        return patterns(self.language).split.format(ratio)

    def reading(
        self, when: str, bar: Bar | None, change: Decimal | None, *, short: bool = False
    ) -> Reading:
        """Write the values of a bar, or the text of a gap.

        The change stands behind the volume in words, or else behind the close as a percentage.
        """
        words = patterns(self.language)
        if bar is None:
            return (when, self.nothing, ""), ("",) * 5
        volume = "" if bar.volume is None else words.volume.format(self._volume(bar.volume))
        since = formats.percent(change, self.language) if change is not None else ""
        in_words = "" if short or not since else words.change.format(since)
        prices = (word.format(self.price(each)) for word, each in zip(words, bar[1:5]))  # noqa: B905
        return (when, volume, in_words), (*prices, since if short else "")

    def comparison(self, when: str, changes: Iterable[tuple[str, Decimal | None]]) -> Reading:
        """Write the changes of symbols, with a dash if there is none."""
        return (when,), [f"{name} {self.changed(each)}" for name, each in changes]

    def changed(self, change: Decimal | None) -> str:
        """Write a change of a comparison, or a dash."""
        return "–" if change is None else formats.percent(change, self.language)

    def _stepped(self, value: Decimal, step: Decimal) -> str:
        return formats.number(value, _decimals(step), self.language)

    def _volume(self, volume: Decimal) -> str:
        for size, pattern in formats.notation(self.language).large:
            if volume >= size:
                return pattern.format(formats.number(volume / size, 2, self.language))
        digits = 0 if volume >= 1000 or volume == volume.to_integral_value() else 2
        return formats.number(volume, digits and formats.significant(volume, 2), self.language)

    def _short(self, text: str) -> str:
        mark = formats.notation(self.language).decimal
        whole, _, fraction = text.partition(mark)
        rest = fraction.lstrip("0")
        zeros = len(fraction) - len(rest)
        if whole != "0" or zeros < formats.COLLAPSED_ZEROS or not rest:
            return text
        return f"0{mark}0{str(zeros).translate(SUBSCRIPTS)}{rest}"


@lru_cache(maxsize=10_000)
def _date(day: date, unit: str, language: str) -> str:
    """Write a date in full, or the day, week, month, quarter or year that it begins."""
    if unit == "quarter":
        return f"Q{(day.month + 2) // 3} {day.year}"
    with translation.override(language):
        pattern = {
            "day": pgettext("day and month, for Django's date filter", "j M"),
            "month": "M",
            "year": "Y",
            "date": pgettext("day, month and year, for Django's date filter", "j M Y"),
            "week": pgettext("day, month and year, for Django's date filter", "j M Y"),
            "whole month": "F Y",
        }[unit]
        text = dateformat.format(day, pattern)
        return gettext("Week of %(date)s") % {"date": text} if unit == "week" else text


def _decimals(step: Decimal) -> int:
    """Return with how many decimals a step is written."""
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
