"""`manage.py runserver`: the command of daphne, with limits for clients.

Django uses it if `quotes` comes before `django.contrib.staticfiles` in INSTALLED_APPS, and before
`daphne`, which need not be there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, cast

from daphne.endpoints import build_endpoint_description_strings
from daphne.management.commands import runserver
from daphne.server import Server
from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError, OperationalError

from quotes import conf
from quotes.asgi import site_application
from quotes.live import daphne
from quotes.management import servers
from quotes.management.daphne import Socket, extend

PING_EVERY = 20  # seconds
PONG_WITHIN = 10  # seconds; if it is longer than PING_EVERY, daphne loses track of its pings
FOREVER = -1  # daphne would end each socket after a day


class BoundedServer(Server):
    """Daphne's server, with limits for its requests and its sockets."""

    def listen_success(self, port: Any) -> None:
        """Limit the requests and sockets that this port will accept."""
        servers.prepare(port.socket)
        extend(self.http_factory)
        self.ws_factory.protocol = Socket
        super().listen_success(port)


class Command(runserver.Command):
    """Serve with daphne."""

    server_cls = partial(
        BoundedServer,
        ping_interval=PING_EVERY,
        ping_timeout=PONG_WITHIN,
        websocket_timeout=FOREVER,
        server_name="",  # no header that names the server
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add an option to serve other machines."""
        super().add_arguments(parser)
        parser.add_argument(
            "--exposed", action="store_true", help="listen on addresses that other machines reach"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve like daphne's command, which would refuse to start without ASGI_APPLICATION."""
        self.use_asgi = options.pop("use_asgi")
        super().handle(*args, **options, use_asgi=False)

    def get_application(self, options: dict[str, Any]) -> Any:
        """Return the site's application with live parts and, in debug mode, static files."""
        return site_application(with_static=serves_static(options))

    def get_handler(self, *args: Any, **options: Any) -> Any:
        """Return the WSGI application for --noasgi, with static files in debug mode."""
        handler = super().get_handler(*args, **options)
        return StaticFilesHandler(handler) if serves_static(options) else handler

    def run(self, **options: Any) -> None:
        """Serve, if the settings allow the address."""
        servers.refuse_other_machines(self.addr, self.address)
        if not (options["exposed"] or servers.is_loopback(self.addr)):
            raise CommandError(
                f"can't listen on {self.address}: with runserver, a client that reads slowly can "
                "use any amount of memory. Use  manage.py serve  instead, or add --exposed."
            )
        super().run(**options)

    def inner_run(self, *args: Any, **options: Any) -> None:
        """Check and serve like daphne's command, but without the six lines before the address."""
        if not self.use_asgi:
            super().inner_run(*args, **options)
            return
        if not options["skip_checks"]:
            self.check()
        with suppress(OperationalError):  # then the first request waits for the database
            self.check_migrations()
        server = self.server_cls(
            application=self.get_application(options),
            endpoints=build_endpoint_description_strings(host=self.addr, port=self.port),
            signal_handlers=not options["use_reloader"],
            action_logger=self.log_action,
            ready_callable=self.begin,
            http_timeout=self.http_timeout,
            root_path=conf.prefix(),
            websocket_handshake_timeout=self.websocket_handshake_timeout,
            websocket_max_message_size=self.websocket_max_message_size,
            websocket_max_frame_size=self.websocket_max_frame_size,
        )
        with suppress(KeyboardInterrupt):
            server.run()
        if server.abort_start:  # it could not listen, and has logged the reason
            os._exit(1)  # as Django does: the reloader runs this in a thread

    def begin(self) -> None:
        """Write the address, and start the live parts: daphne would only do so with a request."""
        from twisted.internet import reactor  # noqa: PLC0415  # only now it is the one with asyncio

        servers.write_address(self.stdout, self.address)
        cast("Any", reactor).callLater(0, self.start)  # when its loop runs

    def start(self) -> None:
        """Start the live parts in the running loop."""
        self.starting = asyncio.create_task(_start())

    @property
    def address(self) -> str:
        """The host and the port, as a URL has them."""
        return f"[{self.addr}]:{self.port}" if self._raw_ipv6 else f"{self.addr}:{self.port}"

    def log_action(self, protocol: str, action: str, details: dict[str, Any]) -> None:
        """Log each request once.

        A request for a socket is logged when it is accepted or rejected.
        """
        if action not in ("connecting", "disconnected"):
            super().log_action(protocol, action, details)


def serves_static(options: Mapping[str, Any]) -> bool:
    """Return whether the server serves static files."""
    insecure = options.get("insecure_serving", False)
    return bool(options.get("use_static_handler", False) and (settings.DEBUG or insecure))


async def _start() -> None:
    with suppress(DatabaseError):  # a table is missing, and the first page shows this
        await daphne.begin()
