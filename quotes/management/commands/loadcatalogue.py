"""`manage.py loadcatalogue [FILE] [--board SLUG]`: load symbols from a CSV or JSON file."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils.translation import override

from quotes import catalogue, sessions
from quotes.formats import counted
from quotes.management.terminal import ProgressLine, stops_on_control_c
from quotes.models import Board, Symbol
from quotes.models.history import command
from quotes.staff.outcomes import counts_of, keep_history


class Command(BaseCommand):
    """Load a catalogue."""

    help = (
        "Adds and updates the symbols of a CSV or JSON file. No symbol is deleted. Without a file, "
        "the starter catalogue is loaded. If a row is invalid, its line number is printed and "
        "nothing is changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the file and the board."""
        parser.add_argument(
            "file", nargs="?", type=Path, default=catalogue.STARTER,
            help="CSV file, as spreadsheets save it, or JSON list of objects, with the columns "
            "symbol, name, kind, exchange and currency. Optional columns: tick_size, start, and "
            "codes in " + ", ".join(catalogue.PROVIDERS),
        )  # fmt: skip
        parser.add_argument(
            "--board",
            default="",
            help="slug of the board for these symbols, which is created if it is missing "
            "(default: for each symbol the board of its kind, one of: "
            + ", ".join(catalogue.STARTER_BOARDS)
            + ")",
        )
        parser.add_argument(
            "--if-empty", action="store_true", help="do nothing if there are symbols already"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="print what would be done, and change nothing"
        )

    @override("en")  # errors in the file would be in the language of the site
    def handle(self, *args: Any, **options: Any) -> None:
        """Check everything, then load everything, unless CONTROL-C stops it."""
        if options["if_empty"] and Symbol.objects.exists():
            return
        self.progress = ProgressLine(self.stderr)
        self.committed: list[bool] = []
        with stops_on_control_c(self.progress, self.stderr, self.stopped):
            self.run(**options)

    def stopped(self) -> str:
        """Return what a command that CONTROL-C stopped has done."""
        done = "all of the file was loaded" if self.committed else "nothing was changed"
        return f"Stopped: {done}."

    def run(self, **options: Any) -> None:
        """Check everything, then load everything."""
        path, board = options["file"], options["board"]
        found = self.read(path, board)
        if shown := path != catalogue.STARTER and options["verbosity"] > 0:
            self.stdout.write(f"{path.name}: {found}")
        entries = found.entries
        outcomes = self.load(entries, board, path.name, dry_run=options["dry_run"])
        self.progress.clear()
        counts = counts_of(outcomes)
        if options["verbosity"] > 1 or shown:
            for outcome in outcomes:
                self.stdout.write(str(outcome))
        done = ", ".join(f"{counts[word]} {word}" for word in ("added", "updated", "unchanged"))
        done += f", {counts['placed']} put on a board" if counts["placed"] else ""
        done += " (dry run: nothing was changed)" if options["dry_run"] else ""
        if shown:
            self.warn_of_exchanges(entry.symbol for entry in entries)
        if options["verbosity"]:
            rows = counted(len(entries), "row")
            self.stdout.write(self.style.SUCCESS(f"{path.name}: {rows}, {done}"))

    def load(
        self, entries: list[catalogue.Entry], board: str, file: str, *, dry_run: bool
    ) -> list[catalogue.Outcome]:
        """Load the rows; raise CommandError if another process was in the way."""
        try:
            with transaction.atomic():
                if not dry_run:
                    transaction.on_commit(partial(self.committed.append, True))
                outcomes = catalogue.load(entries, board, dry_run=dry_run, report=self.report)
                if not dry_run:
                    keep_history(outcomes, command("loadcatalogue"), file, self.report)
                return outcomes
        except catalogue.InvalidCatalogue as error:
            raise CommandError(f"Nothing was changed: {error}") from error

    def report(self, step: catalogue.Step, done: int, of: int) -> None:
        """Show on a terminal how far the load is."""
        self.progress.show(f"{step.label}: {done:,} of {counted(of, 'row')}")

    def warn_of_exchanges(self, symbols: Iterable[Symbol]) -> None:
        """Name the exchanges whose hours are not known: they may be misspelt."""
        unknown = {e.exchange for e in symbols if not sessions.knows(e.exchange, e.kind)}
        if unknown:
            self.stdout.write(
                f"market hours are not known for: {', '.join(sorted(unknown))} "
                "(docs/operations.md has the names of all known exchanges)"
            )

    def read(self, path: Path, board: str) -> catalogue.Catalogue:
        """Read the file; raise CommandError with all errors in it."""
        try:
            if board:
                Board(slug=board).clean_fields(exclude=["title"])
            with path.open("rb") as file:
                return catalogue.read(file, self.report)
        except ValidationError as error:
            raise CommandError(
                f"Unexpected --board {board!r}, must be at most 50 letters, digits, - or _"
            ) from error
        except OSError as error:
            raise CommandError(f"Can't read {path}: {error.strerror}") from error
        except catalogue.InvalidCatalogue as error:
            self.progress.clear()
            if error.format:
                self.stdout.write(f"{path.name}: {error.format}")
            raise CommandError(
                f"{path} was not loaded and nothing was changed:\n{error}"
            ) from error
