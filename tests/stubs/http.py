"""A stub of an operator's source of JSON: `python -m tests.stubs.http --port 0`.

Three shapes of one market: `/price/BTC-USD` returns one price, `/quotes?symbols=BTC-USD,ETH-USD` a
list of the requested ones, and `/all` returns all by code. If a key is set, `X-Api-Key` must have
it. `rejects` is the status for an unknown code in a list; 0 leaves the code out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from quotes.providers import Instrument, make_provider
from tests.servers import PATIENCE
from tests.stubs.exchange import Bench, Exchange, main

MARKET = {  # made up
    "BTC-USD": {"last": "64000.10", "bid": "64000.00", "ask": "64000.20", "currency": "USD"},
    "BTC-EUR": {"last": "59000.00", "bid": "58999.50", "ask": "59000.50", "currency": "EUR"},
    "AAPL": {"last": "101.00", "reference": "100.00", "currency": "USD"},
    "VOD.L": {"last": "8012", "reference": "7900", "currency": "GBp"},
}


class Http(Exchange):
    """A stub of an operator's source of JSON."""

    def __init__(self, port: int = 0, *, key: str = "", rejects: int = 0, **options: Any) -> None:
        super().__init__(port, **options)
        self.key, self.rejects = key, rejects
        self.market: dict[str, dict[str, Any]] = {code: {**row} for code, row in MARKET.items()}
        self.requested: list[list[str]] = []  # the codes of each request, in order

    def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Return a price, a list, or all prices."""
        if self.key and self.headers.get("X-Api-Key") != self.key:
            return self.refused
        match path.strip("/").split("/"):
            case ["price", code]:
                self.requested.append([code])
                row = self.market.get(code)
                return (200, {"data": row}) if row else (404, {"message": "NotFound"})
            case ["quotes"]:
                return self._listed(query.get("symbols", "").split(","))
            case ["all"]:
                return 200, self.market
        return 404, {"message": "NotFound"}

    async def tick(self, product: str, price: str, **fields: Any) -> None:
        """Change the price of a product, for the next request."""
        self.market.setdefault(product, {})
        self.market[product] |= {"last": price} | fields

    def _listed(self, codes: list[str]) -> tuple[int, Any]:
        self.requested.append(codes)
        if self.rejects and (bad := next((c for c in codes if c not in self.market), None)):
            return self.rejects, {"message": f"unknown symbol {bad}"}
        found = sorted(set(codes) & self.market.keys())
        return 200, {"quotes": [{"symbol": code, **self.market[code]} for code in found]}


class Partly(Http):
    """Answers some codes as in another mode, or with a status."""

    def __init__(self, faults: dict[str, str | int]) -> None:
        super().__init__()
        self.faults = faults
        self.market |= {code: {"last": "5"} for code in faults}

    @property
    def one(self) -> dict[str, Any]:
        """The options of a provider that requests each code alone."""
        url = f"{self.rest_url}/price/{{code}}"
        return {"url": url, "fields": "last=data.last", "per_minute": 10_000, "timeout": PATIENCE}

    async def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        fault = self.faults.get(request.path.rpartition("/")[2], "ok")
        self.mode = fault if isinstance(fault, str) else "ok"
        return await super()._request(connection, request)

    def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        status, document = super().rest(path, query)
        fault = self.faults.get(path.rpartition("/")[2])
        return (fault if isinstance(fault, int) else status), document


@asynccontextmanager
async def bench(patience: float = PATIENCE) -> AsyncIterator[Bench]:
    """Set an operator's JSON up, in the shape of a list."""
    async with Http() as stub:
        options = {
            "url": stub.rest_url + "/quotes?symbols={codes}",
            "rows": "quotes",
            "fields": "code=symbol, last=last, bid=bid, ask=ask, currency=currency",
            "timeout": patience,
        }
        provider = make_provider("http", options)
        known = [
            Instrument(symbol="BTC-USD", code="BTC-USD"),
            Instrument(symbol="BTC-EUR", code="BTC-EUR", currency="EUR"),
        ]
        unknown = [Instrument(symbol="NOPE-USD", code="NOPE-USD")]
        yield Bench(provider=provider, known=known, unknown=unknown, stub=stub)
        await provider.aclose()


if __name__ == "__main__":
    main(Http)
