"""The admin: symbols with their provider codes, boards, market days, overrides and held prices."""

from quotes.admin import boards, held_prices, market_days, overrides, symbols

__all__ = ["boards", "held_prices", "market_days", "overrides", "symbols"]
