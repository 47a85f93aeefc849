"""The beat: whether this process accepts the batches of its feed."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from quotes.quote import utc_now

LIMIT = 5.0  # seconds without a batch, after which prices have stopped


class Beat:
    """Records when the newest batch was accepted."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.clock, self.now = clock, now
        self.began_at = now()
        self.heard_at: datetime | None = None  # when the newest batch was accepted
        self.stopped = False
        self._heard = clock()

    @property
    def silence(self) -> float:
        """Seconds since the newest batch, or since the start if there was none."""
        return self.clock() - self._heard

    def hear(self) -> bool:
        """Note that a batch was accepted; return whether prices had stopped before it."""
        self._heard, self.heard_at = self.clock(), self.now()
        had_stopped, self.stopped = self.stopped, False
        return had_stopped

    def listen(self) -> bool:
        """Return whether prices have stopped since the last call."""
        if self.stopped or self.silence < LIMIT:
            return False
        self.stopped = True
        return True
