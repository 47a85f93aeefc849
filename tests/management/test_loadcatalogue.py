"""`manage.py loadcatalogue` as an operator runs it on a terminal."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT, environment
from tests.symbols import many_shares

pytestmark = pytest.mark.server


def begin(folder: Path, database_template: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Load a large file, on a terminal."""
    shutil.copy(database_template, folder / "site.sqlite3")
    (folder / "many.csv").write_text(many_shares(10_000))
    terminal, screen = pty.openpty()
    command = [sys.executable, "manage.py", "loadcatalogue", str(folder / "many.csv"), "-v", "0"]
    env = environment(DATABASE_URL=f"sqlite:///{folder / 'site.sqlite3'}")
    process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=screen, stderr=screen)
    os.close(screen)
    return process, terminal


def read_until(terminal: int, text: bytes) -> bytes:
    """Return what the terminal shows until a text."""
    shown = b""
    while text not in shown:
        shown += os.read(terminal, 10_000)
    return shown


def shares(folder: Path) -> int:
    """Return how many symbols of the file are in the database."""
    with sqlite3.connect(folder / "site.sqlite3") as database:
        found = database.execute("SELECT count(*) FROM quotes_symbol WHERE code LIKE 'MANY%'")
        return int(found.fetchone()[0])


@pytest.mark.parametrize("step", ["Reading the file", "Writing symbols"])
def test_control_c_stops_it_and_nothing_is_changed(
    tmp_path: Path, database_template: Path, step: str
):
    process, terminal = begin(tmp_path, database_template)
    read_until(terminal, f"{step}: 500 of 10,000 rows".encode())
    process.send_signal(signal.SIGINT)
    read_until(terminal, b"Stopped: nothing was changed.")
    assert process.wait(60) == 130
    os.close(terminal)
    assert shares(tmp_path) == 0


def test_it_shows_each_step_on_a_terminal(tmp_path: Path, database_template: Path):
    process, terminal = begin(tmp_path, database_template)
    shown = read_until(terminal, b"Putting symbols on boards: 10,000 of 10,000 rows").decode()
    steps = ("Reading the file", "Comparing the rows with the symbols", "Writing symbols")
    places = [shown.index(f"\r\x1b[K{step}: 10,000 of 10,000 rows") for step in steps]
    assert places == sorted(places)
    assert process.wait(60) == 0
    os.close(terminal)
    assert shares(tmp_path) == 10_000
