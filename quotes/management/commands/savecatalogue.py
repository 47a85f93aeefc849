"""`manage.py savecatalogue FILE.csv [--board SLUG]`: save symbols as a CSV file."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from quotes import catalogue
from quotes.formats import counted
from quotes.models import Board, Symbol


class Command(BaseCommand):
    """Save a catalogue."""

    help = (
        "Saves all symbols with their provider codes as a CSV file, which loadcatalogue can load "
        "again. A file of that name is replaced."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the file and the board."""
        parser.add_argument("file", type=Path, help="CSV file in UTF-8, as spreadsheets open it")
        parser.add_argument(
            "--board", default="", help="slug of a board: only its symbols are saved, in its order"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file."""
        path, board = options["file"], options["board"]
        symbols = Symbol.objects.order_by("code")
        if board:
            boards = [*Board.objects.values_list("slug", flat=True)]
            if board not in boards:
                allowed = ", ".join(boards) or "there is none yet"
                raise CommandError(f"Unknown board {board!r}, must be one of: {allowed}")
            symbols = symbols.filter(places__board__slug=board)
            symbols = symbols.order_by("places__position", "places__pk")
        saved = [*symbols.prefetch_related("provider_symbols")]
        try:
            path.write_text(catalogue.text_of(saved), encoding="utf-8-sig", newline="")
        except OSError as error:
            raise CommandError(f"Can't write {path}: {error.strerror}") from error
        if options["verbosity"]:
            self.stdout.write(self.style.SUCCESS(f"{path.name}: {counted(len(saved), 'symbol')}"))
