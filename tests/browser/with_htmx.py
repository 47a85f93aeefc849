"""Settings of another site, whose own pages have htmx."""

from __future__ import annotations

import os

from tests.browser.brisk import *  # noqa: F403

QUOTES |= {"HTMX": {"2": 2, "4": 4}.get(os.environ["HTMX_OF_SITE"])}  # noqa: F405
ROOT_URLCONF = "tests.browser.with_htmx_urls"
