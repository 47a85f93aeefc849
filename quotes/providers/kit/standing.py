"""The standing of a provider: refusals, codes without a price, and the budget of its source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from quotes.providers.kit.budgets import Budget
from quotes.quote.texts import one_line


class Standing:
    """Keeps the knowledge about a source from one request to the next.

    The provider, its helpers and the feed record events here; nothing else changes it.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.skipped = 0  # ticks that were superseded before they could be read
        self.skipped_of: Counter[str] = Counter()  # the same, by code
        self._refusals: dict[str, str] = {}
        self._unknown: dict[str, str] = {}
        self._resting: dict[str, str] = {}
        self.refusals: Mapping[str, str] = MappingProxyType(self._refusals)  # reasons, by request
        self.unknown: Mapping[str, str] = MappingProxyType(self._unknown)  # reasons, by code
        self.resting: Mapping[str, str] = MappingProxyType(self._resting)  # failures, by code

    def refuse(self, what: str, why: str) -> None:
        """Record that the source refuses "quotes" or "candles" until the operator acts."""
        self._refusals[what] = one_line(why)

    def refused(self, what: str) -> str:
        """Return the reason why the source refuses such requests, or ""."""
        return self._refusals.get(what, "")

    def act(self) -> None:
        """Forget all refusals, because the operator acted."""
        self._refusals.clear()

    def drop(self, code: str, why: str) -> None:
        """Record that the source lacks a code."""
        self._unknown[code] = one_line(why)

    def found(self, code: str) -> None:
        """Record that the source has a code, even if it did not know the code before."""
        self._unknown.pop(code, None)
        self.wake(code)

    def lacks(self, code: str) -> bool:
        """Return whether the source is known to lack a code."""
        return code in self._unknown

    def rest(self, code: str, why: str) -> None:
        """Record that requests for a code failed. The source may have the code."""
        self._resting[code] = one_line(why)

    def wake(self, code: str) -> None:
        """Record that a request for a code was answered."""
        self._resting.pop(code, None)

    def rests(self, code: str) -> bool:
        """Return whether requests for a code failed, and none was answered since."""
        return code in self._resting

    def why(self, code: str) -> str:
        """Return the reason why a code has no price, or ""."""
        return self._unknown.get(code) or self._resting.get(code, "")

    def forget_codes(self) -> None:
        """Forget the unknown codes: without requests, nothing would show that they became known."""
        self._unknown.clear()

    def skip(self, ticks: Mapping[str, int]) -> None:
        """Record how many superseded ticks of each code were not read."""
        self.skipped += sum(ticks.values())
        self.skipped_of.update(ticks)

    def back_off(self, seconds: float) -> None:
        """Send no request for some seconds."""
        self.budget.back_off(seconds)
