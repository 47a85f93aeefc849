"""The admin: each of these modules registers its models."""

from quotes.admin import (
    boards,
    bulk_changes,
    changes,
    held_prices,
    loads,
    market_days,
    overrides,
    symbols,
)

__all__ = [
    "boards",
    "bulk_changes",
    "changes",
    "held_prices",
    "loads",
    "market_days",
    "overrides",
    "symbols",
]
