"""`manage.py quotes_setup [FILE.csv] [--write]`: the first symbols, groups, and what is missing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from quotes import conf
from quotes.formats import counted
from quotes.management import edits
from quotes.models import Board, Symbol

TAG = '{% load quotes %}{% live_quote "BTC-USD" %}'


class Command(BaseCommand):
    """Set a site up."""

    requires_system_checks: tuple[str, ...] = ()  # they would warn of what this command edits
    help = (
        "Loads the starter catalogue, or a CSV file, makes the groups of operators, and prints "
        "the edits that the site still needs. With --write it makes these edits. You can run it "
        "again: it changes nothing that exists."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the file of symbols, and whether to edit the site's own files."""
        parser.add_argument(
            "file", nargs="?", type=Path, help="CSV file with symbols, as loadcatalogue reads it"
        )
        parser.add_argument(
            "--write", action="store_true", help="edit the site's files: urls.py and asgi.py"
        )

    def handle(self, *args: Any, file: Path | None, write: bool, **options: Any) -> None:
        """Load symbols, make groups, then show or make the edits."""
        self.load(file)
        self.make_groups()
        found = edits.missing()
        for edit in found:
            self.edit(edit, write)
        if not write and any(edit.after for edit in found):
            self.stdout.write("\nRun  manage.py quotes_setup --write  to make these edits.")
        self.show_next_steps(edits.pages(found))

    def load(self, file: Path | None) -> None:
        """Load the symbols of a file, or the starter catalogue if there are none."""
        try:
            there = Symbol.objects.count()
        except DatabaseError as error:
            raise CommandError(
                f"the tables of quotes can't be read: {error}. Run  manage.py migrate  first."
            ) from error
        if there and file is None:
            self.done("Symbols", f"{counted(there, 'symbol')} already; they stay as they are")
            return
        if file is None:
            call_command("loadcatalogue", verbosity=0, stdout=self.stdout, stderr=self.stderr)
            name = "the starter catalogue"
        else:
            call_command("loadcatalogue", file, stdout=self.stdout, stderr=self.stderr)
            name = file.name
        added = counted(Symbol.objects.count() - there, "symbol")
        boards = counted(Board.objects.count(), "board")
        self.done("Symbols", f"{added} added from {name}; {boards}")

    def make_groups(self) -> None:
        """Make the groups of operators, if the site has users."""
        if not apps.is_installed("django.contrib.auth"):
            self.done("Groups", "none, because django.contrib.auth is not in INSTALLED_APPS")
            return
        from quotes.staff.groups import GROUPS, make_groups  # noqa: PLC0415  needs auth

        made = make_groups()
        self.done("Groups", ", ".join(made) + " added" if made else f"{', '.join(GROUPS)} exist")

    def edit(self, edit: edits.Edit, write: bool) -> None:
        """Make an edit if it can be made, else print it."""
        where = os.path.relpath(edit.path)
        obstacle = self.attempt(edit) if write else ""
        if write and not obstacle:
            self.done("Edited", f"{where}: {edit.why}")
        else:
            self.stdout.write(self.style.WARNING(f"\n{edit.when} in {where}: {edit.why}"))
        if obstacle:
            self.stdout.write(f"    {obstacle}: edit it by hand.")
        for line in edit.diff if edit.after else (f"+{line}" for line in edit.lines):
            self.stdout.write(f"    {line[:1]} {line[1:]}")

    def attempt(self, edit: edits.Edit) -> str:
        """Make an edit; return why it can only be made by hand, or "" if it is made."""
        if not edit.after:
            return "This file has an unexpected form"
        try:
            edit.write()
        except OSError as error:
            return f"This file can't be written ({error.strerror})"
        return ""

    def show_next_steps(self, pages: str) -> None:
        """Print how to see a price, and what only production needs."""
        self.stdout.write("\nNext")
        self.stdout.write(f"    manage.py runserver, and open http://127.0.0.1:8000{pages}")
        self.stdout.write(f"    In any template:  {TAG}")
        self.stdout.write("\nBefore production")
        if conf.get("PROVIDERS") == ["simulated"]:
            self.stdout.write(
                '    All prices are simulated: choose sources in QUOTES = {"PROVIDERS": […]}.'
            )
        self.stdout.write(
            "    Serve with  manage.py serve  or another ASGI server: WSGI servers have no sockets."
        )
        if conf.get("CHANNEL_LAYER") not in conf.layers():
            self.stdout.write("    Several processes need CHANNEL_LAYERS with a layer on Redis.")
        self.stdout.write("    Run  manage.py check --deploy.")

    def done(self, what: str, text: str) -> None:
        """Print a line about something that is done."""
        self.stdout.write(f"{what:8} {self.style.SUCCESS(text)}")
