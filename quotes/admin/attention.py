"""Symbols that need an operator: with a doubtful price, listed twice, or without what they need."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Concat, Replace, Upper
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from quotes import conf, sessions
from quotes.feed.chains import load_chains
from quotes.live import current
from quotes.models import Board, HeldPrice, ProviderSymbol, Symbol
from quotes.staff import filling
from quotes.store import State

Symbols = QuerySet[Symbol]
BETWEEN_PARTS = "-./_: "  # in codes: BRK-B, BRK.B, BTC/USD


class AttentionFilter(admin.SimpleListFilter):
    """The active symbols that need an operator, by what they lack."""

    title = _("needs attention")
    parameter_name = "needs"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return what may be wrong with a symbol."""
        return [(name, title) for name, (title, find) in NEEDS.items()]

    def queryset(self, request: HttpRequest, queryset: Symbols) -> Symbols:
        """Return the symbols that lack what was chosen."""
        chosen = NEEDS.get(self.value() or "")
        return chosen[1](queryset.filter(active=True)) if chosen else queryset


def _with_state(symbols: Symbols, wanted: Callable[[State], bool]) -> Symbols:
    live = current()
    states = live.store.states.values() if live else ()
    return symbols.filter(pk__in=[each.symbol.pk for each in list(states) if wanted(each)])


def _stale(symbols: Symbols) -> Symbols:
    return _with_state(symbols, lambda state: state.stale)


def _unpriced(symbols: Symbols) -> Symbols:
    return symbols.filter(last_quote=None)


def _from_fallback(symbols: Symbols) -> Symbols:
    return _with_state(symbols, lambda state: state.fallback)


def _held(symbols: Symbols) -> Symbols:
    """Return the symbols whose newest held price still waits for a second sample."""
    waiting = HeldPrice.objects.filter(symbol=OuterRef("pk"), outcome=HeldPrice.Outcome.WAITS)
    return symbols.filter(Exists(waiting))


def _without_provider(symbols: Symbols) -> Symbols:
    if live := current():  # reading all codes again would take long
        symbols_by_code, chains = live.listed.symbols, live.listed.chains
        lacking = [each.pk for code, each in symbols_by_code.items() if not chains.get(code)]
        return symbols.filter(pk__in=lacking)
    return symbols.exclude(code__in=load_chains(conf.get("PROVIDERS")))


def _without_hours(symbols: Symbols) -> Symbols:
    unknown = [pair for pair in _markets(symbols) if not sessions.knows(*pair)]
    found = symbols.none()
    for exchange, kind in unknown:
        found |= symbols.filter(exchange=exchange, kind=kind)
    return found


def on_no_board(symbols: Symbols) -> Symbols:
    """Return the symbols that no list and no rule puts on a board."""
    unplaced = symbols.filter(places=None)
    if Board.objects.exclude(filling=Board.Filling.LIST).exists():
        unplaced = unplaced.exclude(code__in=filling.codes_on_boards())
    return unplaced


def _duplicates(symbols: Symbols) -> Symbols:
    """Return symbols that may be the same: their codes differ in signs, or a provider's is equal.

    Some providers have one code for the prices of an instrument in all currencies.
    """
    bare = symbols.annotate(bare=_bare(F("code")))
    alike = bare.order_by().values("bare").annotate(count=Count("pk")).filter(count__gt=1)
    codes = ProviderSymbol.objects.filter(symbol__in=symbols.order_by())
    joined = Concat("provider", Value(":"), "symbol__currency", Value(":"), "code")
    shared = codes.annotate(joined=joined).order_by()
    several = shared.values("joined").annotate(count=Count("pk")).filter(count__gt=1)
    owners = shared.filter(joined__in=several.values("joined")).values("symbol")
    return bare.filter(Q(bare__in=alike.values("bare")) | Q(pk__in=owners))


def _bare(code: Any) -> Any:
    """Return the expression of a code in capitals and without signs between its parts."""
    for sign in BETWEEN_PARTS:
        code = Replace(code, Value(sign), Value(""))
    return Upper(code)


def _markets(symbols: Symbols) -> Iterable[tuple[str, str]]:
    return symbols.order_by().values_list("exchange", "kind").distinct()


NEEDS: dict[str, tuple[Any, Callable[[Symbols], Symbols]]] = {
    "stale": (_("stale price"), _stale),
    "price": (_("no price"), _unpriced),
    "fallback": (_("price of a fallback provider"), _from_fallback),
    "held": (_("held price"), _held),
    "provider": (_("no provider"), _without_provider),
    "hours": (_("unknown hours"), _without_hours),
    "board": (_("on no board"), on_no_board),
    "duplicate": (_("possible duplicate"), _duplicates),
}
