"""What the feed keeps in the database: last quotes, held prices, tick sizes, requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from quotes.feed import records
from quotes.feed.held import Held
from quotes.models import HeldPrice, LastQuote, Symbol
from quotes.quote import Quote, utc_now
from quotes.quote.wire import to_wire
from quotes.staff.renaming import rename

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ALICE, BOB = "alice:1", "bob:2"


def listed(code: str, **more: object) -> Symbol:
    given = {"name": code.title(), "kind": "stock", "currency": "USD"} | more
    return Symbol.objects.create(code=code, **given)


class TestLastQuotes:
    def test_no_digit_is_lost(self, make_quote: Callable[..., Quote]):
        listed("PEPE-USD")
        quote = make_quote(
            "PEPE-USD",
            "0.000012345678901234567890",
            bid=Decimal("1.10"),
            volume=Decimal("123456789012345678901234.5"),
            source_time=NOON.replace(microsecond=123456),
        )
        records.save_last_quotes({"PEPE-USD": ((3, 7), quote)})
        [(version, read)] = records.load_last_quotes()
        assert version == (3, 7)
        assert read == quote
        assert to_wire(read) == to_wire(quote)

    def test_a_newer_quote_replaces_an_older(self, make_quote: Callable[..., Quote]):
        listed("AAPL")
        records.save_last_quotes({"AAPL": ((1, 1), make_quote("AAPL", "101"))})
        records.save_last_quotes({"AAPL": ((1, 2), make_quote("AAPL", "102"))})
        [(version, quote)] = records.load_last_quotes()
        assert (version, quote.last) == ((1, 2), 102)

    def test_a_feed_that_was_paused_does_not_overwrite_newer_quotes(
        self, make_quote: Callable[..., Quote]
    ):
        listed("AAPL")
        records.save_last_quotes({"AAPL": ((2, 1), make_quote("AAPL", "102"))})
        records.save_last_quotes({"AAPL": ((1, 900), make_quote("AAPL", "101"))})
        [(version, quote)] = records.load_last_quotes()
        assert (version, quote.last) == ((2, 1), 102)

    def test_two_hundred_are_stored_in_one_statement(self, make_quote: Callable[..., Quote]):
        # a lock that this process holds between two statements makes edits wait
        Symbol.objects.bulk_create(
            Symbol(code=f"S{number}", name="A share", kind="stock", currency="USD")
            for number in range(200)
        )
        quotes = {f"S{n}": ((1, 1), make_quote(f"S{n}", "101")) for n in range(200)}
        with CaptureQueriesContext(connection) as statements:
            records.save_last_quotes(quotes)
        assert len(statements) == 1
        assert LastQuote.objects.count() == 200

    def test_a_symbol_that_was_deleted_meanwhile_is_left_out(
        self, make_quote: Callable[..., Quote]
    ):
        listed("AAPL")
        quotes = {code: ((1, 1), make_quote(code, "101")) for code in ("AAPL", "GONE")}
        records.save_last_quotes(quotes)
        assert [quote.symbol for _, quote in records.load_last_quotes()] == ["AAPL"]

    def test_without_quotes_there_is_no_query(self):
        records.save_last_quotes({})
        assert not LastQuote.objects.exists()

    def test_quotes_of_inactive_symbols_are_not_read(self, make_quote: Callable[..., Quote]):
        listed("AAPL", active=False)
        records.save_last_quotes({"AAPL": ((1, 1), make_quote())})
        assert records.load_last_quotes() == []

    @pytest.mark.parametrize("wire", [["AAPL", "101"], "101"], ids=repr)
    def test_a_quote_of_another_release_is_left_out_and_the_rest_is_read(
        self, make_quote: Callable[..., Quote], wire: object
    ):
        # otherwise a site would not start after an upgrade, nor after going back from one
        listed("AAPL")
        listed("MSFT")
        quotes = {code: ((1, 1), make_quote(code, "101")) for code in ("AAPL", "MSFT")}
        records.save_last_quotes(quotes)
        LastQuote.objects.filter(symbol__code="AAPL").update(wire=wire)
        assert [quote.symbol for _, quote in records.load_last_quotes()] == ["MSFT"]


class TestTickSizes:
    def test_a_missing_one_is_stored(self):
        listed("BTC-USD")
        records.save_tick_sizes({"BTC-USD": Decimal("0.1"), "GONE": Decimal(1)})
        assert Symbol.objects.get().digits == 1

    def test_one_that_the_operator_set_stays(self):
        listed("BTC-USD", tick_size=Decimal("0.01"))
        records.save_tick_sizes({"BTC-USD": Decimal("0.1")})
        assert Symbol.objects.get().tick_size == Decimal("0.01")


class TestHeldPrices:
    def held(self, outcome: str = "waits", second: int = 0) -> Held:
        moment = datetime(2026, 3, 2, 12, 0, second, tzinfo=UTC)
        spike = Quote(
            symbol="AAPL",
            provider="bourse",
            currency="USD",
            last=Decimal("200.123456789012345678"),
            received_at=moment,
        )
        return Held(spike, Decimal(100), outcome)

    def test_a_held_price_is_stored_with_every_digit_and_its_outcome(self):
        listed("AAPL")
        records.save_held_prices([self.held()])
        records.save_held_prices([self.held(), self.held("confirmed"), self.held("waits", 1)])
        rows = HeldPrice.objects.values_list("symbol__code", "last", "before", "outcome")
        assert list(rows) == [
            ("AAPL", "200.123456789012345678", "100", "waits"),
            ("AAPL", "200.123456789012345678", "100", "confirmed"),
        ]

    def test_odd_values_of_a_source_are_cut_to_the_columns(self):
        listed("AAPL")
        held = self.held("no_price")
        odd = replace(held.quote, last=Decimal("-0." + "1" * 99), currency="PENCE PER SHARE")
        records.save_held_prices([replace(held, quote=odd, before=None)])
        row = HeldPrice.objects.get()
        row.full_clean()
        assert (row.last[:4], row.before, row.currency) == ("-0.1", "", "PENCE PER ")

    def test_the_oldest_are_deleted(self, monkeypatch: pytest.MonkeyPatch):
        listed("AAPL")
        monkeypatch.setattr(records, "MAX_HELD", 3)
        records.save_held_prices([self.held("no_price", second) for second in range(5)])
        assert [row.at.second for row in HeldPrice.objects.all()] == [4, 3, 2]

    def test_those_that_an_operator_can_still_decide_about_are_kept(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        listed("AAPL")
        monkeypatch.setattr(records, "MAX_HELD", 2)
        lasts = replace(self.held("rejected", 1), until=utc_now() + timedelta(hours=1))
        ended = replace(self.held("rejected", 2), until=utc_now() - timedelta(hours=1))
        faults = [self.held("no_price", second) for second in range(3, 9)]
        records.save_held_prices([self.held("waits", second) for second in range(3)])
        records.save_held_prices([lasts, ended, *faults])
        assert [row.at.second for row in HeldPrice.objects.all()] == [8, 7, 1, 0]

    def test_what_becomes_of_it_is_stored_after_the_symbol_was_renamed(self):
        listed("AAPL")
        records.save_held_prices([self.held()])
        rename(Symbol.objects.get(), "APPLE")
        records.save_held_prices([self.held("dropped")])
        rows = HeldPrice.objects.values_list("symbol__code", "outcome")
        assert list(rows) == [("APPLE", "dropped")]

    def test_a_new_feed_goes_on_with_the_newest_that_waits_and_with_rejections(self):
        for code in ("AAPL", "MSFT", "TSLA"):
            listed(code)
        of_microsoft = self.held(second=9)
        of_microsoft = replace(of_microsoft, quote=replace(of_microsoft.quote, symbol="MSFT"))
        of_tesla = replace(self.held(), quote=replace(self.held().quote, symbol="TSLA"))
        ends = utc_now() + timedelta(hours=1)
        rejected = replace(self.held("rejected", 1), until=ends, limit=Decimal("0.3"))
        ended = replace(self.held("rejected", 2), until=utc_now() - timedelta(seconds=1))
        waiting = [self.held(second=5), replace(self.held(second=6), limit=Decimal("0.3"))]
        waited = [replace(each, outcome="waits", until=None) for each in (rejected, ended)]
        records.save_held_prices([*waited, *waiting, of_microsoft, of_tesla])
        records.save_held_prices([rejected, ended])
        Symbol.objects.filter(code="AAPL").update(code="APPLE")
        found = records.resume_held_prices(NOON + timedelta(seconds=1))
        assert [(each.quote.symbol, each.quote.received_at.second) for each in found] == [
            ("APPLE", 1), ("APPLE", 6), ("MSFT", 9),
        ]  # fmt: skip
        assert replace(found[0], quote=rejected.quote) == rejected
        assert [replace(each, quote=waiting[1].quote) for each in found[1:2]] == waiting[1:]
        dropped = HeldPrice.objects.filter(outcome="dropped").values_list("symbol__code", "at")
        assert {(code, at.second) for code, at in dropped} == {("APPLE", 5), ("TSLA", 0)}

    @pytest.mark.parametrize("outcome", ["accepted", "rejected"])
    def test_one_that_was_deleted_does_not_come_back_with_a_decision(self, outcome: str):
        listed("AAPL")
        records.save_held_prices([self.held()])
        HeldPrice.objects.all().delete()
        records.save_held_prices([self.held(outcome), self.held("waits", 1)])
        rows = HeldPrice.objects.values_list("at__second", "outcome")
        assert list(rows) == [(1, "waits")]

    def test_a_symbol_that_was_deleted_has_none(self):
        records.save_held_prices([self.held()])
        assert not HeldPrice.objects.exists()


def test_the_requests_of_a_month_are_counted():
    records.add_uses({"coingecko": ("2026-10", 900), "alpaca": ("2026-11", 1)})
    records.add_uses({"coingecko": ("2026-11", 7)})
    records.add_uses({"coingecko": ("2026-11", 2)})  # from another process
    records.add_uses({"coingecko": ("2026-10", 5)})  # from one that hung since last month
    assert records.load_uses() == {"coingecko": ("2026-11", 9), "alpaca": ("2026-11", 1)}
