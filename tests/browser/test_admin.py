"""Changes that the staff makes in the admin reach open pages by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SEEDED, STAFF, OpenTab
from tests.browser.tab import Tab
from tests.servers import Site, site

pytestmark = [pytest.mark.browser, pytest.mark.server]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, database_template: Path) -> Iterator[Site]:
    """A site whose symbols and boards these tests may change."""
    folder = tmp_path_factory.mktemp("house")
    with site(folder, database_template, "daphne", **SEEDED, **STAFF) as running:
        running.manage("createsuperuser", "--noinput")
        yield running


@pytest.fixture
def staff(house: Site, tab: OpenTab) -> Page:
    """The admin, with Alice signed in."""
    page = tab(house.url + "/admin/").page
    page.get_by_label("Username").fill(STAFF["DJANGO_SUPERUSER_USERNAME"])
    page.get_by_label("Password").fill(STAFF["DJANGO_SUPERUSER_PASSWORD"])
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/")
    return page


def save(page: Page) -> None:
    """Save the form that the admin shows."""
    page.get_by_role("button", name="Save", exact=True).first.click()
    expect(page.locator(".messagelist .success")).to_be_visible()


def switch(staff: Page, house: Site, code: str, *, active: bool) -> None:
    """Switch a symbol on or off in the list of symbols."""
    staff.goto(f"{house.url}/admin/quotes/symbol/?q={code}")
    row = staff.locator("tr", has=staff.get_by_role("link", name=code, exact=True))
    row.locator("input[type=checkbox][name$='-active']").set_checked(active)
    save(staff)


def assert_by_socket(page: Tab) -> None:
    """Fail if a page was loaded again, or fetched quotes over HTTP."""
    assert page.loads == 1
    assert "/live/" not in page.asked


def test_a_symbol_switched_off_vanishes_and_switched_on_stands_where_it_stood(
    house: Site, staff: Page, tab: OpenTab
):
    board = tab(house.url + "/boards/crypto/").live()
    rows, count = board.rows(), board.page.locator(".count")
    expect(count).to_contain_text("111 symbols")
    board.mark("BTC-USD")
    board.row("BTC-USD").get_by_role("link").focus()
    switch(staff, house, "ETH-USD", active=False)
    expect(board.row("ETH-USD")).to_have_count(0)
    expect(count).to_contain_text("110 symbols")
    assert_by_socket(board)
    assert board.rows()[:3] == ["BTC-USD", "SOL-USD", "XRP-USD"]
    board.moves("SOL-USD")
    switch(staff, house, "ETH-USD", active=True)
    expect(board.row("ETH-USD")).to_have_count(1)
    expect(count).to_contain_text("111 symbols")
    assert_by_socket(board)
    assert board.rows() == rows
    board.moves("ETH-USD")
    assert board.same("BTC-USD")
    assert board.loads == 1
    assert board.page.evaluate("document.activeElement.innerText").startswith("BTC-USD")
    assert board.complaints == []


def test_a_symbol_switched_off_does_not_go_on_looking_live_elsewhere(
    house: Site, staff: Page, tab: OpenTab
):
    front = tab(house.url + "/").live()
    embed = tab(house.url + "/embed/quotes/?symbols=BTC-USD,ETH-USD").live()
    symbol = tab(house.url + "/symbols/ETH-USD/").live()
    switch(staff, house, "ETH-USD", active=False)
    try:
        for page in (front, embed):
            gone = page.page.get_by_text(re.compile("Unknown symbols?: ETH-USD"))
            expect(gone.locator("visible=true").first).to_be_visible()
            assert not looks_live(page, "ETH-USD"), page.page.url
        expect(symbol.page.get_by_role("alert")).to_have_text("This symbol is no longer shown.")
        expect(symbol.page.get_by_text("ETH-USD").locator("visible=true")).to_have_count(1)
        for drawn in (".quotes-chart", ".compare"):
            expect(symbol.page.locator(drawn)).to_be_hidden()
    finally:
        switch(staff, house, "ETH-USD", active=True)
    expect(symbol.page.locator(".quotes-chart")).to_be_visible()
    for page in (front, embed, symbol):
        page.until(lambda page=page: looks_live(page, "ETH-USD"), "back again")
        page.moves("ETH-USD")
    expect(embed.row("ETH-USD").locator(".quotes-spark path").last).to_be_visible()


def test_a_new_name_reaches_the_head_and_the_tab_of_its_page(
    house: Site, staff: Page, tab: OpenTab
):
    symbol = tab(house.url + "/symbols/DOGE-USD/").live()
    heading = symbol.page.get_by_role("heading", level=1)
    expect(heading).to_have_text("Dogecoin DOGE-USD")
    heading.evaluate("(heading) => { window.heading = heading; }")
    staff.goto(house.url + "/admin/quotes/symbol/?q=DOGE-USD")
    staff.get_by_role("link", name="DOGE-USD", exact=True).click()
    staff.locator("input[name=name]").fill("Much <b>wow</b> & Co")
    save(staff)
    expect(heading).to_have_text("Much <b>wow</b> & Co DOGE-USD")
    expect(symbol.page).to_have_title(
        re.compile(r"DOGE-USD .* – Much <b>wow</b> & Co – Quoteboard")
    )
    assert heading.evaluate("(heading) => heading === window.heading")
    assert_by_socket(symbol)
    assert symbol.complaints == []


def looks_live(page: Tab, code: str) -> bool:
    """Whether a symbol is on a page like one whose price is good."""
    place = page.row(code)
    return place.count() > 0 and place.first.get_attribute("data-condition") == "live"


UNCOVERED = """(field) => {
    const {left, top, width, height} = field.getBoundingClientRect();
    return document.elementFromPoint(left + width / 2, top + height / 2) === field;
}"""


def test_the_symbols_of_a_board_are_edited_on_a_phone_and_on_a_desk(house: Site, staff: Page):
    staff.goto(house.url + "/admin/quotes/board/")
    staff.get_by_role("link", name="symbols on Crypto").click()
    button = staff.get_by_role("button", name="Save", exact=True)
    for width in (1280, 390):
        staff.set_viewport_size({"width": width, "height": 844})
        for row in (5, 60, 99):
            fields = staff.locator("#places tbody tr").nth(row).locator("input")
            expect(fields).to_have_count(2)
            for field in fields.all():
                field.focus()
                expect(button).to_be_in_viewport()
                assert field.evaluate(UNCOVERED), (width, row)
                box = field.bounding_box()
                assert box
                assert box["x"] + box["width"] <= width, row
        assert staff.evaluate("document.documentElement.scrollWidth") <= width
    staff.goto(house.url + "/admin/quotes/board/add/")
    expect(staff.get_by_label("Title")).to_be_focused()


def test_another_name_reaches_a_board(house: Site, staff: Page, tab: OpenTab):
    board = tab(house.url + "/boards/crypto/").live()
    staff.goto(house.url + "/admin/quotes/symbol/?q=BTC-USD")
    staff.get_by_role("link", name="BTC-USD", exact=True).click()
    staff.get_by_label("Name:").fill("<b>Such</b> & wow")
    save(staff)
    expect(board.row("BTC-USD").locator(".quotes-name")).to_have_text("<b>Such</b> & wow")
    assert_by_socket(board)
    board.moves("BTC-USD")
