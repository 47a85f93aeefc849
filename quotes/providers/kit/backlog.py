"""The backlog of a stream: frames that have arrived and were not read yet.

If more frames arrive than this process can read, only the newest tick of each symbol is kept, so
that pages do not fall behind. Until then no frame is left out, because candles need each of them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection
from re import Pattern

from quotes.providers.kit.standing import Standing

Frame = str | bytes
Ticks = Callable[[str], Collection[str]]
MAX_FRAMES = 20_000  # that wait, of any kind
MAX_BYTES = 32 * 2**20  # of the waiting frames together
MAX_IN_FULL = 500  # frames that may wait before superseded ones are left out: 50 ms of work


def found_by(pattern: Pattern[str]) -> Ticks:
    """Return a function that finds the code in a frame with one tick."""

    def ticks(frame: str) -> Collection[str]:
        return found.groups() if (found := pattern.search(frame)) else ()

    return ticks


class Backlog:
    """Frames in their order of arrival.

    `ticks` returns the codes of the ticks in a frame. It returns nothing for a frame that must be
    read. A frame is superseded if there are later ticks of all its codes. A code may be followed by
    a space and the kind of the tick, if only ticks of that kind supersede it.
    """

    def __init__(self, ticks: Ticks, standing: Standing) -> None:
        self.ticks, self.standing = ticks, standing
        self.frames: deque[Frame] = deque()
        self.size = 0  # bytes of the waiting frames; of text, characters
        self.arrived = 0  # frames so far
        self.thin_at = MAX_IN_FULL
        self.due = 0  # frames to be read before superseded ones are searched again

    def __len__(self) -> int:
        return len(self.frames)

    def add(self, frame: Frame) -> None:
        """Add a frame that has just arrived."""
        self.frames.append(frame)
        self.size += len(frame)
        self.arrived += 1

    def is_full(self) -> bool:
        """Return whether no more frames fit."""
        return len(self.frames) >= MAX_FRAMES or self.size >= MAX_BYTES

    def pop(self) -> Frame:
        """Remove and return the oldest frame; leave out superseded ones if too many wait.

        All frames that a search kept are read before the next search. Otherwise, in a flood that
        does not end, a process with little time would only search.
        """
        if not self.due and len(self.frames) > self.thin_at:
            self._thin()
            self.due = len(self.frames)
        self.due = max(0, self.due - 1)
        frame = self.frames.popleft()
        self.size -= len(frame)
        return frame

    def _thin(self) -> None:
        seen: set[str] = set()
        kept: deque[Frame] = deque()
        skipped: Counter[str] = Counter()  # ticks, by code
        for frame in reversed(self.frames):
            ticks = self.ticks(frame) if isinstance(frame, str) else ()
            if ticks and seen.issuperset(ticks):
                skipped.update(tick.partition(" ")[0] for tick in ticks)
                continue
            seen.update(ticks)
            kept.appendleft(frame)
        self.standing.skip(skipped)
        self.frames, self.size = kept, sum(map(len, kept))
        # if no frame was superseded, do not search at each call
        self.thin_at = max(MAX_IN_FULL, 2 * len(kept))
