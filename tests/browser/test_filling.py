"""A board gets a rule in its form, on a phone and on a desk, and an open page follows."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenTab
from tests.browser.test_admin import assert_by_socket, house, staff
from tests.servers import Site

__all__ = ["house", "staff"]  # fixtures
pytestmark = [pytest.mark.browser, pytest.mark.server]

LIST, ALL = "a list that you arrange by hand", "all symbols that meet the conditions"


def assert_fits(page: Page) -> None:
    """Nothing of a page is wider than its window."""
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_a_list_becomes_a_rule_and_a_list_again(house: Site, staff: Page, tab: OpenTab, width: int):
    staff.set_viewport_size({"width": width, "height": 900})
    board = tab(house.url + "/boards/crypto/").live()
    before = board.rows()
    staff.get_by_role("navigation", name="Sections").get_by_role("link", name="Boards").click()
    staff.locator("#result_list").get_by_role("link", name="Crypto", exact=True).click()
    assert_fits(staff)
    staff.get_by_label(ALL).check()
    staff.get_by_label("ETF", exact=True).check()
    staff.get_by_label("Exchange").select_option("NASDAQ")
    staff.get_by_role("button", name="Show what the rule finds").click()
    expect(staff.locator("#preview")).to_contain_text("Nothing is saved yet.")
    found = staff.locator("#preview tbody th").all_inner_texts()
    assert 0 < len(found) <= 10
    assert_fits(staff)
    assert board.rows() == before
    staff.get_by_role("button", name="Save", exact=True).click()
    expect(staff.locator(".errornote")).to_be_visible()
    lose = staff.get_by_label("Remove these symbols from the list, and save")
    lose.check()
    assert_fits(staff)
    staff.get_by_label("Title").press("Enter")  # saves, and does not only look
    expect(staff.locator(".messagelist .success")).to_be_visible()
    board.until(lambda: board.rows() == found, "the symbols of the rule")
    board.any_moves()
    assert_by_socket(board)
    assert board.complaints == []
    staff.locator("#result_list").get_by_role("link", name="Crypto", exact=True).click()
    staff.get_by_label(LIST).check()
    staff.get_by_role("button", name="Save", exact=True).click()
    expect(staff.locator(".messagelist")).to_contain_text(f"keeps the {len(found)} symbols")
    staff.get_by_role("link", name=f"{len(found)} symbols on Crypto").click()
    expect(staff.get_by_label(f"Move to: {found[0]}", exact=True)).to_be_visible()
    assert_fits(staff)
    assert board.rows() == found


@pytest.mark.parametrize("width", [390, 1280])
def test_what_the_rule_of_a_new_board_finds_comes_into_view(house: Site, staff: Page, width: int):
    staff.set_viewport_size({"width": width, "height": 700})
    staff.goto(house.url + "/admin/quotes/board/add/")
    staff.get_by_label("Title").fill("All funds")
    staff.get_by_label(ALL).check()
    staff.get_by_role("button", name="Show what the rule finds").press("Enter")
    expect(staff.locator("#found")).to_be_in_viewport()
    expect(staff.get_by_label("Title")).to_have_value("All funds")
    expect(staff.get_by_label("Title")).not_to_be_focused()
