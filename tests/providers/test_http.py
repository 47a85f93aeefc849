"""Quotes from any JSON, from a local stub of an operator's source."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.http11 import Response

from quotes.providers import Instrument, ProviderError, make_provider
from quotes.providers.http import Http, Template, follow, read_fields, read_path
from quotes.providers.kit.faults import QUARANTINE, REST
from quotes.quote import Quote
from quotes.quote.values import loads
from tests.servers import PATIENCE
from tests.stubs.exchange import raw, reply
from tests.stubs.http import Http as Stub
from tests.stubs.http import Partly

URL = "https://example.com/prices?of={codes}"
LISTED = {"rows": "quotes", "fields": "code=symbol, last=last, bid=bid, currency=currency"}
ONE = {"fields": "last=data.last, currency=data.currency"}
SHAPES = {  # of the same market
    "one": {"url": "/price/{code}", **ONE},
    "some": {"url": "/quotes?symbols={codes}", **LISTED},
    "all": {"url": "/all", "fields": {"last": "{code}.last", "currency": "{code}.currency"}},
}


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with Stub() as found:
        yield found


@asynccontextmanager
async def reading(stub: Stub, shape: str = "some", **options: Any) -> AsyncIterator[Http]:
    given_ = {**SHAPES[shape], "per_minute": 10_000, "timeout": PATIENCE} | options
    provider = Http(stub.rest_url + given_.pop("url"), **given_)  # type: ignore[arg-type]
    try:
        yield provider
    finally:
        await provider.aclose()


async def poll(provider: Http, *codes: str) -> list[Quote]:
    return await provider.quotes([Instrument(symbol=code, code=code) for code in codes])


async def failure(provider: Http, *codes: str) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await poll(provider, *codes)
    return caught.value


def answering(document: Any) -> type[Stub]:
    class Odd(Stub):
        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            return 200, document

    return Odd


# shapes


@pytest.mark.parametrize("shape", SHAPES)
async def test_each_shape_of_an_answer_has_the_same_quotes(stub: Stub, shape: str) -> None:
    async with reading(stub, shape) as provider:
        quotes = await poll(provider, "VOD.L", "NOPE", "BTC-EUR")
    assert [(q.symbol, str(q.last), q.currency, q.provider) for q in quotes] == [
        ("VOD.L", "80.12", "GBP", "http"),
        ("BTC-EUR", "59000.00", "EUR", "http"),
    ]
    assert set(provider.standing.unknown) == {"NOPE"}


@pytest.mark.parametrize(("shape", "requests"), [("one", 3), ("some", 1), ("all", 1)])
async def test_a_request_is_for_one_code_some_or_all(stub: Stub, shape: str, requests: int) -> None:
    async with reading(stub, shape) as provider:
        await poll(provider, "BTC-USD", "BTC-EUR", "AAPL")
    assert stub.requests.total() == requests


async def test_codes_are_requested_in_batches(stub: Stub) -> None:
    async with reading(stub, batch=2) as provider:
        assert len(await poll(provider, "BTC-USD", "BTC-EUR", "AAPL")) == 3
        assert provider.plan.batch == 2
    assert stub.requested == [["BTC-USD", "BTC-EUR"], ["AAPL"]]


async def test_every_digit_is_read() -> None:
    body = (
        b'{"data": {"last": 0.10000000000000000001, "at": 1763899199123, "v": 12345678901234567}}'
    )

    class Exact(Stub):
        def _answer(self, status: int, document: Any) -> Response:
            return raw(200, body)

    fields = "last=data.last, time=data.at, volume=data.v"
    async with Exact() as stub, reading(stub, "one", fields=fields) as provider:
        (quote,) = await poll(provider, "AAPL")
    assert str(quote.last) == "0.10000000000000000001"
    assert str(quote.volume) == "12345678901234567"
    assert quote.source_time
    assert quote.source_time.isoformat() == "2025-11-23T11:59:59.123000+00:00"


async def test_the_next_poll_reads_a_new_price(stub: Stub) -> None:
    async with reading(stub) as provider:
        await poll(provider, "AAPL")
        await stub.tick("AAPL", "102.00", bid="101.99")
        (quote,) = await poll(provider, "AAPL")
    assert (str(quote.last), str(quote.bid)) == ("102.00", "101.99")


async def test_rows_may_be_lists_and_codes_numbers() -> None:
    document = [[7203, "Toyota", "2500.5"], ["AAPL", "Apple", 101], [None, "?", 1], 7, "x", []]
    options = {"rows": ".", "fields": {"code": "0", "last": "-1"}}
    async with answering(document)() as stub, reading(stub, "all", **options) as provider:
        quotes = await poll(provider, "7203", "AAPL")
    assert [str(quote.last) for quote in quotes] == ["2500.5", "101"]


async def test_no_instruments_send_no_request(stub: Stub) -> None:
    async with reading(stub) as provider:
        assert await poll(provider) == []
    assert stub.requests.total() == 0


# codes that a source does not know


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_bad_code_that_spoils_its_batch_is_found(stub: Stub, status: int) -> None:
    stub.rejects = status
    good = ["BTC-USD", "BTC-EUR", "AAPL", "VOD.L"]
    async with reading(stub) as provider:
        assert len(await poll(provider, *good[:2], "BAD", *good[2:])) == 4
        assert set(provider.standing.unknown) == {"BAD"}
        assert f"answered {status}" in provider.standing.unknown["BAD"]
        before = stub.requests.total()
        assert len(await poll(provider, *good[:2], "BAD", *good[2:])) == 4
        assert stub.requests.total() == before + 1  # no second request for it


@pytest.mark.parametrize("shape", ["one", "some"])
async def test_a_bad_code_is_requested_again_after_a_while(stub: Stub, shape: str) -> None:
    stub.rejects, now = 404, 0.0
    async with reading(stub, shape, clock=lambda: now) as provider:
        await poll(provider, "NEW", "AAPL")
        assert set(provider.standing.unknown) == {"NEW"}
        await stub.tick("NEW", "7.00")
        assert len(await poll(provider, "NEW", "AAPL")) == 1
        now = QUARANTINE
        assert len(await poll(provider, "NEW", "AAPL")) == 2
        assert provider.standing.unknown == {}


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_wrong_address_is_an_error_of_the_source(stub: Stub, shape: str) -> None:
    wrong = str(SHAPES[shape]["url"]).replace("/", "/wrong/", 1)
    async with reading(stub, shape, url=wrong) as provider:
        for _ in range(2):  # no code is set aside
            error = await failure(provider, "BTC-USD", "AAPL")
            assert "answered 404" in str(error)
        assert provider.standing.unknown == {}


@pytest.mark.parametrize("code", [".", "..", "A,B"])
async def test_a_code_that_would_change_the_address_is_not_requested(stub: Stub, code: str) -> None:
    async with reading(stub) as provider:
        assert len(await poll(provider, code, "AAPL")) == 1
    assert stub.requested == [["AAPL"]]
    assert provider.standing.unknown == {code: f"{code} can't be part of an address"}


@pytest.mark.parametrize("code", ["../all", "A B?c=d#e/f", "%2e", "http://127.0.0.1:1/", "Ä€"])
async def test_a_code_stays_in_its_place_in_the_path(stub: Stub, code: str) -> None:
    async with reading(stub, "one") as provider:
        assert len(await poll(provider, code, "AAPL")) == 1
    assert all(path.startswith("/price/") for path in stub.requests)
    assert "answered 404" in provider.standing.unknown[code]


@pytest.mark.parametrize("code", ["A&x=1", "A B", "A#b", "A+B", "%41", "Ä€"])
async def test_a_code_stays_in_its_place_in_the_query(stub: Stub, code: str) -> None:
    await stub.tick(code, "5")
    async with reading(stub) as provider:
        assert [str(quote.last) for quote in await poll(provider, code)] == ["5"]
    assert stub.requested == [[code]]


# limits


async def test_more_codes_than_a_minute_allows_take_turns(stub: Stub) -> None:
    codes = [f"C{number}" for number in range(5)]
    for code in codes:
        await stub.tick(code, "5")
    waits: list[float] = []
    async with reading(stub, "one", per_minute=2) as provider:
        now = 0.0

        async def sleep(wait: float) -> None:
            nonlocal now
            waits.append(wait)
            now += wait

        provider.standing.budget.clock, provider.standing.budget.sleep = lambda: now, sleep
        turns = [[quote.symbol for quote in await poll(provider, *codes)] for _ in range(5)]
    assert turns == [["C0", "C1"], ["C2", "C3"], ["C0", "C4"], ["C1", "C2"], ["C3", "C4"]]
    assert provider.standing.unknown == {}  # a code that waits for its turn is not unknown
    assert sum(waits) == pytest.approx(4 * 60)


async def test_every_request_counts(stub: Stub) -> None:
    async with reading(stub, "one") as provider:
        await poll(provider, "AAPL", "BTC-USD")
        assert provider.standing.budget.spent_in_minute() == 2


# faults of sources


@pytest.mark.parametrize("document", [{}, [], {"error": "limit reached"}, None, "sorry", 7])
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_200_without_any_price_is_an_error(shape: str, document: Any) -> None:
    async with answering(document)() as stub, reading(stub, shape) as provider:
        error = await failure(provider, "AAPL", "BTC-USD")
    assert "has no price for any" in str(error) or "there is no list at the path" in str(error)


async def test_a_missing_list_is_an_error_that_names_the_path(stub: Stub) -> None:
    async with reading(stub, rows="data.quotes") as provider:
        error = await failure(provider, "AAPL")
    assert (
        str(error) == f"127.0.0.1:{stub.port} answered, but there is no list at the path in `rows`"
    )


@pytest.mark.parametrize("fault", ["unauthorized", "rate_limited", "maintenance"])
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_failure_of_the_source_ends_the_poll(stub: Stub, shape: str, fault: str) -> None:
    stub.mode = fault
    async with reading(stub, shape) as provider:
        error = await failure(provider, "AAPL", "BTC-USD")
    assert stub.requests.total() == 1
    assert error.refused is (fault == "unauthorized")
    assert error.retry_after == (7 if fault == "rate_limited" else None)
    assert provider.standing.unknown == {}


@pytest.mark.parametrize("fault", [500, 503, 403, "garbage", "truncated"])
async def test_a_code_that_fails_costs_only_its_own_quote(fault: str | int) -> None:
    now = 0.0
    async with (
        Partly({"BAD": fault}) as stub,
        reading(stub, "one", clock=lambda: now) as provider,
    ):
        for resting in ([], ["BAD"], ["BAD"]):  # twice in a row is not an accident
            quotes = await poll(provider, "AAPL", "BAD", "BTC-EUR")
            assert [quote.symbol for quote in quotes] == ["AAPL", "BTC-EUR"]
            assert list(provider.standing.resting) == resting
        assert f"127.0.0.1:{stub.port}/price/BAD " in provider.standing.resting["BAD"]
        assert stub.requests["/price/BAD"] == 2  # it rests
        stub.faults.clear()
        now = REST
        assert len(await poll(provider, "AAPL", "BAD", "BTC-EUR")) == 3
        assert not provider.standing.resting
        assert not provider.standing.unknown  # the source never lacked it


async def test_a_code_whose_polls_time_out_rests_if_others_were_answered_since() -> None:
    async with Partly({"BAD": 500}) as stub, reading(stub, "one") as provider:
        assert len(await poll(provider, "AAPL", "BAD")) == 1
        stub.faults["BAD"], provider.rest.timeout = "slow", 0.05
        assert await poll(provider, "BAD") == []  # as if the market of the others were closed
        assert "0.05 s" in provider.standing.resting["BAD"]
        stub.faults.clear()
        stub.mode = "ok"


async def test_codes_fail_as_a_source_if_none_was_answered_since() -> None:
    async with Partly(dict.fromkeys(["A", "B"], 500)) as stub, reading(stub, "one") as provider:
        assert len(await poll(provider, "AAPL")) == 1
        for _ in range(3):
            assert "answered 500" in str(await failure(provider, "A", "B"))
        assert provider.standing.resting == {}


@pytest.mark.parametrize("faults", [[500, 401], [401, 500], [500, 451, 500]])
async def test_a_refusal_is_reported_rather_than_a_failure(faults: list[str | int]) -> None:
    codes = dict(zip("ABC", faults, strict=False))
    async with Partly(codes) as stub, reading(stub, "one") as provider:
        assert (await failure(provider, *codes)).refused


async def test_a_code_that_is_forbidden_in_an_outage_is_no_refusal_of_all() -> None:
    async with Partly({"A": 500, "B": 403}) as stub, reading(stub, "one") as provider:
        error = await failure(provider, "A", "B")
        assert (error.status, error.refused) == (500, False)


async def test_codes_that_fail_come_last_in_their_turn() -> None:
    async with Partly({"C0": 500}) as stub, reading(stub, "one", per_minute=2) as provider:
        provider.standing.budget.clock = iter(range(0, 6000, 60)).__next__
        for code in ("C1", "C2", "C3"):
            await stub.tick(code, "5")
        for _ in range(3):
            await poll(provider, "C0", "C1", "C2", "C3")
    assert stub.requested == [["C0"], ["C1"], ["C2"], ["C3"], ["C1"], ["C0"]]


async def test_the_good_half_of_a_rejected_batch_is_kept_when_the_other_half_fails() -> None:
    class Odd(Stub):
        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            sick = query["symbols"] == "SICK"
            return (500, {}) if sick else super().rest(path, query)

    async with Odd(rejects=404) as stub, reading(stub) as provider:
        await stub.tick("SICK", "5")
        quotes = await poll(provider, "AAPL", "BTC-EUR", "NOPE", "SICK")
        assert [quote.symbol for quote in quotes] == ["AAPL", "BTC-EUR"]
        assert set(provider.standing.unknown) == {"NOPE"}


@pytest.mark.parametrize("fault", [403, 503])
async def test_a_refusal_of_the_first_code_ends_a_poll_and_the_next_begins_with_others(
    fault: int,
) -> None:
    async with Partly({"BAD": fault}) as stub, reading(stub, "one") as provider:
        assert (await failure(provider, "BAD", "AAPL")).status == fault
        assert [quote.symbol for quote in await poll(provider, "BAD", "AAPL")] == ["AAPL"]


async def test_codes_that_fail_do_not_keep_the_others_waiting() -> None:
    codes = [f"C{number}" for number in range(9)]
    faults: dict[str, str | int] = dict.fromkeys(codes, 500)
    async with Partly(faults) as stub, reading(stub, "one") as provider:
        assert "/price/C2 answered 500" in str(await failure(provider, *codes, "AAPL"))
        assert stub.requests.total() == 3
        stub.requests.clear()
        stub.faults = dict.fromkeys(codes[:3], 500)
        quotes = await poll(provider, *codes, "AAPL")
        assert [quote.symbol for quote in quotes] == [*codes[3:], "AAPL"]
        assert list(stub.requests)[-3:] == [f"/price/C{number}" for number in range(3)]


@pytest.mark.parametrize(("fault", "seconds"), [(429, REST), ("rate_limited", 7)])
async def test_too_many_requests_end_a_poll_and_the_quotes_before_are_returned(
    fault: str | int, seconds: float
) -> None:
    async with Partly({"BAD": fault}) as stub, reading(stub, "one") as provider:
        budget = provider.standing.budget
        budget.clock = lambda: 0.0
        quotes = await poll(provider, "AAPL", "BAD", "BTC-EUR")
        assert [quote.symbol for quote in quotes] == ["AAPL"]
        assert "answered 429" in provider.standing.resting["BAD"]
        assert stub.requests.total() == 2
        assert (await failure(provider, "AAPL", "BTC-EUR")).retry_after == seconds
        assert stub.requests.total() == 2
        budget.clock = lambda: seconds
        assert len(await poll(provider, "AAPL", "BTC-EUR")) == 2


async def test_too_many_requests_fail_a_poll_if_none_was_answered() -> None:
    async with Partly({"BAD": 429}) as stub, reading(stub, "one") as provider:
        assert (await failure(provider, "BAD", "AAPL")).status == 429


async def test_a_redirect_is_not_followed() -> None:
    async with Stub() as elsewhere:

        class Moved(Stub):
            def _answer(self, status: int, document: Any) -> Response:
                return reply(302, {}, Location=f"{elsewhere.rest_url}/all")

        async with Moved() as stub, reading(stub) as provider:
            assert "answered 302 found" in str(await failure(provider, "AAPL"))
    assert elsewhere.requests.total() == 0


# keys


async def test_a_key_goes_into_its_header(stub: Stub) -> None:
    stub.key = "hush-canary"
    async with reading(stub) as provider:
        assert (await failure(provider, "AAPL")).refused
    async with reading(stub, key="hush-canary", key_header="X-Api-Key") as provider:
        assert len(await poll(provider, "AAPL")) == 1
    async with reading(stub, key=" Bearer hush-canary\n") as provider:
        await failure(provider, "AAPL")
    assert stub.headers["Authorization"] == "Bearer hush-canary"


@pytest.mark.parametrize("mode", ["ok", "unauthorized", "garbage", "maintenance"])
async def test_no_key_is_shown(stub: Stub, caplog: pytest.LogCaptureFixture, mode: str) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="httpx")
    caplog.set_level(logging.WARNING, logger="websockets.server")  # the stub's own
    stub.mode = mode
    url = "/quotes?symbols={codes}&apikey=hush-canary"
    async with reading(stub, url=url, key="hush-canary") as provider:
        error = await failure(provider, "NOPE")
    for text in (str(error), repr(error), repr(provider), repr(provider.rest), caplog.text):
        assert "hush-canary" not in text
    assert "hush-canary" not in str(provider.standing.unknown)


@pytest.mark.parametrize(
    "options",
    [
        {"key": "hush\ncanary"},
        {"key": "hush-cänary"},
        {"key": "hush-canary", "key_header": "X: y"},
        {"key": "hush-canary", "key_header": ""},
        {"url": "ftp://me:hush-canary@example.com/{code}?key=hush-canary"},
        {"url": "https://me:hush-canary@example.com/{symbol}?key=hush-canary"},
        {"url": "https://me:hush-canary@[/{code}?key=hush-canary"},
        {"url": "https://example.com/{code}?key=hush-canary&key=hush-canary"},
    ],
)
def test_an_error_about_an_option_does_not_show_the_key(options: Any) -> None:
    with pytest.raises(
        ValueError, match=r"^(Unexpected|The url .* has the same parameter twice)"
    ) as caught:
        make_provider("http", {"url": URL, **LISTED} | options)
    assert "hush" not in str(caught.value)


async def test_a_key_may_be_a_name_and_password_in_the_address(stub: Stub) -> None:
    url = stub.rest_url.replace("//", "//me:hush@") + "/all"
    provider = Http(url, {"last": "{code}.last"})
    assert len(await poll(provider, "AAPL")) == 1
    assert stub.headers["Authorization"].startswith("Basic ")
    await provider.aclose()


# errors at the start


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": ""}, "Unexpected url '' of the http provider, must be like https://example"),
        ({"url": "example.com/{code}"}, "Unexpected url 'example.com/{code}' of the http pro"),
        ({"url": "file:///etc/passwd"}, "Unexpected url 'file:///etc/passwd'"),
        ({"url": "https://{code}.example.com/"}, "Unexpected 'https://{code}.example.com/' in"),
        ({"url": "https://example.com/{symbol}"}, "Unexpected '{symbol}' in the url"),
        ({"url": "https://example.com/{code"}, "Unexpected '{code' in the url"),
        ({"url": "https://example.com/code}"}, "Unexpected '}' in the url"),
        ({"url": "https://example.com/{code}/{codes}"}, "Unexpected '{codes}' in the url"),
        (
            {"url": "https://example.com/?a=1&a=2&b={codes}"},
            "url of the http provider has the same parameter twice",
        ),
        ({"fields": ""}, "needs the field last, like last=data.price"),
        (
            {"fields": "last=a, code=b, lsat=c"},
            "Unknown field 'lsat' of the http provider, must be one of: code",
        ),
        ({"fields": "last"}, "Unexpected path '' of last of the http provider, must be names"),
        ({"fields": "last=a..b"}, "Unexpected path 'a..b' of last"),
        ({"fields": "last=$.a"}, "Unexpected path '$.a' of last"),
        ({"fields": "last=a[0]"}, "Unexpected path 'a[0]' of last"),
        ({"fields": "last=a.*"}, "Unexpected path 'a.*' of last"),
        ({"fields": "last={symbol}.a"}, "Unexpected path '{symbol}.a' of last"),
        ({"rows": "quotes[]"}, "Unexpected path 'quotes[]' of rows"),
        ({"rows": ""}, "needs rows (the path of a list) together with the field code"),
        ({"fields": "last=last"}, "needs rows (the path of a list) together with the field code"),
        ({"rows": "", "fields": "last=last"}, "can't know the code of a price: put {code}"),
        ({"interval": "0"}, "Unexpected interval '0', must be a number of seconds above 0"),
        ({"interval": "1e6"}, "'1e6', must be a number of seconds above 0, at most 86400"),
        ({"per_minute": "x"}, "Unexpected per_minute 'x', must be a whole number above 0"),
        ({"batch": -1}, "Unexpected batch -1, must be a whole number above 0"),
        ({"colour": "blue"}, "Unknown option 'colour' of the http provider, must be one of: "),
    ],
)
def test_an_invalid_option_is_refused_with_a_reason(options: Any, words: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        make_provider("http", {"url": URL, **LISTED} | options)
    assert words in str(caught.value)


def test_options_may_be_text_from_the_environment() -> None:
    given_ = {"interval": "30", "per_minute": "10", "batch": "5"}
    provider = make_provider("http", {"url": URL, **LISTED} | given_)
    assert provider.poll_interval == 30
    assert (provider.plan.per_minute, provider.plan.batch) == (10, 5)
    assert provider.standing.budget.plan is provider.plan


# templates and paths


@pytest.mark.parametrize(
    ("url", "path", "params"),
    [
        ("https://x.example", "", {}),
        (" https://x.example/all/ ", "/all/", {}),
        ("https://x.example/a/{code}/b", "/a/A%2FB,C/b", {}),
        ("https://x.example/a?of={codes}&n=%2B", "/a", {"of": "A/B,C", "n": "+"}),
        ("https://x.example/{codes}?of={codes}&key=", "/A%2FB,C", {"of": "A/B,C", "key": ""}),
        ("https://x.example/all?n=1#there", "/all", {"n": "1"}),
    ],
)
def test_a_template_is_filled(url: str, path: str, params: dict[str, str]) -> None:
    assert Template(url).fill(["A/B", "C"]) == (path, params)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("data.0.price", 1),
        ("data.-1.price", 2),
        ("data.2.price", None),
        ("data.-3.price", None),
        ("data.price", None),
        ("data.0.price.deeper", None),
        (r"Global Quote.05\. price", 3),
        ("by.{code}.last", 4),
        ("by.{code}/USD", 5),
        ("by.0", 6),
        ("nothing", None),
        (".", "all"),
    ],
)
def test_a_path_leads_to_a_value_or_to_none(path: str, found: Any) -> None:
    answer = {
        "data": [{"price": 1}, {"price": 2}],
        "Global Quote": {"05. price": 3},
        "by": {"B.T": {"last": 4}, "B.T/USD": 5, "0": 6},
    }
    wanted = answer if found == "all" else found
    assert follow(answer, read_path("last", path), "B.T") == wanted


def test_fields_may_be_text_or_a_dict() -> None:
    text = read_fields(r" last = a.b , time=Global Quote.at\.utc,, ")
    assert text == read_fields({"last": "a.b", "time": r"Global Quote.at\.utc"})
    assert text == {"last": ("a", "b"), "time": ("Global Quote", "at.utc")}
    assert read_fields({"last": "a, b.c=d"}) == {"last": ("a, b", "c=d")}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "0", "code", "last"]), inner, max_size=3)
    ),
    max_leaves=8,
)
STEPS = st.lists(st.sampled_from(["a", "b", "0", "-1", "{code}", "last", "code"]), min_size=1)


@given(JSON, STEPS.map(".".join))
def test_a_path_leads_through_any_answer(answer: Any, path: str) -> None:
    follow(answer, read_path("last", path), "a")


@given(st.text())
def test_any_path_is_read_or_refused(path: str) -> None:
    try:
        steps = read_path("last", path)
    except ValueError as error:
        words = str(error)
    else:
        assert path == "." or all(steps)
        return
    assert words.startswith("Unexpected path ")


@given(st.text())
def test_any_address_is_read_or_refused(url: str) -> None:
    for given_ in (url, f"https://example.com/{url}", f"https://{url}"):
        try:
            template = Template(given_)
        except ValueError as error:
            words = str(error)
        else:
            assert template.base.startswith(("http://", "https://"))
            continue
        assert words.startswith(("Unexpected ", "The query of "))


@given(st.lists(JSON, max_size=4), JSON)
def test_any_answer_is_rows_or_an_error(listed: list[Any], other: Any) -> None:
    provider = Http(URL, {"code": "code", "last": "last", "time": "a"}, rows="quotes")
    for document in ({"quotes": listed}, {"quotes": other}, other):
        answer = loads(json.dumps(document))
        try:
            rows = provider._read(answer, ["a"])
        except ProviderError:
            continue
        assert all(
            isinstance(code, str) and row.keys() == provider.fields.keys()
            for code, row in rows.items()
        )


def test_decimals_do_not_become_floats() -> None:
    assert follow(loads('{"a": [1.10]}'), ("a", "0")) == Decimal("1.10")
