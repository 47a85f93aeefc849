"""Charts of a running site: they move with the prices, and their values are a table, too."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenTab
from tests.browser.looks import small_targets
from tests.servers import Site

pytestmark = [pytest.mark.browser, pytest.mark.server]

YEAR = "/symbols/BTC-USD/?range=1y"
READ = ".quotes-chart [tabindex] text:visible"


def test_the_last_bar_moves_and_what_is_read_stays(market: Site, tab: OpenTab):
    page = tab(market.url + YEAR).live()
    page.page.locator(".quotes-chart .now").evaluate("(now) => { window.known = now; }")
    page.page.evaluate("window.figure = document.querySelector('.quotes-chart')")
    tag = page.page.locator(".quotes-chart .tag text")
    columns = page.page.locator(".quotes-chart .columns [tabindex]")
    columns.nth(20).hover()
    read = page.page.locator(READ)
    expect(read).to_have_count(1)
    before, price = read.text_content(), tag.text_content()
    page.until(lambda: tag.text_content() != price, "the last price moves")
    assert read.text_content() == before
    assert tag.evaluate("(text) => text.getBBox().width") > 20  # it is drawn, as SVG
    same = "document.querySelector('.quotes-chart') === window.figure"
    assert page.page.evaluate(same)


def test_a_chart_is_no_stop_of_the_tab_key_and_its_table_has_all_values(market: Site, tab: OpenTab):
    page = tab(market.url + YEAR, java_script_enabled=False)
    columns = page.page.locator(".quotes-chart [tabindex]")
    assert {each.get_attribute("tabindex") for each in columns.all()} == {"-1"}
    page.page.get_by_text("All values as a table").click()
    rows = page.page.locator(".bars tbody tr")
    assert rows.count() == columns.count()
    rows.last.scroll_into_view_if_needed()
    expect(rows.first).not_to_be_in_viewport()
    expect(page.page.get_by_role("columnheader", name="Close")).to_be_in_viewport()


def test_a_comparison_keeps_its_colours_and_ends_at_five_symbols(market: Site, tab: OpenTab):
    compared = f"{YEAR}&with=ETH-USD,SOL-USD,DOGE-USD,ADA-USD"
    page = tab(market.url + compared, forced_colors="active").page
    names = page.locator(".quotes-chart figcaption span")
    expect(names).to_have_count(5)
    colours = names.evaluate_all("(all) => all.map((each) => getComputedStyle(each).color)")
    assert len(set(colours)) == 5
    assert small_targets(page, 36, ".compare") == []
    expect(page.get_by_label("Compare with")).to_have_count(0)
    page.get_by_role("link", name="Remove ADA-USD").click()
    expect(names).to_have_count(4)
    expect(page.get_by_label("Compare with")).to_be_visible()


def test_a_chart_fits_at_every_width(market: Site, tab: OpenTab):
    page = tab(market.url + YEAR).live()
    for width in (320, 390, 768, 1280, 1920):
        page.page.set_viewport_size({"width": width, "height": 900})
        assert page.page.evaluate("document.documentElement.scrollWidth") <= width
        box = page.page.locator(".quotes-chart .plot").bounding_box()
        assert box is not None
        assert box["width"] > min(width, 1280) / 2
