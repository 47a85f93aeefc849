"""`manage.py runfeed`: run the feed alone, beside any number of web processes."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from quotes import conf
from quotes.live.live import Live


class Command(BaseCommand):
    """Run the feed."""

    help = (
        "Runs the feed alone until it is stopped. The web processes take QUOTES_FEED=external "
        "and, as this one, REDIS_URL. A second runfeed waits and takes over when the first ends."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until SIGINT or SIGTERM."""
        if conf.get("FEED") != "external":
            raise CommandError(
                "QUOTES_FEED is 'inline': the web process runs the feed. "
                "Set QUOTES_FEED=external (and REDIS_URL) for both to run it here."
            )
        asyncio.run(self.run())

    async def run(self) -> None:
        """Stand for the feed's lease until a signal comes."""
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        parts = Live()
        await parts.start(pages=False, feed=True)
        self.stdout.write("The feed runs. Quit with CONTROL-C.")
        await stopped.wait()
        await parts.stop()
