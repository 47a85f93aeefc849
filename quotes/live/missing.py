"""Missing symbols: those that none of their providers has any more are switched off.

A provider that suddenly knows nothing must not empty the boards. So a symbol counts as missing only
while its preferred provider has at least half of its codes, and only few are switched off in a day.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db import Error, transaction

from quotes import conf
from quotes.candles.backfill import InDatabase
from quotes.feed.feed import Chain, Feed
from quotes.limits.rarely import Rarely
from quotes.models import HistoryEntry, Symbol
from quotes.models.history import FEED, record
from quotes.models.locks import begin_to_write
from quotes.quote import utc_now

logger = logging.getLogger(__name__)

LOOK_EVERY = 60.0  # seconds
OVER = 3600.0  # seconds from the first of the answers to the last one, at least
DAY = timedelta(days=1)
MAX_A_DAY = 5  # symbols that are switched off in a day, or
MAX_SHARE = 0.02  # this part of the active ones, if it is more


@dataclass(slots=True)
class Answers:
    """Answers of all providers of a symbol that they do not have it."""

    since: float
    at: float  # of the newest
    denials: Mapping[str, int]  # until then, by provider
    count: int = 1


class Missing:
    """Counts the answers, and switches symbols off as a form of the admin does."""

    def __init__(
        self, feed: Feed, in_database: InDatabase, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.feed, self.in_database, self.clock = feed, in_database, clock
        self.answers: dict[str, Answers] = {}  # by symbol
        self.bounded = Rarely(DAY.total_seconds(), clock)

    async def run(self) -> None:
        """Look for missing symbols every minute, forever."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.look()
            except Error as error:
                logger.warning("could not switch off symbols that are not found: %s", error)

    async def look(self) -> None:
        """Count the new answers, and switch off symbols with enough of them."""
        half_known = {name for name in self.feed.sources if self._has_half(name)}
        chains = {
            symbol: chain
            for symbol, chain in self.feed.chains.items()
            if next(iter(chain)) in half_known and self._is_missing(symbol, chain)
        }
        self.answers = {symbol: each for symbol, each in self.answers.items() if symbol in chains}
        for symbol, chain in chains.items():
            self._count(symbol, chain)
        if due := [symbol for symbol, each in self.answers.items() if self._is_due(each)]:
            await self._switch_off({symbol: self._reason(chains[symbol]) for symbol in due})

    def _has_half(self, name: str) -> bool:
        source = self.feed.sources[name]
        unknown = sum(map(source.provider.standing.lacks, (i.code for i in source.instruments)))
        return 2 * unknown <= len(source.instruments)

    def _is_missing(self, symbol: str, chain: Chain) -> bool:
        return all(
            self.feed.sources[name].provider.standing.lacks(each.code)
            and self.feed.sources[name].denials[symbol]
            for name, each in chain.items()
        )

    def _count(self, symbol: str, chain: Chain) -> None:
        """Count an answer if all providers gave a new one, or request one when it is time."""
        now, sources = self.clock(), self.feed.sources
        denials = {name: sources[name].denials[symbol] for name in chain}
        known = self.answers.get(symbol)
        if known is None or known.denials.keys() != denials.keys():
            self.answers[symbol] = Answers(now, now, denials)
            return
        if now - known.at < OVER / max(1, conf.get("NOT_FOUND_AFTER") - 1):
            return
        if all(denials[name] > known.denials[name] for name in chain):
            known.at, known.denials, known.count = now, denials, known.count + 1
            return
        for name in chain:  # while a stream runs, nothing else requests an unknown code
            sources[name].poll_again(symbol)

    def _is_due(self, answers: Answers) -> bool:
        enough = answers.count >= conf.get("NOT_FOUND_AFTER")
        return enough and self.clock() - answers.since >= OVER

    def _reason(self, chain: Chain) -> str:
        sources = self.feed.sources
        reasons = {n: sources[n].provider.standing.unknown[i.code] for n, i in chain.items()}
        return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())

    async def _switch_off(self, reasons: Mapping[str, str]) -> None:
        done = await self.in_database(switch_off, reasons)
        for code in done:
            del self.answers[code]
            words = "%s is switched off, because none of its providers has it: %s"
            logger.warning(words, code, reasons[code])
        if not done and self.bounded.is_due("symbols"):
            words = "%d symbols are not found by any of their providers, too many to switch off"
            logger.warning(words, len(reasons))


def switch_off(reasons: Mapping[str, str]) -> list[str]:
    """Switch symbols off with a reason each, unless they are too many for a day; return them."""
    now = utc_now()
    with transaction.atomic():
        begin_to_write()
        lately = Symbol.objects.filter(active=False, not_found_at__gt=now - DAY).count()
        most = max(MAX_A_DAY, int(Symbol.objects.filter(active=True).count() * MAX_SHARE))
        if lately + len(reasons) > most:
            return []
        found = list(Symbol.objects.filter(code__in=reasons, active=True))
        for symbol in found:
            symbol.active, symbol.not_found_at = False, now
            symbol.not_found = reasons[symbol.code]
            symbol.save(update_fields=["active", "not_found_at", "not_found"])
        off = [("active", True, False)]
        record(FEED, (HistoryEntry.of(each, off, reason=each.not_found) for each in found))
    return [symbol.code for symbol in found]
