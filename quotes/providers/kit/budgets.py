"""Budgets: no source gets more requests than its plan allows."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from quotes.providers.kit.errors import ProviderError
from quotes.quote import utc_now

MINUTE = 60.0  # seconds
HAIR = 0.01  # seconds by which a timer may be early


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The limits of a source; None means no limit."""

    per_minute: int | None = None  # requests, or their weights, in any 60 seconds
    per_month: int | None = None  # requests in a calendar month of UTC
    batch: int | None = None  # symbols in one request


class Budget:
    """Counts requests and delays them, so that no limit of the plan is ever exceeded.

    Several processes may share a plan. Each reports its requests of the month to a shared count,
    and reads the count of all.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        clock: Callable[[], float] = time.monotonic,  # a change of the wall clock has no effect
        now: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.plan, self.clock, self.now, self.sleep = plan, clock, now, sleep
        self.recent: deque[tuple[float, int]] = deque()  # (when, cost) of the last 60 seconds
        self.month, self.month_spent = self.this_month(), 0
        self.month_shared = 0  # the shared count of the month, when it was last read
        self.blocked_until = 0.0  # by the clock: the source wants us to back off until then

    async def spend(self, cost: int = 1) -> None:
        """Wait until the plan allows a request of this cost.

        Raise ProviderError if the plan never allows it, if the month's requests are used, or
        while we back off.
        """
        self._check_month(cost)
        if (left := self.blocked_until - self.clock()) > HAIR:
            raise ProviderError(f"backing off for another {left:.0f} s", retry_after=left)
        most = self.plan.per_minute
        if most is not None:
            if cost > most:
                limit = f"is above the limit of {most} a minute"
                raise ProviderError(f"a request of weight {cost} {limit}")
            while (wait := self._until_room(cost, most)) > 0:
                await self.sleep(wait)
        self._check_month(cost)
        self.recent.append((self.clock(), cost))
        self.month_spent += cost

    def back_off(self, seconds: float) -> None:
        """Allow no request for some seconds."""
        self.blocked_until = max(self.blocked_until, self.clock() + seconds)

    def read_minute(self, used: int) -> None:
        """Take over the source's own count of this minute, if it is higher than ours."""
        if (missing := used - self.spent_in_minute()) > 0:
            self.recent.append((self.clock(), missing))

    def spent_in_minute(self) -> int:
        """Return the cost of all requests in the last 60 seconds."""
        now = self.clock()
        while self.recent and self.recent[0][0] <= now - MINUTE:
            self.recent.popleft()
        return sum(cost for _, cost in self.recent)

    def left_in_month(self) -> int | None:
        """Return the number of requests left this month; None if the plan has no such limit."""
        if self.month != self.this_month():
            self.month, self.month_spent, self.month_shared = self.this_month(), 0, 0
        most = self.plan.per_month
        return None if most is None else max(0, most - self.month_spent)

    def unreported(self) -> int:
        """Return the number of requests of this month that the shared count lacks."""
        return self.month_spent - self.month_shared

    def report(self) -> tuple[str, int] | None:
        """Return the month and its unreported requests; None if there is nothing to report."""
        spent = self.unreported()
        return (self.month, spent) if spent and self.plan.per_month is not None else None

    def read_month(self, month: str, total: int, reported: int = 0) -> None:
        """Read the shared count of a month, which now contains `reported` more of our requests."""
        if month == self.month:
            self.month_spent += total - self.month_shared - reported
            self.month_shared = total

    def this_month(self) -> str:
        """Return the current month in UTC: "2026-11"."""
        return f"{self.now():%Y-%m}"

    def _until_room(self, cost: int, most: int) -> float:
        if (excess := self.spent_in_minute() + cost - most) <= 0:
            return 0.0
        for when, spent in self.recent:
            excess -= spent
            if excess <= 0:
                return when + MINUTE - self.clock()
        return MINUTE

    def _check_month(self, cost: int) -> None:
        left = self.left_in_month()
        if left is not None and cost > left:
            raise ProviderError(
                f"all {self.plan.per_month} requests of {self.month} are used",
                retry_after=self._until_next_month(),
            )

    def _until_next_month(self) -> float:
        now = self.now()
        first = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
        return (first - now).total_seconds()
