"""The state of the feed, and what changed for the processes that follow it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class FeedLease(models.Model):
    """The one row that names the process that runs the feed, and the epoch of that feed."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    epoch = models.PositiveBigIntegerField(default=0)
    holder = models.CharField(max_length=100, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    batch = models.PositiveBigIntegerField(default=0)  # the newest batch with stored quotes
    deployment = models.CharField(max_length=64, blank=True, default="")
    # the number of changes of symbols and boards so far
    changes = models.PositiveBigIntegerField(default=0, db_column="listings")

    class Meta:
        verbose_name = _("feed lease")
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(id=1), name="one_feed_lease")
        ]

    def __str__(self) -> str:
        return f"epoch {self.epoch}, {self.holder or 'no holder'}"


class Change(models.Model):
    """Something that changed, for processes that read only what did.

    `FeedLease.changes` counts the changes. A number without a row means that much changed. A row
    with the number 0 marks a transaction that is not counted yet.
    """

    class What(models.TextChoices):
        SYMBOL = "symbol"
        BOARD = "board"
        HOURS = "hours"  # of markets

    number = models.PositiveBigIntegerField(db_index=True)
    what = models.CharField(max_length=6, choices=What)
    key = models.BigIntegerField()  # of the symbol or board; 0 for hours

    class Meta:
        verbose_name = _("change")

    def __str__(self) -> str:
        return f"{self.number}: {self.what} {self.key}"


class ProviderUse(models.Model):
    """The number of requests that a provider got in a month, kept for the time after a restart."""

    provider = models.SlugField(primary_key=True, max_length=20)
    month = models.CharField(max_length=7)  # "2026-11", UTC
    requests = models.PositiveBigIntegerField()

    class Meta:
        verbose_name = _("provider usage")

    def __str__(self) -> str:
        return f"{self.provider} {self.month}: {self.requests}"
