"""Fixtures of the tests of candles."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def stored_only(settings: Any) -> None:
    """Let no price be simulated, because simulated candles are made and not stored."""
    settings.QUOTES = settings.QUOTES | {"PROVIDERS": ["kraken"]}
