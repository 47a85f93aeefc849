"""Settings of a site with a brisk pulse: its pages doubt their sockets after two seconds."""

from __future__ import annotations

from tests.lean import *  # noqa: F403

QUOTES |= {"PULSE": 0.5}  # noqa: F405
