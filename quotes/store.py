"""The store: the newest state of each active symbol in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from heapq import nlargest
from math import ceil

from quotes import sessions
from quotes.due import Due
from quotes.models import Override, Symbol
from quotes.quote import EARLIEST, Quote, utc_now
from quotes.sessions import Session

MINUTE = 60  # seconds
OVERLAP = timedelta(seconds=30)  # in which two feeds may publish, the old one and the new one
TRADED = ("regular", "always")  # sessions in which an old price counts as stale
FROM_PROVIDER = ("halted", "always")  # sessions in which the provider overrides the calendar
FLASH_EVERY = 2.0  # seconds between two flashes: a cell that always flashes shows nothing new
FLASH = 0.2  # seconds that a flash is visible in a table; in quotes.css, too
MAX_FLASHES = 6  # visible at any moment on a page


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Everything that a fragment of one symbol shows. A new state never equals another."""

    symbol: Symbol
    quote: Quote | None = None
    version: tuple[int, int] = (0, 0)  # (epoch, batch) that brought the quote
    session: Session | None = None  # of its market now; None if unknown, or without a quote
    stale_minutes: int | None = None  # whole minutes of age; None while it is not stale
    fallback: bool = False  # whether the quote is not from the preferred provider
    outage: tuple[str, datetime] | None = None  # without a quote: its provider, down since
    override: Override | None = None  # what pages show of it now, by the staff

    @property
    def stale(self) -> bool:
        """Whether the price is older than its symbol, or STALE_AFTER, allows."""
        return self.stale_minutes is not None

    @property
    def turnover(self) -> Decimal | None:
        """What was traded, in the currency of the price; None if that is not known.

        Volumes of two symbols can't be compared: one counts coins, the other one shares.
        """
        quote = self.quote
        if quote is None or quote.volume is None or not self.symbol.kind_of.has_turnover:
            return None
        return quote.last * quote.volume


@dataclass(frozen=True, slots=True)
class Move:
    """The price that pages showed last, and the flash with which it appeared."""

    last: Decimal | None = None
    flash: str = ""  # "up-1", "up-2", "down-1", "down-2", or none
    turn: int = 1  # number of the next flash, 1 or 2, because the same name twice flashes only once
    flashed_at: datetime | None = None
    size: Decimal = Decimal(0)  # of the move that flashes, as a fraction

    def to(self, last: Decimal, now: datetime) -> Move:
        """Return the move to a price; it flashes if the price changed and did not flash lately."""
        lately = self.flashed_at and (now - self.flashed_at).total_seconds() < FLASH_EVERY
        if lately or self.last is None or last == self.last:
            return Move(last, "", self.turn, self.flashed_at, self.size)
        way, size = "up" if last > self.last else "down", abs(last / self.last - 1)
        return Move(last, f"{way}-{self.turn}", 3 - self.turn, now, size)


@dataclass(slots=True)
class Store:
    """The states of all active symbols. An older quote never replaces a newer one."""

    stale_after: Mapping[str, int] = field(default_factory=dict)  # seconds, by kind
    clock: Callable[[], datetime] = utc_now
    states: dict[str, State] = field(default_factory=dict)
    moves: dict[str, Move] = field(default_factory=dict)
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # best provider first
    overrides: Mapping[str, list[Override]] = field(default_factory=dict)  # by code
    outages: dict[str, datetime] = field(default_factory=dict)  # provider: down since
    heard: bool = True  # whether this process has ever heard the feed
    stopped_at: datetime | None = None  # when prices stopped; None while the feed is heard
    newest: datetime = EARLIEST  # the time of the newest price; a source's clock may be ahead
    due: Due = field(default_factory=Due)  # when the clock changes a state
    aged_at: datetime = EARLIEST  # when that was looked at last
    corrections: sessions.Corrections = field(default_factory=sessions.corrections)  # known then

    def keep(self, symbols: Iterable[Symbol]) -> set[str]:
        """Keep these symbols, forget all others; return the codes that are new or edited."""
        now = self.clock()
        listed = {symbol.code: symbol for symbol in symbols}
        changed = {code for code in listed if self._differs(code, listed[code])}
        for code in self.states.keys() - listed.keys():
            del self.states[code]
            self.moves.pop(code, None)
        for code in filter(changed.__contains__, listed):  # in their order
            self._keep(listed[code], now)
        return changed | self._renew_outages()

    def override(self, overrides: Mapping[str, list[Override]]) -> set[str]:
        """Show these overrides, by code, and no others; return the codes that changed."""
        now, codes = self.clock(), self.overrides.keys() | overrides.keys()
        self.overrides = overrides
        return {code for code in codes if code in self.states and self._age(code, now)}

    def fail(self, outages: Mapping[str, datetime]) -> set[str]:
        """Note which providers are down, since when; return the codes whose reason changed.

        The reason is that of a symbol without a price.
        """
        if outages == self.outages:
            return set()
        self.outages = dict(outages)
        return self._renew_outages()

    def put(self, version: tuple[int, int], quotes: Iterable[Quote]) -> set[str]:
        """Take a batch of quotes; return the codes that changed.

        A version is (epoch, batch), so the quotes of a paused feed are older than those of the
        feed that took over. While both publish, a later quote of the older feed is not replaced
        either: times on pages never go back.
        """
        now = self.clock()
        changed = set()
        for quote in quotes:
            state = self.states.get(quote.symbol)
            if state is not None and _replaces(quote, version, state):
                session = session_of(state.symbol, quote, now)
                stale_minutes = self._stale_minutes(state.symbol, quote, session, now)
                fallback = quote.provider in self.chains.get(quote.symbol, ())[1:]
                override = self._override(quote.symbol, now)
                new = State(
                    state.symbol, quote, version, session, stale_minutes, fallback, None, override
                )
                self.states[quote.symbol] = new
                self._plan(new)
                changed.add(quote.symbol)
                self.newest = max(self.newest, quote.time)
        if self.stopped_at:
            self.stop(self.stopped_at)
        return changed

    def stop(self, at: datetime) -> datetime:
        """Note when prices stopped and return it: never before the newest, which may come later."""
        self.stopped_at = max(at, self.newest)
        return self.stopped_at

    def age(self) -> set[str]:
        """Update the states by the clock; return the codes that changed.

        A state changes when its quote becomes stale or a minute older, when its market opens
        or closes, and when an override begins or ends.
        """
        now, corrections = self.clock(), sessions.corrections()
        if now < self.aged_at or corrections != self.corrections:
            self.due, self.corrections = Due(), corrections  # no moment in it is right
            due: Iterable[str] = list(self.states)
        else:
            due = self.due.take(now)
        self.aged_at = now
        return {code for code in due if code in self.states and self._age(code, now)}

    def _age(self, code: str, now: datetime) -> bool:
        """Update a state by the clock; return whether it changed."""
        before = self.states[code]
        self.states[code] = state = self._aged(before, now)
        self._plan(state)
        return state is not before

    def _keep(self, symbol: Symbol, now: datetime) -> None:
        known = self.states.get(symbol.code)
        if known is None or known.symbol.pk != symbol.pk:  # another one has this code now
            known = State(symbol)
            self.moves.pop(symbol.code, None)
        self.states[symbol.code] = state = self._aged(replace(known, symbol=symbol), now)
        self._plan(state)

    def mark_moves(self, codes: Iterable[str]) -> None:
        """Store for each code how its price moved since the last call.

        Called once per pace, not per tick, because pages only see the prices of each pace.
        """
        now = self.clock()
        for code in codes:
            state = self.states.get(code)
            if state is not None and state.quote is not None:
                self.moves[code] = self.moves.get(code, Move()).to(state.quote.last, now)

    def flashes(self, codes: Iterable[str], pace: float) -> dict[str, str]:
        """Return the flashes of the largest moves of some symbols; stale prices never flash.

        At most MAX_FLASHES are visible at once on a page that gets a message each `pace` seconds,
        but each message may have one.
        """
        moved = [code for code in codes if self._flashes(code)]
        most = max(1, MAX_FLASHES // ceil(FLASH / pace))
        largest = nlargest(most, moved, key=lambda code: (self.moves[code].size, code))
        return {code: self.moves[code].flash for code in largest}

    def _flashes(self, code: str) -> bool:
        move, state = self.moves.get(code), self.states.get(code)
        return bool(move and move.flash and state and not (state.stale or state.override))

    def _renew_outages(self) -> set[str]:
        renewed = {
            code: replace(state, outage=outage)
            for code, state in self.states.items()
            if state.quote is None and (outage := self._outage(code)) != state.outage
        }
        self.states |= renewed
        return set(renewed)

    def _outage(self, code: str) -> tuple[str, datetime] | None:
        preferred = next(iter(self.chains.get(code, ())), "")
        since = self.outages.get(preferred)
        return (preferred, since) if since else None

    def _differs(self, code: str, symbol: Symbol) -> bool:
        known = self.states.get(code)
        if known is not None and known.symbol is symbol:
            return False
        return known is None or any(
            getattr(known.symbol, name) != getattr(symbol, name)
            for name in ("pk", "name", "kind", "currency", "exchange", "tick_size", "stale_after")
        )

    def _aged(self, state: State, now: datetime) -> State:
        """Return the current state; it is the same object if nothing changed."""
        override = self._override(state.symbol.code, now)
        if override is not state.override:
            state = replace(state, override=override)
        if state.quote is None:
            return state
        session = session_of(state.symbol, state.quote, now)
        minutes = self._stale_minutes(state.symbol, state.quote, session, now)
        if (session, minutes) == (state.session, state.stale_minutes):
            return state
        return replace(state, session=session, stale_minutes=minutes)

    def _override(self, code: str, now: datetime) -> Override | None:
        """Return the override of a symbol at a moment; there is at most one."""
        given = self.overrides.get(code, ())
        return next((each for each in given if each.begins <= now < each.ends), None)

    def _stale_minutes(
        self, symbol: Symbol, quote: Quote, session: Session | None, now: datetime
    ) -> int | None:
        stale_from = self._stale_from(symbol, quote, session)
        if stale_from is None or now <= stale_from:
            return None
        return int((now - quote.time).total_seconds() // MINUTE)

    def _stale_from(self, symbol: Symbol, quote: Quote, session: Session | None) -> datetime | None:
        """Return the moment after which a quote is stale; None if that is not in this session."""
        limit = symbol.stale_after or self.stale_after.get(symbol.kind)
        if limit is None or (session is not None and session.name not in TRADED):
            return None
        # yesterday's price is not stale at the moment its market opens
        begins = session.since if session and session.since else quote.time
        return max(begins, quote.time) + timedelta(seconds=limit + (quote.delay or 0))

    def _plan(self, state: State) -> None:
        """Note when the clock changes a state next."""
        quote, session, code = state.quote, state.session, state.symbol.code
        for override in self.overrides.get(code, ()):
            for moment in (override.begins, override.ends):
                if moment > self.clock():
                    self.due.at(code, moment)
        if quote is None:
            return
        if session is not None and session.until is not None:
            self.due.at(code, session.until)
        if state.stale_minutes is not None:
            self.due.at(code, quote.time + timedelta(minutes=state.stale_minutes + 1))
        elif stale_from := self._stale_from(state.symbol, quote, session):
            self.due.at(code, stale_from)


def session_of(symbol: Symbol, quote: Quote, now: datetime) -> Session | None:
    """Return the session of a symbol's market, or None if it is not known.

    It is from the calendar, or from the provider if the calendar does not have it.
    """
    reported = None if quote.session is None else Session(quote.session)
    if quote.session in FROM_PROVIDER:
        return reported
    return sessions.at(symbol.exchange, symbol.kind, now) or reported


def _replaces(quote: Quote, version: tuple[int, int], state: State) -> bool:
    known = state.quote
    if known is None or version[0] <= state.version[0] or quote.provider != known.provider:
        return version > state.version
    if quote.source_time is None or known.source_time is None:
        return True
    return not timedelta(0) < known.source_time - quote.source_time <= OVERLAP
