"""Shared by both servers: the first line of output, the refusal of other machines, and limits.

The limits are for clients that do not read. Messages to such a client wait in the kernel first,
then in the server. Uvicorn then makes the hub wait. Daphne never does, and only its pings show
that a client has disconnected.
"""

from __future__ import annotations

import ipaddress
import resource
import socket

from django.conf import settings
from django.core.management.base import CommandError, OutputWrapper

from quotes import conf

SEND_BUFFER = 128 * 1024  # bytes of a socket in the kernel, which would use megabytes by default
GONE_AFTER = 90  # seconds without progress until the kernel disconnects; the hub acts earlier


def write_address(out: OutputWrapper, address: str) -> None:
    """Write the first line of a server and flush it, so that a file or a pipe has it at once."""
    place = f"http://{address}{conf.prefix()}/"
    if settings.SECURE_SSL_REDIRECT:  # a browser without the proxy would be sent to HTTPS here
        place = f"{address}, behind a proxy that speaks HTTPS"
    out.write(f"Serving on {place}. Quit with CONTROL-C.")
    out.flush()


def refuse_other_machines(host: str, address: str) -> None:
    """Raise CommandError for a host beyond loopback if LOOPBACK_ONLY gives a reason."""
    if (reason := conf.get("LOOPBACK_ONLY")) and not is_loopback(host):
        raise CommandError(f"can't listen on {address}: {reason}")


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host, given as an address or a name."""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:  # the server can't listen on it either, and reports this
        return True
    return all(ipaddress.ip_address(each[4][0]).is_loopback for each in found)


def prepare(listening: socket.socket) -> None:
    """Set what the sockets accepted here inherit: less memory, an end in time, and no delay.

    Otherwise the body of a short answer would wait for the client to confirm its headers, which
    takes 40 ms over a connection that is used again, as between nginx and this server.
    """
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux has it
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_AFTER * 1000)


def allow_many_sockets() -> None:
    """Raise the limit of open files, often 1,024, to the highest that this user may have."""
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))
