"""Model fields that store exact values on every database."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import models

from quotes.quote.values import EPOCH

if TYPE_CHECKING:
    Text = models.TextField[Any, Any]
    Integer = models.BigIntegerField[Any, Any]
else:
    Text, Integer = models.TextField, models.BigIntegerField

MIDDLE = 50  # makes two digits of each power of ten that a price may have, -30 to 30
NEGATIVE, END = "1", "z"  # around the text of a negative number
TO_NINE = str.maketrans("0123456789", "9876543210")


def to_text(number: Decimal) -> str:
    """Return a Decimal as a text that keeps all digits and sorts like the number.

    The text is the power of ten of the first digit, then the digits: 123.40 is "5212340". SQLite
    keeps only 15 digits of a number. Texts keep all of them, and compare correctly.

    In the text of a negative number, each digit is what it lacks to 9, because a larger size sorts
    first: -123.40 is "14787659z". The 1 sorts it before all other numbers, whose texts begin with
    2 or more. The z sorts it behind longer texts, as -1.2 is larger than -1.23.
    """
    digits = str(number.copy_abs()).partition("E")[0].replace(".", "").lstrip("0") or "0"
    text = f"{MIDDLE + number.adjusted():02d}{digits}"
    return f"{NEGATIVE}{text.translate(TO_NINE)}{END}" if number < 0 else text


def from_text(text: str) -> Decimal:
    """Return the Decimal that `to_text` wrote."""
    negative = text.startswith(NEGATIVE)
    if negative:
        text = text.removeprefix(NEGATIVE).removesuffix(END).translate(TO_NINE)
    power, digits = int(text[:2]) - MIDDLE, text[2:]
    return Decimal((negative, tuple(map(int, digits)), power - len(digits) + 1))


def from_seconds(seconds: int) -> datetime:
    """Return whole seconds since 1970 as aware UTC."""
    return EPOCH + timedelta(seconds=seconds)


class ExactField(Text):
    """A Decimal, such as a price or an amount."""

    def from_db_value(self, value: str | None, *args: Any) -> Decimal | None:
        """Return the stored text as a Decimal."""
        return None if value is None else from_text(value)

    def get_prep_value(self, value: Any) -> str | None:
        """Return a number as the text to store."""
        return None if value is None else to_text(Decimal(value))


class SecondsField(Integer):
    """An aware time in whole seconds. In SQLite it takes a third of a DateTimeField's space."""

    def from_db_value(self, value: int | None, *args: Any) -> datetime | None:
        """Return the stored seconds since 1970 as aware UTC."""
        return None if value is None else from_seconds(value)

    def get_prep_value(self, value: Any) -> int | None:
        """Return an aware time as whole seconds since 1970."""
        return None if value is None else int(value.timestamp())
