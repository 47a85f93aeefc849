"""An operator accepts a held price in the admin: open pages show it by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import STAFF, OpenTab
from tests.browser.test_admin import assert_by_socket
from tests.browser.test_admin_pages import sign_in
from tests.servers import Site, Stub, site

pytestmark = [pytest.mark.browser, pytest.mark.server]


@pytest.fixture
def exchange() -> Iterator[Stub]:
    """A stub of Coinbase."""
    stub = Stub()
    yield stub
    stub.stop()


@pytest.fixture
def office(tmp_path: Path, few_symbols: Path, exchange: Stub) -> Iterator[Site]:
    """A site with prices of the stub."""
    with site(tmp_path, few_symbols, **exchange.settings, **STAFF) as running:
        running.manage("createsuperuser", "--noinput")
        yield running


def test_an_accepted_price_reaches_open_pages_by_itself(office: Site, exchange: Stub, tab: OpenTab):
    exchange.tick("64001.50")
    board = tab(office.url + "/boards/crypto/").live()
    board.until(lambda: board.value("BTC-USD") == "64001.50", "the price of the exchange")
    staff = tab(office.url + "/admin/").page
    sign_in(staff)
    exchange.tick("119801.25")
    row = staff.locator("tr", has=staff.get_by_role("link", name="BTC-USD"))
    staff.goto(office.url + "/admin/quotes/heldprice/")
    while row.count() == 0:  # it is written within a second
        staff.reload()
    assert board.value("BTC-USD") == "64001.50"
    row.get_by_role("link", name="BTC-USD").click()
    staff.get_by_role("button", name="Accept").focus()
    staff.keyboard.press("Enter")
    board.until(lambda: board.value("BTC-USD") == "119801.25", "the accepted price")
    expect(staff.locator(".messagelist")).to_contain_text("was sent to the feed for 1 price")
    assert_by_socket(board)
    assert board.complaints == []
