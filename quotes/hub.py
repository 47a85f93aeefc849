"""The hub: who watches what, and how one update reaches them all.

Pages with the same watch get the same bytes, joined once. Delivery steps each socket's `send`
once, without a task: it either finishes at once or the page is slow. A slow page is handed to a
task of its own and owed the newest state of what changes meanwhile, never a queue of old ones.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine, Generator
from dataclasses import dataclass, field
from types import coroutine
from typing import Any

from quotes.fragments import Fragments, Watch

logger = logging.getLogger(__name__)

Send = Callable[[dict[str, Any]], Coroutine[Any, Any, None]]
STUCK_AFTER = 30.0  # seconds without progress, then the page is told to come back later
SLOW = 4013  # our close code for "too slow, try again later"


@dataclass(eq=False, slots=True)
class Subscriber:
    """One open page: its socket's `send`, and what it is owed while that is busy."""

    watch: Watch
    send: Send
    owed: set[str] = field(default_factory=set)
    sending: asyncio.Task[None] | None = None
    busy_since: float = 0.0


class Hub:
    """Knows the subscribers by watch and sends them what they watch, at most once per pace."""

    def __init__(self, fragments: Fragments) -> None:
        self.fragments = fragments
        self.watches: dict[Watch, set[Subscriber]] = {}
        self.changed: set[str] = set()
        self.wake = asyncio.Event()

    def subscribe(self, watch: Watch, send: Send) -> Subscriber:
        """Let a page watch, beginning with everything it shows."""
        subscriber = Subscriber(watch, send)
        self.watches.setdefault(watch, set()).add(subscriber)
        self._deliver(subscriber, self.fragments.opening(watch), watch.codes)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Forget a page."""
        if subscriber.sending:
            subscriber.sending.cancel()
        watching = self.watches.get(subscriber.watch, set())
        watching.discard(subscriber)
        if not watching:
            self.watches.pop(subscriber.watch, None)

    def move(self, subscriber: Subscriber, watch: Watch, message: str = "") -> None:
        """Let a page watch something else, beginning with a message that shows it."""
        if watch == subscriber.watch and not message:
            return
        self.unsubscribe(subscriber)
        subscriber.watch, subscriber.owed, subscriber.sending = watch, set(), None
        self.watches.setdefault(watch, set()).add(subscriber)
        self._deliver(subscriber, message or self.fragments.opening(watch), watch.codes)

    def publish(self, codes: set[str]) -> None:
        """Note that symbols changed; their pages hear of it with the next pace."""
        if codes:
            self.changed |= codes
            self.wake.set()

    def tell(self, message: Callable[[Watch], str]) -> None:
        """Send every page something that is not a quote; a slow page can do without."""
        for watch, subscribers in list(self.watches.items()):
            if text := message(watch):
                for subscriber in list(subscribers):
                    self._deliver(subscriber, text, ())

    async def run(self, pace: float) -> None:
        """Deliver what changed, for ever, at most once per `pace` seconds."""
        while True:
            await self.wake.wait()
            self.wake.clear()
            self.flush()
            await asyncio.sleep(pace)

    def flush(self) -> None:
        """Deliver what changed to those who watch it."""
        codes, self.changed = self.changed, set()
        self.fragments.store.mark_moves(codes)
        for watch, subscribers in list(self.watches.items()):
            shown = codes & watch.codes
            if shown:
                message = self.fragments.update(watch, shown)
                for subscriber in list(subscribers):
                    self._deliver(subscriber, message, shown)

    def _deliver(self, subscriber: Subscriber, message: str, codes: Collection[str]) -> None:
        if subscriber.sending:
            subscriber.owed.update(codes)
            return
        sent = subscriber.send({"type": "websocket.send", "text": message})
        try:
            waiting_for = sent.send(None)
        except StopIteration:
            return  # it went out at once
        except Exception as error:
            logger.debug("a page has gone: %r", error)
            self.unsubscribe(subscriber)
            return
        subscriber.busy_since = time.monotonic()
        subscriber.sending = asyncio.create_task(self._catch_up(subscriber, sent, waiting_for))

    async def _catch_up(self, subscriber: Subscriber, sent: Any, waiting_for: Any) -> None:
        try:
            async with asyncio.timeout(STUCK_AFTER):
                await _resume(sent, waiting_for)
            while subscriber.owed:
                codes, subscriber.owed = subscriber.owed, set()
                text = self.fragments.snapshot(subscriber.watch, codes)
                async with asyncio.timeout(STUCK_AFTER):
                    await subscriber.send({"type": "websocket.send", "text": text})
            subscriber.sending = None
        except TimeoutError:
            subscriber.sending = None
            self.unsubscribe(subscriber)
            await subscriber.send({"type": "websocket.close", "code": SLOW})
        except Exception as error:
            logger.debug("a slow page has gone: %r", error)
            subscriber.sending = None
            self.unsubscribe(subscriber)


@coroutine
def _resume(sent: Any, waiting_for: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that was stepped once, as `await` would have."""
    try:
        yield waiting_for
    except BaseException:
        sent.close()
        raise
    yield from sent
