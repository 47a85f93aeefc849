"""`manage.py instruments`: search lists of providers, `--check` our codes, or `--store` lists."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from quotes import conf
from quotes.doctor.requests import Failed, listed_by, request
from quotes.instruments import lists
from quotes.instruments.lists import RefusedList, keeps_a_list
from quotes.management.terminal import ProgressLine, stops_on_control_c
from quotes.models import ProviderSymbol
from quotes.providers import REGISTRY, Instrument
from quotes.providers.kit import options
from quotes.quote.texts import one_line

SHOWN = 50  # instruments, without --limit


class Command(BaseCommand):
    """Search the instruments of a provider, check our codes against them, or store them."""

    help = (
        "Searches the instruments of a provider and prints those whose code or name contains "
        "every TEXT: code, name, currency, tick size and kind. With --check it compares the codes "
        "of active symbols with the lists of the providers and prints the codes that are not "
        "in these lists. If there are any, the exit code is 1. With --store it stores the lists, "
        "in which the admin finds a new symbol."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add a provider and texts to search for, or providers to check."""
        parser.add_argument(
            "provider", nargs="?", default="", metavar="PROVIDER", help="name of the provider"
        )
        parser.add_argument(
            "text",
            nargs="*",
            metavar="TEXT",
            help="text to search for; with --check or --store, the name of another provider",
        )
        parser.add_argument(
            "--limit",
            type=count,
            default=SHOWN,
            metavar="N",
            help=f"how many instruments to print (default: {SHOWN})",
        )
        parser.add_argument(
            "--check",
            action="store_true",
            help=f"check our codes for these providers (default: all in {conf.PROVIDERS})",
        )
        parser.add_argument(
            "--store",
            action="store_true",
            help=f"store the lists of these providers (default: all in {conf.PROVIDERS})",
        )
        parser.add_argument(
            "--shorter",
            action="store_true",
            help="with --store, accept a list with less than half of the instruments of before",
        )

    def handle(
        self, *args: Any, provider: str, text: list[str], limit: int, **options: Any
    ) -> None:
        """Search, check or store, until it is done or until CONTROL-C."""
        names = list(dict.fromkeys(filter(None, [provider, *text])))
        self.progress = ProgressLine(self.stderr)
        with stops_on_control_c(self.progress, self.stderr, "Stopped."):
            if options["check"]:
                self.check_codes(names)
            elif options["store"]:
                self.store(names, shorter=options["shorter"])
            else:
                self.search(provider, text, limit)

    def search(self, name: str, words: Sequence[str], limit: int) -> None:
        """Print the instruments that match all words; raise CommandError if there are none."""
        if not name:
            raise CommandError(f"A provider is missing, must be one of: {', '.join(with_a_list())}")
        found = [each for each in self.read_instruments(name) if matches(each, words)]
        if not found:
            wanted = f" with {' '.join(words)!r} in its code or name" if words else ""
            raise CommandError(f"{name} lists no instrument{wanted}")
        rows = [columns(each) for each in sorted(found, key=lambda each: each.code)[:limit]]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            padded = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(padded).rstrip())
        if len(found) > limit:
            self.stderr.write(
                f"{limit} of {len(found):,} instruments are shown: "
                f"add words, or use --limit {len(found)}",
                str,
            )

    def check_codes(self, names: Sequence[str]) -> None:
        """Print the codes that providers do not list; raise CommandError if there are any."""
        for name in names:
            must_have_a_list(name)
        missing, failed = 0, []
        for name in names or configured_with_a_list():
            try:
                missing += self.check_codes_of(name)
            except CommandError as error:
                self.stdout.write(f"{name}: {error}")
                failed.append(name)
        troubles = [f"{', '.join(failed)} could not be checked."] if failed else []
        if missing:
            one = "code is not in the list of its provider"
            are = one if missing == 1 else "codes are not in the lists of their providers"
            to_do = "correct them in the admin, or switch those symbols off"
            troubles.append(f"{missing} {are}: {to_do}.")
        if troubles:
            raise CommandError(" ".join(troubles))

    def store(self, names: Sequence[str], *, shorter: bool) -> None:
        """Store the lists of providers; raise CommandError if one can't be read or is refused."""
        for name in names:
            must_have_a_list(name)
        failed = []
        for name in names or configured_with_a_list():
            try:
                count = lists.store(name, self.read_instruments(name), shorter=shorter)
                self.stdout.write(f"{name}: stored {count:,} instruments")
            except (CommandError, RefusedList) as error:
                lists.failed(name, str(error))
                self.stdout.write(f"{name}: {error}")
                failed.append(name)
        if failed:
            raise CommandError(f"not stored: {', '.join(failed)}. Earlier lists of them are kept.")

    def check_codes_of(self, name: str) -> int:
        """Print the codes of active symbols that a provider does not list; return how many."""
        rows = ProviderSymbol.objects.filter(provider=name, symbol__active=True)
        codes = dict(rows.order_by("symbol__code").values_list("symbol__code", "code"))
        if not codes:
            self.stdout.write(f"{name}: no active symbol has a code for it")
            return 0
        listed = {each.code for each in self.read_instruments(name)}
        missing = {symbol: code for symbol, code in codes.items() if code not in listed}
        result = f"all {len(codes)} codes of active symbols are in its list"
        if missing:
            result = f"{len(missing)} of {len(codes)} codes are not in its list:"
        self.stdout.write(f"{name}: {result}")
        for symbol, code in missing.items():
            self.stdout.write(f"    {symbol}: {code}")
        return len(missing)

    def read_instruments(self, name: str) -> list[Instrument]:
        """Return a provider's instruments; raise CommandError, without secrets, if that fails."""
        must_have_a_list(name)
        self.progress.show(f"requesting the list of {name} …")
        try:
            found: list[Instrument] | Failed = request([name], listed_by)[name]
        finally:
            self.progress.clear()
        if isinstance(found, Failed):
            raise CommandError(str(found))
        return found


def with_a_list() -> list[str]:
    """Return the names of all providers that list their instruments."""
    return [name for name in REGISTRY if keeps_a_list(name)]


def configured_with_a_list() -> list[str]:
    """Return the providers in QUOTES with a list; raise CommandError if there are none."""
    enabled = conf.get("PROVIDERS")
    if names := [name for name in enabled if keeps_a_list(name)]:
        return names
    raise CommandError(
        f"None of {', '.join(enabled)} in {conf.PROVIDERS} has a list of instruments: "
        f"use one of: {', '.join(with_a_list())}"
    )


def must_have_a_list(name: str) -> None:
    """Raise CommandError if a provider is unknown, or has no list of instruments."""
    try:
        if keeps_a_list(name):
            return
    except ValueError as error:
        raise CommandError(str(error)) from error
    raise CommandError(
        f"{name} has no list of instruments, must be one of: {', '.join(with_a_list())}"
    )


def matches(instrument: Instrument, words: Sequence[str]) -> bool:
    """Return whether the code or the name contains each word, in small or capital letters."""
    text = f"{instrument.code} {instrument.name}".casefold()
    return all(word.casefold() in text for word in words)


def columns(instrument: Instrument) -> list[str]:
    """Return the cells of a line, without control characters that a source may have sent."""
    size = instrument.tick_size
    step = "-" if size is None else f"{size.normalize():f}"
    cells = (instrument.code, instrument.name, instrument.currency, step, instrument.kind)
    return [one_line(cell).strip() or "-" for cell in cells]


def count(given: str) -> int:
    """Read a whole number above 0; raise ArgumentTypeError for anything else."""
    try:
        return options.count("--limit", given)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
