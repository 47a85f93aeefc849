"""The dialects of htmx."""

from __future__ import annotations

import pytest

from quotes.htmx import dialect


@pytest.mark.parametrize(
    ("swap", "for_2"),
    [
        ("true", "true"),
        ("outerMorph", "outerHTML"),
        ("innerMorph:.quote>.c-spark", "innerHTML:.quote>.c-spark"),
        ("outerMorph:tr[data-symbol='outerMorph:X']", "outerHTML:tr[data-symbol='outerMorph:X']"),
        ("delete:tr.quote:not(.quote-entry)", "delete:tr.quote:not(.quote-entry)"),
    ],
)
def test_a_swap_is_written_as_the_htmx_of_the_page_knows_it(swap: str, for_2: str):
    assert dialect.swap(swap, 4) == swap
    assert dialect.swap(swap, 2) == for_2
