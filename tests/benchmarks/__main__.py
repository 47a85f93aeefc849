"""`make bench`: the cost of a tick from its source to the page, here and in other ways to send.

Prints one table and writes bench.json. Each figure is the minimum, median and maximum of several
rounds; all ways to send take their turn within each round, so that a machine that becomes slower
or faster does so for all. Compare figures of one run with each other; machines differ.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.benchmarks import (
    adapters,
    admin,
    browser,
    charts,
    day,
    fanout,
    hour,
    inside,
    large,
    latency,
    logins,
    search,
    sockets,
)
from tests.benchmarks.bench import Bench
from tests.servers import ROOT

Group = Callable[[Bench], None]
GROUPS: dict[str, Group] = {
    "inside": inside.inside,
    "search": search.search,
    "adapters": adapters.adapters,
    "hour": hour.hour,
    "fanout": fanout.fanout,
    "board": fanout.board,
    "charts": charts.charts,
    "latency": latency.latency,
    "memory": sockets.memory,
    "return": sockets.returning,
    "idle": sockets.idle,
    "stalled": latency.stalled,
    "logins": logins.logins,
    "browser": browser.browser,
    "admin": admin.admin,
    "large": large.large,
    "day": day.day,
}
LONG = ("large",)  # measured only if asked for
PACKAGES = ("channels", "daphne", "django", "uvicorn", "websockets")


def main() -> int:
    """Measure the chosen figures; return the exit code of the command."""
    asked = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = Bench(Path(folder), quick=asked.quick)
        try:
            for bench.figures.round in range(1, asked.rounds + 1):
                for name in asked.groups:
                    GROUPS[name](bench)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            return 128 + signal.SIGINT
    print(bench.figures.table())
    report = {**circumstances(), "rounds": asked.rounds, **bench.figures.report()}
    asked.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    return 1 if bench.figures.failures else 0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    known = ", ".join(GROUPS)
    parser.add_argument(
        "groups", nargs="*", metavar="GROUP", help=f"any of: {known} (all but large)"
    )
    parser.add_argument("--rounds", type=int, default=0, help="how often to measure all (3)")
    parser.add_argument("--quick", action="store_true", help="see in one round whether it works")
    parser.add_argument(
        "--json", type=Path, default=ROOT / "bench.json", help="where to write it all"
    )
    asked = parser.parse_args()
    if unknown := [name for name in asked.groups if name not in GROUPS]:
        parser.error(f"unknown group {unknown[0]!r}, must be one of: {known}")
    asked.groups = asked.groups or [name for name in GROUPS if name not in LONG]
    asked.rounds = asked.rounds or (1 if asked.quick else 3)
    return asked


def circumstances() -> dict[str, Any]:
    """Return the lines that name the machine, the commit and the day."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


if __name__ == "__main__":
    sys.exit(main())
