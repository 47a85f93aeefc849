"""Bulk changes: what an operator changed of many symbols at once, with the values before."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

UNDO_FOR = timedelta(hours=1)
KEPT = timedelta(days=30)


class BulkChange(models.Model):
    """A change of many symbols, which can be undone for an hour."""

    class Action(models.TextChoices):
        SWITCH_ON = "switch_on", _("Switch on")
        SWITCH_OFF = "switch_off", _("Switch off")
        PUT = "put", _("Put on a board")
        MOVE = "move", _("Move to a board")
        REMOVE = "remove", _("Remove from a board")
        ORDER = "order", _("Order the providers")

    action = models.CharField(_("action"), max_length=20, choices=Action)
    detail = models.CharField(_("detail"), max_length=200, blank=True)  # a reason, a board
    at = models.DateTimeField(_("time"), default=timezone.now, db_index=True)
    by = models.CharField(_("user"), max_length=150)  # the name stays after the account
    count = models.PositiveIntegerField(_("symbols"))
    symbols = models.JSONField()  # by key: the code, and the states before and after
    # its entry, unless that was deleted as one of too many
    history = models.ForeignKey("HistoryEntry", models.SET_NULL, null=True, related_name="+")
    undone_at = models.DateTimeField(_("undone"), null=True, blank=True)
    undone_by = models.CharField(_("undone by"), max_length=150, blank=True)

    class Meta:
        ordering = ("-at", "-pk")
        verbose_name = _("bulk change")
        verbose_name_plural = _("recent bulk changes")

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.get_action_display(), self.detail)))

    @property
    def undoable(self) -> bool:
        """Whether it can still be undone."""
        return self.undone_at is None and timezone.now() < self.at + UNDO_FOR
