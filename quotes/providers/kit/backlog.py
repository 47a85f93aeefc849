"""The backlog of a stream: frames that have arrived and were not read yet.

If more frames arrive than this process can read, only the newest frame of each symbol is kept, so
that pages do not fall behind. Until then no frame is left out, because candles need each of them.
"""

from __future__ import annotations

from collections import deque
from re import Pattern

from quotes.providers.kit.standing import Standing

Frame = str | bytes
MAX_FRAMES = 20_000  # that wait, of any kind
MAX_BYTES = 32 * 2**20  # of the waiting frames together
MAX_IN_FULL = 500  # frames that may wait before superseded ones are left out: 50 ms of work


class Backlog:
    """Frames in their order of arrival; `key` finds the symbol in a frame that has one tick."""

    def __init__(self, key: Pattern[str], standing: Standing) -> None:
        self.key, self.standing = key, standing
        self.frames: deque[Frame] = deque()
        self.size = 0  # bytes of the waiting frames; of text, characters
        self.arrived = 0  # frames so far
        self.thin_at = MAX_IN_FULL

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
        """Remove and return the oldest frame; leave out superseded ones if too many wait."""
        if len(self.frames) > self.thin_at:
            self._thin()
        frame = self.frames.popleft()
        self.size -= len(frame)
        return frame

    def _thin(self) -> None:
        seen: set[str] = set()
        kept: deque[Frame] = deque()
        for frame in reversed(self.frames):
            found = self.key.search(frame) if isinstance(frame, str) else None
            if found and found[1] in seen:
                continue
            if found:
                seen.add(found[1])
            kept.appendleft(frame)
        self.standing.skip(len(self.frames) - len(kept))
        self.frames, self.size = kept, sum(map(len, kept))
        # if no frame was superseded, do not search at each call
        self.thin_at = max(MAX_IN_FULL, 2 * len(kept))
