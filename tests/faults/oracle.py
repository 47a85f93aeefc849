"""The oracle: judges a site during and after faults, always by the same promises.

It compares what pages show and what the database holds with the exchange itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.faults.pages import Row

CURRENT_WITHIN = 3.0  # seconds from the end of all faults until every page is current
SILENT_AT_MOST = 6.0  # seconds without prices during which a page may still look live
LINES_A_MINUTE = 60  # of the log of one process
SECONDS = "s"

Candles = dict[tuple[str, int, int], tuple[Decimal, ...]]  # by symbol, step and start


@dataclass(frozen=True)
class Figure:
    """A measured value. If it has a bound, it must not be above it."""

    what: str
    value: float
    unit: str = ""
    bound: float | None = None
    seen: tuple[str, ...] = ()  # what exactly was seen, for the person who looks for the cause

    @property
    def kept(self) -> bool:
        """Whether the value is within its bound."""
        return self.bound is None or self.value <= self.bound

    def line(self) -> str:
        """Return the figure as a line of text."""
        bound = "" if self.bound is None else f"at most {number(self.bound)}"
        verdict = "" if self.kept else "BROKEN"
        return (
            f"{self.what:<66} {number(self.value):>8} {self.unit:<6} {bound:<14} {verdict}".rstrip()
        )

    def report(self) -> dict[str, Any]:
        """Return the figure as values for JSON."""
        return asdict(self) | {"kept": self.kept}


def number(value: float) -> str:
    """Return a value with the digits that matter."""
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:.2f}"


def worst(figures: Iterable[Figure]) -> list[Figure]:
    """Return the largest figure of each kind, in the order in which they came first."""
    found: dict[str, Figure] = {}
    for figure in figures:
        known = found.get(figure.what)
        if known is None or (known.kept, -known.value) > (figure.kept, -figure.value):
            found[figure.what] = figure
    return list(found.values())


# Pages


def times_that_went_back(told: Sequence[Row]) -> list[str]:
    """Return each quote of one page that is older than the one before, of the same provider."""
    newest: dict[tuple[str, str], Row] = {}
    found = []
    for each in told:
        key = (each.code, each.source)
        if (before := newest.get(key)) and each.time < before.time:
            found.append(f"{each.code}: {before.time.isoformat()}, then {each.time.isoformat()}")
        newest[key] = each
    return found


# Candles


def candles_of(market: Mapping[str, Any]) -> Candles:
    """Return the candles of the exchange: open, high, low and close."""
    return {
        (product, int(step), int(start)): tuple(
            Decimal(str(each)) for each in (opened, high, low, closed)
        )
        for series, rows in market["candles"].items()
        for product, step in [series.split()]
        for start, low, high, opened, closed, _ in rows
    }


def differing(theirs: Candles, ours: Candles) -> list[str]:
    """Return the candles of the exchange that the site does not have, or has otherwise."""
    return [
        f"{key}: {[*map(str, candle)]}, stored {[*map(str, ours.get(key, ()))]}"
        for key, candle in sorted(theirs.items())
        if ours.get(key) != candle
    ]


# Logs


def tracebacks(log: str) -> list[str]:
    """Return the last line of each traceback in a log."""
    lines = log.splitlines()
    begins = [at for at, line in enumerate(lines) if line.startswith("Traceback")]
    ends = [
        next((line for line in lines[begin + 1 :] if line and not line[0].isspace()), "…")
        for begin in begins
    ]
    return [f"{lines[at - 1]} … {end}" if at else end for at, end in zip(begins, ends, strict=True)]


# Processes


@dataclass(frozen=True)
class Usage:
    """What a process holds now."""

    descriptors: int
    threads: int
    memory: float  # MB in RAM

    @classmethod
    def of(cls, pid: int) -> Usage:
        """Read it from the system; raise OSError if the process has ended."""
        pairs = (
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        )
        status = {name: value.strip() for name, value in pairs}
        return cls(
            descriptors=len(os.listdir(f"/proc/{pid}/fd")),
            threads=int(status["Threads"]),
            memory=int(status.get("VmRSS", "0 kB").split()[0]) / 1000,
        )


def growth(samples: Sequence[Usage]) -> Usage:
    """Return how much more a process holds at the last sample than at the first one."""
    first, last = samples[0], samples[-1]
    return Usage(
        last.descriptors - first.descriptors,
        last.threads - first.threads,
        round(last.memory - first.memory, 1),
    )


def longest_gap(moments: Sequence[float]) -> float:
    """Return the longest time between two neighbouring moments."""
    return max((after - before for before, after in pairwise(moments)), default=0.0)
