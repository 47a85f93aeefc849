"""Charts in either language: their texts, their template, and their weight."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from quotes.charts.axes import NICE
from quotes.charts.bars import DAY, HOUR, MINUTE, MONTH, QUARTER, WEEK, YEAR, Bar
from quotes.charts.chart import Chart
from quotes.charts.comparison import Comparison
from quotes.charts.frame import Frame
from quotes.charts.ranges import RANGES
from quotes.shown.charts import TITLES, ChartTexts
from tests.charts.made import HALF_DAY, NEW_YORK, bar, minutes, year
from tests.charts.shown import SHOWN, a_day, chart_of, render

NBSP = "\N{NO-BREAK SPACE}"
EN, DE = ChartTexts("en", 2), ChartTexts("de", 2)


def test_prices_are_plain_text_and_short():
    assert (EN.price(Decimal("64123.4")), DE.price(Decimal("64123.4"))) == (
        "64,123.40",
        "64.123,40",
    )
    tiny = ChartTexts("de", None)
    assert tiny.price(Decimal("0.00001234")) == "0,0₄1234"
    assert tiny.price(Decimal("0.000000000001234")) == "0,0₁₁1234"
    assert tiny.price(Decimal("0.0123")) == "0,0123"


@given(st.integers(-9, 9), st.sampled_from(NICE), st.integers(1, 999))
def test_a_label_has_the_digits_of_its_step(power: int, nice: Decimal, times: int):
    step = nice.scaleb(power)
    text = EN.axis(step * times, step)
    if step * times < 10**9 and "₀" <= max(text) <= "₉":
        return  # abbreviated
    if step * times < 10**9:
        assert Decimal(text.replace(",", "")) == step * times
    other = EN.axis(step * (times + 1), step)
    assert text != other


def test_very_large_labels_are_abbreviated():
    assert EN.axis(Decimal(1750000000), Decimal(250_000_000)) == "1.75B"
    assert DE.axis(Decimal(1750000000), Decimal(250_000_000)) == f"1,75{NBSP}Mrd."


@pytest.mark.parametrize(
    ("step", "english", "german"),
    [
        (MINUTE, "21 Aug, 15:42 EDT", "21. Aug, 15:42 EDT"),
        (HOUR, "21 Aug, 15:42 EDT", "21. Aug, 15:42 EDT"),
        (DAY, "21 Aug 2025", "21. Aug 2025"),
        (WEEK, "Week of 21 Aug 2025", "Woche ab 21. Aug 2025"),
        (MONTH, "August 2025", "August 2025"),
        (QUARTER, "Q3 2025", "Q3 2025"),
        (YEAR, "2025", "2025"),
    ],
)
def test_when_a_bar_began(step: int, english: str, german: str):
    moment = datetime(2025, 8, 21, 15, 42, tzinfo=NEW_YORK)
    assert (EN.when(moment, step), DE.when(moment, step)) == (english, german)


def test_labels_of_times():
    moment = datetime(2025, 3, 3, 9, 30, tzinfo=UTC)
    units = ("time", "day", "month", "year")
    assert [EN.mark(moment, unit) for unit in units] == ["09:30", "3 Mar", "Mar", "2025"]
    assert [DE.mark(moment, unit) for unit in units] == ["09:30", "3. Mär", "Mär", "2025"]


def test_every_range_has_a_title():
    assert TITLES.keys() == RANGES.keys()


def test_a_reading_names_each_value():
    made = bar(
        datetime(2025, 8, 21, tzinfo=UTC), [Decimal(n) for n in (5, 9, 4, 6)], Decimal(10**7)
    )
    (when, volume, moved), prices = DE.reading("dann", made, Decimal("1.5"))
    assert (when, volume) == ("dann", f"Vol 10,00{NBSP}Mio.")
    assert moved == f"+1,50{NBSP}% zum Balken davor"
    named = ("Eröffnung 5,00", "Hoch 9,00", "Tief 4,00", "Schluss 6,00")
    assert prices == (*named, "")
    short = DE.reading("dann", made, Decimal("1.5"), short=True)
    assert short == ((when, volume, ""), (*named, f"+1,50{NBSP}%"))
    assert EN.reading("then", None, None) == (("then", "No data", ""), ("",) * 5)
    assert EN.reading("then", made._replace(volume=None), None)[0] == ("then", "", "")


@pytest.mark.parametrize(
    ("step", "english", "german"),
    [
        (5 * MINUTE, "21 Aug, 15:40–15:45 EDT", "21. Aug, 15:40–15:45 EDT"),
        (4 * HOUR, "21 Aug, 15:40–19:40 EDT", "21. Aug, 15:40–19:40 EDT"),
        (DAY, "21 Aug 2025", "21. Aug 2025"),
        (WEEK, "Week of 21 Aug 2025", "Woche ab 21. Aug 2025"),
    ],
)
def test_a_reading_states_how_long_its_bar_is(step: int, english: str, german: str):
    moment = datetime(2025, 8, 21, 15, 40, tzinfo=NEW_YORK)
    assert (EN.period(moment, step), DE.period(moment, step)) == (english, german)


def test_small_volumes_keep_two_digits():
    def volume(text: str) -> str:
        made = bar(datetime(2025, 8, 21, tzinfo=UTC), [Decimal(5)], Decimal(text))
        return EN.reading("", made, None)[0][1]

    volumes = ["0.00341", "12.3456", "999", "123456.7", "1234567"]
    assert [volume(text) for text in volumes] == [
        "Vol 0.0034", "Vol 12.35", "Vol 999", "Vol 123,457", "Vol 1.23M",
    ]  # fmt: skip


# The template


def texts_of(markup: str) -> list[str]:
    return re.findall(r'aria-label="([^"]*)"', markup)


def test_250_bars_weigh_at_most_13_kb_compressed():
    chart = chart_of()
    assert chart.frame.count == 250
    assert len(gzip.compress(render(chart).encode(), 6)) < 13_000


def _charts(language: str) -> Iterator[Chart]:
    yield chart_of(language)
    yield a_day(language)
    yield a_day(language, kind="candles")
    yield chart_of(language, [Bar(each.start, *(n / 10**9 for n in each[1:5])) for each in year()])
    yield chart_of(language, [Bar(each.start, *(n * 10**5 for n in each[1:5]), each.volume)
                              for each in year()])  # fmt: skip


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_last_bar_with_tag_and_text_weighs_at_most_1_kb(language: str):
    *usual, long = [_last_bar(chart, language) for chart in _charts(language)]
    assert all(len(markup.encode()) <= 1024 for markup in usual)
    assert len(long.encode()) < 1150
    assert long.startswith('<svg id="quotes-chart-now"')


def _last_bar(chart: Chart, language: str) -> str:
    shown = SHOWN | {"chart": chart.draw(), "now": chart.now(chart.frame.bars[-1])}
    with translation.override(language):
        return render_to_string("quotes/_chart_now.html", shown)


def test_the_last_bar_alone_is_the_same_markup_as_in_the_chart():
    chart = chart_of()
    now = {"chart": chart.draw(), "now": chart.now(chart.frame.bars[-1])}
    assert render_to_string("quotes/_chart_now.html", SHOWN | now) in render(chart)


def test_a_chart_is_the_same_where_numbers_have_separators(settings: Any):
    markup = render(chart_of())
    settings.USE_THOUSAND_SEPARATOR = True
    assert render(chart_of()) == markup


def test_the_text_has_last_change_low_and_high():
    english = (
        r"2\d\d\.\d\d, (up|down) \d\.\d\d% from the previous close of 272\.00; "
        r"low 2\d\d\.\d\d at \d\d:\d\d, high 2\d\d\.\d\d at \d\d:\d\d"
    )
    assert texts_of(render(a_day()))[0] == "AAPL, 1 day, New York time"
    assert re.fullmatch(english, texts_of(render(a_day()))[1])
    german = (
        r"\d+,\d\d, \d+,\d\d\xa0% (über|unter) dem Anfang "
        r"\(3\. Dez 2024\); Tief \d+,\d\d \(\d+\. \w+ 2025\), Hoch \d+,\d\d \(\d+\. \w+ 202[45]\)"
    )
    assert texts_of(render(chart_of("de"), "de"))[0] == "AAPL, 1 day"
    assert re.fullmatch(german, texts_of(render(chart_of("de"), "de"))[1])


def test_every_bar_can_be_read_without_being_a_stop_of_the_tab_key():
    markup = render(chart_of())
    assert markup.count('tabindex="-1"><rect') == markup.count("tabindex") == 250 + 51
    assert "style=" not in markup


def test_the_previous_close_has_a_text():
    assert "Prev. close 272.00" in render(a_day())
    assert "▼ Prev. close 100.00" in render(a_day(previous=Decimal(100)))
    assert "▲ Vortag 900,00" in render(a_day("de", previous=Decimal(900)), "de")


def test_gaps_have_a_text():
    late = HALF_DAY._replace(begins=HALF_DAY.ends, ends=HALF_DAY.ends + timedelta(hours=1))
    bars = minutes(count=240)
    markup = render(chart_of("en", bars[:60] + bars[120:], step=MINUTE, hours=[HALF_DAY, late]))
    assert re.search(r'class="tick m l"><text class="gap"[^>]*>No data<', markup)
    assert "28 Nov, 11:00–11:02 EST\u2003No data" in markup
    assert "28 Nov, 11:00–11:10 EST\u2003No data" in markup


def test_a_comparison_names_its_symbols_with_their_changes():
    frame = Frame(bars=year(), step=DAY, zone=NEW_YORK)
    others = [[bar(each.start, [each.close * 2]) for each in year()]]
    markup = render(Comparison(frame=frame, texts=EN, names=["AAPL", "SPY"], others=others))
    names = re.findall(r'<span class="series-\d">([^<]*)</span>', markup)
    assert [name.split()[0] for name in names] == ["AAPL", "SPY"]
    assert names[0].split()[1] == names[1].split()[1]
    assert markup.count('<path class="line series-') == 2
    read = '<tspan class="series-1">.?AAPL [^<]*</tspan><tspan class="series-2">\u2003SPY '
    assert len(re.findall(read, markup)) == 251 + 51
