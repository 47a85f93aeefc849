"""Charts of a running site: they move with the prices, and their values are a table, too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from playwright.sync_api import Error, Locator, Route, expect

from tests.browser.conftest import OpenTab
from tests.browser.looks import small_targets
from tests.browser.tab import Tab
from tests.servers import Site

pytestmark = [pytest.mark.browser, pytest.mark.server]

YEAR = "/symbols/BTC-USD/?range=1y"
DRAWN = ".quotes-charted"
READ = ".quotes-chart [tabindex] text:visible"


def test_the_last_bar_moves_and_what_is_read_stays(market: Site, tab: OpenTab):
    page = tab(market.url + YEAR).live()
    page.page.locator(".quotes-chart .now").evaluate("(now) => { window.known = now; }")
    page.page.evaluate("window.figure = document.querySelector('.quotes-chart')")
    tag = page.page.locator(".quotes-chart .tag text")
    columns = page.page.locator(".quotes-chart .columns [tabindex]:visible")
    columns.nth(20).hover()
    read = page.page.locator(READ)
    before, price = read.all_text_contents(), tag.text_content()
    assert before
    page.until(lambda: tag.text_content() != price, "the last price moves")
    assert read.all_text_contents() == before
    assert tag.evaluate("(text) => text.getBBox().width") > 20  # it is drawn, as SVG
    same = "document.querySelector('.quotes-chart') === window.figure"
    assert page.page.evaluate(same)


def test_a_chart_is_no_stop_of_the_tab_key_and_its_table_has_all_values(market: Site, tab: OpenTab):
    page = tab(market.url + YEAR, java_script_enabled=False)
    columns = page.page.locator(".quotes-chart [tabindex]")
    assert {each.get_attribute("tabindex") for each in columns.all()} == {"-1"}
    page.page.get_by_text("All values as a table").click()
    rows = page.page.locator(".bars tbody tr")
    assert rows.count() == page.page.locator(".quotes-chart [tabindex]:visible").count()
    rows.last.scroll_into_view_if_needed()
    expect(rows.first).not_to_be_in_viewport()
    expect(page.page.get_by_role("columnheader", name="Close")).to_be_in_viewport()


@pytest.mark.parametrize(
    ("range_", "language", "head"),
    [("1y", "en", "Date"), ("1y", "de", "Datum"), ("1d", "de", "Zeit")],
)
def test_on_a_phone_a_table_begins_with_what_matters_and_the_file_is_in_view(
    market: Site, tab: OpenTab, range_: str, language: str, head: str
):
    options = {"viewport": {"width": 390, "height": 844}, "locale": language}
    path = f"/symbols/BTC-USD/?range={range_}"
    opened = tab(market.url + path, java_script_enabled=False, **options)
    page = opened.page
    file = page.locator(".bars-file")
    table = page.locator(".bars table")
    opened.until(lambda: table.count() or page.reload() is None, "the chart is drawn")
    assert file.evaluate("(link) => getComputedStyle(link).textDecorationLine") == "underline"
    page.locator(".bars summary").click()
    for place in range(4):  # time, close, change and volume
        box = page.locator(".bars tbody tr").first.locator("th, td").nth(place).bounding_box()
        assert box
        assert box["x"] + box["width"] <= 390 - 11, place
    expect(page.locator(".bars thead th").first).to_have_text(head)


def test_times_of_a_chart_name_their_zone_at_every_width(market: Site, tab: OpenTab):
    page = tab(market.url + "/symbols/AAPL/?range=5d").live().page
    for width in (320, 390, 768, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        zone = page.locator(".quotes-chart .timezone")
        expect(zone).to_be_visible()
        assert zone.text_content() in ("EST", "EDT", "EDT/EST", "EST/EDT")
        box = zone.bounding_box()
        assert box
        assert box["x"] + box["width"] <= width
    expect(page.locator("footer")).to_contain_text("unless another zone is named")


def test_a_comparison_keeps_its_colours_and_ends_at_five_symbols(market: Site, tab: OpenTab):
    compared = f"{YEAR}&with=ETH-USD,SOL-USD,DOGE-USD,ADA-USD"
    page = tab(market.url + compared, forced_colors="active").page
    names = page.locator(".quotes-chart figcaption span")
    expect(names).to_have_count(5)
    of_all = "(all) => all.map((each) => getComputedStyle(each).color)"
    colours = names.evaluate_all(of_all)
    assert len(set(colours)) == 5
    assert page.locator(".compared a").evaluate_all(of_all) == colours[1:]
    assert small_targets(page, 36, ".compare") == []
    expect(page.get_by_label("Compare with")).to_have_count(0)
    page.get_by_role("link", name="Remove ADA-USD").click()
    expect(names).to_have_count(4)
    expect(page.get_by_label("Compare with")).to_be_visible()


def links(page: Tab, *names: str) -> Iterator[tuple[Locator, str]]:
    """Yield links of the choice of the chart, each with the address to which it leads."""
    for name in names:
        link = page.page.get_by_role("link", name=name, exact=True)
        yield link, urljoin(page.page.url, link.get_attribute("href"))


def test_a_choice_of_the_chart_keeps_the_page_with_its_focus_and_its_place(
    market: Site, tab: OpenTab
):
    page = tab(market.url + "/symbols/BTC-USD/", viewport={"width": 390, "height": 844}).live()
    page.mark("BTC-USD")
    page.page.locator(".bars > summary").click()
    page.page.get_by_role("link", name="1Y", exact=True).scroll_into_view_if_needed()
    page.page.evaluate("scrollBy(0, 150)")
    before, charts = page.page.evaluate("scrollY"), [page.page.locator(DRAWN).get_attribute("id")]
    for link, target in links(page, "1Y", "Candles", "Logarithmic"):
        link.evaluate("(link) => link.focus({preventScroll: true})")
        page.page.keyboard.press("Enter")
        page.page.wait_for_url(target)
        expect(link).to_have_attribute("aria-current", "true")
        expect(link).to_be_focused()
        expect(page.page.locator(DRAWN)).not_to_have_id(charts[-1])
        charts.append(page.page.locator(DRAWN).get_attribute("id"))
        expect(page.page.locator(".bars table")).to_be_visible()
    assert page.page.evaluate("scrollY") == before > 0
    page.until(lambda: "chart=1y.candles.log" in page.sockets[-1], "a socket with this chart")
    tag = page.page.locator(".quotes-chart .tag text")
    price = tag.text_content()
    page.until(lambda: tag.text_content() != price, "the last price moves")
    assert page.same("BTC-USD")
    page.page.go_back()
    page.page.wait_for_url(lambda url: "scale" not in url)
    expect(page.page.locator(DRAWN)).to_have_id(charts[-2])
    page.live().page.go_forward()  # a page that is still loading does not notice it
    expect(page.page.locator(DRAWN)).to_have_id(charts[-1])
    page.live()
    page.moves("BTC-USD")
    assert page.loads == 3
    assert page.complaints == []


def test_back_before_an_answer_shows_and_watches_the_chart_of_the_address(
    market: Site, tab: OpenTab
):
    page = tab(market.url + YEAR).live()
    held: list[Route] = []
    page.page.route("**/?range=5y", lambda route: held.append(route))  # noqa: PLW0108
    for link, target in links(page, "6M"):
        link.click()
        page.page.wait_for_url(target)
    page.until(lambda: "chart=6m%2FBTC-USD" in page.sockets[-1], "a socket for the choice")
    page.page.get_by_role("link", name="5Y", exact=True).click()
    page.until(lambda: held, "the request of a choice")
    page.page.go_back()
    page.page.wait_for_url("**/?range=1y")
    with suppress(Error):  # the browser has given it up
        held[0].continue_()
    page.until(lambda: "chart=1y%2FBTC-USD" in page.sockets[-1], "a socket for the address")
    page.live()
    expect(page.page.get_by_role("link", name="1Y", exact=True)).to_have_attribute(
        "aria-current", "true"
    )
    page.moves("BTC-USD")
    assert "chart=1y%2FBTC-USD" in page.sockets[-1]
    assert page.page.url == market.url + YEAR


def test_a_choice_that_the_server_can_not_answer_keeps_the_chart(market: Site, tab: OpenTab):
    page = tab(market.url + YEAR).live()
    year = page.page.locator(DRAWN).get_attribute("id") or ""
    page.page.route("**/?range=5y", lambda route: route.fulfill(status=503, body="<p>Later</p>"))
    for link, target in links(page, "5Y"):
        with page.page.expect_response(target):
            link.click()
        expect(link).not_to_have_class(re.compile("htmx-request"))
        expect(page.page.locator(DRAWN)).to_have_id(year)
    for link, target in links(page, "6M"):
        link.click()
        page.page.wait_for_url(target)
    expect(page.page.locator(DRAWN)).not_to_have_id(year)
    assert page.loads == 1


def test_a_symbol_is_added_by_enter_a_suggestion_and_a_link_and_the_field_is_ready_for_another(
    market: Site, tab: OpenTab
):
    page = tab(market.url + YEAR).live()
    field, names = page.page.get_by_label("Compare with"), page.page.locator("figcaption span")
    suggested = page.page.locator("#addable").get_by_role("link")

    def added(code: str) -> None:
        expect(names.filter(has_text=code)).to_have_count(1)
        expect(field).to_have_value("")
        expect(field).to_be_focused()
        expect(suggested).to_have_count(0)
        assert code in parse_qs(urlsplit(page.page.url).query)["with"][0].split(",")

    field.press_sequentially("ether")
    expect(suggested.first).to_contain_text("ETH-USD")
    field.press("Enter")
    added("ETH-USD")
    field.press_sequentially("solan")
    suggested.filter(has_text="SOL-USD").click()
    added("SOL-USD")
    field.fill("btc")
    page.page.get_by_role("button", name="Compare").click()
    expect(page.page.get_by_role("alert")).to_contain_text("There is no symbol “btc”.")
    expect(field).to_have_value("btc")
    expect(field).to_have_attribute("aria-invalid", "true")
    page.page.get_by_role("alert").get_by_role("link", name="BTC-EUR").click()
    added("BTC-EUR")
    field.press("Enter")
    assert field.evaluate("(field) => field.matches(':invalid')")
    assert page.loads == 1
    assert page.complaints == []


def test_symbols_are_removed_by_the_keyboard_alone(market: Site, tab: OpenTab):
    page = tab(market.url + f"{YEAR}&with=ETH-USD,SOL-USD").live().page
    first, names = page.locator(".compared a").first, page.locator("figcaption span")
    first.focus()
    for left in (2, 0):
        page.keyboard.press("Enter")
        expect(names).to_have_count(left)
        expect(first if left else page.get_by_label("Compare with")).to_be_focused()


def test_without_scripts_a_choice_of_the_chart_is_a_link(market: Site, tab: OpenTab):
    page = tab(market.url + "/symbols/BTC-USD/", java_script_enabled=False)
    for link, target in links(page, "1Y", "Candles"):
        link.click()
        page.page.wait_for_url(target)
    page.page.get_by_label("Compare with").fill("eth-usd")
    page.page.get_by_role("button", name="Compare").click()
    expect(page.page.get_by_role("link", name="Remove ETH-USD")).to_be_visible()
    assert parse_qs(urlsplit(page.page.url).query)["range"] == ["1y"]


@pytest.mark.parametrize("width", [320, 375, 390])
def test_all_ranges_are_in_view_on_a_phone(market: Site, tab: OpenTab, width: int):
    phone = {"viewport": {"width": width, "height": 844}, "has_touch": True, "is_mobile": True}
    page = tab(market.url + "/symbols/BTC-USD/?range=all", locale="de-DE", **phone).page
    ranges = page.get_by_role("navigation", name="Zeitraum")
    assert ranges.evaluate("(nav) => nav.scrollWidth <= nav.clientWidth")
    assert small_targets(page, 44, ".chart-choice") == []


def test_a_chart_fits_at_every_width(market: Site, tab: OpenTab):
    page = tab(market.url + YEAR).live()
    for width in (320, 390, 768, 1280, 1920):
        page.page.set_viewport_size({"width": width, "height": 900})
        assert page.page.evaluate("document.documentElement.scrollWidth") <= width
        box = page.page.locator(".quotes-chart .plot").bounding_box()
        assert box is not None
        assert box["width"] > min(width, 1280) / 2
