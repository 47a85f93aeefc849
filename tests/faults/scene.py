"""A scene: a deployment with open pages, in which one fault happens and is measured."""

from __future__ import annotations

import math
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.faults import oracle
from tests.faults.crowd import Crowd, seconds_until
from tests.faults.deployment import PANELS, PRODUCTS, Deployment, Process
from tests.faults.oracle import Figure
from tests.faults.pages import now
from tests.servers import eventually

RATE = 20.0  # trades of each product in a second
PATIENCE = 60.0  # seconds, before a figure is given up
GAP_AT_MOST = 3.0  # seconds without a newer price, on pages whose prices must go on
WRITTEN_WITHIN = 5.0  # seconds from the return of the database until it has everything
NO_ANSWER = (OSError, psycopg.Error, sqlite3.Error)  # of a database that is away
OPEN_WITHIN = 3.0  # seconds until a new page is live and current


@dataclass
class Scene:
    """What runs in it, and what was measured."""

    deployment: Deployment
    crowd: Crowd
    quick: bool
    figures: list[Figure] = field(default_factory=list)
    began: float = 0.0
    lengths: dict[str, int] = field(default_factory=dict)  # of the logs when the fault began

    def add(
        self,
        what: str,
        value: float,
        unit: str = "",
        bound: float | None = None,
        seen: list[str] | None = None,
    ) -> None:
        """Add a figure, and show it."""
        figure = Figure(what, value, unit, bound, tuple((seen or [])[:5]))
        self.figures.append(figure)
        print(f"  {figure.line()}", flush=True)
        for each in () if figure.kept else figure.seen:
            print(f"      {each}", flush=True)

    def seconds(self, long: float) -> float:
        """Return the length of an outage: short in a quick run, but longer than a page waits."""
        return min(long, 7.0) if self.quick else long

    def begin(self) -> None:
        """Begin to measure, before the fault."""
        self.crowd.begin()
        self.crowd.take_unmoved()
        self.began = time.monotonic()
        self.lengths = {
            process.name: process.log.stat().st_size for process in self.deployment.site_processes
        }

    def trade(self) -> None:
        """Let the exchange trade, and wait until the pages follow."""
        self.deployment.market.trade(RATE)
        self.crowd.trading_since = time.monotonic()
        self.crowd.begin()
        eventually(lambda: all(v.moved_at > v.began_at for v in self.crowd.visitors), "prices move")

    def stop_trading(self) -> dict[str, str]:
        """Let the exchange stop, and return its last prices."""
        self.deployment.market.trade(0)
        self.crowd.trading_since = None
        return self.deployment.market.last()

    def all_written(self) -> bool:
        """Whether the database has the last prices and all candles of the exchange."""
        market = self.deployment.market.ask("/_market")
        try:
            stored = self.deployment.last_quotes()
            ours = self.deployment.candles()
        except NO_ANSWER:
            return False
        shown = all(price in stored.get(code, "") for code, price in market["last"].items())
        return shown and not oracle.differing(oracle.candles_of(market), ours)

    def settle(self) -> None:
        """Wait until the candles from before the start of the feed are stored as well."""
        self.stop_trading()
        eventually(self.all_written, "all is written before the fault", PATIENCE * 2)
        self.trade()

    def live_until_now(self) -> None:
        """Add the figures of pages that must have stayed live since `begin`."""
        stopped = [f"{v.server.site.url}{v.path}" for v in self.crowd.visitors if v.showed_stopped]
        self.add("pages that showed that prices stopped", len(stopped), "", 0, stopped)
        self.add("longest time without a newer price", self.crowd.gap(), "s", GAP_AT_MOST)

    def new_page(self) -> None:
        """Open another page in each web process, and add the time until it is live."""
        took = 0.0
        for web in self.deployment.webs:
            begun = time.monotonic()
            html = web.site.get("/boards/crypto/")
            assert "BTC-USD" in html
            took = max(took, time.monotonic() - begun)
        self.add("until a board is served", took, "s", OPEN_WITHIN)
        new = [self.crowd.add(web.server, (PANELS,), 1)[0] for web in self.deployment.webs]
        opened = now()
        took = seconds_until(
            lambda: all(each.current_since(opened, PRODUCTS) for each in new), PATIENCE
        )
        self.add("until a new page shows prices from after its opening", took, "s", OPEN_WITHIN)

    def current_since(self, healed: float) -> None:
        """Stop trading, and add the time until all pages show the exchange's last prices."""
        last = self.stop_trading()
        current = self.crowd.seconds_until_current(last, healed, PATIENCE)
        limit = oracle.CURRENT_WITHIN
        self.add("until all pages are current", current.took, "s", limit, current.behind)

    def end(self) -> None:
        """Add what the oracle sees after each fault."""
        back = self.crowd.take_back()
        self.add("times that went back on a page", len(back), "", 0, back)
        unmoved, where = self.crowd.take_unmoved()
        stood = "longest time that a live page stood still"
        self.add(stood, unmoved, "s", oracle.SILENT_AT_MOST, [where])
        minutes = math.ceil((time.monotonic() - self.began) / 60)
        lines, traces = {}, []
        for process in self.deployment.site_processes:
            new = process.log.read_bytes()[self.lengths[process.name] :].decode(errors="replace")
            lines[process.name] = len(new.splitlines()) / minutes
            traces += [f"{process.name}: {each}" for each in oracle.tracebacks(new)]
        busiest = max(lines, key=lambda name: lines[name])
        limit = oracle.LINES_A_MINUTE
        self.add("log lines a minute, of the busiest process", lines[busiest], "", limit, [busiest])
        self.add("tracebacks in logs", len(traces), "", 0, traces)


@contextmanager
def scene(logs: Path, quick: bool, pages: int = 24, **options: Any) -> Iterator[Scene]:
    """Run a deployment with open pages, whose exchange trades."""
    logs.mkdir(parents=True, exist_ok=True)
    for log in logs.glob("*.log"):
        log.unlink()
    pages = min(pages, 4) if quick else pages
    with (
        tempfile.TemporaryDirectory(prefix="quotes-faults-") as folder,
        Deployment(Path(folder), logs, **options) as deployment,
        deployment.crowd(pages) as crowd,
    ):
        running = Scene(deployment, crowd, quick)
        running.trade()
        running.begin()
        yield running
        running.end()


def when_it_leads(feed: Process, patience: float = PATIENCE) -> float:
    """Wait until a feed that was started leads; return the moment."""
    eventually(lambda: " leads the feed, epoch " in feed.output(), "it leads", patience)
    return time.monotonic()


def led(feed: Process) -> int:
    """Return how many epochs this process has begun."""
    return feed.output().count(" leads the feed, epoch ")


Case = Callable[[Path, bool], list[Figure]]
