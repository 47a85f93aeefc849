"""`manage.py loadcatalogue [FILE.csv] [--board SLUG]`: list symbols from a CSV."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from quotes import catalogue
from quotes.models import Board, Symbol


class Command(BaseCommand):
    """Load a catalogue."""

    help = (
        "Adds and updates the symbols of a CSV file, and deletes none. Without a file it loads "
        "the starter catalogue. A bad row is refused with its line number, and then nothing is "
        "changed at all."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the file and the board."""
        parser.add_argument(
            "file", nargs="?", type=Path, default=catalogue.STARTER,
            help="CSV in UTF-8 with the columns symbol,name,kind,exchange,currency and, if you "
            "like, tick_size,start and codes: " + ",".join(catalogue.PROVIDERS),
        )  # fmt: skip
        parser.add_argument(
            "--board",
            default="",
            help="slug of the board for these symbols, made if need be; without it, crypto goes "
            "on the board “crypto” and everything else on “stock-market”",
        )

        parser.add_argument(
            "--if-empty", action="store_true", help="do nothing where there are symbols already"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Check everything, then load everything."""
        if options["if_empty"] and Symbol.objects.exists():
            return
        path, board = options["file"], options["board"]
        entries = self.read(path, board)
        counts: Counter[str] = Counter()
        for outcome in catalogue.load(entries, board):
            counts[outcome.done] += 1
            if options["verbosity"] > 1 or (path != catalogue.STARTER and options["verbosity"]):
                self.stdout.write(f"line {outcome.line}: {outcome.code} {outcome.done}")
            elif self.stderr.isatty():
                self.stderr.write(f"\r{counts.total()} of {len(entries)} rows", ending="")
        if self.stderr.isatty():
            self.stderr.write("\r", ending="")
        done = ", ".join(f"{counts[word]} {word}" for word in ("added", "updated", "unchanged"))
        if options["verbosity"]:
            self.stdout.write(self.style.SUCCESS(f"{path.name}: {len(entries)} rows, {done}"))

    def read(self, path: Path, board: str) -> list[catalogue.Entry]:
        """Read the file; raise CommandError with every fault."""
        try:
            if board:
                Board(slug=board).clean_fields(exclude=["title"])
            with path.open(encoding="utf-8-sig", newline="") as file:
                return catalogue.read(file)
        except ValidationError as error:
            raise CommandError(
                f"--board {board!r} is no slug: use up to 50 letters, digits, - and _"
            ) from error
        except OSError as error:
            raise CommandError(f"can't read {path}: {error.strerror}") from error
        except catalogue.BadCatalogue as error:
            shown = "\n".join(error.faults[:20])
            more = f"\n… and {len(error.faults) - 20} more" if len(error.faults) > 20 else ""
            raise CommandError(
                f"{path} was not loaded, nothing was changed:\n{shown}{more}"
            ) from error
