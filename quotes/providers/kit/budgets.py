"""Budgets: how often a source may be asked, kept to whatever the feed would like."""

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
    """What a source allows; None where it sets no limit."""

    per_minute: int | None = None  # requests, or their weights, in any 60 seconds
    per_month: int | None = None  # requests in a calendar month of UTC
    batch: int | None = None  # symbols in one request


class Budget:
    """Counts what is spent and makes who asks wait, so that no limit is ever exceeded."""

    def __init__(
        self,
        plan: Plan,
        *,
        clock: Callable[[], float] = time.monotonic,  # seconds, whatever is done to the wall clock
        now: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.plan, self.clock, self.now, self.sleep = plan, clock, now, sleep
        self.recent: deque[tuple[float, int]] = deque()  # (when, cost) of the last 60 seconds
        self.month, self.month_spent = self.this_month(), 0
        self.away_until = 0.0  # when the source may be asked again that told us to stay away
        self.month_told = 0  # as much of it as the others who share the plan know of

    async def spend(self, cost: int = 1) -> None:
        """Wait until the source may be asked for this much; raise ProviderError for what it
        never allows at once, or when the month's requests are spent."""
        self._check_month(cost)
        if (left := self.away_until - self.clock()) > HAIR:
            raise ProviderError(f"told to stay away for another {left:.0f} s", retry_after=left)
        most = self.plan.per_minute
        if most is not None:
            if cost > most:
                raise ProviderError(f"a request of weight {cost} is above {most} a minute")
            while (wait := self._until_room(cost, most)) > 0:
                await self.sleep(wait)
        self._check_month(cost)
        self.recent.append((self.clock(), cost))
        self.month_spent += cost

    def stay_away(self, seconds: float) -> None:
        """Let nobody ask the source for some seconds, whoever it told so."""
        self.away_until = max(self.away_until, self.clock() + seconds)

    def heard(self, used: int) -> None:
        """Take the source's own word for what was spent in this minute, if it is more."""
        if (unknown := used - self.spent_in_minute()) > 0:
            self.recent.append((self.clock(), unknown))

    def spent_in_minute(self) -> int:
        """Return what was spent in the last 60 seconds."""
        now = self.clock()
        while self.recent and self.recent[0][0] <= now - MINUTE:
            self.recent.popleft()
        return sum(cost for _, cost in self.recent)

    def left_in_month(self) -> int | None:
        """Return what may still be spent this month; None without such a limit."""
        if self.month != self.this_month():
            self.month, self.month_spent, self.month_told = self.this_month(), 0, 0
        most = self.plan.per_month
        return None if most is None else max(0, most - self.month_spent)

    def untold(self) -> int:
        """Return what was spent this month and the others who share the plan do not know of."""
        return self.month_spent - self.month_told

    def news(self) -> tuple[str, int] | None:
        """Return the month and what the others do not know of; None where no plan counts that."""
        spent = self.untold()
        return (self.month, spent) if spent and self.plan.per_month is not None else None

    def hear_month(self, month: str, spent: int, told: int = 0) -> None:
        """Learn what all who share the plan spent in a month, of which `told` was news of ours."""
        if month == self.month:
            self.month_spent += spent - self.month_told - told
            self.month_told = spent

    def this_month(self) -> str:
        """Name the month that it is in UTC: "2026-11"."""
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
                f"the {self.plan.per_month} requests of {self.month} are spent",
                retry_after=self._until_next_month(),
            )

    def _until_next_month(self) -> float:
        now = self.now()
        first = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
        return (first - now).total_seconds()
