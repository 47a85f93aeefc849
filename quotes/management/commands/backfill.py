"""`manage.py backfill [SYMBOL…] [--days N]`: ask providers for candles of the past."""

from __future__ import annotations

import asyncio
import signal
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections, reset_queries

from quotes import conf
from quotes.candles import archive
from quotes.candles.backfill import Backfill
from quotes.candles.growing import STEPS
from quotes.feed.chains import load_chains
from quotes.feed.configured import configured_providers
from quotes.management import INTERRUPTED

SHARE = 0.25  # of each provider's budget in a minute: a feed may run beside us, and count its own
LENGTHS = {60: "minutes", 300: "five minutes", 3600: "hours", 86_400: "days"}


class Command(BaseCommand):
    """Ask providers for candles of the past."""

    help = (
        "Asks the providers for candles of the past, as far back as they are kept (RETENTION), or "
        "of the last days only. Stopped with CONTROL-C and started again, it goes on where it "
        "was. It may run beside the feed, and leaves most of each provider's budget to quotes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take symbols and days."""
        parser.add_argument("symbols", nargs="*", metavar="SYMBOL", help="all that are active")
        parser.add_argument("--days", type=days, metavar="N", help="how far to go back, at most")

    def handle(self, *args: Any, symbols: list[str], days: float | None, **options: Any) -> None:
        """Ask until all is there, or until CONTROL-C."""
        chains = load_chains(conf.get("PROVIDERS"))
        if unknown := [each for each in symbols if each not in chains]:
            raise CommandError(
                f"{', '.join(unknown)}: not listed, switched off, or without a code of any "
                "provider in QUOTES_PROVIDERS. Name other symbols, or none for all."
            )
        self.chains = {each: chains[each] for each in sorted(symbols or chains)}
        self.aloud, self.count = options["verbosity"] > 0, 0
        reach = {step: min(archive.kept(step), timedelta(days=days or 99_999)) for step in STEPS}
        try:
            missing = asyncio.run(self.fill(reach))
        except (KeyboardInterrupt, asyncio.CancelledError):
            self._write("", "")
            self.stderr.write("Stopped. Start it again, and it goes on where it was.")
            sys.exit(INTERRUPTED)
        if missing:
            raise CommandError(
                f"Not all could be had of {len(missing)} symbols: {', '.join(sorted(missing))}. "
                "What came stays, start it again for the rest."
            )

    async def fill(self, reach: dict[int, timedelta]) -> set[str]:
        """Ask; return the symbols of which something is missing still."""
        if task := asyncio.current_task():
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        self.providers = configured_providers()
        backfill = Backfill(in_database, self.providers, share=SHARE)
        now = datetime.now(UTC)
        try:
            return await backfill.fill(
                self.chains, reach, dict.fromkeys(self.chains, now), self.say, self.say_where
            )
        finally:
            for provider in self.providers.values():
                await provider.aclose()
            await in_database(connections.close_all)

    def say(self, symbol: str, count: int, complete: bool) -> None:
        """Write a line for a symbol."""
        self.count += 1
        if self.aloud:
            telling = any(
                not set(STEPS).isdisjoint(self.providers[name].steps)
                for name in self.chains[symbol]
            )
            nothing = "nothing new" if telling else "none of its providers keeps candles"
            came = f"{count:,} candles" if count else nothing
            rest = "" if complete else ", and some are missing"
            self._write(f"{self.count}/{len(self.chains)} {symbol}: {came}{rest}", "\n")

    def say_where(self, symbol: str, step: int, start: datetime) -> None:
        """Show, on a terminal, what is being asked for."""
        if self.aloud and self.stdout.isatty():
            self._write(f"{symbol}: {LENGTHS[step]} from {start:%Y-%m-%d %H:%M} UTC …", "")

    def _write(self, line: str, ending: str) -> None:
        over = "\r\x1b[K" if self.stdout.isatty() else ""  # what stood in this line
        self.stdout.write(f"{over}{line}", ending=ending)
        self.stdout.flush()


async def in_database(read: Callable[..., Any], *given: Any) -> Any:
    """Run a function that uses the database, in the one thread for that."""

    def with_an_empty_log() -> Any:
        reset_queries()  # or debug mode keeps thousands of long statements
        return read(*given)

    return await sync_to_async(with_an_empty_log)()


def days(given: str) -> float:
    """Read a number of days; raise ArgumentTypeError for what is none."""
    try:
        number = float(given)
    except ValueError:
        number = 0.0
    if not 0 < number < 100_000:
        raise ArgumentTypeError(f"{given!r} is no number of days above 0")
    return number
