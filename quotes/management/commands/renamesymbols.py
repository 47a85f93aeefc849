"""`manage.py renamesymbols FILE.csv`: give symbols the codes that a CSV file has for them."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils.translation import override

from quotes.catalogue import InvalidCatalogue
from quotes.formats import counted
from quotes.staff import renames


class Command(BaseCommand):
    """Rename symbols."""

    help = (
        "Renames the symbols of a CSV file. Their history stays, and their old codes lead to them. "
        "If a row is invalid, its line number is printed and nothing is changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the file and what is done with it."""
        parser.add_argument(
            "file", type=Path, help="CSV file with old code, new code, and the day of the change"
        )
        parser.add_argument(
            "--provider-codes",
            action="store_true",
            help="also change the codes of providers that are equal to the old code",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="print what would be done, and change nothing"
        )

    @override("en")  # errors in the file would be in the language of the site
    def handle(self, *args: Any, **options: Any) -> None:
        """Check everything, then rename everything."""
        path = options["file"]
        try:
            with path.open("rb") as file, transaction.atomic():
                found = renames.read(file)
                for line in renames.carry_out(found, path.name, codes=options["provider_codes"]):
                    self.stdout.write(line)
                transaction.set_rollback(options["dry_run"])
        except OSError as error:
            raise CommandError(f"Can't read {path}: {error.strerror}") from error
        except InvalidCatalogue as error:
            raise CommandError(f"Can't rename the symbols in {path}:\n{error}") from error
        nothing = " (dry run: nothing was changed)" if options["dry_run"] else ""
        self.stdout.write(self.style.SUCCESS(f"{path.name}: {counted(len(found), 'row')}{nothing}"))
