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
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text):
        return int(text)
    raise ValueError(f"Unexpected {name} {given!r}, must be a whole number above 0")


def needed_key(variable: str, given: str) -> str:
    """Read a key; raise ValueError, which names the variable and never the key, for none."""
    key = given.strip()
    if not key:
        raise ValueError(f"A key is missing, set {variable}")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError(f"{variable} is no key: a header can't hold it")
    return key
