"""Settings with a fast pulse: pages show "Not live" after two seconds without one."""

from __future__ import annotations

from tests.lean import *  # noqa: F403

QUOTES |= {"PULSE": 0.5, "MAX_MESSAGES": 600}  # noqa: F405
