"""Settings with short pages, so that a board of few symbols has two, and a page of an error."""

from __future__ import annotations

from tests.lean import *  # noqa: F403

QUOTES |= {"PAGE_SIZE": 12}  # noqa: F405
ROOT_URLCONF = "tests.browser.paged_urls"
