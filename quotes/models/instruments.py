"""The lists of instruments that providers have."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from quotes.codes import MAX_CODE
from quotes.fields import ExactField
from quotes.models.candles import with_its_symbol


class InstrumentList(models.Model):
    """What is known about the list of a provider: when it was read, or why it was not."""

    provider = models.CharField(primary_key=True, max_length=20)
    read_at = models.DateTimeField(null=True)  # UTC; the stored instruments are of that time
    tried_at = models.DateTimeField(null=True)  # UTC
    count = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=500, blank=True)  # of the last try

    class Meta:
        verbose_name = _("list of instruments")

    def __str__(self) -> str:
        return f"{self.provider}: {self.count}"


class Instrument(models.Model):
    """A row of a provider's list: what an operator may add as a symbol.

    Only `quotes.instruments.lists` writes instruments.
    """

    provider = models.CharField(max_length=20)
    code = models.CharField(max_length=MAX_CODE)
    symbol = models.CharField(max_length=MAX_CODE)  # as we would call it
    name = models.CharField(max_length=100, blank=True)
    kind = models.CharField(max_length=10)
    exchange = models.CharField(max_length=30, blank=True)
    currency = models.CharField(max_length=10)
    tick_size = ExactField(null=True)
    base = models.CharField(max_length=MAX_CODE, blank=True)  # of a pair: what is priced
    isin = models.CharField(max_length=12, blank=True)

    class Meta:
        verbose_name = _("instrument")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["provider", "code"], name="one_row_per_code")
        ]
        indexes: ClassVar = [models.Index(fields=["symbol"], name="instruments_of_symbol")]

    def __str__(self) -> str:
        return f"{self.provider}:{self.code}"


class InstrumentTerm(models.Model):
    """A text under which an instrument is found, or the beginning of which is enough."""

    # bytes have the same order in every database; the order of texts depends on its collation
    term = models.BinaryField(max_length=48)
    weight = models.PositiveSmallIntegerField()  # 0: a code, 1: the first word of a name, 2: others
    instrument = models.ForeignKey(Instrument, with_its_symbol, related_name="terms")

    class Meta:
        verbose_name = _("search term")
        indexes: ClassVar = [models.Index(fields=["term", "weight"], name="terms_by_weight")]

    def __str__(self) -> str:
        return bytes(self.term).decode(errors="replace")  # it may be cut
