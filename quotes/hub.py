"""The hub: who watches what, and how one update reaches them all.

Pages with the same watch get the same bytes, joined once. Delivery steps each socket's `send`
once, without a task: it either finishes at once or the page is slow. A slow page is handed to a
task of its own and owed the newest state of what changes meanwhile, never a queue of old ones.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Generator
from contextlib import suppress
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
    behind: bool = False  # something was said while it was busy
    sending: asyncio.Task[None] | None = None


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
        self._forget(subscriber)

    def move(self, subscriber: Subscriber, watch: Watch, message: str = "") -> None:
        """Let a page watch something else, beginning with a message that shows it."""
        if watch == subscriber.watch and not message:
            return
        self.unsubscribe(subscriber)
        subscriber.watch, subscriber.owed, subscriber.sending = watch, set(), None
        self.watches.setdefault(watch, set()).add(subscriber)
        text = message + self.fragments.about(watch) if message else self.fragments.opening(watch)
        self._deliver(subscriber, text, watch.codes)

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
        for watch in list(self.watches):
            if shown := codes & watch.codes:
                try:
                    self._update(watch, shown)
                except Exception:
                    logger.exception("could not show %s", ", ".join(sorted(shown)))

    def _update(self, watch: Watch, codes: set[str]) -> None:
        message = self.fragments.update(watch, codes)
        for subscriber in list(self.watches[watch]):
            self._deliver(subscriber, message, codes)

    def _forget(self, subscriber: Subscriber) -> None:
        watching = self.watches.get(subscriber.watch, set())
        watching.discard(subscriber)
        if not watching:
            self.watches.pop(subscriber.watch, None)

    def _deliver(self, subscriber: Subscriber, message: str, codes: Collection[str]) -> None:
        if subscriber.sending:
            subscriber.owed.update(codes)
            subscriber.behind = True
            return
        sent = subscriber.send({"type": "websocket.send", "text": message})
        try:
            waiting_for = sent.send(None)
        except StopIteration:
            return  # it went out at once
        except Exception as error:  # each server has its own word for "gone"
            logger.debug("a page has gone: %r", error)
            self._forget(subscriber)
            return
        subscriber.sending = asyncio.create_task(self._catch_up(subscriber, sent, waiting_for))

    async def _catch_up(self, subscriber: Subscriber, sent: Any, waiting_for: Any) -> None:
        try:
            async with asyncio.timeout(STUCK_AFTER):
                await _resume(sent, waiting_for)
            while subscriber.behind:
                async with asyncio.timeout(STUCK_AFTER):
                    await subscriber.send({"type": "websocket.send", "text": self._due(subscriber)})
        except TimeoutError:
            self._forget(subscriber)
            with suppress(Exception):
                await subscriber.send({"type": "websocket.close", "code": SLOW})
        except Exception as error:
            logger.debug("a slow page has gone: %r", error)
            self._forget(subscriber)
        subscriber.sending = None

    def _due(self, subscriber: Subscriber) -> str:
        codes, subscriber.owed, subscriber.behind = subscriber.owed, set(), False
        watch = subscriber.watch
        return self.fragments.snapshot(watch, codes) + self.fragments.about(watch)


@coroutine
def _resume(sent: Any, waiting_for: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that was stepped once, as `await` would have."""
    try:
        yield waiting_for
    except BaseException:
        sent.close()
        raise
    yield from sent
