"""The site's settings, with a hundred rows on one page, static files by their plain names, and no
candles from before the start, because these are made in the middle of a measurement."""

from __future__ import annotations

from quoteboard.settings import *  # noqa: F403
from quoteboard.settings import QUOTES, STORAGES

QUOTES["PAGE_SIZE"] = 100
QUOTES["BACKFILL"] = dict.fromkeys((60, 300, 3600, 86_400), 0)
# so that pages can be rendered without debug, and without a build step
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
