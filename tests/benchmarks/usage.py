"""The processor time and memory of processes, as Linux reports them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

FINE = Path("/proc/self/schedstat").exists()  # not every kernel counts nanoseconds
TICKS = os.sysconf("SC_CLK_TCK")  # of utime and stime in a second


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the seconds of processor that processes used so far, all their threads together."""
    return sum(_cpu_seconds(pid) for pid in pids)


def _cpu_seconds(pid: int) -> float:
    if not FINE:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    nanoseconds = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            nanoseconds += int((thread / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


def resident_bytes(pids: Iterable[int]) -> int:
    """Return the memory that processes hold in RAM."""
    return sum(_resident_bytes(pid) for pid in pids)


def _resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


def with_children(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    pids = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            pids += with_children(int(child))
    return pids
