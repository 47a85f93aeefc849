"""Settings of a site that does less: two frames a second, and no candles from before its start."""

from __future__ import annotations

from quoteboard.settings import *  # noqa: F403

QUOTES |= {"BACKFILL": dict.fromkeys((60, 300, 3600, 86_400), 0), "PACE": 0.5}  # noqa: F405
