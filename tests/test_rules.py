"""Rules of boards: what they find, whatever is edited, and which symbols rank first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from quotes import conf
from quotes.boards import BoardView, Listed, load_changes, load_listed
from quotes.feed.chains import load_chains
from quotes.models import Board, BoardSymbol, ProviderSymbol, Symbol
from quotes.orders import Orders
from quotes.quote import Quote
from quotes.rules import Rule
from quotes.store import State

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
KINDS, EXCHANGES, CURRENCIES = ("crypto", "stock", "etf"), ("", "XETRA", "LSE"), ("USD", "EUR")
SOURCES = ("kraken", "coinbase")
NUMBERS = st.integers(0, 5)

# An edit is the number of a symbol, and what of it is set to what.
EDITS = st.tuples(
    NUMBERS,
    st.one_of(
        st.tuples(st.just("kind"), st.sampled_from(KINDS)),
        st.tuples(st.just("exchange"), st.sampled_from(EXCHANGES)),
        st.tuples(st.just("currency"), st.sampled_from(CURRENCIES)),
        st.tuples(st.just("name"), st.sampled_from("cab")),
        st.tuples(st.just("active"), st.booleans()),
        st.tuples(st.just("code"), st.integers(0, 99)),
        st.tuples(st.just("source"), st.sampled_from((*SOURCES, None))),
        st.tuples(st.just("deleted"), st.none()),
    ),
)
RULES = st.builds(
    Board,
    kinds=st.lists(st.sampled_from(KINDS), unique=True, max_size=2),
    exchange=st.sampled_from(EXCHANGES),
    currency=st.sampled_from(("", *CURRENCIES)),
    source=st.sampled_from(("", *SOURCES)),
    order=st.sampled_from(Board.Order.values),
)


def edit(number: int, what: str, value: Any) -> int:
    """Edit the symbol with a number, or make it; return its key."""
    symbol = Symbol.objects.filter(tick_size=number + 1).first()
    if symbol is None:
        symbol = Symbol(code=f"N{number}", name="a", kind="stock", tick_size=number + 1)
        symbol.currency = "USD"
        symbol.save()
    key: int = symbol.pk
    if what == "deleted":
        symbol.delete()
    elif what == "source":
        symbol.provider_symbols.all().delete()
        if value:
            for name, position in ((value, 1), ("coinbase", None)):
                ProviderSymbol.objects.get_or_create(
                    symbol=symbol, provider=name, defaults={"code": "X", "position": position}
                )
    else:
        setattr(symbol, what, f"C{value}-{number}" if what == "code" else value)
        symbol.save()
    return key


def naive(board: Board) -> list[str]:
    """Return the codes that a board must show, asked of the database one by one."""
    found = []
    for symbol in Symbol.objects.filter(active=True):
        chain = load_chains(conf.get("PROVIDERS"), [symbol.code]).get(symbol.code, {})
        fits = symbol.kind in (board.kinds or KINDS)
        fits &= board.exchange in ("", symbol.exchange)
        fits &= board.currency in ("", symbol.currency)
        fits &= board.source in ("", next(iter(chain), None))
        if fits:
            found.append((symbol.name if board.order == "name" else "", symbol.code))
    return [code for _, code in sorted(found)]


class TestAnyEdits(TestCase):
    @settings(max_examples=60, deadline=None)
    @given(st.lists(RULES, min_size=1, max_size=3), st.lists(EDITS, max_size=8))
    def test_a_board_shows_what_a_naive_filter_finds(self, boards: list[Board], edits: list[Any]):
        with self.settings(QUOTES={"PROVIDERS": list(SOURCES)}):
            for number, board in enumerate(boards):
                board.slug = board.title = f"b{number}"
                board.pk, board.filling = None, Board.Filling.ALL
                board.save(force_insert=True)
            known = load_listed()
            for number, (what, value) in edits:
                known = load_changes(known, {edit(number, what, value)}, ())
                for board in boards:
                    assert list(known.boards[board.slug].codes) == naive(board)
            assert known.boards == load_listed().boards


def state(code: str, kind: str = "stock", **values: str | int) -> State:
    symbol = Symbol(code=code, name=code, kind=kind, currency="USD")
    given: dict[str, Any] = {"last": "100"} | values
    stale_minutes = given.pop("stale_minutes", None)
    prices = {name: Decimal(value) for name, value in given.items()}
    quote = Quote(symbol=code, provider="x", currency="USD", received_at=NOON, **prices)
    return State(symbol, quote, stale_minutes=stale_minutes)


def states(*given: State) -> dict[str, State]:
    return {each.symbol.code: each for each in given}


def ranked(measure: str, number: int, of: Mapping[str, State]) -> list[str]:
    return Rule(measure=measure, number=number).best(sorted(of), of)


MOVED = states(
    state("A", reference="99"),
    state("B", reference="80"),
    state("C", reference="100"),
    state("D", reference="101"),
    state("E", reference="125"),
    state("F", reference="80"),
    state("G"),
)


@pytest.mark.parametrize(
    ("measure", "number", "expected"),
    [("rises", 9, "BFA"), ("rises", 2, "BF"), ("falls", 9, "ED"), ("falls", 1, "E")],
)
def test_the_largest_moves_in_a_direction_come_first_and_equal_ones_in_order(
    measure: str, number: int, expected: str
):
    assert "".join(ranked(measure, number, MOVED)) == expected


def test_turnover_is_money_so_a_large_volume_alone_is_not_at_the_top():
    traded = states(
        state("CHEAP", last="0.01", volume="1000000"),
        state("DEAR", last="1000", volume="50"),
        state("SILENT"),
        state("IDX", kind="index", last="5000", volume="900000"),
        state("FUT", kind="future", last="5000", volume="900000"),
        state("BTC", kind="crypto", last="60000", volume="1"),
    )
    assert ranked("traded", 9, traded) == ["BTC", "DEAR", "CHEAP"]


def test_a_stale_price_comes_after_all_others_and_does_not_empty_the_board():
    found = states(
        state("A", reference="50", stale_minutes=9),
        state("B", reference="99"),
        state("C", reference="60", stale_minutes=9),
    )
    assert ranked("rises", 2, found) == ["B", "A"]
    stopped = {code: each for code, each in found.items() if each.stale}
    assert ranked("rises", 2, stopped) == ["A", "C"]


@pytest.mark.parametrize(
    ("measure", "expected"), [("rises", "CBA"), ("falls", "ABC"), ("traded", "BAC")]
)
def test_a_ranked_board_is_shown_in_the_order_of_what_it_compares(measure: str, expected: str):
    sort = Rule(measure=measure).sort
    prices = states(
        state("A", reference="99", volume="2"),
        state("B", reference="98", volume="3"),
        state("C", reference="97", volume="1"),
    )
    assert "".join(Orders().sorted("mark", "ABC", sort, prices)) == expected


def test_neighbours_come_from_a_board_that_does_not_move():
    few = BoardView("top", codes=("A", "B"), rule=Rule(measure="rises"))
    many = BoardView("all", codes=tuple("ABCDEFG"))
    board, codes = Listed(boards={"top": few, "all": many}).neighbours("A", MOVED)
    assert (board.slug, len(codes)) == ("all", 5)


@pytest.mark.django_db
def test_many_boards_cost_as_many_queries_as_one():
    for number in range(3):
        Symbol.objects.create(code=f"S{number}", name="A share", kind="stock", currency="USD")
    Board.objects.create(slug="a", title="A", filling="all")
    with CaptureQueriesContext(connection) as one:
        load_listed()
    for slug in "bcd":
        Board.objects.create(slug=slug, title=slug, filling="all", kinds=["stock"])
    with CaptureQueriesContext(connection) as four:
        listed = load_listed()
    assert [len(each.codes) for each in listed.boards.values()] == [3, 3, 3, 3]
    assert len(four) == len(one)


@pytest.mark.django_db
def test_places_of_a_board_that_fills_itself_do_not_count():
    symbol = Symbol.objects.create(code="AAPL", name="Apple", kind="stock", currency="USD")
    board = Board.objects.create(slug="a", title="A", filling="all", kinds=["etf"])
    BoardSymbol.objects.create(board=board, symbol=symbol)
    assert load_listed().boards["a"].codes == ()
