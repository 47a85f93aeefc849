"""Boards: which rows a page shows, in which order, and the address that selects them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from hypothesis import example, given
from hypothesis import strategies as st

from quotes.boards import BoardQuery, BoardView, Selection, load_listed
from quotes.boards import select as select_with
from quotes.models import Board, BoardSymbol, Symbol
from quotes.orders import SORTS, Orders
from quotes.quote import Quote
from quotes.store import State

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def state(code: str, name: str, kind: str = "stock", last: str | None = None, **more: Any) -> State:
    symbol = Symbol(code=code, name=name, kind=kind, exchange="NASDAQ", currency="USD")
    given = {"provider": "simulated", "currency": "USD", "received_at": NOON} | more
    return State(symbol, Quote(symbol=code, last=Decimal(last), **given) if last else None)


def hundred(**more: Any) -> dict[str, Any]:
    return {"reference": Decimal(100), "reference_kind": "prev_close"} | more


STATES = {
    each.symbol.code: each
    for each in (
        state("MSFT", "Microsoft", last="103", **hundred(volume=Decimal(500))),
        state("AAPL", "apple", last="101", **hundred(bid=Decimal("100.9"), ask=Decimal("101.1"))),
        state("NEW", "Newcomer"),
        state("SPY", "S&P 500 fund", "etf", "600", **hundred(reference=Decimal(612))),
        state("TSLA", "Tesla", last="101", received_at=NOON + timedelta(seconds=5)),
    )
}
BOARD = BoardView("stock-market", "Stock market", tuple(STATES), kinds=("stock", "etf"))


def select(
    board: BoardView, states: dict[str, State], query: BoardQuery, page_size: int
) -> Selection:
    return select_with(board, states, query, page_size, Orders())


def shown(page_size: int = 50, **asked: Any) -> list[str]:
    return list(select(BOARD, STATES, BoardQuery(**asked), page_size).codes)


class TestSelect:
    def test_rows_stand_in_the_boards_own_order(self):
        assert shown() == ["MSFT", "AAPL", "NEW", "SPY", "TSLA"]

    @pytest.mark.parametrize("words", ["aapl", "APPLE", "ppl"])
    def test_a_search_finds_symbol_and_name_in_any_case(self, words: str):
        assert shown(search=words) == ["AAPL"]

    @pytest.mark.parametrize("name", ["Münchener Rück", "Mu\u0308nchener Ru\u0308ck"])
    @pytest.mark.parametrize("words", ["MÜNCHENER RÜCK", "mu\u0308nchener", "ｍünch"])
    def test_a_search_finds_a_name_in_any_form_of_its_letters(self, name: str, words: str):
        states = {"MUV2": state("MUV2", name)}
        found = select(BoardView("x", "x", ("MUV2",)), states, BoardQuery(search=words), 50)
        assert list(found.codes) == ["MUV2"]

    def test_a_search_finds_the_exchange(self):
        assert len(shown(search="nasdaq")) == 5

    def test_a_search_that_finds_nothing_shows_one_empty_page(self):
        found = select(BOARD, STATES, BoardQuery(search="gold"), 50)
        assert (found.codes, found.total, found.page, found.pages) == ((), 0, 1, 1)

    def test_a_kind_filters_and_the_others_stay_on_offer(self):
        found = select(BOARD, STATES, BoardQuery(kind="etf"), 50)
        assert found.codes == ("SPY",)
        assert found.kinds == ("stock", "etf")

    @pytest.mark.parametrize(
        ("sort", "order"),
        [
            ("symbol", ["AAPL", "MSFT", "NEW", "SPY", "TSLA"]),
            ("-symbol", ["TSLA", "SPY", "NEW", "MSFT", "AAPL"]),
            ("name", ["AAPL", "MSFT", "NEW", "SPY", "TSLA"]),
            ("last", ["AAPL", "TSLA", "MSFT", "SPY", "NEW"]),
            ("-last", ["SPY", "MSFT", "AAPL", "TSLA", "NEW"]),
            ("change", ["SPY", "AAPL", "MSFT", "NEW", "TSLA"]),
            ("-change", ["MSFT", "AAPL", "SPY", "NEW", "TSLA"]),
            ("-percent", ["MSFT", "AAPL", "SPY", "NEW", "TSLA"]),
            ("-bid", ["AAPL", "MSFT", "NEW", "SPY", "TSLA"]),
            ("ask", ["AAPL", "MSFT", "NEW", "SPY", "TSLA"]),
            ("volume", ["MSFT", "AAPL", "NEW", "SPY", "TSLA"]),
            ("-time", ["TSLA", "MSFT", "AAPL", "SPY", "NEW"]),
        ],
    )
    def test_rows_are_sorted_with_unknown_values_last_and_equals_in_the_boards_order(
        self, sort: str, order: list[str]
    ):
        assert shown(sort=sort) == order

    @pytest.mark.parametrize("sort", [sign + name for name in SORTS for sign in ("", "-")])
    def test_sorting_loses_no_row_and_doubles_none(self, sort: str):
        assert sorted(shown(sort=sort)) == sorted(STATES)

    def test_pages_follow_each_other_without_gap_or_overlap(self):
        pages = [shown(2, page=page, sort="symbol") for page in (1, 2, 3)]
        assert pages == [["AAPL", "MSFT"], ["NEW", "SPY"], ["TSLA"]]

    def test_a_page_too_far_is_the_last_one(self):
        found = select(BOARD, STATES, BoardQuery(page=99), 2)
        assert (found.codes, found.page, found.pages, found.total) == (("TSLA",), 3, 3, 5)

    def test_a_page_before_the_first_is_the_first(self):
        assert select(BOARD, STATES, BoardQuery(page=0), 2).page == 1

    def test_a_full_last_page_is_followed_by_no_empty_one(self):
        assert select(BOARD, STATES, BoardQuery(), 5).pages == 1

    def test_a_symbol_that_was_unlisted_since_is_left_out(self):
        board = BoardView("mine", "Mine", ("GONE", "AAPL"))
        assert select(board, STATES, BoardQuery(), 50).codes == ("AAPL",)


class TestTheQueryString:
    @given(st.dictionaries(st.sampled_from(["q", "kind", "sort", "page", "x"]), st.text()))
    def test_any_query_string_is_read_without_an_error(self, params: dict[str, str]):
        query = BoardQuery.read(params)
        assert select(BOARD, STATES, query, 2).page >= 1

    @given(
        st.fixed_dictionaries(
            {
                "q": st.text(st.sampled_from("ab& =+ä\t"), max_size=60),
                "kind": st.sampled_from(["", "crypto", "etf", "bond"]),
                "sort": st.sampled_from(["", "-change", "symbol", "-", "--name", "price"]),
                "page": st.sampled_from(["", "0", "1", "2", "07", "-1", "1.5", "99999", "²"]),
            }
        )
    )
    @example({"q": "a" * 49 + " b"})  # cut to 50 characters, it ends in a space
    @example({"page": "0"})
    def test_a_query_is_written_so_that_it_reads_the_same(self, params: dict[str, str]):
        query = BoardQuery.read(params)
        written = query.encode()
        assert written.startswith("?")
        assert BoardQuery.read(QueryDict(written[1:])) == query

    @given(st.binary(max_size=80))
    def test_any_bytes_in_the_address_are_read_without_an_error(self, raw: bytes):
        BoardQuery.read(QueryDict(raw))

    def test_a_link_changes_one_thing_and_keeps_the_rest(self):
        query = BoardQuery(search="bit", kind="crypto", page=3)
        assert query.encode(sort="-change", page=1) == "?q=bit&kind=crypto&sort=-change"

    def test_an_empty_query_is_a_bare_question_mark(self):
        assert BoardQuery().encode() == "?"

    def test_invalid_values_are_ignored(self):
        params = {"kind": "bonds", "sort": "price", "page": "last"}
        assert BoardQuery.read(params) == BoardQuery()

    def test_a_search_is_cut_to_what_its_field_takes(self):
        assert BoardQuery.read({"q": "x" * 900}).search == "x" * 50


@pytest.mark.django_db
class TestTheCatalogue:
    @staticmethod
    def list_symbols(board: Board, count: int) -> None:
        for number in range(count):
            symbol = Symbol.objects.create(
                code=f"{board.slug.upper()}{number}", name="A share", kind="stock", currency="USD"
            )
            BoardSymbol.objects.create(board=board, symbol=symbol, position=count - number)

    def test_it_is_read_in_as_many_queries_for_ninety_rows_as_for_one(self):
        self.list_symbols(Board.objects.create(slug="one", title="One"), 1)
        with CaptureQueriesContext(
            connection,
        ) as few:
            load_listed()
        for slug in ("a", "b", "c"):
            self.list_symbols(Board.objects.create(slug=slug, title=slug), 30)
        with CaptureQueriesContext(connection) as many:
            listed = load_listed()
        assert len(listed.symbols) == 91
        assert len(many) == len(few)

    def test_symbols_stand_by_position_and_boards_too(self):
        self.list_symbols(Board.objects.create(slug="b", title="B", position=2), 3)
        Board.objects.create(slug="a", title="A", position=1)
        listed = load_listed()
        assert list(listed.boards) == ["a", "b"]
        assert listed.boards["b"].codes == ("B2", "B1", "B0")
        assert listed.boards["a"].codes == ()

    def test_a_symbol_that_is_switched_off_is_listed_nowhere(self):
        self.list_symbols(Board.objects.create(slug="b", title="B"), 2)
        Symbol.objects.filter(code="B1").update(active=False)
        listed = load_listed()
        assert list(listed.symbols) == ["B0"]
        assert listed.boards["b"].codes == ("B0",)

    @pytest.mark.parametrize("change", ["title", "order", "member", "kind"])
    def test_a_boards_mark_changes_with_what_its_pages_show(self, change: str):
        board = Board.objects.create(slug="b", title="B")
        self.list_symbols(board, 2)
        before = load_listed().boards["b"].mark
        assert load_listed().boards["b"].mark == before
        if change == "title":
            Board.objects.update(title="Better")
        elif change == "order":
            BoardSymbol.objects.filter(symbol__code="B0").update(position=0)
        elif change == "member":
            BoardSymbol.objects.filter(symbol__code="B0").delete()
        else:
            Symbol.objects.filter(code="B0").update(kind="etf")
        assert load_listed().boards["b"].mark != before
