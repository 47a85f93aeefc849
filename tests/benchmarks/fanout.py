"""Fan-out: the cost of delivery for our server, and for others that deliver the same."""

from __future__ import annotations

from collections.abc import Callable

from tests.benchmarks.bench import BOARD, Bench
from tests.benchmarks.load import Load
from tests.benchmarks.servers import (
    ATaskEach,
    Broadcast,
    DaphneAlone,
    InTurn,
    Nchan,
    Server,
    Stepped,
    Textbook,
    TextbookOnRedis,
    Uvicorn,
    UvicornAlone,
)

WINDOW = 5.0  # seconds

SOCKETS = 1000
PACE = 4  # messages a second
PRICE = "/ws/quotes/?price=S000-USD"
OURS = {
    "ours, uvicorn": UvicornAlone,
    "ours, daphne": DaphneAlone,
    "ours, uvicorn, feed inside": Uvicorn,
}
COMPRESSED = "ours, uvicorn, compressed"
PEERS: dict[str, tuple[Callable[..., Server], str]] = {
    "textbook": (Textbook, "/"),
    "textbook on Redis": (TextbookOnRedis, "/"),
    "uvicorn, awaited in turn": (InTurn, "/"),
    "uvicorn, a task each": (ATaskEach, "/"),
    "uvicorn, stepped": (Stepped, "/"),
    "websockets.broadcast": (Broadcast, "/"),
    "nginx with Nchan": (Nchan, "/subscribe"),
}

ROWS = 100  # of a board, each with a tick a second
MANY, FEW = 1000, 25  # visitors; the textbook can't carry many


def fanout(bench: Bench) -> None:
    """Send one message to all at our pace: a price, in about 500 bytes."""
    size = 0
    for name, ours in OURS.items():
        with bench.attempt(_frame(name)):
            size = _fan_out(bench, name, bench.ours(1, 60 * PACE, ours), PRICE)
    with bench.attempt(_frame(COMPRESSED)):
        server = bench.ours(1, 60 * PACE, UvicornAlone)
        _fan_out(bench, COMPRESSED, server, PRICE, compressed=True)
    load = Load(visitors=SOCKETS, symbols=1, rate=PACE, size=size)
    for name, (peer, path) in PEERS.items():
        with bench.attempt(_frame(name)):
            _fan_out(bench, name, peer(bench.folder, load), path)
    for name in (*OURS, COMPRESSED, *PEERS):
        for base in ("ours, uvicorn", "nginx with Nchan"):
            if name != base:
                ratio = f"CPU of a frame, {name} / {base}"
                bench.figures.compare(ratio, _frame(name), _frame(base))


def _fan_out(
    bench: Bench, name: str, server: Server, path: str, *, compressed: bool = False
) -> int:
    with bench.crowded(server, path, SOCKETS, compressed=compressed) as scene:
        seen = scene.watch(WINDOW, _frame(name))
    frames = seen.crowd["frames"]
    bench.figures.add(_frame(name), "µs of CPU", seen.cpu / frames * 1e6)
    bench.figures.add(f"{_frame(name)}: delivered", "frames/s", frames / seen.seconds)
    return int(seen.crowd["size"])


def _frame(name: str) -> str:
    return f"a frame to {SOCKETS:,} sockets, {name}"


def board(bench: Bench) -> None:
    """Show a board of which every row changes once a second."""
    textbook = Load(visitors=FEW, symbols=ROWS, rate=ROWS)
    _show(bench, "ours, uvicorn", MANY, lambda: bench.ours(ROWS, 60), BOARD)
    _show(bench, COMPRESSED, MANY, lambda: bench.ours(ROWS, 60), BOARD, compressed=True)
    _show(bench, "ours, uvicorn", FEW, lambda: bench.ours(ROWS, 60), BOARD)
    _show(bench, "textbook", FEW, lambda: Textbook(bench.folder, textbook), "/")
    ratio = f"CPU of a visitor, compressed / plain, {MANY:,} visitors"
    bench.figures.compare(ratio, _board(COMPRESSED, MANY), _board("ours, uvicorn", MANY))
    for visitors in (FEW, MANY):
        ratio = f"CPU of a visitor, textbook with {FEW} / ours with {visitors:,}"
        bench.figures.compare(ratio, _board("textbook", FEW), _board("ours, uvicorn", visitors))


def _show(
    bench: Bench,
    name: str,
    visitors: int,
    server: Callable[[], Server],
    path: str,
    *,
    compressed: bool = False,
) -> None:
    with (
        bench.attempt(_board(name, visitors)) as title,
        bench.crowded(server(), path, visitors, compressed=compressed) as scene,
    ):
        seen = scene.watch(WINDOW, title)
        cores = seen.cpu / seen.seconds
        bench.figures.add(title, "ms of CPU/s", cores / visitors * 1000)
        bench.figures.add(f"{title}: the server", "% of a core", cores * 100)
        received = seen.crowd["bytes"] / seen.seconds / visitors
        bench.figures.add(f"{title}: received", "KB/s", received / 1000)


def _board(name: str, visitors: int) -> str:
    return f"a visitor of a {ROWS}-row board, {name}, {visitors:,} visitors"
