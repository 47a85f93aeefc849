"""Sources: providers kept alive. Streamed where they can be, polled where they can't."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from datetime import datetime

from quotes.providers import Instrument, Provider, ProviderError
from quotes.quote import Quote
from quotes.sessions import may_differ

logger = logging.getLogger(__name__)

BACK_OFF = 1.0  # seconds, doubled with each failure in a row
LONGEST_BACK_OFF = 20.0  # seconds
STEADY = 5.0  # seconds after which a stream counts as back; one that flaps is still an outage

Take = Callable[[Quote, datetime | None], None]


class Source:
    """One provider, kept alive for the instruments that it is to bring."""

    def __init__(
        self,
        provider: Provider,
        take: Take,
        changed: Callable[[], object],
        now: Callable[[], datetime],
        clock: Callable[[], float],  # seconds, whatever is done to the wall clock
    ) -> None:
        self.provider, self.take, self.changed = provider, take, changed
        self.now, self.clock = now, clock
        provider.may_differ = self._may_differ
        self.instruments: Sequence[Instrument] = ()
        self.down_since: datetime | None = None
        self.failing_since: float | None = None  # the same by the clock
        self.up_since = float("-inf")  # by the clock; for ever until it was down once
        self.streaming = False
        self.poll_due = asyncio.Event()  # while there is no stream, and once after it began
        self.acted = asyncio.Event()  # the operator did something: a refusal may be over
        self.got_at: dict[str, datetime] = {}  # symbol: when a poll last brought its price
        self.sized: set[str] = set()  # codes whose tick sizes it was asked for
        self.lasted = 0.0  # seconds from the first to the last quote of the newest stream
        self.unpriced: dict[str, float] = {}  # symbol: since when it is told without a price
        self.priced_since: dict[str, float] = {}  # symbol: since when it is not, where it was once
        self.streamed: set[str] = set()  # symbols that the open stream told a price of
        self.named: set[str] = set()  # unknown codes that the log has named
        self.told: dict[str, str] = {}  # the last failure that the log told, of stream and poll

    def lacks(self, code: str) -> bool:
        """Say whether the provider is known not to have a code."""
        return self.provider.standing.lacks(code)

    @property
    def refused(self) -> str:
        """Why it is not asked for quotes any more until the operator acts, or ""."""
        return self.provider.standing.refused("quotes")

    def act(self) -> None:
        """Ask again a provider that refused us: the operator did something."""
        self.provider.standing.act()
        self.acted.set()

    def poll_again(self, symbol: str) -> None:
        """Poll soon, whatever was got of a symbol before: then it may have been left out."""
        self.got_at.pop(symbol, None)
        self.poll_due.set()

    def forget(self, symbol: str) -> None:
        """Forget what came of a symbol: it is another one from now on."""
        self.got_at.pop(symbol, None)
        self.unpriced.pop(symbol, None)
        self.priced_since.pop(symbol, None)

    def fail(self) -> None:
        """Count as an outage, from now on if it does not yet."""
        if self.down_since is None:
            self.down_since, self.failing_since = self.now(), self.clock()

    def rest(self) -> None:
        """Forget what was wrong while it was asked; nobody would see when it is well again."""
        self.down_since = self.failing_since = None
        self.provider.standing.forget_codes()
        self.unpriced.clear()

    async def run(self) -> None:
        """Bring quotes for ever."""
        if self.refused:
            await self.acted.wait()
        self.streaming = False
        self.poll_due.set()
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
                self.streaming = False
                self.poll_due.set()
                if self.refused:  # then nobody polls, and nobody else would notice
                    self.fail()
                await self._stay_away("stream", error, failures)
                failures += 1

    async def _stream(self) -> None:
        steady, began, self.lasted = None, 0.0, 0.0
        try:
            async for quote in self.provider.stream(self.instruments):
                began = began or self.clock()
                self.lasted = self.clock() - began
                if not self.streaming:
                    self.streaming = True
                    self.poll_due.set()  # what was missed, and what streams do not say
                self.streamed.add(quote.symbol)
                self._take(quote)
                if steady is None:
                    steady = asyncio.get_running_loop().call_later(STEADY, self._up)
        finally:
            self.streamed.clear()
            if steady is not None:
                steady.cancel()
        raise ProviderError("the stream ended")

    async def _keep_polling(self) -> None:
        failures = 0
        while True:
            await self.poll_due.wait()
            streamed = self.streaming
            try:
                await self._poll()
            except ProviderError as error:
                if not self.streaming:
                    self.fail()
                await self._stay_away("poll", error, failures)
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
        for quote in await self.provider.quotes(due) if due else ():
            if quote.last > 0:
                self.got_at[quote.symbol] = asked_at
            self._take(quote, asked_at)
        self.got_at |= {each.symbol: asked_at for each in due if self.lacks(each.code)}
        self._name_unknown()
        self._up()

    def _may_differ(self, each: Instrument, got_at: datetime | None) -> bool:
        return self.provider.invented or may_differ(each.exchange, each.kind, self.now(), got_at)

    def _take(self, quote: Quote, asked_at: datetime | None = None) -> None:
        if self.provider.standing.unknown.keys() - self.named:
            self._name_unknown()
        if quote.last <= 0:
            if asked_at is None or quote.symbol not in self.streamed:  # a poll may know less
                self.unpriced.setdefault(quote.symbol, self.clock())
        elif quote.symbol in self.unpriced:
            del self.unpriced[quote.symbol]
            self.priced_since[quote.symbol] = self.clock()
        self.take(quote, asked_at)

    def _up(self) -> None:
        if self.down_since:
            logger.info("%s is back", self.provider.name)
            self.down_since, self.failing_since, self.up_since = None, None, self.clock()
            self.told.clear()
            self.changed()

    async def _stay_away(self, what: str, error: ProviderError, failures: int) -> None:
        self.changed()
        # A stream alone may be one too many, of which only an answer of HTTP says that we are.
        if error.retry_after and (what == "poll" or error.status is not None):
            self.provider.standing.back_off(error.retry_after)
        if error.refused:
            if what == "poll":
                self.provider.standing.refuse("quotes", str(error))
            self._warn("%s: %s refused, not asked again until you act: %s", what, error)
            self.acted.clear()
            await self.acted.wait()
            return
        wait = back_off(failures, error)
        self._warn(f"%s: %s stopped, trying again in {wait:.0f} s: %s", what, error)
        await asyncio.sleep(wait)

    def _warn(self, words: str, what: str, error: ProviderError) -> None:
        # one line per cause, not one per attempt
        level = logging.DEBUG if self.told.get(what) == str(error) else logging.WARNING
        self.told[what] = str(error)
        logger.log(level, words, self.provider.name, what, error)

    def _name_unknown(self) -> None:
        unknown = self.provider.standing.unknown
        for code in unknown.keys() - self.named:
            logger.warning("%s: %s: %s", self.provider.name, code, unknown[code])
        self.named |= unknown.keys()
        self.changed()


def back_off(failures: int, error: ProviderError) -> float:
    """Return the seconds to stay away: what the source asked for, else full jitter."""
    if error.retry_after is not None:
        return error.retry_after + random.random()
    return random.uniform(0, min(LONGEST_BACK_OFF, BACK_OFF * 2 ** min(failures, 10)))
