"""Batches of codes, for sources that reject a whole request for one bad code in it.

The list of the source is read first, so that a bad code is rarely requested. If one is, its
batch is halved, and the halves again, until the bad code stands alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from quotes.providers import Instrument
from quotes.providers.kit.errors import ProviderError, RejectedError
from quotes.providers.kit.faults import Faults
from quotes.providers.kit.standing import Standing

KEPT = 900.0  # seconds until the list is read again

Groups = dict[str, list[Instrument]]  # by the source's own code: two symbols may share one
Fetch = Callable[[Sequence[str]], Awaitable[dict[str, Any]]]


def by_code(instruments: Iterable[Instrument]) -> Groups:
    """Group instruments by the source's own code."""
    groups: Groups = {}
    for instrument in instruments:
        groups.setdefault(instrument.code, []).append(instrument)
    return groups


class Codes:
    """The codes that a source lists, without those that it rejected since."""

    def __init__(
        self,
        read: Callable[[], Awaitable[dict[str, Instrument]]],
        standing: Standing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.read, self.standing, self.clock = read, standing, clock
        self.known: dict[str, Instrument] = {}  # by every name that the source uses for it
        self.good_until = clock()
        self.names: dict[str, list[str]] = {}  # by the source's own code: those of instruments
        self.faults = Faults(standing, clock, lambda code: self.names[code])

    async def find(self, instruments: Sequence[Instrument]) -> Groups:
        """Group instruments by the source's own code, with its name and currency.

        Drop the codes that it does not list. Raise ProviderError if the list was never read; an
        old list is better than none.
        """
        await self._read_again()
        groups: Groups = {}
        for each in instruments:
            if known := self.known.get(each.code):
                if not self.standing.rests(each.code):
                    self.standing.found(each.code)
                found = replace(each, name=known.name, currency=known.currency)
                groups.setdefault(known.code, []).append(found)
            else:
                self.standing.drop(each.code, f"{each.code} is not in the list of instruments")
        return groups

    async def rows(
        self, fetch: Fetch, groups: Groups, size: int, pace: float = 0.0
    ) -> dict[str, Any]:
        """Fetch the rows of all codes, `size` codes every `pace` seconds.

        A rejected code is dropped, and not requested until the list is read again.
        """
        rows: dict[str, Any] = {}
        requests = count()

        async def read(codes: Sequence[str]) -> dict[str, Any]:
            await asyncio.sleep(pace if next(requests) else 0)
            try:
                return await fetch(codes)
            except RejectedError as error:
                if len(codes) > 1:
                    raise
                self._drop(codes[0], groups, str(error))
                return {}

        self.names |= {code: [each.code for each in group] for code, group in groups.items()}
        batches = self.faults.batches(groups, size)
        async for _, found in self.faults.answers(batches, read):
            rows |= found
        return rows

    async def _read_again(self) -> None:
        if self.clock() < self.good_until:
            return
        try:
            known = await self.read()
            if not known:
                raise ProviderError("the list of the source is empty")
            self.known, self.good_until = known, self.clock() + KEPT
        except ProviderError:
            if not self.known:
                raise

    def _drop(self, code: str, groups: Groups, why: str) -> None:
        for each in groups[code]:
            self.standing.drop(each.code, why)
        self.known = {name: each for name, each in self.known.items() if each.code != code}
