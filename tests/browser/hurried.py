"""Settings with twenty frames a second: a minute of updates takes six seconds."""

from __future__ import annotations

from tests.lean import *  # noqa: F403

QUOTES |= {"PACE": 0.05}  # noqa: F405
