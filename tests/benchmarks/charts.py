"""Charts: the cost of many open ones, beside that of prices and of a board."""

from __future__ import annotations

import time

from tests.benchmarks.bench import BOARD, SETTLE, Bench
from tests.benchmarks.usage import resident_bytes

SYMBOLS = 20  # each with a tick a second
ROWS = 50  # of the board, likewise
VISITORS = 1000
WINDOW = 10.0  # seconds
DRAWN_AGAIN = 60.0  # seconds in which each chart is drawn again
CHARTS = f"{VISITORS:,} visitors of {SYMBOLS} charts of a day"
PRICES = f"{VISITORS:,} visitors of {SYMBOLS} prices"
A_BOARD = f"{VISITORS:,} visitors of a {ROWS}-row board"


def charts(bench: Bench) -> None:
    """Let visitors watch charts, then prices of the same symbols, then a board; all compressed."""
    codes = [f"S{number:03}-USD" for number in range(SYMBOLS)]
    drawn = [f"/ws/quotes/?chart=1d/{code}" for code in codes]
    _watch(bench, CHARTS, SYMBOLS, drawn, DRAWN_AGAIN)
    _watch(bench, PRICES, SYMBOLS, [f"/ws/quotes/?price={code}" for code in codes], WINDOW)
    _watch(bench, A_BOARD, ROWS, [BOARD], WINDOW)
    bench.figures.compare("CPU of the server, charts / prices", CHARTS, PRICES)


def _watch(bench: Bench, title: str, symbols: int, paths: list[str], seconds: float) -> None:
    with bench.attempt(title), bench.scene(bench.ours(symbols, 60), VISITORS) as scene:
        server, visitors = scene.server, scene.visitors
        time.sleep(bench.seconds(SETTLE))
        before = resident_bytes(server.pids)
        for path in paths:
            visitors.open(server, path, VISITORS // len(paths), compressed=True)
        time.sleep(bench.seconds(SETTLE))
        seen = scene.watch(seconds, title)
        received = seen.crowd["bytes"] / seen.seconds / VISITORS
        bench.figures.add(title, "% of a core", seen.cpu / seen.seconds * 100)
        bench.figures.add(f"{title}: one receives", "KB/s", received / 1000)
        bench.figures.add(f"{title}: memory before", "MB", before / 1e6)
        bench.figures.add(f"{title}: memory", "MB", seen.memory / 1e6)
