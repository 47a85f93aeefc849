"""What both servers do alike: bound what a client costs that does not read.

What is sent to it waits in the kernel and then in the server. Uvicorn tells the hub to wait as
well; daphne never does, and sees only by its pings that a client is gone.
"""

from __future__ import annotations

import resource
import socket

SEND_BUFFER = 128 * 1024  # bytes of one socket in the kernel, which itself would take megabytes
GONE_AFTER = 90  # seconds in which a client takes nothing; longer than the hub's patience


def bound(listening: socket.socket) -> None:
    """Bound what the sockets accepted here may hold, and for how long."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux has it
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_AFTER * 1000)


def allow_many_sockets() -> None:
    """Let this process open as many sockets as its user may: shells begin with 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
