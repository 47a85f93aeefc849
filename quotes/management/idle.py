"""Idle connections: closed if the rest of a request does not come. Uvicorn would keep them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

REQUEST_WITHIN = 10.0  # seconds for the headers of a request, and for each piece of its body


def counting(protocol: Any) -> Any:
    """Return a protocol of uvicorn that counts the pieces it receives."""
    protocol.pieces, protocol.data_received = 0, partial(_receive, protocol, protocol.data_received)
    return protocol


def watch(transport: asyncio.Transport, protocol: Any) -> None:
    """Close a connection as soon as it has waited REQUEST_WITHIN for the rest of a request."""
    _look_later(transport, protocol, None)


def _receive(protocol: Any, receive: Callable[[bytes], None], data: bytes) -> None:
    protocol.pieces += 1
    receive(data)


def _look_later(transport: asyncio.Transport, protocol: Any, awaited: object) -> None:
    asyncio.get_running_loop().call_later(REQUEST_WITHIN, _look, transport, protocol, awaited)


def _look(transport: asyncio.Transport, protocol: Any, before: object) -> None:
    is_socket = transport.get_protocol() is not protocol
    if is_socket or transport.is_closing():
        return
    awaited = _awaited(protocol)
    if awaited == before:
        transport.close()
    else:
        _look_later(transport, protocol, awaited)


def _awaited(protocol: Any) -> object:
    """Return what a connection waits for; the same object as before if nothing arrived since."""
    last = protocol.cycle
    is_idle = protocol.timeout_keep_alive_task is not None  # uvicorn closes it soon
    if last is None or (last.response_complete and not is_idle):
        return last  # the headers of the next request
    if last.more_body and not last.response_complete:
        return last, protocol.pieces  # the next piece of its body
    return object()  # nothing
