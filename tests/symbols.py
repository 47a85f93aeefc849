"""Files with many symbols, for tests that load them."""

from __future__ import annotations


def many_shares(count: int, name: str = "A share") -> str:
    """Return a CSV file with many symbols."""
    rows = [f"MANY{n},{name} {n},stock,NASDAQ,USD\n" for n in range(count)]
    return "".join(["symbol,name,kind,exchange,currency\n", *rows])
