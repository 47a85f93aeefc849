"""Uploads: files that operators have chosen, kept between a preview and its confirmation."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

KEPT = timedelta(hours=1)


class Upload(models.Model):
    """A file that waits until its operator loads it. Each operator has at most one."""

    by = models.CharField(max_length=150)  # the name of a user
    at = models.DateTimeField(default=timezone.now)
    name = models.CharField(max_length=255)
    content = models.BinaryField()

    class Meta:
        verbose_name = _("upload")

    def __str__(self) -> str:
        return self.name

    @classmethod
    def keep(cls, by: str, name: str, content: bytes) -> Upload:
        """Keep a file in place of an earlier one, and delete those of others that are too old."""
        cls.objects.filter(at__lte=timezone.now() - KEPT).delete()
        cls.objects.filter(by=by).delete()
        return cls.objects.create(by=by, name=name[-255:], content=content)

    @classmethod
    def of(cls, by: str, key: int) -> Upload | None:
        """Return the file of an operator, unless it is too old, or was replaced by another one."""
        kept = cls.objects.filter(by=by, pk=key, at__gt=timezone.now() - KEPT)
        return kept.defer("content").first()
