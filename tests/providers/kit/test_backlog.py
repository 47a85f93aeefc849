"""The backlog of a stream: nothing is left out, unless too many frames wait."""

from __future__ import annotations

import asyncio
import gc
import json
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve

from quotes.providers import REGISTRY, Provider
from quotes.providers.alpaca_stream import ticks_in
from quotes.providers.binance import FRAME
from quotes.providers.coinbase import TICK
from quotes.providers.finnhub import TRADE
from quotes.providers.kit.backlog import MAX_IN_FULL, Backlog, found_by
from quotes.providers.kit.budgets import Budget, Plan
from quotes.providers.kit.sockets import Socket
from quotes.providers.kit.standing import Standing
from quotes.providers.kraken import TICK as KRAKEN_TICK
from quotes.providers.yahoo_wire import code_in
from tests.providers.contract import stub_of
from tests.servers import PATIENCE, until
from tests.streams import read_stream
from tests.stubs.exchange import Exchange


def tick(product: str, number: int) -> str:
    return json.dumps({"type": "ticker", "sequence": number, "product_id": product})


def backlog_of(*frames: str) -> Backlog:
    backlog = Backlog(found_by(TICK), Standing(Budget(Plan())))
    for frame in frames:
        backlog.add(frame)
    return backlog


def popped(backlog: Backlog) -> list[str | bytes]:
    return [backlog.pop() for _ in range(len(backlog)) if backlog]


def test_no_frame_is_left_out_while_few_wait():
    frames = [tick("BTC-USD", number) for number in range(MAX_IN_FULL)]
    backlog = backlog_of(*frames)
    assert popped(backlog) == frames
    assert backlog.standing.skipped == 0


def test_only_the_newest_tick_of_each_product_is_read_if_too_many_wait():
    frames = [tick(f"{'AB'[number % 2]}-USD", number) for number in range(MAX_IN_FULL + 2)]
    backlog = backlog_of(*frames)
    assert popped(backlog) == frames[-2:]
    assert backlog.standing.skipped == MAX_IN_FULL


@given(st.lists(st.sampled_from(["A", "B", "a heartbeat", "an error"]), min_size=1, max_size=40))
def test_other_frames_and_their_order_stay(kinds: list[str]):
    crowd = [tick("A", -number) for number in range(MAX_IN_FULL)]
    frames = [
        tick(kind, number) if len(kind) == 1 else json.dumps({"type": kind, "number": number})
        for number, kind in enumerate(kinds)
    ]
    newest = {kind: number for number, kind in enumerate(kinds)}
    kept = [
        frame
        for number, (kind, frame) in enumerate(zip(kinds, frames, strict=True))
        if len(kind) > 1 or newest[kind] == number
    ]
    read = popped(backlog_of(*crowd, *frames))
    assert read == ([] if "A" in newest else crowd[-1:]) + kept


def test_many_products_are_all_read():
    frames = [tick(f"{number}-USD", number) for number in range(3 * MAX_IN_FULL)]
    assert popped(backlog_of(*frames)) == frames


def test_an_update_of_kraken_with_several_pairs_is_never_left_out():
    one = {"symbol": "BTC/USD", "last": 1.5}
    update = {"channel": "ticker", "type": "update", "data": [one]}
    found = KRAKEN_TICK.search(json.dumps(update, separators=(",", ":")))
    assert found
    assert found[1] == "BTC/USD"
    several = update | {"data": [one, {"symbol": "ETH/USD", "last": 1.5}]}
    assert not KRAKEN_TICK.search(json.dumps(several))
    assert not KRAKEN_TICK.search(json.dumps(update | {"type": "snapshot"}))


def test_large_frames_fill_it_by_their_size():
    backlog = backlog_of(*["x" * 2**20] * 31)
    assert not backlog.is_full()
    backlog.add("x" * 2**20)
    assert backlog.is_full()
    backlog.pop()
    assert not backlog.is_full()


def test_in_a_flood_without_end_each_search_lets_all_symbols_out():
    codes = [f"S{number}" for number in range(40)]
    backlog = Backlog(TRADE.findall, Standing(Budget(Plan())))
    out = Counter[str]()
    for _ in range(400):
        for code in codes * (1 + MAX_IN_FULL // len(codes)):  # more than may wait
            backlog.add(f'{{"s":"{code}"}}')
        out[backlog.pop()] += 1
    assert len(out) == len(codes)
    assert max(out.values()) - min(out.values()) <= 1


STREAMING = [name for name in REGISTRY if hasattr(stub_of(name), "MANY")]
FLOOD = 8 * MAX_IN_FULL  # ticks that arrive at once


async def flood(stub: Exchange, codes: list[str], backlog: Backlog) -> None:
    """Put many ticks into a backlog before it is read, and send 10.99 of the first code."""
    [connection] = stub.connections
    frames: list[str] = []

    async def keep(frame: str, **_: object) -> None:
        frames.append(frame)

    send, connection.send = connection.send, keep  # type: ignore[method-assign]
    for number in range(FLOOD):
        await stub.tick(codes[number % len(codes)], f"10.{number // len(codes) % 90:02}")
    connection.send = send  # type: ignore[method-assign]
    for frame in frames:
        backlog.add(frame)
    await stub.tick(codes[0], "10.99")


def backlog_behind(provider: Provider) -> Backlog:
    """Return the backlog of the open stream of a provider."""
    found = (each for each in gc.get_objects() if type(each) is Backlog)
    return next(each for each in found if each.standing is provider.standing)


@pytest.mark.parametrize("name", STREAMING)
async def test_every_stream_leaves_out_superseded_ticks_in_a_flood(name: str):
    codes = stub_of(name).MANY[:5]
    async with stub_of(name).bench(PATIENCE) as bench:
        assert bench.stub
        bench.stub.enlist(*codes)
        wanted = [replace(bench.known[0], symbol=code, code=code) for code in codes]
        async with read_stream(bench.provider, *wanted) as quotes:
            await bench.stub.until(lambda: bench.stub and bench.stub.connections)
            heard = asyncio.create_task(quotes.until(lambda quote: quote.last == Decimal("10.98")))
            while not heard.done():  # until all codes are subscribed
                await bench.stub.tick(codes[-1], "10.98")
                await asyncio.sleep(0.01)
            await flood(bench.stub, codes, backlog_behind(bench.provider))
            newest = await quotes.until(lambda quote: quote.last == Decimal("10.99"))
            assert newest.symbol == codes[0]
    assert bench.provider.standing.skipped >= FLOOD - len(codes)
    assert len(bench.provider.standing.skipped_of) == len(codes)


async def test_other_tasks_run_while_the_frames_of_many_products_are_read(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("quotes.providers.kit.sockets.REST_EVERY", 0.0)
    backlog, count, turns = backlog_of(), 4 * MAX_IN_FULL, 0

    async def send_all(connection: ServerConnection) -> None:
        for number in range(count):
            await connection.send(tick(f"C{number}-USD", 1))
        await connection.wait_closed()

    async def work() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with serve(send_all, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"ws://127.0.0.1:{port}"
        async with Socket(url, PATIENCE, PATIENCE, backlog=backlog) as socket:
            await until(lambda: len(backlog) == count)
            working = asyncio.create_task(work())
            for number in range(count):
                message = await socket.receive()
                assert message["product_id"] == f"C{number}-USD"
                assert turns >= number
            working.cancel()


def test_trades_of_finnhub_are_superseded_only_together():
    one, both = '{"data":[{"s":"A","p":1}],"type":"trade"}', '{"data":[{"s":"A"},{"s":"B"}]}'
    ping = '{"type":"ping"}'
    backlog = Backlog(TRADE.findall, Standing(Budget(Plan())))
    for frame in [both, ping, *[one] * MAX_IN_FULL]:
        backlog.add(frame)
    assert popped(backlog) == [both, ping, one]
    assert backlog.standing.skipped_of == {"A": MAX_IN_FULL - 1}


def test_a_trade_of_alpaca_is_superseded_only_by_one_with_the_same_conditions():
    trade, odd_lot = (json.dumps({"T": "t", "S": "A", "p": 1, "c": c}) for c in (["@"], ["@", "I"]))
    quote, cancel = (json.dumps({"T": kind, "S": "A"}) for kind in "qx")
    assert ticks_in(f"[{trade},{quote}]") == ['A t "@"', "A q "]
    assert ticks_in(f"[{odd_lot}]") == ['A t "@", "I"']
    assert ticks_in(f"[{trade},{cancel}]") == []
    assert ticks_in('[{"T":"d","S":"A","c":10.5}]') == ["A d "]


def test_a_code_of_yahoo_is_found_at_the_beginning_of_its_frame():
    def frame(head: bytes) -> str:
        return json.dumps({"type": "pricing", "message": b64encode(head).decode()})

    assert code_in(frame(b"\x0a\x04AAPL\x15\x00\x00\x80\x3f")) == ["AAPL"]
    assert code_in(frame(b"\x15\x00\x00\x80\x3f\x0a\x04AAPL")) == []
    assert code_in(frame(b"\x0a\x7fAAPL")) == []
    assert code_in('{"type":"pricing","message":"?"}') == []


def test_an_update_of_binance_is_named_by_its_symbol():
    update = {"stream": "btcusdt@ticker", "data": {"e": "24hrTicker", "s": "BTCUSDT", "c": "1"}}
    assert list(found_by(FRAME)(json.dumps(update))) == ["BTCUSDT"]
    assert not found_by(FRAME)(json.dumps(update | {"stream": "btcusdt@miniTicker"}))
