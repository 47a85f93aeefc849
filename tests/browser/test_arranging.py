"""The symbols of a board are changed as docs/operations.md describes it, and open pages follow."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenTab
from tests.browser.day import steps
from tests.browser.test_admin import assert_by_socket, house, staff
from tests.servers import Site

__all__ = ["house", "staff"]  # fixtures
pytestmark = [pytest.mark.browser, pytest.mark.server]

TASK = "How do I change the symbols of a board?"


def test_a_board_is_changed_in_the_steps_of_the_document(house: Site, staff: Page, tab: OpenTab):
    board = tab(house.url + "/boards/crypto/").live()
    first, second, third, fourth, fifth = board.rows()[:5]
    board.mark(fifth)
    (boards, search), (add, after), (move,), (remove,), (save,) = steps(TASK)
    staff.get_by_role("navigation", name="Sections").get_by_role("link", name=boards).click()
    staff.get_by_role("link", name="symbols on Crypto").click()
    staff.get_by_label(add).fill("AAPL, msft")
    staff.get_by_label(after, exact=False).last.fill(first)
    staff.get_by_label(f"{move}: {third}", exact=True).fill("1")
    staff.get_by_label(f"{remove}: {second}", exact=True).check()
    staff.get_by_role("button", name=save, exact=True).click()
    expect(staff.locator(".messagelist .success")).to_contain_text("Added: AAPL (3), MSFT (4).")
    expected = [third, first, "AAPL", "MSFT", fourth, fifth]
    board.until(lambda: board.rows()[:6] == expected, "the new order")
    board.moves("AAPL")
    assert board.same(fifth)
    assert_by_socket(board)
    assert board.complaints == []
    staff.get_by_label(search).fill(fifth)
    staff.keyboard.press("Enter")
    expect(staff.locator("#places tbody tr")).to_have_count(1)
    staff.get_by_label(f"{move}: {fifth}", exact=True).fill("1")
    staff.keyboard.press("Enter")
    board.until(lambda: board.rows()[0] == fifth, "the found row at the top")
