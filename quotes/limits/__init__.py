"""Limits of one process, one address and one page, and the refusals above them.

Each refusal has a text for the client. Refusals are counted by reason code, and logged rarely.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import resource
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from quotes import conf
from quotes.limits.answers import Refused
from quotes.limits.rarely import Clock, Rarely

logger = logging.getLogger(__name__)

MINUTE = 60.0  # seconds
OTHER_FILES = 100  # open files besides the sockets, at most
UNLIMITED = 1_000_000  # connections
PAGE_CONNECTIONS = 50  # kept for pages, in addition to the sockets

# Close codes of sockets. Those from 4000 on are our own.
RESTARTS = 1012  # the server restarts
RESTARTS_DAPHNE = 4012  # the same under daphne, which can't send 1012
SLOW = 4013  # the client is too slow, it may try again later
TOO_MUCH = 4408  # the client sends more than pages do
UNSEEN = 4410  # the page is out of view; it opens a new socket when it is in view again


class Limits:
    """Counts the open sockets of a process by address, and the refused ones by reason."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.sockets: Counter[str] = Counter()  # open, by address
        self.rarely = Rarely(clock=clock)
        self.refused = self.rarely.counts  # by reason
        self.server_ends = False  # whether the server ends
        self.empty = asyncio.Event()  # set while no socket is open
        self.empty.set()

    @contextmanager
    def socket(self, address: str) -> Iterator[None]:
        """Count a socket of an address while it is open; raise Refused if there are too many."""
        if self.server_ends:
            raise Refused("ending", 503, "This server is about to end. Try again.")
        if self.sockets.total() >= max_sockets():
            raise Refused("sockets", 503, "This server can't take more sockets. Try again later.")
        if self.sockets[address] >= conf.get("MAX_SOCKETS_PER_ADDRESS"):
            raise Refused("address", 429, "Too many sockets from your address. Close some of them.")
        self.sockets[address] += 1
        self.empty.clear()
        try:
            yield
        finally:
            self.sockets[address] -= 1
            if not self.sockets[address]:
                del self.sockets[address]
            if not self.sockets:
                self.empty.set()

    def count(self, refused: Refused, address: str, what: str = "a socket") -> None:
        """Count a refusal, and log it unless one with the same reason was logged just now."""
        if not self.rarely.is_due(refused.reason):
            return
        full = refused.status in (429, 503)  # the operator may want to raise these limits
        logger.log(
            logging.WARNING if full else logging.INFO,
            "refused %s from %s: %s (%s, refusals so far: %d)",
            what,
            address,
            refused,
            refused.reason,
            self.refused[refused.reason],
        )


def max_connections() -> int:
    """Return how many connections the limit of open files allows."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return UNLIMITED
    return max(files - OTHER_FILES, files // 2)


def max_sockets() -> int:
    """Return how many sockets may be open: fewer than connections, so that pages are served."""
    connections = max_connections()
    most: int = conf.get("MAX_SOCKETS")
    return min(most, max(connections - PAGE_CONNECTIONS, connections // 2))


class Allowance:
    """The limits of one page: a few small text messages in a minute."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self.since, self.messages = clock(), 0

    def spend(self, text: str | None) -> None:
        """Count a message (None if it is binary); raise Refused if it is not allowed."""
        if text is None:
            raise Refused("binary", 400, "Binary messages are not accepted.")
        limit = conf.get("MAX_MESSAGE_BYTES")
        if len(text) > limit or len(text.encode()) > limit:
            raise Refused("size", 413, f"A message may have at most {limit} bytes.")
        now = self.clock()
        if now - self.since >= MINUTE:
            self.since, self.messages = now, 0
        self.messages += 1
        if self.messages > conf.get("MAX_MESSAGES"):
            raise Refused("messages", 429, "Too many messages in a minute.")


def address_of(scope: Mapping[str, Any]) -> str:
    """Return the address under which a socket is counted.

    For IPv6 this is the /64, which belongs to one customer.
    """
    host = (scope.get("client") or [""])[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return str(host)
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
