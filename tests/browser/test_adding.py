"""A symbol is added in the admin as docs/operations.md describes it, and appears on open pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SEEDED, STAFF, Exchange, OpenTab
from tests.browser.day import steps
from tests.browser.test_admin_pages import findings, sign_in
from tests.servers import Site, site

pytestmark = [pytest.mark.browser, pytest.mark.server]

TASK = "How do I add or remove a symbol?"
FIND, ADD = "/admin/quotes/symbol/find/", "/admin/quotes/symbol/add/"
CONTRADICTED = (
    f"{ADD}?code=SOL_USD&name=Solana&kind=stock&exchange=NASDAK&currency=EUR"
    "&coinbase=SOL-USD&kraken=NOPE"
)


@pytest.fixture(scope="module")
def shop(
    exchange: Exchange, tmp_path_factory: pytest.TempPathFactory, database_template: Path
) -> Iterator[Site]:
    """A site with prices of the stub exchange, whose symbols these tests may change."""
    exchange.mode("ok")
    source = {
        "QUOTES_PROVIDERS": "coinbase,simulated",
        "COINBASE_REST_URL": f"http://{exchange.host}",
        "COINBASE_WS_URL": f"ws://{exchange.host}",
    }
    folder = tmp_path_factory.mktemp("shop")
    with site(folder, database_template, "daphne", **SEEDED, **STAFF, **source) as running:
        running.manage("createsuperuser", "--noinput")
        yield running


@pytest.fixture
def staff(shop: Site, tab: OpenTab) -> Page:
    """The admin, with Alice signed in."""
    page = tab(shop.url + "/admin/").page
    sign_in(page)
    return page


def test_a_symbol_is_added_in_the_steps_of_the_document(shop: Site, staff: Page, tab: OpenTab):
    board = tab(shop.url + "/boards/crypto/").live()
    (symbols, add), (follow,), (boards,), () = steps(TASK)
    staff.get_by_role("navigation", name="Sections").get_by_role("link", name=symbols).click()
    staff.locator(".object-tools").get_by_role("link", name=add).click()
    staff.get_by_role("button", name="Read the lists now").click()
    expect(staff.locator(".messagelist .success")).to_contain_text("7 instruments")
    expect(staff.get_by_label("Code, name or ISIN")).to_be_focused()
    staff.keyboard.type("tiny/usd")
    staff.keyboard.press("Enter")
    staff.get_by_role("link", name=f"{follow} TINY-USD").click()
    expect(staff.get_by_label("Tick size")).to_have_value("0.0000000001")
    expect(staff.get_by_role("region", name="What contradicts this symbol")).to_have_count(0)
    places = staff.locator("#places-group")
    expect(places.get_by_role("heading", name=boards)).to_be_visible()
    places.locator("select").first.select_option("Crypto")
    places.get_by_label("Position").first.fill("1")  # the board has more rows than its page
    staff.get_by_role("button", name="Save", exact=True).first.click()
    expect(staff.locator(".messagelist .success")).to_be_visible()
    expect(board.row("TINY-USD")).to_have_count(1)
    expect(board.row("TINY-USD").locator("[data-field=last]")).to_contain_text("0.00001234")
    assert board.loads == 1


def test_a_fix_is_one_click_and_enter_saves_without_any(shop: Site, staff: Page):
    staff.goto(f"{shop.url}{ADD}?code=QUIET-USD&name=Quiet&kind=stock&exchange=NASDAK&currency=USD")
    shown = staff.get_by_role("region", name="What contradicts this symbol")
    expect(shown).to_contain_text("The hours of the exchange “NASDAK” are not known.")
    staff.get_by_label("Name:").press("Enter")  # not the first button of the form, which is a fix
    expect(staff.locator(".errornote")).to_be_visible()
    expect(staff.get_by_label("Exchange:")).to_have_value("NASDAK")
    shown.get_by_role("button", name="Save with NASDAQ").click()
    expect(staff.locator(".messagelist .success")).to_contain_text("QUIET-USD")
    staff.get_by_role("link", name="QUIET-USD").first.click()
    expect(staff.get_by_label("Exchange:")).to_have_value("NASDAQ")


def test_what_contradicts_can_be_accepted(shop: Site, staff: Page):
    staff.goto(f"{shop.url}{ADD}?code=ODD&name=Odd&kind=stock&exchange=NOWHERE&currency=USD")
    staff.get_by_label("Save it in spite of this").check()
    staff.get_by_role("button", name="Save", exact=True).first.click()
    expect(staff.locator(".messagelist .success")).to_contain_text("ODD")


@pytest.mark.parametrize(
    "path",
    [f"{FIND}?q=btc", f"{FIND}?q=nothing-so-called", CONTRADICTED],
    ids=["candidates", "no candidate", "contradictions"],
)
def test_its_pages_are_readable_by_everybody_in_both_schemes(shop: Site, staff: Page, path: str):
    staff.goto(shop.url + FIND)
    staff.get_by_role("button", name="Read the lists now").click()
    staff.goto(shop.url + path)
    assert findings(staff) == []
    for width in (320, 390):
        staff.set_viewport_size({"width": width, "height": 900})
        assert staff.evaluate("document.documentElement.scrollWidth") <= width
