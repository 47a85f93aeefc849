"""Many open pages, which connect again by themselves as a browser does.

They run in one thread. While they are open, they record what a visitor would notice: times that
go back, rows that look live although they are old, and the page's own note about its prices.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from tests.faults.pages import PULSE, Row, now, read
from tests.servers import Site

FIRST_WAIT, LONGEST_WAIT = 2.0, 10.0  # seconds before a page connects again, as in _socket.html
SILENT_FOR = 15.0  # seconds without a message, after which a page replaces its socket
LOOK_EVERY = 0.2  # seconds between two looks at all pages
LATE = 2.0  # seconds that a row may take to be marked, and a message to arrive


@lru_cache(maxsize=64)
def parsed(text: str) -> tuple[list[str], list[Row]]:
    """Read a message once for all pages that get it."""
    return PULSE.findall(text), read(text)


@dataclass
class Server:
    """A web process, as its pages know it: while it is paused, it can show them nothing."""

    site: Site
    paused: bool = False
    resumed_at: float = 0.0


@dataclass(eq=False)
class Visitor:
    """One open page."""

    server: Server
    path: str
    rows: dict[str, Row] = field(default_factory=dict)  # what it shows now, by code
    condition: str = ""  # of its newest pulse: "opening", "live" or "stopped"
    turns: list[tuple[float, str]] = field(default_factory=list)  # when the condition changed
    moved_at: float = 0.0  # when a row last got a newer time
    longest: float = 0.0  # between two such moments, since `begin`
    began_at: float = 0.0
    opened_at: float = 0.0
    connects: int = 0
    open: bool = False
    back: list[str] = field(default_factory=list)  # times that went back

    def take(self, text: str) -> None:
        """Show a message."""
        at = time.monotonic()
        pulses, told = parsed(text)
        for condition in pulses:
            if condition != self.condition:
                self.turns.append((at, condition))
                self.condition = condition
        for each in told:
            before = self.rows.get(each.code)
            if before and each.time < before.time and each.source == before.source:
                self.back.append(
                    f"{each.code} at {now():%H:%M:%S}: {before.time.isoformat()} {before.last}, "
                    f"then {each.time.isoformat()} {each.last}, {self.server.site.url}"
                    f"{self.path}, {at - self.opened_at:.1f} s after it connected"
                )
            if before is None or each.time > before.time:
                if before is not None:
                    self.longest = max(self.longest, at - max(self.moved_at, self.began_at))
                self.moved_at = at
            self.rows[each.code] = each

    def begin(self) -> None:
        """Begin to measure the longest time without a newer price, and the turns."""
        self.began_at, self.longest, self.turns = time.monotonic(), 0.0, []

    @property
    def gap(self) -> float:
        """The longest time without a newer price since `begin`, until now."""
        return max(self.longest, time.monotonic() - max(self.moved_at, self.began_at))

    def shows(self, prices: Mapping[str, str]) -> bool:
        """Whether it shows these prices, as live."""
        return self.condition == "live" and all(
            code in self.rows and float(self.rows[code].last) == float(price)
            for code, price in prices.items()
        )

    def current_since(self, moment: datetime, codes: Collection[str]) -> bool:
        """Whether it is live, and shows quotes of these symbols that were made after a moment."""
        return self.condition == "live" and all(
            code in self.rows and self.rows[code].time >= moment for code in codes
        )

    @property
    def showed_stopped(self) -> bool:
        """Whether it ever showed that prices stopped, since `begin`."""
        return any(condition == "stopped" for _, condition in self.turns)


@dataclass(frozen=True)
class Current:
    """How long it took until all pages were current."""

    took: float  # seconds, at most, from the end of the faults, or from when the page connected
    opened: float  # seconds until the last page had a socket
    behind: list[str]  # the pages that never were


class Crowd:
    """All open pages."""

    def __init__(self, stale_after: float) -> None:
        self.stale_after = stale_after  # seconds
        self.visitors: list[Visitor] = []
        self.trading_since: float | None = None  # None while the exchange does not trade
        self.unmoved: tuple[float, str] = (0.0, "")  # the longest time that a live page stood still
        self.unmarked: dict[str, str] = {}  # rows that looked live and were too old
        self.loop = asyncio.new_event_loop()
        self.tasks: set[asyncio.Task[None]] = set()
        self.chance = random.Random(1)
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        self._spawn(self.look())
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result(30)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    def add(self, server: Server, paths: tuple[str, ...], count: int) -> list[Visitor]:
        """Open pages of a web process, with these addresses in turn."""
        added = [Visitor(server, paths[number % len(paths)]) for number in range(count)]
        self.visitors += added
        for visitor in added:
            self._spawn(self.visit(visitor))
        return added

    async def visit(self, visitor: Visitor) -> None:
        """Keep a page open, forever."""
        wait = FIRST_WAIT
        while True:
            with suppress(
                OSError, TimeoutError, ConnectionClosed, InvalidHandshake, InvalidMessage
            ):
                async with self._socket(visitor) as socket:
                    visitor.opened_at, visitor.open = time.monotonic(), True
                    visitor.connects += 1
                    wait = FIRST_WAIT
                    await self._listen(visitor, socket)
            visitor.open = False
            await asyncio.sleep(wait * self.chance.uniform(0.5, 1.0))
            wait = min(wait * 2, LONGEST_WAIT)

    def _socket(self, visitor: Visitor) -> connect:
        return connect(
            visitor.server.site.ws + visitor.path,
            origin=visitor.server.site.url,  # type: ignore[arg-type]
            compression=None,
            max_size=None,
            ping_interval=None,
            open_timeout=SILENT_FOR,
            close_timeout=1,
        )

    async def _listen(self, visitor: Visitor, socket: ClientConnection) -> None:
        while True:
            async with asyncio.timeout(SILENT_FOR):
                visitor.take(str(await socket.recv()))

    async def look(self) -> None:
        """Look at all pages, five times a second."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            at, moment = time.monotonic(), now()
            for visitor in self.visitors:
                if visitor.open and visitor.condition == "live" and not visitor.server.paused:
                    self._judge(visitor, at, moment)

    def _judge(self, visitor: Visitor, at: float, moment: datetime) -> None:
        """Judge a page that looks live, and whose server is able to change that."""
        if self.trading_since is not None and visitor.rows:
            since = max(
                visitor.moved_at,
                visitor.turns[-1][0] if visitor.turns else 0.0,
                visitor.opened_at,
                visitor.server.resumed_at,
                self.trading_since,
            )
            if at - since > self.unmoved[0]:
                where = f"{visitor.server.site.url}{visitor.path} at {moment:%H:%M:%S}"
                self.unmoved = (at - since, where)
        for code, told in visitor.rows.items():
            age = (moment - told.time).total_seconds()
            can_mark = at - max(visitor.opened_at, visitor.server.resumed_at) > LATE
            if told.condition == "live" and age > self.stale_after + LATE and can_mark:
                where = f"{visitor.server.site.url}{visitor.path}"
                self.unmarked[f"{where} {code} {told.time}"] = (
                    f"{code} at {moment:%H:%M:%S}, {age:.1f} s old and not marked, {where}"
                )

    # Seen from the thread of the tests

    def begin(self) -> None:
        """Begin to measure on all pages."""
        for visitor in self.visitors:
            visitor.begin()

    def all_open(self) -> bool:
        """Whether each page has its socket."""
        return all(visitor.open for visitor in self.visitors)

    def all_show(self, prices: Mapping[str, str]) -> bool:
        """Whether each page shows these prices, as live."""
        return all(visitor.open and visitor.shows(prices) for visitor in self.visitors)

    def seconds_until_current(
        self, prices: Mapping[str, str], since: float, patience: float
    ) -> Current:
        """Wait until each page shows these prices, as live.

        A page that has no socket yet has time from the moment when it connects: browsers wait
        longer and longer before they try again.
        """
        took, opened = 0.0, 0.0
        waiting = list(self.visitors)
        while waiting and time.monotonic() - since < patience:
            for visitor in list(waiting):
                if visitor.open and visitor.shows(prices):
                    waiting.remove(visitor)
                    at = time.monotonic()
                    took = max(took, at - max(since, visitor.opened_at))
                    opened = max(opened, visitor.opened_at - since)
            time.sleep(0.02)
        if waiting:
            took = opened = patience
        return Current(took, opened, self.behind(prices) if waiting else [])

    def behind(self, prices: Mapping[str, str]) -> list[str]:
        """Describe the pages that do not show these prices, as live."""
        return [
            f"{each.server.site.url}{each.path}: open {each.open}, {each.condition}, "
            f"{ {code: told.last for code, told in each.rows.items()} }"
            for each in self.visitors
            if not (each.open and each.shows(prices))
        ]

    def gap(self) -> float:
        """Return the longest time without a newer price on any page, since `begin`."""
        return max(visitor.gap for visitor in self.visitors)

    def take_back(self) -> list[str]:
        """Return the times that went back since the last call."""
        found = [each for visitor in self.visitors for each in visitor.back]
        for visitor in self.visitors:
            visitor.back = []
        return found

    def take_unmoved(self) -> tuple[float, str]:
        """Return the longest time that a live page stood still, since the last call."""
        found, self.unmoved = self.unmoved, (0.0, "")
        return found

    def take_unmarked(self) -> list[str]:
        """Return the rows that looked live and were too old, since the last call."""
        found, self.unmarked = self.unmarked, {}
        return list(found.values())

    def _spawn(self, work: Any) -> None:
        def begin() -> None:
            task = self.loop.create_task(work)
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

        self.loop.call_soon_threadsafe(begin)

    async def _end(self) -> None:
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def seconds_until(
    happened: Callable[[], Any], patience: float, since: float | None = None
) -> float:
    """Return the seconds from a moment until something is true; `patience` if that is too long."""
    since = time.monotonic() if since is None else since
    while time.monotonic() - since < patience:
        if happened():
            return time.monotonic() - since
        time.sleep(0.02)
    return patience
