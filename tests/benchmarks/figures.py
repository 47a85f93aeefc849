"""Figures: all measurements, by round, as a table and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

HEAD = ("", "min", "median", "max")


@dataclass(slots=True)
class Figure:
    """The values of one quantity in its unit, by round."""

    unit: str
    rounds: dict[int, list[float]] = field(default_factory=dict)

    @property
    def values(self) -> list[float]:
        """All values, whichever round they are of."""
        return [value for values in self.rounds.values() for value in values]

    def summary(self) -> dict[str, Any]:
        """Return minimum, median and maximum beside the values themselves."""
        values = self.values
        low, middle, high = min(values), statistics.median(values), max(values)
        return {
            "unit": self.unit,
            "min": low,
            "median": middle,
            "max": high,
            "values": values,
        }


@dataclass(slots=True)
class Figures:
    """Everything that is measured, in order; ratios compare figures of the same round."""

    round: int = 0
    measured: dict[str, Figure] = field(default_factory=dict)
    compared: dict[str, tuple[str, str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, name: str, unit: str, *values: float) -> None:
        """Record the values of this round."""
        figure = self.measured.setdefault(name, Figure(unit))
        figure.rounds.setdefault(self.round, []).extend(values)

    def lack(self, name: str, reason: str) -> None:
        """Record the reason for a missing figure."""
        self.missing[name] = reason

    def fail(self, name: str, error: str) -> None:
        """Record the failure of a figure."""
        self.failures.append(f"round {self.round}: {name}: {error}")

    def warn(self, warning: str) -> None:
        """Record the reason why a figure is doubtful."""
        self.warnings.append(f"round {self.round}: {warning}")

    def compare(self, name: str, over: str, under: str) -> None:
        """Request the ratio of two figures, for rounds that measured both."""
        self.compared[name] = (over, under)

    def ratios(self) -> dict[str, Figure]:
        """Return the requested ratios, of the medians in each round."""
        ratios = {}
        for name, (over, under) in self.compared.items():
            above, below = (self.measured.get(each, Figure("")).rounds for each in (over, under))
            if both := [number for number in above if statistics.median(below.get(number, [0]))]:
                ratios[name] = Figure(
                    "times",
                    {n: [statistics.median(above[n]) / statistics.median(below[n])] for n in both},
                )
        return ratios

    def table(self) -> str:
        """Return all figures as a table."""
        ratios = self.ratios()
        width = max(map(len, [*self.measured, *ratios]), default=0)
        lines = [_line(width, *HEAD), *_lines(width, self.measured)]
        if ratios:
            lines += ["", "ratios, round by round", *_lines(width, ratios)]
        lines += [f"{name}: missing: {reason}" for name, reason in self.missing.items()]
        lines += [f"failed: {failure}" for failure in self.failures]
        lines += [f"warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def report(self) -> dict[str, Any]:
        """Return everything as values for JSON."""
        return {
            "figures": {name: figure.summary() for name, figure in self.measured.items()},
            "ratios": {name: figure.summary() for name, figure in self.ratios().items()},
            "missing": self.missing,
            "failures": self.failures,
            "warnings": self.warnings,
        }


def _lines(width: int, figures: dict[str, Figure]) -> Iterable[str]:
    for name, figure in figures.items():
        summary = figure.summary()
        yield _line(width, name, *[_number(summary[word]) for word in HEAD[1:]], figure.unit)


def _line(width: int, name: str, low: str, middle: str, high: str, unit: str = "") -> str:
    return f"{name:<{width}} {low:>9} {middle:>9} {high:>9} {unit}".rstrip()


def _number(value: float) -> str:
    digits = 0 if abs(value) >= 1000 or value == int(value) else 1 if abs(value) >= 100 else 2
    return f"{value:,.{digits}f}"
