"""`manage.py runserver`: daphne's, with bounds for clients that do not read.

It is found before daphne's own where `quotes` stands before `daphne` in INSTALLED_APPS.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from daphne.management.commands import runserver
from daphne.server import Server

from quotes.management import servers

PING_EVERY = 20  # seconds
PONG_WITHIN = 10  # seconds; daphne loses track of its pings where this is above their interval
FOR_EVER = -1  # daphne would end each socket after a day


class BoundedServer(Server):
    """Daphne's server, whose sockets hold no more than they should."""

    def listen_success(self, port: Any) -> None:
        """Bound the sockets that this port will accept."""
        servers.bound(port.socket)
        super().listen_success(port)


class Command(runserver.Command):
    """Serve with daphne."""

    server_cls = partial(
        BoundedServer,
        ping_interval=PING_EVERY,
        ping_timeout=PONG_WITHIN,
        websocket_timeout=FOR_EVER,
    )
