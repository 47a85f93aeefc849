"""Latency: how old a tick is when its row arrives at a visitor, by one clock."""

from __future__ import annotations

from tests.benchmarks.bench import BOARD, Bench, Seen
from tests.benchmarks.servers import Daphne, Ours, Uvicorn
from tests.benchmarks.visitors import Visitors

WINDOW = 5.0  # seconds
ROWS = 10  # each with a tick a second, which waits for the pace as on every board that moves
CROWDS: tuple[tuple[str, type[Ours], int], ...] = (
    ("uvicorn", Uvicorn, 100),
    ("uvicorn", Uvicorn, 1000),
    ("uvicorn", Uvicorn, 5000),
    ("daphne", Daphne, 1000),
)

STALLED_ROWS = 100
READING, STALLED = 950, 50  # visitors
QUIET, STUCK = 12.0, 60.0  # seconds before some stall, and after
TO_END = 15.0  # seconds until the visitors that read again are closed
SLOW = "4013"  # our close code for "too slow, try again later"


def latency(bench: Bench) -> None:
    """Time every row of a frame, at every visitor."""
    for name, server, sockets in CROWDS:
        with (
            bench.attempt(f"tick to page, {name}, {sockets:,} sockets") as title,
            bench.crowded(bench.ours(ROWS, 60, server), BOARD, sockets) as scene,
        ):
            _note(bench, title, scene.watch(WINDOW, title, timed=True))


def stalled(bench: Bench) -> None:
    """Let some visitors stop reading, and measure the cost for the server and the others."""
    with (
        bench.attempt(f"{STALLED} stalled beside {READING} others") as title,
        bench.crowded(bench.ours(STALLED_ROWS, 60), BOARD, READING + STALLED) as scene,
    ):
        before = scene.watch(QUIET, title, timed=True)
        scene.visitors.ask("stall", sockets=STALLED)
        during = scene.watch(STUCK, title, timed=True)
        _note(bench, f"{title}: tick to page, before", before)
        _note(bench, f"{title}: tick to page, meanwhile", during)
        bench.figures.add(f"{title}: memory", "MB more", (during.memory - before.memory) / 1e6)
        _count_ends(bench, title, scene.visitors)


def _note(bench: Bench, title: str, seen: Seen) -> None:
    for part, milliseconds in seen.crowd["latency"].items():
        bench.figures.add(f"{title}: {part}", "ms", milliseconds)


def _count_ends(bench: Bench, title: str, visitors: Visitors) -> None:
    result = visitors.ask("resume", patience=bench.seconds(TO_END))
    ends = dict(result["ends"])
    slow = ends.pop(SLOW, 0)
    bench.figures.add(f"{title}: closed with {SLOW}", "sockets", slow)
    bench.figures.add(f"{title}: closed otherwise", "sockets", sum(ends.values()))
    bench.figures.add(f"{title}: not closed", "sockets", result["open"])
    if ends:
        bench.say(f"closed otherwise: {ends}")
