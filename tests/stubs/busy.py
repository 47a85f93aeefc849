"""A busy exchange: `python -m tests.stubs.busy --port 0`.

It speaks the protocol of Coinbase, and trades each product once a second. To cost little, it writes
many frames at once, and no frame is made of objects.
"""

from __future__ import annotations

import asyncio
import json
import struct
from datetime import UTC, datetime
from itertools import count, islice
from typing import Any

from websockets.asyncio.server import ServerConnection

from tests.stubs.coinbase import Coinbase
from tests.stubs.exchange import main

EVERY = 0.02  # seconds between two writes
MAX_BUFFER = 2**25  # bytes, of four seconds; a client has to read these before it gets more
TICK = (
    b'{"type":"ticker","sequence":%d,"product_id":"%b","price":"%.2f","open_24h":"%.2f",'
    b'"volume_24h":"12345.678","low_24h":"%.2f","high_24h":"%.2f","volume_30d":"370370.34",'
    b'"best_bid":"%.2f","best_bid_size":"0.5","best_ask":"%.2f","best_ask_size":"0.25",'
    b'"side":"buy","time":"%bZ","trade_id":77,"last_size":"0.01"}'
)
TEXT = 0x81  # the first byte of a frame with a whole text
LONG = 126  # its second byte, if two more have the length


class Busy(Coinbase):
    """A stub of Coinbase Exchange, all of whose products are traded all the time."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.sent = 0  # ticks

    def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Return no products and no statistics: what is traded is in the stream."""
        return 200, {} if path.endswith("/stats") else []

    def state(self) -> dict[str, Any]:
        """Return how many ticks were sent."""
        return {"sent": self.sent}

    async def feed(self, connection: ServerConnection) -> None:
        """Take subscriptions; trade what was subscribed to until the socket ends."""
        wanted: dict[str, float] = {}
        trading = asyncio.create_task(self._trade(connection, wanted))
        try:
            async for message in connection:
                asked = json.loads(message)
                if "ticker" in asked["channels"]:
                    wanted |= {code: 100 + 7.77 * len(wanted) for code in asked["product_ids"]}
        finally:
            trading.cancel()

    async def _trade(self, connection: ServerConnection, wanted: dict[str, float]) -> None:
        """Trade each product once a second, in equal parts of the second."""
        clock = asyncio.get_running_loop().time
        before, ticks = clock(), self._ticks(wanted)
        while True:
            await asyncio.sleep(EVERY)
            now = clock()
            due = round(len(wanted) * min(now - before, 1.0))
            before = now
            if connection.transport.get_write_buffer_size() > MAX_BUFFER:
                continue
            connection.transport.write(b"".join(islice(ticks, due)))
            self.sent += due

    def _ticks(self, wanted: dict[str, float]) -> Any:
        for sequence in count(1):
            for code, start in list(wanted.items()):
                last = start * (1 + 0.001 * (hash((code, sequence)) % 11 - 5))
                made = datetime.now(UTC).isoformat(timespec="microseconds")[:26].encode()
                tick = TICK % (
                    sequence,
                    code.encode(),
                    last,
                    start,
                    start * 0.99,
                    start * 1.01,
                    last - 0.01,
                    last + 0.01,
                    made,
                )
                yield struct.pack(">BBH", TEXT, LONG, len(tick)) + tick


if __name__ == "__main__":
    main(Busy)
