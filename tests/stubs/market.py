"""A market that trades by itself: `python -m tests.stubs.market --port 0`.

It speaks the protocol of Coinbase Exchange. Its candles are made from its own trades, so that
tests can compare the candles of a site with those of the exchange. `/_trade?per_second=0` stops
all trades, and `/_market` returns all candles and the last trade of each product.
"""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import Any, Self

from tests.stubs.coinbase import Coinbase, _now, _seconds
from tests.stubs.exchange import main

STEPS = (60, 300, 3600, 86_400)  # seconds
PRODUCTS = ("BTC-USD", "ETH-USD", "SOL-USD")
TURN = 0.02  # seconds between two rounds of trades

Row = list[float]  # as from the exchange: start, low, high, open, close, volume


class Market(Coinbase):
    """A stub of Coinbase Exchange with a market of its own."""

    def __init__(self, port: int = 0, *, per_second: float = 20.0, seed: int = 1) -> None:
        super().__init__(port)
        self.per_second = per_second  # trades of each product
        self.chance = random.Random(seed)
        self.rows: dict[tuple[str, int], dict[int, Row]] = {}  # by product, step and start
        self.trades = 0
        self.trading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.trading = asyncio.create_task(self.trade())
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self.trading is not None
        self.trading.cancel()
        await super().__aexit__(*exc)

    async def trade(self) -> None:
        """Trade forever: each price is a little above or below the one before."""
        owed = 0.0
        while True:
            await asyncio.sleep(TURN)
            owed = min(owed + self.per_second * TURN, self.per_second)
            while owed >= 1 and self.per_second:
                owed -= 1
                for product in PRODUCTS:
                    last = Decimal(self.products[product]["price"])
                    step = Decimal(self.chance.randint(-50, 50)) / 100
                    await self.tick(product, f"{max(last + step, Decimal(1)):f}")

    async def tick(self, product: str, price: str, **fields: Any) -> None:
        """Trade a product at a price, and add that to its candles."""
        made = fields.setdefault("time", _now())
        self.trades += 1
        for step in STEPS:
            self._grow((product, step), _seconds(made) // step * step, float(price))
        await super().tick(product, price, **fields)

    def _grow(self, series: tuple[str, int], start: int, last: float) -> None:
        row = self.rows.setdefault(series, {}).setdefault(start, [start, last, last, last, last, 0])
        row[1], row[2], row[4] = min(row[1], last), max(row[2], last), last
        row[5] += 1

    def steer(self, path: str, query: dict[str, str]) -> Any:
        """Set the number of trades per second, or return all that was traded."""
        if path == "/_trade":
            self.per_second = float(query["per_second"])
        elif path != "/_market":
            return None
        candles = {
            f"{product} {step}": sorted(rows.values())
            for (product, step), rows in self.rows.items()
        }
        last = {product: self.products[product]["price"] for product in PRODUCTS}
        return {"trades": self.trades, "candles": candles, "last": last}

    def _candles(self, code: str, query: dict[str, str]) -> tuple[int, Any]:
        step = int(query.get("granularity", 60))
        first, last = (_seconds(query[name]) for name in ("start", "end"))
        found = self.rows.get((code, step), {})
        starts = sorted((each for each in found if first <= each <= last), reverse=True)
        return 200, [found[each] for each in starts]


if __name__ == "__main__":
    main(Market)
