"""Settings of a site that requests no candles from before its start; no page shows them."""

from __future__ import annotations

from quoteboard.settings import *  # noqa: F403

QUOTES |= {"BACKFILL": dict.fromkeys((60, 300, 3600, 86_400), 0)}  # noqa: F405
