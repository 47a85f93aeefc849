"""`make bench` in short: it measures, prints a table, and writes the figures to a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks import adapters
from tests.servers import python

pytestmark = pytest.mark.server


@pytest.mark.parametrize(
    ("group", "names"),
    [
        (
            "inside",
            [
                "rendering a row",
                "server time of a 50-row page",
                "server time of a symbol's page, chart of a year",
            ],
        ),
        ("search", ["server time of suggestions for a word, 20,000 symbols"]),
        ("adapters", [f"ticks from {name} to the layer, per core" for name in adapters.CODES]),
        ("logins", ["20 login attackers: with: answer of the board: p99"]),
        ("large", ["300 symbols on SQLite: ticks that were read"]),
        ("hour", ["an hour of 500 symbols: candles that equal a naive rebuild"]),
    ],
)
def test_a_quick_run_prints_a_table_and_writes_all_values(
    tmp_path: Path, group: str, names: list[str]
):
    out = tmp_path / "bench.json"
    ran = python("-m", "tests.benchmarks", group, "--quick", f"--json={out}")
    assert ran.returncode == 0, ran.stderr[-2000:]
    figures = json.loads(out.read_text())["figures"]
    for name in names:
        figure = figures[name]
        assert 0 < figure["min"] <= figure["median"] <= figure["max"]
        assert name in ran.stdout


def test_an_unknown_group_is_refused_with_those_there_are():
    ran = python("-m", "tests.benchmarks", "fanuot", timeout=60)
    assert ran.returncode == 2
    assert "unknown group 'fanuot', must be one of: inside, search, adapters" in ran.stderr
