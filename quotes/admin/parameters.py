"""Keys and moments in addresses and forms, which anybody can change."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

MAX_KEY = 18  # digits that every database can compare


def moment(text: str) -> datetime | None:
    """Return the moment in a parameter of ours; None if somebody changed it."""
    with suppress(ValueError, OverflowError):
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if timezone.is_aware(found) else None
    return None


def key_of(text: Any) -> int:
    """Return the key that a text has; 0 for any other text, and for none."""
    key = str(text)
    return int(key) if key.isdecimal() and len(key) <= MAX_KEY else 0
