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


def test_the_tools_of_a_list_and_its_foot_begin_where_the_list_begins(house: Site, staff: Page):
    staff.set_viewport_size({"width": 390, "height": 844})
    staff.goto(f"{house.url}/admin/quotes/symbol/")
    title, live = staff.locator("#content h1"), staff.locator(".list-foot .pulse-well")
    expect(live).to_be_visible()
    left = [each.bounding_box() for each in (title, live, *staff.locator(".object-tools a").all())]
    rows = {box["y"]: box["x"] for box in reversed(left) if box}  # the first one of each line
    assert len(rows) >= 4
    assert set(rows.values()) == {left[0]["x"] if left[0] else None}
