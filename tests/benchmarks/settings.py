"""The site's settings, with a hundred rows on one page and static files by their plain names."""

from __future__ import annotations

from quoteboard.settings import *  # noqa: F403
from quoteboard.settings import QUOTES, STORAGES

QUOTES["PAGE_SIZE"] = 100
# so that pages can be rendered without debug, and without a build step
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
