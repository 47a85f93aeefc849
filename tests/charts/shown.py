"""Charts of made bars, as a page shows them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.template.loader import render_to_string
from django.utils import translation

from quotes.charts.bars import DAY, MINUTE, Bar
from quotes.charts.chart import Chart
from quotes.charts.comparison import Comparison
from quotes.charts.frame import Frame
from quotes.shown.charts import ChartTexts
from tests.charts.made import HALF_DAY, NEW_YORK, minutes, year

SHOWN = {"id": "quotes-chart-now", "title": "AAPL, 1 day", "zone": "New York"}


def chart_of(language: str = "en", bars: list[Bar] | None = None, **given: Any) -> Chart:
    step, hours = given.pop("step", DAY), given.pop("hours", ())
    frame = Frame(bars=bars or year()[1:], step=step, zone=NEW_YORK, hours=hours)
    return Chart(frame=frame, texts=ChartTexts(language, 2), **given)


def a_day(language: str = "en", **given: Any) -> Chart:
    given = {"kind": "line", "previous": Decimal(272), "hours": [HALF_DAY]} | given
    return chart_of(language, minutes(count=200), step=MINUTE, **given)


def render(chart: Chart | Comparison, language: str = "en") -> str:
    drawing = chart.draw()
    with translation.override(language):
        context = SHOWN | {"chart": drawing, "now": drawing.now}
        last_bar = render_to_string("quotes/_chart_now.html", context) if drawing.now else ""
        return render_to_string("quotes/_chart.html", context | {"last_bar": last_bar})
