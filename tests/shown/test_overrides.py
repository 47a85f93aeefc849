"""Overrides of the staff: pages show them for some time, and nothing else knows them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import ValidationError
from django.template import Context, Template
from django.test import AsyncClient
from django.utils import timezone
from django.utils.html import escape

from quotes.boards import BoardQuery, BoardView, select
from quotes.models import Override, Symbol
from quotes.orders import Orders
from tests.market import tell
from tests.servers import until
from tests.sockets import Page, opened

HOUR = timedelta(hours=1)
PAGES = ("/symbols/AAPL/", "/embed/quotes/?symbols=AAPL")


@pytest.fixture
async def apple(live_parts: Any, make_quote: Callable[..., Any]) -> Symbol:
    """AAPL, at 101 of 100, and MSFT without a price, on pages that follow a clock of the test."""
    given = {"kind": "stock", "currency": "USD"}
    symbol = await Symbol.objects.acreate(code="AAPL", name="Apple", **given)
    await Symbol.objects.acreate(code="MSFT", name="Microsoft", **given)
    await until(lambda: len(live_parts.store.states) == 2)
    quote = make_quote("AAPL", "101", bid="100.9", received_at=live_parts.store.clock())
    await tell(live_parts, quote)
    return symbol


async def override(symbol: Symbol, **given: Any) -> Override:
    """Override a symbol for an hour from now on."""
    now = timezone.now()
    times = {"begins": now - timedelta(seconds=1), "ends": now + HOUR}
    return await Override.objects.acreate(symbol=symbol, **times | given)


async def received(page: Page, words: str) -> str:
    """Return the first message to a page that has these words."""
    message = ""
    while words not in message:
        message = await page.receive_from()
    return message


def last(html: str, code: str) -> str:
    """The price of a symbol on a page or in a message, for machines."""
    found = re.search(rf'data-symbol="{code}".*?<data [^>]*value="([^"]*)"', html, re.DOTALL)
    assert found
    return found[1]


async def test_a_fixed_price_is_shown_everywhere_with_its_label(apple: Symbol, live_parts: Any):
    page, first = await opened("/ws/quotes/?symbols=AAPL&price=AAPL&panel=AAPL")
    assert last(first, "AAPL") == "101"
    set_by = {"kind": "price", "price": Decimal("54.2"), "label": "Takeover at 54.20"}
    await override(apple, **set_by)
    message = await received(page, "Takeover at 54.20")
    assert last(message, "AAPL") == "54.2"
    assert "100.9" not in message
    client = AsyncClient()
    for path in ("/symbols/AAPL/", "/embed/quotes/?symbols=AAPL", "/live/?price=AAPL"):
        html = (await client.get(path)).content.decode()
        assert last(html, "AAPL") == "54.2", path
        assert "Takeover at 54.20" in html, path
    tags = '{% load quotes %}{% live_quote "AAPL" %} {% static_quote "AAPL" text=True %}'
    text = Template(tags).render(Context())
    assert text.count("54.20") >= 2
    assert "(Takeover at 54.20, " in text
    await page.disconnect()


async def test_nothing_but_pages_knows_a_fixed_price(
    apple: Symbol, live_parts: Any, make_quote: Callable[..., Any]
):
    await override(apple, kind="price", price=54)
    await until(lambda: live_parts.store.states["AAPL"].override)
    await tell(live_parts, make_quote("AAPL", "102", received_at=live_parts.store.clock()))
    assert live_parts.store.states["AAPL"].quote.last == 102
    assert (await AsyncClient().get("/healthz")).content == b"ok"
    board = BoardView("b", "B", ("AAPL", "MSFT"))
    chosen = select(board, live_parts.store.states, BoardQuery(sort="last"), 50, Orders())
    assert chosen.codes == ("AAPL", "MSFT")
    live_parts.store.mark_moves(["AAPL"])
    assert live_parts.store.flashes(["AAPL"], 0.25) == {}


async def test_a_halt_and_a_note_leave_the_price(apple: Symbol, live_parts: Any):
    page, _ = await opened("/ws/quotes/?symbols=AAPL")
    halt = await override(apple, kind="halted")
    message = await received(page, "Halted")
    assert last(message, "AAPL") == "101"
    assert 'data-exception="halted"' in message
    halt.kind, halt.label = "note", "Results at 22:00"
    await halt.asave()
    message = await received(page, "Results at 22:00")
    assert last(message, "AAPL") == "101"
    assert "Halted" not in message
    await page.disconnect()


async def test_a_label_is_text_wherever_it_is_shown(apple: Symbol, live_parts: Any):
    label = """<b>"it's</b>&{{ x }}"""
    await override(apple, kind="note", label=label)
    await until(lambda: live_parts.store.states["AAPL"].override)
    page, first = await opened("/ws/quotes/?symbols=AAPL&price=AAPL&panel=AAPL")
    html = [(await AsyncClient().get(path)).content.decode() for path in PAGES]
    tags = '{% load quotes %}{% live_quote "AAPL" %}{% static_quote "AAPL" %}'
    for each in (first, *html, Template(tags).render(Context())):
        assert "<b>&quot;" not in each
        assert '<b>"' not in each
        assert escape(label) in each
    await page.disconnect()


async def test_a_symbol_without_a_price_can_have_a_fixed_one(apple: Symbol, live_parts: Any):
    page, _ = await opened("/ws/quotes/?symbols=MSFT")
    other = await Symbol.objects.aget(code="MSFT")
    await override(other, kind="price", price=7)
    message = await received(page, "Fixed price")
    assert last(message, "MSFT") == "7"
    await page.disconnect()


async def test_open_pages_show_an_override_from_its_beginning_to_its_end(
    apple: Symbol, live_parts: Any
):
    page, _ = await opened("/ws/quotes/?symbols=AAPL")
    now = timezone.now()
    times = {"begins": now + HOUR, "ends": now + 2 * HOUR}
    await override(apple, kind="price", price=54, label="Fixed", **times)
    await until(lambda: live_parts.store.overrides)
    assert live_parts.store.states["AAPL"].override is None
    clock(live_parts, now + HOUR)
    assert last(await received(page, "Fixed"), "AAPL") == "54"
    clock(live_parts, now + 2 * HOUR)
    assert last(await received(page, 'value="101"'), "AAPL") == "101"
    await page.disconnect()


def clock(parts: Any, now: datetime) -> None:
    parts.store.clock = lambda: now


async def test_an_override_that_is_deleted_leaves_open_pages(apple: Symbol, live_parts: Any):
    page, _ = await opened("/ws/quotes/?price=AAPL")
    fixed = await override(apple, kind="price", price=54)
    await received(page, 'value="54"')
    await sync_to_async(fixed.delete)()
    await received(page, 'value="101"')
    await page.disconnect()


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"kind": "price"}, "Enter the price that pages show."),
        ({"kind": "halted", "price": 5}, "Only a fixed price has a price."),
        ({"kind": "note"}, "Enter the text of the note."),
        ({"kind": "price", "price": 0}, "greater than or equal to"),
        ({"kind": "halted", "ends": -HOUR}, "This time must be later than the beginning."),
        ({"kind": "halted", "ends": timedelta(0)}, "This time must be later than the beginning."),
        ({"kind": "note", "label": "a\u202eb"}, "Remove the character U+202E."),
    ],
)
def test_an_invalid_override_is_refused_with_a_reason(db: None, given: dict[str, Any], error: str):
    symbol = Symbol.objects.create(code="AAPL", name="Apple", kind="stock", currency="USD")
    now = timezone.now()
    ends = now + given.pop("ends", HOUR)
    with pytest.raises(ValidationError) as refused:
        Override(symbol=symbol, begins=now, ends=ends, **given).full_clean()
    assert error in " ".join(refused.value.messages)


def test_a_symbol_has_one_override_at_a_time(db: None):
    symbol = Symbol.objects.create(code="AAPL", name="Apple", kind="stock", currency="USD")
    now = timezone.now()
    Override.objects.create(symbol=symbol, kind="halted", begins=now, ends=now + 2 * HOUR)
    again = Override(symbol=symbol, kind="halted", begins=now + HOUR, ends=now + 3 * HOUR)
    with pytest.raises(ValidationError, match="already has an override in this time, from"):
        again.full_clean()
    again.begins = now + 2 * HOUR
    again.full_clean()
