"""Settings of a site that requests the candles of the last hours, to compare with an exchange's."""

from __future__ import annotations

from quoteboard.settings import *  # noqa: F403

QUOTES |= {"BACKFILL": {60: 0.1, 300: 0.1, 3600: 1, 86_400: 1}}  # noqa: F405
