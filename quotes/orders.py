"""Orders: the rows of a board in the order that a visitor chose, kept up to date."""

from __future__ import annotations

import time
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

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
KEYS = SORTS | {"turnover": lambda state: state.turnover}  # this one is only for ranked boards
MAX_ORDERS = 20  # that are kept
MAX_MOVED = 1000  # rows that find their new place one by one; if more changed, all are sorted
SORT_EVERY = 1.0  # seconds between two times that all are sorted; until then the order stays


class Order:
    """Some symbols, sorted by one of KEYS; with "-" before it, descending.

    Symbols without a value come last in both directions. Equal ones keep the order given.
    """

    def __init__(self, codes: Sequence[str], sort: str) -> None:
        self.codes = codes
        self.places = {code: place for place, code in enumerate(codes)}
        self.key, self.descends = KEYS[sort.removeprefix("-")], sort.startswith("-")
        self.seen: dict[str, State] = {}  # the states that are sorted
        self.valued: list[tuple[Any, int]] = []  # value and place, the smallest first
        self.unvalued: list[int] = []  # places
        self.result: list[str] = []
        self.sorted_at = float("-inf")

    def sorted(self, states: Mapping[str, State]) -> list[str]:
        """Return the codes of these symbols that have a state, in order.

        If many states changed, the order may be that of a second ago.
        """
        moved = [code for code in self.codes if states.get(code) is not self.seen.get(code)]
        if not moved:
            return self.result
        if len(moved) <= MAX_MOVED and self.seen:
            for code in moved:
                self._move(code, states.get(code))
        elif time.monotonic() - self.sorted_at < SORT_EVERY:
            return [code for code in self.result if code in states]
        else:
            self._sort(states)
        valued = reversed(self.valued) if self.descends else self.valued
        places = [*(abs(place) for _, place in valued), *self.unvalued]
        self.result = [self.codes[place] for place in places]
        return self.result

    def _sort(self, states: Mapping[str, State]) -> None:
        self.seen = {code: states[code] for code in self.codes if code in states}
        self.valued, self.unvalued = [], []
        for code, state in self.seen.items():
            self._value(code, state, list.append)
        self.valued.sort()
        self.sorted_at = time.monotonic()

    def _move(self, code: str, state: State | None) -> None:
        if before := self.seen.pop(code, None):
            self._value(code, before, _remove)
        if state is not None:
            self.seen[code] = state
            self._value(code, state, insort)

    def _value(self, code: str, state: State, put: Callable[[list[Any], Any], None]) -> None:
        value, place = self.key(state), self.places[code]
        if value is None:
            put(self.unvalued, place)
        else:
            put(self.valued, (value, -place if self.descends else place))


class Orders:
    """The orders that visitors chose lately, of all boards."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Order] = {}  # by the mark of a board, and the sort

    def sorted(
        self, mark: str, codes: Sequence[str], sort: str, states: Mapping[str, State]
    ) -> list[str]:
        """Return the codes that have a state in the order of `sort`, or as given without one.

        A board with other codes has another mark.
        """
        if not sort:
            return [code for code in codes if code in states]
        order = self.kept.pop((mark, sort), None) or Order(codes, sort)
        self.kept[mark, sort] = order  # at the end, so that the first one is the longest unused
        if len(self.kept) > MAX_ORDERS:
            del self.kept[next(iter(self.kept))]
        return order.sorted(states)


def _remove(rows: list[Any], row: Any) -> None:
    del rows[bisect_left(rows, row)]


def _of(state: State, name: str) -> Decimal | None:
    quote: Quote | None = state.quote
    return None if quote is None else getattr(quote, name)
