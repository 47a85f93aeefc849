"""Faults of codes. If a request of a poll fails, the other codes still get their quotes."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from quotes.providers.kit.errors import ProviderError, RejectedError
from quotes.providers.kit.standing import Standing

QUARANTINE = 900.0  # seconds without a request for a code that the source rejected
REST = 60.0  # seconds without a request for a code whose requests failed
MAX_FAILURES = 2  # in a row, after which a code rests
MAX_IN_A_ROW = 3  # requests of one poll, after which it ends; each may take a whole timeout
FORBIDDEN, TOO_MANY, UNAVAILABLE = 403, 429, 503

Answer = TypeVar("Answer")
Batch = Sequence[str]  # codes of one request


class Faults:
    """Keeps the codes that were rejected or failed apart from those that can be requested."""

    def __init__(
        self,
        standing: Standing,
        clock: Callable[[], float] = time.monotonic,
        names: Callable[[str], Iterable[str]] = lambda code: (code,),  # of a code, in `standing`
    ) -> None:
        self.standing, self.clock, self.names = standing, clock, names
        self.rejected: dict[str, float] = {}  # by code: when it may be requested again
        self.resting: dict[str, float] = {}  # the same
        self.failures: Counter[str] = Counter()  # in a row, by code
        self.failing_since: dict[str, int] = {}  # by code: the poll of the first of them
        self.polls = 0
        self.answered_in = 0  # the last poll with an answer

    def accepted(self, codes: Iterable[str]) -> list[str]:
        """Return the codes that the source did not reject; it may be able to stream them."""
        now = self.clock()
        return [code for code in codes if self.rejected.get(code, now) <= now]

    def rests(self, code: str) -> bool:
        """Return whether the requests for a code failed, and it is not due for another."""
        return self.resting.get(code, 0.0) > self.clock()

    def due(self, codes: Iterable[str]) -> list[str]:
        """Return the codes that can be requested now."""
        return [code for code in self.accepted(codes) if not self.rests(code)]

    def batches(self, codes: Iterable[str], size: int) -> list[Batch]:
        """Divide the codes that are due into batches; those that failed come last."""
        due = sorted(self.due(codes), key=lambda code: self.failures[code])
        return [due[first : first + size] for first in range(0, len(due), size)]

    def set_aside(self, code: str, why: str) -> None:
        """Drop a code that the source rejected, and request it again after 15 minutes."""
        self.standing.drop(code, why)
        self.rejected[code] = self.clock() + QUARANTINE

    async def answers(
        self, batches: Iterable[Batch], fetch: Callable[[Batch], Awaitable[Answer]]
    ) -> AsyncIterator[tuple[Batch, Answer]]:
        """Yield each batch of codes with its answer, without those that fail.

        A batch that `fetch` rejects with RejectedError is halved. Three failures in a row end the
        poll; the next one requests these codes last. If the source limits our requests, the poll
        ends and the provider backs off. Raise ProviderError if no request was answered since the
        codes began to fail.
        """
        self.polls += 1
        poll, in_a_row = self.polls, 0
        failed: list[tuple[Batch, ProviderError]] = []
        waiting = deque(sorted(batches, key=self._failures_of))
        while waiting:
            codes = waiting.popleft()
            try:
                answer = await fetch(codes)
            except ProviderError as error:
                if isinstance(error, RejectedError) and len(codes) > 1:
                    waiting.extendleft(reversed(halves(codes)))
                    continue
                in_a_row += 1
                failed.append((codes, error))
                self._count(codes, poll)
                concerns_all = is_for_all(error) and self.answered_in < poll
                if in_a_row == MAX_IN_A_ROW or is_limit(error) or concerns_all:
                    break
                continue
            in_a_row, self.answered_in = 0, poll
            self._forgive(codes)
            yield codes, answer
        if failed:
            self._conclude(poll, failed)

    def _failures_of(self, codes: Batch) -> int:
        return max(self.failures[code] for code in codes)

    def _count(self, codes: Batch, poll: int) -> None:
        self.failures.update(codes)
        for code in codes:
            self.failing_since.setdefault(code, poll)

    def _forgive(self, codes: Batch) -> None:
        for code in codes:
            if self.failures.pop(code, 0):
                self.failing_since.pop(code, None)
                for name in self.names(code):
                    self.standing.wake(name)

    def _conclude(self, poll: int, failed: Sequence[tuple[Batch, ProviderError]]) -> None:
        errors = [error for _, error in failed]
        limited = is_limit(errors[-1])
        since = max(self.failing_since.get(code, 0) for codes, _ in failed for code in codes)
        if self.answered_in < (poll if limited else since):
            raise max(reversed(errors), key=weight)
        if limited:
            self.standing.back_off(errors[-1].retry_after or REST)
        for codes, error in failed:
            for code in codes:
                if self.failures[code] >= MAX_FAILURES or is_limit(error):
                    self._rest(code, str(error))

    def _rest(self, code: str, why: str) -> None:
        self.resting[code] = self.clock() + REST
        for name in self.names(code):
            self.standing.rest(name, why)


def halves(codes: Batch) -> tuple[Batch, Batch]:
    """Divide a batch into two."""
    middle = len(codes) // 2
    return codes[:middle], codes[middle:]


def is_limit(error: ProviderError) -> bool:
    """Return whether the source wants fewer requests, of whatever code."""
    return error.retry_after is not None or error.status == TOO_MANY


def weight(error: ProviderError) -> int:
    """Return a higher number for an error that reports more about the source as a whole.

    A wrong key is reported rather than an outage. 403 may concern only one code.
    """
    if error.refused:
        return 0 if error.status == FORBIDDEN else 2
    return 1


def is_for_all(error: ProviderError) -> bool:
    """Return whether an error is probably the same for all codes, if none was answered before."""
    return error.refused or error.status == UNAVAILABLE
