"""The list of symbols in the admin shows life: prices, their sources, and what needs attention."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_admin import house, staff
from tests.servers import Site

__all__ = ["house", "staff"]  # fixtures
pytestmark = [pytest.mark.browser, pytest.mark.server]


def test_prices_in_the_list_of_symbols_move_and_can_be_filtered(house: Site, staff: Page):
    complaints: list[str] = []
    staff.on("console", lambda message: complaints.append(message.text))
    staff.goto(f"{house.url}/admin/quotes/symbol/?q=BTC-USD")
    row = staff.locator("#result_list tbody tr:has([data-symbol='BTC-USD'])")
    price = row.locator(".field-last data")
    before = price.get_attribute("value") or ""
    expect(price).not_to_have_attribute("value", before)
    expect(row.locator(".field-state")).to_have_text("Simulated market")
    expect(staff.locator(".list-foot")).to_contain_text("Live")
    expect(staff.locator(".list-foot")).to_contain_text("SIMULATED – not real prices")
    staff.get_by_role("link", name="on no board").click()
    expect(staff.get_by_text("Nothing matches.")).to_be_visible()
    assert complaints == []


ROWS = """
from datetime import timedelta
from django.utils import timezone
from quotes.models import HeldPrice, Override, Symbol
bitcoin, now = Symbol.objects.get(code="BTC-USD"), timezone.now()
given = {"provider": "simulated", "currency": "USD", "last": "1", "outcome": "dropped"}
for minutes in (1, 2):
    HeldPrice.objects.create(symbol=bitcoin, at=now - timedelta(minutes=minutes), **given)
ends = now + timedelta(days=1)
Override.objects.create(symbol=bitcoin, kind="note", label="Fork at 22:00", ends=ends)
"""


@pytest.mark.parametrize(("name", "rows"), [("heldprice", 2), ("override", 1)])
def test_prices_in_other_lists_move_in_each_row_of_a_symbol(
    house: Site, staff: Page, name: str, rows: int
):
    clean = "HeldPrice.objects.all().delete(); Override.objects.all().delete()"
    house.manage("shell", "-c", ROWS)
    try:
        staff.goto(f"{house.url}/admin/quotes/{name}/?q=BTC-USD")
        prices = staff.locator("#result_list .field-now [data-symbol='BTC-USD'] data")
        expect(prices).to_have_count(rows)
        for price in prices.all():
            expect(price).not_to_have_attribute("value", price.get_attribute("value") or "")
        expect(staff.locator(".field-now .state").first).to_have_text("Simulated market")
        expect(staff.locator(".list-foot")).to_contain_text("Live")
    finally:
        house.manage("shell", "-c", f"from quotes.models import *; {clean}")
