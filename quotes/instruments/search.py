"""The search for a new symbol: one candidate for all rows of lists that are the same instrument."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from django.db.models import Count, Min, QuerySet

from quotes.codes import code_of
from quotes.instruments.terms import as_term, key, words
from quotes.models import Instrument, InstrumentTerm, ProviderSymbol, Symbol
from quotes.providers import REGISTRY
from quotes.sessions import VENUE_OF

MAX_SHOWN = 25  # candidates
MAX_ROWS = 300  # rows of lists that match
MAX_COMPARED = 800  # instruments with the rarest word of a search
MAX_LENGTH = 60  # characters of a search
MAX_WORDS = 5
LAST = b"\xff"  # comes after each byte of a text in UTF-8
NO_EXCHANGE = "CRYPTO"  # as in the starter catalogue: pairs are traded on many exchanges
OF_ALL = re.compile(r"[ ,]+(common|ordinary) (stock|shares?)$", re.IGNORECASE)  # ends of names
USUAL = {"XBT": "BTC", "XDG": "DOGE"}  # names of coins at Kraken: the usual ones


class Group(NamedTuple):
    """What rows of lists have in common if they are the same instrument."""

    symbol: str
    is_crypto: bool
    apart: str = ""  # the code of a row that may be another instrument


@dataclass(frozen=True, slots=True)
class Candidate:
    """An instrument that can be added as a symbol, with a row for each provider that lists it."""

    symbol: str
    rows: tuple[Instrument, ...]
    listed: Symbol | None  # the symbol of the catalogue, if it is there already
    coin: str = ""  # the name of what a pair prices, if it is known

    @property
    def name(self) -> str:
        """The best name of its lists: words rather than capitals, and those of a coin alone."""
        named = [row.name.partition(" / ")[0] for row in self.rows]
        names = [name for each in named if (name := OF_ALL.sub("", each))]
        if self.coin and all("/" in name for name in names):
            return self.coin if self.currency == "USD" else f"{self.coin} / {self.currency}"
        return min(names, key=lambda name: ("/" in name, name.isupper()), default=self.symbol)

    @property
    def kind(self) -> str:
        """Its kind, from the list that is the most exact: some call funds stocks."""
        kinds = [row.kind for row in self.rows]
        return next((kind for kind in kinds if kind != "stock"), "stock")

    @property
    def exchange(self) -> str:
        """The exchange whose hours it has."""
        if self.kind == "crypto":
            return NO_EXCHANGE
        return next((row.exchange for row in self.rows if row.exchange), "")

    @property
    def currency(self) -> str:
        """The currency of its prices."""
        return self.rows[0].currency

    @property
    def tick_size(self) -> Decimal | None:
        """The smallest step that all its sources have: no digit of a price is lost."""
        return min((row.tick_size for row in self.rows if row.tick_size), default=None)

    @property
    def isin(self) -> str:
        """Its ISIN, if a list has it."""
        return next((row.isin for row in self.rows if row.isin), "")


@dataclass(frozen=True, slots=True)
class Found:
    """The best candidates of a search, and whether there are more."""

    candidates: Sequence[Candidate]
    more: bool = False


def find(text: str, providers: Sequence[str]) -> Found:
    """Return the candidates for what an operator typed: a code, a pair, words, or an ISIN.

    `COINBASE:BTCUSD` searches one list, and `NASDAQ:AAPL` one exchange. Only the lists of these
    providers are searched. Those that come first are preferred.
    """
    prefix, rest = divided(text[:MAX_LENGTH])
    searched = [prefix] if prefix in providers else list(providers)
    whole = key(rest)
    whole = next((new + whole[3:] for old, new in USUAL.items() if whole.startswith(old)), whole)
    if not whole:
        return Found(())
    keys, more = matching(whole, words(rest))
    groups = grouped(rows_of(keys, searched), searched)
    if prefix.upper() in VENUE_OF:
        there = {name: some for name, some in groups.items() if is_at(some, prefix)}
        groups = there or groups
    best = sorted(groups, key=lambda group: rank(group, groups[group], whole))
    shown = best[:MAX_SHOWN]
    return Found(
        with_the_catalogue([(group, groups[group]) for group in shown]),
        more or len(best) > MAX_SHOWN,
    )


def divided(text: str) -> tuple[str, str]:
    """Return the provider or exchange before a colon, or "" without one, and the rest."""
    before, mark, after = text.rpartition(":")
    before = before.strip()
    if mark and before.lower() in REGISTRY:
        return before.lower(), after
    return (before, after) if mark and after.strip() else ("", text.strip(":"))


def matching(whole: str, parts: Sequence[str]) -> tuple[list[int], bool]:
    """Return the keys of instruments with this term, with terms that begin so, or with all words.

    Also return whether there may be more.
    """
    term = as_term(whole)
    found = dict.fromkeys(ids(InstrumentTerm.objects.filter(term=term).order_by("weight")))
    found |= dict.fromkeys(ids(beginning(term).order_by("term")))
    all_compared = True
    if len(parts) > 1:
        named, all_compared = having_all(parts[:MAX_WORDS])
        found |= dict.fromkeys(named)
    return list(found)[:MAX_ROWS], len(found) >= MAX_ROWS or not all_compared


def beginning(term: bytes) -> QuerySet[InstrumentTerm]:
    """Return the terms that begin so."""
    return InstrumentTerm.objects.filter(term__gte=term, term__lt=term + LAST)


def having_all(parts: Sequence[str]) -> tuple[list[int], bool]:
    """Return the keys of instruments whose terms begin with all these words.

    The rarest word decides which instruments are read; the others are compared here. Also return
    whether all that have the rarest word were read.
    """
    counts = {part: beginning(as_term(part))[:MAX_COMPARED].count() for part in parts}
    rarest = min(parts, key=counts.__getitem__)
    rows = beginning(as_term(rarest)).values_list("instrument", flat=True)[:MAX_COMPARED]
    others = [as_term(part) for part in parts if part != rarest]
    terms: dict[int, list[bytes]] = {}
    for pk, term in InstrumentTerm.objects.filter(instrument__in=list(rows)).values_list(
        "instrument", "term"
    ):
        terms.setdefault(pk, []).append(bytes(term))
    found = [
        pk
        for pk, own in terms.items()
        if all(any(term.startswith(other) for term in own) for other in others)
    ]
    return found, counts[rarest] < MAX_COMPARED


def ids(terms: QuerySet[InstrumentTerm]) -> list[int]:
    """Return the keys of the first instruments of some terms."""
    return list(terms.values_list("instrument", flat=True)[:MAX_ROWS])


def rows_of(keys: Sequence[int], providers: Sequence[str]) -> list[Instrument]:
    """Return some instruments of these providers, and those that they have for the same symbols.

    SQLite would read the whole lists of the providers if a query named them.
    """
    found = Instrument.objects.filter(pk__in=keys).values_list("provider", "symbol")
    symbols = {symbol for provider, symbol in found if provider in providers}
    rows = Instrument.objects.filter(symbol__in=symbols)
    return [row for row in rows if row.provider in providers]


def grouped(rows: Iterable[Instrument], providers: Sequence[str]) -> dict[Group, list[Instrument]]:
    """Return instruments by what they are, in the order of the providers.

    If a provider has several for one code, such as coins with the same short name, only the one
    that the catalogue uses is known to be the same. Each of the others is a group of its own.
    """
    groups: dict[Group, list[Instrument]] = {}
    for row in sorted(rows, key=lambda row: (providers.index(row.provider), row.code)):
        groups.setdefault(Group(row.symbol, row.kind == "crypto"), []).append(row)
    used: set[tuple[str, str]] | None = None
    for group, some in list(groups.items()):
        several = {
            name for name, count in Counter(row.provider for row in some).items() if count > 1
        }
        if several:
            used = used_codes(rows) if used is None else used
            apart = [row for row in some if row.provider in several and code_at(row) not in used]
            groups[group] = [row for row in some if row not in apart]
            groups |= {group._replace(apart=row.code): [row] for row in apart}
    return {group: some for group, some in groups.items() if some}


def code_at(row: Instrument) -> tuple[str, str]:
    """Return the provider and the code of an instrument."""
    return row.provider, row.code


def used_codes(rows: Iterable[Instrument]) -> set[tuple[str, str]]:
    """Return the providers and codes of those instruments that symbols of the catalogue use."""
    codes = ProviderSymbol.objects.filter(code__in={row.code for row in rows})
    return set(codes.values_list("provider", "code"))


def is_at(rows: Iterable[Instrument], exchange: str) -> bool:
    """Return whether one of the rows names an exchange."""
    return any(row.exchange == exchange.upper() for row in rows)


def rank(group: Group, rows: Sequence[Instrument], whole: str) -> tuple[int, bool, int, int, str]:
    """Return the order of a candidate: exact codes, then dollars, then those of many lists."""
    first = next(iter(words(rows[0].name)), "")
    if whole in (key(group.symbol), *(key(row.base) for row in rows)):
        place = 0
    elif whole in (first, *(key(each) for row in rows for each in (row.isin, row.code))):
        place = 1
    else:
        place = 2 if key(group.symbol).startswith(whole) else 3
    return place, rows[0].currency != "USD", -len(rows), len(group.symbol), group.symbol


def with_the_catalogue(groups: Sequence[tuple[Group, Sequence[Instrument]]]) -> list[Candidate]:
    """Return candidates with those symbols of the catalogue that they are already."""
    rows = [row for _, some in groups for row in some]
    symbols = Symbol.objects.select_related("last_quote")
    taken = {each.code: each for each in symbols.filter(code__in={row.symbol for row in rows})}
    codes = ProviderSymbol.objects.filter(code__in={row.code for row in rows})
    users = {
        (each.provider, each.code): each.symbol
        for each in codes.select_related("symbol", "symbol__last_quote")
    }
    coins = coin_names({row.base for row in rows if row.base})

    def candidate(group: Group, some: Sequence[Instrument]) -> Candidate:
        found = (users.get(code_at(row)) for row in some)
        user = next((each for each in found if each and each.currency == some[0].currency), None)
        same = None if group.apart else taken.get(group.symbol)
        is_free = user or not group.apart or group.symbol not in taken
        symbol = group.symbol if is_free else f"{code_of(group.apart)}-{some[0].currency}"
        return Candidate(symbol, tuple(some), same or user, coins.get(some[0].base, ""))

    return [candidate(group, some) for group, some in groups]


def coin_names(bases: Collection[str]) -> dict[str, str]:
    """Return the names of coins, from the catalogue or else from a list with one coin so called."""
    codes = {f"{base}-{currency}": base for base in bases for currency in ("EUR", "USD")}
    rows = Instrument.objects.filter(symbol__in=codes, kind="crypto").exclude(name__contains="/")
    names = rows.values_list("base").annotate(Count("pk"), Min("name"))
    found = {base: name for base, count, name in names if count == 1}
    symbols = Symbol.objects.filter(code__in=codes, kind="crypto").order_by("currency")
    for code, name in symbols.values_list("code", "name"):
        found[codes[code]] = name.partition(" / ")[0]
    return found
