"""Databases with the starter catalogue: made once, in a folder, and copied by each test."""

from __future__ import annotations

import atexit
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from tests.servers import Postgres, alone, manage

FEW = ["BTC-USD", "ETH-USD", "SOL-USD", "DOGE-USD", "ADA-USD", "SHIB-USD", "AAPL", "MSFT", "NVDA"]


@cache
def folder_of_process() -> Path:
    """Return the folder that TEST_TEMPLATES names, or another one until the end of the process."""
    if given := os.environ.get("TEST_TEMPLATES"):
        return Path(given)
    folder = Path(mkdtemp(prefix="quotes-templates-"))
    atexit.register(shutil.rmtree, folder)
    return folder


def sqlite(folder: Path) -> Path:
    """Return a database of SQLite, in one file without a -wal beside it."""
    path = folder / "template.sqlite3"
    with alone(folder):
        if not path.exists():
            draft = path.with_suffix(".draft")
            fill(f"sqlite:///{draft}")
            with closing(sqlite3.connect(draft)) as connection:
                connection.execute("PRAGMA journal_mode=DELETE")
            draft.rename(path)
    return path


def few(folder: Path, whole: Path) -> Path:
    """Return a copy of a database in which few symbols are active, so that each may move often."""
    copy = Path(shutil.copy(whole, folder / "few.sqlite3"))
    with closing(sqlite3.connect(copy)) as connection, connection:
        places = ", ".join("?" * len(FEW))
        connection.execute(f"UPDATE quotes_symbol SET active = code IN ({places})", FEW)
    return copy


def postgres(folder: Path, programs: Path) -> Path:
    """Return the folder of a database of PostgreSQL, for `Postgres`."""
    path = folder / "template.postgres"
    with alone(folder):
        if not path.exists():
            # not in pytest's folder, which each run of pytest that begins closes to other users
            with TemporaryDirectory(prefix="quotes-postgres-") as place:
                server = Postgres(programs, Path(place))
                server.start()
                try:
                    fill(server.url)
                finally:
                    server.stop()
                draft = path.with_suffix(".draft")
                shutil.rmtree(draft, ignore_errors=True)
                subprocess.run(["cp", "-a", server.data, draft], check=True)
            draft.rename(path)
    return path


def fill(url: str) -> None:
    """Make the tables, and load the starter catalogue."""
    manage("migrate", "--verbosity", "0", DATABASE_URL=url)
    manage("loadcatalogue", "--verbosity", "0", DATABASE_URL=url)
