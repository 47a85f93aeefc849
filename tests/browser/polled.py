"""Settings of a site under WSGI, with a fast poll, and with our tags in pages of its own."""

from __future__ import annotations

from tests.browser.brisk import *  # noqa: F403

ROOT_URLCONF = "tests.browser.elsewhere_urls"
ASGI_APPLICATION = None
QUOTES |= {"FEED": "external"}  # noqa: F405
