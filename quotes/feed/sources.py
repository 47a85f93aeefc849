"""Sources: providers that are kept running, as a stream if they have one, else with polls."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime

from quotes.limits.rarely import Rarely
from quotes.providers import Instrument, Provider, ProviderError
from quotes.quote import Quote, false_time
from quotes.sessions import may_differ

logger = logging.getLogger(__name__)

BACK_OFF = 1.0  # seconds, doubled with each failure in a row
MAX_BACK_OFF = 20.0  # seconds
REPORT_AGAIN = 60.0  # seconds between two lines about skipped ticks
MISTIMED_AGAIN = 3600.0  # seconds between two lines about times that can't be true
NAMED_AGAIN = 3600.0  # seconds between two lines about a code that comes and goes
STEADY = 5.0  # seconds that a stream must last to end an outage

Take = Callable[[Quote, datetime | None], None]


class Source:
    """One provider, kept running for the quotes of its instruments."""

    def __init__(
        self,
        provider: Provider,
        take: Take,
        changed: Callable[[], object],
        *,
        is_price: Callable[[Quote], bool],
        now: Callable[[], datetime],
        clock: Callable[[], float],  # seconds, independent of the wall clock
    ) -> None:
        self.provider, self.take, self.changed, self.is_price = provider, take, changed, is_price
        self.now, self.clock = now, clock
        provider.may_differ = self._may_differ
        self.instruments: Sequence[Instrument] = ()
        self.down_since: datetime | None = None
        self.failing_since: float | None = None  # the same by the clock
        self.up_since = float("-inf")  # by the clock; -inf if it was never down
        self.streaming = False
        self.turns = 0  # how often a stream began or ended, or an outage began
        self.skipped = provider.standing.skipped  # ticks that were logged
        self.skipped_at = float("-inf")  # when they were logged
        self.poll_due = asyncio.Event()  # while there is no stream, and once after it began
        self.acted = asyncio.Event()  # the operator changed something, so a refusal may be over
        self.denials: Counter[str] = Counter()  # answers in a row without a symbol that it lacks
        self.got_at: dict[str, datetime] = {}  # when the last poll with a price came, by symbol
        self.sized: set[str] = set()  # codes whose tick sizes were requested
        self.lasted = 0.0  # seconds from the first to the last quote of the newest stream
        self.mistimed = Rarely(MISTIMED_AGAIN, clock)
        self.unpriced: dict[str, float] = {}  # since when there is no price, by symbol
        self.priced_since: dict[str, float] = {}  # since when there is a price again, by symbol
        self.streamed: set[str] = set()  # symbols with a quote from the open stream
        self.named: dict[str, set[str]] = {"resting": set(), "unknown": set()}  # logged codes
        self.naming = Rarely(NAMED_AGAIN, clock)
        self.logged: dict[str, str] = {}  # the last failure in the log, of "stream" and "poll"

    def has_no_price(self, code: str) -> bool:
        """Return whether the provider lacks a code, or does not answer for it."""
        return bool(self.provider.standing.why(code))

    @property
    def refused(self) -> str:
        """The reason why the provider refuses requests until the operator acts, or ""."""
        return self.provider.standing.refused("quotes")

    def troubled(self) -> set[str] | None:
        """Return the symbols that this provider may lack a price of; None for all of them."""
        if self.failing_since is not None or self.refused:
            return None
        standing = self.provider.standing
        codes = standing.unknown.keys() | standing.resting.keys()
        lacking = {each.symbol for each in self.instruments if each.code in codes} if codes else ()
        return {*self.unpriced, *lacking}

    def act(self) -> None:
        """Try a provider again that refused requests, because the operator changed something."""
        self.provider.standing.act()
        self.naming = Rarely(NAMED_AGAIN, self.clock)
        self.acted.set()

    def poll_again(self, symbol: str) -> None:
        """Poll a symbol soon, even if its price can't differ from the last one."""
        self.got_at.pop(symbol, None)
        self.poll_due.set()

    def forget(self, symbol: str) -> None:
        """Forget the state of a symbol, because its codes changed."""
        self.got_at.pop(symbol, None)
        self.unpriced.pop(symbol, None)
        self.priced_since.pop(symbol, None)
        self.denials.pop(symbol, None)

    def fail(self) -> None:
        """Begin an outage, unless there is one already."""
        if self.down_since is None:
            self.turns += 1
            self.down_since, self.failing_since = self.now(), self.clock()

    def rest(self) -> None:
        """Forget all failures, because without requests their end would not be noticed."""
        self.down_since = self.failing_since = None
        self.provider.standing.forget_codes()
        self.unpriced.clear()
        self.denials.clear()

    async def run(self) -> None:
        """Fetch quotes, forever."""
        if self.refused:
            await self.acted.wait()
        self._stop_streaming()
        async with asyncio.TaskGroup() as tasks:
            if self.provider.streams:
                self.poll_due.clear()
                tasks.create_task(self._keep_streaming())
            tasks.create_task(self._keep_polling())

    async def _keep_streaming(self) -> None:
        failures = 0
        while True:
            try:
                await self._stream()
            except ProviderError as error:
                failures = 0 if self.lasted > STEADY else failures
                self._stop_streaming()
                if self.refused:  # no polls, so none of them would notice the outage
                    self.fail()
                await self._back_off("stream", error, failures)
                failures += 1

    def _stop_streaming(self) -> None:
        self.turns += self.streaming
        self.streaming = False
        self.poll_due.set()

    async def _stream(self) -> None:
        steady, began, self.lasted = None, 0.0, 0.0
        try:
            async for quote in self.provider.stream(self.instruments):
                began = began or self.clock()
                self.lasted = self.clock() - began
                if not self.streaming:
                    self.streaming = True
                    self.turns += 1
                    self.poll_due.set()  # for missed quotes, and for fields that streams lack
                self.streamed.add(quote.symbol)
                self._take(quote)
                self._report_skipped()
                if steady is None:
                    steady = asyncio.get_running_loop().call_later(STEADY, self._up)
        finally:
            self.streamed.clear()
            if steady is not None:
                steady.cancel()
        raise ProviderError("the stream ended")

    def _report_skipped(self) -> None:
        skipped, now = self.provider.standing.skipped, self.clock()
        if skipped == self.skipped or now - self.skipped_at < REPORT_AGAIN:
            return
        words = "%s: more ticks than this process can read, left out %d superseded ones"
        logger.warning(words, self.provider.name, skipped - self.skipped)
        self.skipped, self.skipped_at = skipped, now

    async def _keep_polling(self) -> None:
        failures = 0
        while True:
            await self.poll_due.wait()
            streamed = self.streaming
            try:
                await self._poll()
            except ProviderError as error:
                self.got_at.clear()  # an answer for any code shows that the source works
                if not self.streaming:
                    self.fail()
                await self._back_off("poll", error, failures)
                failures += 1
                continue
            failures = 0
            if streamed and self.streaming:
                self.poll_due.clear()
            else:
                await asyncio.sleep(self.provider.poll_interval)

    async def _poll(self) -> None:
        asked_at = self.now()
        due = [e for e in self.instruments if self._may_differ(e, self.got_at.get(e.symbol))]
        quotes = list(await self.provider.quotes(due) if due else ())
        for quote in quotes:
            if self.is_price(quote):
                self.got_at[quote.symbol] = asked_at
            self._take(quote, asked_at)
        lacking = [each for each in due if self.provider.standing.lacks(each.code)]
        self.got_at |= {each.symbol: asked_at for each in lacking}
        self._count_denials(lacking, {quote.symbol for quote in quotes})
        self._log_unpriced()
        if quotes or lacking or not due:  # else no request was allowed, and nothing is known
            self._up()

    def _count_denials(self, lacking: Iterable[Instrument], quoted: Collection[str]) -> None:
        lacked = {each.symbol for each in lacking} - set(quoted)
        for symbol in [each for each in self.denials if each in quoted]:
            del self.denials[symbol]
        self.denials.update(lacked)

    def _may_differ(self, each: Instrument, got_at: datetime | None) -> bool:
        return self.provider.invented or may_differ(each.exchange, each.kind, self.now(), got_at)

    def _take(self, quote: Quote, asked_at: datetime | None = None) -> None:
        self._log_unpriced()
        if quote.mistimed and self.mistimed.is_due(self.provider.name):
            logger.warning(
                "%s: the time of %s can't be true. Its usual cause is a local time without "
                "its zone. Prices age from their last change: %s",
                self.provider.name,
                quote.symbol,
                false_time(quote),
            )
        if not self.is_price(quote):
            if asked_at is None or quote.symbol not in self.streamed:  # a poll may know less
                self.unpriced.setdefault(quote.symbol, self.clock())
        elif quote.symbol in self.unpriced:
            del self.unpriced[quote.symbol]
            self.priced_since[quote.symbol] = self.clock()
        self.take(quote, asked_at)

    def _up(self) -> None:
        if self.down_since:
            logger.info("%s: works again", self.provider.name)
            self.down_since, self.failing_since, self.up_since = None, None, self.clock()
            self.logged.clear()
            self.changed()

    async def _back_off(self, what: str, error: ProviderError, failures: int) -> None:
        self.changed()
        # A stream may be refused because others are open. Only an HTTP answer concerns polls, too.
        if error.retry_after and (what == "poll" or error.status is not None):
            self.provider.standing.back_off(error.retry_after)
        if error.refused:
            if what == "poll":
                self.provider.standing.refuse("quotes", str(error))
            self._warn("%s: %s refused, giving up until the key is corrected: %s", what, error)
            self.acted.clear()
            await self.acted.wait()
            return
        wait = back_off(failures, error)
        self._warn(f"%s: %s stopped, trying again in {wait:.0f} s: %s", what, error)
        await asyncio.sleep(wait)

    def _warn(self, message: str, what: str, error: ProviderError) -> None:
        # one line per cause, not one per attempt
        level = logging.DEBUG if self.logged.get(what) == str(error) else logging.WARNING
        self.logged[what] = str(error)
        logger.log(level, message, self.provider.name, what, error)

    def _log_unpriced(self) -> None:
        standing = self.provider.standing
        unpriced = {"resting": standing.resting, "unknown": standing.unknown}
        if all(reasons.keys() == self.named[kind] for kind, reasons in unpriced.items()):
            return  # as at nearly every quote
        for kind, reasons in unpriced.items():
            for code in sorted(reasons.keys() - self.named[kind]):
                # Not by the reason: it may contain a value that differs at each poll.
                if self.naming.is_due(f"{kind} {code}"):
                    words = "%s: no price for code %s: %s"
                    logger.warning(words, self.provider.name, code, reasons[code])
            self.named[kind] = set(reasons)
        self.changed()


def back_off(failures: int, error: ProviderError) -> float:
    """Return the seconds until the next attempt.

    It is the time that the source wants, otherwise a random time that grows with the failures.
    """
    if error.retry_after is not None:
        return error.retry_after + random.random()
    return random.uniform(0, min(MAX_BACK_OFF, BACK_OFF * 2 ** min(failures, 10)))
