"""Settings of another site: addresses begin with the language, static files are on another host."""

from __future__ import annotations

import os

from tests.browser.brisk import *  # noqa: F403

ROOT_URLCONF = "tests.browser.moved_urls"
STATIC_HOST = os.environ["TEST_STATIC_HOST"]
STATIC_URL = f"{STATIC_HOST}/static/"
STATIC_ROOT = os.environ["TEST_STATIC_ROOT"]
for directive in ("style-src", "img-src"):
    CONTENT_SECURITY_POLICY["DIRECTIVES"][directive].append(STATIC_HOST)  # noqa: F405
