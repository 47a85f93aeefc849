"""Numbers and times as people read them: right to the last digit, in either language."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import pytest
from django.utils import timezone, translation
from hypothesis import given
from hypothesis import strategies as st

from quotes import formats
from quotes.models import Symbol
from quotes.quote.values import price as as_price

NBSP = "\N{NO-BREAK SPACE}"
languages = st.sampled_from(["en", "de"])
prices = st.decimals(Decimal("1E-18"), Decimal("1E+9"), places=18).filter(bool)
tick_sizes = st.sampled_from([None, 0, 1, 2, 3, 4, 8])
changes = st.decimals(Decimal(-10_000), Decimal(10_000), places=6)


def parsed(text: str, language: str) -> Decimal:
    """Read a number as a person of that language does."""
    decimal, thousand = {"en": ".,", "de": ",."}[language]
    plain = text.replace(thousand, "").replace(decimal, ".").replace(formats.MINUS, "-")
    return Decimal(plain)


def accessible(html: str) -> str:
    """Return a price as a screen reader reads it."""
    whole = re.search(r'<span class="quotes-whole">(.+?)</span>', html)
    return whole[1] if whole else html


def digits_of(tick_size: str) -> int | None:
    return Symbol(code="AAPL", tick_size=Decimal(tick_size)).digits


class TestNumbers:
    @given(changes, st.integers(0, 6), languages)
    def test_a_number_reads_back_as_itself_rounded_half_up(
        self, value: Decimal, digits: int, language: str
    ):
        rounded = value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
        assert parsed(formats.number(value, digits, language), language) == rounded

    def test_germans_read_a_point_between_thousands_and_a_comma_before_cents(self):
        assert formats.number(Decimal("1234.56"), 2, "de") == "1.234,56"
        assert formats.number(Decimal("1234567.5"), 2, "de") == "1.234.567,50"
        assert formats.number(Decimal("1234.56"), 2, "en") == "1,234.56"

    def test_a_number_keeps_all_digits_of_a_long_one(self):
        long = "0." + "1" * 61
        assert formats.number(Decimal(long), 61, "en") == long

    def test_half_a_cent_is_rounded_up(self):
        assert formats.number(Decimal("0.125"), 2, "en") == "0.13"
        assert formats.number(Decimal("-0.125"), 2, "en") == f"{formats.MINUS}0.13"

    @given(changes, languages)
    def test_zero_has_no_sign(self, value: Decimal, language: str):
        for text in (formats.signed(value, 2, language), formats.number(value, 2, language)):
            if parsed(text, language) == 0:
                assert text[0] == "0"


class TestPrices:
    @given(prices, tick_sizes, languages)
    def test_a_price_reads_back_as_itself_rounded_to_its_digits(
        self, value: Decimal, digits: int | None, language: str
    ):
        shown = formats.price_digits(value, digits)
        rounded = value.quantize(Decimal(1).scaleb(-shown), ROUND_HALF_UP)
        assert parsed(accessible(formats.price(value, digits, language)), language) == rounded

    @given(prices, tick_sizes, languages)
    def test_a_price_is_never_shown_as_nothing(
        self, value: Decimal, digits: int | None, language: str
    ):
        assert parsed(accessible(formats.price(value, digits, language)), language) > 0

    @given(st.decimals(1, 10**9, places=12), st.integers(0, 8), languages)
    def test_a_rows_prices_have_the_same_digits_from_tick_to_tick(
        self, value: Decimal, digits: int, language: str
    ):
        mark = formats.notation(language).decimal
        on_a_tick = formats.rounded_to(value, digits)
        text = formats.price(on_a_tick, digits, language)
        assert len(text.partition(mark)[2]) == digits

    @given(prices, tick_sizes, languages)
    def test_rounding_never_moves_a_price_by_more_than_a_thousandth(
        self, value: Decimal, digits: int | None, language: str
    ):
        shown = parsed(accessible(formats.price(value, digits, language)), language)
        most = formats.price_digits(value, digits) == formats.MAX_DIGITS
        assert most or abs(shown - value) <= value / 1000

    @pytest.mark.parametrize(
        ("tick_size", "last", "shown"),
        [
            ("0.05", "1.1", "1.10"),
            ("0.05", "1.15", "1.15"),
            ("0.01", "64123.4", "64,123.40"),
            ("0.0001", "1.1", "1.1000"),
            ("1", "39087", "39,087"),
            ("25", "39075", "39,075"),
            ("0.010000000000", "101", "101.00"),  # as databases keep it
            ("0.01", "0.004", "0.0040"),
            ("0.01", "1.234", "1.234"),  # 1.23 would be 0.3 % too low
            ("0.01", "12.345", "12.35"),
            ("1", "7.5", "7.5"),
            ("100", "149", "149"),
            ("0.01", "0.012345", "0.01235"),
        ],
    )
    def test_a_tick_size_sets_the_digits(self, tick_size: str, last: str, shown: str):
        assert formats.price(Decimal(last), digits_of(tick_size), "en") == shown

    @pytest.mark.parametrize(
        ("last", "shown"), [("101", "101.00"), ("101.5", "101.50"), ("1.23456", "1.23456")]
    )
    def test_without_a_tick_size_a_price_keeps_the_digits_it_came_with(self, last: str, shown: str):
        assert formats.price(Decimal(last), None, "en") == shown

    def test_a_tiny_price_counts_its_zeros_and_carries_the_whole_number(self):
        assert formats.price(Decimal("0.000001234"), digits_of("0.000000001"), "en") == (
            '<span class="quotes-tiny" aria-hidden="true">0.0<sub>5</sub>1234</span>'
            '<span class="quotes-whole">0.000001234</span>'
        )

    def test_a_tiny_price_has_a_comma_in_german(self):
        assert "0,0<sub>5</sub>12" in formats.price(Decimal("0.0000012"), None, "de")

    @pytest.mark.parametrize(
        ("change", "shown", "whole"),
        [
            ("0.000000125", "+0.0<sub>6</sub>125", "+0.000000125"),
            ("-0.00000003", "−0.0<sub>7</sub>30", "−0.000000030"),
            ("0", "0.00", "0.000000000"),
        ],
    )
    def test_a_tiny_price_moves_by_as_few_characters(self, change: str, shown: str, whole: str):
        html = formats.price_change(Decimal(change), 9, "en")
        assert f">{shown}<" in html
        assert accessible(html) == whole

    @pytest.mark.parametrize(
        ("change", "shown"),
        [("10.00001", "+10.000010"), ("-0.0001", "−0.000100"), ("0.5", "+0.500000")],
    )
    def test_other_changes_are_written_out(self, change: str, shown: str):
        assert formats.price_change(Decimal(change), 6, "en") == shown

    def test_no_change_of_a_usual_price_has_its_digits(self):
        assert formats.price_change(Decimal(0), 2, "en") == "0.00"

    def test_a_price_with_three_zeros_is_written_out(self):
        assert formats.price(Decimal("0.0001"), None, "en") == "0.0001"

    @given(st.decimals(Decimal("1E-12"), Decimal("0.000099"), places=14).filter(bool), languages)
    def test_the_zeros_that_are_counted_and_the_rest_make_the_whole(
        self, value: Decimal, language: str
    ):
        html = formats.price(value, None, language)
        found = re.search(r"0([.,])0<sub>(\d+)</sub>(\d+)<", html)
        assert found
        assert f"0{found[1]}{'0' * int(found[2])}{found[3]}" == accessible(html)

    @given(st.integers(1, 10**12), st.integers(-40, 40), tick_sizes)
    def test_whatever_counts_as_a_price_can_be_shown(
        self, digits: int, exponent: int, tick_size: int | None
    ):
        # a price that can't be shown would stop the updates of all rows, not only of its own
        if value := as_price(f"{digits}e{exponent}"):
            assert formats.price(value, tick_size, "en")

    def test_machines_get_every_digit_and_no_exponent(self):
        assert formats.plain(Decimal("1.2E-9")) == "0.0000000012"
        assert formats.plain(Decimal("6.4E+4")) == "64000"


class TestChanges:
    @given(changes, languages)
    def test_sign_and_direction_and_arrow_agree(self, change: Decimal, language: str):
        text = formats.percent(change, language)
        way = formats.direction(change, 2)
        sign = {"up": "+", "down": formats.MINUS}.get(way)
        assert text[0] == sign if sign else text[0].isdigit()
        assert formats.ARROWS[way] == {"+": "▲", formats.MINUS: "▼"}.get(text[0], "•")

    @pytest.mark.parametrize("change", ["0.004", "-0.004", "0", "-0"])
    def test_a_move_that_rounds_to_zero_is_neutral(self, change: str):
        assert formats.percent(Decimal(change), "en") == "0.00%"
        assert formats.direction(Decimal(change), 2) == "flat"

    def test_a_percentage_has_a_sign_and_two_decimals(self):
        assert formats.percent(Decimal("1.25"), "en") == "+1.25%"
        assert formats.percent(Decimal(-12), "de") == f"{formats.MINUS}12,00{NBSP}%"

    def test_an_unknown_change_has_no_direction(self):
        assert formats.direction(None, 2) == "flat"


class TestVolumes:
    @pytest.mark.parametrize(
        ("volume", "shown"),
        [
            ("0", "0"),
            ("0.5", "0.50"),
            ("0.0345", "0.035"),
            ("0.0034", "0.0034"),
            ("1.005", "1.01"),
            ("999", "999"),
            ("12345", "12,345"),
            ("1234567", "1.23M"),
            ("45678901234", "45.68B"),
            ("7000000000000", "7.00T"),
        ],
    )
    def test_a_volume_is_written_short(self, volume: str, shown: str):
        assert formats.compact(Decimal(volume), "en") == shown

    @pytest.mark.parametrize(
        ("volume", "shown"),
        [
            (1_234_567, f"1,23{NBSP}Mio."),
            (1_234_567_890, f"1,23{NBSP}Mrd."),
            (1_500_000_000_000, f"1,50{NBSP}Bio."),
            (12_345, "12.345"),
        ],
    )
    def test_a_volume_is_short_in_german(self, volume: int, shown: str):
        assert formats.compact(Decimal(volume), "de") == shown

    def test_a_tiny_volume_counts_its_zeros(self):
        assert "0.0<sub>6</sub>12<" in formats.compact(Decimal("0.00000012"), "en")

    @given(st.decimals(Decimal("1E-20"), 1, places=25), languages)
    def test_a_volume_below_one_keeps_two_significant_figures(self, volume: Decimal, language: str):
        shown = parsed(accessible(formats.compact(volume, language)), language)
        assert abs(shown - volume) <= volume / 20

    def test_a_volume_just_below_a_unit_is_written_in_that_unit(self):
        assert formats.compact(Decimal(999_999_999), "en") == "1.00B"

    @given(st.integers(0, 400))
    def test_whatever_counts_as_a_volume_can_be_shown(self, exponent: int):
        if volume := as_price(f"7e{exponent}"):
            assert formats.compact(volume, "en")


class TestTimes:
    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (30, "<1 min old"),
            (-2, "<1 min old"),  # a source whose clock is ahead
            (60, "1 min old"),
            (5 * 60, "5 min old"),
            (3600, "1 h old"),
            (7300, "2 h old"),
            (24 * 3600, "1 day old"),
            (9 * 24 * 3600 + 7, "9 days old"),
        ],
    )
    def test_an_age_is_written_in_its_largest_unit(self, seconds: int, words: str):
        assert formats.age(seconds, "en") == words

    def test_a_clock_shows_the_zone_of_the_site(self):
        with timezone.override("Europe/Berlin"):
            assert formats.clock(datetime(2026, 3, 2, 12, 0, 5, tzinfo=UTC)) == "13:00:05"

    @pytest.mark.parametrize(
        ("days", "output"), [(0, "Mon 13:00"), (-5, "Wed 13:00"), (5, "Sat 13:00"), (6, "8 Mar")]
    )
    def test_a_day_is_a_weekday_where_that_can_only_be_one(self, days: int, output: str):
        noon = datetime(2026, 3, 2, 12, 0, 5, tzinfo=UTC)
        with timezone.override("Europe/Berlin"):
            text = formats.day_and_time(noon + timedelta(days=days), noon)
        assert text.replace("\N{NO-BREAK SPACE}", " ") == output

    def test_germans_read_german_days(self):
        noon = datetime(2026, 3, 3, 12, 0, 5, tzinfo=UTC)
        with translation.override("de"):
            assert formats.day_and_time(noon, noon) == "Di\N{NO-BREAK SPACE}12:00"
            far = formats.day_and_time(noon, noon - timedelta(days=9))
            assert far == "3.\N{NO-BREAK SPACE}Mär"
