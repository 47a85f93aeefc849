"""The oracle notices each kind of fault."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.faults import oracle
from tests.faults.crowd import Crowd, Server, Visitor
from tests.faults.oracle import Figure, Usage
from tests.faults.pages import Row
from tests.servers import Site

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PANEL = """<section class="quote quote-panel" data-symbol="BTC-USD" data-condition="live">
<data data-field="last" value="{last}">64,000.00</data>
<time data-field="time" datetime="{time}">12:00:00</time>
<dd data-field="source">Coinbase</dd></section>"""
PULSE = '<span class="quotes-pulse pulse-{} turn-1">'


def told(seconds: float, source: str = "Coinbase") -> Row:
    html = f'<dd data-field="source">{source}</dd>'
    return Row("BTC-USD", NOON + timedelta(seconds=seconds), "64000.00", html)


def panel(time: datetime, last: str = "64000.00") -> str:
    return PANEL.format(last=last, time=time.isoformat())


def page(tmp_path, *messages: str) -> Visitor:
    visitor = Visitor(Server(Site(tmp_path)), "/ws/quotes/?panel=BTC-USD")
    visitor.open = True
    for message in messages:
        visitor.take(message)
    return visitor


def test_a_time_that_goes_back_is_found_unless_the_provider_changed():
    assert oracle.times_that_went_back([told(0), told(1), told(1)]) == []
    assert oracle.times_that_went_back([told(1), told(0, "Kraken"), told(2)]) == []
    assert len(oracle.times_that_went_back([told(1), told(0), told(2)])) == 1
    assert len(oracle.times_that_went_back([told(2), told(0, "Kraken"), told(1)])) == 1


def test_a_page_records_a_time_that_goes_back_also_after_it_connected_again(tmp_path):
    visitor = page(tmp_path, panel(NOON), panel(NOON + timedelta(seconds=1)), panel(NOON))
    assert len(visitor.back) == 1


def test_a_page_is_current_only_with_the_last_price_and_only_while_it_is_live(tmp_path):
    visitor = page(tmp_path, panel(NOON, "64000.00") + PULSE.format("live"))
    assert visitor.shows({"BTC-USD": "64000.0"})
    assert not visitor.shows({"BTC-USD": "64000.01"})
    assert not visitor.shows({"BTC-USD": "64000.00", "ETH-USD": "3200.00"})
    visitor.take(PULSE.format("stopped"))
    assert not visitor.shows({"BTC-USD": "64000.00"})
    assert visitor.showed_stopped


def test_a_row_that_is_too_old_and_looks_live_is_found(tmp_path):
    crowd = Crowd(stale_after=60)
    young = page(tmp_path, panel(NOON) + PULSE.format("live"))
    crowd._judge(young, 1000.0, NOON + timedelta(seconds=61))
    assert crowd.take_unmarked() == []
    crowd._judge(young, 1000.0, NOON + timedelta(seconds=63))
    assert len(crowd.take_unmarked()) == 1
    young.take(panel(NOON).replace('data-condition="live"', 'data-condition="stale"'))
    crowd._judge(young, 1000.0, NOON + timedelta(seconds=63))
    assert crowd.take_unmarked() == []
    crowd.loop.close()


def test_a_live_page_that_stands_still_is_found_while_the_exchange_trades(tmp_path):
    crowd = Crowd(stale_after=60)
    visitor = page(tmp_path, panel(NOON) + PULSE.format("live"))
    crowd._judge(visitor, visitor.moved_at + 7, NOON)
    assert crowd.take_unmoved()[0] == 0  # the exchange does not trade
    crowd.trading_since = 0.0
    crowd._judge(visitor, visitor.moved_at + 7, NOON)
    assert 6 < crowd.take_unmoved()[0] <= 7
    visitor.server.resumed_at = visitor.moved_at + 4  # its process was paused until then
    crowd._judge(visitor, visitor.moved_at + 7, NOON)
    assert crowd.take_unmoved()[0] <= 3
    crowd.loop.close()


def test_a_candle_that_is_missing_or_different_is_found():
    candle = (Decimal(1), Decimal(3), Decimal(1), Decimal(2))
    market = {"candles": {"BTC-USD 60": [[120, 1.0, 3.0, 1.0, 2.0, 7]]}}
    theirs = oracle.candles_of(market)
    assert theirs == {("BTC-USD", 60, 120): candle}
    assert oracle.differing(theirs, {("BTC-USD", 60, 120): candle}) == []
    assert len(oracle.differing(theirs, {})) == 1
    assert len(oracle.differing(theirs, {("BTC-USD", 60, 120): (*candle[:3], Decimal(3))})) == 1


def test_each_traceback_is_named_with_the_line_before_it_and_its_error():
    log = 'it failed\nTraceback (most recent call last):\n  File "x"\nValueError: 1\nall is well\n'
    assert oracle.tracebacks(log) == ["it failed … ValueError: 1"]
    assert oracle.tracebacks("all is well\n") == []


def test_of_each_figure_the_worst_is_kept():
    figures = [Figure("seconds", 1, bound=3), Figure("seconds", 4, bound=3), Figure("seconds", 2)]
    assert oracle.worst(figures) == [figures[1]]
    assert not figures[1].kept
    assert "BROKEN" in figures[1].line()


def test_what_a_process_holds_is_compared_with_its_first_sample():
    first, last = Usage(10, 5, 80.0), Usage(13, 5, 81.5)
    assert oracle.growth([first, Usage(99, 9, 99.0), last]) == Usage(3, 0, 1.5)
