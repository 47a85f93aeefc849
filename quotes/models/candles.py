"""Candles, and the periods for which they are complete."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from quotes.fields import ExactField, SecondsField
from quotes.models.symbols import Symbol


def with_its_symbol(collector: Any, field: Any, rows: Any, using: str) -> None:
    """Delete rows with their symbol in one statement.

    With CASCADE the admin would read thousands of candles and list each of them.
    """
    collector.fast_deletes.append(rows)


with_its_symbol.lazy_sub_objs = True  # type: ignore[attr-defined]  # without it Django reads them


class Candle(models.Model):
    """Open, high, low, close and volume of a period.

    Only `quotes.candles.archive` writes candles.
    """

    pk = models.CompositePrimaryKey("symbol", "step", "start")
    symbol = models.ForeignKey(
        Symbol, with_its_symbol, related_name="candles", db_index=False, verbose_name=_("symbol")
    )
    step = models.PositiveIntegerField()  # seconds
    start = SecondsField()  # UTC; for a day, 00:00 UTC of its date at the exchange
    opened = models.BigIntegerField()  # time of its first quote, in microseconds after start
    open = ExactField()
    high = ExactField()
    low = ExactField()
    close = ExactField()
    closed = models.BigIntegerField()  # time of its last quote, in microseconds after start
    volume = ExactField(null=True)  # units of the base, or shares; None if it is not known
    counter = ExactField(null=True)  # the session's volume so far, as its provider counts it
    provider = models.CharField(max_length=20)  # its close is from this provider
    mixed = models.BooleanField(default=False)  # whether it contains quotes of other providers
    epoch = models.PositiveBigIntegerField()  # number of the feed's run
    # UTC, when a provider sent it that adjusts candles for splits; else None
    as_of = SecondsField(null=True)

    class Meta:
        verbose_name = _("candle")
        verbose_name_plural = _("candles")

    def __str__(self) -> str:
        return f"{self.step} s from {self.start:%Y-%m-%d %H:%M}: {self.close}"


class CandleSpan(models.Model):
    """The period for which all available candles of a symbol and step are stored."""

    pk = models.CompositePrimaryKey("symbol", "step")
    symbol = models.ForeignKey(Symbol, with_its_symbol, related_name="candle_spans", db_index=False)
    step = models.PositiveIntegerField()  # seconds
    since = SecondsField()  # UTC
    until = SecondsField()  # UTC

    class Meta:
        verbose_name = _("candle span")

    def __str__(self) -> str:
        return f"{self.step} s: {self.since} to {self.until}"
