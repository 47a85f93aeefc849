"""Parts of the tests with faults."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def listed(tmp_path: Path, few_symbols: Path) -> Path:
    """A folder with the database of a site."""
    shutil.copy(few_symbols, tmp_path / "site.sqlite3")
    return tmp_path
