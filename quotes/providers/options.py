"""Options that the environment gives as text."""

from __future__ import annotations

DAY = 86_400  # seconds, and more than any option of ours needs


def seconds(name: str, given: float | str) -> float:
    """Read a length of time; raise ValueError for what is none between 0 and a day."""
    try:
        number = float(given)
    except (TypeError, ValueError):
        number = 0.0
    if 0 < number <= DAY:
        return number
    raise ValueError(f"Unexpected {name} {given!r}, must be a number of seconds above 0")


def count(name: str, given: int | str) -> int:
    """Read a whole number; raise ValueError for what is none above 0."""
    text = str(given).strip()
    if text.isascii() and text.isdigit() and 0 < int(text[:10]):
        return int(text[:10])
    raise ValueError(f"Unexpected {name} {given!r}, must be a whole number above 0")
