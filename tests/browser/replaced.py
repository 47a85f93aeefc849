"""Settings of a site that replaces our templates by the least that must be in them."""

from __future__ import annotations

from tests.lean import *  # noqa: F403
from tests.servers import ROOT

TEMPLATES[0]["DIRS"].insert(0, ROOT / "tests" / "browser" / "replaced")  # noqa: F405
