"""`manage.py runfeed`: run the feed alone, beside any number of web processes."""

from __future__ import annotations

import asyncio
import signal
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from quotes import conf, metrics
from quotes.live.live import Live
from quotes.quote.texts import short

MAX_PORT = 65535


class Command(BaseCommand):
    """Run the feed."""

    help = (
        "Runs the feed alone until it is stopped. For this command and for all web processes, set "
        f"QUOTES['FEED'] to 'external' (in this project, QUOTES_FEED=external), and {conf.LAYER}. "
        "A second runfeed waits, and takes over when the first one ends."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the port of /metrics."""
        parser.add_argument(
            "--metrics-port",
            type=port,
            help="answer Prometheus on this port of 127.0.0.1; without it, nothing listens",
        )

    def handle(self, *args: Any, metrics_port: int | None, **options: Any) -> None:
        """Run until SIGINT or SIGTERM."""
        if conf.get("FEED") != "external":
            raise CommandError(
                "QUOTES['FEED'] is 'inline', so the web process runs the feed. For this command "
                "and for all web processes, set it to 'external' (in this project, "
                f"QUOTES_FEED=external), and set {conf.LAYER}. Under WSGI, no layer is needed."
            )
        asyncio.run(self.run(metrics_port))

    async def run(self, metrics_port: int | None) -> None:
        """Take the feed's lease, or wait for it, until a signal comes."""
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        live = Live()
        if metrics_port is not None:
            try:
                metrics.listen(live, "127.0.0.1", metrics_port)
            except OSError as error:
                raise CommandError(
                    f"--metrics-port={metrics_port}: {error}. Give a port that no other program "
                    "uses."
                ) from error
        running = asyncio.create_task(self.start(live))
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
            await stopping
        running.cancel()  # it may wait for its database
        await live.stop()

    async def start(self, live: Live) -> None:
        """Start the feed. Wait for its database if that is not there yet."""
        await live.start(pages=False, feed=True)
        self.stdout.write("This process runs the feed, or waits to run it. Quit with CONTROL-C.")


def port(given: str) -> int:
    """Read the number of a port; raise ArgumentTypeError for any other text."""
    is_number = given.isascii() and given.isdigit() and len(given) < 6
    if not is_number or not 0 < int(given) <= MAX_PORT:
        raise ArgumentTypeError(f"{short(given)} is not a valid port, must be 1 to {MAX_PORT}")
    return int(given)
