"""The load of the peers: messages like ours as JSON, sent at a steady rate.

A peer is a process of its own, so it reads its load from the environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count

PREFIX = "LOAD_"


@dataclass(frozen=True, slots=True)
class Load:
    """The messages that a peer sends to every visitor, and the moment when it begins."""

    visitors: int  # wait until there are so many
    symbols: int  # each in its turn
    rate: float  # messages per second, of all symbols together
    size: int = 0  # bytes that a message is filled up to

    @classmethod
    def read(cls) -> Load:
        """Read the environment."""
        given = {name: os.environ[PREFIX + name.upper()] for name in cls.__slots__}
        numbers = {name: int(given[name]) for name in ("visitors", "symbols", "size")}
        return cls(rate=float(given["rate"]), **numbers)

    def env(self) -> dict[str, str]:
        """Return the environment of a peer that must send this."""
        return {PREFIX + name.upper(): str(value) for name, value in asdict(self).items()}

    async def messages(self, visitors: Callable[[], int]) -> AsyncIterator[dict[str, str]]:
        """Yield messages when they are due, once there are enough visitors."""
        while visitors() < self.visitors:
            await asyncio.sleep(0.05)
        for due, message in self.schedule():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            yield message

    def schedule(self) -> Iterator[tuple[float, dict[str, str]]]:
        """Yield messages forever, each with the monotonic time at which it is due."""
        began = time.monotonic()
        for number in count():
            yield began + number / self.rate, self.message(number)

    def message(self, number: int) -> dict[str, str]:
        """Return a quote as JSON APIs send it."""
        cents = 10_000 + number * 37 % 1000
        quote = {
            "symbol": f"S{number % self.symbols:03}",
            "price": f"{cents / 100:.2f}",
            "change": f"{(cents - 10_500) / 100:+.2f}",
            "change_percent": f"{(cents - 10_500) / 105:+.2f}",
            "bid": f"{(cents - 1) / 100:.2f}",
            "ask": f"{(cents + 1) / 100:.2f}",
            "time": datetime.now(UTC).isoformat(),
        }
        missing = self.size - len(json.dumps(quote | {"note": ""}))
        return quote | {"note": "." * missing} if missing > 0 else quote
