"""A symbol that is renamed or merged in the admin: open pages follow, and old ones find it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenTab
from tests.browser.test_admin import assert_by_socket, house, looks_live, save, staff
from tests.servers import Site

__all__ = ["house", "staff"]  # fixtures
pytestmark = [pytest.mark.browser, pytest.mark.server]


def open_form(staff: Page, house: Site, code: str) -> None:
    """Open the form of a symbol in the admin."""
    staff.goto(f"{house.url}/admin/quotes/symbol/?q={code}")
    staff.get_by_role("link", name=code, exact=True).click()


def test_open_pages_follow_a_renamed_symbol(house: Site, staff: Page, tab: OpenTab):
    board = tab(house.url + "/boards/crypto/").live()
    embed = tab(house.url + "/embed/quotes/?symbols=SOL-USD,BTC-USD").live()
    symbol = tab(house.url + "/symbols/SOL-USD/").live()
    place = board.rows().index("SOL-USD")
    pages = (board, embed, symbol)
    last = symbol.value("SOL-USD")
    open_form(staff, house, "SOL-USD")
    staff.locator("input[name=code]").fill("SOLANA-USD")
    save(staff)
    try:
        for page in pages:
            page.until(lambda page=page: looks_live(page, "SOLANA-USD"), "the new code")
            page.moves("SOLANA-USD")
            expect(page.row("SOL-USD")).to_have_count(0)
            assert_by_socket(page)
            assert page.complaints == []
        assert board.rows().index("SOLANA-USD") == place
        price = float(symbol.value("SOLANA-USD"))
        assert abs(price / float(last) - 1) < 0.05  # the simulated market goes on
        expect(symbol.page.get_by_role("heading", level=1)).to_contain_text("SOLANA-USD")
        expect(symbol.page.locator(".quotes-chart .now")).to_be_visible()
        expect(symbol.page.locator(".quotes-chart")).to_have_attribute(
            "aria-label", re.compile("^SOLANA-USD")
        )
        old = tab(house.url + "/symbols/SOL-USD/?range=5d").live()
        assert old.page.url == house.url + "/symbols/SOLANA-USD/?range=5d"
    finally:
        open_form(staff, house, "SOLANA-USD")
        staff.locator("input[name=code]").fill("SOL-USD")
        save(staff)
    for page in pages:
        page.until(lambda page=page: looks_live(page, "SOL-USD"), "the old code again")
    assert old.page.reload().url == house.url + "/symbols/SOL-USD/?range=5d"


def test_a_merge_shows_what_moves_and_open_pages_follow(house: Site, staff: Page, tab: OpenTab):
    embed = tab(house.url + "/embed/quotes/?symbols=LTC-USD,BTC-USD").live()
    open_form(staff, house, "LTC-USD")
    staff.get_by_role("link", name="Merge into another symbol").click()
    staff.locator(".select2-selection").focus()
    staff.keyboard.press("Enter")
    expect(staff.locator(".select2-search__field")).to_be_focused()
    staff.keyboard.type("BCH-USD")
    expect(staff.locator(".select2-results__option--highlighted")).to_have_text("BCH-USD")
    staff.keyboard.press("Enter")
    staff.get_by_role("button", name="Show what will move").press("Enter")
    parts = staff.get_by_role("row")
    expect(parts.filter(has_text="Places on boards")).to_have_text(
        re.compile(r"Places on boards\s*0\s*1")
    )
    staff.get_by_role("button", name="Merge LTC-USD into BCH-USD").press("Enter")
    expect(staff.locator(".messagelist .success")).to_contain_text(
        "“LTC-USD” was merged into “BCH-USD”, and its code now leads there."
    )
    embed.until(lambda: looks_live(embed, "BCH-USD"), "the symbol that stays")
    embed.moves("BCH-USD")
    expect(embed.row("LTC-USD")).to_have_count(0)
    assert_by_socket(embed)
    expect(tab(house.url + "/symbols/LTC-USD/").live().row("BCH-USD").first).to_be_visible()
