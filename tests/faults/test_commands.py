"""`make faults` and `make kills` in short: they measure, print a table, and write all values."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import lacking, postgres_programs
from tests.servers import python

pytestmark = pytest.mark.server


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(common_folder: Path) -> Run:
    """Return what runs a command of these tests."""
    if shutil.which("redis-server") is None:
        lacking("Redis", "redis-server")
    postgres_programs()
    return partial(python, "-m", timeout=300, TEST_TEMPLATES=str(common_folder))


def test_a_quick_case_measures_its_promises_and_keeps_them(run: Run, tmp_path: Path):
    out = tmp_path / "faults.json"
    ran = run("tests.faults", "feed-killed", "--quick", f"--json={out}")
    values = json.loads(out.read_text())
    figures = {each["what"]: each for each in values["cases"]["feed-killed"]}
    stopped = figures["until every page shows that prices stopped"]
    assert stopped["value"] > 0
    assert stopped["bound"] == 6
    assert figures["tracebacks in logs"]["value"] == 0
    assert stopped["what"] in ran.stdout
    # a busy machine can miss a bound of time; then the command reports it
    assert (ran.returncode == 0) == all(each["kept"] for each in figures.values())


def test_random_kills_are_judged_at_a_quiet_point(run: Run, tmp_path: Path):
    out = tmp_path / "kills.json"
    short = ("--minutes=0.2", "--every=12", "--pages=4", f"--json={out}")
    ran = run("tests.faults.kills", "--seed=3", *short)
    values = json.loads(out.read_text())
    assert values["seed"] == 3
    assert any("is started" in event or "goes on" in event for event in values["events"])
    figures = {each["what"]: each for each in values["figures"]}
    for what in (
        "times that went back on a page",
        "candles that differ in the end",
        "processes that do not run again",
    ):
        assert figures[what]["value"] == 0, figures[what]["seen"]
        assert what in ran.stdout
    assert "old rows that looked live" in figures  # on a busy machine there may be some
    assert figures["candles of the exchange"]["value"] > 0
    assert (ran.returncode == 0) == all(each["kept"] for each in values["figures"])


def test_an_unknown_case_is_refused_with_those_there_are(run: Run):
    ran = run("tests.faults", "feed-kiled")
    assert ran.returncode == 2
    assert "unknown case 'feed-kiled', must be one of: feed-killed, leaders" in ran.stderr
