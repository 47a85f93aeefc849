"""Chunks: a body in too many small chunks is refused, because a server works for each of them.

Twisted needs 4 µs for a chunk, however small, and h11 needs 9: seconds for a megabyte in chunks of
one byte. Uvicorn gives many of them to the application as one message, so they are counted here.
"""

from __future__ import annotations

from typing import Any

import h11

from quotes import live
from quotes.limits.answers import Refused
from quotes.management import answers

MAX_CHUNKS = 1000  # of any length
MIN_CHUNK = 64  # bytes, on average, of all further chunks
TOO_MANY = Refused("body", 400, "The body of a request has too many small chunks.")


def are_too_many(chunks: int, length: int) -> bool:
    """Return whether a body of so many bytes may not have so many chunks."""
    return chunks > MAX_CHUNKS + length // MIN_CHUNK


def limited(protocol: Any) -> Any:
    """Return a protocol of uvicorn that closes a connection with too many small chunks.

    The protocol with httptools, if that is installed, needs no limit: it is written in C.
    """
    if hasattr(protocol, "conn"):
        protocol.conn.next_event = _Events(protocol).next
    return protocol


class _Events:
    """The events of a connection of h11, and the chunks of the request it reads now."""

    def __init__(self, protocol: Any) -> None:
        self._protocol, self._next = protocol, protocol.conn.next_event
        self._chunks = self._length = 0

    def next(self) -> Any:
        """Return the next event; none after a refusal."""
        event = self._next()
        if isinstance(event, h11.Request):
            self._chunks = self._length = 0
        elif isinstance(event, h11.Data):
            self._chunks += event.chunk_start
            self._length += len(event.data)
            if are_too_many(self._chunks, self._length):
                self._refuse()
                return h11.NEED_DATA
        return event

    def _refuse(self) -> None:
        cycle, transport = self._protocol.cycle, self._protocol.transport
        live.count_refusal(TOO_MANY, (cycle.scope["client"] or [""])[0], "a request")
        if not cycle.response_started:
            transport.write(answers.raw(TOO_MANY))
        cycle.disconnected = True  # the application may not answer as well
        transport.close()
