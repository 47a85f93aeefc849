"""Due: when each symbol is to be looked at next, so that not all are looked at each second."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush


@dataclass(slots=True)
class Due:
    """Codes with the moment at which each is due, which is aware UTC."""

    moments: dict[str, datetime] = field(default_factory=dict)
    heap: list[tuple[datetime, str]] = field(default_factory=list)  # also moments that were moved

    def at(self, code: str, moment: datetime) -> None:
        """Let a code be due at a moment, unless it is due earlier already."""
        known = self.moments.get(code)
        if known is None or moment < known:
            self.moments[code] = moment
            heappush(self.heap, (moment, code))

    def take(self, now: datetime) -> list[str]:
        """Return the codes that are due, and forget them."""
        taken = []
        while self.heap and self.heap[0][0] <= now:
            moment, code = heappop(self.heap)
            if self.moments.get(code) == moment:
                del self.moments[code]
                taken.append(code)
        return taken
