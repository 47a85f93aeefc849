"""Loading a catalogue into the database, completely or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from django.db import transaction
from django.utils.translation import gettext_noop

from quotes.catalogue.reading import Entry
from quotes.models import Alias, Board, BoardSymbol, ProviderSymbol, Symbol
from quotes.models.locks import begin_to_write

STARTER_BOARDS = {  # slug: title, kinds
    "crypto": (gettext_noop("Crypto"), ("crypto",)),
    "stock-market": (gettext_noop("Stock market"), ("stock", "etf", "index", "fund")),
    "bonds": (gettext_noop("Bonds"), ("bond",)),
    "currencies": (gettext_noop("Currencies"), ("currency",)),
    "futures": (gettext_noop("Futures"), ("future",)),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of loading one row."""

    line: int
    code: str
    done: str  # "added", "updated" or "unchanged"
    board: str = ""  # slug of the board on which the symbol is new
    now: str = ""  # its code, if the row has a former one
    filled: str = ""  # slug of the board where it was not placed, because a rule fills it

    def __str__(self) -> str:
        placed = f", put on board {self.board}" if self.board and self.done != "added" else ""
        renamed = f", its code is now {self.now}" if self.now else ""
        filled = f", not put on board {self.filled}, which fills itself" if self.filled else ""
        return f"line {self.line}: {self.code} {self.done}{placed}{filled}{renamed}"


@dataclass(slots=True)
class Known:
    """The symbols and provider codes in the database."""

    symbols: dict[str, Symbol] = field(default_factory=dict)
    codes: dict[tuple[int, str], ProviderSymbol] = field(default_factory=dict)


def load(entries: list[Entry], board: str = "") -> Iterator[Outcome]:
    """Add and update symbols in one transaction, and put new ones at the end of a board.

    Nothing is deleted. A symbol that an operator switched off stays off, unless its row switches it
    on. Without a board, each symbol is put on the starter board of its kind. A row with a former
    code means the symbol that had it.
    """
    with transaction.atomic():
        begin_to_write()
        known = Known(
            symbols={each.code: each.symbol for each in Alias.objects.select_related("symbol")}
            | {symbol.code: symbol for symbol in Symbol.objects.all()},
            codes={(row.symbol_id, row.provider): row for row in ProviderSymbol.objects.all()},
        )
        places = _places(board)
        for entry in entries:
            done = _save(entry, known)
            code, symbol = entry.symbol.code, known.symbols[entry.symbol.code]
            now = symbol.code if symbol.code != code else ""
            board_of_it, is_new = places(symbol)
            filled = board_of_it.slug if board_of_it.fills_itself else ""
            yield Outcome(entry.line, code, done, board_of_it.slug if is_new else "", now, filled)


def _save(entry: Entry, known: Known) -> str:
    symbol = known.symbols.get(entry.symbol.code)
    if symbol is None:
        symbol = known.symbols[entry.symbol.code] = entry.symbol
        symbol.save()
        done = "added"
    else:
        done = "updated" if _update(symbol, entry) else "unchanged"
    for provider, code in entry.codes.items():
        if _save_code(symbol, provider, code, known) and done == "unchanged":
            done = "updated"
    return done


def _update(symbol: Symbol, entry: Entry) -> bool:
    # an empty cell changes nothing, so a tick size from a provider stays
    given = {name: getattr(entry.symbol, name) for name in entry.given}
    changed = [name for name, value in given.items() if getattr(symbol, name) != value]
    for name in changed:
        setattr(symbol, name, given[name])
    if changed:
        symbol.save(update_fields=changed)
    return bool(changed)


def _save_code(symbol: Symbol, provider: str, code: str, known: Known) -> bool:
    row = known.codes.get((symbol.pk, provider))
    if row is not None and row.code == code:
        return False
    row = row or ProviderSymbol(symbol=symbol, provider=provider)
    row.code = code
    row.save()
    return True


@dataclass(slots=True)
class Places:
    """The symbols on a board, and the position of the last one."""

    board: Board
    there: set[int]
    last: int

    @classmethod
    def on(cls, slug: str, title: str) -> Places:
        """Return the places on a board, which is created if it is missing."""
        defaults = {"title": title, "position": Board.objects.count()}
        board, _ = Board.objects.get_or_create(slug=slug, defaults=defaults)
        positions = dict(board.places.values_list("symbol_id", "position"))
        return cls(board, set(positions), max(positions.values(), default=0))

    def add(self, symbol: Symbol) -> bool:
        """Put a symbol at the end; return whether it was not there before.

        A board that fills itself has no places.
        """
        if self.board.fills_itself or symbol.pk in self.there:
            return False
        self.there.add(symbol.pk)
        self.last += 1
        BoardSymbol.objects.create(board=self.board, symbol=symbol, position=self.last)
        return True


def _places(slug: str) -> Callable[[Symbol], tuple[Board, bool]]:
    """Return a function that puts a symbol on its board.

    The function returns the board, and whether the symbol is new on it.
    """
    boards: dict[str, Places] = {}

    def place(symbol: Symbol) -> tuple[Board, bool]:
        name = slug or next(s for s, (_, kinds) in STARTER_BOARDS.items() if symbol.kind in kinds)
        if name not in boards:
            title = STARTER_BOARDS[name][0] if name in STARTER_BOARDS else name.replace("-", " ")
            boards[name] = Places.on(name, title[:1].upper() + title[1:])
        return boards[name].board, boards[name].add(symbol)

    return place
