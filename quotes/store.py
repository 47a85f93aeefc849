"""The store: what this process knows of each listed symbol, and the newest only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

from quotes.models import Symbol
from quotes.quote import Quote

MINUTE = 60  # seconds
PAUSES = ("closed", "break", "halted")  # sessions in which an old price is no older than promised
FLASH_EVERY = 0.5  # seconds: at most two flashes a second and cell (WCAG 2.3.1 allows three)


@dataclass(frozen=True, slots=True)
class State:
    """Everything that a fragment of one symbol shows. A new state is a new object."""

    symbol: Symbol
    quote: Quote | None = None
    version: tuple[int, int] = (0, 0)  # (epoch, batch) that brought the quote
    stale_minutes: int | None = None  # whole minutes of age once it is stale

    @property
    def stale(self) -> bool:
        """Whether the price is older than promised."""
        return self.stale_minutes is not None


@dataclass(frozen=True, slots=True)
class Move:
    """The price that pages were last shown, and how that was a move."""

    last: Decimal | None = None
    flash: str = ""  # "up-1", "up-2", "down-1", "down-2", or none
    turn: int = 1  # two names in turn: the same name twice would flash once
    flashed_at: datetime | None = None

    def to(self, last: Decimal, now: datetime) -> Move:
        """Move on to a price; it flashes if it differs and no other flash is still to be seen."""
        if self.flashed_at and (now - self.flashed_at).total_seconds() < FLASH_EVERY:
            return replace(self, last=last)  # the row is sent again, and flashes on
        if self.last is None or last == self.last:
            return replace(self, last=last, flash="")
        way = "up" if last > self.last else "down"
        return Move(last, f"{way}-{self.turn}", 3 - self.turn, now)


@dataclass(slots=True)
class Store:
    """The states of all listed symbols. Older never replaces newer."""

    stale_after: Mapping[str, int] = field(default_factory=dict)  # seconds, by kind
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    states: dict[str, State] = field(default_factory=dict)
    moves: dict[str, Move] = field(default_factory=dict)
    asked_of: dict[str, str] = field(default_factory=dict)  # code: provider
    outages: dict[str, datetime] = field(default_factory=dict)  # provider: down since

    def keep(self, symbols: Iterable[Symbol]) -> set[str]:
        """Keep these symbols and forget all others; return the codes of which more is shown."""
        listed = {symbol.code: symbol for symbol in symbols}
        changed = {code for code in listed if self._differs(code, listed[code])}
        self.states = {
            code: replace(self.states.get(code, State(symbol)), symbol=symbol)
            if code in changed
            else self.states[code]
            for code, symbol in listed.items()
        }
        self.moves = {code: move for code, move in self.moves.items() if code in listed}
        return changed

    def put(self, version: tuple[int, int], quotes: Iterable[Quote]) -> set[str]:
        """Take a batch of quotes; return the codes that changed.

        A version is (epoch, batch): what a paused feed says after another took over is older.
        """
        now = self.clock()
        changed = set()
        for quote in quotes:
            state = self.states.get(quote.symbol)
            if state is not None and version > state.version:
                stale_minutes = self._stale_minutes(state.symbol, quote, now)
                self.states[quote.symbol] = State(state.symbol, quote, version, stale_minutes)
                changed.add(quote.symbol)
        return changed

    def age(self) -> set[str]:
        """Find the quotes that turned stale, or a minute older; return their codes."""
        now = self.clock()
        changed = set()
        for code, state in self.states.items():
            minutes = self._stale_minutes(state.symbol, state.quote, now)
            if minutes != state.stale_minutes:
                self.states[code] = replace(state, stale_minutes=minutes)
                changed.add(code)
        return changed

    def mark_moves(self, codes: Iterable[str]) -> None:
        """Note for each code how its price moved since the last call for it.

        Called once per pace, not per tick: pages see what the pace lets through.
        """
        now = self.clock()
        for code in codes:
            state = self.states.get(code)
            if state is not None and state.quote is not None:
                self.moves[code] = self.moves.get(code, Move()).to(state.quote.last, now)

    def flash(self, code: str) -> str:
        """Return the flash of a symbol's newest move, or nothing: old prices never flash."""
        move = self.moves.get(code)
        return "" if move is None or self.states[code].stale else move.flash

    def _differs(self, code: str, symbol: Symbol) -> bool:
        known = self.states.get(code)
        return known is None or any(
            getattr(known.symbol, name) != getattr(symbol, name)
            for name in ("pk", "name", "kind", "currency", "exchange", "tick_size", "stale_after")
        )

    def _stale_minutes(self, symbol: Symbol, quote: Quote | None, now: datetime) -> int | None:
        if quote is None or quote.session in PAUSES:
            return None
        limit = symbol.stale_after or self.stale_after.get(symbol.kind)
        seconds = (now - quote.time).total_seconds()
        if limit is None or seconds <= limit + (quote.delay or 0):
            return None
        return int(seconds // MINUTE)
