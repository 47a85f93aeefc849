"""`make kills`: break processes at random, and judge the site at each quiet point.

Redis, PostgreSQL, an exchange that trades by itself, two feeds, two web processes and their pages.
Every few seconds one of the processes is killed, paused or ended, in an order that the seed
decides. Processes that ended are started again, as a supervisor does. About once a minute
everything runs again, the exchange stops trading, and the oracle compares what each page shows
and what the database holds with the exchange.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults import oracle
from tests.faults.crowd import Crowd, seconds_until
from tests.faults.deployment import GRACE, Deployment, MissingError, Process, Web
from tests.faults.oracle import Figure, Usage
from tests.faults.scene import NO_ANSWER
from tests.servers import ROOT

RATE = 20.0  # trades of each product in a second
CANDLES_WITHIN = 90.0  # seconds until candles that were missed are stored
RUNNING_WITHIN = 60.0  # seconds until everything runs again
CONNECTED_WITHIN = 30.0  # seconds until each page has its socket again
PATIENCE = 30.0  # seconds until pages are current, before the oracle gives up
ENDS_WITHIN = 12.0  # seconds after SIGTERM
MORE_DESCRIPTORS, MORE_THREADS, MORE_MEMORY = 16, 6, 40.0  # MB; that a process may hold later on
TOGETHER = 3  # processes that are broken at the same time, usually at most
TURN = 0.05  # seconds


NEVER = Figure("from SIGTERM to the end of a process", 0.0, "s", ENDS_WITHIN)


class Fault(NamedTuple):
    """One step of the plan."""

    wait: float  # seconds after the step before
    victim: str  # "leader", "standby", "web-1", "web-2", "redis" or "postgres"
    way: str  # "kill", "pause" or "end"
    seconds: float  # that it is paused, or stays away
    together: float  # 0 to 1: whether this step may join others that last


def plan(seed: int) -> Iterator[Fault]:
    """Return the faults of a seed, endlessly."""
    chance = random.Random(seed)
    victims = ("leader", "leader", "standby", "web-1", "web-2", "redis", "postgres")
    while True:
        way = chance.choice(("kill", "pause", "end"))
        yield Fault(
            wait=chance.uniform(1.5, 6.0),
            victim=chance.choice(victims),
            way=way,
            seconds=chance.uniform(1.0, 9.0) if way == "pause" else chance.uniform(0.5, 3.0),
            together=chance.random(),
        )


@dataclass
class Broken:
    """A process that is broken, and when that ends."""

    process: Process
    until: float  # when it goes on, or is started again after its end
    seconds: float
    asked_at: float | None = None  # when it got SIGTERM


@dataclass
class Kills:
    """A run: the deployment, its pages, and what was measured."""

    deployment: Deployment
    crowd: Crowd
    faults: Iterator[Fault]
    began: float = field(default_factory=time.monotonic)
    broken: dict[str, Broken] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    points: list[dict[str, Any]] = field(default_factory=list)
    lengths: dict[str, int] = field(default_factory=dict)  # of each log at the last quiet point
    usages: dict[tuple[str, int], list[Usage]] = field(default_factory=dict)  # by name and pid
    slowest_end: Figure = NEVER

    def say(self, words: str) -> None:
        """Show what happens."""
        line = f"{time.monotonic() - self.began:6.1f} s  {words}"
        self.events.append(f"{time.strftime('%H:%M:%S')} {line}")
        print(line, flush=True)

    # Faults

    def break_things(self, seconds: float) -> None:
        """Break processes for some seconds, and start again those that ended."""
        end = time.monotonic() + seconds
        due = time.monotonic()
        fault = next(self.faults)
        while time.monotonic() < end:
            if time.monotonic() - due >= fault.wait:
                self.apply(fault)
                due, fault = time.monotonic(), next(self.faults)
            self.repair()
            time.sleep(TURN)

    def apply(self, fault: Fault) -> None:
        """Break the process that a fault names, unless too many are broken."""
        victim = self.victim(fault.victim)
        allowed = {0: 1.0, 1: 0.35, 2: 0.1}.get(len(self.broken), 0.0)
        if victim is None or victim.name in self.broken or fault.together > allowed:
            return
        role = "" if fault.victim == victim.name else f", the {fault.victim}"
        self.say(f"{fault.way} {victim.name}{role}, {fault.seconds:.1f} s")
        at = time.monotonic()
        self.broken[victim.name] = Broken(victim, at + fault.seconds, fault.seconds)
        if fault.way == "pause":
            self.pause(victim)
        elif fault.way == "end":
            self.broken[victim.name].asked_at = at
            # a server of the system ends at once; SIGTERM would let PostgreSQL wait for its clients
            victim.send(
                signal.SIGTERM if victim in self.deployment.site_processes else signal.SIGINT
            )
        else:
            # PostgreSQL ends all its processes at once, and recovers at the next start
            victim.send(signal.SIGQUIT if victim.name == "postgres" else signal.SIGKILL)

    def victim(self, role: str) -> Process | None:
        """Return the process that has a role now."""
        if role not in ("leader", "standby"):
            return next(each for each in self.deployment.processes if each.name == role)
        leader = self.deployment.leader()
        if role == "leader":
            return leader
        return next((each for each in self.deployment.feeds if each is not leader), None)

    def web_of(self, victim: Process) -> Web | None:
        """Return the web process that a process is, or None."""
        return next((web for web in self.deployment.webs if web.process is victim), None)

    def pause(self, victim: Process) -> None:
        """Pause a process."""
        web = self.web_of(victim)
        self.deployment.pause(web) if web else victim.pause()

    def resume(self, victim: Process) -> None:
        """Let a process go on."""
        web = self.web_of(victim)
        self.deployment.resume(web) if web else victim.resume()

    def repair(self) -> None:
        """Let processes go on whose pause is over, and start those that ended."""
        at = time.monotonic()
        for process in self.deployment.processes:  # also those that ended by themselves
            if not process.alive and process.name not in self.broken:
                self.say(f"{process.name} ended by itself")
                self.broken[process.name] = Broken(process, at + 1.0, 1.0)
        for name, broken in list(self.broken.items()):
            process = broken.process
            if broken.asked_at is not None:
                self._watch_end(broken, at)
            elif at >= broken.until:
                del self.broken[name]
                if process.paused:
                    self.resume(process)
                    self.say(f"{name} goes on")
                elif not process.alive:
                    process.start()
                    self.say(f"{name} is started")

    def _watch_end(self, broken: Broken, at: float) -> None:
        process, asked_at = broken.process, broken.asked_at
        assert asked_at is not None
        took = at - asked_at
        if process.alive and took < GRACE:
            return
        if took > self.slowest_end.value:
            seen = f"{process.name} at {time.strftime('%H:%M:%S')}"
            self.slowest_end = replace(NEVER, value=took, seen=(seen,))
        if process.alive:
            self.say(f"{process.name} did not end within {GRACE:.0f} s, killed")
            process.send(signal.SIGKILL)
        broken.asked_at, broken.until = None, at + broken.seconds

    def heal(self) -> bool:
        """End all faults, and wait until everything runs; return whether it does."""
        end = time.monotonic() + RUNNING_WITHIN
        for broken in self.broken.values():
            if broken.process.paused or broken.asked_at is None:
                broken.until = time.monotonic()
            broken.seconds = 0.0
        while time.monotonic() < end:
            self.repair()
            if not self.broken and all(each.ready for each in self.deployment.processes):
                return True
            time.sleep(TURN)
        return False

    # Judging

    def quiet(self, name: str, minutes: float) -> None:
        """Let everything run again, stop trading, and judge."""
        found: list[Figure] = []
        add = found.append
        self.say(f"{name}: ending all faults")
        began = time.monotonic()
        runs = self.heal()
        healed = time.monotonic()
        sleeping = () if runs else tuple(p.name for p in self.deployment.processes if not p.ready)
        add(Figure("processes that do not run again", len(sleeping), "", 0, sleeping))
        self.deployment.market.trade(0)
        self.crowd.trading_since = None
        last = self.deployment.market.last()
        current = self.crowd.seconds_until_current(last, healed, CONNECTED_WITHIN + PATIENCE)
        seen = tuple(current.behind[:3])
        add(
            Figure(
                "until all pages with a socket are current",
                current.took,
                "s",
                oracle.CURRENT_WITHIN,
                seen,
            )
        )
        add(Figure("until each page has a socket, as browsers wait", current.opened, "s"))
        back = self.crowd.take_back()
        add(Figure("times that went back on a page", len(back), "", 0, tuple(back[:9])))
        unmoved, where = self.crowd.take_unmoved()
        stood = "longest time that a live page stood still"
        add(Figure(stood, unmoved, "s", oracle.SILENT_AT_MOST, (where,)))
        found += self.logs(minutes + (time.monotonic() - began) / 60)
        found += self.candles(healed)
        unmarked = self.crowd.take_unmarked()
        add(Figure("old rows that looked live", len(unmarked), "", 0, tuple(unmarked[:9])))
        self.figures += found
        self.points.append({"name": name, "figures": [each.report() for each in found]})
        for figure in found:
            self.say(figure.line())
            if not figure.kept:
                for seen_there in figure.seen:
                    self.say(f"    {seen_there}")
        self.say(f"{name}: everything ran again after {healed - began:.1f} s")
        self.sample()
        self.deployment.market.trade(RATE)
        self.crowd.trading_since = time.monotonic()

    def candles(self, since: float) -> list[Figure]:
        """Compare the stored candles with those of the exchange, until they are equal."""
        theirs = self.deployment.market.candles()
        different: list[str] = []

        def equal() -> bool:
            with suppress(*NO_ANSWER):
                different[:] = oracle.differing(theirs, self.deployment.candles())
                return not different
            return False

        equal()
        at_first = len(different)
        took = seconds_until(equal, CANDLES_WITHIN, since)
        seen = tuple(different[:9])
        return [
            Figure("candles of the exchange", len(theirs)),
            Figure("candles that differ at first", at_first),
            Figure("until all candles are equal", took, "s"),
            Figure("candles that differ in the end", len(different), "", 0, seen),
        ]

    def logs(self, minutes: float) -> list[Figure]:
        """Count the lines and tracebacks in the logs since the last quiet point."""
        found, lines = [], {}
        traces: list[str] = []
        for process in self.deployment.site_processes:
            text = process.log.read_bytes()
            new = text[self.lengths.get(process.name, 0) :].decode(errors="replace")
            self.lengths[process.name] = len(text)
            lines[process.name] = len(new.splitlines()) / minutes
            traces += [f"{process.name}: {each}" for each in oracle.tracebacks(new)]
        busiest = max(lines, key=lambda name: lines[name])
        found.append(
            Figure(
                "log lines a minute, of the busiest process",
                round(lines[busiest], 1),
                "",
                oracle.LINES_A_MINUTE,
                (busiest,),
            )
        )
        found.append(Figure("tracebacks in logs", len(traces), "", 0, tuple(traces[:9])))
        return found

    def sample(self) -> None:
        """Note what each process holds."""
        for process in self.deployment.processes:
            if usage := process.usage():
                self.usages.setdefault((process.name, process.pid), []).append(usage)

    def leaks(self) -> list[Figure]:
        """Compare what long-living processes hold now and at the first quiet point."""
        grown = {
            f"{name} ({len(samples)} quiet points)": oracle.growth(samples)
            for (name, pid), samples in self.usages.items()
            if len(samples) > 1 and name != "postgres"
        }
        if not grown:
            return []
        bounds = {
            "descriptors": ("", MORE_DESCRIPTORS),
            "threads": ("", MORE_THREADS),
            "memory": ("MB", MORE_MEMORY),
        }
        found = []
        for what, (unit, bound) in bounds.items():
            name, most = max(
                ((name, getattr(each, what)) for name, each in grown.items()), key=lambda x: x[1]
            )
            found.append(Figure(f"more {what} in a process later on", most, unit, bound, (name,)))
        return found


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kills", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides what breaks, and when (1)")
    parser.add_argument("--minutes", type=float, default=10, help="how long (10)")
    parser.add_argument("--pages", type=int, default=24, help="open pages (24)")
    parser.add_argument("--every", type=float, default=75, help="seconds to a quiet point (75)")
    parser.add_argument("--json", type=Path, help="where to write all values (var/kills-SEED.json)")
    return parser.parse_args()


def run(asked: argparse.Namespace, folder: Path, logs: Path) -> Kills:
    """Break things for some minutes; return what was measured."""
    with Deployment(folder, logs) as deployment, deployment.crowd(asked.pages) as crowd:
        kills = Kills(deployment, crowd, plan(asked.seed))
        deployment.market.trade(RATE)
        crowd.trading_since = time.monotonic()
        end, number = time.monotonic() + asked.minutes * 60, 0
        while time.monotonic() < end:
            number += 1
            begun = time.monotonic()
            kills.break_things(min(asked.every, max(end - begun, 10.0)))
            kills.quiet(f"quiet point {number}", (time.monotonic() - begun) / 60)
        kills.figures += [kills.slowest_end, *kills.leaks()]
        return kills


def main() -> int:
    """Run; return the exit code of the command."""
    asked = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    name = f"kills-{asked.seed}"
    logs = ROOT / "var" / name
    logs.mkdir(parents=True, exist_ok=True)
    for log in logs.glob("*.log"):
        log.unlink()
    with tempfile.TemporaryDirectory(prefix="quotes-kills-") as folder:
        try:
            kills = run(asked, Path(folder), logs)
        except MissingError as error:
            print(error, file=sys.stderr)
            return 2
    return report(asked, kills, asked.json or logs.with_suffix(".json"))


def report(asked: argparse.Namespace, kills: Kills, file: Path) -> int:
    """Print the table and write the values; return 1 if a promise is broken."""
    figures = oracle.worst(kills.figures)
    broken = [figure for figure in figures if not figure.kept]
    print(f"\nseed {asked.seed}, {len(kills.points)} quiet points, the worst of each figure:")
    for figure in figures:
        print(figure.line())
    for figure in broken:
        print(f"\nbroken: {figure.what}")
        for seen in figure.seen:
            print(f"    {seen}")
    values = {
        "seed": asked.seed,
        "minutes": asked.minutes,
        "pages": asked.pages,
        "figures": [figure.report() for figure in figures],
        "quiet points": kills.points,
        "events": kills.events,
        "usages": {
            f"{name} {pid}": [vars(each) for each in samples]
            for (name, pid), samples in kills.usages.items()
        },
    }
    file.write_text(json.dumps(values, indent=2) + "\n")
    if broken:
        again = f"make kills SEED={asked.seed} MINUTES={asked.minutes:g}"
        print(f"\n{len(broken)} promises are broken; to repeat it: {again}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
