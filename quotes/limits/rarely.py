"""What happens often, and is logged rarely."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from math import inf

Clock = Callable[[], float]
LOG_EVERY = 10.0  # seconds between two log messages with the same reason


class Rarely:
    """Counts events by kind. Each kind is due for the log at most once in some seconds."""

    def __init__(self, seconds: float = LOG_EVERY, clock: Clock = time.monotonic) -> None:
        self.seconds, self.clock = seconds, clock
        self.counts: Counter[str] = Counter()
        self._logged: dict[str, float] = {}  # when, by kind

    def is_due(self, kind: str) -> bool:
        """Count an event, and return whether it is due for the log."""
        self.counts[kind] += 1
        now = self.clock()
        if now - self._logged.get(kind, -inf) < self.seconds:
            return False
        self._logged[kind] = now
        return True


class RareRefusals(logging.Filter):
    """Filter of a handler: one line in ten seconds for each kind of refusal, with their count.

    Any visitor can cause them, for example with a wrong Host, so they have no traceback.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rarely = Rarely()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is logged; remove the traceback of a refusal and add a count."""
        kind = _kind_of_refusal(record)
        if not kind:
            return True
        decided: bool | None = getattr(record, "is_due", None)
        if decided is None:  # else by this filter, for the handler before
            decided = record.is_due = self.rarely.is_due(kind)
            record.exc_info = record.exc_text = None
            record.msg = f"{record.msg} (so far: {self.rarely.counts[kind]})"
        return decided


def _kind_of_refusal(record: logging.LogRecord) -> str:
    """Return the kind of refusal that a record reports, or ""."""
    if record.name.startswith("django.security"):
        return record.name
    by_server = record.name == "uvicorn.error" and record.levelno == logging.WARNING
    by_daphne = record.name == "django.channels.server" and "WebSocket REJECT" in str(record.msg)
    return str(record.msg) if by_server or by_daphne else ""
