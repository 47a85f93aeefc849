"""Live means live: a page shows prices as live only while its feed confirms them.

Prices go on while anything else is away. Each test breaks real processes.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
import urllib.error
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from tests.faults.pages import Page, current, now, pause
from tests.servers import Postgres, Redis, Runfeed, Site, eventually, free_port

pytestmark = pytest.mark.server

EXTERNAL = {"QUOTES_FEED": "external"}
SWITCH_OFF = (
    "from quotes.models import Symbol as S; s = S.objects.get(code='ETH-USD'); "
    "s.active = False; s.save()"
)
LEADS = "leads the feed, epoch"
HIGH = 2**40  # an epoch above those that begin now
OUTAGE = 6.0  # seconds of an outage: longer than a page waits for its feed


@pytest.fixture
def running() -> Iterator[ExitStack]:
    """A stack on which tests put what must be stopped at their end."""
    with ExitStack() as stack:
        yield stack


def started(running: ExitStack, site: Site) -> Site:
    running.callback(site.stop)
    return site.start()


def feed_of(running: ExitStack, site: Site, name: str = "feed") -> Runfeed:
    feed = Runfeed(site, name)
    running.callback(feed.stop)
    return feed.ready()


def page_of(running: ExitStack, site: Site) -> Page:
    page = Page(site)
    running.callback(page.close)
    return page


def ready(site: Site) -> str:
    """Return the text of /readyz, after its status if that is not 200."""
    try:
        return site.get("/readyz")
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode()}"


def wait(seconds: float) -> None:
    """Let an outage last for some seconds, because its length is tested."""
    end = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > end, "the outage has lasted", seconds + 60)


def lines(log: str, words: str) -> int:
    return sum(words in line for line in log.splitlines())


def epoch_of(log: str) -> int:
    """Return the epoch that a feed began last."""
    return int(re.findall(rf"{LEADS} (\d+)", log)[-1])


def test_without_its_feed_a_page_shows_it_and_with_it_the_page_is_live_again(
    running: ExitStack, listed: Path, redis_server: Redis
):
    site = started(running, Site(listed, "uvicorn", REDIS_URL=redis_server.url, **EXTERNAL))
    feed = feed_of(running, site)
    page = page_of(running, site)
    eventually(lambda: page.live and ready(site) == "ok", "all is well")
    opening = site.log.read_text()  # may have a silence of its own, while the feed starts
    feed.signal(signal.SIGKILL)
    eventually(lambda: page.pulses[-1:] == ["stopped"], "the page shows that prices stopped")
    assert ready(site).startswith("503 prices stopped at 20")
    assert site.get("/healthz") == ready(site).removeprefix("503 ")
    assert "quotes_live 0.0" in site.get("/metrics")
    assert "pulse-stopped" in site.get("/boards/crypto/")
    assert "pulse-stopped" in site.get("/embed/quotes/?symbols=BTC-USD")
    feed_of(running, site, "second")
    back = now()
    eventually(lambda: page.live and current([page], back), "the page is live and current")
    assert ready(site) == "ok"
    log = site.log.read_text().removeprefix(opening)
    assert lines(log, "no batch of the feed for") == 1
    assert lines(log, "batches of the feed arrive again") == 1


def test_a_page_stays_live_when_a_paused_leader_is_replaced(
    running: ExitStack, listed: Path, redis_server: Redis
):
    site = started(running, Site(listed, "uvicorn", REDIS_URL=redis_server.url, **EXTERNAL))
    leader = feed_of(running, site, "leader")
    eventually(lambda: LEADS in leader.output(), "it leads")
    epoch = epoch_of(leader.output())
    standby = feed_of(running, site, "standby")
    page = page_of(running, site)
    eventually(lambda: page.live, "the page is live")
    pause(leader, site)
    eventually(lambda: LEADS in standby.output(), "the other one leads")
    assert epoch_of(standby.output()) > epoch
    taken = now()
    eventually(lambda: current([page], taken), "the page is current")
    leader.signal(signal.SIGCONT)
    lost = f"lost the feed's lease of epoch {epoch}"
    eventually(lambda: lost in leader.output(), "it stands back")
    assert page.stayed_live


def test_pages_are_live_again_after_a_backup_was_restored_below_them(
    running: ExitStack, listed: Path, redis_server: Redis
):
    site = started(running, Site(listed, "uvicorn", REDIS_URL=redis_server.url, **EXTERNAL))
    backup, file = listed / "backup.sqlite3", listed / "site.sqlite3"
    for name in ("first", "second", "third"):  # each begins an epoch
        feed = feed_of(running, site, name)
        eventually(lambda feed=feed: LEADS in feed.output(), "it leads")
        feed.stop()
        if name == "first":
            site.manage("shell", "--verbosity", "0", "-c", copied(file, backup))
    page = page_of(running, site)
    for each in listed.glob("site.sqlite3*"):
        each.unlink()
    shutil.copy(backup, file)
    feed_of(running, site, "fourth")
    for _ in range(2):
        begun = now()
        eventually(lambda begun=begun: current([page], begun), "prices move")
    assert page.live
    assert ready(site) == "ok"
    stored = "from quotes.models import FeedLease as F; print(F.objects.get().batch)"
    eventually(
        lambda: int(site.manage("shell", "--verbosity", "0", "-c", stored).stdout) > 0,
        "quotes are stored in the restored file",
    )


def test_a_deleted_file_is_reported_and_a_restored_one_is_used(running: ExitStack, listed: Path):
    site = started(running, Site(listed, "uvicorn"))
    backup, file = listed / "backup.sqlite3", listed / "site.sqlite3"
    site.manage("shell", "--verbosity", "0", "-c", copied(file, backup))
    page = page_of(running, site)
    for each in listed.glob("site.sqlite3*"):
        each.unlink()
    gone = f"the file {file} is gone: restore a backup"
    eventually(lambda: gone in site.log.read_text(), "the log reports it")
    begun = now()
    eventually(lambda: page.live and current([page], begun), "prices move on")
    assert not file.exists()
    shutil.copy(backup, file)
    stored = "from quotes.models import FeedLease as F; print(F.objects.get().batch)"
    eventually(
        lambda: int(site.manage("shell", "--verbosity", "0", "-c", stored).stdout) > 0,
        "quotes are stored in the restored file",
    )
    begun = now()
    eventually(lambda: page.live and current([page], begun), "prices move on")


def copied(file: Path, backup: Path) -> str:
    """Return what makes a backup of a database."""
    to, of = f"sqlite3.connect({str(backup)!r})", f"sqlite3.connect({str(file)!r})"
    return f"import sqlite3; to = {to}; {of}.backup(to); to.close()"


def test_prices_move_on_after_the_lease_was_lost(
    running: ExitStack, listed: Path, redis_server: Redis
):
    site = started(running, Site(listed, "uvicorn", REDIS_URL=redis_server.url, **EXTERNAL))
    feed = feed_of(running, site)
    page = page_of(running, site)
    begun = now()
    eventually(lambda: page.live and current([page], begun), "the page is live")
    delete = "from quotes.models import FeedLease as F; F.objects.all().delete()"
    site.manage("shell", "--verbosity", "0", "-c", delete)
    eventually(lambda: lines(feed.output(), LEADS) == 2, "it leads again")
    begun = now()
    eventually(lambda: page.live and current([page], begun), "prices move on")


def test_a_second_process_on_one_database_is_live_without_redis(running: ExitStack, listed: Path):
    first = started(running, Site(listed, "daphne"))
    second = started(running, Site(listed, "daphne"))
    page = page_of(running, second)
    for _ in range(2):
        begun = now()
        eventually(lambda begun=begun: current([page], begun), "prices move")
    assert page.live
    assert ready(second) == "ok"
    log = second.log.read_text()  # of both
    assert lines(log, "the layer is silent, reading quotes from the database; set REDIS_URL") == 1
    first.manage("shell", "--verbosity", "0", "-c", SWITCH_OFF)
    for site in (first, second):
        eventually(
            lambda site=site: "ETH-USD" not in site.get("/boards/crypto/"), "the change is known"
        )
    first.kill()
    eventually(lambda: lines(second.log.read_text(), LEADS) == 2, "it takes over")
    begun = now()
    eventually(lambda: current([page], begun), "prices move on")
    assert ready(second) == "ok"


def test_another_deployment_on_the_same_redis_changes_nothing(
    running: ExitStack, listed: Path, few_symbols: Path, redis_server: Redis
):
    env = EXTERNAL | {"REDIS_URL": redis_server.url}
    site = started(running, Site(listed, "uvicorn", **env))
    feed_of(running, site)
    page = page_of(running, site)
    eventually(lambda: page.live, "the page is live")
    elsewhere = listed / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(few_symbols, elsewhere / "site.sqlite3")
    other = Site(elsewhere, "uvicorn", **env)
    anew = "from quotes.models import FeedLease as F; "
    anew += f"F.objects.update(epoch={HIGH}, deployment='')"
    other.manage("shell", "--verbosity", "0", "-c", anew)
    theirs = feed_of(running, other)
    eventually(lambda: f"{LEADS} {HIGH + 1}" in theirs.output(), "the other feed leads")
    begun = now()
    eventually(lambda: current([page], begun), "our prices move on")
    assert page.stayed_live
    # a copy of our database has our name, too: then its epochs are looked up
    other.manage("shell", "--verbosity", "0", "-c", renamed(site))
    theirs.stop()
    clone = feed_of(running, other, "clone")
    eventually(lambda: f"{LEADS} {HIGH + 2}" in clone.output(), "the clone leads")
    foreign = eventually(lambda: counted(site, "quotes_foreign_total"), "its batches are counted")
    begun = now()
    eventually(lambda: current([page], begun), "our prices move on")
    assert foreign > 0
    assert page.stayed_live


def renamed(site: Site) -> str:
    """Return what gives another database the name of this deployment."""
    read = "from quotes.models import FeedLease as F; print(F.objects.get().deployment)"
    name = site.manage("shell", "--verbosity", "0", "-c", read).stdout.strip()
    return f"from quotes.models import FeedLease as F; F.objects.update(deployment={name!r})"


def counted(site: Site, figure: str) -> float:
    [line] = [each for each in site.get("/metrics").splitlines() if each.startswith(figure + " ")]
    return float(line.split()[1])


@pytest.mark.parametrize("how", ["stopped", "hangs"])
def test_prices_go_on_and_pages_open_while_the_database_is_away(
    running: ExitStack, tmp_path: Path, postgres_server: Postgres, redis_server: Redis, how: str
):
    env = EXTERNAL | {"REDIS_URL": redis_server.url, "DATABASE_URL": postgres_server.url}
    site = Site(tmp_path, "uvicorn", **env)
    started(running, site)
    feed = feed_of(running, site)
    page = page_of(running, site)
    begun = now()
    eventually(lambda: page.live and current([page], begun), "the page is live")
    away(postgres_server, how)
    try:
        wait(OUTAGE)
        begun = now()
        eventually(lambda: current([page], begun), "prices move on")
        late = page_of(running, site)
        eventually(lambda: late.live and current([late], begun), "a new page is live")
        assert "Bitcoin" in site.get("/boards/crypto/")
    finally:
        back(postgres_server, how)
    returned = now()
    stored = "from quotes.models import LastQuote as L; "
    stored += "print(max(each.quote.received_at for each in L.objects.all()).isoformat())"

    def written() -> bool:
        output = site.manage("shell", "--verbosity", "0", "-c", stored).stdout
        return datetime.fromisoformat(output.strip()) > returned

    eventually(written, "quotes are written again")
    assert lines(feed.output(), LEADS) == 1
    assert lines(feed.output(), "lost the feed's lease") == 0
    assert page.stayed_live
    for log in (feed.output(), site.log.read_text()):
        assert "Traceback" not in log


def away(postgres: Postgres, how: str) -> None:
    if how == "stopped":
        postgres.stop()
    else:
        freeze(postgres, signal.SIGSTOP)


def back(postgres: Postgres, how: str) -> None:
    if how == "stopped":
        postgres.start()
    else:
        freeze(postgres, signal.SIGCONT)


def freeze(postgres: Postgres, number: int) -> None:
    """Send a signal to the server and to each process of its connections."""
    assert postgres.process
    top = postgres.process.pid
    for pid in (top, *children(top)):
        os.kill(pid, number)


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_pages_stay_live_while_redis_hangs(running: ExitStack, listed: Path, redis_server: Redis):
    site = started(running, Site(listed, "uvicorn", REDIS_URL=redis_server.url, **EXTERNAL))
    feed = feed_of(running, site)
    page = page_of(running, site)
    eventually(lambda: page.live, "the page is live")
    assert redis_server.process
    redis_server.process.send_signal(signal.SIGSTOP)
    try:
        wait(OUTAGE)
        begun = now()
        eventually(lambda: current([page], begun), "prices move on, from the database")
    finally:
        redis_server.process.send_signal(signal.SIGCONT)
    eventually(lambda: "the layer brings batches" in site.log.read_text(), "the layer is back")
    assert page.stayed_live
    for log in (feed.output(), site.log.read_text()):
        assert len(log.splitlines()) < 40, log
        assert "Traceback" not in log


def test_a_feed_ends_although_its_database_hangs(
    running: ExitStack, tmp_path: Path, postgres_server: Postgres, redis_server: Redis
):
    env = EXTERNAL | {"REDIS_URL": redis_server.url, "DATABASE_URL": postgres_server.url}
    site = Site(tmp_path, "uvicorn", **env)
    feed = feed_of(running, site)
    eventually(lambda: LEADS in feed.output(), "it leads")
    freeze(postgres_server, signal.SIGSTOP)
    try:
        assert feed.stop()
    finally:
        freeze(postgres_server, signal.SIGCONT)


def test_a_feed_that_is_started_without_its_database_waits_for_it(
    running: ExitStack, tmp_path: Path, postgres_server: Postgres, redis_server: Redis
):
    env = EXTERNAL | {"REDIS_URL": redis_server.url, "DATABASE_URL": postgres_server.url}
    site = Site(tmp_path, "uvicorn", **env)
    postgres_server.stop()
    feed = Runfeed(site, "feed")
    running.callback(feed.stop)
    eventually(lambda: "waiting for the database" in feed.output(), "it waits")
    postgres_server.start()
    eventually(lambda: LEADS in feed.output(), "it leads")
    assert lines(feed.output(), "waiting for the database") == 1
    assert "Traceback" not in feed.output()


class Command(Site):
    """A command of manage.py that answers nobody."""

    def __init__(self, folder: Path, *arguments: str, **env: str) -> None:
        super().__init__(folder, **env)
        self.arguments = arguments

    def command(self) -> list[str]:
        return [sys.executable, "manage.py", *self.arguments]


@pytest.mark.parametrize(
    ("arguments", "feed"), [(["serve", "127.0.0.1:0"], "inline"), (["runfeed"], "external")]
)
def test_a_process_that_waits_for_its_database_ends_when_it_is_asked_to(
    running: ExitStack, tmp_path: Path, arguments: list[str], feed: str
):
    nowhere = f"postgres://quotes@127.0.0.1:{free_port()}/quotes"
    env = {"DATABASE_URL": nowhere, "REDIS_URL": "redis://127.0.0.1:1/0", "QUOTES_FEED": feed}
    waiting = Command(tmp_path, *arguments, **env)
    running.callback(waiting.stop)
    waiting.begin()
    eventually(lambda: "waiting for the database" in waiting.log.read_text(), "it waits")
    assert waiting.stop()
    log = waiting.log.read_text()
    assert "Traceback" not in log
    assert lines(log, "WARNING") == 1


def test_a_feed_whose_database_goes_away_while_it_starts_waits_for_it(
    running: ExitStack, tmp_path: Path, postgres_server: Postgres, redis_server: Redis
):
    env = EXTERNAL | {"REDIS_URL": redis_server.url, "DATABASE_URL": postgres_server.url}
    site = Site(tmp_path, "uvicorn", **env)
    waits = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    url = postgres_server.url
    with psycopg.connect(url, autocommit=True) as database, psycopg.connect(url) as locking:
        locking.execute("LOCK TABLE quotes_symbol IN ACCESS EXCLUSIVE MODE")
        feed = Runfeed(site, "feed")
        running.callback(feed.stop)
        [pid] = eventually(lambda: database.execute(waits).fetchone(), "it reads the symbols")
        database.execute("SELECT pg_terminate_backend(%s)", [pid])
        eventually(lambda: "waiting for the database" in feed.output(), "it waits")
    eventually(lambda: LEADS in feed.output(), "it leads")
    assert "Traceback" not in feed.output()
