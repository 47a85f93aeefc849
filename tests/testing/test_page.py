"""What tests of a site read from HTML, compared with what a visitor reads."""

from __future__ import annotations

from decimal import Decimal

import pytest

from quotes.testing.page import Page, Received

ROW = """
<table><tr class="quote quote-entry" data-symbol="AAPL" data-way="up" data-condition="stale">
<th scope="row">Apple &amp; Co<br>Inc.
<td class="c-last"><data data-field="last" value="1234.5">1,234.50</data>&nbsp;<span>USD</span>
<td data-field="state">20 min
  old</td>
</tr></table><p>Below</p>
"""


def test_a_fragment_has_its_fields_as_a_visitor_reads_them():
    fragment = Received(ROW)["AAPL"]
    assert (fragment["last"], fragment.last) == ("1,234.50", Decimal("1234.5"))
    assert fragment["state"] == "20 min old"
    assert (fragment.way, fragment.condition) == ("up", "stale")
    assert fragment.text == "Apple & Co Inc. 1,234.50 USD 20 min old"


def test_text_around_a_fragment_is_not_in_it():
    received = Received(f"<title>AAPL</title><script>var below = 1</script>{ROW}")
    assert received.text.startswith("AAPL Apple & Co")
    assert received.text.endswith("20 min old Below")
    assert "Below" not in received["AAPL"].text
    assert "var" not in received.text


def test_texts_of_one_word_are_not_divided():
    received = Received('<b data-symbol="AAPL"><i data-field="last">1<b>2</b>3</i></b>')
    assert received["AAPL"]["last"] == "123"


def test_a_fragment_inside_another_one_keeps_its_fields():
    inner = '<b data-symbol="TSLA"><i data-field="last">7</i></b>'
    outer = f'<p data-symbol="AAPL">{inner}<i data-field="last">5</i></p>'
    received = Received(outer)
    assert (received["AAPL"]["last"], received["TSLA"]["last"]) == ("5", "7")


def test_a_price_that_is_missing_is_none():
    assert Received('<b data-symbol="AAPL"></b>')["AAPL"].last is None


def test_a_page_shows_the_newest_that_it_received():
    old, new = (f'<b data-symbol="AAPL"><i data-field="last">{n}</i></b>' for n in (1, 2))
    waiting = [[], [new, "<p>a note</p>"], []]
    page = Page(old, lambda: waiting.pop(0))
    assert page["AAPL"]["last"] == "1"
    assert page["AAPL"]["last"] == "2"
    assert [each.text for each in page.read()] == ["2", "a note"]


def test_a_symbol_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(LookupError, match="shows no symbol 'TSLA', only: AAPL"):
        Received(ROW)["TSLA"]
    with pytest.raises(LookupError, match="shows no symbol 'TSLA', only: none"):
        Received("<p>")["TSLA"]
