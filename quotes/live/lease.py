"""The lease of the feed: one row in the database that names the process that leads."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from time import time
from uuid import uuid4

from django.db.models import Q
from django.db.models.functions import Now

from quotes import conf
from quotes.models import FeedLease

# After this time without a renewal, another process may lead. It takes the lease within a second,
# before pages show that prices have stopped.
LEASE = timedelta(seconds=3)


def take(holder: str) -> int | None:
    """Take the lease if it is free; return the epoch that begins, or None.

    Only the clock of the database decides when a lease ends: the clocks of machines may differ.
    An epoch is the second since 1970 in which it began, or one more than the last one if that is
    higher. So after a restored backup it is still higher than all that processes have seen.
    """
    lease, _ = FeedLease.objects.get_or_create(pk=1)
    free = Q(holder="") | Q(expires_at__lt=Now()) | Q(expires_at=None)
    if died_here(lease.holder):
        free |= Q(holder=lease.holder)
    epoch = max(lease.epoch + 1, int(time()))
    taken = FeedLease.objects.filter(free, pk=1, epoch=lease.epoch).update(
        holder=holder, epoch=epoch, batch=0, expires_at=Now() + LEASE
    )
    return epoch if taken else None


def renew(holder: str, epoch: int) -> bool:
    """Renew the lease; return whether the holder still had it."""
    lease = FeedLease.objects.filter(pk=1, holder=holder, epoch=epoch)
    return bool(lease.update(expires_at=Now() + LEASE))


def give_back(holder: str, epoch: int) -> None:
    """Free the lease, so that the next process need not wait for its end."""
    FeedLease.objects.filter(pk=1, holder=holder, epoch=epoch).update(holder="", expires_at=None)


def mark_stored(epoch: int, batch: int) -> None:
    """Store the number of the newest batch whose quotes are stored.

    To a process that reads quotes from the database, it shows that the feed works.
    """
    FeedLease.objects.filter(pk=1, epoch=epoch).update(batch=batch)


def is_held() -> bool:
    """Return whether a feed runs: its lease has not ended."""
    return FeedLease.objects.filter(pk=1, expires_at__gte=Now()).exists()


def newest_stored() -> tuple[int, int]:
    """Return the epoch and the number of the newest batch whose quotes are stored."""
    return FeedLease.objects.filter(pk=1).values_list("epoch", "batch").first() or (0, 0)


def changes() -> int:
    """Return the number of changes of symbols and boards so far."""
    return FeedLease.objects.filter(pk=1).values_list("changes", flat=True).first() or 0


def epoch() -> int:
    """Return the newest epoch that a feed of this database began, or 0."""
    return newest_stored()[0]


def deployment() -> str:
    """Return the name of this deployment: from QUOTES, or made once and kept in the database."""
    if not known_deployment():
        FeedLease.objects.get_or_create(pk=1)
        FeedLease.objects.filter(pk=1, deployment="").update(deployment=uuid4().hex)
    return known_deployment()


def known_deployment() -> str:
    """Return the name of this deployment, or "" while it has none; change nothing."""
    made = FeedLease.objects.filter(pk=1).values_list("deployment", flat=True)
    return conf.get("DEPLOYMENT") or made.first() or ""


def this_process() -> str:
    """Return the name of this process as a holder: "host:pid"."""
    return f"{socket.gethostname()[:80]}:{os.getpid()}"


def died_here(holder: str) -> bool:
    """Return whether the holder was a process of this machine that has ended."""
    host, _, pid = holder.rpartition(":")
    if host != socket.gethostname()[:80] or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    # after a restart of a container its process may have the same pid
    return int(pid) == os.getpid()
