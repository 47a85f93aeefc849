"""The list of symbols finds those that need an operator."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from quotes.feed import records
from quotes.models import Board, BoardSymbol, HeldPrice, ProviderSymbol, Symbol

PATH = "/admin/quotes/symbol/"


def found(client: Client, needs: str) -> list[str]:
    response = client.get(PATH, {"needs": needs})
    return sorted(each.code for each in response.context["cl"].result_list)


def symbol(code: str, **more: Any) -> Symbol:
    given = {"name": code.title(), "kind": "stock", "exchange": "NASDAQ", "currency": "USD"}
    return Symbol.objects.create(code=code, **given | more)


@pytest.mark.django_db
class TestWithoutTheFeed:
    @pytest.fixture(autouse=True)
    def coinbase(self, settings: Any) -> None:
        settings.QUOTES = settings.QUOTES | {"PROVIDERS": ["coinbase"]}

    def test_symbols_without_a_code_for_a_provider_of_the_site(self, admin_client: Client):
        ProviderSymbol.objects.create(symbol=symbol("GOOD"), provider="coinbase", code="GOOD")
        ProviderSymbol.objects.create(symbol=symbol("ELSE"), provider="kraken", code="ELSE")
        symbol("BAD")
        symbol("OFF", active=False)
        assert found(admin_client, "provider") == ["BAD", "ELSE"]

    def test_symbols_of_an_exchange_without_hours(self, admin_client: Client):
        symbol("GOOD")
        symbol("MOON", exchange="MOON")
        symbol("BTC-USD", kind="crypto", exchange="WHATEVER")
        symbol("NONE", exchange="")
        assert found(admin_client, "hours") == ["MOON"]

    def test_symbols_on_no_board(self, admin_client: Client):
        board = Board.objects.create(slug="b", title="B")
        BoardSymbol.objects.create(board=board, symbol=symbol("GOOD"))
        symbol("ALONE")
        assert found(admin_client, "board") == ["ALONE"]

    def test_symbols_without_a_price(self, admin_client: Client, make_quote: Callable[..., Any]):
        symbol("GOOD")
        symbol("NONE")
        records.save_last_quotes({"GOOD": ((1, 1), make_quote("GOOD", "101"))})
        assert found(admin_client, "price") == ["NONE"]

    def test_symbols_whose_price_waits_for_a_second_sample(self, admin_client: Client):
        for code, outcome in (("WAITS", "waits"), ("OVER", "confirmed")):
            HeldPrice.objects.create(
                symbol=symbol(code), at=timezone.now(), provider="coinbase", last="1",
                currency="USD", outcome=outcome,
            )  # fmt: skip
        symbol("GOOD")
        assert found(admin_client, "held") == ["WAITS"]

    def test_symbols_that_may_be_listed_twice(self, admin_client: Client):
        for code in ("BRK-B", "BRK.B", "brk b", "BRK-A", "BTC-USD", "BTC-EUR", "XBT", "ETH-USD"):
            symbol(code, currency="EUR" if code == "BTC-EUR" else "USD")
        symbol("BRKB", active=False)
        for code in ("BTC-USD", "XBT", "BTC-EUR"):
            of = Symbol.objects.get(code=code)
            ProviderSymbol.objects.create(symbol=of, provider="coingecko", code="bitcoin")
        of = Symbol.objects.get(code="ETH-USD")
        ProviderSymbol.objects.create(symbol=of, provider="kraken", code="bitcoin")
        assert found(admin_client, "duplicate") == ["BRK-B", "BRK.B", "BTC-USD", "XBT", "brk b"]

    def test_many_duplicates_cost_as_many_queries_as_two(self, admin_client: Client):
        counts = []
        for first, last in ((0, 1), (1, 25)):  # a page has 50 rows
            for number in range(first, last):
                symbol(f"A-{number}")
                symbol(f"A.{number}")
            with CaptureQueriesContext(connection) as captured:
                assert len(found(admin_client, "duplicate")) == 2 * last
            counts.append(len(captured))
        assert counts[0] == counts[1]

    def test_an_unknown_need_and_none_show_all(self, admin_client: Client):
        symbol("GOOD")
        assert found(admin_client, "money") == ["GOOD"]
        assert found(admin_client, "stale") == []  # this process has no prices


async def test_symbols_with_a_stale_price_or_one_of_a_fallback(
    live_parts: Any, make_quote: Callable[..., Any], admin_client: Client, settings: Any
):
    settings.QUOTES = settings.QUOTES | {"PROVIDERS": ["coinbase", "kraken"]}
    for code in ("GOOD", "OLD", "SECOND"):
        made = await sync_to_async(symbol)(code, kind="crypto", exchange="")
        for provider in ("coinbase", "kraken"):
            await ProviderSymbol.objects.acreate(symbol=made, provider=provider, code=code)
    await sync_to_async(symbol)("NONE", kind="crypto", exchange="")
    await live_parts.reload()
    now = timezone.now()
    old = now - timedelta(hours=1)
    quotes = [
        make_quote("GOOD", Decimal(1), provider="coinbase", received_at=now),
        make_quote("OLD", Decimal(1), provider="coinbase", received_at=old),
        make_quote("SECOND", Decimal(1), provider="kraken", received_at=now),
    ]
    live_parts.put([((1, 1), each) for each in quotes])
    assert await sync_to_async(found)(admin_client, "stale") == ["OLD"]
    assert await sync_to_async(found)(admin_client, "fallback") == ["SECOND"]
    assert await sync_to_async(found)(admin_client, "provider") == ["NONE"]
