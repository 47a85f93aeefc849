"""The limits of failed logins: a few for an address and a name, more for an address.

An attempt is counted before its password is hashed, so that attempts at the same time can't pass
together. Blocked attempts are not counted, so the speed of hashing limits the table.
"""

from __future__ import annotations

import hashlib
import logging
from datetime import datetime, timedelta

from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from logins.models import FailedLogins
from quotes.limits import address_of
from quotes.limits.rarely import Rarely

logger = logging.getLogger(__name__)

WINDOW = timedelta(minutes=15)
MAX_FOR_NAME = 5  # failures of an address with one name
MAX_FOR_ADDRESS = 20  # failures of an address with any name


class LoginRefused(Exception):
    """Raised when a login is refused. It has a reason, a status, and seconds until the next try."""

    def __init__(self, reason: str, status: int, seconds: float) -> None:
        super().__init__(reason)
        self.status, self.seconds = status, seconds


rarely = Rarely()


def log_refusal(address: str, refused: LoginRefused) -> None:
    """Log a refused login; the name is left out, because it may be a password."""
    if rarely.is_due(str(refused)):
        so_far = rarely.counts[str(refused)]
        logger.warning("refused a login from %s: %s (so far %d)", address, refused, so_far)


def log_failure(address: str) -> None:
    """Log a login with a wrong name or password."""
    if rarely.is_due("failed"):
        logger.warning("a login from %s failed (so far %d)", address, rarely.counts["failed"])


def address(request: HttpRequest) -> str:
    """Return the address under which attempts are counted, as that of a socket."""
    return address_of({"client": [request.META.get("REMOTE_ADDR", "")]})[:64]


def digest(name: str) -> str:
    """Return what is stored of a name."""
    return hashlib.sha256(name.encode()).hexdigest()


def refuse_blocked(address: str, name: str) -> None:
    """Raise LoginRefused if the next attempt would be one too many; write nothing."""
    _check(address, name, room=1)


def count(address: str, name: str) -> None:
    """Count an attempt as failed; raise LoginRefused if others at the same time were faster."""
    _expired().delete()
    for each in ("", digest(name)):
        row = FailedLogins.objects.filter(address=address, name=each)
        while True:  # another process may delete it as expired
            row.get_or_create(address=address, name=each, defaults={"since": timezone.now()})
            if row.update(count=F("count") + 1):
                break
    _check(address, name, room=0)


def forgive(address: str, name: str) -> None:
    """Forget the failures of a name after a success, and that this attempt was counted."""
    FailedLogins.objects.filter(address=address, name=digest(name)).delete()
    FailedLogins.objects.filter(address=address, name="", count__gt=0).update(count=F("count") - 1)


def blocked() -> list[FailedLogins]:
    """Return the rows that block somebody now."""
    now = timezone.now()
    return [row for row in FailedLogins.objects.order_by("address") if _wait(row, 1, now)]


def unblock(given: str) -> int:
    """Forget the failures of an address, or of a name; return how many rows that were.

    An address of IPv6 stands for its /64. The failures of a name no longer count for its addresses
    either.
    """
    of_name = FailedLogins.objects.filter(name=digest(given))
    for of_address, count in of_name.values_list("address", "count"):
        at_address = FailedLogins.objects.filter(address=of_address, name="")
        at_address.filter(count__lt=count).update(count=count)
        at_address.update(count=F("count") - count)
    address = address_of({"client": [given.removesuffix("/64")]})
    rows, _ = (FailedLogins.objects.filter(address=address) | of_name).delete()
    return rows


def _check(address: str, name: str, room: int) -> None:
    now, known = timezone.now(), ("", digest(name))
    rows = list(FailedLogins.objects.filter(address=address, name__in=known))
    seconds, name_of = max(((_wait(row, room, now), row.name) for row in rows), default=(0.0, ""))
    if seconds:
        reason = "too many failures with one name" if name_of else "too many failures"
        raise LoginRefused(reason, 429, seconds)


def _wait(row: FailedLogins, room: int, now: datetime) -> float:
    """Return the seconds for which a row blocks; 0 if it has room for so many attempts."""
    most = MAX_FOR_NAME if row.name else MAX_FOR_ADDRESS
    return max(0.0, (row.since + WINDOW - now).total_seconds()) if row.count + room > most else 0.0


def _expired() -> QuerySet[FailedLogins]:
    return FailedLogins.objects.filter(since__lte=timezone.now() - WINDOW)
