"""The backlog of a stream: nothing is left out, unless too many frames wait."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from quotes.providers.coinbase import TICK
from quotes.providers.kit.backlog import MAX_IN_FULL, Backlog
from quotes.providers.kit.budgets import Budget, Plan
from quotes.providers.kit.standing import Standing
from quotes.providers.kraken import TICK as KRAKEN_TICK


def tick(product: str, number: int) -> str:
    return json.dumps({"type": "ticker", "sequence": number, "product_id": product})


def backlog_of(*frames: str) -> Backlog:
    backlog = Backlog(TICK, Standing(Budget(Plan())))
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
