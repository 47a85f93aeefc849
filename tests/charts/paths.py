"""Reads what a path draws."""

from __future__ import annotations

import re

Point = tuple[int, int]


def drawn(path: str) -> list[list[Point]]:
    """Return the points of each part of a path, without those where a part is only closed."""
    parts: list[list[Point]] = []
    x = y = 0
    for command, text in re.findall(r"([a-zA-Z])([-\d ]*)", path):
        numbers = [int(number) for number in re.findall(r"-?\d+", text)]
        if command == "z":
            continue
        if command in "Mm":
            x, y = numbers if command == "M" else (x + numbers[0], y + numbers[1])
            parts.append([])
        elif command == "l":
            x, y = x + numbers[0], y + numbers[1]
        elif command in "hH":
            x = numbers[0] + (x if command == "h" else 0)
        else:
            y = numbers[0] + (y if command == "v" else 0)
        parts[-1].append((x, y))
    assert not re.sub(r"[MmlhHvVz\d -]", "", path)  # whole numbers only
    return parts


def points(path: str) -> list[Point]:
    """Return all points of a path."""
    return [point for part in drawn(path) for point in part]
