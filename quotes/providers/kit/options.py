"""Readers for options that come from the environment as text."""

from __future__ import annotations

DAY = 86_400  # seconds; no option needs more


def seconds(name: str, given: float | str) -> float:
    """Read a length of time; raise ValueError unless it is above 0 and at most a day."""
    try:
        number = float(given)
    except (TypeError, ValueError):
        number = 0.0
    if 0 < number <= DAY:
        return number
    raise ValueError(
        f"Unexpected {name} {given!r}, must be a number of seconds above 0, at most {DAY}"
    )


def count(name: str, given: int | str) -> int:
    """Read a whole number; raise ValueError unless it is above 0."""
    text = str(given).strip()
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text):
        return int(text)
    raise ValueError(f"Unexpected {name} {given!r}, must be a whole number above 0")


def needed_key(variable: str, given: str) -> str:
    """Read a key; raise ValueError, which names the variable but never the key."""
    key = given.strip()
    if not key:
        raise ValueError(f"A key is missing, set {variable}")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError(f"{variable} is not a valid key: a header can't contain it")
    return key
