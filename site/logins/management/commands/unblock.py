"""`manage.py unblock`: let somebody log in again after too many failures."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from logins import throttle


class Command(BaseCommand):
    """Forget failed logins."""

    help = (
        "Forgets the failed logins of addresses or names, so that they may log in again. Without "
        "one, lists the blocked addresses."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take addresses and names."""
        parser.add_argument(
            "who", nargs="*", help="an address, a /64 of IPv6 as it is listed, or a user's name"
        )

    def handle(self, *args: Any, who: list[str], **options: Any) -> None:
        """List, or unblock; raise CommandError if there is nothing to forget."""
        if not who:
            self._list()
        for each in who:
            if not throttle.unblock(each):
                raise CommandError(
                    f"{each!r} has no failed logins: check the spelling of a name, and run  "
                    "manage.py unblock  for a list of addresses"
                )
            self.stdout.write(f"{each} may log in again.")

    def _list(self) -> None:
        rows = throttle.blocked()
        for row in rows:
            of = "one name" if row.name else "all names"
            until = f"{row.since + throttle.WINDOW:%H:%M:%S} UTC"
            self.stdout.write(f"{row.address} with {of}: {row.count} failures, until {until}")
        if not rows:
            self.stdout.write("Nobody is blocked.")
