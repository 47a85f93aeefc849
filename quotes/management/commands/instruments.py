"""`manage.py instruments PROVIDER [TEXT…]`: search what a provider lists; `--check` our codes."""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentTypeError
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from quotes import conf
from quotes.doctor.beside import Loop
from quotes.doctor.remedies import words_of
from quotes.doctor.secrecy import Secrecy
from quotes.feed import records
from quotes.feed.configured import configured_provider
from quotes.management import INTERRUPTED
from quotes.models import ProviderSymbol
from quotes.providers import REGISTRY, Instrument, Provider, ProviderError, provider_class
from quotes.providers.kit import options

SHOWN = 50  # instruments, without --limit
WIDTH = 40  # characters of a progress line


class Command(BaseCommand):
    """Search what a provider lists, or check our codes by it."""

    help = (
        "Prints the instruments of a provider whose code or name has all words of TEXT: code, "
        "name, currency, tick size and kind. With --check it asks providers for their lists, "
        "names the codes of active symbols that are not in them, and then ends with 1."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take a provider and words, or providers to check by."""
        parser.add_argument("provider", nargs="?", default="", metavar="PROVIDER", help="its name")
        parser.add_argument(
            "text", nargs="*", metavar="TEXT", help="a word; with --check, one more provider"
        )
        parser.add_argument(
            "--limit", type=count, default=SHOWN, metavar="N", help=f"how many to print ({SHOWN})"
        )
        parser.add_argument(
            "--check",
            action="store_true",
            help="check the codes of these providers; without one, of those in QUOTES_PROVIDERS",
        )

    def handle(
        self, *args: Any, provider: str, text: list[str], limit: int, check: bool, **options: Any
    ) -> None:
        """Search or check, until Ctrl-C."""
        try:
            if check:
                self.check_codes(list(dict.fromkeys(filter(None, [provider, *text]))))
            else:
                self.search(provider, text, limit)
        except KeyboardInterrupt:
            self.progress("")
            self.stderr.write("Interrupted.")
            sys.exit(INTERRUPTED)

    def search(self, name: str, words: Sequence[str], limit: int) -> None:
        """Print the instruments that have all the words; raise CommandError for none."""
        if not name:
            raise CommandError(f"Name a provider: {', '.join(with_a_list())}")
        found = [each for each in self.listed(name) if matches(each, words)]
        if not found:
            wanted = f" with {' '.join(words)!r} in its code or name" if words else ""
            raise CommandError(f"{name} lists no instrument{wanted}")
        rows = [columns(each) for each in sorted(found, key=lambda each: each.code)[:limit]]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            padded = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(padded).rstrip())
        if len(found) > limit:
            more = f"{limit} of {len(found):,}: say more words, or --limit {len(found)}"
            self.stderr.write(more, str)

    def check_codes(self, names: Sequence[str]) -> None:
        """Name the codes that providers do not list; raise CommandError if there are any."""
        for name in names:
            must_have_a_list(name)
        missing, failed = 0, []
        for name in names or configured_with_a_list():
            try:
                missing += self.check_codes_of(name)
            except CommandError as error:
                self.stdout.write(f"{name}: {error}")
                failed.append(name)
        troubles = [f"{', '.join(failed)} could not be asked."] if failed else []
        if missing:
            are = "code is" if missing == 1 else "codes are"
            to_do = "correct them in the admin, or switch those symbols off"
            troubles.append(f"{missing} {are} not listed: {to_do}.")
        if troubles:
            raise CommandError(" ".join(troubles))

    def check_codes_of(self, name: str) -> int:
        """Say which codes of active symbols a provider does not list, and return how many."""
        rows = ProviderSymbol.objects.filter(provider=name, symbol__active=True)
        codes = dict(rows.order_by("symbol__code").values_list("symbol__code", "code"))
        if not codes:
            self.stdout.write(f"{name}: no active symbol has a code of it")
            return 0
        listed = {each.code for each in self.listed(name)}
        missing = {symbol: code for symbol, code in codes.items() if code not in listed}
        told = f"all {len(codes)} codes of active symbols are listed"
        if missing:
            told = f"{len(missing)} of {len(codes)} codes are not listed:"
        self.stdout.write(f"{name}: {told}")
        for symbol, code in missing.items():
            self.stdout.write(f"    {symbol}: {code}")
        return len(missing)

    def listed(self, name: str) -> list[Instrument]:
        """Return what a provider lists; raise CommandError with what is wrong, and no secret."""
        must_have_a_list(name)
        self.progress(f"asking {name} for its list …")
        try:
            return ask(configured_provider(name))
        except (ValueError, ProviderError) as error:
            words = words_of(error) if isinstance(error, ProviderError) else str(error)
            raise CommandError(Secrecy().public(words)) from error
        finally:
            self.progress("")

    def progress(self, words: str) -> None:
        """Show a line in place of the one before; other than on a terminal, nothing."""
        if self.stderr.isatty():
            self.stderr.write(f"\r{words:{WIDTH}}\r{words}", str, ending="")
            self.stderr.flush()


def ask(provider: Provider) -> list[Instrument]:
    """Return what a provider lists, and count what its plan counts where the feed does, too."""
    budget = provider.standing.budget
    if budget.plan.per_month is not None:
        budget.read_month(*records.load_uses().get(provider.name, ("", 0)))
    try:
        with asyncio.Runner(loop_factory=Loop) as runner:
            return runner.run(read_list(provider))
    finally:
        if news := budget.report():
            records.add_uses({provider.name: news})


async def read_list(provider: Provider) -> list[Instrument]:
    """Return what a provider lists, and close it."""
    try:
        return await provider.instruments()
    finally:
        await provider.aclose()


def keeps_a_list(name: str) -> bool:
    """Whether a provider lists its instruments; raise ValueError for an unknown one."""
    return provider_class(name).instruments is not Provider.instruments


def with_a_list() -> list[str]:
    """Return the names of all providers that list their instruments."""
    return [name for name in REGISTRY if keeps_a_list(name)]


def configured_with_a_list() -> list[str]:
    """Return those of them that QUOTES names; raise CommandError where there are none."""
    enabled = conf.get("PROVIDERS")
    if names := [name for name in enabled if keeps_a_list(name)]:
        return names
    raise CommandError(
        f"No provider in QUOTES_PROVIDERS ({', '.join(enabled)}) lists its instruments, "
        f"name one of: {', '.join(with_a_list())}"
    )


def must_have_a_list(name: str) -> None:
    """Raise CommandError for a provider that is unknown, or lists nothing."""
    try:
        if keeps_a_list(name):
            return
    except ValueError as error:
        raise CommandError(str(error)) from error
    raise CommandError(
        f"{name} has no list of its instruments, those that do: {', '.join(with_a_list())}"
    )


def matches(instrument: Instrument, words: Sequence[str]) -> bool:
    """Whether all words stand in the code or the name, in small or capital letters."""
    text = f"{instrument.code} {instrument.name}".casefold()
    return all(word.casefold() in text for word in words)


def columns(instrument: Instrument) -> list[str]:
    """Return the cells of a line; what a source says may hold what steers a terminal."""
    size = instrument.tick_size
    step = "-" if size is None else f"{size.normalize():f}"
    cells = (instrument.code, instrument.name, instrument.currency, step, instrument.kind)
    return ["".join(c if c.isprintable() else " " for c in cell).strip() or "-" for cell in cells]


def count(given: str) -> int:
    """Read a whole number above 0."""
    try:
        return options.count("--limit", given)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
