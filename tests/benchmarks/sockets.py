"""Sockets: the cost of an idle one, and the time in which many return."""

from __future__ import annotations

import time

from tests.benchmarks.bench import BOARD, SETTLE, Bench
from tests.benchmarks.servers import Daphne, Server, Uvicorn

NEVER = 0.01  # ticks a minute: one at the start, and then none for as long as this takes
BUSY = 60.0  # ticks a minute
QUIET_PRICE = "/ws/quotes/?price=S000-USD"
ROWS = 50
WARM_UP = 100  # sockets that come before memory is looked at

HELD = 1000  # sockets whose memory is measured
SERVERS = {"uvicorn": Uvicorn, "daphne": Daphne}

RETURNING = 2000  # visitors
IN_FLIGHT = 500  # that connect at a time

IDLE = 10_000  # sockets
HOLD = 30.0  # seconds


def memory(bench: Bench) -> None:
    """Measure the memory that a socket needs in the server."""
    for name, kind in SERVERS.items():
        with bench.attempt(f"an idle socket, {name}") as title:
            _add(bench, title, bench.ours(1, NEVER, kind), QUIET_PRICE)
        with bench.attempt(f"a socket of a busy {ROWS}-row board, {name}") as title:
            _add(bench, title, bench.ours(ROWS, BUSY, kind), BOARD)


def _add(bench: Bench, title: str, server: Server, path: str) -> None:
    with bench.scene(server, WARM_UP + HELD) as scene:
        scene.visitors.open(server, path, WARM_UP)
        before = scene.watch(SETTLE, title)
        scene.visitors.open(server, path, HELD)
        after = scene.watch(2 * SETTLE, title)
    bench.figures.add(title, "KB", (after.memory - before.memory) / HELD / 1000)


def returning(bench: Bench) -> None:
    """Let all visitors return to a busy board at once, as after a restart."""
    with bench.attempt(f"{RETURNING:,} visitors return to a {ROWS}-row board") as title:
        server = bench.ours(ROWS, BUSY)
        with bench.scene(server, RETURNING) as scene:
            time.sleep(SETTLE)
            rendered = server.counted("quotes_renders_total")
            result = scene.visitors.open(server, BOARD, RETURNING, in_flight=IN_FLIGHT, rows=ROWS)
            rendered = server.counted("quotes_renders_total") - rendered
        bench.figures.add(f"{title}: all are current after", "s", result["seconds"])
        bench.figures.add(f"{title}: one waits, p99", "ms", result["taken"]["p99"])
        bench.figures.add(f"{title}: rendered meanwhile", "templates", rendered)


def idle(bench: Bench) -> None:
    """Hold very many sockets that get only the pulse."""
    with bench.attempt(f"{IDLE:,} idle sockets") as title:
        with bench.crowded(bench.ours(1, NEVER), QUIET_PRICE, IDLE) as scene:
            seen = scene.watch(HOLD, title)
        bench.figures.add(f"{title}: held", "sockets", seen.crowd["held"])
        bench.figures.add(f"{title}: frames of one, least", "frames", seen.crowd["least"])
        bench.figures.add(f"{title}: frames of one, most", "frames", seen.crowd["most"])
        bench.figures.add(f"{title}: server", "% of a core", seen.cpu / seen.seconds * 100)
        bench.figures.add(f"{title}: server's memory", "MB", seen.memory / 1e6)
