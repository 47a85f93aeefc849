"""`make faults`: break one thing after the other, and measure what visitors notice.

Prints the figures of each case, and writes them as a table into docs/reliability.md. Returns 1 if
a figure is above its bound. The figures are upper bounds if other programs use the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.faults import oracle
from tests.faults.cases import CASES
from tests.faults.deployment import MissingError
from tests.faults.oracle import Figure
from tests.servers import ROOT

DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- figures of make faults -->\n", "<!-- end of the figures -->\n"


def main() -> int:
    """Run the chosen cases; return the exit code of the command."""
    asked = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    found: dict[str, list[Figure]] = {}
    failed: dict[str, str] = {}
    for name in asked.cases:
        print(f"{name}: {CASES[name].__doc__}", flush=True)
        try:
            found[name] = CASES[name](ROOT / "var" / "faults" / name, asked.quick)
        except MissingError as error:
            print(error, file=sys.stderr)
            return 2
        except AssertionError as error:
            failed[name] = str(error)
            print(f"  failed: {error}", flush=True)
    values = {name: [each.report() for each in figures] for name, figures in found.items()}
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps({"cases": values, "failed": failed}, indent=2) + "\n")
    if not asked.quick and not failed and found.keys() == CASES.keys():
        write(found)
    broken = [
        f"{name}: {figure.line()}"
        for name, figures in found.items()
        for figure in figures
        if not figure.kept
    ]
    for line in [*broken, *(f"{name}: failed: {error}" for name, error in failed.items())]:
        print(line)
    return 1 if broken or failed else 0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    known = ", ".join(CASES)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"any of: {known} (all)")
    parser.add_argument("--quick", action="store_true", help="short outages and few pages")
    parser.add_argument(
        "--json",
        type=Path,
        default=ROOT / "var" / "faults.json",
        help="where to write all values (var/faults.json)",
    )
    asked = parser.parse_args()
    if unknown := [name for name in asked.cases if name not in CASES]:
        parser.error(f"unknown case {unknown[0]!r}, must be one of: {known}")
    asked.cases = asked.cases or list(CASES)
    return asked


def write(found: dict[str, list[Figure]]) -> None:
    """Write the table into the document, between its two marks."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}{table(found)}{END}{after}")


def table(found: dict[str, list[Figure]]) -> str:
    """Return the figures as Markdown."""
    day = datetime.now(UTC)
    lines = [
        f"Measured on {day.day} {day:%B %Y}, on a machine with {os.cpu_count()} cores.",
        "",
        "| what is done | figure | measured | at most |",
        "|---|---|---|---|",
    ]
    for name, figures in found.items():
        done = CASES[name].__doc__
        for figure in figures:
            bound = "" if figure.bound is None else with_unit(figure.bound, figure.unit)
            measured = with_unit(figure.value, figure.unit)
            broken = "" if figure.kept else " **(broken)**"
            lines.append(f"| {done} | {figure.what} | {measured}{broken} | {bound} |")
            done = ""
    return "\n".join(lines) + "\n"


def with_unit(value: float, unit: str) -> str:
    """Return a value with its unit."""
    return f"{oracle.number(value)} {unit}".strip()


if __name__ == "__main__":
    sys.exit(main())
