"""`manage.py doctor`: check this deployment, and print what is wrong and what to do about it."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from argparse import ArgumentTypeError
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from quotes import doctor
from quotes.doctor.beside import Loop
from quotes.doctor.findings import FAILED, OK, STATUSES, WARNING, Report
from quotes.formats import counted
from quotes.management.terminal import ProgressLine, stops_on_control_c
from quotes.providers import REGISTRY
from quotes.providers.kit import options

PROGRESS = 0.5  # seconds between two progress lines
INDENT = "    "


class Command(BaseCommand):
    """Check this deployment."""

    help = (
        "Checks the configuration, the database, the channel layer, the lease of the feed and "
        "every enabled provider, and prints what is wrong and what to do. It does not disturb a "
        "running feed. The exit code is 1 if a check FAILED, otherwise 0."
    )
    requires_system_checks = []  # their results are part of the report

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the provider to check, the time it may take, and the form of the report."""
        parser.add_argument(
            "--provider",
            default="",
            metavar="NAME",
            help="check only this provider, enabled or not",
        )
        parser.add_argument(
            "--timeout",
            type=seconds,
            default=doctor.PATIENCE,
            metavar="SECONDS",
            help=f"seconds that each provider may take (default: {doctor.PATIENCE:g})",
        )
        parser.add_argument(
            "--json", action="store_true", dest="as_json", help="print a report in JSON at the end"
        )

    def handle(self, *args: Any, provider: str, timeout: float, as_json: bool, **more: Any) -> None:
        """Check until all is known, or until CONTROL-C."""
        if provider and provider not in REGISTRY:
            allowed = ", ".join(REGISTRY)
            raise CommandError(f"Unknown provider {provider!r}, must be one of: {allowed}")
        self.progress = ProgressLine(self.stderr)
        logging.disable()  # the report has all errors, without secrets
        try:
            with (
                stops_on_control_c(
                    self.progress, self.stderr, "Stopped. Not everything was checked."
                ),
                asyncio.Runner(loop_factory=Loop) as runner,
            ):
                reports = runner.run(self.examine(provider, timeout, quiet=as_json))
        finally:
            logging.disable(logging.NOTSET)
        counts = Counter(each.status for each in reports)
        if as_json:
            self.stdout.write(to_json(reports, counts))
        else:
            self.stdout.write(f"\n{summary(counts)}")
        if counts[FAILED]:
            sys.exit(1)

    async def examine(self, provider: str, patience: float, *, quiet: bool) -> list[Report]:
        """Run all checks at once; unless quiet, print each report after those above it."""
        checks = doctor.begin(provider, patience)
        width, reports = max(map(len, checks)), []
        try:
            for check in checks.values():
                await self.wait(check, checks)
                reports.append(check.result())
                if not quiet:
                    self.print_report(check.result(), width)
        finally:
            self.progress.clear()
            for check in checks.values():
                check.cancel()
            await asyncio.gather(*checks.values(), return_exceptions=True)
        return reports

    async def wait(self, check: asyncio.Task[Report], checks: dict[str, Any]) -> None:
        """Wait for a check and show, on a terminal, what is being waited for and how long."""
        began = time.monotonic()
        while not (await asyncio.wait([check], timeout=PROGRESS))[0]:
            awaited = ", ".join(name for name, each in checks.items() if not each.done())
            self.progress.show(f"waiting {time.monotonic() - began:.0f} s for {awaited}")
        self.progress.clear()

    def print_report(self, report: Report, width: int) -> None:
        """Print a line for a check, and its other findings below."""
        first, *others = report.worst_first()
        status = self.colour(report.status)(f"{report.status:{len(WARNING)}}")
        self.stdout.write(f"{report.name:{width}}  {status}  {first.text}")
        if first.to_do:
            self.stdout.write(f"{INDENT}To do: {first.to_do}")
        for each in others:
            status = "" if each.status == OK else f"{each.status}: "
            self.stdout.write(f"{INDENT}{status}{each.text}")
            if each.to_do:
                self.stdout.write(f"{INDENT}To do: {each.to_do}")
        self.stdout.flush()

    def colour(self, status: str) -> Callable[[str], str]:
        """Return the function that colours a status on a terminal."""
        return {OK: self.style.SUCCESS, WARNING: self.style.WARNING, FAILED: self.style.ERROR}[
            status
        ]


def summary(counts: Counter[str]) -> str:
    """Return the number of checks by status: "7 checks: 5 ok, 1 warning, 1 FAILED"."""
    checks, warnings = counted(counts.total(), "check"), counted(counts[WARNING], WARNING)
    return f"{checks}: {counts[OK]} {OK}, {warnings}, {counts[FAILED]} {FAILED}"


def to_json(reports: Sequence[Report], counts: Counter[str]) -> str:
    """Return all reports in JSON; a status is "ok", "warning" or "failed"."""
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "counts": {status.lower(): counts[status] for status in STATUSES},
        "checks": [
            {
                "name": each.name,
                "status": each.status.lower(),
                "seconds": round(each.seconds, 3),
                "findings": [
                    asdict(finding) | {"status": finding.status.lower()}
                    for finding in each.worst_first()
                ],
            }
            for each in reports
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def seconds(given: str) -> float:
    """Read a number of seconds; raise ArgumentTypeError for anything else."""
    try:
        return options.seconds("--timeout", given)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
