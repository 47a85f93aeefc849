"""Changes that were not made with a form: by the feed, by commands, and of many rows at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from quotes.models.bulk import BulkChange

MAX_ENTRIES = 200_000
AT_ONCE = 500  # rows in a statement
MAX_NAME = 200  # characters


class Author(NamedTuple):
    """Somebody or something that changes rows."""

    role: str
    name: str = ""

    def __str__(self) -> str:
        """Return the user, the command or the feed."""
        if self.role == HistoryEntry.Role.COMMAND:
            return f"manage.py {self.name}"
        return self.name or gettext("the feed")


class HistoryEntry(models.Model):
    """A change of a row, or of many rows at once.

    Django's own history needs a user, and has an entry for each row. So it keeps only what users
    change with forms. Both are read together.
    """

    class Role(models.TextChoices):
        USER = "user", _("user")
        COMMAND = "command", _("command")
        FEED = "feed", _("the feed")

    class What(models.TextChoices):
        ADDED = "added", _("Added")
        CHANGED = "changed", _("Changed")
        DELETED = "deleted", _("Deleted")
        # of many rows, beside the actions of bulk changes
        UNDONE = "undone", _("Undone")
        LOADED = "loaded", _("Loaded from a file")
        RENAMED = "renamed", _("Renamed from a file")
        SIZED = "sized", _("Tick sizes of a provider")

    at = models.DateTimeField(default=timezone.now)  # in the order of the keys
    role = models.CharField(max_length=10, choices=Role)
    by = models.CharField(max_length=150, blank=True)  # a user or a command
    what = models.CharField(max_length=20, choices=[*What.choices, *BulkChange.Action.choices])
    reason = models.TextField(blank=True)
    values = models.JSONField(default=list)  # what changed, as staff.facts reads it
    # the row, which may be deleted since; an entry of many rows has none
    model = models.CharField(max_length=30, blank=True)
    key = models.BigIntegerField(null=True)
    name = models.CharField(max_length=MAX_NAME, blank=True)
    # the entry of all rows that were changed at once, which has the number of their symbols
    batch = models.ForeignKey("self", models.CASCADE, null=True, related_name="parts")
    count = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("-at", "-pk")
        verbose_name = _("change")
        verbose_name_plural = _("all changes")
        default_permissions = ()  # a user who may see a row may see its history
        indexes: ClassVar = [
            models.Index(fields=["model", "key"], name="history_of_row"),
            models.Index(fields=["model", "name"], name="history_of_name"),
            models.Index(fields=["role", "by"], name="history_by"),
        ]

    def __str__(self) -> str:
        return self.name or str(self.get_what_display())

    @classmethod
    def of(
        cls, row: models.Model, values: Iterable[Any] = (), what: str = What.CHANGED, **more: Any
    ) -> HistoryEntry:
        """Return the entry of a row, which is not saved."""
        known = {"model": row._meta.model_name, "key": row.pk, "name": str(row)[:MAX_NAME]}
        return cls(what=what, values=list(values), **known, **more)


def record(
    by: Author,
    entries: Iterable[HistoryEntry],
    batch: HistoryEntry | None = None,
    divided: Callable[[list[HistoryEntry]], Iterable[Sequence[HistoryEntry]]] = lambda rows: [rows],
) -> HistoryEntry | None:
    """Save entries, as parts of a given batch, and delete the oldest beyond MAX_ENTRIES.

    `divided` returns them in parts, and may report how many are saved.
    """
    rows = list(entries)
    if not rows:
        return None
    with transaction.atomic():
        if batch:
            batch.role, batch.by = by
            batch.count = len({row.key for row in rows if row.model == "symbol"})
            batch.save()
        for row in rows:
            row.role, row.by = by
            row.batch = batch
        for some in divided(rows):
            HistoryEntry.objects.bulk_create(some, batch_size=AT_ONCE)
        _delete_oldest()
    return batch


def _delete_oldest() -> None:
    """Delete the entries beyond MAX_ENTRIES."""
    keys = HistoryEntry.objects.order_by("-pk").values_list("pk", flat=True)
    if (oldest := keys[MAX_ENTRIES:].first()) is not None:
        HistoryEntry.objects.filter(pk__lte=oldest).delete()


FEED = Author(HistoryEntry.Role.FEED)


def command(name: str) -> Author:
    """Return a command of manage.py."""
    return Author(HistoryEntry.Role.COMMAND, name)


def user_of(given: Any) -> Author:
    """Return a user, whose name stays when the account is deleted."""
    return Author(HistoryEntry.Role.USER, given.get_username())
