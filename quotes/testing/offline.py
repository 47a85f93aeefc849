"""No network: connections to other machines are refused while a test runs."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any


class NetworkRefused(RuntimeError):
    """Raised when a test connects to another machine.

    It is not an OSError, which programs take for an outage.
    """

    def __init__(self, host: str) -> None:
        super().__init__(
            f"this test may connect only to this machine, not to {host!r}. Send prices with "
            "live_quotes.push(), or add the host to quotes_allow_hosts in the settings of pytest"
        )


@contextmanager
def offline(allowed: Iterable[str] = ()) -> Iterator[None]:
    """Refuse connections to other machines inside the block, except to these hosts."""
    hosts = {"", "localhost", *allowed}
    look_up, connect = socket.getaddrinfo, socket.socket.connect

    def guarded_look_up(host: Any, *given: Any, **more: Any) -> Any:
        __tracebackhide__ = True
        _check(host, hosts)
        found = look_up(host, *given, **more)
        hosts.update(str(address[0]) for *_, address in found)
        return found

    def guarded_connect(self: socket.socket, address: Any) -> None:
        __tracebackhide__ = True
        if isinstance(address, tuple):  # others are files of this machine
            _check(address[0], hosts)
        connect(self, address)

    with _replaced(guarded_look_up, guarded_connect):
        yield


@contextmanager
def _replaced(look_up: Callable[..., Any], connect: Callable[..., Any]) -> Iterator[None]:
    before = socket.getaddrinfo, socket.socket.connect
    socket.getaddrinfo, socket.socket.connect = look_up, connect  # type: ignore[method-assign]
    try:
        yield
    finally:
        socket.getaddrinfo, socket.socket.connect = before  # type: ignore[method-assign]


def _check(host: Any, allowed: set[str]) -> None:
    __tracebackhide__ = True
    name = host.decode() if isinstance(host, bytes) else str(host or "")
    if name not in allowed and not _is_here(name):
        raise NetworkRefused(name)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
