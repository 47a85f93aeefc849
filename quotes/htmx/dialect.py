"""The dialects of htmx: fragments are written for version 4, and translated here for version 2.

Version 2 replaces an element where version 4 changes only what differs in it. So the rows that it
gets are whole.
"""

from __future__ import annotations

from typing import Literal

Version = Literal[2, 4]
OURS: Version = 4  # of the scripts that we bring, and of our own pages
SWAPS = {"outerMorph": "outerHTML", "innerMorph": "innerHTML"}


def swap(given: str, version: Version) -> str:
    """Return a swap of version 4, such as `outerMorph:.quotes-pulse`, for a version."""
    if version == OURS:
        return given
    style, colon, selector = given.partition(":")
    return SWAPS.get(style, style) + colon + selector


def keeps_sparklines(version: Version) -> bool:
    """Return whether a row keeps its sparkline when a row without one replaces it."""
    return version == OURS


def reports_missing(version: Version) -> bool:
    """Return whether a target that a page lacks is an error in the console of its browser."""
    return version != OURS
