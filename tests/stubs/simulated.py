"""The simulated market under the contract; it needs no stub."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

from quotes.providers import Instrument, make_provider
from tests.servers import PATIENCE
from tests.stubs.exchange import Bench


@asynccontextmanager
async def bench(patience: float = PATIENCE) -> AsyncIterator[Bench]:
    """Set the simulated market up; it knows every symbol and has no server."""
    provider = make_provider("simulated", {"rate": 6000, "seed": 1})
    known = [
        Instrument(symbol="AAPL", code="", kind="stock", start=Decimal(101)),
        Instrument(symbol="BTC-USD", code="", start=Decimal(64_000)),
    ]
    yield Bench(provider=provider, known=known)
    await provider.aclose()
