"""The scripts that run the tests elsewhere: on other Pythons and Djangos, and at other times."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import lacking
from tests.servers import ROOT

pytestmark = pytest.mark.server
TIMES = """
import sqlite3, time
time.sleep(0.01)
print(time.time(), time.monotonic())
print(*sqlite3.connect(":memory:").execute("SELECT CURRENT_TIMESTAMP").fetchone())
"""


def pairs(path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """List the pairs of a machine that has the programs of a folder beside those of this one."""
    programs = os.pathsep.join([str(path), str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        [ROOT / ".ci" / "matrix", "--list"],
        env=os.environ | {"PATH": programs, "HOME": str(path)} | env,
        capture_output=True,
        text=True,
        check=False,
    )


def program(path: Path, text: str) -> Path:
    """Write a shell script that can be run."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_python_that_runs_is_listed_with_each_django_that_goes_with_it(tmp_path: Path):
    old = program(tmp_path / "python3.11", "echo 3.11.9")
    new = program(tmp_path / "python3.13", "echo 3.13.1")
    listed = [line.split() for line in pairs(tmp_path).stdout.splitlines()]
    assert [row for row in listed if str(old) in row] == [["3.11", "5.2", str(old)]]
    assert [row[1] for row in listed if str(new) in row] == ["5.2", "6.0", "6.1"]


def test_a_shim_without_an_interpreter_is_not_listed(tmp_path: Path):
    shim = program(tmp_path / "python3.13", "exit 127")
    output = pairs(tmp_path)
    assert output.returncode == 0
    assert str(shim) not in output.stdout
    assert "3.13" in output.stdout


def test_an_interpreter_of_the_variable_comes_first_and_must_run(tmp_path: Path):
    program(tmp_path / "python3.13", "echo 3.13.1")
    given = program(tmp_path / "mine", "echo 3.13.2")
    output = pairs(tmp_path, MATRIX_PYTHONS=str(given))
    assert f"3.13     5.2      {given} " in output.stdout
    assert "python3.13 " not in output.stdout
    output = pairs(tmp_path, MATRIX_PYTHONS=str(tmp_path / "nowhere"))
    assert output.returncode == 2
    assert f"{tmp_path / 'nowhere'} does not run Python" in output.stderr


def test_another_clock_moves_the_time_of_day_and_nothing_else(tmp_path: Path):
    if not shutil.which("cc"):
        lacking("A C compiler", "gcc libc6-dev")
    library = tmp_path / "clock.so"
    source = ROOT / ".ci" / "clock.c"
    subprocess.run(
        ["cc", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source], check=True
    )
    year = timedelta(days=365).total_seconds()
    clock = {"LD_PRELOAD": str(library), "CLOCK_AHEAD": f"{year:.0f}"}
    command = [sys.executable, "-c", TIMES]

    def read(env: dict[str, str]) -> tuple[float, float, datetime]:
        output = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
        times, day = output.splitlines()
        now, steady = map(float, times.split())
        return now, steady, datetime.fromisoformat(f"{day}+00:00")

    before, there, after = read({}), read(clock), read({})
    assert before[0] + year <= there[0] <= after[0] + year
    assert before[1] <= there[1] <= after[1]
    assert before[2] + timedelta(days=365) <= there[2] <= after[2] + timedelta(days=365)
