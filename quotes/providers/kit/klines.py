"""Klines: candles as rows of values without names, the way crypto exchanges write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from quotes.providers import Candle
from quotes.quote.values import SECOND, amount, price, since_1970

PRICES = ("open", "high", "low", "close")


def read_klines(
    rows: Iterable[Any],
    columns: Sequence[str],  # "time", "open", "high", "low", "close", perhaps "volume"
    start: datetime,
    end: datetime,
    unit: timedelta = SECOND,  # of times, which count from 1970
) -> dict[datetime, Candle]:
    """Return the valid candles from `start` to before `end`, by their start."""
    found = (_read_kline(row, columns, unit) for row in rows)
    return {each.start: each for each in found if each and start <= each.start < end}


def _read_kline(row: Any, columns: Sequence[str], unit: timedelta) -> Candle | None:
    if not isinstance(row, list) or len(row) < len(columns):
        return None
    values: dict[str, Any] = dict(zip(columns, row, strict=False))
    start, volume = since_1970(values.pop("time"), unit), amount(values.pop("volume", None))
    prices: dict[str, Any] = {
        name: price(value) for name, value in values.items() if name in PRICES
    }
    if start is None or not all(prices.values()):
        return None
    return Candle(start=start, volume=volume, **prices)
