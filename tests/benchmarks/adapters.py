"""Adapters: the cost of a tick from a source's socket to the layer, for each source with a stream.

The stub of the source sends prepared frames as fast as the feed accepts them, so that none is left
out as superseded. It has a thread of its own, and only the processor time of the feed's thread
counts.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from websockets.frames import Frame, Opcode

from quotes.feed.batch import Batch
from quotes.feed.feed import Feed
from quotes.providers import REGISTRY, Instrument, Provider
from quotes.quote import Quote
from tests.benchmarks.bench import Bench, run_apart
from tests.providers.contract import stub_of
from tests.stubs.exchange import Exchange

# what each source that has a stream calls as many coins or shares as one connection takes
CODES = {name: stub_of(name).MANY for name in REGISTRY if hasattr(stub_of(name), "MANY")}
TICKS, QUICK = 60_000, 500
LAST = Decimal("10.99")  # the price of the last tick of all
PIECE = 200  # frames that are sent at once; fewer wait than the backlog keeps in full


def adapters(bench: Bench) -> None:
    """Measure each source in a process of its own."""
    for name in CODES:
        with bench.attempt(f"ticks from {name} to the layer"):
            ticks = QUICK if bench.quick else TICKS
            seen = run_apart("adapters", name, str(ticks))
            shown = f"a tick from {name} to the layer, {seen['symbols']} symbols"
            bench.figures.add(shown, "µs", seen["micros"])
            bench.figures.add(f"ticks from {name} to the layer, per core", "1/s", seen["rate"])


@dataclass(slots=True)
class Venue:
    """A stub in a thread, with a provider that has not connected yet."""

    stub: Exchange
    provider: Provider
    instruments: list[Instrument]
    loop: asyncio.AbstractEventLoop
    seen: int = 0  # ticks that the feed accepted

    def flood(self, ticks: int) -> None:
        """Send ticks; two in a row are of different symbols."""
        sending = asyncio.run_coroutine_threadsafe(self._flood(ticks), self.loop)
        sending.add_done_callback(Future.result)  # a failure goes to standard error

    async def _flood(self, ticks: int) -> None:
        await self.stub.until(lambda: self.stub.connections)
        [connection] = self.stub.connections
        frames = await self._frames(connection, ticks)
        self.seen = 0  # those before came from polls
        for first in range(0, len(frames), PIECE):
            connection.transport.write(b"".join(frames[first : first + PIECE]))
            await self._accepted(first)

    async def _accepted(self, ticks: int) -> None:
        await self.stub.until(lambda: self.seen >= ticks)

    async def _frames(self, connection: Any, ticks: int) -> list[bytes]:
        frames: list[bytes] = []
        send, ticking = connection.send, asyncio.current_task()

        async def keep(data: Any, **options: Any) -> None:
            if asyncio.current_task() is ticking:
                frames.append(Frame(Opcode.TEXT, data.encode()).serialize(mask=False))
            elif not frames:  # an answer to a login or to a subscription
                await send(data, **options)

        connection.send = keep
        while not frames:  # until all codes are subscribed
            await asyncio.sleep(0.01)
            await self.stub.tick(self.instruments[-1].code, "10.00")
        self.stub.mode = "slow"  # polls get no answer: theirs would overtake the stream
        for number in range(ticks - 1):
            code = self.instruments[number % len(self.instruments)].code
            await self.stub.tick(code, f"10.{number // len(self.instruments) % 90:02}")
        await self.stub.tick(self.instruments[0].code, str(LAST))
        return frames[:]


@contextmanager
def venue(name: str) -> Iterator[Venue]:
    """Run the stub of a source until the end of the block."""
    ready: list[Venue] = []
    opened, closing = threading.Event(), threading.Event()

    async def serve() -> None:
        async with stub_of(name).bench(60.0) as bench:
            assert bench.stub
            bench.stub.enlist(*CODES[name])
            asked = [replace(bench.known[0], symbol=each, code=each) for each in CODES[name]]
            ready.append(Venue(bench.stub, bench.provider, asked, asyncio.get_running_loop()))
            opened.set()
            await asyncio.to_thread(closing.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    opened.wait(60)
    try:
        yield ready[0]
    finally:
        closing.set()


async def measure(name: str, ticks: int) -> dict[str, float]:
    """Return the cost of a tick in microseconds, and ticks per second of processor."""
    from quotes import conf
    from quotes.live import layer

    done, began = asyncio.Event(), 0.0

    async def publish(batch: Batch) -> None:
        await layer.send_batch(1, batch)
        if any(quote.last == LAST for quote in batch.quotes):
            done.set()

    async def learn(_: object) -> None:
        pass

    def count(_: Quote) -> None:
        nonlocal began
        if not source.seen:
            began = time.thread_time()
        source.seen += 1

    async def listen() -> None:
        async for _ in layer.listen():
            pass

    with venue(name) as source:
        feed = Feed(publish, learn, max_jump=conf.get("MAX_JUMP"))
        chains = {each.symbol: {name: each} for each in source.instruments}
        feed.follow([source.provider], chains)
        tasks = [asyncio.create_task(each) for each in (feed.run(), listen())]
        while not (feed.sources[name].streaming and feed.gate.latest.keys() == chains.keys()):
            await asyncio.sleep(0.05)
        feed.gate.accepted = count
        source.flood(ticks)
        async with asyncio.timeout(300):
            await done.wait()
        took = time.thread_time() - began
        if source.seen < ticks:
            raise RuntimeError(f"the feed accepted {source.seen} of {ticks} ticks")
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await feed.aclose()
    micros = took / source.seen * 1e6
    return {"micros": micros, "rate": 1e6 / micros, "symbols": len(chains), "seen": source.seen}


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(asyncio.run(measure(sys.argv[1], int(sys.argv[2])))))
