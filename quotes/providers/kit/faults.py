"""Faults of single codes: a request that fails costs only its own codes the quotes of a poll."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from quotes.providers.kit.errors import ProviderError
from quotes.providers.kit.standing import Standing

QUARANTINE = 900.0  # seconds without a request for a code that the source rejected
REST = 60.0  # seconds without a request for a code whose requests failed
MAX_FAILURES = 2  # in a row, after which a code rests
MAX_IN_A_ROW = 3  # requests of one poll, after which it ends; each may take a whole timeout
TOO_MANY, UNAVAILABLE = 429, 503

Answer = TypeVar("Answer")


class Faults:
    """Keeps the codes that were rejected or failed apart from those that can be requested."""

    def __init__(self, standing: Standing, clock: Callable[[], float] = time.monotonic) -> None:
        self.standing, self.clock = standing, clock
        self.rejected: dict[str, float] = {}  # by code: when it may be requested again
        self.resting: dict[str, float] = {}  # the same
        self.failures: Counter[str] = Counter()  # in a row, by code

    def accepted(self, codes: Iterable[str]) -> list[str]:
        """Return the codes that the source did not reject; it may be able to stream them."""
        now = self.clock()
        return [code for code in codes if self.rejected.get(code, now) <= now]

    def rests(self, code: str) -> bool:
        """Return whether the requests for a code failed, and it is not due for another."""
        return self.resting.get(code, 0.0) > self.clock()

    def due(self, codes: Iterable[str]) -> list[str]:
        """Return the codes that can be requested now; those that failed come last."""
        due = [code for code in self.accepted(codes) if not self.rests(code)]
        return sorted(due, key=lambda code: self.failures[code])

    def set_aside(self, code: str, why: str) -> None:
        """Drop a code that the source rejected, and request it again after 15 minutes."""
        self.standing.drop(code, why)
        self.rejected[code] = self.clock() + QUARANTINE

    async def answers(
        self,
        batches: Iterable[Sequence[str]],
        fetch: Callable[[Sequence[str]], Awaitable[Answer]],
    ) -> AsyncIterator[tuple[Sequence[str], Answer]]:
        """Yield each batch of codes with its answer, without those that fail.

        Raise ProviderError if none is answered, or if the source limits our requests. Three
        failures in a row end the poll; the next one requests these codes last.
        """
        failed: list[tuple[Sequence[str], ProviderError]] = []
        worked, in_a_row = False, 0
        for codes in batches:
            try:
                answer = await fetch(codes)
            except ProviderError as error:
                failed.append((codes, error))
                self.failures.update(codes)
                in_a_row += 1
                if error.retry_after is not None or error.status == TOO_MANY:
                    raise
                if in_a_row == MAX_IN_A_ROW or (concerns_all(error) and not worked):
                    break
                continue
            worked, in_a_row = True, 0
            for code in codes:
                self.failures.pop(code, None)
            yield codes, answer
        if failed and not worked:
            raise failed[0][1]
        self._rest(failed)

    def _rest(self, failed: Iterable[tuple[Sequence[str], ProviderError]]) -> None:
        for codes, error in failed:
            for code in codes:
                if self.failures[code] >= MAX_FAILURES:
                    self.standing.drop(code, str(error))
                    self.resting[code] = self.clock() + REST


def concerns_all(error: ProviderError) -> bool:
    """Return whether an error is probably the same for all codes, if none was answered before."""
    return error.refused or error.status == UNAVAILABLE
