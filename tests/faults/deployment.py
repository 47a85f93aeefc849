"""A whole deployment of real processes, each of which can be broken and started again.

exchange ──> feed, and another that waits ──> Redis ──> two web processes ──> pages
                      │
                   database
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psycopg

from quotes.fields import from_text
from tests import templates
from tests.benchmarks.usage import with_children
from tests.browser.proxy import Proxy, proxy
from tests.faults.crowd import Crowd, Server
from tests.faults.oracle import Candles, Usage, candles_of
from tests.servers import (
    PATIENCE,
    ROOT,
    Postgres,
    Redis,
    Site,
    Stub,
    environment,
    eventually,
    find_postgres,
)

PRODUCTS = ("BTC-USD", "ETH-USD", "SOL-USD")  # that trade all the time
QUIET = "DOGE-USD"  # listed, but never traded
PANELS = f"/ws/quotes/?panel={','.join((*PRODUCTS, QUIET))}&lang=en"
PATHS = (PANELS, "/ws/cryptoupdates/")  # of the pages
STALE_AFTER = 60.0  # seconds, of these symbols
GRACE = 30.0  # seconds after SIGTERM, after which a supervisor kills a process

CANDLES = """
SELECT code, step, quotes_candle.start, open, high, low, close
FROM quotes_candle JOIN quotes_symbol ON quotes_symbol.id = symbol_id
"""
LAST_QUOTES = "SELECT code, wire FROM quotes_lastquote JOIN quotes_symbol ON id = symbol_id"
LISTED = f"UPDATE quotes_symbol SET active = false WHERE code NOT IN {(*PRODUCTS, QUIET)!r}"


class MissingError(Exception):
    """Raised when a program that is needed is not installed."""


class Market(Stub):
    """The exchange, as a process."""

    def __init__(self) -> None:
        super().__init__("market")

    def trade(self, per_second: float) -> None:
        """Let each product trade so often."""
        self.ask(f"/_trade?per_second={per_second}")

    def candles(self) -> Candles:
        """Return its candles."""
        return candles_of(self.ask("/_market"))

    def last(self) -> dict[str, str]:
        """Return the price of each product's last trade."""
        found: dict[str, str] = self.ask("/_market")["last"]
        return found


class Process:
    """A process that can be broken, and is started again as a supervisor would do."""

    def __init__(
        self,
        name: str,
        command: list[str],
        log: Path,
        answers: Callable[[], Any],
        **options: Any,
    ) -> None:
        self.name, self.command, self.log = name, command, log
        self.answers, self.options = answers, options
        self.running: subprocess.Popen[bytes] | None = None
        self.paused = False
        self.began = 0  # the length of its log when it was last started

    def start(self) -> None:
        """Start it; do not wait until it answers."""
        self.began = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(self.command, stdout=log, stderr=log, **self.options)
        self.paused = False

    @property
    def pid(self) -> int:
        """Its number."""
        assert self.running
        return self.running.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.running is not None and self.running.poll() is None

    @property
    def ready(self) -> bool:
        """Whether it runs and answers."""
        try:
            return self.alive and not self.paused and bool(self.answers())
        except (OSError, AssertionError, psycopg.Error):
            return False

    def send(self, number: int) -> None:
        """Send it a signal."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def pause(self) -> None:
        """Stop it, and the processes that it started, as a machine does that hangs."""
        self.paused = True
        self._send_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._send_all(signal.SIGCONT)
        self.paused = False

    def end(self) -> None:
        """End it, even if it hangs."""
        if self.alive:
            self.resume()
            self.send(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                assert self.running
                self.running.wait(GRACE)
        if self.alive:
            self.send(signal.SIGKILL)
            assert self.running
            self.running.wait(GRACE)

    def output(self) -> str:
        """Return its log since it was last started."""
        with self.log.open("rb") as log:
            log.seek(self.began)
            return log.read().decode(errors="replace")

    def usage(self) -> Usage | None:
        """Return what it holds now, or None if it has ended."""
        try:
            return Usage.of(self.pid)
        except OSError:
            return None

    def _send_all(self, number: int) -> None:
        with suppress(OSError):
            for pid in with_children(self.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)


class Ending(Process):
    """A server of the system that ends with another signal than SIGTERM."""

    def end(self) -> None:
        """End it at once."""
        if self.alive:
            self.resume()
            self.send(signal.SIGINT)
            assert self.running
            self.running.wait(GRACE)


@dataclass
class Web:
    """A web process, and the server that its pages know."""

    process: Process
    server: Server

    @property
    def site(self) -> Site:
        """The site that it serves."""
        return self.server.site


class Deployment:
    """Redis, a database, an exchange, two web processes and feeds."""

    def __init__(
        self,
        folder: Path,
        logs: Path,
        *,
        sqlite: bool = False,
        wired: bool = False,
        feeds: int = 2,
    ) -> None:
        """Prepare everything; if it is `wired`, the site reaches PostgreSQL through a proxy."""
        self.folder, self.logs = folder, logs
        self.redis_server = Redis(program("redis-server"))
        self.redis = Ending(
            "redis",
            self.redis_server.command,
            logs / "redis.log",
            lambda: self.redis_server.say("PING") == "+PONG",
        )
        self.database_server: Postgres | None = None
        self.market = Market()
        self.feeds: list[Process] = []
        self.webs: list[Web] = []
        self.sqlite, self.wired, self.count = sqlite, wired, feeds
        self.wire: Proxy | None = None
        self.stack = ExitStack()

    def __enter__(self) -> Self:
        with self.stack as stack:
            stack.callback(self.market.stop)
            stack.callback(self._end_all)
            self.redis.start()
            self._make(self._copy_sqlite() if self.sqlite else self._start_postgres())
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    def _copy_sqlite(self) -> str:
        template = templates.sqlite(templates.folder_of_process())
        path = shutil.copy(template, self.folder / "site.sqlite3")
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(LISTED)
        return f"sqlite:///{path}"

    def _start_postgres(self) -> str:
        programs = find_postgres()
        if programs is None:
            raise MissingError("install PostgreSQL: apt-get install postgresql")
        (self.folder / "postgres").mkdir()
        template = templates.postgres(templates.folder_of_process(), programs)
        server = self.database_server = Postgres(programs, self.folder / "postgres", template)
        self.postgres = Ending(
            "postgres",
            server.command,
            self.logs / "postgres.log",
            lambda: self.rows("SELECT 1"),
            **server.options,
        )
        self.postgres.start()
        eventually(lambda: self.postgres.ready, "PostgreSQL answers")
        with psycopg.connect(server.url) as connection:
            connection.execute(LISTED)
        return server.url

    def _make(self, url: str) -> None:
        env = {
            "DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
            "QUOTES_FEED": "external",
            "REDIS_URL": self.redis_server.url,
        } | self.market.settings
        if self.wired and self.database_server:
            # ended before the processes, so that those that wait for an answer get one
            self.wire = self.stack.enter_context(proxy(self.database_server.port))
            env["DATABASE_URL"] = url.replace(str(self.database_server.port), str(self.wire.port))
        for number in (1, 2):
            site = Site(self.folder, "uvicorn", **env)
            process = Process(
                f"web-{number}",
                site.command(),
                self.logs / f"web-{number}.log",
                lambda site=site: site.get("/healthz"),
                env=environment(**env),
                cwd=ROOT,
            )
            self.webs.append(Web(process, Server(site)))
        for number in range(1, self.count + 1):
            feed = Process(
                f"feed-{number}",
                [sys.executable, "-u", "manage.py", "runfeed"],
                self.logs / f"feed-{number}.log",
                answers=bool,
                env=environment(**env),
                cwd=ROOT,
            )
            feed.answers = lambda feed=feed: leads_or_waits(feed.output())
            self.feeds.append(feed)
        for each in self.site_processes:
            each.start()
        eventually(lambda: all(each.ready for each in self.processes), "all processes run")

    def _end_all(self) -> None:
        for each in reversed(self.processes):
            with suppress(Exception):
                each.end()

    @property
    def site_processes(self) -> list[Process]:
        """The processes of the product."""
        return [*self.feeds, *(web.process for web in self.webs)]

    @property
    def processes(self) -> list[Process]:
        """All processes that can be broken."""
        database = [self.postgres] if hasattr(self, "postgres") else []
        return [self.redis, *database, *self.site_processes]

    # The database, from outside the site

    def rows(self, query: str) -> list[Any]:
        """Query the database."""
        if self.database_server is None:
            with closing(sqlite3.connect(self.folder / "site.sqlite3", timeout=5)) as database:
                return database.execute(query).fetchall()
        waits = "-c statement_timeout=5000 -c lock_timeout=2000"
        with psycopg.connect(
            self.database_server.url, connect_timeout=2, options=waits
        ) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]

    def candles(self) -> Candles:
        """Return the stored candles."""
        return {
            (code, step, start): tuple(map(from_text, prices))
            for code, step, start, *prices in self.rows(CANDLES)
        }

    def last_quotes(self) -> dict[str, str]:
        """Return the stored last prices, in their wire format."""
        return {code: str(wire) for code, wire in self.rows(LAST_QUOTES)}

    def leader(self) -> Process | None:
        """Return the feed that the lease names, if that runs."""
        try:
            [(holder,)] = self.rows("SELECT holder FROM quotes_feedlease")
        except (psycopg.Error, sqlite3.Error, ValueError):
            return None
        pid = int(holder.rpartition(":")[2] or 0)
        return next((feed for feed in self.feeds if feed.alive and feed.pid == pid), None)

    def pause(self, web: Web) -> None:
        """Pause a web process; its pages can show nothing meanwhile."""
        web.server.paused = True
        web.process.pause()

    def resume(self, web: Web) -> None:
        """Let a web process go on."""
        web.process.resume()
        web.server.resumed_at, web.server.paused = time.monotonic(), False

    # Pages

    @contextmanager
    def crowd(self, pages: int) -> Iterator[Crowd]:
        """Open pages in both web processes, and wait until all are live and current."""
        with Crowd(STALE_AFTER) as crowd:
            for number, web in enumerate(self.webs):
                crowd.add(web.server, PATHS, (pages + 1 - number) // 2)
            eventually(
                lambda: (
                    crowd.all_open() and all(each.condition == "live" for each in crowd.visitors)
                ),
                "all pages are live",
                PATIENCE * 2,
            )
            yield crowd


def program(name: str) -> str:
    """Return the path of a program; raise MissingError without it."""
    found = shutil.which(name)
    if found is None:
        raise MissingError(f"install {name}: apt-get install {name}")
    return found


def leads_or_waits(log: str) -> bool:
    """Return whether a feed has begun its work."""
    return " leads the feed, epoch " in log or "This process runs the feed" in log
