"""Shared by all benchmarks: a folder, databases, servers with a crowd of visitors, figures."""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Figures
from tests.benchmarks.servers import MissingError, Ours, Server, Uvicorn
from tests.benchmarks.usage import cpu_seconds, resident_bytes
from tests.benchmarks.visitors import Visitors
from tests.servers import ROOT, environment, manage

BOARD = "/ws/boards/bench/"
COLUMNS = "symbol,name,kind,exchange,currency,coinbase,tick_size,start"
SETTLE = 1.5  # seconds after the last visitor came in
BUSY = 0.9  # of a core: above it, the crowd itself may limit the figures
SPARE_FILES = 200  # that a process has open beside its sockets


@dataclass(slots=True)
class Seen:
    """The measurements of a window, at the server and at its visitors."""

    cpu: float  # seconds of processor that the server used
    memory: int  # bytes that the server held, at most
    crowd: dict[str, Any]  # what came, see `Crowd.do_end`

    @property
    def seconds(self) -> float:
        """The seconds for which it was open."""
        return float(self.crowd["seconds"])


@dataclass(slots=True)
class Scene:
    """A server with its visitors."""

    server: Server
    visitors: Visitors
    bench: Bench

    def watch(self, seconds: float, what: str, timed: bool = False) -> Seen:
        """Measure both for some seconds."""
        pids = self.server.pids
        self.visitors.ask("begin", timed=timed)
        before, memory = cpu_seconds(pids), 0
        end = time.monotonic() + self.bench.seconds(seconds)
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 1.0))
            memory = max(memory, resident_bytes(pids))
        cpu = cpu_seconds(pids) - before
        seen = Seen(cpu, memory, self.visitors.ask("end"))
        if seen.crowd["cpu"] > BUSY:
            self.bench.figures.warn(f"{what}: the crowd used {seen.crowd['cpu']:.0%} of a core")
        if seen.crowd["ends"]:
            self.bench.figures.warn(f"{what}: sockets ended: {seen.crowd['ends']}")
        return seen


@dataclass(slots=True)
class Bench:
    """One run of the benchmarks."""

    folder: Path
    quick: bool = False
    figures: Figures = field(default_factory=Figures)

    def seconds(self, wanted: float) -> float:
        """Return the seconds for a measurement: a quick run only checks that it works."""
        return min(wanted, 2.0) if self.quick else wanted

    def say(self, what: str) -> None:
        """Print the progress."""
        clock = time.strftime("%H:%M:%S")
        print(f"{clock}  round {self.figures.round}  {what}", file=sys.stderr, flush=True)

    @contextmanager
    def attempt(self, name: str) -> Iterator[str]:
        """Measure something of that name; if that fails, record the reason, and go on."""
        self.say(name)
        try:
            yield name
        except MissingError as error:
            self.figures.lack(name, str(error))
        except Exception as error:
            self.say(f"failed: {error!r}")
            self.figures.fail(name, repr(error))

    def database(self, symbols: int, *, coded: bool = False) -> Path:
        """Return a database with this many symbols, all on one board."""
        path = self.folder / f"{symbols}{'-coded' * coded}.sqlite3"
        if not path.exists():
            self.fill(symbols, coded=coded, DATABASE_URL=f"sqlite:///{path}")
        return path

    def fill(self, symbols: int, *, coded: bool = False, **env: str) -> None:
        """Fill an empty database with this many symbols, all on one board.

        With `coded`, their provider is an exchange; else they are simulated.
        """
        rows = self.folder / f"{symbols}.csv"
        with rows.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS.split(","))
            for number in range(symbols):
                start = f"{100 + number * 7.77:.2f}"
                name = f"Coin number {number}"
                code = f"S{number:03}-USD"
                at_exchange = code if coded else ""
                writer.writerow([code, name, "crypto", "", "USD", at_exchange, "0.01", start])
        manage("migrate", "--verbosity", "0", **env)
        manage("loadcatalogue", str(rows), "--board", "bench", "--verbosity", "0", **env)

    def ours(
        self,
        symbols: int,
        rate: float,
        server: type[Ours] = Uvicorn,
        *,
        coded: bool = False,
        **env: str,
    ) -> Ours:
        """Return our site with a board of symbols that tick at a rate per minute each."""
        return server(self.folder, self.database(symbols, coded=coded), rate, **env)

    @contextmanager
    def scene(self, server: Server, sockets: int) -> Iterator[Scene]:
        """Run a server, with a crowd that has not connected yet."""
        allow_files(sockets + SPARE_FILES)
        with server, Visitors() as visitors:
            yield Scene(server, visitors, self)

    @contextmanager
    def crowded(
        self, server: Server, path: str, sockets: int, *, compressed: bool = False
    ) -> Iterator[Scene]:
        """Run a server with a crowd that is connected and has settled."""
        with self.scene(server, sockets) as scene:
            scene.visitors.open(server, path, sockets, compressed=compressed)
            server.begin()
            time.sleep(self.seconds(SETTLE))
            yield scene


def run_apart(module: str, *arguments: str, **env: str) -> Any:
    """Run a module of benchmarks in a process of its own; return what it prints as JSON."""
    result = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments],
        env=environment(**env),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(result.stderr[-3000:])
    return json.loads(result.stdout)


def allow_files(count: int) -> None:
    """Allow later processes this many open files; raise MissingError if that fails."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < count:
        raise MissingError(f"at most {most} files may be open here, and {count} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
