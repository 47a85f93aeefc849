"""Loads: files of symbols that operators have loaded or looked at, and what came of each."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from quotes.models.uploads import KEPT as PREVIEWS_KEPT
from quotes.models.uploads import Upload

KEPT = timedelta(days=30)


class Load(models.Model):
    """A file that is loaded, or only compared for a preview. One file is loaded at a time.

    The row of a load that has changed something is written in the same transaction. So as long as
    it is not `DONE`, nothing is changed.
    """

    class State(models.TextChoices):
        RUNNING = "running", _("in progress")
        SHOWN = "shown", _("shown")  # a preview
        DONE = "done", _("loaded")
        REFUSED = "refused", _("refused")
        CANCELLED = "cancelled", _("cancelled")
        FAILED = "failed", _("failed")
        LOST = "lost", _("ended without a result")

    name = models.CharField(_("file"), max_length=255)
    by = models.CharField(_("user"), max_length=150)  # the name stays after the account
    at = models.DateTimeField(_("time"), default=timezone.now, db_index=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    is_preview = models.BooleanField(default=False)
    upload = models.ForeignKey(Upload, models.SET_NULL, null=True, blank=True, related_name="+")
    board = models.CharField(max_length=50, blank=True)  # slug; empty for that of each kind
    seal = models.CharField(max_length=64, blank=True)  # of what a preview has shown
    state = models.CharField(max_length=9, choices=State, default=State.RUNNING)
    cancelled_by = models.CharField(max_length=150, blank=True)
    holder = models.CharField(max_length=100)  # the process that works, as "host:pid"
    seen_at = models.DateTimeField(db_default=Now())  # when the holder last gave a sign of life
    step = models.PositiveSmallIntegerField(default=1)
    done = models.PositiveIntegerField(default=0)  # rows in this step
    of = models.PositiveIntegerField(default=0)
    counts = models.JSONField(default=dict)  # rows by what was done with them
    report = models.JSONField(default=dict)  # the errors, or the rows that change something

    class Meta:
        ordering = ("-at", "-pk")
        verbose_name = _("load of a file")
        verbose_name_plural = _("recent loads")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["state"],
                condition=models.Q(state="running", is_preview=False),
                name="one_load_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def forget_old(cls) -> None:
        """Delete previews whose files are no longer kept, and loads that are too old."""
        now = timezone.now()
        old = models.Q(at__lt=now - KEPT) | models.Q(at__lt=now - PREVIEWS_KEPT, is_preview=True)
        cls.objects.filter(old).delete()
