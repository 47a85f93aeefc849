"""Loading a catalogue into the database, completely or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import DEFAULT_DB_ALIAS, IntegrityError, models, transaction
from django.db.models import Q
from django.db.models.signals import post_save
from django.utils.translation import gettext, gettext_noop

from quotes.catalogue.progress import AT_ONCE, Report, Step, in_parts, unseen
from quotes.catalogue.reading import Entry
from quotes.catalogue.sheet import InvalidCatalogue
from quotes.models import Alias, Board, BoardSymbol, ProviderSymbol, Symbol
from quotes.models.locks import begin_to_write, lock_all, one_after_the_other
from quotes.models.symbols import WHY_OFF

STARTER_BOARDS = {  # slug: title, kinds
    "crypto": (gettext_noop("Crypto"), ("crypto",)),
    "stock-market": (gettext_noop("Stock market"), ("stock", "etf", "index", "fund")),
    "bonds": (gettext_noop("Bonds"), ("bond",)),
    "currencies": (gettext_noop("Currencies"), ("currency",)),
    "futures": (gettext_noop("Futures"), ("future",)),
}


class Changed(NamedTuple):
    """A value that a row changes: that of a field of the symbol, or the code of a provider."""

    name: str  # of the field or of the provider
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of loading one row."""

    line: int
    code: str
    done: str  # "added", "updated" or "unchanged"
    symbol: Symbol
    changes: tuple[Changed, ...] = ()  # of an updated symbol
    board: str = ""  # slug of the board on which the symbol is new
    now: str = ""  # its code, if the row has a former one
    filled: str = ""  # slug of the board where it was not placed, because a rule fills it

    def __str__(self) -> str:
        placed = f", put on board {self.board}" if self.board and self.done != "added" else ""
        renamed = f", its code is now {self.now}" if self.now else ""
        filled = f", not put on board {self.filled}, which fills itself" if self.filled else ""
        return f"line {self.line}: {self.code} {self.done}{placed}{filled}{renamed}"


def load(
    entries: list[Entry], board: str = "", *, dry_run: bool = False, report: Report = unseen
) -> list[Outcome]:
    """Add and update symbols in one transaction, and put new ones at the end of a board.

    Nothing is deleted. A symbol that an operator switched off stays off, unless its row switches it
    on. Without a board, each symbol is put on the starter board of its kind. A row with a former
    code means the symbol that had it. With `dry_run`, nothing is changed.

    Rows are written many at once, because 20,000 saves would lock SQLite for a quarter of a minute.
    Raise InvalidCatalogue if another process added one of the symbols at the same time. An error
    that `report` raises ends the load, and nothing is changed.
    """
    try:
        with transaction.atomic():
            begin_to_write()
            one_after_the_other()
            loading = Loading(board, [entry.symbol.code for entry in entries])
            parts = in_parts(entries, Step.COMPARE, report)
            outcomes = [loading.take(entry) for part in parts for entry in part]
            if dry_run:
                transaction.set_rollback(True)
            else:
                loading.write(report)
    except IntegrityError as error:
        words = gettext(
            "another process added symbols or boards at the same time: load the file again"
        )
        raise InvalidCatalogue([words]) from error
    return outcomes


class Loading:
    """What the database has of the symbols of a catalogue, and what the catalogue changes.

    For a long catalogue, all symbols are read: a statement can't name so many.
    """

    def __init__(self, board: str, codes: list[str]) -> None:
        is_short = len(codes) <= AT_ONCE
        aliases = Alias.objects.filter(code__in=codes) if is_short else Alias.objects.all()
        former = dict(aliases.values_list("code", "symbol"))
        symbols = Symbol.objects.all()
        if is_short:
            symbols = symbols.filter(Q(code__in=codes) | Q(pk__in=former.values()))
        named = {*codes, *(former[code] for code in codes if code in former)}  # codes and keys
        rows = symbols.order_by().values_list("pk", "code")
        lock_all(Symbol, [key for key, code in rows if code in named or key in named])
        # read afterwards, with what others wrote meanwhile
        by_key = {symbol.pk: symbol for symbol in symbols}
        self.symbols = {code: by_key[key] for code, key in former.items() if key in by_key}
        self.symbols |= {symbol.code: symbol for symbol in by_key.values()}
        codes_of = ProviderSymbol.objects.order_by()
        if is_short:
            codes_of = codes_of.filter(symbol__in=by_key)
        self.codes = {
            (by_key[key].code, provider): code
            for key, provider, code in codes_of.values_list("symbol", "provider", "code")
            if key in by_key
        }
        self.boards = Boards(board, list(by_key) if is_short else None)
        self.new: dict[str, Symbol] = {}
        self.updated: dict[str, Symbol] = {}
        self.fields: set[str] = set()  # of updated symbols
        self.new_codes: dict[tuple[str, str], ProviderSymbol] = {}

    def take(self, entry: Entry) -> Outcome:
        """Note what a row changes, and return its outcome."""
        code = entry.symbol.code
        symbol = self.symbols.get(code)
        if symbol is None:
            symbol = self.symbols[code] = self.new[code] = entry.symbol
        changes = [] if code in self.new else self._update(symbol, entry)
        changes += self._codes(symbol, entry)
        done = "added" if code in self.new else "updated" if changes else "unchanged"
        now = symbol.code if symbol.code != code else ""
        placed, filled = self.boards.put(symbol)
        return Outcome(entry.line, code, done, symbol, tuple(changes), placed, now, filled)

    def _update(self, symbol: Symbol, entry: Entry) -> list[Changed]:
        # an empty cell changes nothing, so a tick size from a provider stays
        compared = [
            Changed(name, getattr(symbol, name), getattr(entry.symbol, name))
            for name in entry.given
        ]
        changes = [each for each in compared if each.before != each.after]
        for each in changes:
            setattr(symbol, each.name, each.after)
        if changes and symbol.code not in self.new:
            self.updated[symbol.code] = symbol
            self.fields.update(each.name for each in changes)
        return changes

    def _codes(self, symbol: Symbol, entry: Entry) -> list[Changed]:
        changes = []
        for provider, code in entry.codes.items():
            before = self.codes.get((symbol.code, provider), "")
            if before != code:
                self.codes[symbol.code, provider] = code
                row = ProviderSymbol(symbol=symbol, provider=provider, code=code)
                self.new_codes[symbol.code, provider] = row
                changes.append(Changed(provider, before, code))
        return changes

    def write(self, report: Report) -> None:
        """Write all that was noted, in some statements, and send the signals of saves."""
        new, updated = [*self.new.values()], [*self.updated.values()]
        fields = {*self.fields, *WHY_OFF}
        for symbol in updated:
            symbol.forget_why_off()
        for part in in_parts([*new, *updated], Step.SYMBOLS, report):
            known = [each for each in part if each.pk]
            Symbol.objects.bulk_create([each for each in part if not each.pk])
            _update_in_bulk(known, ["id"], fields)
            _saved(part)
        for codes in in_parts([*self.new_codes.values()], Step.CODES, report):
            _update_in_bulk(codes, ["symbol", "provider"], {"code"})
            _saved(codes)
        for places in in_parts(self.boards.new, Step.PLACES, report):
            BoardSymbol.objects.bulk_create(places)
            _saved(places)


def _update_in_bulk(rows: Sequence[Any], unique: list[str], fields: Iterable[str]) -> None:
    """Write rows into those that have the same unique fields, or add them."""
    if rows:
        rows[0]._meta.default_manager.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=unique,
            update_fields=sorted(fields),
        )


def _saved(rows: Iterable[models.Model]) -> None:
    """Send the signals of saves, which a bulk write does not send: open pages follow them."""
    state = {"created": None, "raw": False, "using": DEFAULT_DB_ALIAS, "update_fields": None}
    for row in rows:
        post_save.send(type(row), instance=row, **state)


@dataclass(slots=True)
class Places:
    """The symbols on a board, and the position of the last one."""

    board: Board
    there: set[str]  # the codes of those that matter
    last: int

    @classmethod
    def on(cls, slug: str, title: str, symbols: list[int] | None) -> Places:
        """Return the places on a board, which is created if it is missing; None for all symbols."""
        defaults = {"title": title, "position": Board.objects.count()}
        board, _ = Board.objects.get_or_create(slug=slug, defaults=defaults)
        some = board.places.all() if symbols is None else board.places.filter(symbol__in=symbols)
        return cls(board, set(some.values_list("symbol__code", flat=True)), board.last_position())


class Boards:
    """The boards on which a catalogue puts its symbols: one for all, or that of each kind."""

    def __init__(self, slug: str, symbols: list[int] | None) -> None:
        self.slug = slug
        self.symbols = symbols  # their keys, or None for all
        self.known: dict[str, Places] = {}
        self.new: list[BoardSymbol] = []

    def put(self, symbol: Symbol) -> tuple[str, str]:
        """Put a symbol at the end of its board, unless the board fills itself.

        Return the slug of the board on which it is new, and that of one that fills itself.
        """
        places = self._of(symbol.kind)
        if places.board.fills_itself:
            return "", places.board.slug
        if symbol.code in places.there:
            return "", ""
        places.there.add(symbol.code)
        places.last += 1
        self.new.append(BoardSymbol(board=places.board, symbol=symbol, position=places.last))
        return places.board.slug, ""

    def _of(self, kind: str) -> Places:
        slug = self.slug or next(s for s, (_, kinds) in STARTER_BOARDS.items() if kind in kinds)
        if slug not in self.known:
            title = STARTER_BOARDS[slug][0] if slug in STARTER_BOARDS else slug.replace("-", " ")
            self.known[slug] = Places.on(slug, title[:1].upper() + title[1:], self.symbols)
        return self.known[slug]
