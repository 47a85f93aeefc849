"""The newest price of a symbol, for pages of the admin."""

from __future__ import annotations

from contextlib import suppress

from django.utils.translation import get_language

from quotes import conf
from quotes.live import current
from quotes.models import LastQuote, Symbol
from quotes.shown import Shown
from quotes.store import State, Store


def newest(symbol: Symbol) -> Shown:
    """Return the newest state of a symbol in this process, or else its quote in the database."""
    live = current()
    state = live.store.states.get(symbol.code) if live else None
    return Shown(state if state and state.quote else stored(symbol), get_language() or "en")


def stored(symbol: Symbol) -> State:
    """Return the state of a symbol with its quote in the database, if it has one."""
    store = Store(stale_after=conf.get("STALE_AFTER"))
    store.keep([symbol])
    with suppress(LastQuote.DoesNotExist, ValueError):  # none yet, or another release wrote it
        row = symbol.last_quote
        store.put((row.epoch, row.batch), [row.quote])
    return store.states[symbol.code]
