from __future__ import annotations

import logging
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quotes.providers import Instrument, ProviderError, make_provider
from quotes.providers.coingecko import (
    BATCH,
    COOL_DOWN,
    MAX_IDS_LENGTH,
    PRO,
    PUBLIC,
    CoinGecko,
    chunks,
    complaint,
    read_candles,
    read_coin,
    read_market,
)
from quotes.quote import Quote
from quotes.quote.values import loads
from tests.junk import EVER, JSON, over_the_wire, sane
from tests.servers import PATIENCE
from tests.stubs.coingecko import CoinGecko as Stub

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ROOT = Path(__file__).parents[2]
# As documented, without the fields that are not read.
MARKET = """{"id": "bitcoin", "symbol": "btc", "name": "Bitcoin", "current_price": 77671,
    "total_volume": 33235034316, "high_24h": 78419, "low_24h": 76696,
    "price_change_24h": -747.3360347281705, "price_change_percentage_24h": -0.95302,
    "last_updated": "2026-05-18T12:49:21.599Z"}"""
LIMITED = {"status": {"error_code": 429, "error_message": "You've exceeded the Rate Limit."}}
CANARY = "CG-canary-sings-here"


def instrument(code: str, currency: str = "USD", symbol: str = "") -> Instrument:
    return Instrument(symbol=symbol or f"{code}-{currency}", code=code, currency=currency)


def read(**changes: Any) -> Quote | None:
    return read_market(loads(MARKET) | changes, instrument("bitcoin", symbol="BTC-USD"), NOW, 120)


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with Stub() as found:
        yield found


@asynccontextmanager
async def reading(stub: Stub, **options: Any) -> AsyncIterator[CoinGecko]:
    provider = CoinGecko(stub.rest_url, **{"timeout": PATIENCE} | options)
    try:
        yield provider
    finally:
        await provider.aclose()


@pytest.fixture
async def provider(stub: Stub) -> AsyncIterator[CoinGecko]:
    async with reading(stub, demo_key="mine") as found:
        yield found


async def failure(stub: Stub, **options: Any) -> ProviderError:
    async with reading(stub, **options) as provider:
        with pytest.raises(ProviderError) as caught:
            await provider.quotes([instrument("bitcoin")])
    return caught.value


# quotes


def test_a_row_becomes_a_quote() -> None:
    assert read() == Quote(
        symbol="BTC-USD",
        provider="coingecko",
        currency="USD",
        last=Decimal(77671),
        received_at=NOW,
        source_time=datetime(2026, 5, 18, 12, 49, 21, 599000, tzinfo=UTC),
        high=Decimal(78419),
        low=Decimal(76696),
        reference=Decimal("78418.3424876"),
        reference_kind="rolling_24h",
        session="always",
        delay=120,
    )


async def test_a_price_has_all_its_digits(stub: Stub, provider: CoinGecko) -> None:
    quotes = await provider.quotes([instrument("bitcoin"), instrument("shiba-inu")])
    assert [str(quote.last) for quote in quotes] == ["77671.123456", "0.00001234"]
    assert {query["precision"] for query in stub.queries} == {"full"}


async def test_a_volume_in_money_is_left_out(provider: CoinGecko) -> None:
    (quote,) = await provider.quotes([instrument("bitcoin")])
    assert (quote.volume, quote.volume_window) == (None, None)


async def test_quotes_have_the_order_of_the_instruments(provider: CoinGecko) -> None:
    codes = ["shiba-inu", "bitcoin", "ethereum"]
    quotes = await provider.quotes([instrument(code, symbol=code) for code in codes])
    assert [quote.symbol for quote in quotes] == codes


async def test_a_coin_has_a_price_in_each_currency(stub: Stub, provider: CoinGecko) -> None:
    instruments = [
        instrument("bitcoin"),
        instrument("ethereum", "BTC"),
        instrument("bitcoin", "EUR"),
    ]
    quotes = await provider.quotes(instruments)
    seen = [(quote.symbol, quote.currency, str(quote.last)) for quote in quotes]
    assert seen == [
        ("bitcoin-USD", "USD", "77671.123456"),
        ("ethereum-BTC", "BTC", "0.03391"),
        ("bitcoin-EUR", "EUR", "66123.5"),
    ]
    assert [query["vs_currency"] for query in stub.queries] == ["usd", "btc", "eur"]


async def test_two_symbols_may_share_a_coin(stub: Stub, provider: CoinGecko) -> None:
    instruments = [instrument("bitcoin", symbol="BTC-USD"), instrument("bitcoin", symbol="XBT-USD")]
    assert [quote.symbol for quote in await provider.quotes(instruments)] == ["BTC-USD", "XBT-USD"]
    assert [query["ids"] for query in stub.queries] == ["bitcoin"]


@pytest.mark.parametrize("no_price", [None, 0, -1, "", "NaN", True, [], {}])
def test_a_field_that_is_not_a_price_is_none_and_as_last_not_above_0(no_price: Any) -> None:
    quote = read(current_price=no_price)
    assert quote
    assert quote.last <= 0
    assert quote.reference is None
    quote = read(high_24h=no_price)
    assert quote
    assert quote.high is None


@pytest.mark.parametrize("change", [None, "", 77671, 10**6])
def test_without_a_change_there_is_no_reference(change: Any) -> None:
    quote = read(price_change_24h=change, price_change_percentage_24h=None)
    assert quote
    assert quote.reference is quote.open is quote.change is None
    assert quote.reference_kind == "none"


@pytest.mark.parametrize(
    ("stated", "change", "percentage", "reference"),
    [
        ("2.5", -747, "2.50", "75776.5853659"),  # the two disagree
        ("-0.953", None, "-0.95", None),
        (None, "671", "0.87", "77000"),
        ("0", "12", "0.00", "77671"),
        ("-100", "671", "0.87", "77000"),  # can't be true while there is a price
    ],
)
def test_the_stated_percentage_decides_and_the_change_if_there_is_none(
    stated: str | None, change: Any, percentage: str, reference: str | None
) -> None:
    quote = read(price_change_24h=change, price_change_percentage_24h=stated)
    assert quote
    assert quote.change_percent is not None
    assert f"{quote.change_percent:.2f}" == percentage
    assert reference is None or quote.reference == Decimal(reference)
    assert quote.open is None  # CoinGecko states none


def test_a_change_of_zero_is_a_change() -> None:
    for percentage in (0, None):
        quote = read(price_change_24h=0, price_change_percentage_24h=percentage)
        assert quote
        assert quote.change == 0


async def test_a_coin_without_trades_has_no_price_but_is_known(provider: CoinGecko) -> None:
    assert [each.last for each in await provider.quotes([instrument("unheard-of")])] == [0]
    assert provider.standing.unknown == {}


async def test_ids_that_an_answer_lacks_are_dropped(provider: CoinGecko) -> None:
    quotes = await provider.quotes([instrument("nope"), instrument("bitcoin")])
    assert [quote.symbol for quote in quotes] == ["bitcoin-USD"]
    assert provider.standing.unknown == {"nope": "nope is not known to CoinGecko"}


async def test_a_coin_that_is_listed_again_is_no_longer_unknown(
    stub: Stub, provider: CoinGecko
) -> None:
    instruments = [instrument("bitcoin"), instrument("new")]
    await provider.quotes(instruments)
    stub.enlist("new")
    assert len(await provider.quotes(instruments)) == 2
    assert provider.standing.unknown == {}


async def test_an_empty_answer_drops_no_code(stub: Stub, provider: CoinGecko) -> None:
    stub.mode = "empty"
    assert await provider.quotes([instrument("bitcoin")]) == []
    assert provider.standing.unknown == {}


async def test_an_unknown_currency_does_not_affect_the_others(
    stub: Stub, provider: CoinGecko
) -> None:
    instruments = [instrument("ethereum", "USDT"), instrument("ethereum", "BTC")]
    for _ in range(2):
        seen = [(quote.symbol, quote.last > 0) for quote in await provider.quotes(instruments)]
        assert seen == [("ethereum-USDT", False), ("ethereum-BTC", True)]
        assert provider.standing.unknown == {}  # CoinGecko knows the coin, but not that currency
    # The second poll does not request it again.
    assert [query["vs_currency"] for query in stub.queries] == ["usdt", "btc", "btc"]


# candles and instruments


def test_a_candle_is_read_by_its_end() -> None:
    rows = loads("[[1779199200000, 76769.0, 76889.0, 76744.10, 76818.0]]")
    [candle] = read_candles(rows, timedelta(minutes=30), *EVER)
    assert candle.start == datetime(2026, 5, 19, 13, 30, tzinfo=UTC)
    assert (str(candle.open), str(candle.low)) == ("76769.0", "76744.10")
    assert candle.volume is None


@pytest.mark.parametrize(
    ("step", "back", "days"),
    [(1800, 0.5, 1), (1800, 9, 1), (14_400, 1, 7), (14_400, 20, 30), (345_600, 31, 90)],
)
async def test_candles_are_requested_as_far_back_as_needed(
    stub: Stub, provider: CoinGecko, step: int, back: float, days: int
) -> None:
    now = datetime.now(UTC)
    start = now - timedelta(days=back)
    candles = await provider.candles(instrument("bitcoin", "EUR"), step, start, now)
    assert candles
    assert all(start <= candle.start < now for candle in candles)
    assert [(query["days"], query["vs_currency"]) for query in stub.queries] == [(str(days), "eur")]


async def test_no_candle_of_the_future_is_requested(stub: Stub, provider: CoinGecko) -> None:
    start, end = (datetime.now(UTC) + timedelta(days=days) for days in (1, 2))
    assert await provider.candles(instrument("bitcoin"), 1800, start, end) == []
    assert stub.requests == {}


@pytest.mark.parametrize("code", ["nope", "../list", "a b?c=d#e/f"])
async def test_an_unknown_coin_has_no_candles(provider: CoinGecko, code: str) -> None:
    now = datetime.now(UTC)
    assert await provider.candles(instrument(code), 1800, now - timedelta(hours=3), now) == []
    assert provider.standing.unknown == {code: f"{code} is not known to CoinGecko"}


async def test_steps_that_it_lacks_are_refused(provider: CoinGecko) -> None:
    with pytest.raises(ProviderError, match="coingecko has no candles of 60 s, must be one of: 18"):
        await provider.candles(instrument("bitcoin"), 60, NOW, NOW)


async def test_instruments_are_ids_with_names(stub: Stub, provider: CoinGecko) -> None:
    listed = {each.code: each.name for each in await provider.instruments()}
    assert set(listed) == set(stub.coins)
    assert listed["shiba-inu"] == "Shiba Inu"


# keys, limits and errors


def test_a_key_decides_the_address_and_the_limits() -> None:
    keyless, demo, pro = CoinGecko(), CoinGecko(demo_key="d"), CoinGecko(pro_key="p")
    assert [each.rest.base_url for each in (keyless, demo, pro)] == [PUBLIC, PUBLIC, PRO]
    seen = [(each.plan.per_minute, each.plan.per_month) for each in (keyless, demo, pro)]
    assert seen == [(5, None), (30, 10_000), (250, 100_000)]
    assert [each.standing.budget.plan for each in (keyless, demo, pro)] == [
        each.plan for each in (keyless, demo, pro)
    ]


@pytest.mark.parametrize("kind", ["demo", "pro"])
async def test_a_key_goes_into_its_header(kind: str) -> None:
    async with (
        Stub(key=(f"x-cg-{kind}-api-key", CANARY)) as stub,
        reading(stub, **{f"{kind}_key": CANARY}) as provider,
    ):
        assert await provider.quotes([instrument("bitcoin")])
        assert all(CANARY not in str(query) for query in stub.queries)


async def test_two_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="takes a demo_key or a pro_key, not both"):
        make_provider("coingecko", {"demo_key": CANARY, "pro_key": "b"})


@pytest.mark.parametrize("kind", ["demo", "pro"])
def test_an_invalid_key_is_refused_and_not_quoted(kind: str) -> None:
    with pytest.raises(
        ValueError, match=f"COINGECKO_{kind.upper()}_KEY is not a valid key"
    ) as caught:
        make_provider("coingecko", {f"{kind}_key": f"{CANARY}\nx"})
    assert CANARY not in str(caught.value)


async def test_no_key_is_ever_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    class Echo(Stub):
        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            return 401, {"error": {"status": {"error_code": 10002, "error_message": CANARY}}}

    async with Echo() as stub, reading(stub, demo_key=CANARY) as provider:
        errors = []
        for mode in ("ok", "unauthorized", "maintenance", "garbage", "truncated", "rate_limited"):
            stub.mode = mode
            with pytest.raises(ProviderError) as caught:
                await provider.quotes([instrument("bitcoin")])
            errors.append(str(caught.value))
        seen = [*errors, repr(provider), repr(provider.rest), repr(provider.standing.budget)]
    # The log of the stub's server does not count.
    seen += [each.getMessage() for each in caplog.records if each.name != "websockets.server"]
    assert not [each for each in seen if CANARY in each]


@pytest.mark.parametrize(
    ("status", "document", "refused", "words"),
    [
        (401, {"error": {"status": {"error_code": 10002, "error_message": "No key"}}}, True, "No"),
        (400, {"error": {"status": {"error_code": 10010, "error_message": "Wrong"}}}, True, "Wron"),
        (400, {"status": {"error_code": 10005, "error_message": "A plan"}}, True, "A plan"),
        (200, {"error": {"status": {"error_code": 10011, "error_message": "Root"}}}, True, "Root"),
        (200, {"error": "something broke"}, False, "something broke"),
        (500, {"error": "something broke"}, False, "500 internal server error: something"),
        (200, {"gecko_says": "hi"}, False, "a JSON object, not a JSON list"),
        (200, None, False, "null, not a JSON list"),
    ],
)
async def test_errors_have_three_forms_and_may_have_the_status_200(
    status: int, document: Any, refused: bool, words: str
) -> None:
    class Odd(Stub):
        def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
            return status, document

    async with Odd() as stub:
        error = await failure(stub)
    assert words in str(error)
    assert error.refused is refused
    assert error.retry_after is None


@pytest.mark.parametrize("status", [200, 429])
async def test_a_limit_without_a_time_means_a_minute(status: int) -> None:
    class Limited(Stub):
        limited = (status, LIMITED)

    async with Limited(retry_after="") as stub:
        stub.mode = "rate_limited"
        error = await failure(stub)
    assert error.retry_after == COOL_DOWN
    assert "exceeded the Rate Limit" in str(error)
    assert not error.refused


async def test_a_limit_with_a_time_means_that_time(stub: Stub) -> None:
    stub.mode = "rate_limited"
    assert (await failure(stub)).retry_after == 7


async def test_no_request_follows_a_limit(stub: Stub) -> None:
    stub.mode = "rate_limited"
    await failure(stub)
    assert stub.requests.total() == 1


async def test_many_coins_come_in_several_requests(stub: Stub, provider: CoinGecko) -> None:
    codes = [f"coin-{number}" for number in range(2 * BATCH + 1)]
    stub.enlist(*codes)
    quotes = await provider.quotes([instrument(code, symbol=code) for code in codes])
    assert [quote.symbol for quote in quotes] == codes
    assert [len(query["ids"].split(",")) for query in stub.queries] == [250, 250, 1]
    assert provider.standing.budget.month_spent == 3


async def test_no_request_is_sent_when_the_month_is_spent(stub: Stub, provider: CoinGecko) -> None:
    provider.standing.budget.month_spent = 10_000
    with pytest.raises(ProviderError, match=r"all 10000 requests of 20.* are used") as caught:
        await provider.quotes([instrument("bitcoin")])
    assert stub.requests == {}
    assert caught.value.retry_after


@pytest.mark.parametrize(
    ("key", "currencies", "interval"),
    [
        ({}, ["USD"], 60),
        ({"demo_key": "d"}, ["USD"], 298),
        ({"demo_key": "d"}, ["USD", "EUR", "BTC"], 893),
        ({"pro_key": "p"}, ["USD"], 60),
        ({"pro_key": "p"}, ["USD", "EUR", "BTC"], 89),
    ],
)
async def test_the_months_requests_are_spread_over_the_month(
    stub: Stub, key: dict[str, str], currencies: list[str], interval: int
) -> None:
    async with reading(stub, **key) as provider:
        quotes = await provider.quotes([instrument("bitcoin", each) for each in currencies])
    assert round(provider.poll_interval) == interval
    assert {quote.delay for quote in quotes} == {interval + 60}
    most = provider.plan.per_month
    a_month = 31 * 86_400 / provider.poll_interval * len(currencies)
    assert most is None or a_month <= 0.9 * most + 1


# any input

NAMES = [
    "id",
    "current_price",
    "price_change_24h",
    "price_change_percentage_24h",
    "high_24h",
    "low_24h",
    "last_updated",
]
CHANGES = st.dictionaries(st.sampled_from(NAMES), JSON)


@given(CHANGES, JSON)
@example({"current_price": 1e-30, "price_change_24h": -1e30}, None)
def test_no_row_leads_to_an_invalid_price(changes: dict[str, Any], other: Any) -> None:
    for row in (loads(MARKET) | over_the_wire(changes), over_the_wire(other)):
        quote = read_market(row, instrument("bitcoin"), NOW, 0)
        assert sane(quote)
        coin = read_coin(row)
        assert coin is None or coin.code


@given(st.lists(JSON | st.lists(JSON, min_size=5, max_size=5)))
def test_every_candle_is_valid_or_left_out(rows: list[Any]) -> None:
    found = read_candles(over_the_wire(rows), timedelta(minutes=30), *EVER)
    assert all(candle.low > 0 and candle.close > 0 for candle in found)


@given(JSON, st.sampled_from(["error", "status"]), JSON)
def test_every_error_has_a_code_and_words(body: Any, name: str, value: Any) -> None:
    for each in (body, {name: value}, {name: {"status": value}}, {name: {"error_code": value}}):
        code, words = complaint(over_the_wire(each))
        assert code is None or type(code) is int
        assert isinstance(words, str)


@given(st.lists(st.text(min_size=1, max_size=80), max_size=400))
def test_every_code_is_in_one_request_that_is_not_too_long(codes: list[str]) -> None:
    requests = list(chunks(codes))
    assert [code for chunk in requests for code in chunk] == codes
    for chunk in requests:
        assert 1 <= len(chunk) <= BATCH
        address = httpx.URL("http://a/", params={"ids": ",".join(chunk)})
        assert len(chunk) == 1 or len(str(address)) <= MAX_IDS_LENGTH + 20


# the stub


@pytest.mark.server
async def test_the_stub_is_a_process_that_can_be_steered() -> None:
    command = [sys.executable, "-m", "tests.stubs.coingecko", "--port", "0"]
    running = await create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE)
    assert running.stdout
    where = f"http://127.0.0.1:{int(await running.stdout.readline())}"
    provider = CoinGecko(where)
    async with httpx.AsyncClient(base_url=where) as steer:
        await steer.get("/_tick?product=bitcoin&price=64123.25")
        (quote,) = await provider.quotes([instrument("bitcoin")])
        assert quote.last == Decimal("64123.25")
        await steer.get("/_mode?to=maintenance")
        with pytest.raises(ProviderError):
            await provider.quotes([instrument("bitcoin")])
    await provider.aclose()
    running.terminate()
    await running.communicate()
    assert running.returncode == 0
