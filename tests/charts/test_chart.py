"""Charts: each point where matplotlib draws it, and nothing outside the box."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.scale import LogTransform
from matplotlib.transforms import (
    Bbox,
    BboxTransformFrom,
    BboxTransformTo,
    IdentityTransform,
    blended_transform_factory,
)

from quotes.charts.axes import SIZES, Scale
from quotes.charts.bars import DAY, MINUTE, WEEK, Bar, Period
from quotes.charts.chart import PRICES, VOLUMES, Chart
from quotes.charts.drawing import Column, Drawing
from quotes.charts.frame import Frame
from quotes.charts.path import SLOT, Candles
from quotes.charts.widths import GAP
from tests.charts.made import (
    HALF_DAY,
    NEW_YORK,
    OPENING,
    SPLIT,
    Plain,
    bar,
    minutes,
    series,
    year,
)
from tests.charts.paths import drawn, points

DAY_BEFORE = Decimal("272.00")
OUTAGE = range(90, 120)  # minutes
DAY_OF_MINUTES = [each for n, each in enumerate(minutes()) if n not in OUTAGE]


def chart_of(bars: Sequence[Bar], step: int = DAY, **given: Any) -> Chart:
    hours = given.pop("hours", ())
    frame = Frame(bars=bars, step=step, zone=NEW_YORK, hours=hours)
    return Chart(frame=frame, texts=Plain(), **given)


def day(**given: Any) -> Chart:
    return chart_of(DAY_OF_MINUTES, MINUTE, kind="line", hours=[HALF_DAY], **given)


def by_matplotlib(scale: Scale, count: int, values: Sequence[tuple[float, Decimal]]) -> list:
    """Return where matplotlib draws values: the slot, counted from 0, and the height."""
    x, log = IdentityTransform(), LogTransform(10)
    y = log if scale.logarithmic else IdentityTransform()
    low, high = (log.transform([float(v)])[0] if scale.logarithmic else float(v)
                 for v in (scale.low, scale.high))  # fmt: skip
    limits = Bbox([[0, low], [count, high]])
    box = Bbox([[0, scale.bottom], [count * SLOT, 0]])  # heights count from the top
    to_box = blended_transform_factory(x, y) + BboxTransformFrom(limits) + BboxTransformTo(box)
    return list(to_box.transform([(place, float(value)) for place, value in values]))


def same(ours: Sequence[tuple[int, int]], theirs: Sequence[Any]) -> None:
    assert len(ours) == len(theirs)
    for (x, y), (their_x, their_y) in zip(ours, theirs, strict=True):
        assert (x, y) == (pytest.approx(their_x), pytest.approx(their_y, abs=0.5 + 1e-6))


@pytest.mark.parametrize("logarithmic", [False, True])
def test_each_candle_of_a_year_with_a_split_is_where_matplotlib_draws_it(logarithmic: bool):
    bars = year()
    chart = chart_of(bars, logarithmic=logarithmic)
    drawing = chart.draw()
    assert drawing.box == str(len(bars) * SLOT)
    shapes = _shapes(drawing.bars) | _shapes(drawing.now.bar)
    assert len(shapes) == len(bars)
    for place, each in enumerate(bars):
        middle = place + 0.5
        four = by_matplotlib(
            chart.scale, len(bars), [(middle, value) for value in each[1:5]]
        )  # open, high, low, close
        x, heights = shapes[place]
        same([(x, y) for y in heights], [four[1], *sorted(four[::3], key=lambda p: p[1]), four[2]])


def _shapes(candles: Candles | None) -> dict[int, tuple[int, list[int]]]:
    """Return the middle of each candle by its slot, and its high, its body and its low."""
    found: dict[int, tuple[int, list[int]]] = {}
    assert candles
    for x, y in points(candles.up) + points(candles.down):
        place = x // SLOT
        _, heights = found.setdefault(place, (place * SLOT + SLOT // 2, []))
        heights.append((x, y))
    return {
        place: (middle, [min(y for _, y in all_), min(_body(all_, middle)),
                         max(_body(all_, middle)), max(y for _, y in all_)])
        for place, (middle, all_) in found.items()
    }  # fmt: skip


def _body(shape: Sequence[tuple[int, int]], middle: int) -> list[int]:
    return [y for x, y in shape if x != middle]


def test_each_volume_of_a_year_is_where_matplotlib_draws_it():
    bars = year()
    drawing = chart_of(bars).draw()
    highest = max(each.volume for each in bars)
    scale = Scale(Decimal(0), highest, 1000 - VOLUMES)
    theirs = by_matplotlib(scale, len(bars), [(n, each.volume) for n, each in enumerate(bars)])
    parts = drawn(drawing.bars.volume) + drawn(drawing.now.bar.volume)
    assert len(parts) == len(bars)
    for part, (x, y) in zip(parts, theirs, strict=True):
        assert part[0] == (x + 2, 1000)
        assert part[1] == (x + 2, pytest.approx(VOLUMES + y, abs=0.5 + 1e-6))
        assert part[-1] == (x + 8, 1000)


def test_each_minute_of_a_half_day_with_a_gap_is_where_matplotlib_draws_it():
    chart = day(previous=DAY_BEFORE)
    drawing = chart.draw()
    assert drawing.box == str(210 * SLOT)  # three and a half hours, the outage included
    first, second = (list(part) for part in drawn(drawing.line))
    second.append(points(drawing.now.line)[-1])
    assert points(drawing.now.line)[0] == second[-2]
    of = {place: each for place, each in enumerate(minutes()) if place not in OUTAGE}
    theirs = by_matplotlib(
        chart.scale, 210, [(place + 0.5, each.close) for place, each in of.items()]
    )
    same(first, theirs[:90])
    same(second, theirs[90:])


def test_the_labels_of_prices_and_times_are_where_matplotlib_draws_their_values():
    chart = day()
    drawing = chart.draw()
    scale = Scale(chart.scale.low, chart.scale.high, chart.scale.bottom)
    for label in drawing.values:
        if label.text:
            ((_, y),) = by_matplotlib(scale, 1, [(0, Decimal(label.text))])
            assert float(label.at) * 10 == pytest.approx(y, abs=0.6)
    for label in drawing.times[1:]:
        start = datetime.strptime(label.text, "%H:%M").replace(2025, 11, 28, tzinfo=NEW_YORK)
        place = (start - OPENING) / timedelta(minutes=1)
        assert float(label.at) == pytest.approx((place + 0.5) / 210 * 100, abs=0.01)


def test_labels_of_one_size_have_the_same_digits_and_none_is_behind_the_tag():
    for bars in (year()[:80], year()[:100], year()[150:], year()):
        drawing = chart_of(bars).draw()
        for size in SIZES:
            shown = [each for each in drawing.values if size.name in each.sizes.split()]
            texts = [each.text for each in shown if each.text]
            assert len({len(text.partition(".")[2]) for text in texts}) == 1
            for each in shown:
                apart = abs(float(each.at) - float(drawing.now.y)) / 100 * size.height
                assert bool(each.text) == (apart >= 15)


def test_no_line_and_no_area_crosses_a_gap_and_the_gap_has_a_text():
    drawing = day().draw()
    lines = drawn(drawing.line)
    assert [line[-1][0] // SLOT for line in lines] == [89, 208]
    assert lines[1][0][0] // SLOT == 120
    assert len(drawn(drawing.area)) == 2
    (gap,) = drawing.gaps
    assert (gap.at, gap.text) == ("50", "nothing")
    fine, joined = (each.each for each in drawing.columns)
    assert _read(fine[89])[:2] == ["11-28", "10:59"]
    assert _texts(fine[90]) == [f"11-28 11:00{GAP}nothing"]
    assert _texts(fine[120])[0].startswith("11-28 11:30")
    assert _texts(joined[18]) == [f"11-28 11:00{GAP}nothing"]
    assert _texts(joined[24])[0].startswith("11-28 11:30")


@settings(max_examples=25)
@given(series(most=1000), st.booleans(), st.booleans())
def test_everything_is_inside_the_box(bars: list[Bar], logarithmic: bool, hours: bool):
    open_ = [Period(bars[0].start, bars[-1].start + timedelta(minutes=1))] if hours else []
    drawing = chart_of(bars, MINUTE, logarithmic=logarithmic, hours=open_, kind="line").draw()
    assert drawing.now
    bottom = PRICES if drawing.bars.volume + drawing.now.bar.volume else 1000
    shapes = [drawing.bars, drawing.joined, drawing.now.bar, drawing.now.joined]
    prices = [drawing.line, drawing.area, drawing.now.line, drawing.now.area]
    prices += [path for each in shapes if each for path in (each.up, each.down)]
    for path in prices:
        assert all(0 < x < int(drawing.box) and 0 <= y <= bottom for x, y in points(path))
    for each in filter(None, shapes):
        assert all(0 < x < int(drawing.box) and y >= VOLUMES for x, y in points(each.volume))
    for label in (*drawing.values, *drawing.times):
        assert 0 <= float(label.at) <= 100
    assert 0 <= float(drawing.now.y) <= bottom / 10
    fine, joined = (each.each for each in drawing.columns)
    assert len(fine) < 264
    assert len(joined) < 77
    for each in (*fine, *joined):
        assert float(each.x) + float(each.width) <= 100


def test_each_bar_can_be_read():
    drawing = chart_of(year()).draw()
    fine, _ = (each.each for each in drawing.columns)
    assert (len(fine), fine[0].width, drawing.rows) == (250, ".4", "1")
    assert PRICES + 10 < VOLUMES  # the bars below never touch those above
    first, second = year()[:2]
    moved = f"{(second.close / first.close - 1) * 100:+.2f}%"
    assert _read(fine[0]) == ["2024-12-02", *map(str, first[1:5])]
    assert _read(fine[1]) == ["2024-12-03", moved, *map(str, second[1:5])]
    (now,) = drawing.now.columns[0].each
    assert _read(now)[0] == "2025-11-17"
    assert now.x == "99.6"


def test_each_joined_bar_can_be_read_where_it_is_drawn():
    chart = chart_of(year())
    drawing = chart.draw()
    weeks = [*drawing.columns[1].each, *drawing.now.columns[1].each]
    assert len(weeks) == len(chart.frame.wider) == 51
    before = None
    for column, drawn_ in zip(weeks, chart.frame.wider, strict=True):
        bar_ = drawn_.bar
        moved = [f"{(bar_.close - before) / before * 100:+.2f}%"] if before else []
        before = bar_.close
        assert _read(column) == [f"{bar_.start:%Y-%m-%d}+{WEEK}", *map(str, bar_[1:5]), *moved]
        assert float(column.x) == pytest.approx(drawn_.first / 251 * 100, abs=0.01)
        slots = drawn_.last - drawn_.first + 1
        assert float(column.width) == pytest.approx(slots / 251 * 100, abs=0.01)


def _texts(column: Column) -> list[str]:
    return [line.text for line in column.lines]


def _read(column: Column) -> list[str]:
    return " ".join(_texts(column)).split()


def test_long_numbers_get_more_lines_rather_than_being_cut():
    bars = [bar(each.start, [each.open * 10**6, each.close * 10**6]) for each in year()[:9]]
    drawing = chart_of(bars).draw()
    assert (drawing.lines, drawing.rows, drawing.room) == ("4", "1", "112")
    fine, joined = (each.each for each in drawing.columns)
    assert [len(column.lines) for column in fine] == [1] * 8
    assert [len(column.lines) for column in joined] == [3] + [4] * 7  # the first has no change


def test_the_previous_close_is_a_line_or_an_arrow_at_the_edge():
    low, high = (
        pick(getattr(each, name) for each in DAY_OF_MINUTES)
        for pick, name in ((min, "low"), (max, "high"))
    )
    inside, above, below = (
        day(previous=each).draw().reference for each in (DAY_BEFORE, high * 2, low / 2)
    )
    assert (inside.text, inside.beyond) == ("272.00", "")
    assert 0 < float(inside.y) < 82
    assert (above.beyond, above.y) == ("above", "0")
    assert (below.beyond, below.y) == ("below", "82")
    assert chart_of(year()).draw().reference is None
    assert day(previous=high * 2).scale == day().scale  # it does not press the line down


def test_without_any_volume_prices_take_all_the_height():
    bars = [each._replace(volume=None) for each in year()]
    chart = chart_of(bars)
    assert chart.scale.bottom == 1000
    assert chart.draw().bars.volume == chart.draw().now.bar.volume == ""


def test_a_split_is_marked_where_the_price_falls():
    (event,) = chart_of(year(), events=[(SPLIT, "Split 4:1")]).draw().events
    place = next(n for n, each in enumerate(year()) if each.start.date() == SPLIT)
    assert float(event.at) == pytest.approx(place / 251 * 100, abs=0.01)
    assert (event.text, event.side) == ("Split 4:1", "before")


def test_a_split_of_a_day_of_minutes_is_marked_at_the_opening_after_it():
    days = [bar._replace(start=bar.start - timedelta(days=2)) for bar in DAY_OF_MINUTES]
    chart = chart_of([*days, *DAY_OF_MINUTES], MINUTE, events=[(HALF_DAY.begins.date(), "Split")])
    (event,) = chart.draw().events
    opening = chart.frame.starts.index(chart.frame.start(OPENING))
    assert float(event.at) == pytest.approx(opening / chart.frame.count * 100, abs=0.01)


def test_the_text_has_last_change_low_and_high_with_their_times():
    summary = day(previous=DAY_BEFORE).draw().now.summary
    bars = DAY_OF_MINUTES
    low, high = min(bars, key=lambda b: b.low), max(bars, key=lambda b: b.high)
    assert summary.last == str(bars[-1].close)
    assert (summary.reference, summary.since) == ("272.00", "")
    assert summary.change == f"{abs(bars[-1].close / DAY_BEFORE - 1) * 100:.2f}%"
    assert summary.way == ("up" if bars[-1].close > DAY_BEFORE else "down")
    for each, found in ((low, summary.low_at), (high, summary.high_at)):
        assert found == f"{each.start.astimezone(NEW_YORK):%H:%M}"
    assert (summary.low, summary.high) == (str(low.low), str(high.high))
    assert summary.timed
    summary = chart_of(year()).draw().now.summary
    assert (summary.since, summary.timed) == ("2024-12-02", False)


@settings(max_examples=25)
@given(series(most=1000), st.integers(1, 10))
def test_the_last_bar_alone_is_drawn_as_in_a_new_chart(bars: list[Bar], up: int):
    last = bars[-1]
    close = (last.close + last.low * up) / (up + 1)  # within high and low
    grown = last._replace(close=max(close.quantize(Decimal("1E-8")), last.low))
    now = chart_of(bars, MINUTE).now(grown)
    whole = chart_of([*bars[:-1], grown], MINUTE).draw().now
    assert now
    assert whole
    for ours, theirs in zip(now.columns, whole.columns, strict=True):
        assert _read(ours.each[0]) == _read(theirs.each[0])  # the number of lines may be another
    for name in ("way", "y", "price", "joined", "line", "area", "summary"):
        assert getattr(now, name) == getattr(whole, name)
    assert now.bar == whole.bar


def test_everything_is_drawn_again_for_another_bar_or_beyond_the_scale():
    bars = minutes(count=100)
    chart = chart_of(bars[:99], MINUTE)
    assert chart.now(bars[98])
    assert chart.now(bars[99]) is None
    assert chart.now(bars[98]._replace(high=bars[98].high * 2)) is None
    assert chart.now(bars[98]._replace(low=bars[98].low / 2)) is None


def test_prices_below_zero_are_a_chart():
    bars = [bar(each.start, [n - 560 for n in each[1:5]]) for each in year()]
    drawing = chart_of(bars, logarithmic=True).draw()  # which only prices above zero can have
    assert drawing.now.way == "down"
    assert (
        drawing.now.summary.change
        == f"{abs((bars[-1].close - bars[0].open) / bars[0].open) * 100:.2f}%"
    )
    nothing = [bar(bars[0].start, [Decimal(0)]), bar(bars[1].start, [Decimal("1.50")])]
    summary = chart_of(nothing).draw().now.summary
    assert (summary.change, summary.way) == ("1.50", "up")


@pytest.mark.parametrize("logarithmic", [False, True])
def test_the_smallest_and_the_largest_price_are_a_chart(logarithmic: bool):
    starts = [each.start for each in year()[:3]]
    for ends in (("1E-18", "1E+24"), ("1E-18", "2E-18"), ("1E+24", "1.000000000001E+24")):
        bars = [bar(start, [*map(Decimal, ends)], Decimal("1E+24")) for start in starts]
        drawing = chart_of(bars, logarithmic=logarithmic, tick=Decimal("1E-18")).draw()
        assert 2 <= len(drawing.values) <= 30
        assert len(points(drawing.bars.up)) == 2 * 6


def test_one_bar_is_a_chart():
    for kind in ("line", "candles"):
        drawing = chart_of(year()[:1], kind=kind).draw()
        assert drawing.line == drawing.area == drawing.bars.up == ""
        assert points(drawing.now.line) == [(5, 820 // 2)] * 2 or drawing.now.line
        assert not any(each.each for each in drawing.columns)


def test_a_price_that_never_changes_is_a_chart():
    flat = [bar(each.start, [Decimal(5)] * 2) for each in year()[:9]]
    drawing: Drawing = chart_of(flat).draw()
    assert {y for _, y in points(drawing.bars.up)} == {500}
    assert drawing.now.way == "flat"
