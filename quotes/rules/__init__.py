"""Rules: which symbols are on a board that fills itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from heapq import nlargest

from quotes.models import Board, Symbol
from quotes.store import State

Chains = Mapping[str, tuple[str, ...]]  # code: its providers, the preferred first


@dataclass(frozen=True, slots=True)
class Rule:
    """What a symbol must have to be on a board. A condition that is empty allows all symbols."""

    kinds: tuple[str, ...] = ()
    exchange: str = ""
    currency: str = ""
    source: str = ""  # the preferred provider: a fallback moves no symbol to another board
    by_name: bool = False  # the order: by name, or by code
    measure: str = ""  # one of MEASURES, of a ranked board
    number: int = 0  # of symbols on a ranked board

    @property
    def sort(self) -> str:
        """The order in which a ranked board shows its symbols; "" for all other boards."""
        return MEASURES[self.measure][0] if self.measure else ""

    def matches(self, symbol: Symbol, chain: tuple[str, ...] = ()) -> bool:
        """Return whether a symbol with these providers meets all conditions."""
        return (
            (not self.kinds or symbol.kind in self.kinds)
            and (not self.exchange or symbol.exchange == self.exchange)
            and (not self.currency or symbol.currency == self.currency)
            and (not self.source or chain[:1] == (self.source,))
        )

    def find(self, symbols: Mapping[str, Symbol], chains: Chains) -> tuple[str, ...]:
        """Return the codes that meet all conditions, in order; the symbols are sorted by code."""
        found = [code for code, each in symbols.items() if self.matches(each, chains.get(code, ()))]
        if self.by_name:
            found.sort(key=lambda code: symbols[code].name.casefold())
        return tuple(found)

    def best(self, codes: Iterable[str], states: Mapping[str, State]) -> list[str]:
        """Return the codes with the largest values, the largest first; equal ones stay in order.

        Stale prices come after all others. So a source that stopped does not stay at the top, and
        a board is not empty because all of them stopped.
        """
        value_of = MEASURES[self.measure][1]
        known = ((code, states[code]) for code in codes if code in states)
        valued = [
            (not state.stale, value, code)
            for code, state in known
            if (value := value_of(state)) is not None
        ]
        return [code for *_, code in nlargest(self.number, valued, key=lambda each: each[:2])]


def rule_of(board: Board) -> Rule | None:
    """Return the rule of a board, or None if its symbols are arranged by hand."""
    if board.filling == Board.Filling.LIST:
        return None
    return Rule(
        kinds=tuple(sorted(board.kinds)),
        exchange=board.exchange,
        currency=board.currency,
        source=board.source,
        by_name=board.order == Board.Order.NAME,
        measure=board.filling if board.filling in MEASURES else "",
        number=board.number or 0,
    )


def _rise(state: State) -> Decimal | None:
    percent = state.quote.change_percent if state.quote else None
    return percent if percent is not None and percent > 0 else None


def _fall(state: State) -> Decimal | None:
    percent = state.quote.change_percent if state.quote else None
    return -percent if percent is not None and percent < 0 else None


MEASURES: dict[str, tuple[str, Callable[[State], Decimal | None]]] = {  # sort, value
    Board.Filling.RISES.value: ("-percent", _rise),
    Board.Filling.FALLS.value: ("percent", _fall),
    Board.Filling.TRADED.value: ("-turnover", lambda state: state.turnover),
}
