"""`manage.py backfill [SYMBOL…] [--days N]`: request old candles from the providers."""

from __future__ import annotations

import asyncio
import signal
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
from quotes.formats import counted
from quotes.management.terminal import ProgressLine, stops_on_control_c

LATEST = timedelta(minutes=1)  # newer candles still grow; the feed makes them
SHARE = 0.25  # of each provider's budget in a minute: a feed beside us does not count ours
CANDLES = {  # by step
    60: "one-minute candles",
    300: "five-minute candles",
    3600: "hourly candles",
    86_400: "daily candles",
}


class Command(BaseCommand):
    """Request old candles from the providers."""

    help = (
        "Requests old candles from the providers, as far back as RETENTION allows. Use --days to "
        "request fewer days. You can stop the command with CONTROL-C at any time; it continues "
        "when you run it again. It may run beside the feed: it uses at most a quarter of the "
        "requests that each provider allows."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the symbols and the number of days."""
        parser.add_argument(
            "symbols",
            nargs="*",
            metavar="SYMBOL",
            help="a symbol such as BTC-USD (default: all active symbols)",
        )
        parser.add_argument(
            "--days",
            type=days,
            metavar="N",
            help="number of days to go back (default: as far as RETENTION allows)",
        )

    def handle(self, *args: Any, symbols: list[str], days: float | None, **options: Any) -> None:
        """Request candles until all are stored, or until CONTROL-C."""
        chains = load_chains(conf.get("PROVIDERS"))
        if unknown := [each for each in symbols if each not in chains]:
            raise CommandError(
                f"{', '.join(unknown)}: these symbols are unknown, switched off, or have no code "
                f"for a provider in {conf.PROVIDERS}. Name other symbols, or name no symbol to "
                "request candles of all."
            )
        self.chains = {each: chains[each] for each in sorted(symbols or chains)}
        self.verbose, self.count = options["verbosity"] > 0, 0
        self.progress = ProgressLine(self.stdout)
        reach = {step: min(archive.kept(step), timedelta(days=days or 99_999)) for step in STEPS}
        with stops_on_control_c(
            self.progress, self.stderr, "Stopped. Run the command again to continue."
        ):
            missing = asyncio.run(self.fill(reach))
        if missing:
            raise CommandError(
                f"Candles are still missing for {len(missing)} of "
                f"{counted(len(self.chains), 'symbol')}: "
                f"{', '.join(sorted(missing))}. The received candles are stored. "
                "Run the command again to request the rest."
            )

    async def fill(self, reach: dict[int, timedelta]) -> set[str]:
        """Request the candles; return the symbols that still miss some."""
        if task := asyncio.current_task():
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        self.providers = configured_providers()
        backfill = Backfill(in_database, self.providers, share=SHARE, gap=LATEST)
        since = dict.fromkeys(self.chains, datetime.now(UTC))
        try:
            return await backfill.fill(self.chains, reach, since, self.report, self.show)
        finally:
            for provider in self.providers.values():
                await provider.aclose()
            await in_database(connections.close_all)

    def report(self, symbol: str, count: int, complete: bool) -> None:
        """Print a line for a symbol that is done."""
        self.count += 1
        if self.verbose:
            stored = counted(count, "candle") if count else self.nothing(symbol)
            rest = "" if complete else "; some are still missing"
            self.progress.clear()
            self.stdout.write(f"{self.count}/{len(self.chains)} {symbol}: {stored}{rest}")
            self.stdout.flush()

    def nothing(self, symbol: str) -> str:
        """Return the reason why a symbol got no new candles."""
        chain = [self.providers[name] for name in self.chains[symbol]]
        if any(provider.invented for provider in chain):
            return "simulated, so its candles are made when they are shown"
        if all(set(STEPS).isdisjoint(provider.steps) for provider in chain):
            return "none of its providers has candles"
        return "nothing new"

    def show(self, symbol: str, step: int, start: datetime) -> None:
        """Show, on a terminal, which candles are being requested."""
        if self.verbose:
            self.progress.show(f"{symbol}: {CANDLES[step]} from {start:%Y-%m-%d %H:%M} UTC …")


async def in_database(read: Callable[..., Any], *given: Any) -> Any:
    """Run a function in the thread that uses the database."""

    def with_an_empty_log() -> Any:
        reset_queries()  # debug mode keeps them, and here they are thousands of long statements
        return read(*given)

    return await sync_to_async(with_an_empty_log)()


def days(given: str) -> float:
    """Read a number of days; raise ArgumentTypeError for anything else."""
    try:
        number = float(given)
    except ValueError:
        number = 0.0
    if not 0 < number < 100_000:
        raise ArgumentTypeError(f"Unexpected --days {given!r}, must be a number above 0")
    return number
