"""Settings of another site, which keeps pages and pieces of them in Django's cache."""

from __future__ import annotations

import os

from tests.lean import *  # noqa: F403

ROOT_URLCONF = "tests.browser.pieces_urls"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": os.environ["PIECES_CACHE"],
    }
}
