"""`make audit` lists what production installs, and reports no safety that it did not check."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.servers import ROOT, python

AUDIT = ROOT / "requirements" / "audit.py"
SAFE = {"name": "django", "version": "5.2.19", "vulns": []}
UNKNOWN = {"name": "daphne", "skip_reason": "Dependency not found on PyPI"}
WEAK = {
    "name": "twisted",
    "version": "1.0",
    "vulns": [{"id": "CVE-2022-24801", "fix_versions": ["22.4.0"]}],
}


@pytest.mark.server
def test_without_the_advisories_the_packages_are_listed_and_nothing_is_called_safe(tmp_path: Path):
    closed = "http://127.0.0.1:9"  # nothing listens on the port of discard
    proxy = {"HTTPS_PROXY": closed, "https_proxy": closed, "NO_PROXY": "", "no_proxy": ""}
    cache = {"HOME": str(tmp_path), "PIP_CACHE_DIR": str(tmp_path)}  # an empty one
    output = python(str(AUDIT), **proxy, **cache)
    assert output.returncode == 2
    assert "can't read the advisory database, so nothing is known about all packages" in (
        output.stdout
    )
    assert "no advisory" not in output.stdout
    assert "Traceback" not in output.stdout + output.stderr
    listed = json.loads((ROOT / "var" / "sbom.json").read_text())["components"]
    lock = (ROOT / "requirements" / "prod.txt").read_text()
    names = set(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE))
    assert {each["name"] for each in listed} == names


@pytest.mark.parametrize(
    ("packages", "status", "line"),
    [
        ([SAFE], 0, "no advisory names one of the 1 locked packages"),
        ([SAFE, UNKNOWN], 2, "so nothing is known about 1 of 2 packages"),
        ([SAFE, WEAK, UNKNOWN], 1, "twisted 1.0: CVE-2022-24801, fixed in 22.4.0"),
    ],
)
def test_the_report_decides_the_status(
    packages: list[Any], status: int, line: str, capsys: pytest.CaptureFixture[str]
):
    assert runpy.run_path(str(AUDIT))["judge"](packages) == status
    assert line in capsys.readouterr().out
