"""Who leads the feed: one process at a time, or none, or, where something is set up wrong, two."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db.models.functions import Now

from quotes import conf
from quotes.doctor.beside import in_database
from quotes.doctor.deployment import MOST_APART, in_memory
from quotes.doctor.findings import Finding, first_line, span
from quotes.feed import records
from quotes.feed.batch import Batch
from quotes.live import layer, lease
from quotes.models import FeedLease

RENEWAL = 1.5  # seconds in which a leader renews its lease for sure
LISTEN = 2.5  # seconds for a second feed to be heard; each says something once a second
LISTEN_ON = 2.5  # seconds more for the one that leads, if it was not heard
LEASE = lease.LEASE.total_seconds()
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
START = {
    "inline": "start the web process, manage.py serve, or read its log",
    "external": "start  manage.py runfeed , or read its log",
}


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease as the database has it, and the database's time."""

    holder: str
    epoch: int
    expires_at: datetime
    now: datetime

    @property
    def left(self) -> float:
        """Seconds until it ends; fewer than 0 where it has."""
        return (self.expires_at - self.now).total_seconds() if self.holder else 0.0


@dataclass(slots=True)
class Ear:
    """What is said in the layer while we listen: the newest batch of each epoch."""

    joined: bool = False
    batches: dict[int, Batch] = field(default_factory=dict)
    failure: str = ""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def hears(self, lease: Lease) -> bool:
        """Say whether a batch of that lease's feed was heard, or none is to be expected."""
        return lease.epoch in self.batches or not lease.holder or bool(self.failure)

    async def wait_for(self, lease: Lease) -> None:
        """Wait until that is so."""
        while not self.hears(lease):
            self.news.clear()
            await self.news.wait()

    def outages(self, lease: Lease) -> dict[str, datetime]:
        """Return the providers that the feed of that lease can't read, and since when."""
        return self.batches[lease.epoch].outages if lease.epoch in self.batches else {}

    async def listen(self) -> None:
        """Listen until cancelled."""
        try:
            async with aclosing(layer.listen()) as messages:  # type: ignore[type-var]
                async for heard in messages:
                    self.joined = True
                    self.news.set()
                    if heard.batch is not None:
                        self.batches[heard.epoch] = heard.batch
        except Exception as error:  # another release may publish what this one can't read
            self.failure = f"{type(error).__name__}: {first_line(error)}"
            self.news.set()


@asynccontextmanager
async def listening() -> AsyncIterator[Ear]:
    """Listen to the layer for as long as this is open."""
    ear = Ear()
    task = asyncio.create_task(ear.listen())
    try:
        yield ear
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def check_lease() -> Finding:
    """See who leads, whether they renew the lease, and whether anybody else publishes."""
    found = Finding("lease")
    try:
        async with listening() as ear:
            before = await in_database(read_lease)
            await asyncio.sleep(RENEWAL if in_memory() else LISTEN)
            with suppress(TimeoutError):
                async with asyncio.timeout(0 if in_memory() else LISTEN_ON):
                    await ear.wait_for(before)
            after, newest = await in_database(read_lease), await in_database(_newest_quote)
    except Exception as error:  # each driver has exceptions of its own
        found.fail(f"nobody can say who leads: {first_line(error)}", "see the database")
        return found
    remark_lease(found, before, after)
    if in_memory() and after.left > 0:
        found.say("what is published can't be heard from here: the layer is in memory")
    elif not in_memory():
        remark_batches(found, before, after, ear)
    if newest is not None:
        age = (datetime.now(UTC) - newest).total_seconds()
        found.say(f"the newest of all last quotes came {span(max(0, age))} ago")
    return found


def read_lease() -> Lease:
    """Read the lease; one that was never taken, or was given back, has no holder."""
    rows = FeedLease.objects.annotate(now=Now()).values_list("holder", "epoch", "expires_at", "now")
    holder, epoch, expires_at, now = rows.first() or ("", 0, None, NEVER)
    if expires_at is None:
        return Lease("", epoch, now, now)
    return Lease(holder, epoch, expires_at, now)


def remark_lease(found: Finding, before: Lease, after: Lease) -> None:
    """Remark who leads, from two looks at the lease that are longer apart than its renewals."""
    start = START.get(conf.get("FEED"), START["external"])
    if not after.holder:
        found.fail("nobody leads the feed", start)
        return
    dead = lease.died_here(after.holder)
    if after.left <= 0:
        why = "is gone" if dead else "hangs, or is cut off from the database"
        found.fail(
            f"nobody leads the feed: {after.holder} {why}, its lease ended {span(-after.left)} ago",
            start,
        )
        return
    renewed = max(0.0, LEASE - after.left)
    found.say(f"{after.holder} leads the feed, epoch {after.epoch}, renewed {span(renewed)} ago")
    if after.epoch != before.epoch:
        found.warn(
            f"the lease changed hands meanwhile, from epoch {before.epoch}",
            "look again in ten seconds: if it goes on, end all feeds but one, and read their logs",
        )
    elif after.expires_at == before.expires_at:
        found.warn(
            f"the lease is not renewed any more: {after.holder} {'is gone' if dead else 'hangs'}",
            f"another process leads in {span(after.left)} if there is one; else {start}",
        )
    elif dead:
        found.fail(
            f"two may lead: {after.holder} renews its lease, and is no process of this machine",
            "two machines or containers share a host name: give each its own, restart the feeds",
        )
    if after.left > LEASE + MOST_APART:
        found.warn(
            f"the lease ends in {span(after.left)}: the database's clock was set back",
            "nothing while the feed runs; if its process dies, nobody leads until then",
        )


def remark_batches(found: Finding, before: Lease, lease: Lease, ear: Ear) -> None:
    """Remark what was heard in the layer, and whether it is what the lease makes one expect."""
    if ear.failure:
        found.warn(
            f"what is published can't be read: {ear.failure}",
            "restart all processes: they are of different releases",
        )
        return
    if not ear.joined:
        found.warn("what is published can't be heard", "see the channel layer")
        return
    leads = lease.left > 0
    if leads and lease.epoch not in ear.batches:
        found.fail(
            f"nothing that {lease.holder} publishes is heard here",
            "see in its log whether it reaches Redis; all processes need the same REDIS_URL",
        )
    expected = {each.epoch for each in (before, lease) if each.left > 0}
    if others := sorted(ear.batches.keys() - expected):
        epochs = ", ".join(map(str, others))
        found.fail(
            f"two feeds publish: also one of epoch {epochs}, which has no lease here",
            "end it: another deployment needs a Redis, or a prefix in CHANNEL_LAYERS, of its own",
        )
    elif leads:
        found.say("no other feed is heard")
    for name, since in sorted(ear.outages(lease).items()):
        found.warn(f"the feed can't read {name} since {since:%H:%M:%S} UTC", f"see provider {name}")


def _newest_quote() -> datetime | None:
    return max((quote.received_at for _, quote in records.load_last_quotes()), default=None)
