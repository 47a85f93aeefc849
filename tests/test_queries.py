"""Pages of the admin read as often from the database for many rows as for few."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from quotes.models import (
    Board,
    BoardSymbol,
    HeldPrice,
    MarketDay,
    Override,
    ProviderSymbol,
    Split,
    Symbol,
)

pytestmark = pytest.mark.django_db

PAGES = (
    "",
    "symbol/",
    "symbol/?q=share",
    "symbol/?needs=provider",
    "symbol/?needs=hours",
    "symbol/?needs=held",
    "symbol/?o=7.-2",
    "board/",
    "heldprice/",
    "override/",
    "marketday/",
    "symbol/find/?q=s0",
    "symbol/{symbol}/change/",
    "symbol/{symbol}/delete/",
    "symbol/{symbol}/merge/",
    "board/{board}/symbols/",
    "board/{board}/change/",
)
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


def add_rows(first: int, last: int) -> None:
    """Add symbols with all that belongs to them, on two boards."""
    boards = [Board.objects.get_or_create(slug=slug, title=slug)[0] for slug in ("a", "b")]
    known = {"provider": "coinbase", "currency": "USD"}
    for number in range(first, last):
        code = f"S{number:02}-USD"
        symbol = Symbol.objects.create(code=code, name="A share", kind="crypto", currency="USD")
        ProviderSymbol.objects.create(symbol=symbol, provider="coinbase", code=code)
        for board in boards:
            BoardSymbol.objects.create(board=board, symbol=symbol, position=number)
        Split.objects.create(symbol=symbol, day=AT.date(), new=4)
        HeldPrice.objects.create(symbol=symbol, at=AT, last="9", before="3", **known)
        Override.objects.create(symbol=symbol, kind="note", label="A note", begins=AT, ends=AT)
        MarketDay.objects.create(venue="XNAS", day=AT.replace(day=1 + number).date())


def queries(client: Client, path: str) -> int:
    """Return the number of statements that a page needs."""
    keys = {"symbol": Symbol.objects.earliest("pk").pk, "board": Board.objects.earliest("pk").pk}
    with CaptureQueriesContext(connection) as captured:
        assert client.get("/admin/quotes/" + path.format(**keys)).status_code == 200
    return len(captured)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_needs_no_query_per_row(admin_client: Client, path: str):
    add_rows(0, 3)
    few = queries(admin_client, path)
    add_rows(3, 30)
    assert queries(admin_client, path) <= few
