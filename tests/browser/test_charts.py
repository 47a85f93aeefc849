"""Charts in Chromium: one drawing for every width, read by hover, tap and click, no script."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from playwright.sync_api import Browser, Page, expect
from rcssmin import cssmin

from quotes.charts.chart import Chart
from quotes.charts.comparison import Comparison
from quotes.charts.widths import BOUND, LABEL, width
from quotes.fragments.swaps import addressed
from quotes.shown.charts import ChartTexts
from tests.browser.looks import faults
from tests.charts.shown import SHOWN, a_day, chart_of, render

pytestmark = pytest.mark.browser

STATIC = Path(__file__).resolve().parents[2] / "quotes" / "static" / "quotes"
STYLE = "".join(
    cssmin((STATIC / f"{name}.css").read_text()) for name in ("theme", "quotes", "page", "chart")
)
PAGE = """<!doctype html><html lang="en" dir="{dir}"><head><meta charset="utf-8">
<title>Chart</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<style>{style}</style></head><body class="quotes quotes-page"><main id="main">
<article class="symbol"><h1>AAPL</h1>{chart}</article></main></body></html>"""
# The texts of readings that are seen; `checkVisibility` is true for some in a hidden group.
READ = """[...document.querySelectorAll("[tabindex] text")]
  .filter((text) => text.checkVisibility() && text.getClientRects().length)"""
# Of what is drawn: texts that overlap or leave the window, and candles whose bars are too narrow.
OVERLAPS = """() => {
  const seen = [...document.querySelectorAll(".quotes-chart text:not(.note)")]
    .filter((text) => text.textContent && text.checkVisibility({visibilityProperty: true}))
    .filter((text) => text.getClientRects().length && !text.closest(".tag"));
  const boxes = seen.map((text) => [text.textContent, text.getBoundingClientRect()]);
  const found = boxes.filter(([, {left, right}]) => left < 0 || right > innerWidth);
  boxes.forEach(([one, a], index) => boxes.slice(index + 1).forEach(([other, b]) => {
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (across > 0 && down > 1) found.push([one, other]);
  }));
  return found.map(([one, other]) => `${one} ${other}`);
}"""
WIDTHS = (320, 390, 768, 1280, 1920, 2560)
ADDRESS = "http://quotes.test/"
OpenChart = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser) -> Any:
    """Return a function that opens a chart in a page like our own."""
    contexts = []

    def open_chart(
        chart: Chart | Comparison, *, way: str = "ltr", wide: int = 1280, **options: Any
    ) -> Page:
        options |= {"viewport": {"width": wide, "height": 800}}
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        _serve(page, ADDRESS, PAGE.format(dir=way, style=STYLE, chart=render(chart)))
        page.goto(ADDRESS)
        return page

    yield open_chart
    for context in contexts:
        context.close()


def _serve(page: Page, address: str, body: str) -> None:
    """Answer requests of a page with a text, without a server."""
    page.route(address, lambda route: route.fulfill(content_type="text/html", body=body))


def read(page: Page) -> list[str]:
    """Return the lines of the reading that is seen."""
    return list(page.evaluate(READ + ".map((line) => line.textContent)"))


def middle(page: Page, place: int, shown: str = "fine") -> tuple[float, float]:
    box = page.locator(f".columns.{shown} rect").nth(place).bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def expected(chart: Chart, place: int, shown: str = "fine") -> list[str]:
    drawing = chart.draw()
    pairs = zip(drawing.columns, drawing.now.columns, strict=True)
    [every] = [[*some.each, *last.each] for some, last in pairs if some.width == shown]
    return [line.text for line in every[place].lines]


@pytest.mark.parametrize(("wide", "shown"), [(390, "joined"), (768, "joined"), (1280, "fine")])
def test_each_bar_is_read_by_hover_and_click_in_one_place(opened: OpenChart, wide: int, shown: str):
    chart = chart_of()
    page = opened(chart, wide=wide)
    assert read(page) == expected(chart, -1, shown)
    boxes = "const {x, y} = text.getBoundingClientRect(); return [x, y]"
    places = []
    for place in (0, 20, 48):
        page.mouse.move(*middle(page, place, shown))
        assert read(page) == expected(chart, place, shown)
        places.append(page.evaluate(f"{READ}.map((text) => {{ {boxes} }})"))
    assert places == places[:1] * 3
    page.mouse.click(*middle(page, 17, shown))
    page.mouse.move(1, 1)
    assert read(page) == expected(chart, 17, shown)  # what was clicked stays
    page.mouse.move(*middle(page, 30, shown))
    assert read(page) == expected(chart, 30, shown)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement === document.body")  # no bar is a stop


@pytest.mark.parametrize("wide", [390, 768, 1280])
def test_the_bar_that_is_read_is_the_one_that_is_drawn(opened: OpenChart, wide: int):
    page = opened(chart_of(), wide=wide)
    bars = """(all) => all.filter((path) => path.getClientRects().length)
      .map((path) => path.getAttribute("d").split("m").length)"""
    columns = page.locator("[tabindex] rect").evaluate_all(
        "(all) => all.filter((each) => each.getClientRects().length).length"
    )
    assert columns == (250 if wide == 1280 else 51)
    assert sum(page.locator(".volume").evaluate_all(bars)) == columns


def test_a_reading_has_one_line_where_there_is_room(opened: OpenChart):
    page = opened(chart_of())
    for wide, lines in ((390, 3), (1280, 1), (2560, 1)):
        page.set_viewport_size({"width": wide, "height": 800})
        assert len(read(page)) == lines
        boxes = page.evaluate(f"{READ}.map((line) => line.getBoundingClientRect().toJSON())")
        figure, plot = (page.locator(each).bounding_box() for each in ("figure", ".plot"))
        assert figure
        assert plot
        assert 0 <= min(box["top"] for box in boxes) - figure["y"] < 6, wide  # no empty line above
        assert 0 <= plot["y"] - max(box["bottom"] for box in boxes) < 16, wide  # nor below


def test_a_comparison_is_read_in_the_colours_of_its_lines(opened: OpenChart):
    frame = chart_of().frame
    others = [[each._replace(close=each.close + n) for each in frame.bars] for n in (1, 2)]
    compared = Comparison(
        frame=frame, texts=ChartTexts("en", 2), names=["AAPL", "SPY", "MSFT"], others=others
    )
    for wide, shown in ((390, "joined"), (1280, "fine")):
        page = opened(compared, wide=wide)
        page.mouse.move(*middle(page, 20, shown))
        colours = "(all) => all.map((each) => getComputedStyle(each)[{}])"
        names = page.locator(f".columns.{shown} g:hover tspan")
        assert [text.split()[0] for text in names.all_text_contents()] == ["AAPL", "SPY", "MSFT"]
        lines = page.locator("path.line").evaluate_all(colours.format("'stroke'"))
        assert names.evaluate_all(colours.format("'fill'")) == lines
        assert len(set(lines)) == 3


def test_a_bar_is_read_by_tap(opened: OpenChart):
    chart = a_day()
    page = opened(chart, wide=390, has_touch=True, is_mobile=True)
    for place in (20, 35):
        page.touchscreen.tap(*middle(page, place, "joined"))
        assert read(page) == expected(chart, place, "joined")


def test_what_is_read_stays_while_htmx_replaces_the_last_bar(opened: OpenChart):
    chart = a_day()
    newest, drawing = chart.frame.bars[-1], chart.draw()
    page = opened(chart)
    page.add_script_tag(path=finders.find("django_htmx/htmx-4.min.js"))
    columns = page.locator(".columns.fine rect, .now .fine rect")
    for place, price in ((20, newest.high), (-1, newest.low)):
        box = columns.nth(place).bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 9)
        page.mouse.move(1, 1)
        page.evaluate("clicked = document.activeElement")
        now = chart.now(newest._replace(close=price))
        shown = SHOWN | {"chart": drawing, "now": now}
        message = render_to_string("quotes/_chart_now.html", shown)
        _serve(page, f"{ADDRESS}now", addressed(message, "outerMorph"))
        page.evaluate("htmx.ajax('GET', '/now', {swap: 'none'})")
        expect(page.locator(".tag text")).to_have_text(f"{price}")
        assert page.evaluate("document.activeElement === clicked")
        columns_ = now.columns if place == -1 else drawing.columns
        assert read(page) == [line.text for line in columns_[0].each[place].lines]
    assert page.locator(".tag rect").bounding_box()["width"] == 56


@pytest.mark.parametrize("kind", ["line", "candles"])
def test_texts_never_overlap_at_any_width(opened: OpenChart, kind: str):
    for chart in (chart_of(kind=kind), a_day(kind=kind)):
        page = opened(chart)
        for wide in WIDTHS:
            page.set_viewport_size({"width": wide, "height": 800})
            assert page.evaluate(OVERLAPS) == [], wide
            assert faults(page) == [], wide


def test_candles_have_three_pixels_and_a_body_one_at_any_width(opened: OpenChart):
    page = opened(chart_of())
    for wide, shown, bars in ((320, "joined", 51), (390, "joined", 51), (768, "joined", 51),
                              (1280, "fine", 250)):  # fmt: skip
        page.set_viewport_size({"width": wide, "height": 800})
        paths = page.locator("path.up")
        visible = {path.get_attribute("class") for path in paths.all() if path.is_visible()}
        assert visible == {f"{shown} up"}, wide
        plot = page.locator(".plot").bounding_box()
        assert plot["width"] / bars >= 3
        assert plot["height"] == (216 if wide < 400 else 296 if wide < 800 else 376)


def test_a_body_without_height_is_drawn_with_a_pixel(opened: OpenChart):
    bars = chart_of().frame.bars[:60]
    flat = [each._replace(open=each.low, high=each.low, close=each.low) for each in bars]
    page = opened(chart_of(bars=flat))
    stroke = "getComputedStyle(document.querySelector('path.fine.up')).strokeWidth"
    assert page.evaluate(stroke) == "1px"


def test_a_text_is_never_wider_than_its_bound(opened: OpenChart):
    page = opened(a_day())
    measure = """([texts, family, weight]) => {
      const place = document.querySelector(".tag text");
      Object.assign(place.style, {fontFamily: family, fontWeight: weight, fontSize: "110px"});
      return texts.map((text) => {
        place.textContent = text;
        return place.getBBox().width / 10;
      });
    }"""
    glyphs = [glyph * 20 for glyph in BOUND if glyph.strip()]
    labels = ["271.74", "13,729,604", "28. Nov", "+17,73 %", "O 0.0₅1234", "Week of 21 Aug", "2026"]
    numbers = [glyph * 20 for glyph in "0123456789.,’−+%₀₁₂₃₄₅₆₇₈₉"] + labels[:2]
    for family in ("Inter", "DejaVu Sans", "Nimbus Sans, sans-serif", "system-ui"):
        for weight, texts in ((400, glyphs + labels), (600, numbers)):
            wide = page.evaluate(measure, [texts, family, weight])
            bounds = [width(text, LABEL, bold=weight == 600) for text in texts]
            over = [t for t, w, b in zip(texts, wide, bounds, strict=True) if w > b]
            assert [t[:2] for t in over] == [], (family, weight)
    inter = page.evaluate(measure, [labels, "Inter", 400])
    assert all(b < 1.25 * w for w, b in zip(inter, map(width, labels, [LABEL] * 9), strict=False))


def test_a_chart_is_read_from_left_to_right_in_any_page(opened: OpenChart):
    page = opened(chart_of(), way="rtl")
    places = [page.locator(".columns.fine rect").nth(n).bounding_box()["x"] for n in (0, 100, 200)]
    assert places == sorted(places)
    assert page.evaluate(OVERLAPS) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_chart_has_no_automatically_found_violation(opened: OpenChart, scheme: str):
    for chart in (chart_of(), a_day()):
        page = opened(chart, wide=390, color_scheme=scheme)
        page.mouse.click(*middle(page, 20, "joined"))
        report = Axe().run(page)
        assert report.violations_count == 0, report.generate_report()


def test_a_page_that_is_not_live_takes_the_colour_of_its_chart(opened: OpenChart):
    page = opened(a_day(previous=Decimal(100)))
    colour = "getComputedStyle(document.querySelector('.tag rect')).fill"
    assert page.evaluate(colour) == "rgb(8, 120, 58)"
    page.evaluate("document.body.style.setProperty('--quotes-gain', 'var(--quotes-muted)')")
    assert page.evaluate(colour) == "rgb(89, 97, 114)"


def test_with_forced_colours_texts_have_those_of_the_system(opened: OpenChart):
    page = opened(a_day(), forced_colors="active", color_scheme="dark")
    colours = """[...document.querySelectorAll(".value, .time, .note, [tabindex] text")]
        .map((each) => getComputedStyle(each).fill)"""
    assert set(page.evaluate(colours)) == {"rgb(255, 255, 255)"}
