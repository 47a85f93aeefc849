"""Live addresses: written and read back, also when a stranger wrote them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from django.conf import global_settings
from django.http import QueryDict
from django.utils import translation
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from quotes.addresses import Address, TooManySymbols
from quotes.boards import BoardQuery, BoardView, Listed
from quotes.models import Symbol

one_site = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

KINDS = {"BTC-USD": "crypto", "ETH-USD": "crypto", "AAPL": "stock", "^GSPC": "index"}
LISTED = Listed(
    symbols={code: Symbol(code=code, name=code, kind=kind) for code, kind in KINDS.items()},
    boards={"crypto": BoardView("crypto", "Crypto", ("BTC-USD", "ETH-USD"), "c0ffee")},
)
NAMES = ["symbols", "price", "panel", "board", "mark", "rows", "lang", "q", "kind", "sort", "page"]
NAMES += ["zone", "rate", "htmx", "seen"]
words = (
    st.text(max_size=40)
    | st.text("0123456789,²-", max_size=40)
    | st.sampled_from(["utc", "EXCHANGE", "Mars/Base", "2", "5", "30", "-1", "1e9"])
    | st.text(st.sampled_from("aA^ .=&+%,/ßŉ-"), max_size=40)
)
query_strings = st.lists(st.tuples(st.sampled_from(NAMES), words), max_size=8).map(urlencode)


def read(query_string: str, board: str = "") -> Address:
    return Address.read(QueryDict(query_string), board)


class TestReading:
    @pytest.mark.parametrize(
        ("query_string", "zone", "rate"),
        [
            ("zone=utc&rate=5", "utc", 5),
            ("zone=Exchange&rate=30", "exchange", 30),
            ("zone=Mars/Base&rate=7", "", 0),
            ("zone=&rate=-5", "", 0),
        ],
    )
    def test_only_known_zones_and_rates_count(self, query_string: str, zone: str, rate: int):
        watch = read(f"symbols=AAPL&{query_string}").watch(LISTED)
        assert (watch.edition.zone, watch.rate) == (zone, rate)

    @pytest.mark.parametrize(
        ("query_string", "version"),
        [("htmx=2", 2), ("htmx=4", 4), ("htmx=3", 4), ("htmx=", 4), ("", 4), ("htmx=4&htmx=2", 2)],
    )
    def test_a_page_has_htmx_4_unless_it_states_2(self, query_string: str, version: int):
        address = read(f"symbols=AAPL&{query_string}")
        assert address.watch(LISTED).edition.htmx == version
        assert address.socket.endswith("&htmx=2") == (version == 2)

    @one_site
    @given(query_strings | st.binary(max_size=200))
    def test_any_query_string_is_read_or_refused_for_its_length(self, query_string: str | bytes):
        try:
            address = Address.read(QueryDict(query_string))
        except TooManySymbols:
            return
        address.watch(LISTED)
        assert address.socket.startswith("/ws/")

    @one_site
    @given(query_strings)
    @example("symbols=AAAAAAAAAAAAAAAAAAAAAAA+BBB")  # parts of a code
    def test_what_is_written_reads_the_same(self, query_string: str):
        address = read(query_string)
        assert read(urlencode(address.pairs)) == address

    @one_site
    @given(query_strings)
    def test_a_sockets_address_reads_the_same(self, query_string: str):
        address = read(query_string)
        assert read(urlsplit(address.socket).query, address.board) == address

    def test_codes_come_in_any_case_and_once_each(self):
        assert read("symbols=btc-usd,AAPL, aapl ,,&symbols=^gspc").symbols == (
            "BTC-USD",
            "AAPL",
            "^GSPC",
        )

    def test_a_language_that_the_site_lacks_is_the_readers_own(self):
        with translation.override("de"):
            assert read("lang=tlh").language == "de"
            assert read("").language == "de"
            assert read("lang=en").language == "en"

    def test_a_language_without_our_texts_is_the_readers_own_in_a_site_that_has_it(
        self, settings: Any
    ):
        settings.LANGUAGES = global_settings.LANGUAGES
        settings.LOCALE_PATHS = [*settings.LOCALE_PATHS]  # reads the catalogues again
        for reader, language in (("de", "de"), ("fr", "en")):
            with translation.override(reader):
                assert read("lang=fr").language == language
        settings.LANGUAGE_CODE = "de"
        settings.LOCALE_PATHS = [*settings.LOCALE_PATHS]
        with translation.override("fr"):
            assert read("").language == "de"

    @pytest.mark.parametrize("given", ["de-AT", "de-at", "DE", "de-Latn-CH"])
    def test_a_language_of_a_country_is_that_language(self, given: str):
        assert read(f"lang={given}").language == "de"

    def test_without_any_language_the_sites_own_is_taken(self):
        with translation.override(None):
            assert read("").language == "en"


class TestWriting:
    def test_a_boards_page_watches_its_rows_under_the_boards_address(self):
        address = Address(
            board="crypto", symbols=("BTC-USD", "ETH-USD"), mark="c0ffee", language="de"
        )
        assert address.socket == "/ws/boards/crypto/?symbols=BTC-USD,ETH-USD&mark=c0ffee&lang=de"

    def test_other_pages_watch_symbols_by_widget(self):
        address = Address(symbols=("^GSPC",), price=("BTC-USD",), panel=("AAPL",), language="en")
        assert address.socket == "/ws/quotes/?symbols=^GSPC&price=BTC-USD&panel=AAPL&lang=en"

    def test_the_visitors_search_of_the_board_goes_with_it(self):
        address = Address(board="crypto", query=BoardQuery(search="bit coin", sort="-change"))
        assert address.socket.endswith("?q=bit+coin&sort=-change")


class TestLimits:
    @staticmethod
    def codes(count: int, first: int = 0) -> str:
        return ",".join(f"S{number}" for number in range(first, first + count))

    def test_as_many_symbols_as_allowed_are_read(self):
        assert len(read(f"symbols={self.codes(200)}").symbols) == 200

    def test_one_more_is_refused_with_both_numbers(self):
        with pytest.raises(TooManySymbols, match="201 symbols requested, at most 200 are allowed"):
            read(f"symbols={self.codes(201)}")

    def test_the_limit_is_for_all_widgets_together(self):
        with pytest.raises(TooManySymbols, match="220 symbols"):
            read(f"symbols={self.codes(100)}&price={self.codes(70)}&panel={self.codes(50)}")

    def test_it_is_for_rows_of_a_board_too(self):
        rows = ",".join(map(str, range(201)))
        with pytest.raises(TooManySymbols, match="201 symbols requested"):
            read(f"mark=c0ffee&rows={rows}", "crypto")

    def test_the_same_symbol_again_costs_nothing(self):
        assert read("symbols=" + "AAPL," * 500).symbols == ("AAPL",)

    def test_the_limit_is_a_setting(self, settings: object):
        settings.QUOTES = {"MAX_SYMBOLS": 2}  # type: ignore[attr-defined]
        assert read("symbols=AAPL,MSFT").symbols == ("AAPL", "MSFT")
        with pytest.raises(TooManySymbols):
            read("symbols=AAPL,MSFT,TSLA")

    def test_a_code_too_long_to_exist_is_not_taken_for_the_one_it_begins_with(self):
        longest = "ABCDEFGHIJKLMNOPQRSTUVWX"
        listed = Listed(symbols={longest: Symbol(code=longest)})
        watch = read(f"symbols={longest}-USD").watch(listed)
        assert watch.of("entry") == []


class TestWatching:
    def test_a_table_watches_its_listed_symbols_and_names_the_others(self):
        watch = read("symbols=AAPL,YAHO,BTC-USD&lang=de").watch(LISTED)
        assert watch.of("entry") == ["AAPL", "BTC-USD"]
        assert watch.of("row") == []
        assert watch.unknown == ("YAHO",)
        assert watch.edition.language == "de"

    def test_unknown_symbols_are_named_once_but_not_that_of_a_panel_which_states_it(self):
        watch = read("symbols=YAHO&price=YAHO,AAPL,NOPE&panel=GOGL&chart=1d/GOGL").watch(LISTED)
        assert sorted(watch.unknown) == ["NOPE", "YAHO"]
        assert watch.of("price") == ["AAPL"]
        assert watch.of("panel") == []

    def test_a_board_alone_watches_all_its_rows(self):
        assert read("", "crypto").watch(LISTED).of("row") == ["BTC-USD", "ETH-USD"]

    def test_a_board_watches_the_rows_on_screen_in_their_order(self):
        assert read("symbols=ETH-USD,BTC-USD", "crypto").watch(LISTED).of("row") == [
            "ETH-USD",
            "BTC-USD",
        ]

    def test_a_board_watches_its_rows_by_their_places(self):
        address = read("mark=c0ffee&rows=1,0", "crypto")
        assert address.watch(LISTED).of("row") == ["ETH-USD", "BTC-USD"]

    def test_a_row_that_has_its_code_and_its_place_in_the_address_is_watched_once(self):
        address = read("symbols=BTC-USD&mark=c0ffee&rows=0,1", "crypto")
        assert address.watch(LISTED).of("row") == ["BTC-USD", "ETH-USD"]

    @pytest.mark.parametrize("query", ["rows=0,1", "rows=0,1&mark=old", "rows=2,77777&mark=c0ffee"])
    def test_places_of_another_board_or_beyond_its_end_are_no_rows(self, query: str):
        watch = read(f"{query}&symbols=BTC-USD", "crypto").watch(LISTED)
        assert watch.of("row") == ["BTC-USD"]
        assert watch.unknown == ()

    def test_a_boards_rows_are_only_of_that_board(self):
        watch = read("symbols=AAPL,BTC-USD", "crypto").watch(LISTED)
        assert watch.of("row") == ["BTC-USD"]
        assert watch.of("entry") == []

    def test_a_board_shows_no_more_rows_than_one_socket_may_watch(self, settings: object):
        settings.QUOTES = {"MAX_SYMBOLS": 1}  # type: ignore[attr-defined]
        assert read("", "crypto").watch(LISTED).of("row") == ["BTC-USD"]

    def test_a_search_that_found_nothing_watches_nothing(self):
        # with the mark, no symbols means that no rows are shown, not that all are
        assert read("mark=c0ffee&q=gold", "crypto").watch(LISTED).of("row") == []

    def test_a_symbol_that_was_unlisted_since_is_not_called_unknown(self):
        watch = read("symbols=BTC-USD,LUNA-USD&mark=c0ffee", "crypto").watch(LISTED)
        assert watch.of("row") == ["BTC-USD"]
        assert watch.unknown == ()

    @one_site
    @given(query_strings)
    def test_nothing_is_watched_that_is_not_listed(self, query_string: str):
        assert read(query_string).watch(LISTED).codes <= set(KINDS)

    def test_equal_addresses_give_equal_watches(self):
        assert read("symbols=aapl&lang=en").watch(LISTED) == read("lang=en&symbols=AAPL").watch(
            LISTED
        )
