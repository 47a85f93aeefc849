"""The crowd: thousands of visitors in one process, cheap enough not to be the bottleneck.

Raw sockets under epoll, a handshake by hand, one buffer to receive into; of each frame only the
header is read, and where latency is asked for the times of the ticks. Commands come as lines of
JSON on stdin and are answered as lines of JSON on stdout; at the end of stdin the crowd leaves.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import struct
import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Any

HOST = "127.0.0.1"
REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
)
COMPRESSED = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
CLOSE, PING = 8, 9  # opcodes
MASKED_PONG = b"\x8a%c\0\0\0\0"  # a mask of zeros changes nothing
TICK = b'data-field="time" datetime="'  # in a row, before the time of its tick
BUFFER = 1 << 20
ABORT = struct.pack("ii", 1, 0)  # close with a reset: thousands in TIME_WAIT would keep their ports
CUT = "cut"  # how a socket ended that was not closed with a code


@dataclass(eq=False, slots=True)
class Visitor:
    """One socket."""

    socket: socket.socket
    work: Callable[[Visitor], None]  # what to do when epoll wakes it
    began: float
    rest: bytes = b""  # of a frame that has come in part
    frames: int = 0
    code: str = CUT
    opened: bool = False
    stalled: bool = False


@dataclass(slots=True)
class Opening:
    """A number of visitors that are connecting."""

    address: tuple[str, int]
    request: bytes
    left: int  # not connected yet
    rows: int  # in the frame with which a visitor is served
    began: float
    waiting: int = 0  # on their way
    failed: int = 0
    taken: Counter[int] = field(default_factory=Counter)  # milliseconds


@dataclass(slots=True)
class Window:
    """The frames that came while it was open."""

    timed: bool = False
    frames: int = 0
    payload: int = 0  # bytes
    sizes: Counter[int] = field(default_factory=Counter)
    # when a frame arrived at how many visitors, beside the times of the ticks that it brings
    arrivals: dict[tuple[bytes, int], tuple[list[int], Counter[int]]] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    began_cpu: float = field(default_factory=time.process_time)


class Crowd:
    """All visitors, and the orders that they get."""

    def __init__(self) -> None:
        self.poll = select.epoll()
        self.poll.register(sys.stdin.fileno(), select.EPOLLIN)
        self.commands = b""
        self.buffer = bytearray(BUFFER)
        self.visitors: dict[int, Visitor] = {}  # by file descriptor
        self.ends: Counter[str] = Counter()  # the ends of visitors that did not leave by themselves
        self.opening: Opening | None = None
        self.stalled: set[Visitor] = set()
        self.ended_stalled: Counter[str] = Counter()
        self.deadline = float("inf")  # of a resumption
        self.window = Window()

    def run(self) -> None:
        """Follow orders until stdin ends."""
        commands = sys.stdin.fileno()
        while True:
            for descriptor, _ in self.poll.poll(min(1.0, self.deadline - time.monotonic())):
                if descriptor != commands:
                    if visitor := self.visitors.get(descriptor):
                        visitor.work(visitor)
                elif not self._listen():
                    return
            if time.monotonic() > self.deadline:
                self._tell_resumed()

    def _listen(self) -> bool:
        given = os.read(sys.stdin.fileno(), 65536)
        *lines, self.commands = (self.commands + given).split(b"\n")
        for line in lines:
            command = json.loads(line)
            getattr(self, f"do_{command.pop('do')}")(**command)
        return bool(given)

    # Commands

    def do_open(
        self,
        port: int,
        path: str,
        sockets: int,
        in_flight: int,
        rows: int = 0,
        compressed: bool = False,
    ) -> None:
        """Connect visitors, a few at a time; respond when all have a frame with all rows.

        Without rows, they may ask for compressed frames, as browsers do.
        """
        host, more = f"{HOST}:{port}", COMPRESSED if compressed else ""
        request = REQUEST.format(host=host, path=path, more=more).encode()
        self.opening = Opening((HOST, port), request, sockets, rows, time.monotonic())
        for _ in range(min(in_flight, sockets)):
            self._connect(self.opening)

    def do_begin(self, timed: bool = False) -> None:
        """Open a window."""
        for visitor in self.visitors.values():
            visitor.frames = 0
        self.window = Window(timed)
        respond()

    def do_end(self) -> None:
        """Respond with the frames since the window was opened."""
        window = self.window
        seconds = time.monotonic() - window.began
        counts = [visitor.frames for visitor in self.visitors.values() if not visitor.stalled]
        report = {
            "seconds": seconds,
            "cpu": (time.process_time() - window.began_cpu) / seconds,
            "frames": window.frames,
            "bytes": window.payload,
            "size": max(window.sizes, key=lambda size: window.sizes[size], default=0),
            "least": min(counts, default=0),
            "most": max(counts, default=0),
            "held": len(self.visitors),
            "ends": self.ends,
        }
        late: Counter[int] = Counter()
        for ticks, arrivals in window.arrivals.values():
            for tick in ticks:
                for arrival, visitors in arrivals.items():
                    late[arrival - tick] += visitors
        self.window = Window()
        respond(**report, latency=percentiles(late))

    def do_stall(self, sockets: int) -> None:
        """Let some visitors, spread evenly, stop reading."""
        visitors = list(self.visitors.values())
        self.stalled = set(visitors[:: len(visitors) // sockets][:sockets])
        for visitor in self.stalled:
            visitor.stalled = True
            self.poll.unregister(visitor.socket)
        respond()

    def do_resume(self, patience: float) -> None:
        """Let them read again, and respond with the end of each."""
        self.ended_stalled.clear()
        self.deadline = time.monotonic() + patience
        for visitor in self.stalled:
            self.poll.register(visitor.socket, select.EPOLLIN)

    # What happens to a visitor

    def _connect(self, opening: Opening) -> None:
        if not opening.left:
            return
        opening.left -= 1
        opening.waiting += 1
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        visitor = Visitor(connection, self._connected, time.monotonic())
        self.visitors[connection.fileno()] = visitor
        connection.connect_ex(opening.address)  # epoll reports the end
        self.poll.register(connection, select.EPOLLOUT)

    def _connected(self, visitor: Visitor) -> None:
        if self.opening is not None and say(visitor, self.opening.request):
            visitor.work = self._answered
            self.poll.modify(visitor.socket, select.EPOLLIN)
        else:
            self._gone(visitor)

    def _answered(self, visitor: Visitor) -> None:
        try:
            given = visitor.socket.recv(BUFFER)
        except OSError:
            given = b""
        head, end, rest = (visitor.rest + given).partition(b"\r\n\r\n")
        if not given or (end and b" 101 " not in head.partition(b"\r\n")[0]):
            self._gone(visitor)
            return
        visitor.rest = rest if end else head
        if end:
            visitor.work = self._read
            if self.opening is not None and not self.opening.rows:
                self._in(visitor, self.opening)
            self._parse(visitor, rest, len(rest), time.time())

    def _in(self, visitor: Visitor, opening: Opening) -> None:
        visitor.opened = True
        opening.waiting -= 1
        opening.taken[milliseconds(time.monotonic() - visitor.began)] += 1
        self._one_less(opening)

    def _one_less(self, opening: Opening) -> None:
        self._connect(opening)
        if not opening.waiting:
            self.opening = None
            respond(
                opened=opening.taken.total(),
                failed=opening.failed,
                seconds=time.monotonic() - opening.began,
                taken=percentiles(opening.taken),
            )

    def _read(self, visitor: Visitor) -> None:
        try:
            count = visitor.socket.recv_into(self.buffer)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        now = time.time()
        if not count:
            self._gone(visitor)
        elif visitor.rest:
            data = visitor.rest + self.buffer[:count]
            self._parse(visitor, data, len(data), now)
        else:
            self._parse(visitor, self.buffer, count, now)

    def _parse(self, visitor: Visitor, data: bytes | bytearray, end: int, now: float) -> None:
        at = 0
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size > 125:
                start += 2 if size == 126 else 8
                size = int.from_bytes(data[at + 2 : start])
            stop = start + size
            if stop > end:
                break
            opcode = data[at] & 15
            if opcode < CLOSE:
                visitor.frames += 1
                self._count(data, start, stop, now)
                if not visitor.opened:
                    self._look(visitor, data, start, stop)
            elif opcode == PING:
                say(visitor, MASKED_PONG % (128 | size) + data[start:stop])
            elif opcode == CLOSE:
                visitor.code = str(int.from_bytes(data[start : start + 2]))
                self._gone(visitor)
                return
            at = stop
        visitor.rest = bytes(data[at:end])

    def _count(self, data: bytes | bytearray, start: int, stop: int, now: float) -> None:
        window = self.window
        window.frames += 1
        window.payload += stop - start
        window.sizes[stop - start] += 1
        if window.timed and (found := data.find(TICK, start, stop)) >= 0:
            # its first tick and its size identify a frame
            known = (bytes(data[found : found + 64]), stop - start)
            if known not in window.arrivals:
                window.arrivals[known] = (tick_times(bytes(data[found:stop])), Counter())
            window.arrivals[known][1][milliseconds(now)] += 1

    def _look(self, visitor: Visitor, data: bytes | bytearray, start: int, stop: int) -> None:
        opening = self.opening
        if opening is not None and data.count(TICK, start, stop) >= opening.rows:
            self._in(visitor, opening)

    def _gone(self, visitor: Visitor) -> None:
        self._drop(visitor)
        if visitor in self.stalled:
            self.stalled.discard(visitor)
            self.ended_stalled[visitor.code] += 1
            if not self.stalled:
                self._tell_resumed()
        elif visitor.opened:
            self.ends[visitor.code] += 1
        elif self.opening is not None:
            self.opening.waiting -= 1
            self.opening.failed += 1
            self._one_less(self.opening)

    def _drop(self, visitor: Visitor) -> None:
        del self.visitors[visitor.socket.fileno()]
        visitor.socket.close()  # epoll forgets it by itself

    def _tell_resumed(self) -> None:
        self.deadline = float("inf")
        respond(ends=self.ended_stalled, open=len(self.stalled))


def say(visitor: Visitor, what: bytes) -> bool:
    """Send a few bytes; return whether the connection is there for them."""
    try:
        visitor.socket.send(what)
    except OSError:
        return False
    return True


def tick_times(frame: bytes) -> list[int]:
    """Return the times of the ticks that a frame brings, in milliseconds."""
    texts = [part.partition(b'"')[0].decode() for part in frame.split(TICK)[1:]]
    return [milliseconds(datetime.fromisoformat(text).timestamp()) for text in texts if text]


def milliseconds(seconds: float) -> int:
    """Return whole milliseconds."""
    return round(seconds * 1000)


def percentiles(counts: Counter[int]) -> dict[str, int]:
    """Return the median, the 99th percentile and the maximum, where there is anything."""
    values, reached = sorted(counts), list(accumulate(counts[value] for value in sorted(counts)))
    if not values:
        return {}
    parts = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: values[bisect_left(reached, part * reached[-1])] for name, part in parts.items()}


def respond(**answer: Any) -> None:
    """Answer a command."""
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    gc.disable()  # it makes no cycles worth the pauses
    Crowd().run()
