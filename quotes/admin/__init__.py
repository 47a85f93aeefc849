"""The admin: symbols with their provider codes, boards, market days, overrides and held prices."""

from quotes.admin import boards, bulk, changes, held_prices, loads, market_days, overrides, symbols

__all__ = [
    "boards",
    "bulk",
    "changes",
    "held_prices",
    "loads",
    "market_days",
    "overrides",
    "symbols",
]
