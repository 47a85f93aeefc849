"""Two web processes, a feed with another in reserve, and Redis between them.

A visitor sees the same in either process; whatever dies, hangs or comes back, pages are soon
current again by themselves, and no old quote replaces a newer one.
"""

from __future__ import annotations

import logging
import re
import shutil
import signal
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import lacking
from tests.faults.oracle import times_that_went_back
from tests.faults.pages import BUSY, RARE, Page, current, now, pause, read
from tests.servers import PATIENCE, Redis, Runfeed, Site, Stub, eventually, manage

logger = logging.getLogger(__name__)
pytestmark = pytest.mark.server

SERVERS = ("uvicorn", "daphne")
SWITCH_OFF = """
from quotes.models import Symbol
symbol = Symbol.objects.get(code="ETH-USD")
symbol.active = False
symbol.save()
"""
KILLED_BEFORE_ITS_NOTICE = """
import os
from django.db import transaction
from quotes.models import Symbol
with transaction.atomic():
    transaction.on_commit(lambda: os.kill(os.getpid(), 9))
    symbol = Symbol.objects.get(code="NVDA")
    symbol.active = False
    symbol.save()
"""


class Ledger:
    """Watches the last quotes in the database, and keeps all versions of each that it read."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.versions: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self) -> None:
        """Read twenty times a second."""
        while not self.done.wait(0.05):
            for pk, *version in self.deployment.rows(
                "SELECT symbol_id, epoch, batch FROM quotes_lastquote"
            ):
                self.versions[pk].append(tuple(version))

    def close(self) -> None:
        """Stop reading."""
        self.done.set()
        self.thread.join(5)


@dataclass
class Deployment:
    """All processes of a site, and the content of its database."""

    redis: Redis
    stub: Stub
    sites: list[Site]
    feeds: list[Runfeed] = field(default_factory=list)
    started: int = 0

    def rows(self, query: str) -> list[Any]:
        """Query the database, from outside the site."""
        with closing(sqlite3.connect(self.sites[0].folder / "site.sqlite3")) as database:
            return database.execute(query).fetchall()

    def lease(self) -> tuple[int, int, str]:
        """Return the epoch, the process that leads, and the end of its lease."""
        [(epoch, holder, end)] = self.rows("SELECT epoch, holder, expires_at FROM quotes_feedlease")
        return epoch, int(holder.rpartition(":")[2] or 0), end

    def written(self, code: str) -> Any:
        """Return the stored last quote of a symbol."""
        found = self.rows(
            "SELECT wire FROM quotes_lastquote JOIN quotes_symbol ON id = symbol_id"
            f" WHERE code = '{code}'"
        )
        assert found, f"nothing is stored of {code}"
        return found[0][0]

    def written_since(self, moment: datetime) -> bool:
        """Return whether quotes are stored that were made after a moment."""
        return all(made(self.written(code)) >= moment for code in BUSY)

    def two_feeds(self) -> tuple[Runfeed, Runfeed]:
        """Return the feed that leads and the standby; start them if they do not run."""
        self.feeds = [feed for feed in self.feeds if feed.process.poll() is None]
        while len(self.feeds) < 2:
            self.started += 1
            self.feeds.append(Runfeed(self.sites[0], f"feed-{self.started}"))
        for feed in self.feeds:
            feed.ready()
        running = {feed.process.pid: feed for feed in self.feeds}
        leader = eventually(lambda: running.get(self.lease()[1]), "one of them leads")
        [reserve] = [feed for feed in self.feeds if feed is not leader]
        return leader, reserve

    def stop_feeds(self) -> None:
        """End the feeds, which they must do by themselves."""
        ended = [feed.stop() for feed in self.feeds]
        assert all(ended)


def made(wire: str) -> datetime:
    """Return the time of a stored quote."""
    moments = re.findall(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", wire)
    return max(datetime.fromisoformat(moment) for moment in moments)


def measured(happened: Callable[[], Any], what: str) -> None:
    """Wait until something happened; log the time that it took."""
    begun = time.monotonic()
    eventually(happened, what)
    logger.info("%s after %.2f s", what, time.monotonic() - begun)


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """Redis for all tests here."""
    program = shutil.which("redis-server")
    if program is None:
        lacking("Redis", "redis-server")
    assert program is not None
    server = Redis(program)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def deployment(
    tmp_path_factory: pytest.TempPathFactory, few_symbols: Path, redis: Redis
) -> Iterator[Deployment]:
    """Two web processes and two feeds on one database; one symbol moves only by a test."""
    folder, stub = tmp_path_factory.mktemp("deployment"), Stub()
    shutil.copy(few_symbols, folder / "site.sqlite3")
    env = {"REDIS_URL": redis.url, "QUOTES_FEED": "external"} | stub.settings
    env["QUOTES_PROVIDERS"] = "coinbase,simulated"
    running = Deployment(redis, stub, [Site(folder, server, **env) for server in SERVERS])
    with ExitStack() as running_processes:
        running_processes.callback(stub.stop)
        running_processes.callback(running.stop_feeds)
        for site in running.sites:
            running_processes.callback(site.stop)
            site.start()
        running.two_feeds()
        yield running


@pytest.fixture
def feeds(deployment: Deployment) -> tuple[Runfeed, Runfeed]:
    """The feed that leads, and the one in reserve."""
    return deployment.two_feeds()


@pytest.fixture
def pages(deployment: Deployment, feeds: tuple[Runfeed, Runfeed]) -> Iterator[list[Page]]:
    """A page in each web process, current; none may be closed or shown an older quote."""
    begun = now()
    opened = [Page(site) for site in deployment.sites]
    eventually(lambda: current(opened, begun), "the pages are current")
    yield opened
    still_open = [page.open for page in opened]
    for page in opened:
        page.close()
    assert all(still_open)
    for page in opened:
        assert times_that_went_back(page.told) == []


@pytest.fixture
def ledger(deployment: Deployment) -> Iterator[Ledger]:
    """A witness of the database, in which no version may go back."""
    witness = Ledger(deployment)
    yield witness
    witness.close()
    assert witness.versions
    for versions in witness.versions.values():
        assert all(before <= after for before, after in pairwise(versions))


def agree_on(pages: list[Page], last: str) -> bool:
    """Whether all pages show the rare symbol at this price."""
    return all(page.shown(RARE).last == last for page in pages)


def quote_of(html: str) -> str:
    """Return a panel without its figures, which each process reads from the candles by itself."""
    return html.partition('<div class="panel-figures">')[0]


# One feed, any number of web processes


def test_a_quote_looks_the_same_whichever_process_shows_it(
    deployment: Deployment, pages: list[Page]
):
    deployment.stub.tick("61000.01")
    eventually(lambda: agree_on(pages, "61000.01"), "both pages show the price")

    def seen_in_both() -> set[tuple[str, datetime]]:
        first, second = ({(told.code, told.time) for told in page.told} for page in pages)
        return first & second

    eventually(lambda: len(seen_in_both()) >= 10, "both pages showed some of the same quotes")
    told = {(each.code, each.time): quote_of(each.html) for each in pages[0].told}
    for each in pages[1].told:
        same = quote_of(each.html)
        assert told.get((each.code, each.time), same) == same
    for site in deployment.sites:
        [panel] = [row for row in read(site.get(f"/symbols/{RARE}/")) if row.code == RARE]
        assert quote_of(panel.html) == quote_of(pages[0].shown(RARE).html)
    boards = [read(site.get("/boards/crypto/")) for site in deployment.sites]
    first, second = ([row.html for row in board if row.code == RARE] for board in boards)
    assert first == second != []


def test_a_change_of_symbols_reaches_every_process(deployment: Deployment):
    deployment.sites[0].manage("shell", "--command", SWITCH_OFF)
    for site in deployment.sites:
        eventually(
            lambda site=site: "ETH-USD" not in site.get("/boards/crypto/"), "ETH-USD has gone"
        )


def test_a_change_reaches_every_process_although_the_one_that_saved_it_was_killed(
    deployment: Deployment,
):
    assert "NVDA" in deployment.sites[0].get("/boards/stock-market/")
    command = ("shell", "--command", KILLED_BEFORE_ITS_NOTICE)
    killed = manage(*command, check=False, **deployment.sites[0].env)
    assert killed.returncode == -signal.SIGKILL
    for site in deployment.sites:
        eventually(
            lambda site=site: "NVDA" not in site.get("/boards/stock-market/"), "NVDA has gone"
        )
    assert not deployment.rows("SELECT 1 FROM quotes_change WHERE number = 0")


def test_a_process_that_starts_shows_quotes_that_wait_to_be_written(
    deployment: Deployment, pages: list[Page]
):
    site = Site(deployment.sites[0].folder, "uvicorn", **deployment.sites[0].env)
    with ExitStack() as stack:
        database = sqlite3.connect(site.folder / "site.sqlite3", timeout=PATIENCE)
        stack.callback(database.close)
        database.execute("BEGIN IMMEDIATE")  # now nobody else can write
        deployment.stub.tick("61500.01")
        eventually(lambda: agree_on(pages, "61500.01"), "the pages show the price")
        stack.callback(site.stop)
        rows = read(site.start().get(f"/symbols/{RARE}/"))
        assert [row.last for row in rows if row.code == RARE] == ["61500.01"]
        database.rollback()
    eventually(lambda: "61500.01" in deployment.written(RARE), "the price is written")


# The feed ends


def test_when_the_leader_is_asked_to_end_the_other_publishes_at_once(
    deployment: Deployment, feeds: tuple[Runfeed, Runfeed], pages: list[Page]
):
    leader, _ = feeds
    leader.process.send_signal(signal.SIGTERM)
    asked = now()
    eventually(lambda: leader.process.poll() == 0, "it ends")
    assert deployment.lease()[1] != leader.process.pid  # no process waits for the end of the lease
    measured(lambda: current(pages, asked), "the other one publishes")
    ended = now()
    eventually(lambda: current(pages, ended), "quotes move on")


def test_when_the_leader_dies_the_other_publishes_soon(
    feeds: tuple[Runfeed, Runfeed], pages: list[Page]
):
    feeds[0].signal(signal.SIGKILL)
    died = now()
    measured(lambda: current(pages, died), "the other one publishes")


def test_a_leader_that_was_paused_changes_nothing_and_waits_its_turn(
    deployment: Deployment, feeds: tuple[Runfeed, Runfeed], pages: list[Page], ledger: Ledger
):
    # it lives, so the lease must run out, as that of a leader which died on another machine
    paused, other = feeds
    epoch = deployment.lease()[0]
    pause(paused, deployment.sites[0])
    begun = now()
    measured(lambda: current(pages, begun), "the other one publishes")
    deployment.stub.tick("61000.02")
    eventually(lambda: agree_on(pages, "61000.02"), "the newer price is shown")
    paused.signal(signal.SIGCONT)
    eventually(
        lambda: re.search(rf"(lost|gives up).* epoch {epoch}\b", paused.output()),
        "it notices that it no longer leads",
    )
    leads = deployment.lease()
    assert leads[0] > epoch
    assert leads[1] == other.process.pid
    renewals = {leads}
    while len(renewals) < 4:
        renewals.add(eventually(lambda: {deployment.lease()} - renewals, "a renewal").pop())
    assert {renewal[:2] for renewal in renewals} == {leads[:2]}
    assert agree_on(pages, "61000.02")
    other.signal(signal.SIGKILL)
    died = now()
    eventually(lambda: current(pages, died), "the one that was paused leads again")
    last, holder, _ = deployment.lease()
    assert last > leads[0]
    assert holder == paused.process.pid


# Redis ends


def test_after_redis_was_gone_all_pages_are_current_by_themselves(
    deployment: Deployment, pages: list[Page], ledger: Ledger
):
    deployment.redis.stop()
    gone = now().timestamp()
    deployment.stub.tick("62000.01")
    eventually(
        lambda: deployment.written_since(datetime.fromtimestamp(gone + 4, UTC)),
        "the quotes of the 4 s without Redis are stored",
    )
    deployment.stub.tick("62000.02")
    deployment.redis.start()
    back = now()
    measured(
        lambda: current(pages, back) and agree_on(pages, "62000.02"),
        "the pages are current",
    )
    eventually(lambda: "62000.02" in deployment.written(RARE), "the database has the same price")


def test_after_redis_hung_all_pages_are_current_by_themselves(
    deployment: Deployment, pages: list[Page], ledger: Ledger
):
    assert deployment.redis.process
    deployment.redis.process.send_signal(signal.SIGSTOP)
    hung = now().timestamp()
    deployment.stub.tick("63000.01")
    try:
        eventually(
            lambda: deployment.written_since(datetime.fromtimestamp(hung + 8, UTC)),
            "the feed stores the quotes that were made while Redis hung",
        )
        deployment.stub.tick("63000.02")
    finally:
        deployment.redis.process.send_signal(signal.SIGCONT)
    back = now()
    measured(
        lambda: current(pages, back) and agree_on(pages, "63000.02"),
        "the pages are current",
    )


def test_after_redis_hung_up_all_pages_are_current_by_themselves(
    deployment: Deployment, pages: list[Page]
):
    killed = deployment.redis.say("CLIENT KILL TYPE pubsub")
    assert int(killed.removeprefix(":")) >= len(pages)
    deployment.stub.tick("64000.01")
    back = now()
    measured(
        lambda: current(pages, back) and agree_on(pages, "64000.01"),
        "the pages are current",
    )
