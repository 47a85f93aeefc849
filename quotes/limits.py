"""Limits of one process, one address and one page, and the refusals above them.

Each refusal has a text for the client. Refusals are counted by reason code and logged, but not
more often than LOG_EVERY allows.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from typing import Any

from quotes import conf

logger = logging.getLogger(__name__)

Clock = Callable[[], float]
LOG_EVERY = 10.0  # seconds between two log messages with the same reason
MINUTE = 60.0  # seconds
OTHER_FILES = 100  # open files besides the sockets, at most
UNLIMITED = 1_000_000  # connections
PAGE_CONNECTIONS = 50  # kept for pages, in addition to the sockets

# Close codes of sockets. Those from 4000 on are our own.
RESTARTS = 1012  # the server restarts
RESTARTS_DAPHNE = 4012  # the same under daphne, which can't send 1012
SLOW = 4013  # the client is too slow, it may try again later
TOO_MUCH = 4408  # the client sends more than pages do

# The headers of every answer, if nothing else is stated for it. docs/operations.md has the table.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": (
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
        "magnetometer=(), microphone=(), midi=(), payment=(), usb=()"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Refused(Exception):
    """Raised when a request or a socket is refused, or a socket must be closed.

    It has a reason code, a text and an HTTP status.
    """

    def __init__(self, reason: str, status: int, message: str) -> None:
        super().__init__(message)
        self.reason, self.status = reason, status


class Rarely:
    """Counts events by kind. Each kind is due for the log at most once in some seconds."""

    def __init__(self, seconds: float = LOG_EVERY, clock: Clock = time.monotonic) -> None:
        self.seconds, self.clock = seconds, clock
        self.counts: Counter[str] = Counter()
        self._logged: dict[str, float] = {}  # when, by kind

    def is_due(self, kind: str) -> bool:
        """Count an event, and return whether it is due for the log."""
        self.counts[kind] += 1
        now = self.clock()
        if now - self._logged.get(kind, -inf) < self.seconds:
            return False
        self._logged[kind] = now
        return True


class RareRefusals(logging.Filter):
    """Filter of a handler: one line in ten seconds for each kind of refusal, with their count.

    Any visitor can cause them, for example with a wrong Host, so they have no traceback.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rarely = Rarely()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is logged; remove the traceback of a refusal and add a count."""
        kind = _kind_of_refusal(record)
        if not kind:
            return True
        decided: bool | None = getattr(record, "is_due", None)
        if decided is None:  # else by this filter, for the handler before
            decided = record.is_due = self.rarely.is_due(kind)
            record.exc_info = record.exc_text = None
            record.msg = f"{record.msg} (so far: {self.rarely.counts[kind]})"
        return decided


def _kind_of_refusal(record: logging.LogRecord) -> str:
    """Return the kind of refusal that a record reports, or ""."""
    if record.name.startswith("django.security"):
        return record.name
    by_server = record.name == "uvicorn.error" and record.levelno == logging.WARNING
    by_daphne = record.name == "django.channels.server" and "WebSocket REJECT" in str(record.msg)
    return str(record.msg) if by_server or by_daphne else ""


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


def answer(refused: Refused) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return the status, the headers and the body of the answer to a refused request or socket."""
    body = str(refused).encode()
    headers = HEADERS | {"Content-Type": "text/plain; charset=utf-8", "Connection": "close"}
    headers["Content-Length"] = str(len(body))
    return refused.status, [(k.lower().encode(), v.encode()) for k, v in headers.items()], body


async def refuse(scope: Mapping[str, Any], send: Any, refused: Refused) -> None:
    """Refuse a request, or a socket before it is accepted, with the text if that can be sent."""
    kind = "websocket.http" if scope["type"] == "websocket" else "http"
    if kind != "http" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close"})  # servers answer 403
        return
    status, headers, body = answer(refused)
    await send({"type": f"{kind}.response.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.response.body", "body": body})
