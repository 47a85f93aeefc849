"""`manage.py savecatalogue FILE [--board SLUG]`: save symbols as a CSV or JSON file."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import prefetch_related_objects

from quotes import catalogue
from quotes.formats import counted
from quotes.models import Board, Symbol
from quotes.rules import rule_of
from quotes.staff import filling


class Command(BaseCommand):
    """Save a catalogue."""

    help = (
        "Saves all symbols with their provider codes as a file, which loadcatalogue can load "
        "again: as JSON if its name ends with .json, else as CSV. A file of that name is replaced."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the file and the board."""
        parser.add_argument("file", type=Path, help="CSV file, as spreadsheets open it, or JSON")
        parser.add_argument(
            "--board", default="", help="slug of a board: only its symbols are saved, in its order"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file."""
        path, board = options["file"], options["board"]
        symbols, rule = Symbol.objects.order_by("code"), None
        if board:
            boards = {each.slug: each for each in Board.objects.all()}
            if board not in boards:
                allowed = ", ".join(boards) or "there is none yet"
                raise CommandError(f"Unknown board {board!r}, must be one of: {allowed}")
            if rule := rule_of(boards[board]):
                found = [each.symbol for each in filling.found_by(rule)]
                prefetch_related_objects(found, "provider_symbols")
            else:
                placed = symbols.filter(places__board=boards[board])
                symbols = placed.order_by("places__position", "places__pk")
        saved = found if rule else [*symbols.prefetch_related("provider_symbols")]
        try:
            if path.suffix.lower() == ".json":
                path.write_text(catalogue.json_of(saved), encoding="utf-8")
            else:
                path.write_text(catalogue.csv_of(saved), encoding="utf-8-sig", newline="")
        except OSError as error:
            raise CommandError(f"Can't write {path}: {error.strerror}") from error
        if options["verbosity"]:
            self.stdout.write(self.style.SUCCESS(f"{path.name}: {counted(len(saved), 'symbol')}"))
