"""The cases of `make faults`: each breaks one thing, and returns its figures."""

from __future__ import annotations

import resource
import signal
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import psycopg

from tests.faults.crowd import seconds_until
from tests.faults.deployment import PRODUCTS, Process
from tests.faults.oracle import CURRENT_WITHIN, SILENT_AT_MOST, Figure
from tests.faults.pages import now
from tests.faults.scene import PATIENCE, WRITTEN_WITHIN, Case, Scene, led, scene, when_it_leads
from tests.servers import eventually

TAKEN_WITHIN = 4.0  # seconds from a crash of the leader until another feed leads
FULL_AT = 64 * 1024  # bytes that each file of the feed may have while its disk is "full"

CASES: dict[str, Case] = {}
Away = Callable[[Scene], AbstractContextManager[None]]  # the outage


def case(name: str) -> Callable[[Case], Case]:
    """Add a case under its name on the command line."""

    def add(run: Case) -> Case:
        CASES[name] = run
        return run

    return add


@case("feed-killed")
def feed_killed(logs: Path, quick: bool) -> list[Figure]:
    """The only feed is killed, and is started again after some seconds."""
    with scene(logs, quick, feeds=1) as here:
        [feed] = here.deployment.feeds
        feed.send(signal.SIGKILL)
        took = seconds_until(
            lambda: all(each.condition == "stopped" for each in here.crowd.visitors), PATIENCE
        )
        here.add("until every page shows that prices stopped", took, "s", SILENT_AT_MOST)
        time.sleep(here.seconds(10))
        started = time.monotonic()
        feed.start()
        leads, since = when_it_leads(feed), now()
        here.add("until the feed that is started leads", leads - started, "s")
        pages = here.crowd.visitors
        took = seconds_until(
            lambda: all(each.current_since(since, PRODUCTS) for each in pages), PATIENCE, leads
        )
        here.add("until all pages are live and current again", took, "s", CURRENT_WITHIN)
    return here.figures


@case("leaders")
def leaders(logs: Path, quick: bool) -> list[Figure]:
    """The leading feed is killed and paused in turn, twenty times, while another one waits."""
    with scene(logs, quick, pages=200) as here:
        taken = []
        for number in range(2 if quick else 20):
            leader = eventually(here.deployment.leader, "a feed leads")
            [other] = [feed for feed in here.deployment.feeds if feed is not leader]
            eventually(lambda other=other: other.ready, "another one waits")
            before, begun = led(other), time.monotonic()
            if number % 2:
                leader.pause()
            else:
                leader.send(signal.SIGKILL)
            eventually(lambda other=other, before=before: led(other) > before, "the other leads")
            taken.append(time.monotonic() - begun)
            if number % 2:
                time.sleep(1)
                leader.resume()
            else:
                eventually(lambda leader=leader: not leader.alive, "it ended")
                leader.start()
            moved = time.monotonic()
            eventually(
                lambda moved=moved: all(each.moved_at > moved for each in here.crowd.visitors),
                "prices move on all pages",
            )
        stopped = [each.path for each in here.crowd.visitors if each.showed_stopped]
        here.add("changes of the leader", len(taken))
        here.add("pages open", len(here.crowd.visitors))
        here.add("pages that showed that prices stopped", len(stopped), "", 0)
        here.add("take-over, median", statistics.median(taken), "s")
        here.add("take-over, longest", max(taken), "s", TAKEN_WITHIN)
        here.add("longest time without a newer price", here.crowd.gap(), "s", SILENT_AT_MOST)
    return here.figures


@contextmanager
def paused(process: Process) -> Iterator[None]:
    """Pause a process inside the block."""
    process.pause()
    yield
    process.resume()


def database_away(
    logs: Path, quick: bool, seconds: float, away: Away, **options: bool
) -> list[Figure]:
    """Take the database away for some seconds, while the exchange trades."""
    with scene(logs, quick, **options) as here:
        here.settle()
        here.begin()
        with away(here):
            gone = time.monotonic()
            time.sleep(here.seconds(seconds) / 2)
            here.new_page()
            time.sleep(max(0.0, gone + here.seconds(seconds) - time.monotonic()))
            here.live_until_now()
        back = time.monotonic()
        here.current_since(back)
        took = seconds_until(here.all_written, PATIENCE, back)
        here.add("until all is written", took, "s", WRITTEN_WITHIN)
    return here.figures


@case("postgres-stopped")
def postgres_stopped(logs: Path, quick: bool) -> list[Figure]:
    """PostgreSQL is stopped for 60 s."""

    @contextmanager
    def away(here: Scene) -> Iterator[None]:
        server = here.deployment.postgres
        server.end()
        yield
        server.start()
        eventually(lambda: server.ready, "PostgreSQL answers")

    return database_away(logs, quick, 60, away)


@case("postgres-hangs")
def postgres_hangs(logs: Path, quick: bool) -> list[Figure]:
    """All processes of PostgreSQL are paused for 30 s."""
    return database_away(logs, quick, 30, lambda here: paused(here.deployment.postgres))


@case("postgres-locked")
def postgres_locked(logs: Path, quick: bool) -> list[Figure]:
    """The tables of last quotes and candles are locked for 30 s."""

    @contextmanager
    def away(here: Scene) -> Iterator[None]:
        assert here.deployment.database_server
        with psycopg.connect(here.deployment.database_server.url) as connection:
            connection.execute(
                "LOCK TABLE quotes_lastquote, quotes_candle IN ACCESS EXCLUSIVE MODE"
            )
            yield
            connection.rollback()

    return database_away(logs, quick, 30, away)


@case("postgres-half-open")
def postgres_half_open(logs: Path, quick: bool) -> list[Figure]:
    """The network to PostgreSQL lets nothing pass for 30 s, and breaks no connection off."""

    @contextmanager
    def away(here: Scene) -> Iterator[None]:
        assert here.deployment.wire
        here.deployment.wire.hang()
        yield
        here.deployment.wire.heal()

    return database_away(logs, quick, 30, away, wired=True)


@case("sqlite-locked")
def sqlite_locked(logs: Path, quick: bool) -> list[Figure]:
    """Another process holds the write lock of SQLite for 30 s."""

    @contextmanager
    def away(here: Scene) -> Iterator[None]:
        file = here.deployment.folder / "site.sqlite3"
        with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            yield
            database.execute("ROLLBACK")

    return database_away(logs, quick, 30, away, sqlite=True)


@case("sqlite-full")
def sqlite_full(logs: Path, quick: bool) -> list[Figure]:
    """The feed can't write to its database for 30 s, because its files can't grow."""

    @contextmanager
    def away(here: Scene) -> Iterator[None]:
        file = here.deployment.folder / "site.sqlite3"
        with closing(sqlite3.connect(file, timeout=30)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = {}
        for feed in here.deployment.feeds:
            before[feed] = resource.prlimit(feed.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(feed.pid, resource.RLIMIT_FSIZE, (FULL_AT, before[feed][1]))
        yield
        for feed, limits in before.items():
            resource.prlimit(feed.pid, resource.RLIMIT_FSIZE, limits)
        refused = sum("could not store" in feed.output() for feed in before)
        assert refused, "the feed could write"

    return database_away(logs, quick, 30, away, sqlite=True)


def redis_away(logs: Path, quick: bool, seconds: float, away: Away) -> list[Figure]:
    """Take Redis away for some seconds; pages read from the database meanwhile."""
    with scene(logs, quick) as here:
        with away(here):
            time.sleep(here.seconds(seconds))
            stopped = [each.path for each in here.crowd.visitors if each.showed_stopped]
            here.add("pages that showed that prices stopped", len(stopped), "", 0)
            gap = here.crowd.gap()
            here.add("longest time without a newer price", gap, "s", SILENT_AT_MOST)
        here.current_since(time.monotonic())
    return here.figures


@case("redis-hangs")
def redis_hangs(logs: Path, quick: bool) -> list[Figure]:
    """Redis is paused for 20 s."""
    return redis_away(logs, quick, 20, lambda here: paused(here.deployment.redis))


@case("redis-killed")
def redis_killed(logs: Path, quick: bool) -> list[Figure]:
    """Redis is killed, and is started again after 20 s."""

    @contextmanager
    def away(here: Scene) -> Iterator[None]:
        redis = here.deployment.redis
        redis.send(signal.SIGKILL)
        yield
        redis.start()
        eventually(lambda: redis.ready, "Redis answers")

    return redis_away(logs, quick, 20, away)
