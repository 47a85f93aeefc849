"""Bounds of widths; a browser compares them with its fonts, see tests/browser/test_charts.py."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from quotes.charts.widths import GAP, READING, lines, width

rows = st.integers(1, 7).flatmap(
    lambda count: st.lists(
        st.lists(st.text(max_size=12), min_size=count, max_size=count), min_size=1, max_size=5
    )
)


@given(rows, st.integers(50, 400))
def test_no_line_is_wider_than_the_room_unless_one_item_is(rows: list[list[str]], room: int):
    counts = lines(rows, room)
    assert sum(counts) == len(rows[0])
    for row in rows:
        for count, end in zip(counts, accumulate(counts), strict=True):
            text = GAP.join(row[end - count : end])
            assert count == 1 or width(text, READING) <= room + 1e-6


def test_lines_are_filled_equally():
    assert lines([["1234567890"] * 4], 400) == [4]
    assert lines([["1234567890"] * 4], 288) == [2, 2]
    assert lines([["1234567890"] * 5], 288) == [3, 2]


def test_items_that_are_never_wide_in_the_same_row_share_a_line():
    assert lines([["1" * 25, "2"], ["1", "2" * 25]], 288) == [2]
    assert lines([["1" * 25, "2" * 25]], 288) == [1, 1]


def test_bold_is_wider_and_a_larger_font_is():
    assert width("271.74", 11, bold=True) > width("271.74", 11)
    assert width("271.74", 12) > width("271.74", 11)
