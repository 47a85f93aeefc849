"""An override that the staff sets in the admin: open pages show it until it ends."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenTab
from tests.browser.test_admin import assert_by_socket, house, save, staff
from tests.servers import Site

__all__ = ["house", "staff"]  # fixtures
pytestmark = [pytest.mark.browser, pytest.mark.server]


def fill_in(staff: Page, house: Site, code: str, **fields: str) -> None:
    """Add an override of a symbol that ends on another day."""
    staff.goto(house.url + "/admin/quotes/override/add/")
    staff.locator(".select2-selection").click()
    expect(staff.locator(".select2-search__field")).to_be_focused()
    staff.keyboard.type(code)
    staff.locator(".select2-results__option").get_by_text(code, exact=True).click()
    staff.locator("select[name=kind]").select_option(fields.pop("kind"))
    for name, value in ({"ends_0": "2099-12-31", "ends_1": "12:00"} | fields).items():
        staff.locator(f"input[name={name}]").fill(value)
    save(staff)


def test_open_pages_show_a_fixed_price_until_it_is_ended(house: Site, staff: Page, tab: OpenTab):
    board = tab(house.url + "/boards/crypto/").live()
    embed = tab(house.url + "/embed/quotes/?symbols=ETH-USD,BTC-USD").live()
    symbol = tab(house.url + "/symbols/ETH-USD/").live()
    pages = (board, embed, symbol)
    fill_in(staff, house, "ETH-USD", kind="price", price="1234.5", label="Takeover at 1,234.50")
    for page in pages:
        page.until(lambda page=page: page.value("ETH-USD") == "1234.5", "the fixed price")
        label = page.row("ETH-USD").first.get_by_text("Takeover at 1,234.50")
        expect(label.locator("visible=true").first).to_be_visible()
        assert_by_socket(page)
        assert page.complaints == []
    embed.moves("BTC-USD")
    assert embed.value("ETH-USD") == "1234.5"
    chart = symbol.page.locator(".quotes-chart .tag text").first
    assert chart.text_content() != "1,234.50"
    staff.goto(house.url + "/admin/quotes/override/")
    staff.locator("#action-toggle").check()
    staff.locator("select[name=action]").select_option("end_now")
    staff.get_by_role("button", name="Go").click()
    expect(staff.locator(".messagelist")).to_contain_text("1 override ended.")
    for page in pages:
        page.until(lambda page=page: page.value("ETH-USD") != "1234.5", "the price again")
        page.moves("ETH-USD")
        assert_by_socket(page)
