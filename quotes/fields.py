"""Model fields that keep a value as exactly as it came, on every database."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import models

from quotes.quote import EPOCH

if TYPE_CHECKING:
    Text = models.TextField[Any, Any]
    Integer = models.BigIntegerField[Any, Any]
else:
    Text, Integer = models.TextField, models.BigIntegerField

MIDDLE = 50  # which makes two digits of any power of ten that a price may have, -30 to 30


def to_text(number: Decimal) -> str:
    """Write a Decimal that is not negative so that no digit is lost and texts sort as numbers do.

    First the power of ten of its first digit, then its digits: 123.40 is "5212340". SQLite keeps
    15 digits of a number, PostgreSQL all: as text both keep them, and compare them right.
    """
    digits = str(number).partition("E")[0].replace(".", "").lstrip("0") or "0"
    return f"{MIDDLE + number.adjusted():02d}{digits}"


def from_text(text: str) -> Decimal:
    """Read what `to_text` wrote."""
    power, digits = int(text[:2]) - MIDDLE, text[2:]
    return Decimal((0, tuple(map(int, digits)), power - len(digits) + 1))


class ExactField(Text):
    """A Decimal that is not negative: a price, an amount."""

    def from_db_value(self, value: str | None, *args: Any) -> Decimal | None:
        """Read it."""
        return None if value is None else from_text(value)

    def get_prep_value(self, value: Any) -> str | None:
        """Write it."""
        return None if value is None else to_text(Decimal(value))


class SecondsField(Integer):
    """An aware time in whole seconds: a third of the room that SQLite gives a DateTimeField."""

    def from_db_value(self, value: int | None, *args: Any) -> datetime | None:
        """Read it, in UTC."""
        return None if value is None else EPOCH + timedelta(seconds=value)

    def get_prep_value(self, value: Any) -> int | None:
        """Write it."""
        return None if value is None else int(value.timestamp())
