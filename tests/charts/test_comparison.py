"""Comparisons: up to five symbols, in percent from the start of the range."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quotes.charts.bars import DAY, MINUTE, WEEK, Bar
from quotes.charts.comparison import Comparison
from quotes.charts.drawing import Column
from quotes.charts.frame import Frame
from quotes.charts.widths import GAP
from tests.charts.made import NEW_YORK, Plain, bar, minutes, series, year
from tests.charts.paths import points


def compare(*symbols: list[Bar], step: int = DAY) -> Comparison:
    return Comparison(
        frame=Frame(bars=symbols[0], step=step, zone=NEW_YORK),
        texts=Plain(),
        names=["AAPL", "SPY", "ETH", "BTC", "SOL", "XRP"][: len(symbols)],
        others=symbols[1:],
    )


def read(column: Column) -> list[str]:
    """Return the time and the changes that a column shows."""
    return [line.text for line in column.lines if line.text] + [
        item.text.removeprefix(GAP) for line in column.lines for item in line.items
    ]


def doubled(bars: list[Bar]) -> list[Bar]:
    return [bar(each.start, [each.close * 2]) for each in bars]


def test_the_same_changes_are_the_same_line_at_any_price():
    drawing = compare(year(), doubled(year())).draw()
    first, second = drawing.series
    assert first.path == second.path
    assert (first.name, second.name) == ("AAPL", "SPY")
    last = (year()[-1].close / year()[0].close - 1) * 100
    assert first.change == f"{last:+.2f}%"
    fine, joined = (each.each for each in drawing.columns)
    assert read(fine[0]) == ["2024-12-02", "AAPL +0.00%", "SPY +0.00%"]
    assert (len(fine), len(joined)) == (251, 51)


def test_all_begin_at_zero_percent():
    comparison = compare(year(), doubled(year())[20:])
    first, late = comparison.draw().series
    zero = comparison.scale.at(Decimal(0))
    assert points(first.path)[0] == (5, zero)
    assert points(late.path)[0] == (205, zero)
    fine, _ = (each.each for each in comparison.draw().columns)
    assert read(fine[0]) == ["2024-12-02", "AAPL +0.00%", "SPY –"]


@settings(max_examples=25)
@given(st.lists(series(most=300), min_size=1, max_size=5))
def test_everything_is_inside_the_box(symbols: list[list[Bar]]):
    drawing = compare(*symbols, step=MINUTE).draw()
    for each in drawing.series:
        assert all(0 < x < int(drawing.box) and 0 <= y <= 1000 for x, y in points(each.path))
    assert len(drawing.series) == len(symbols)


def test_bars_outside_the_hours_of_the_first_symbol_are_left_out():
    drawing = compare(minutes(count=60), minutes(count=120), step=MINUTE).draw()
    assert len(drawing.columns[0].each) == 60
    assert points(drawing.series[1].path)[-1][0] == 595


def test_a_change_is_read_where_its_symbol_was_not_traded():
    saturday = year()[:5][-1].start + timedelta(days=1)
    weekend = [bar(saturday + timedelta(days=n), [Decimal(600)]) for n in range(2)]
    always = sorted([*year()[:10], *weekend])
    fine, _ = (each.each for each in compare(always, doubled(year()[:10])).draw().columns)
    friday, first, second, monday = (read(each) for each in fine[4:8])
    assert friday[2] == first[2] == second[2] != monday[2]
    assert monday[2].startswith("SPY ")


def test_a_joined_bar_has_the_changes_at_its_end():
    fine, joined = (each.each for each in compare(year(), doubled(year())).draw().columns)
    week, friday = read(joined[1]), read(fine[9])
    assert week == [f"2024-12-09+{WEEK}", *friday[1:]]


def test_each_change_has_the_number_of_its_series():
    drawing = compare(*[year()[:100]] * 5).draw()
    for column in drawing.columns[1].each:
        items = [item for line in column.lines for item in line.items]
        assert [item.series for item in items] == [1, 2, 3, 4, 5]
        assert len(column.lines) == int(drawing.lines)


def test_a_symbol_that_has_prices_in_a_part_of_the_range_is_named():
    late = compare(year(), year()[200:]).draw().partial
    assert late == (("SPY", f"{year()[200].start:%Y-%m-%d}", "2025-11-17"),)
    early = compare(year(), year()[:40]).draw().partial
    assert early == (("SPY", "2024-12-02", f"{year()[39].start:%Y-%m-%d}"),)
    assert compare(year(), []).draw().partial == (("SPY", "", ""),)
    assert compare(year(), year()[3:-3]).draw().partial == ()
    assert compare(year()[:5], year()[1:4]).draw().partial == ()


def test_six_symbols_are_refused():
    with pytest.raises(ValueError, match="6 symbols to compare, at most 5 can be"):
        compare(*[year()] * 6).draw()
