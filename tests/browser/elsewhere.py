"""Settings of another site, with our tags in its own pages."""

from __future__ import annotations

from tests.lean import *  # noqa: F403

ROOT_URLCONF = "tests.browser.elsewhere_urls"
