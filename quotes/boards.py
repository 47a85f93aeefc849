"""Boards: the symbols on each, and the rows that one page of a board shows."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from zlib import crc32

from django.utils.translation import gettext

from quotes.catalogue import STARTER_BOARDS
from quotes.models import Board, BoardSymbol, Symbol
from quotes.quote import Quote
from quotes.store import State

SORTS: dict[str, Callable[[State], Any]] = {
    "symbol": lambda state: state.symbol.code,
    "name": lambda state: state.symbol.name.casefold(),
    "last": lambda state: _of(state, "last"),
    "change": lambda state: _of(state, "change"),
    "percent": lambda state: _of(state, "change_percent"),
    "bid": lambda state: _of(state, "bid"),
    "ask": lambda state: _of(state, "ask"),
    "volume": lambda state: _of(state, "volume"),
    "time": lambda state: state.quote and state.quote.time,
}
NEIGHBOURS = 5  # of a symbol on its board
SEARCH_LENGTH = 50  # characters of a search that are read


@dataclass(frozen=True, slots=True)
class BoardView:
    """A board as this process last read it. Its mark changes with its title and its rows."""

    slug: str
    title: str = ""
    codes: tuple[str, ...] = ()
    mark: str = "gone"

    @property
    def heading(self) -> str:
        """The title for visitors: in their language if the starter catalogue brought it.

        A title that an operator wrote is shown as it is, in every language.
        """
        starter, _ = STARTER_BOARDS.get(self.slug, (None, ()))
        return gettext(self.title) if self.title == starter else self.title


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """The active symbols by code and the boards by slug, both in order.

    It never equals another one, because symbols are equal whatever was edited.
    """

    symbols: Mapping[str, Symbol] = field(default_factory=dict)
    boards: Mapping[str, BoardView] = field(default_factory=dict)

    def boards_with(self, code: str) -> list[BoardView]:
        """Return the boards that show a symbol."""
        return [board for board in self.boards.values() if code in board.codes]

    def neighbours(
        self, code: str, states: Mapping[str, State]
    ) -> tuple[BoardView, tuple[str, ...]]:
        """Return the symbols around one on a board, in the order of the board, and this board.

        It is the smallest board that has enough of them. Symbols without a price are left out.
        """
        board = max(self.boards_with(code), key=_nearness, default=BoardView(""))
        codes = [
            each for each in board.codes if each == code or (each in states and states[each].quote)
        ]
        if code not in codes:
            return board, ()
        first = max(0, min(codes.index(code) - NEIGHBOURS // 2, len(codes) - NEIGHBOURS - 1))
        return board, tuple(each for each in codes[first : first + NEIGHBOURS + 1] if each != code)


@dataclass(frozen=True, slots=True)
class BoardQuery:
    """The search, filter, sort order and page that a visitor chose, from the query string."""

    search: str = ""
    kind: str = ""
    sort: str = ""  # a key of SORTS, with "-" for descending
    page: int = 1

    @classmethod
    def read(cls, params: Mapping[str, str]) -> BoardQuery:
        """Read a query string; invalid values are ignored."""
        kind = params.get("kind", "")
        sort = params.get("sort", "")
        page = params.get("page", "")
        return cls(
            search=params.get("q", "").strip()[:SEARCH_LENGTH].strip(),
            kind=kind if kind in Symbol.Kind.values else "",
            sort=sort if sort.removeprefix("-") in SORTS else "",
            page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 6 else 1,
        )

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The names and values of the query string, without defaults."""
        page = str(self.page) if self.page > 1 else ""
        pairs = {"q": self.search, "kind": self.kind, "sort": self.sort, "page": page}
        return [(name, value) for name, value in pairs.items() if value]

    def encode(self, **changes: Any) -> str:
        """Return the query string with some changes: `?q=bit&sort=-change`, or `?`."""
        return "?" + urlencode(replace(self, **changes).pairs)


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that one page of a board shows."""

    codes: tuple[str, ...]
    total: int  # rows on all pages
    page: int
    pages: int
    kinds: tuple[str, ...]  # kinds of all rows, with or without a filter


def select(
    board: BoardView, states: Mapping[str, State], query: BoardQuery, page_size: int
) -> Selection:
    """Choose and order the rows of a board; a page number above the last gives the last page."""
    listed = [states[code] for code in board.codes if code in states]
    wanted = comparable(query.search)
    found = [state for state in listed if _matches(state.symbol, query.kind, wanted)]
    pages = max(1, -(-len(found) // page_size))
    page = min(max(query.page, 1), pages)
    rows = _sorted(found, query.sort)[(page - 1) * page_size : page * page_size]
    return Selection(
        codes=tuple(state.symbol.code for state in rows),
        total=len(found),
        page=page,
        pages=pages,
        kinds=tuple(dict.fromkeys(state.symbol.kind for state in listed)),
    )


def load_listed() -> Listed:
    """Read the active symbols and the boards from the database, in four queries."""
    symbols = {
        symbol.code: symbol
        for symbol in Symbol.objects.filter(active=True).prefetch_related("splits")
    }
    codes: dict[int, list[str]] = {}
    places = BoardSymbol.objects.filter(symbol__active=True).order_by("position", "pk")
    for board_id, code in places.values_list("board_id", "symbol__code"):
        if code in symbols:  # else it was switched on after the first query
            codes.setdefault(board_id, []).append(code)
    boards = {
        board.slug: BoardView(board.slug, board.title, tuple(codes.get(board.pk, ())))
        for board in Board.objects.all()
    }
    return Listed(symbols, {slug: _marked(board, symbols) for slug, board in boards.items()})


def _nearness(board: BoardView) -> tuple[int, int]:
    """Return how well a board shows a symbol's neighbours: best is a small one with enough."""
    size = len(board.codes)
    return min(size, NEIGHBOURS + 1), -size


def _marked(board: BoardView, symbols: Mapping[str, Symbol]) -> BoardView:
    shown = [board.title, *(f"{code}:{symbols[code].kind}" for code in board.codes)]
    return replace(board, mark=f"{crc32(chr(10).join(shown).encode()):08x}")


def _matches(symbol: Symbol, kind: str, wanted: str) -> bool:
    if kind and symbol.kind != kind:
        return False
    texts = (symbol.code, symbol.name, symbol.exchange)
    return not wanted or any(wanted in comparable(text) for text in texts)


def comparable(text: str) -> str:
    """Return a text in the one form in which searches compare.

    An ä may be one character or two, and Asian keyboards write wide letters.
    """
    return unicodedata.normalize("NFKC", text).casefold()


def _sorted(states: list[State], sort: str) -> list[State]:
    if not sort:
        return states
    key = SORTS[sort.removeprefix("-")]
    known = [state for state in states if key(state) is not None]
    unknown = [state for state in states if key(state) is None]
    # rows without a value come last in both directions; equal rows keep the board's order
    return sorted(known, key=key, reverse=sort.startswith("-")) + unknown


def _of(state: State, name: str) -> Decimal | None:
    quote: Quote | None = state.quote
    return None if quote is None else getattr(quote, name)
