"""Boards: the symbols on each, and the rows that one page of a board shows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlencode
from zlib import crc32

from django.db import models
from django.utils.translation import gettext

from quotes import conf
from quotes.catalogue import STARTER_BOARDS
from quotes.codes import comparable
from quotes.feed import records
from quotes.feed.chains import load_chains
from quotes.models import Alias, Board, BoardSymbol, Override, Symbol
from quotes.orders import SORTS, Orders
from quotes.rules import Chains, Rule, rule_of
from quotes.store import State, Store

NEIGHBOURS = 5  # of a symbol on its board
SEARCH_LENGTH = 50  # characters of a search that are read


@dataclass(frozen=True)
class BoardView:
    """A board as this process last read it. Its mark changes with its title and its rows."""

    slug: str
    title: str = ""
    codes: tuple[str, ...] = ()
    mark: str = "gone"
    key: int = 0  # of its row
    kinds: tuple[str, ...] = ()  # of its symbols
    names: str = ""  # another mark, of the names and exchanges of its symbols
    rule: Rule | None = None  # of a board that fills itself
    pool: tuple[str, ...] = ()  # from which a ranked board chooses its symbols

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The place of each symbol, counted from 0."""
        return {code: place for place, code in enumerate(self.codes)}

    def mark_of(self, query: BoardQuery) -> str:
        """Return what changes when a page with this query is to choose its rows again."""
        by_name = query.search or query.sort.removeprefix("-") == "name"
        return f"{self.mark}-{self.names}" if by_name and self.names else self.mark

    @property
    def heading(self) -> str:
        """The title for visitors: in their language if the starter catalogue brought it.

        A title that an operator wrote is shown as it is, in every language.
        """
        starter, _ = STARTER_BOARDS.get(self.slug, (None, ()))
        return gettext(self.title) if self.title == starter else self.title

    @property
    def sort(self) -> str:
        """The order of a ranked board, whose symbols change with their prices; "" for others."""
        return self.rule.sort if self.rule else ""

    def showing(self, codes: Iterable[str], symbols: Mapping[str, Symbol]) -> BoardView:
        """Return a ranked board with these symbols. Its mark does not change with their order."""
        return _marked(replace(self, codes=tuple(sorted(codes))), symbols)


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """The active symbols by code and the boards by slug, both in order.

    It never equals another one, because symbols are equal whatever was edited.
    """

    symbols: Mapping[str, Symbol] = field(default_factory=dict)
    boards: Mapping[str, BoardView] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)  # former code: code
    # when symbols were switched off because no provider has them
    not_found: Mapping[str, datetime] = field(default_factory=dict)
    chains: Chains = field(default_factory=dict)

    def current(self, code: str) -> str:
        """Return the code that the symbol of a former code has now; any other as it is."""
        return code if code in self.symbols else self.aliases.get(code, code)

    def boards_with(self, code: str) -> list[BoardView]:
        """Return the boards that show a symbol."""
        return [board for board in self.boards.values() if code in board.places]

    def neighbours(
        self, code: str, states: Mapping[str, State]
    ) -> tuple[BoardView, tuple[str, ...]]:
        """Return the symbols around one on a board, in the order of the board, and this board.

        It is the smallest board that has enough of them, and no ranked one if there is another.
        Symbols without a price are left out.
        """
        board = max(self.boards_with(code), key=_nearness, default=BoardView(""))
        codes = [
            each for each in board.codes if each == code or (each in states and states[each].quote)
        ]
        if code not in codes:
            return board, ()
        first = max(0, min(codes.index(code) - NEIGHBOURS // 2, len(codes) - NEIGHBOURS - 1))
        return board, tuple(each for each in codes[first : first + NEIGHBOURS + 1] if each != code)

    def with_boards(self, views: Iterable[BoardView]) -> Listed:
        """Return the same with these boards in place of those with their slugs."""
        return replace(self, boards={**self.boards, **{each.slug: each for each in views}})

    def keeping(self, before: Listed) -> Listed:
        """Return the same with the symbols that ranked boards had before, without those that left.

        Which ones they have next is decided by prices, and not by what was read.
        """
        known = {each.key: each.codes for each in before.boards.values() if each.sort}
        return self.with_boards(
            board.showing(
                (code for code in known.get(board.key, ()) if self._allows(board.rule, code)),
                self.symbols,
            )
            for board in self.boards.values()
            if board.rule and board.sort
        )

    def _allows(self, rule: Rule, code: str) -> bool:
        symbol = self.symbols.get(code)
        return symbol is not None and rule.matches(symbol, self.chains.get(code, ()))


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
    board: BoardView,
    states: Mapping[str, State],
    query: BoardQuery,
    page_size: int,
    orders: Orders,
) -> Selection:
    """Choose and order the rows of a board; a page number above the last gives the last page."""
    found = orders.sorted(board.mark, board.codes, query.sort or board.sort, states)
    if query.kind:
        found = [code for code in found if states[code].symbol.kind == query.kind]
    if wanted := comparable(query.search):
        found = [code for code in found if wanted in states[code].symbol.searched]
    pages = max(1, -(-len(found) // page_size))
    page = min(max(query.page, 1), pages)
    return Selection(
        codes=tuple(found[(page - 1) * page_size : page * page_size]),
        total=len(found),
        page=page,
        pages=pages,
        kinds=board.kinds,
    )


def load_listed() -> Listed:
    """Read the active symbols, the boards, former and lost codes, in eight queries."""
    symbols = _in_order({symbol.code: symbol for symbol in _active_symbols()})
    boards = list(Board.objects.all())
    codes = _codes({each.pk for each in boards}, symbols)
    chains = _chains()
    views = [_view(each, codes, symbols, chains) for each in boards]
    return _listed(symbols, views, _aliases(Alias.objects.all()), chains)


def load_stored() -> tuple[Listed, Store]:
    """Read what is listed with its last quotes, for a process without live parts."""
    store, listed = Store(stale_after=conf.get("STALE_AFTER")), load_listed()
    store.overrides, store.chains = Override.by_code(), listed.chains
    store.keep(listed.symbols.values())
    for version, quote in records.load_last_quotes():
        store.put(version, [quote])
    return listed, store


def load_changes(known: Listed, symbols: Collection[int], boards: Collection[int]) -> Listed:
    """Read these symbols and boards, by their keys; return what is listed with them."""
    before = {code: each for code, each in known.symbols.items() if each.pk in symbols}
    now = {each.code: each for each in _active_symbols().filter(pk__in=symbols)}
    unedited = {code: each for code, each in known.symbols.items() if code not in before}
    kept = _in_order(unedited | now)
    chains = {code: each for code, each in known.chains.items() if code not in before}
    chains |= _chains(before.keys() | now.keys())
    outdated = {*boards, *_boards_with(before, now, known, chains)}
    read = list(Board.objects.all())
    views = {each.key: each for each in known.boards.values() if each.key not in outdated}
    codes = _codes({each.pk for each in read} - views.keys(), kept)
    named = {code for code, each in now.items() if _named(before.get(code)) != _named(each)}
    for key, view in views.items():
        if any(code in view.places for code in named):
            views[key] = replace(view, names=_names(view, kept))
    shown = [views.get(each.pk) or _view(each, codes, kept, chains) for each in read]
    aliases = {code: each for code, each in known.aliases.items() if each not in before}
    aliases |= _aliases(Alias.objects.filter(symbol__in=symbols))
    return _listed(kept, shown, aliases, chains)


def _boards_with(
    before: Mapping[str, Symbol], now: Mapping[str, Symbol], known: Listed, chains: Chains
) -> Iterator[int]:
    """Yield the keys of the boards that edited symbols join or leave, some of them repeatedly."""
    edited = before.keys() | now.keys()
    moved = {c for c in edited if _placed_as(before.get(c)) != _placed_as(now.get(c))}
    keys = {now[code].pk for code in moved & now.keys()}
    yield from BoardSymbol.objects.filter(symbol__in=keys).values_list("board", flat=True)
    for board in known.boards.values():
        if rule := board.rule:
            found = bool(rule.find(before, known.chains) or rule.find(now, chains))
        else:
            found = any(code in board.places for code in moved)
        if found:
            yield board.key


def _placed_as(symbol: Symbol | None) -> tuple[int, str] | None:
    """Return what decides the boards of a code and their kinds; two symbols may exchange codes."""
    return None if symbol is None else (symbol.pk, symbol.kind)


def _named(symbol: Symbol | None) -> str:
    """Return what a search compares, beside the code."""
    return f"{symbol.name}:{symbol.exchange}" if symbol else ""


def _chains(codes: Collection[str] | None = None) -> Chains:
    chains = load_chains(conf.get("PROVIDERS"), codes)
    return {code: tuple(chain) for code, chain in chains.items()}


def _active_symbols() -> models.QuerySet[Symbol]:
    # as a list: each prefetched QuerySet would take 1.7 KB
    splits = models.Prefetch("splits", to_attr=Symbol.READ_SPLITS)
    return Symbol.objects.filter(active=True).prefetch_related(splits)


def _aliases(rows: models.QuerySet[Alias]) -> dict[str, str]:
    active = rows.filter(symbol__active=True)
    return dict(active.values_list("code", "symbol__code"))


def _codes(boards: Collection[int], symbols: Mapping[str, Symbol]) -> dict[int, list[str]]:
    """Read the codes of the symbols on boards, in order, by the keys of the boards."""
    codes: dict[int, list[str]] = {}
    places = BoardSymbol.objects.filter(symbol__active=True, board__in=boards)
    for board, code in places.order_by("position", "pk").values_list("board_id", "symbol__code"):
        if code in symbols:  # else it was switched on after the first query
            codes.setdefault(board, []).append(code)
    return codes


def _listed(
    symbols: Mapping[str, Symbol],
    boards: Iterable[BoardView],
    aliases: Mapping[str, str],
    chains: Chains,
) -> Listed:
    lost = Symbol.objects.filter(active=False, not_found_at__isnull=False)
    return Listed(
        symbols,
        {each.slug: each for each in boards},
        aliases,
        not_found={each.code: each.not_found_at for each in lost if each.not_found_at},
        chains=chains,
    )


def _in_order(symbols: Mapping[str, Symbol]) -> dict[str, Symbol]:
    return {code: symbols[code] for code in sorted(symbols)}  # as no database sorts for all


def _view(
    board: Board,
    placed: Mapping[int, list[str]],  # codes by the keys of boards
    symbols: Mapping[str, Symbol],
    chains: Chains,
) -> BoardView:
    """Return a board with the symbols of its places, or with those that its rule finds."""
    view = BoardView(board.slug, board.title, key=board.pk, rule=rule_of(board))
    if view.rule is None:
        return _marked(replace(view, codes=tuple(placed.get(board.pk, ()))), symbols)
    found = view.rule.find(symbols, chains)
    view = replace(view, pool=found) if view.sort else replace(view, codes=found)
    return _marked(view, symbols)


def _nearness(board: BoardView) -> tuple[bool, int, int]:
    """Return how well a board shows a symbol's neighbours: best is a small one with enough."""
    size = len(board.codes)
    return not board.sort, min(size, NEIGHBOURS + 1), -size


def _marked(board: BoardView, symbols: Mapping[str, Symbol]) -> BoardView:
    symbols_shown = [f"{code}:{symbols[code].kind}" for code in board.codes]
    mark = _digest([board.title, repr(board.rule), *symbols_shown])
    kinds = tuple(dict.fromkeys(symbols[code].kind for code in board.codes))
    return replace(board, mark=mark, kinds=kinds, names=_names(board, symbols))


def _names(board: BoardView, symbols: Mapping[str, Symbol]) -> str:
    return _digest(_named(symbols[code]) for code in board.codes)


def _digest(texts: Iterable[str]) -> str:
    return f"{crc32(chr(10).join(texts).encode()):08x}"
