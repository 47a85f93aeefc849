"""The hub: knows which pages watch which symbols, and sends one update to all of them.

Pages with the same watch get the same bytes, joined once. Delivery steps each socket's `send`
once, without a task: it either finishes at once or the page is slow. A slow page gets a task of
its own. The hub notes for it which symbols change meanwhile, and sends only their newest state.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from types import coroutine
from typing import Any

from quotes.fragments import Fragments
from quotes.limits import SLOW, UNSEEN
from quotes.watch import Watch

logger = logging.getLogger(__name__)

Send = Callable[[dict[str, Any]], Coroutine[Any, Any, None]]
STUCK_AFTER = 30.0  # seconds without progress, after which the socket is closed with SLOW
CLOSED_IN = 5.0  # seconds in which the sockets of a server that ends are closed, at most
PER_SECOND = 100  # sockets that are closed, at least
COHORTS = 5  # groups of pages, which get their pulse one after the other


@dataclass(eq=False, slots=True)
class Subscriber:
    """One open page: its socket's `send`, and the symbols that changed while `send` was busy."""

    watch: Watch
    send: Send
    cohort: int
    owed: set[str] = field(default_factory=set)
    behind: bool = False  # a message was left out while it was busy
    sending: asyncio.Task[None] | None = None


class Message(str):
    """A text for many sockets; a server keeps the frames that it makes of it in `frames`."""

    def __init__(self, text: str) -> None:
        self.frames: dict[bool, bytes] = {}


class Hub:
    """Knows the subscribers by watch and sends them their updates, at most once per pace."""

    def __init__(self, fragments: Fragments) -> None:
        self.fragments = fragments
        self.watches: dict[Watch, set[Subscriber]] = {}
        self.changed: set[str] = set()
        self.kept: dict[Watch, set[str]] = {}  # changes for watches with a rate, until they are due
        self.due: dict[Watch, float] = {}  # when they are, by the clock of the event loop
        self.wake = asyncio.Event()
        self.openings: dict[Watch, str] = {}  # valid until the next message
        self.cohorts = cycle(range(COHORTS))
        self.counts: Counter[str] = Counter()  # frames, slow, stuck, unseen

    def subscribe(self, watch: Watch, send: Send) -> Subscriber:
        """Add a page and send it everything that it shows."""
        subscriber = Subscriber(watch, send, next(self.cohorts))
        self._begin(subscriber, self._opening(watch))
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Remove a page."""
        if subscriber.sending:
            subscriber.sending.cancel()
        self._forget(subscriber)

    def move(self, subscriber: Subscriber, watch: Watch, message: str = "") -> None:
        """Change what a page watches, and send it the message that shows it."""
        if watch == subscriber.watch and not message:
            return
        self.unsubscribe(subscriber)
        subscriber.watch, subscriber.owed, subscriber.sending = watch, set(), None
        about = self.fragments.about(watch)
        self._begin(subscriber, message + about if message else self._opening(watch))

    def send_to(self, subscriber: Subscriber, message: str) -> None:
        """Send a page a message of its own, unless it is slow."""
        self._send([subscriber], message, ())

    def dismiss(self, subscriber: Subscriber, message: str) -> None:
        """Send a page that is out of view its last message, and close its socket."""
        self.unsubscribe(subscriber)
        self.counts["unseen"] += 1
        self._deliver(subscriber, {"type": "websocket.send", "text": message})
        self._deliver(subscriber, {"type": "websocket.close", "code": UNSEEN})

    async def close(self, code: int) -> None:
        """Close all sockets, one after the other, so that their pages do not return together."""
        clock = asyncio.get_running_loop().time
        count = sum(map(len, self.watches.values()))
        pause, due = min(1 / PER_SECOND, CLOSED_IN / max(count, 1)), clock()
        while self.watches:
            subscriber = next(iter(next(iter(self.watches.values()))))
            self.unsubscribe(subscriber)
            self._deliver(subscriber, {"type": "websocket.close", "code": code})
            due += pause
            await asyncio.sleep(max(0.0, due - clock()))

    def publish(self, codes: set[str]) -> None:
        """Note that symbols changed; their pages get them with the next pace."""
        if codes:
            self.changed |= codes
            self.wake.set()

    def send(self, message: Callable[[Watch], str], cohort: int | None = None) -> None:
        """Send notes or a pulse to all pages or a cohort. Slow pages get the newest one later."""
        self.openings.clear()
        for watch, subscribers in list(self.watches.items()):
            if text := message(watch):
                to = [each for each in subscribers if cohort in (None, each.cohort)]
                self._send(to, text, ())

    async def run(self, pace: float) -> None:
        """Deliver the changes, forever, at most once per `pace` seconds."""
        clock, due = asyncio.get_running_loop().time, 0.0
        while True:
            await self.wake.wait()
            await asyncio.sleep(max(0.0, due - clock()))
            due = clock() + pace  # counted from here, because delivery takes time, too
            self.wake.clear()
            self.flush()

    def flush(self) -> None:
        """Deliver the changed symbols to the pages that watch them."""
        codes, self.changed = self.changed, set()
        self.openings.clear()
        self.fragments.store.mark_moves(codes)
        now = {
            each: self.fragments.signs.now(each) for each in {each.edition for each in self.watches}
        }
        for watch in list(self.watches):
            if shown := self._due_now(watch, codes & watch.codes):
                try:
                    update = self.fragments.update(watch, shown)
                    update += self.fragments.titles(watch, shown)
                except Exception:
                    logger.exception("could not render %s", ", ".join(sorted(shown)))
                    continue
                if update:  # charts have messages of their own
                    update += now[watch.edition]
                    self._send(list(self.watches[watch]), update, shown)

    def _due_now(self, watch: Watch, codes: set[str]) -> set[str]:
        """Return which symbols to send now; keep those of a watch with a rate until it is due."""
        if not watch.rate:
            return codes
        kept = self.kept.setdefault(watch, set())
        kept |= codes
        loop = asyncio.get_running_loop()
        if not kept or loop.time() < self.due.get(watch, 0.0):
            return set()
        self.due[watch] = loop.time() + watch.rate
        loop.call_later(watch.rate, self.wake.set)
        del self.kept[watch]
        return kept

    def _opening(self, watch: Watch) -> str:
        if watch not in self.openings:
            self.openings[watch] = Message(self.fragments.opening(watch))
        return self.openings[watch]

    def _begin(self, subscriber: Subscriber, message: str) -> None:
        self.watches.setdefault(subscriber.watch, set()).add(subscriber)
        self._send([subscriber], message, subscriber.watch.codes)

    def _forget(self, subscriber: Subscriber) -> None:
        watching = self.watches.get(subscriber.watch, set())
        watching.discard(subscriber)
        if not watching:
            for by_watch in (self.watches, self.kept, self.due):
                by_watch.pop(subscriber.watch, None)

    def _send(self, to: list[Subscriber], message: str, codes: Collection[str]) -> None:
        shared = message if isinstance(message, Message) else Message(message)
        event = {"type": "websocket.send", "text": shared}
        behind = [each for each in to if each.sending]
        for subscriber in behind:
            subscriber.owed.update(codes)
            subscriber.behind = True
        for subscriber in to:
            if not subscriber.sending:
                self._deliver(subscriber, event)
        self.counts["frames"] += len(to) - len(behind)

    def _deliver(self, subscriber: Subscriber, event: dict[str, Any]) -> None:
        sent = subscriber.send(event)
        try:
            waiting_for = sent.send(None)
        except StopIteration:
            return  # sent at once
        except Exception as error:  # each server has an exception of its own for this
            logger.debug("a page disconnected: %r", error)
            self._forget(subscriber)
            return
        self.counts["slow"] += 1
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
            self.counts["stuck"] += 1
            with suppress(Exception):
                await subscriber.send({"type": "websocket.close", "code": SLOW})
        except Exception as error:
            logger.debug("a slow page disconnected: %r", error)
            self._forget(subscriber)
        subscriber.sending = None

    def _due(self, subscriber: Subscriber) -> str:
        codes, subscriber.owed, subscriber.behind = subscriber.owed, set(), False
        watch = subscriber.watch
        sign = self.fragments.signs.sign(watch.edition)  # it may have missed one
        drawn = self.fragments.charts(watch) + self.fragments.sparklines(watch)
        shown = self.fragments.snapshot(watch, codes) + self.fragments.titles(watch, codes)
        return shown + drawn + self.fragments.about(watch) + sign


@coroutine
def _resume(sent: Any, waiting_for: Any) -> Generator[Any, Any, None]:
    """Continue a coroutine that was stepped once, as `await` would have."""
    try:
        yield waiting_for
    except BaseException:
        sent.close()
        raise
    yield from sent
