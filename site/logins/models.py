"""The table of failed logins, which all processes share."""

from __future__ import annotations

from django.db import models


class FailedLogins(models.Model):
    """How many logins of one address failed in fifteen minutes, with one name or with all."""

    address = models.CharField(max_length=64)  # or the /64 of IPv6
    # a digest: people type passwords into the field of the name; empty for all names together
    name = models.CharField(max_length=64, blank=True)
    count = models.PositiveIntegerField(default=0)
    since = models.DateTimeField(db_index=True)

    class Meta:
        """One row for each pair."""

        constraints = [models.UniqueConstraint(fields=["address", "name"], name="one_of_a_pair")]

    def __str__(self) -> str:
        """Return the address with the count."""
        return f"{self.address}: {self.count}"
