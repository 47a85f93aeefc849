"""The simulated market: plausible, on its tick grid, the same for a seed, at the given rate."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotes import sessions
from quotes.candles.backfill import roll_up
from quotes.kinds import KINDS
from quotes.providers import Instrument, make_provider
from quotes.providers.kit.bars import DAY
from quotes.providers.simulated import HOURS, MAX_BURST, Simulated
from quotes.quote import Quote
from quotes.quote.wire import from_wire, to_wire
from tests.examples import examples

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
BTC = Instrument(symbol="BTC-USD", code="", start=Decimal(64000), tick_size=Decimal("0.01"))
AAPL = Instrument(symbol="AAPL", code="", kind="stock", start=Decimal(200))
SPY = Instrument(symbol="SPY", code="", kind="etf", start=Decimal(600))
GSPC = Instrument(symbol="^GSPC", code="", kind="index", start=Decimal(6000))
ALL = [BTC, AAPL, SPY, GSPC]

LISTED = [  # with the hours of their exchanges
    replace(AAPL, exchange="NASDAQ"),
    replace(AAPL, symbol="7203", exchange="TSE"),  # a break at noon
    replace(AAPL, symbol="INFY", exchange="NSE"),  # opens at 9:15, at 3:45 in UTC
    replace(GSPC, exchange="SNP"),
    Instrument(symbol="EUR-USD", code="", kind="currency", start=Decimal("1.08")),  # day and night
    Instrument(symbol="ESZ6", code="", kind="future", exchange="CME", start=Decimal(6000)),
]
HALF_DAY = datetime(2026, 11, 27, tzinfo=UTC)  # in New York, after Thanksgiving

fifty = examples(50)
seeds = st.integers(0, 10**6)
instruments = st.builds(
    Instrument,
    symbol=st.sampled_from(["BTC-USD", "AAPL", "PEPE-USD"]),
    code=st.just(""),
    kind=st.sampled_from(sorted(KINDS)),
    tick_size=st.sampled_from(
        [None, *map(Decimal, ("0.01", "0.010000000000", "0.25", "5", "1E-8"))]
    ),
    start=st.none() | st.decimals(Decimal("1E-8"), Decimal(10**6), places=8),
)


class FakeTime:
    """A clock that only moves during a sleep, by its length and the delay of a busy machine."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.sleeps = 0
        self.delay = 0.0

    def options(self) -> dict[str, Any]:
        return {"clock": self.clock, "sleep": self.sleep, "monotonic": lambda: self.seconds}

    def clock(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        self.seconds += seconds + self.delay
        self.delay = 0.0


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


def simulated(seed: int | str | None = 7, rate: float | str = 60, **options: Any) -> Simulated:
    return Simulated(rate, seed, **(FakeTime().options() | options))


async def take(provider: Simulated, chosen: Sequence[Instrument], count: int) -> list[Quote]:
    """Return the first quotes of a stream."""
    taken: list[Quote] = []
    async with aclosing(provider.stream(chosen)) as stream:
        async for quote in stream:
            taken.append(quote)
            if len(taken) == count:
                break
    return taken


async def take_until(
    provider: Simulated, chosen: Sequence[Instrument], time: FakeTime, end: float
) -> Counter[str]:
    """Count the ticks of each symbol after the snapshot, up to a moment of the fake time."""
    ticks: Counter[str] = Counter()
    async with aclosing(provider.stream(chosen)) as stream:
        for _ in chosen:
            await anext(stream)
        async for quote in stream:
            if time.seconds > end:
                break
            ticks[quote.symbol] += 1
    return ticks


def contents(quotes: Sequence[Quote], symbol: str = "") -> list[list[Any]]:
    """Return all fields of quotes but the times, of one symbol or of all."""
    chosen = [quote for quote in quotes if symbol in ("", quote.symbol)]
    return [[quote.symbol, quote.sequence, *values(quote)] for quote in chosen]


def values(quote: Quote) -> list[Any]:
    prices = [quote.last, quote.bid, quote.ask, quote.open, quote.high, quote.low]
    return [*prices, quote.reference, quote.volume]


@fifty
@given(instruments, seeds, st.sampled_from([0.001, 1, 60, 6000]))
async def test_every_quote_is_positive_and_on_the_tick_grid(
    instrument: Instrument, seed: int, rate: float
) -> None:
    tick = instrument.tick_size or Decimal("1E-13")  # of a pair at 1E-8: six figures
    for quote in await take(simulated(seed, rate), [instrument], 60):
        for price in values(quote)[:-1]:
            assert price > 0
            assert price % tick == 0


@fifty
@given(instruments, seeds, st.sampled_from([0.001, 1, 60, 6000]))
async def test_last_lies_between_bid_and_ask_and_between_low_and_high(
    instrument: Instrument, seed: int, rate: float
) -> None:
    for quote in await take(simulated(seed, rate), [instrument], 60):
        assert quote.bid <= quote.last <= quote.ask
        assert quote.bid < quote.ask
        assert quote.low <= quote.last <= quote.high
        assert quote.low <= quote.open <= quote.high


@fifty
@given(instruments, seeds)
async def test_volume_and_sequence_rise_with_every_quote(instrument: Instrument, seed: int) -> None:
    for before, after in pairwise(await take(simulated(seed), [instrument], 60)):
        assert after.volume > before.volume > 0
        assert after.sequence > before.sequence


@fifty
@given(instruments, seeds)
async def test_every_quote_survives_the_wire(instrument: Instrument, seed: int) -> None:
    for quote in await take(simulated(seed), [instrument], 5):
        assert from_wire(to_wire(quote)) == quote


@fifty
@given(seeds)
async def test_the_same_seed_has_the_same_sequence(seed: int) -> None:
    first, second = [await take(simulated(seed), ALL, 100) for _ in range(2)]

    assert first == second


@fifty
@given(instruments, seeds, st.integers(30, 400_000))
async def test_the_prices_of_a_seed_depend_only_on_the_time(
    instrument: Instrument, seed: int, started: int
) -> None:
    [before, _], time = [FakeTime(), FakeTime()], FakeTime()
    before.seconds = -started
    running = simulated(seed, **before.options())
    await take(running, [instrument], 20)
    before.seconds = time.seconds = 0.5
    [went_on], [restarted] = [
        await each.quotes([instrument]) for each in (running, simulated(seed, **time.options()))
    ]

    assert (went_on.open, went_on.reference) == (restarted.open, restarted.reference)
    spread = went_on.ask - went_on.bid
    for now, then in zip(values(went_on)[:6], values(restarted)[:6], strict=True):
        assert abs(now - then) <= 3 * spread


@fifty
@given(seeds, st.lists(st.sampled_from([AAPL, SPY, GSPC]), unique=True))
async def test_a_symbol_walks_the_same_way_beside_any_others(
    seed: int, neighbours: list[Instrument]
) -> None:
    time = FakeTime()
    crowd, single = [simulated(seed, **time.options()) for _ in range(2)]
    for _ in range(90):
        [*_, together], [alone] = await crowd.quotes([*neighbours, BTC]), await single.quotes([BTC])
        assert together == alone
        await time.sleep(1.0)


async def test_polling_walks_the_same_way_as_streaming() -> None:
    time = FakeTime()
    provider = simulated(**time.options())
    for streamed in await take(simulated(), [BTC], 20):
        time.seconds = (streamed.source_time - NOON).total_seconds()
        assert await provider.quotes([BTC]) == [streamed]


@pytest.mark.parametrize("seed", [None, ""])
async def test_without_a_seed_every_market_is_different(seed: str | None) -> None:
    first, second = [await take(simulated(seed), [BTC], 20) for _ in range(2)]

    assert contents(first) != contents(second)


async def test_a_seed_from_the_environment_is_the_same_as_the_number() -> None:
    assert contents(await take(simulated("7"), ALL, 40)) == contents(
        await take(simulated(7), ALL, 40)
    )


@pytest.mark.parametrize(
    ("start", "tick", "near"),
    [
        ("64000", "0.010000000000", "64000.00"),
        ("101.004", "0.01", "101.00"),
        ("101", "0.25", "101.00"),
        ("1003", "5", "1005"),
        ("0.001", "0.01", "0.01"),
        ("0.00001234", None, "0.00001234"),
        ("0.2", None, "0.2000"),
        ("200", None, "200.00"),
        (None, None, "100.00"),
    ],
)
async def test_the_market_moves_around_its_start_on_the_tick_grid(
    start: str | None, tick: str | None, near: str
) -> None:
    instrument = Instrument(
        symbol="AAPL",
        code="",
        start=start and Decimal(start),
        tick_size=tick and Decimal(tick),
    )
    [quote] = await simulated().quotes([instrument])

    assert len(str(quote.last).partition(".")[2]) == len(near.partition(".")[2])
    assert quote.last % Decimal(tick or "1E-13") == 0
    assert quote.last == pytest.approx(Decimal(near), rel=Decimal("0.5"))


async def test_a_crypto_quote_has_24_hours_and_never_closes() -> None:
    [quote] = await simulated().quotes([BTC])

    assert (quote.provider, quote.symbol, quote.currency) == ("simulated", "BTC-USD", "USD")
    assert (quote.reference_kind, quote.volume_window) == ("rolling_24h", "24h")
    assert (quote.session, quote.delay) == ("always", 0)
    assert quote.open == quote.reference
    assert quote.volume % 1 != 0


@pytest.mark.parametrize("instrument", [AAPL, SPY, GSPC], ids=lambda instrument: instrument.kind)
async def test_other_quotes_have_a_day_and_whole_shares_and_never_close(
    instrument: Instrument,
) -> None:
    [quote] = await simulated().quotes([instrument])

    assert (quote.reference_kind, quote.volume_window) == ("prev_close", "session")
    assert (quote.session, quote.delay) == ("always", 0)
    assert quote.volume % 1 == 0


@pytest.mark.parametrize(("start", "digits"), [("1.08459", 5), ("150.123", 3), ("16512.5", 2)])
async def test_a_pair_of_currencies_ticks_by_a_part_of_a_pip(start: str, digits: int) -> None:
    pair = Instrument(symbol="PAIR", code="", kind="currency", start=Decimal(start))
    [quote] = await simulated().quotes([pair])
    assert len(str(quote.last).partition(".")[2]) == digits


async def test_a_quote_has_the_time_of_the_clock(fake_time: FakeTime) -> None:
    *_, tick = await take(simulated(**fake_time.options()), [BTC], 3)

    assert tick.source_time == tick.received_at == NOON + timedelta(seconds=2)


async def test_the_default_clock_is_aware_utc() -> None:
    before = datetime.now(UTC)
    [quote] = await Simulated().quotes([BTC])

    assert before <= quote.source_time <= datetime.now(UTC)


@fifty
@given(seeds)
async def test_the_change_of_the_first_day_is_plausible(seed: int) -> None:
    for quote in await simulated(seed).quotes(ALL):
        assert abs(quote.change_percent) < 25


@pytest.mark.parametrize("instrument", ALL, ids=lambda instrument: instrument.kind)
@pytest.mark.parametrize("rate", [1, 60, 6000])
async def test_a_visitor_sees_prices_change(instrument: Instrument, rate: int) -> None:
    lasts = [quote.last for quote in await take(simulated(rate=rate), [instrument], 30)]

    assert len(set(lasts)) > 3
    assert max(lasts) < min(lasts) * Decimal("1.1")


@pytest.mark.parametrize("seed", range(5))
async def test_a_price_does_not_rest_for_two_minutes(seed: int) -> None:
    solana = replace(BTC, symbol="SOL-USD", code="SOL-USD", start=Decimal("184.20"))
    candles = await simulated(seed).candles(solana, 60, NOON - timedelta(days=2), NOON)

    rests = [candle.high == candle.low for candle in candles]
    assert not any(map(all, pairwise(rests)))


@pytest.mark.parametrize("instrument", ALL, ids=lambda instrument: instrument.kind)
async def test_the_price_stays_within_factor_three_of_the_start_for_twenty_years(
    instrument: Instrument,
) -> None:
    for year in range(20):
        end = NOON - timedelta(days=365 * year)
        for candle in await simulated().candles(instrument, DAY, end - timedelta(days=365), end):
            assert instrument.start / 3 < candle.low <= candle.high < instrument.start * 3


async def test_a_symbol_needs_little_memory(fake_time: FakeTime) -> None:
    market, count = Simulated(seed=7, **fake_time.options()), 50
    coins = [replace(BTC, symbol=f"C{number}-USD") for number in range(count)]
    await market.quotes(coins[:1])
    tracemalloc.start()
    try:
        await market.quotes(coins)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used / count < 35_000  # bytes: a thousand symbols fit into 35 MB


async def test_a_price_may_have_more_ticks_than_fit_into_eight_bytes() -> None:
    huge = replace(BTC, start=Decimal(10**11), tick_size=Decimal("1E-12"))
    [quote] = await Simulated(seed=7).quotes([huge])
    assert Decimal(10**10) < quote.last < Decimal(10**12)


async def test_two_symbols_walk_apart() -> None:
    twin = replace(AAPL, symbol="MSFT")
    quotes = await take(simulated(), [AAPL, twin], 60)
    apple, microsoft = [
        [values(quote) for quote in quotes if quote.symbol == symbol] for symbol in ("AAPL", "MSFT")
    ]

    assert apple != microsoft


async def test_symbols_take_turns_in_a_mixed_order() -> None:
    symbols = [quote.symbol for quote in await take(simulated(), ALL, 44)]
    rounds = {tuple(symbols[at : at + 4]) for at in range(4, 44, 4)}

    assert len(rounds) > 3
    assert all(len(set(turns)) == 4 for turns in rounds)


async def test_a_new_day_begins_where_the_last_one_ended() -> None:
    quotes = await take(simulated(rate=1), [AAPL], 12 * 60 + 1)
    evening, morning = quotes[-2:]

    assert morning.time - NOON == timedelta(hours=12)
    assert morning.reference == morning.open
    assert abs(morning.open - evening.last) < evening.high - evening.low
    assert morning.high - morning.low <= abs(morning.last - morning.open) + Decimal("0.1")
    assert morning.volume < evening.volume


async def test_a_symbol_with_a_new_name_continues_at_its_price() -> None:
    provider = simulated()
    for _ in range(20):
        [before] = await provider.quotes([AAPL])
    renamed = replace(AAPL, name="Apple", code="apple")
    [after] = await provider.quotes([renamed])

    assert after.sequence == before.sequence + 1
    assert after.reference == before.reference


async def test_a_stream_begins_with_a_quote_of_each_at_once(fake_time: FakeTime) -> None:
    quotes = await take(simulated(rate=1, **fake_time.options()), ALL, 4)

    assert [quote.symbol for quote in quotes] == ["BTC-USD", "AAPL", "SPY", "^GSPC"]
    assert fake_time.sleeps == 0


async def test_a_second_stream_continues_where_the_first_one_ended() -> None:
    provider = simulated()
    *_, before = await take(provider, [BTC], 10)
    after, *_ = await take(provider, [BTC], 10)

    assert after.sequence == before.sequence + 1


async def test_a_stream_of_nothing_ends() -> None:
    assert await take(simulated(), [], 1) == []


@pytest.mark.parametrize("rate", [1, 6000])
async def test_every_symbol_ticks_at_the_rate(rate: int, fake_time: FakeTime) -> None:
    provider = simulated(rate=rate, **fake_time.options())
    ticks = await take_until(provider, ALL, fake_time, 60.5)

    for instrument in ALL:
        assert ticks[instrument.symbol] == pytest.approx(rate, rel=0.01, abs=0.1)


async def test_slow_ticks_are_spread_evenly(fake_time: FakeTime) -> None:
    provider = simulated(rate=1, **fake_time.options())
    seconds = [quote.time.second for quote in await take(provider, ALL, 8)]

    assert seconds == [0, 0, 0, 0, 15, 30, 45, 0]


async def test_thousands_of_ticks_a_second_share_their_sleeps(fake_time: FakeTime) -> None:
    provider = simulated(rate=60 * 1250, **fake_time.options())
    ticks = await take_until(provider, ALL, fake_time, 2.0)

    assert ticks.total() == pytest.approx(2 * 5000, rel=0.02)
    assert fake_time.sleeps <= 201


async def test_a_sleep_that_ends_early_brings_no_early_tick(fake_time: FakeTime) -> None:
    provider = simulated(rate=60, **fake_time.options())
    fake_time.delay = -0.9
    ticks = await take_until(provider, ALL, fake_time, 10.1)

    assert ticks.total() == 40


async def test_the_ticks_of_a_short_delay_are_made_up_for(fake_time: FakeTime) -> None:
    provider = simulated(rate=6000, **fake_time.options())
    fake_time.delay = 0.9
    ticks = await take_until(provider, [BTC], fake_time, 5.0)

    assert ticks["BTC-USD"] == pytest.approx(500, abs=2)


async def test_the_ticks_missed_in_a_stall_are_dropped(fake_time: FakeTime) -> None:
    provider = simulated(rate=6000, **fake_time.options())
    fake_time.delay = 60.0
    ticks = await take_until(provider, [BTC], fake_time, 61.0)

    assert ticks["BTC-USD"] == pytest.approx(100, abs=2)


async def test_a_rate_beyond_the_machine_still_lets_others_work(fake_time: FakeTime) -> None:
    provider = simulated(rate=1e9, **fake_time.options())
    await take(provider, ALL, 10 * MAX_BURST)

    assert fake_time.sleeps >= 9


async def test_a_stream_runs_on_the_real_clock() -> None:
    assert len(await take(Simulated(rate=1e6), ALL, 200)) == 200


@pytest.mark.parametrize("rate", [60, 0.5, "60", "0.5", "6000"])
def test_a_rate_is_a_number_or_its_text(rate: float | str) -> None:
    assert Simulated(rate).rate == float(rate)


@pytest.mark.parametrize("rate", [0, -1, "", "fast", "nan", "inf", float("nan"), 1e308, None])
def test_an_invalid_rate_is_refused(rate: Any) -> None:
    with pytest.raises(ValueError, match="must be a number of ticks a minute above 0"):
        Simulated(rate)


def test_options_may_be_text_from_the_environment() -> None:
    provider = make_provider("simulated", {"rate": "120", "seed": "7"})

    assert isinstance(provider, Simulated)
    assert provider.rate == 120


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="Unknown option 'api_key' of the simulated provider"):
        make_provider("simulated", {"api_key": "secret"})


def test_the_attribution_states_that_the_market_is_not_real() -> None:
    assert Simulated.attribution == "SIMULATED prices, not a real market"
    assert not Simulated.needs_code


async def test_it_has_no_list_of_instruments() -> None:
    assert await simulated().instruments() == []


@fifty
@given(instruments, seeds, st.sampled_from([60, 3600, 86400]))
async def test_candles_are_positive_consistent_and_on_the_tick_grid(
    instrument: Instrument, seed: int, step: int
) -> None:
    tick = instrument.tick_size or Decimal("1E-13")  # of a pair at 1E-8: six figures
    start = NOON - timedelta(seconds=50 * step)
    for candle in await simulated(seed).candles(instrument, step, start, NOON):
        assert 0 < candle.low <= min(candle.open, candle.close)
        assert max(candle.open, candle.close) <= candle.high
        assert not any(last % tick for last in (candle.open, candle.high, candle.low, candle.close))
        assert candle.volume > 0


async def test_candles_follow_each_other_without_a_gap() -> None:
    candles = await simulated().candles(AAPL, 60, NOON - timedelta(hours=1), NOON)

    assert [candle.start for candle in candles] == [
        NOON - timedelta(minutes=minutes) for minutes in range(60, 0, -1)
    ]
    assert all(before.close == after.open for before, after in pairwise(candles))


async def test_candles_begin_at_whole_steps() -> None:
    start = NOON - timedelta(minutes=2, seconds=-1)
    [candle] = await simulated().candles(AAPL, 60, start, NOON - timedelta(seconds=1))

    assert candle.start == NOON - timedelta(minutes=1)


async def test_the_past_is_the_same_for_the_same_seed_in_every_period() -> None:
    long = await simulated().candles(AAPL, 60, NOON - timedelta(hours=2), NOON)
    short = await simulated().candles(AAPL, 60, NOON - timedelta(hours=1), NOON)
    other = await simulated(8).candles(AAPL, 60, NOON - timedelta(hours=1), NOON)

    assert long[60:] == short
    assert other != short


async def test_minutes_and_hours_show_the_same_past() -> None:
    minutes = await simulated().candles(AAPL, 60, NOON - timedelta(hours=1), NOON)
    [hour] = await simulated().candles(AAPL, 3600, NOON - timedelta(hours=1), NOON)

    assert (hour.open, hour.close) == (minutes[0].open, minutes[-1].close)


async def test_walking_does_not_change_the_past() -> None:
    walked = simulated()
    await take(walked, [AAPL], 100)
    span = (NOON - timedelta(hours=1), NOON)

    assert await walked.candles(AAPL, 60, *span) == await simulated().candles(AAPL, 60, *span)


async def test_only_the_newest_three_thousand_candles_are_returned() -> None:
    candles = await simulated().candles(BTC, 60, NOON - timedelta(days=30), NOON)

    assert len(candles) == 3000
    assert candles[-1].start == NOON - timedelta(minutes=1)


async def test_there_are_no_candles_of_the_future() -> None:
    tomorrow = NOON + timedelta(days=1)

    assert await simulated().candles(BTC, 60, NOON, tomorrow) == []


listed = st.sampled_from(LISTED)
moments = st.datetimes(datetime(2026, 1, 5), datetime(2026, 12, 30), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=500_000)  # in the first second of a day, too
)


@fifty
@given(listed | st.just(BTC) | st.just(AAPL), seeds, moments)
async def test_longer_candles_are_made_of_shorter_ones(
    instrument: Instrument, seed: int, now: datetime
) -> None:
    provider = simulated(seed, clock=lambda: now)
    start = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    candles = {
        step: await provider.candles(instrument, step, start, now) for step in (60, 300, 3600, DAY)
    }

    assert candles[300] == roll_up(candles[60], 300)
    assert candles[3600] == roll_up(candles[300], 3600)
    # a day of an exchange in Asia begins on the day before
    fives = await provider.candles(instrument, 300, start - timedelta(days=1), now)
    zone = sessions.zone(instrument.exchange, instrument.kind) or UTC
    for day in candles[DAY]:
        parts = [each for each in fives if each.start.astimezone(zone).date() == day.start.date()]
        assert roll_up([replace(each, start=day.start) for each in parts], DAY) == [day]


@fifty
@given(listed, seeds, moments)
async def test_candles_are_in_regular_sessions_only(
    instrument: Instrument, seed: int, now: datetime
) -> None:
    def session(moment: datetime) -> str:
        found = sessions.at(instrument.exchange, instrument.kind, moment)
        assert found
        return found.name

    minute, day = timedelta(minutes=1), timedelta(days=1)
    now = now.replace(second=0, microsecond=0)
    candles = await simulated(seed, clock=lambda: now).candles(instrument, 60, now - day, now)
    starts = [now - number * minute for number in range(24 * 60, 0, -1)]

    assert [candle.start for candle in candles] == [
        start for start in starts if session(start) == "regular"
    ]


async def test_a_half_day_is_shorter() -> None:
    later = HALF_DAY + timedelta(days=1)
    candles = await simulated(clock=lambda: later).candles(LISTED[0], 300, HALF_DAY, later)

    assert candles[0].start == HALF_DAY.replace(hour=14, minute=30)
    assert candles[-1].start == HALF_DAY.replace(hour=17, minute=55)


async def test_candles_go_back_beyond_the_calendar() -> None:
    start = NOON - timedelta(days=5 * 365)
    days = [candle.start for candle in await simulated().candles(LISTED[0], DAY, start, NOON)]

    assert days[0] - start < timedelta(days=4)
    assert len(days) > 250 * 5
    assert all(day.weekday() < 5 for day in days)


@fifty
@given(listed | st.just(BTC) | st.just(AAPL), seeds, moments, st.sampled_from(HOURS))
async def test_a_quote_states_the_day_of_the_candles(
    instrument: Instrument, seed: int, now: datetime, hours: str
) -> None:
    provider = simulated(seed, hours=hours, clock=lambda: now)
    [quote] = await provider.quotes([instrument])
    start = now - timedelta(days=20)
    if instrument is BTC:
        since = now.replace(second=0, microsecond=0) - timedelta(days=1)
        window = await provider.candles(instrument, 60, since, now)
        [today] = roll_up([replace(each, start=NOON) for each in window], DAY)
        reference = today.open
    else:
        days = await provider.candles(instrument, DAY, start, now + timedelta(days=2))
        reference, today = days[-2].close, days[-1]

    assert (quote.open, quote.reference) == (today.open, reference)
    assert quote.high >= max(today.high, quote.last)
    assert quote.low <= min(today.low, quote.last)
    if quote.session != "always":  # in the night of an open market, its range grows
        assert quote.high == max(today.high, quote.last)
        assert quote.low == min(today.low, quote.last)


@fifty
@given(listed | st.just(BTC) | st.just(AAPL), seeds, moments)
async def test_the_last_candle_ends_at_the_price_of_the_market(
    instrument: Instrument, seed: int, now: datetime
) -> None:
    provider = simulated(seed, hours="exchange", clock=lambda: now)
    [quote] = await provider.quotes([instrument])
    until = quote.time + timedelta(microseconds=1)
    [last] = await provider.candles(instrument, 60, until - timedelta(minutes=1), until)

    spread = quote.ask - quote.bid
    assert last.start <= quote.time <= now
    assert last.low - spread <= quote.last <= last.high + spread
    if quote.time < now:
        assert quote.last == last.close


async def test_with_the_hours_of_its_exchange_a_symbol_rests_at_night() -> None:
    apple, time = LISTED[0], FakeTime()
    time.seconds = (HALF_DAY.replace(hour=17, minute=58) - NOON).total_seconds()
    provider = simulated(rate=1, hours="exchange", **time.options())
    *_, before, closing, opening = await take(provider, [apple], 4)

    assert closing.source_time == HALF_DAY.replace(hour=18) - timedelta(microseconds=1)
    assert opening.source_time == HALF_DAY.replace(hour=14, minute=30) + timedelta(days=3)
    assert before.reference == closing.reference != opening.reference == closing.last
    assert opening.volume < closing.volume
    assert {quote.session for quote in (before, closing, opening)} == {None}


async def test_crypto_never_closes_and_does_not_wait_for_exchanges() -> None:
    provider = simulated(rate=1, hours="exchange", clock=lambda: HALF_DAY)
    quotes = await take(provider, [LISTED[0], BTC], 8)

    assert Counter(quote.symbol for quote in quotes) == {"AAPL": 1, "BTC-USD": 7}
    assert {quote.session for quote in quotes if quote.symbol == "BTC-USD"} == {"always"}


async def test_a_closed_market_repeats_its_last_quote() -> None:
    provider = simulated(hours="exchange", clock=lambda: HALF_DAY)
    [first], [second] = [await provider.quotes(LISTED[:1]) for _ in range(2)]

    assert first == second
    assert first.source_time < first.received_at == HALF_DAY


@pytest.mark.parametrize("hours", ["", "never", "Exchange", None])
def test_invalid_hours_are_refused(hours: Any) -> None:
    with pytest.raises(ValueError, match=r"Unexpected hours .*, must be one of: always, exchange"):
        Simulated(hours=hours)
