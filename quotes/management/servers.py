"""What both servers share: a bound on the memory for a client that does not read.

Messages to such a client wait in the kernel first, then in the server. Uvicorn then makes the hub
wait. Daphne never does, and only its pings show that a client is gone.
"""

from __future__ import annotations

import resource
import socket

SEND_BUFFER = 128 * 1024  # bytes of a socket in the kernel, which would use megabytes by default
GONE_AFTER = 90  # seconds in which a client accepts nothing; longer than the hub waits


def bound(listening: socket.socket) -> None:
    """Bound the memory of the sockets accepted here, and the time until they are closed."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux has it
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_AFTER * 1000)


def allow_many_sockets() -> None:
    """Raise the limit of open files, often 1,024, to the highest that this user may have."""
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))
