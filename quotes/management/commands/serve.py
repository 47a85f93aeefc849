"""`manage.py serve`: serve the site with uvicorn, as in production."""

from __future__ import annotations

import socket
import sys
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.commands.runserver import naiveip_re

from quotes import conf
from quotes.asgi import site_application
from quotes.live import layer
from quotes.management import servers

try:
    import uvicorn

    from quotes.management.acceptor import Server
    from quotes.management.frames import SharedFrames
except ImportError:  # only production needs it
    uvicorn = None  # type: ignore[assignment]

UVICORN = "uvicorn>=0.35"
STOP_WITHIN = 5  # seconds for connections to end, after all sockets were closed


class Command(BaseCommand):
    """Serve with uvicorn."""

    help = (
        "Serves pages and sockets with uvicorn, as in production. It runs the feed, too, unless "
        "QUOTES['FEED'] is 'external' (in this project, QUOTES_FEED). With --share-port, several "
        f"processes can listen on one port; they need {conf.LAYER}."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take an address as runserver does."""
        parser.add_argument(
            "addrport", nargs="?", default="127.0.0.1:8000", help="8000, or address:8000"
        )
        parser.add_argument(
            "--share-port",
            action="store_true",
            help="let other processes listen on the same port; the kernel distributes connections",
        )

    def handle(self, *args: Any, addrport: str, share_port: bool, **options: Any) -> None:
        """Serve until SIGINT or SIGTERM."""
        if uvicorn is None:
            raise CommandError(
                "uvicorn is missing: install the extra “prod”, with  pip install '.[prod]'  in the "
                "clone of Quoteboard, or only uvicorn, with  "
                f"{sys.executable} -m pip install '{UVICORN}'"
            )
        if share_port and layer.in_memory():
            raise CommandError(f"Several processes need a layer between them: set {conf.LAYER}.")
        servers.allow_many_sockets()
        with listen(addrport, share_port) as listening:
            with_static = settings.DEBUG and apps.is_installed("django.contrib.staticfiles")
            server = Server(configuration(site_application(with_static)), listening)
            servers.write_address(self.stdout, address_of(listening))
            try:
                server.run()
            except KeyboardInterrupt:
                return
        if server.failed:
            raise CommandError("The server did not start: see the log above.")


def configuration(application: Any) -> uvicorn.Config:
    """Return uvicorn's options: only small messages from clients, and no pings.

    `SharedFrames` negotiates the compression, so uvicorn must not.
    """
    return uvicorn.Config(
        application,
        ws=SharedFrames,
        ws_per_message_deflate=False,
        ws_max_size=64 * 1024,
        # No pings: the kernel closes a connection whose client does not accept the pulse.
        ws_ping_interval=None,
        loop="asyncio",
        lifespan="on",
        timeout_graceful_shutdown=STOP_WITHIN,
        server_header=False,
        log_config=None,
    )


def listen(addrport: str, share_port: bool) -> socket.socket:
    """Listen on "8000", "127.0.0.1:8000" or "[::1]:8000"; raise CommandError if that fails."""
    found = naiveip_re.match(addrport)
    if found is None:
        raise CommandError(f"{addrport!r} is not a valid address: use 8000 or 127.0.0.1:8000.")
    host, _, ipv6, _, port = found.groups()
    host = (host or "127.0.0.1").strip("[]")
    servers.refuse_other_machines(host, addrport)
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    try:
        listening = socket.create_server(
            (host, int(port)),
            family=family,
            backlog=2048,
            reuse_port=share_port,
        )
    except (OSError, OverflowError) as error:
        raise CommandError(f"can't listen on {addrport}: {error}") from error
    servers.prepare(listening)
    return listening


def address_of(listening: socket.socket) -> str:
    """Return the host and the port of a socket, as a URL has them."""
    host, port, *_ = listening.getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
