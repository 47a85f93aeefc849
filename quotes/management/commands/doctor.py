"""`manage.py doctor`: look at this deployment, and say what is wrong and what to do about it."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
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
from quotes.doctor.findings import FAILED, OK, STATUSES, WARNING, Finding
from quotes.management import INTERRUPTED
from quotes.providers import REGISTRY
from quotes.providers.kit import options

PROGRESS = 0.5  # seconds between two signs of life
INDENT = "    "


class Command(BaseCommand):
    """Say what is wrong."""

    help = (
        "Looks at the configuration, the database, the channel layer, the lease of the feed and "
        "every enabled provider, and says what is wrong and what to do. It disturbs no feed. "
        "Ends with 1 if something FAILED, else with 0."
    )
    requires_system_checks = []  # it says itself what they say

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what to check, and how to say it."""
        parser.add_argument(
            "--provider", default="", metavar="NAME", help="check this provider, and nothing else"
        )
        parser.add_argument(
            "--timeout",
            type=seconds,
            default=doctor.PATIENCE,
            metavar="SECONDS",
            help=f"that each provider may take ({doctor.PATIENCE:g})",
        )
        parser.add_argument(
            "--json", action="store_true", dest="as_json", help="say it all at the end, as JSON"
        )

    def handle(self, *args: Any, provider: str, timeout: float, as_json: bool, **more: Any) -> None:
        """Check until all is known, or until Ctrl-C."""
        if provider and provider not in REGISTRY:
            allowed = ", ".join(REGISTRY)
            raise CommandError(f"Unknown provider {provider!r}, must be one of: {allowed}")
        logging.disable()  # what went wrong is said below, and without secrets
        try:
            with asyncio.Runner(loop_factory=Loop) as runner:
                found = runner.run(self.examine(provider, timeout, aloud=not as_json))
        except KeyboardInterrupt:
            self.stderr.write("Interrupted: not everything was checked.")
            sys.exit(INTERRUPTED)
        finally:
            logging.disable(logging.NOTSET)
        counts = Counter(each.status for each in found)
        if as_json:
            self.stdout.write(as_document(found, counts))
        else:
            self.stdout.write(f"\n{summary(counts)}")
        if counts[FAILED]:
            sys.exit(1)

    async def examine(self, provider: str, patience: float, *, aloud: bool) -> list[Finding]:
        """Make all checks; aloud, each is said as soon as it and those above it are known."""
        checks = doctor.begin(provider, patience)
        width, found = max(map(len, checks)), []
        try:
            for check in checks.values():
                await self.wait(check, checks)
                found.append(check.result())
                if aloud:
                    self.say(check.result(), width)
        finally:
            self.progress("")
            for check in checks.values():
                check.cancel()
            await asyncio.gather(*checks.values(), return_exceptions=True)
        return found

    async def wait(self, check: asyncio.Task[Finding], checks: dict[str, Any]) -> None:
        """Wait for a check and show, on a terminal, for what and since when."""
        began = time.monotonic()
        while not (await asyncio.wait([check], timeout=PROGRESS))[0]:
            awaited = ", ".join(name for name, each in checks.items() if not each.done())
            self.progress(f"waiting {time.monotonic() - began:.0f} s for {awaited}")
        self.progress("")

    def progress(self, words: str) -> None:
        """Show a line in place of the one before; other than on a terminal, nothing."""
        if self.stderr.isatty():
            columns = shutil.get_terminal_size().columns - 1
            self.stderr.write(f"\r{words[:columns]:{columns}}\r{words[:columns]}", ending="")
            self.stderr.flush()

    def say(self, found: Finding, width: int) -> None:
        """Write a line for a check, and what else it found beneath."""
        first, *others = found.by_weight()
        status = self.colour(found.status)(f"{found.status:{len(WARNING)}}")
        self.stdout.write(f"{found.name:{width}}  {status}  {first.words}")
        if first.to_do:
            self.stdout.write(f"{INDENT}To do: {first.to_do}")
        for each in others:
            of = "" if each.status == OK else f"{each.status}: "
            self.stdout.write(f"{INDENT}{of}{each.words}")
            if each.to_do:
                self.stdout.write(f"{INDENT}To do: {each.to_do}")
        self.stdout.flush()

    def colour(self, status: str) -> Callable[[str], str]:
        """Return what colours a status, on a terminal; the word alone says it, too."""
        return {OK: self.style.SUCCESS, WARNING: self.style.WARNING, FAILED: self.style.ERROR}[
            status
        ]


def summary(counts: Counter[str]) -> str:
    """Count the checks by how they went: "7 checks: 5 ok, 1 warning, 1 FAILED"."""
    checks, warnings = (
        f"{number} {word}" + ("" if number == 1 else "s")
        for number, word in ((counts.total(), "check"), (counts[WARNING], WARNING))
    )
    return f"{checks}: {counts[OK]} {OK}, {warnings}, {counts[FAILED]} {FAILED}"


def as_document(found: Sequence[Finding], counts: Counter[str]) -> str:
    """Say it all in JSON; a status is "ok", "warning" or "failed"."""
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "counts": {status.lower(): counts[status] for status in STATUSES},
        "checks": [
            {
                "name": each.name,
                "status": each.status.lower(),
                "seconds": round(each.seconds, 3),
                "remarks": [
                    asdict(remark) | {"status": remark.status.lower()}
                    for remark in each.by_weight()
                ],
            }
            for each in found
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def seconds(given: str) -> float:
    """Read a length of time above 0."""
    try:
        return options.seconds("--timeout", given)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
