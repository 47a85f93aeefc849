"""The admin: symbols with their provider codes, boards, market days, overrides and held prices."""

from quotes.admin import boards, bulk, held_prices, market_days, overrides, symbols

__all__ = ["boards", "bulk", "held_prices", "market_days", "overrides", "symbols"]
