"""A stub of CoinGecko, which has REST only: `python -m tests.stubs.coingecko --port 0`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from websockets.asyncio.server import ServerConnection

from quotes.providers import Instrument, make_provider
from tests.servers import PATIENCE
from tests.stubs.exchange import Bench, Exchange, main

# Made-up prices by currency: (price, change of 24 hours, high, low), as JSON numbers.
MARKET: dict[str, dict[str, tuple[float | None, ...]]] = {
    "bitcoin": {
        "usd": (77671.123456, -747.3360347281705, 78419, 76696),
        "eur": (66123.5, 12.25, 66900, 65800.75),
    },
    "ethereum": {"usd": (3200.01, 0, 3350, 3150), "btc": (0.03391, -0.00012, 0.0345, 0.0338)},
    "shiba-inu": {"usd": (1.234e-05, -1.1e-07, 1.3e-05, 1.2e-05)},
    "unheard-of": {"usd": (None, None, None, None)},  # listed, without trades
}
CURRENCIES = ("usd", "eur", "btc", "gbp")
NAMES = {"bitcoin": "Bitcoin", "ethereum": "Ethereum", "shiba-inu": "Shiba Inu"}
SHORT = {"bitcoin": "btc", "ethereum": "eth", "shiba-inu": "shib"}
PAGE = 250  # rows on one page
STEPS = {1: 1800, 7: 14_400, 14: 14_400, 30: 14_400, 90: 345_600, 180: 345_600, 365: 345_600}
DAY = 86_400


class CoinGecko(Exchange):
    """A stub of CoinGecko."""

    limited = (429, {"status": {"error_code": 429, "error_message": "Rate limit exceeded."}})
    refused = (401, {"error": {"status": {"error_code": 10002, "error_message": "No key."}}})

    def __init__(
        self,
        port: int = 0,
        *,
        key: tuple[str, str] | None = None,  # the required header and its value
        retry_after: str = "7",
    ) -> None:
        super().__init__(port, retry_after=retry_after)
        self.key = key
        self.coins: dict[str, Any] = {code: dict(prices) for code, prices in MARKET.items()}
        self.queries: list[dict[str, str]] = []

    def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Return the markets, the candles of a coin, or the list of coins."""
        self.queries.append(query)
        if self.key and self.headers.get(self.key[0]) != self.key[1]:
            return self.refused
        if query.get("vs_currency", "usd") not in CURRENCIES:
            return 400, {"error": "invalid vs_currency"}
        match path.strip("/").split("/"):
            case ["coins", "markets"]:
                return 200, self._markets(query)
            case ["coins", code, "ohlc"] if code in self.coins:
                return 200, self._candles(code, query)
            case ["coins", "list"]:
                return 200, [_coin(code) for code in self.coins]
        return 404, {"error": "coin not found"}

    async def tick(self, product: str, price: str, **fields: Any) -> None:
        """Change the price of a coin in dollars."""
        _, *others = self.coins[product]["usd"]
        self.coins[product]["usd"] = (float(price), *others)

    async def feed(self, connection: ServerConnection) -> None:
        """End a socket: there is no stream."""

    def enlist(self, *codes: str) -> None:
        """List more coins, which cost 10 dollars."""
        for code in codes:
            self.coins[code] = {"usd": (10.0, 0.5, 11, 9)}

    def _markets(self, query: dict[str, str]) -> list[dict[str, Any]]:
        currency, wanted = query["vs_currency"], query["ids"].split(",")
        # As from CoinGecko: unknown ids are left out, and the order differs.
        codes = sorted((code for code in self.coins if code in wanted), reverse=True)
        rows = [self._row(code, currency, query) for code in codes]
        return rows[: min(PAGE, int(query.get("per_page", 100)))]

    def _row(self, code: str, currency: str, query: dict[str, str]) -> dict[str, Any]:
        price, change, high, low = self.coins[code].get(currency, (None, None, None, None))
        if price and "precision" not in query:
            price = round(price) if price > 1000 else price
        return _coin(code) | {
            "image": "https://example.com/coin.png",
            "current_price": price,
            "market_cap": 1555886872303,
            "total_volume": 33235034316,
            "high_24h": high,
            "low_24h": low,
            "price_change_24h": change,
            "price_change_percentage_24h": change and change / (price - change) * 100,
            "ath": 126080,
            "roi": None,
            "last_updated": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}.599Z",
        }

    def _candles(self, code: str, query: dict[str, str]) -> list[list[Any]]:
        days = int(query["days"])
        step, now = STEPS[days], int(time.time())
        price = self.coins[code][query["vs_currency"]][0] or 0
        # The end of each candle, in milliseconds.
        ends = range((now - days * DAY) // step * step, now + 1, step)
        return [[end * 1000, price, price * 1.02, price * 0.97, price * 1.01] for end in ends]


def _coin(code: str) -> dict[str, Any]:
    return {"id": code, "symbol": SHORT.get(code, code), "name": NAMES.get(code, code.title())}


@asynccontextmanager
async def bench(patience: float = PATIENCE) -> AsyncIterator[Bench]:
    """Set CoinGecko up with its stub; a coin has one code and a price in each currency."""
    async with CoinGecko() as stub:
        options = {"rest_url": stub.rest_url, "demo_key": "mine", "timeout": patience}
        provider = make_provider("coingecko", options)
        known = [
            Instrument(symbol="BTC-USD", code="bitcoin"),
            Instrument(symbol="BTC-EUR", code="bitcoin", currency="EUR"),
            Instrument(symbol="ETH-USD", code="ethereum"),
        ]
        yield Bench(
            provider=provider,
            known=known,
            unknown=[Instrument(symbol="NOPE-USD", code="nope")],
            stub=stub,
            step=1800,
            start=datetime.now(UTC) - timedelta(hours=6),
        )
        await provider.aclose()


if __name__ == "__main__":
    main(CoinGecko)
