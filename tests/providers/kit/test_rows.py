"""Rows of an operator's table or document, and options as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotes.providers import Instrument, Plan, ProviderError
from quotes.providers.kit.budgets import Budget
from quotes.providers.kit.options import count, seconds
from quotes.providers.kit.rows import FIELDS, read_row, read_rows, read_time
from quotes.providers.kit.standing import Standing
from quotes.quote import Quote
from quotes.quote.wire import from_wire, to_wire
from tests.junk import sane

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AAPL = Instrument(symbol="AAPL", code="AAPL", kind="stock")
ROW = {"code": "AAPL", "last": "101.00"}


def read(instrument: Instrument = AAPL, **changes: Any) -> Quote:
    return read_row("http", ROW | changes, instrument, NOW)


def test_a_row_becomes_a_quote_with_all_its_fields() -> None:
    quote = read(
        bid="100.99",
        ask=Decimal("101.010"),
        open="99",
        high="102.5",
        low=98,
        reference="100.00",
        volume="1200.5",
        time="2026-11-23T11:59:59.5Z",
        currency="USD",
    )
    assert quote == Quote(
        symbol="AAPL",
        provider="http",
        currency="USD",
        last=Decimal("101.00"),
        received_at=NOW,
        source_time=datetime(2026, 11, 23, 11, 59, 59, 500_000, tzinfo=UTC),
        bid=Decimal("100.99"),
        ask=Decimal("101.010"),
        open=Decimal(99),
        high=Decimal("102.5"),
        low=Decimal(98),
        reference=Decimal("100.00"),
        reference_kind="prev_close",
        volume=Decimal("1200.5"),
    )
    assert str(quote.ask) == "101.010"


def test_fields_that_a_row_lacks_are_none() -> None:
    assert read() == Quote(
        symbol="AAPL", provider="http", currency="USD", last=Decimal("101.00"), received_at=NOW
    )


def test_the_reference_of_crypto_is_of_24_hours_ago() -> None:
    assert read(Instrument(symbol="B", code="B"), reference="9").reference_kind == "rolling_24h"


def test_only_a_future_has_prices_below_zero() -> None:
    below = {"last": "-37.63", "reference": "-1", "bid": "-37.64", "open": "0"}
    oil = read(Instrument(symbol="CL", code="CL", kind="future"), **below)
    assert (oil.last, oil.reference, oil.bid) == tuple(map(Decimal, ("-37.63", "-1", "-37.64")))
    assert (oil.open, oil.reference_kind) == (None, "prev_close")
    share = read(**below)
    assert (share.last, share.reference, share.bid) == (Decimal("-37.63"), None, None)


def test_rows_of_prices_below_zero_are_not_a_fault() -> None:
    oil = Instrument(symbol="CL", code="CL", kind="future")
    standing = Standing(Budget(Plan()))
    assert read_rows("http", {"CL": {"last": "-37.63"}}, [oil], standing)[0].last < 0
    with pytest.raises(ProviderError, match="no price"):
        read_rows("http", {"AAPL": {"last": "-37.63"}}, [AAPL], standing)


NUMBERS = ["0", 0, "-1"]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_that_is_not_a_price_is_left_to_the_feed(number: Any) -> None:
    assert read(last=number).last == Decimal(number)


@pytest.mark.parametrize("no_number", [None, "", "NaN", "soon", True, [], {}, "1e99"])
def test_a_row_without_a_number_as_price_is_an_error(no_number: Any) -> None:
    with pytest.raises(ValueError, match=r"^has no price: last is "):
        read(last=no_number)


@pytest.mark.parametrize("no_price", [None, "", "NaN", "soon", True, [], {}, "1e99", *NUMBERS])
def test_a_field_that_is_not_a_price_is_none(no_price: Any) -> None:
    quote = read(bid=no_price, reference=no_price)
    assert quote.bid is quote.reference is None
    assert quote.reference_kind == "none"


def test_a_bid_above_the_ask_is_left_to_the_feed() -> None:
    quote = read(bid="101.02", ask="101.01")
    assert (str(quote.bid), str(quote.ask)) == ("101.02", "101.01")


def test_a_volume_of_zero_is_kept() -> None:
    assert [read(volume=volume).volume for volume in ("0", "-1", None)] == [0, None, None]


@pytest.mark.parametrize(
    ("value", "currency", "last"),
    [
        ("GBp", "GBP", "80.125"),
        ("gbx", "GBP", "80.125"),
        ("ZAc", "ZAR", "80.125"),
        ("ILA", "ILS", "80.125"),
        ("USX", "USD", "80.125"),
        ("kwf", "KWD", "8.0125"),
        ("GBP", "GBP", "8012.5"),
        ("gbp", "GBP", "8012.5"),
        ("usdt", "USDT", "8012.5"),
        ("", "USD", "8012.5"),
        (None, "USD", "8012.5"),
        (" EUR ", "EUR", "8012.5"),
    ],
)
def test_the_currency_decides_whether_prices_are_in_pence(
    value: Any, currency: str, last: str
) -> None:
    quote = read(last="8012.5", reference="7900", volume="12", currency=value)
    assert (quote.currency, str(quote.last)) == (currency, last)
    assert quote.reference == quote.last * 7900 / Decimal("8012.5")
    assert quote.volume == 12


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-11-23T11:59:59Z", "2026-11-23T11:59:59+00:00"),
        ("2026-11-23T12:59:59+01:00", "2026-11-23T11:59:59+00:00"),
        ("2026-11-23 11:59:59", "2026-11-23T11:59:59+00:00"),  # a time without a zone is UTC
        (datetime(2026, 11, 23, 11, 59, 59), "2026-11-23T11:59:59+00:00"),
        (
            datetime(2026, 11, 23, 6, 59, 59, tzinfo=timezone(timedelta(hours=-5))),
            "2026-11-23T11:59:59+00:00",
        ),
        (1_763_899_199, "2025-11-23T11:59:59+00:00"),
        (Decimal("1763899199.5"), "2025-11-23T11:59:59.500000+00:00"),
        ("1763899199", "2025-11-23T11:59:59+00:00"),
        (1_763_899_199_123, "2025-11-23T11:59:59.123000+00:00"),
        (1_763_899_199_123_456, "2025-11-23T11:59:59.123456+00:00"),
        (1_763_899_199_123_456_789, "2025-11-23T11:59:59.123456+00:00"),
    ],
)
def test_a_time_is_exact_in_every_form(value: Any, moment: str) -> None:
    found = read_time(value)
    assert found
    assert found.isoformat() == moment
    assert found.utcoffset() == timedelta(0)


@pytest.mark.parametrize("value", [None, "", 0, "0", Decimal("0.0"), "0001-01-01T00:00:00Z"])
def test_an_empty_time_is_none(value: Any) -> None:
    assert read_time(value) is None


@pytest.mark.parametrize("value", ["yesterday", 10**25, -(10**10), "12:00", [], True, "2026-13-01"])
def test_an_invalid_time_is_an_error(value: Any) -> None:
    with pytest.raises(ValueError, match=r"has an invalid time: .*, must be like 2026-"):
        read(time=value)


def test_an_invalid_row_does_not_affect_the_others() -> None:
    instruments = [Instrument(symbol=code, code=code) for code in ("GONE", "BAD", "AAPL")]
    standing = Standing(Budget(Plan()))
    standing.drop("AAPL", "AAPL was gone before")
    quotes = read_rows("http", {"AAPL": ROW, "BAD": {"last": "x" * 99}}, instruments, standing)
    assert [quote.symbol for quote in quotes] == ["AAPL"]
    unknown = standing.unknown
    assert unknown["GONE"] == "GONE is not among the rows"
    assert unknown["BAD"].startswith("BAD has no price: last is 'xxx")
    assert len(unknown["BAD"]) < 99
    assert set(unknown) == {"GONE", "BAD"}


def test_two_symbols_may_share_a_code() -> None:
    instruments = [Instrument(symbol=symbol, code="AAPL") for symbol in ("AAPL", "APPLE")]
    quotes = read_rows("http", {"AAPL": ROW}, instruments, Standing(Budget(Plan())))
    assert [quote.symbol for quote in quotes] == ["AAPL", "APPLE"]


def test_rows_without_any_price_are_an_error() -> None:
    standing = Standing(Budget(Plan()))
    words = "http has no price for any requested symbol: AAPL is not among the rows"
    with pytest.raises(ProviderError, match=words):
        read_rows("http", {}, [AAPL], standing)
    words = "http has no price for any requested symbol: AAPL has no price: last is 0"
    with pytest.raises(ProviderError, match=words):
        read_rows("http", {"AAPL": {"last": "0"}}, [AAPL], standing)
    assert read_rows("http", {}, [], standing) == []


@pytest.mark.parametrize(("given_", "number"), [("2.5", 2.5), (30, 30), ("1e2", 100)])
def test_seconds_may_be_text(given_: Any, number: float) -> None:
    assert seconds("interval", given_) == number


@pytest.mark.parametrize("given_", ["", "soon", "0", -1, "nan", "inf", None, 1e9])
def test_invalid_seconds_are_refused(given_: Any) -> None:
    with pytest.raises(ValueError, match=r"Unexpected interval .*, must be a number of seconds"):
        seconds("interval", given_)


@pytest.mark.parametrize("given_", ["", "many", "0", -1, "1.5", 2.5, None, "²", "9" * 5000])
def test_an_invalid_count_is_refused(given_: Any) -> None:
    assert count("batch", "50") == count("batch", 50) == 50
    with pytest.raises(ValueError, match=r"Unexpected batch .*, must be a whole number above 0"):
        count("batch", given_)


DIGITS = st.decimals(min_value=Decimal("1e-12"), max_value=Decimal("1e12"), places=12)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.decimals()
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.lists(st.integers(), max_size=2)
)


def outcome(row: dict[str, Any]) -> Quote | str:
    try:
        return read_row("http", row, AAPL, NOW)
    except ValueError as error:
        return str(error)


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_any_row_becomes_a_quote_or_a_reason(row: dict[str, Any]) -> None:
    quote = outcome(row)
    if isinstance(quote, str):
        assert quote.startswith("has ")
        return
    assert sane(quote)
    assert quote.source_time is None or quote.source_time.utcoffset() == timedelta(0)
    assert from_wire(to_wire(quote)) == quote


@given(DIGITS, st.sampled_from(["USD", "GBp"]))
def test_every_digit_is_kept(price: Decimal, currency: str) -> None:
    quote = read(last=f"{price:f}", high=price, currency=currency)
    hundred = 100 if currency == "GBp" else 1
    assert quote.last * hundred == quote.high * hundred == price  # type: ignore[operator]


# from the second day on: the first is the empty date of some programs
@given(st.datetimes(datetime(1, 1, 2), timezones=st.just(UTC)))
def test_every_microsecond_is_kept(moment: datetime) -> None:
    assert read_time(moment) == read_time(moment.isoformat()) == moment
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    number = since // timedelta(microseconds=1)
    if 10**14 <= number < 10**17:
        assert read_time(number) == moment
