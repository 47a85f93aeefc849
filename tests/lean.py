"""Settings of a site that does less: two frames a second, and no candles from before its start."""

from __future__ import annotations

import os

from quoteboard.settings import *  # noqa: F403

QUOTES |= {"BACKFILL": dict.fromkeys((60, 300, 3600, 86_400), 0), "PACE": 0.5}  # noqa: F405
if folder := os.environ.get("HTMX_COPY"):  # with another release of htmx: see .ci/htmx
    STATICFILES_DIRS = [folder]
    QUOTES |= {"HTMX_SCRIPTS": ["htmx.min.js", "ext/hx-ws.min.js"]}
