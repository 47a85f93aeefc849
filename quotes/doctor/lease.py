"""Check of the lease: one process leads the feed; none or two mean that something is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db.models.functions import Now

from quotes import conf
from quotes.doctor.beside import in_database
from quotes.doctor.deployment import MAX_CLOCK_DIFFERENCE
from quotes.doctor.findings import Report, first_line, span
from quotes.feed import records
from quotes.feed.batch import Batch
from quotes.live import layer, lease
from quotes.models import FeedLease

RENEWAL = 1.5  # seconds in which a leader certainly renews its lease
LISTEN = 2.5  # seconds to hear a second feed; each publishes once a second
LISTEN_ON = 2.5  # more seconds to hear the leader, if it was not heard yet
LEASE = lease.LEASE.total_seconds()
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
START = {
    "inline": "start the web process (“manage.py serve”), or read its log",
    "external": "start “manage.py runfeed”, or read its log",
}


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease in the database, and the database's time."""

    holder: str
    epoch: int
    expires_at: datetime
    now: datetime

    @property
    def left(self) -> float:
        """Seconds until it ends; negative if it has ended."""
        return (self.expires_at - self.now).total_seconds() if self.holder else 0.0


@dataclass(slots=True)
class Listener:
    """Listens to the layer, and keeps the newest batch of each epoch."""

    joined: bool = False
    batches: dict[int, Batch] = field(default_factory=dict)
    failure: str = ""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def heard(self, lease: Lease) -> bool:
        """Return whether a batch of that lease's feed has come, or can't be expected."""
        return lease.epoch in self.batches or not lease.holder or bool(self.failure)

    async def wait_for(self, lease: Lease) -> None:
        """Wait for a batch of that lease's feed, if one can be expected."""
        while not self.heard(lease):
            self.news.clear()
            await self.news.wait()

    def outages(self, lease: Lease) -> dict[str, datetime]:
        """Return the providers that fail for the feed of that lease, and since when."""
        return self.batches[lease.epoch].outages if lease.epoch in self.batches else {}

    async def listen(self) -> None:
        """Listen until cancelled."""
        try:
            async with aclosing(layer.listen()) as messages:  # type: ignore[type-var]
                async for message in messages:
                    self.joined = True
                    self.news.set()
                    if isinstance(message, layer.Published):
                        self.batches[message.epoch] = message.batch
        except Exception as error:  # another release may publish what this one can't read
            self.failure = f"{type(error).__name__}: {first_line(error)}"
            self.news.set()


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    """Listen to the layer inside the block."""
    listener = Listener()
    task = asyncio.create_task(listener.listen())
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def check_lease() -> Report:
    """Check which process leads, whether it renews the lease, and whether another one publishes."""
    report = Report("lease")
    try:
        layer.enter(await in_database(lease.known_deployment))
        async with listening() as listener:
            before = await in_database(read_lease)
            await asyncio.sleep(RENEWAL if layer.in_memory() else LISTEN)
            with suppress(TimeoutError):
                async with asyncio.timeout(0 if layer.in_memory() else LISTEN_ON):
                    await listener.wait_for(before)
            after, newest = await in_database(read_lease), await in_database(_newest_quote)
    except Exception as error:  # each driver has exceptions of its own
        report.fail(f"can't be read: {first_line(error)}", "see the check of the database")
        return report
    examine_lease(report, before, after)
    if layer.in_memory() and after.left > 0:
        report.ok("the batches of the feed can't be received here: the layer is in memory")
    elif not layer.in_memory():
        examine_batches(report, before, after, listener)
    if newest is not None:
        age = (datetime.now(UTC) - newest).total_seconds()
        report.ok(f"the newest stored quote was received {span(max(0, age))} ago")
    return report


def read_lease() -> Lease:
    """Read the lease; if it was never taken, or was given back, it has no holder."""
    rows = FeedLease.objects.annotate(now=Now()).values_list("holder", "epoch", "expires_at", "now")
    holder, epoch, expires_at, now = rows.first() or ("", 0, None, NEVER)
    if expires_at is None:
        return Lease("", epoch, now, now)
    return Lease(holder, epoch, expires_at, now)


def examine_lease(report: Report, before: Lease, after: Lease) -> None:
    """Report which process leads: `before` and `after` were read with a renewal between them."""
    start = START.get(conf.get("FEED"), START["external"])
    if not after.holder:
        report.fail("no process leads the feed: prices have stopped", start)
        return
    dead = lease.died_here(after.holder)
    if after.left <= 0:
        why = "no longer runs" if dead else "does not respond or can't reach the database"
        report.fail(
            f"no process leads the feed: {after.holder} {why}, "
            f"and its lease ended {span(-after.left)} ago. Prices have stopped",
            start,
        )
        return
    renewed = max(0.0, LEASE - after.left)
    report.ok(
        f"{after.holder} leads the feed, epoch {after.epoch}, lease renewed {span(renewed)} ago"
    )
    if after.epoch != before.epoch:
        report.warn(
            "another process took the lease during this check: "
            f"epoch {before.epoch} became {after.epoch}",
            "run the doctor again in ten seconds. If the epoch changes again, stop all feeds "
            "except one and read their logs",
        )
    elif after.expires_at == before.expires_at:
        why = "no longer runs" if dead else "does not respond"
        report.warn(
            f"the lease is no longer renewed: {after.holder} {why}",
            f"if another process waits, it leads in {span(after.left)}; otherwise {start}",
        )
    elif dead:
        report.fail(
            f"two processes may lead: {after.holder} renews its lease "
            "but does not run on this machine",
            "two machines or containers have the same host name: give each its own, and restart "
            "the feeds",
        )
    if after.left > LEASE + MAX_CLOCK_DIFFERENCE:
        report.warn(
            f"the lease ends in {span(after.left)}, which is too late: "
            "the database's clock was set back",
            "do nothing while the feed runs. If its process ends, no other process can lead for "
            f"{span(after.left)}",
        )


def examine_batches(report: Report, before: Lease, lease: Lease, listener: Listener) -> None:
    """Report whether the batches in the layer come from the holder of the lease, and only from it.

    `before` is the lease when the listener began.
    """
    if listener.failure:
        report.warn(
            f"the batches of the feed can't be read: {listener.failure}",
            "restart all processes, because they run different releases",
        )
        return
    if not listener.joined:
        report.warn(
            "the batches of the feed can't be received", "see the check of the channel layer"
        )
        return
    leads = lease.left > 0
    if leads and lease.epoch not in listener.batches:
        report.fail(
            f"no batch of {lease.holder} arrives here: prices have stopped",
            "check in the log of that process whether it can reach Redis. All processes need the "
            f"same {conf.LAYER}",
        )
    expected = {each.epoch for each in (before, lease) if each.left > 0}
    if others := sorted(listener.batches.keys() - expected):
        epochs = ", ".join(map(str, others))
        report.fail(
            f"another feed publishes with epoch {epochs}, but the lease in this database has "
            "another epoch",
            "stop that feed. If it belongs to another deployment, give that deployment its own "
            "QUOTES['DEPLOYMENT'] (in this project, QUOTES_DEPLOYMENT)",
        )
    elif leads:
        report.ok("no other feed publishes")
    for name, since in sorted(listener.outages(lease).items()):
        report.warn(
            f"{name} has been failing since {since:%H:%M:%S} UTC", f"see the check of {name}"
        )


def _newest_quote() -> datetime | None:
    return max((quote.received_at for _, quote in records.load_last_quotes()), default=None)
