"""`manage.py unblock`: let somebody log in again after too many failures."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from logins import throttle
from quotes.quote.texts import one_line


class Command(BaseCommand):
    """Forget failed logins."""

    help = (
        "Forgets the failed logins of addresses or names. These may then log in again. Without an "
        "address or a name, the command lists the blocked addresses."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take addresses and names."""
        parser.add_argument(
            "given",
            nargs="*",
            metavar="ADDRESS_OR_NAME",
            help="an address (any address of an IPv6 /64), or a user's name",
        )

    def handle(self, *args: Any, given: list[str], **options: Any) -> None:
        """List, or unblock; raise CommandError for invalid text, or if there is nothing to forget.

        All arguments are read before the first is unblocked.
        """
        if not given:
            self._list()
        for each in given:
            refuse_invalid(each)
        for each in given:
            if not throttle.unblock(each):
                raise CommandError(
                    f"{one_line(repr(each))} has no failed logins: check the spelling of a name, "
                    "and run “manage.py unblock” for a list of addresses"
                )
            self.stdout.write(f"{one_line(each)} may log in again.")

    def _list(self) -> None:
        rows = throttle.blocked()
        for row in rows:
            of = "one name" if row.name else "all names"
            until = f"{row.since + throttle.WINDOW:%H:%M:%S} UTC"
            self.stdout.write(
                f"{one_line(row.address)} with {of}: {row.count} failures, until {until}"
            )
        if not rows:
            self.stdout.write("Nobody is blocked.")


def refuse_invalid(given: str) -> None:
    """Raise CommandError for bytes that are not UTF-8: Python has surrogates in their place."""
    try:
        given.encode()
    except UnicodeEncodeError:
        raise CommandError(
            f"{one_line(repr(given))} is not valid text: write an address or a name in UTF-8"
        ) from None
