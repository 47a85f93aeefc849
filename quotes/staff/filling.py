"""Boards that fill themselves: what a rule finds now, and the way back to a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from django.db import DEFAULT_DB_ALIAS, transaction
from django.utils.text import capfirst

from quotes.boards import BoardView, Listed, load_stored
from quotes.live import changes, current
from quotes.models import Board, BoardSymbol, Symbol
from quotes.rules import Rule, rule_of
from quotes.shown import provider_title
from quotes.staff.arranging import Place
from quotes.store import State

Now = tuple[Listed, Mapping[str, State]]


def now() -> Now:
    """Return what is listed, and the states: those of this process, or of the database."""
    if live := current():
        return live.listed, live.store.states
    listed, store = load_stored()
    return listed, store.states


def found_by(rule: Rule, known: Now | None = None) -> list[State]:
    """Return the states of the symbols that a rule finds now, in the order of its board."""
    listed, states = known or now()
    codes = rule.find(listed.symbols, listed.chains)
    if rule.measure:
        codes = tuple(rule.best(codes, states))
    return [states.get(code) or State(listed.symbols[code]) for code in codes]


def places_of(rule: Rule) -> list[Place]:
    """Return the symbols of a board that fills itself as places, although none are stored."""
    symbols = (state.symbol for state in found_by(rule))
    return [
        Place(number, 0, number, each.pk, each.code, each.name, each.active)
        for number, each in enumerate(symbols, start=1)
    ]


def in_words(board: Board) -> list[tuple[str, str]]:
    """Return how a board fills itself: what it shows, and each condition with its name."""
    kinds = dict(Symbol.Kind.choices)
    source = provider_title(board.source) if board.source else ""
    number = board.number if rule_of(board) and board.filling != board.Filling.ALL else None
    values = {
        "filling": board.get_filling_display(),
        "number": number,
        "kinds": ", ".join(str(kinds.get(each, each)) for each in board.kinds),
        "exchange": board.exchange,
        "currency": board.currency,
        "source": source,
    }
    names = ((str(Board._meta.get_field(each).verbose_name), values[each]) for each in values)  # type: ignore[union-attr]
    return [(capfirst(name), str(value)) for name, value in names if value]


@transaction.atomic
def keep(board: Board, rule: Rule) -> int:
    """Make places of the symbols that a rule finds now; return their number."""
    exist = set(Symbol.objects.values_list("pk", flat=True))  # what is known may be older
    found = [state.symbol for state in found_by(rule) if state.symbol.pk in exist]
    places = [
        BoardSymbol(board=board, symbol=symbol, position=position)
        for position, symbol in enumerate(found, start=1)
    ]
    board.places.all().delete()  # a program may have made some
    BoardSymbol.objects.bulk_create(places)
    changes.changed(Board, board, DEFAULT_DB_ALIAS)  # the statement above sends no signals
    return len(places)


def with_symbol(symbol: Symbol) -> list[BoardView]:
    """Return the boards whose rule a symbol matches, without ranked ones."""
    listed, _ = now()
    chain = listed.chains.get(symbol.code, ())
    return [each for each in _unranked(listed) if each.rule and each.rule.matches(symbol, chain)]


def codes_on_boards() -> set[str]:
    """Return the codes of all symbols on boards that fill themselves, without ranked ones.

    A symbol leaves a ranked board with its price, so visitors find it there by chance only.
    """
    listed, _ = now()
    return {code for board in _unranked(listed) for code in board.codes}


def _unranked(listed: Listed) -> Iterator[BoardView]:
    return (each for each in listed.boards.values() if each.rule and not each.sort)
