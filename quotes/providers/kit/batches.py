"""Batches of codes for sources that reject a whole request for one bad code in it.

What a source lists is read first, so that hardly ever a bad code is asked; where one is, the
halves of its batch are asked, and theirs, until it stands alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from quotes.providers import Instrument
from quotes.providers.kit.errors import ProviderError
from quotes.providers.kit.standing import Standing

KEPT = 900.0  # seconds until what is listed is read again

Asked = dict[str, list[Instrument]]  # by the source's own code: two symbols may share one
Ask = Callable[[Sequence[str]], Awaitable[dict[str, Any]]]


def by_code(instruments: Iterable[Instrument]) -> Asked:
    """Group instruments by what their source calls them."""
    asked: Asked = {}
    for instrument in instruments:
        asked.setdefault(instrument.code, []).append(instrument)
    return asked


class RejectedError(ProviderError):
    """Raised when a source rejects a request for a code in it, and does not say for which."""


class Codes:
    """What a source lists, and which of its codes are not worth asking for a while."""

    def __init__(
        self,
        read: Callable[[], Awaitable[dict[str, Instrument]]],
        standing: Standing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.read, self.standing, self.clock = read, standing, clock
        self.listed: dict[str, Instrument] = {}  # by every name that the source goes by
        self.good_until = clock()

    async def find(self, instruments: Sequence[Instrument]) -> Asked:
        """Group instruments by the source's own code, and name those it does not list.

        What comes has the source's name and currency. Raise ProviderError where the list was
        never read; an old one is better than none.
        """
        await self._read_again()
        asked: Asked = {}
        for each in instruments:
            if found := self.listed.get(each.code):
                self.standing.found(each.code)
                known = replace(each, name=found.name, currency=found.currency)
                asked.setdefault(found.code, []).append(known)
            else:
                self.standing.drop(each.code, f"{each.code} is not listed")
        return asked

    async def rows(self, ask: Ask, asked: Asked, size: int, pace: float = 0.0) -> dict[str, Any]:
        """Return what `ask` tells of each code, asked for `size` codes every `pace` seconds.

        A code that is rejected is named, and not asked again until the list is read again.
        """
        rows: dict[str, Any] = {}
        codes = list(asked)
        due = [codes[i : i + size] for i in range(0, len(codes), size)]
        while due:
            batch = due.pop(0)
            try:
                rows |= await ask(batch)
            except RejectedError as error:
                if len(batch) == 1:
                    self._drop(batch[0], asked, str(error))
                else:
                    middle = len(batch) // 2
                    due[:0] = [batch[:middle], batch[middle:]]
            await asyncio.sleep(pace if due else 0)
        return rows

    async def _read_again(self) -> None:
        if self.clock() < self.good_until:
            return
        try:
            listed = await self.read()
            if not listed:
                raise ProviderError("nothing is listed")
            self.listed, self.good_until = listed, self.clock() + KEPT
        except ProviderError:
            if not self.listed:
                raise

    def _drop(self, code: str, asked: Asked, why: str) -> None:
        for each in asked[code]:
            self.standing.drop(each.code, why)
        self.listed = {name: each for name, each in self.listed.items() if each.code != code}
