"""Quotes: no digit is lost on their way, and an invalid price never becomes a price."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from math import inf, nextafter
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from quotes.quote import REFERENCE_KINDS, SESSIONS, Quote
from quotes.quote.values import (
    EPOCH,
    MILLISECOND,
    SECOND,
    decimal,
    loads,
    price,
    since_1970,
    unit_of,
    utc,
)
from quotes.quote.wire import FIELDS, from_wire, to_wire

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

prices = st.decimals(Decimal("1E-18"), Decimal("1E+18"), allow_nan=False, allow_infinity=False)
moments = st.datetimes(timezones=st.just(UTC))
quotes = st.builds(
    Quote,
    symbol=st.sampled_from(["BTC-USD", "BRK.B", "^GSPC"]),
    provider=st.sampled_from(["simulated", "coinbase"]),
    currency=st.sampled_from(["USD", "EUR", "USDT"]),
    last=prices,
    received_at=moments,
    source_time=st.none() | moments,
    bid=st.none() | prices,
    ask=st.none() | prices,
    open=st.none() | prices,
    high=st.none() | prices,
    low=st.none() | prices,
    reference=st.none() | prices,
    reference_kind=st.sampled_from(REFERENCE_KINDS),
    volume=st.none() | prices,
    volume_window=st.sampled_from([None, "24h", "session"]),
    session=st.none() | st.sampled_from(SESSIONS),
    delay=st.none() | st.integers(0, 3600),
    sequence=st.none() | st.integers(0, 2**53),
)

decimals = st.builds(
    lambda digits, places: Decimal(digits).scaleb(-places),
    st.integers(1, 10**12 - 1),
    st.integers(1, 12),
)


def is_noise(written: Decimal, read: Decimal) -> bool:
    """Return whether a number may be written by a float that means a much shorter one."""
    lengths = len(written.as_tuple().digits), len(read.as_tuple().digits)
    return (
        lengths[0] in (16, 17) and lengths[1] <= 12 and abs(read / written - 1) < Decimal("1e-14")
    )


NO_PRICES = [
    0, "0", "0.00", "", " ", None, "NaN", "sNaN", "-1", -1, "-0.01", "Infinity", "-Infinity",
    101.5, float("nan"), float("inf"), True, False, "N/A", "1,5", "1.2.3", "$101", "0x10",
    "twelve", b"101", [], {}, (), object, Decimal("NaN"), Decimal(-101), Decimal("Infinity"),
]  # fmt: skip


class TestWireFormat:
    @given(quotes)
    def test_a_quote_that_is_sent_as_json_arrives_with_all_digits(self, quote: Quote):
        arrived = from_wire(json.loads(json.dumps(to_wire(quote))))
        assert arrived == quote
        # 101.50 and 101.5 are equal, but they look different to a visitor
        assert to_wire(arrived) == to_wire(quote)

    def test_a_quote_with_a_missing_field_raises_value_error(
        self, make_quote: Callable[..., Quote]
    ):
        with pytest.raises(ValueError, match=f"has {len(FIELDS)} fields .*, not {len(FIELDS) - 1}"):
            from_wire(to_wire(make_quote())[:-1])

    @pytest.mark.parametrize(
        ("field", "junk"), [("last", "cheap"), ("bid", {}), ("received_at", "noon"), ("volume", [])]
    )
    def test_an_invalid_value_of_a_field_raises_value_error(
        self, make_quote: Callable[..., Quote], field: str, junk: Any
    ):
        wire = to_wire(make_quote())
        wire[FIELDS.index(field)] = junk
        with pytest.raises(ValueError, match=r".*"):
            from_wire(wire)


class TestNumbers:
    @pytest.mark.parametrize("given", NO_PRICES, ids=repr)
    def test_an_invalid_price_is_none(self, given: Any):
        assert price(given) is None

    @pytest.mark.parametrize("given", [101, "101", Decimal(101), "1.01E+2"], ids=repr)
    def test_a_number_above_zero_is_a_price(self, given: Any):
        assert price(given) == 101

    def test_a_list_in_place_of_a_price_is_none(self):
        # Decimal([0, [1, 0, 1], 0]) is 101
        assert price([0, [1, 0, 1], 0]) is None

    def test_a_price_that_no_market_reaches_is_none(self):
        assert price("1e400") is None

    @pytest.mark.parametrize("given", ["NaN", "Infinity", "", None, 1.5, True, "1,5", {}], ids=repr)
    def test_a_number_that_is_not_finite_or_exact_is_none(self, given: Any):
        assert decimal(given) is None

    @pytest.mark.parametrize("given", ["-2.50", "0", "2.50"])
    def test_a_number_may_be_zero_or_negative(self, given: str):
        assert str(decimal(given)) == given

    @given(st.floats() | st.booleans())
    def test_a_float_is_none_because_it_has_lost_digits(self, given: float):
        assert price(given) is None
        assert decimal(given) is None

    @given(
        st.recursive(st.none() | st.text() | st.booleans() | st.floats() | st.binary(), st.lists)
    )
    def test_a_price_of_junk_raises_nothing_and_is_none_or_above_zero(self, given: Any):
        found = price(given)
        assert found is None or found > 0


class TestJson:
    def test_no_digit_of_a_fraction_is_lost(self):
        read = loads('{"last": 0.1234567890123456789012345, "size": 1.10}')
        assert str(read["last"]) == "0.1234567890123456789012345"
        assert str(read["size"]) == "1.10"

    def test_a_bare_nan_is_parsed_and_is_not_a_price(self):
        assert price(loads('{"last": NaN}')["last"]) is None

    @given(prices)
    def test_a_price_is_read_as_it_was_written(self, last: Decimal):
        assert price(loads(f'{{"last": "{last:f}"}}')["last"]) == last
        read = price(loads(f'{{"last": {last:f}}}')["last"])
        assert read == last or (read and is_noise(last, read))

    @given(decimals, st.integers(-1000, 1000))
    @example(Decimal("64250.12"), -1)
    @example(Decimal("0.3"), 1)  # 0.1 + 0.2
    @example(Decimal("1E-7"), 3)
    def test_a_float_is_read_as_the_decimal_that_it_means(self, meant: Decimal, steps: int):
        noisy = float(meant)
        for _ in range(abs(steps) % 4):
            noisy = nextafter(noisy, inf if steps > 0 else -inf)
        assume(f"{noisy:.15g}" == f"{float(meant):.15g}")
        floats = [text for text in (json.dumps(noisy), f"{noisy:.17g}") if "." in text]
        assume(floats)  # else both are whole numbers
        for written in floats:
            assert price(loads(f'{{"last": {written}}}')["last"]) == meant
            assert price(loads(f'{{"last": "{written}"}}')["last"]) == Decimal(written)

    @pytest.mark.parametrize(
        ("written", "read"),
        [
            ("64250.119999999995", "64250.12"),
            ("0.30000000000000004", "0.3"),
            ("0.29999999999999999", "0.3"),
            ("-37.630000000000003", "-37.63"),
            ("1.2299999999999998e-07", "1.23E-7"),
            ("64250.123333333335", "64250.123333333335"),  # an average, not noise
            ("123456789.12345678", "123456789.12345678"),
            ("101.0000000000000", "101.0000000000000"),
            ("0.300000000000000044", "0.300000000000000044"),  # floats have fewer digits
            ("1e400", "1E+400"),
        ],
    )
    def test_only_noise_is_removed(self, written: str, read: str):
        assert str(loads(written)) == read


class TestTimes:
    def test_z_is_utc(self):
        assert utc("2026-03-02T12:00:00Z") == NOON

    def test_nanoseconds_are_cut_off(self):
        assert utc("2026-03-02T12:00:00.123456789Z") == NOON.replace(microsecond=123456)

    def test_a_time_of_another_zone_becomes_utc(self):
        read = utc("2026-03-02T07:00:00-05:00")
        assert read == NOON
        assert read.utcoffset() == timedelta(0)

    def test_a_time_without_a_zone_is_taken_as_utc(self):
        assert utc("2026-03-02T12:00:00") == NOON

    @pytest.mark.parametrize(
        "junk", [None, "", "noon", "2026-13-01T00:00:00Z", "1772452800", 12, []]
    )
    def test_an_invalid_time_is_none(self, junk: Any):
        assert utc(junk) is None

    def test_a_time_before_the_year_1_is_none(self):
        assert utc("0001-01-01T00:00:00+14:00") is None

    @given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)), st.integers(-14, 14))
    def test_a_time_of_any_zone_stays_the_same_moment(self, moment: datetime, hours: int):
        aware = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
        assert utc(aware.isoformat()) == aware


class TestDerivedFigures:
    def test_change_is_last_minus_the_previous_close(self, make_quote: Callable[..., Quote]):
        assert make_quote("AAPL", "101").change == 1
        assert make_quote("AAPL", "101").change_percent == 1

    def test_the_change_of_a_fall_is_negative(self, make_quote: Callable[..., Quote]):
        fell = make_quote("AAPL", "98.50")
        assert (fell.change, fell.change_percent) == (Decimal("-1.50"), Decimal("-1.50"))

    @pytest.mark.parametrize(
        ("reference", "last", "percent"),
        [("-10", "-5", 50), ("-10", "-15", -50), ("20", "-5", -125)],
    )
    def test_the_percentage_has_the_sign_of_the_change_below_zero_too(
        self, make_quote: Callable[..., Quote], reference: str, last: str, percent: int
    ):
        oil = make_quote("CL", last, reference=Decimal(reference))
        assert oil.change_percent == percent

    def test_without_a_reference_the_change_is_none_and_not_zero(
        self, make_quote: Callable[..., Quote]
    ):
        listed_today = make_quote("AAPL", "101", reference=None)
        assert listed_today.change is None
        assert listed_today.change_percent is None

    def test_the_time_of_a_quote_is_the_exchanges_own_if_it_is_known(
        self, make_quote: Callable[..., Quote]
    ):
        traded = NOON - timedelta(seconds=3)
        assert make_quote(received_at=NOON, source_time=traded).time == traded
        assert make_quote(received_at=NOON).time == NOON


@given(st.datetimes(datetime(1970, 1, 1, 0, 1), timezones=st.just(UTC)))
def test_a_time_since_1970_keeps_its_milliseconds(when: datetime):
    exact = when.replace(microsecond=when.microsecond // 1000 * 1000)
    assert since_1970((exact - EPOCH) // MILLISECOND, MILLISECOND) == exact


@pytest.mark.parametrize("count", [0, -1, None, True, 1.5, "1", 10**30, []])
def test_an_invalid_number_of_seconds_is_none(count: Any):
    assert since_1970(count, SECOND) is None


POWERS = {"gbx": 2, "zac": 2, "ila": 2, "usx": 2, "kwf": 3}  # of ten in one of the currency


@given(st.sampled_from(list(POWERS)), st.randoms(), prices)
def test_a_price_in_a_small_unit_becomes_one_in_its_currency(
    code: str, chance: Any, number: Decimal
):
    unit = unit_of("".join(chance.choice((each, each.upper())) for each in code))
    assert unit.currency == {"gbx": "GBP", "kwf": "KWD", "usx": "USD"}.get(code, unit.currency)
    converted = unit.convert(number)
    assert converted.as_tuple().digits == number.as_tuple().digits
    assert number.adjusted() - converted.adjusted() == POWERS[code]


@given(st.from_regex(r"\A[A-Za-z0-9]{2,10}\Z"))
def test_every_other_code_is_a_currency_by_itself(code: str):
    unit = unit_of(code)
    small = code.lower() in POWERS or code == "GBp"
    assert small or unit == (code.upper(), 0)
    assert unit_of("GBp") == ("GBP", -2)


@given(st.text() | st.binary() | st.integers() | st.none() | st.lists(st.text()))
def test_what_has_not_the_form_of_a_currency_is_refused_in_a_short_line(given: Any):
    valid = isinstance(given, str) and re.fullmatch("[A-Za-z0-9]{2,10}", given)
    with nullcontext() if valid else pytest.raises(ValueError, match="must be 2 to 10") as error:
        unit_of(given)
    if error:
        assert len(str(error.value)) < 100
        assert str(error.value).isprintable()


def test_a_quote_with_an_endless_currency_is_refused_on_the_wire():
    quote = Quote(symbol="AAPL", provider="http", currency="USD", last=Decimal(1), received_at=NOON)
    values = to_wire(quote)
    place = FIELDS.index("currency")
    with pytest.raises(ValueError, match="the currency is 'EEE") as error:
        from_wire([*values[:place], "E" * 1_000_000, *values[place + 1 :]])
    assert len(str(error.value)) < 150
