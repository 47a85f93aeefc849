"""The admin: symbols with their provider codes, boards, market days and held prices."""

from quotes.admin import boards, held_prices, market_days, symbols

__all__ = ["boards", "held_prices", "market_days", "symbols"]
