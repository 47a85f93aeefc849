"""Write a list of what production installs, and compare all locked packages with advisories.

`make audit` runs this. It ends with 1 if a package has an advisory, and with 2 if that is unknown.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / "requirements"
SBOM, REPORT = ROOT / "var" / "sbom.json", ROOT / "var" / "audit.json"
LIST = ("cyclonedx_py", "requirements", str(LOCKS / "prod.txt"), "--output-reproducible")
AUDIT = ("pip_audit", "--disable-pip", "--require-hashes", "--requirement", str(LOCKS / "dev.txt"))
NOT_READ = "can't read the advisory database, so nothing is known about"


def main() -> int:
    """Write both files, print what was found, and return the exit status."""
    SBOM.parent.mkdir(exist_ok=True)
    listed = run(*LIST, "--output-file", str(SBOM))
    if listed.returncode:
        print(f"can't list the packages: {last_line(listed.stderr)}")
        return 2
    print(f"wrote {SBOM.relative_to(ROOT)}: the packages of requirements/prod.txt, as CycloneDX")
    REPORT.unlink(missing_ok=True)
    output = run(*AUDIT, "--progress-spinner", "off", "--format", "json", "--output", str(REPORT))
    if not REPORT.exists():
        print(last_line(output.stderr))
        print(f"{NOT_READ} all packages")
        return 2
    return judge(json.loads(REPORT.read_text())["dependencies"])


def judge(packages: list[dict[str, Any]]) -> int:
    """Print each advisory and how many packages were not compared; return the exit status."""
    skipped = [each for each in packages if "skip_reason" in each]
    found = [(each, advisory) for each in packages for advisory in each.get("vulns", [])]
    for package, advisory in found:
        fixed = ", ".join(advisory["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {advisory['id']}, fixed in {fixed}")
    if skipped:
        print(f"{NOT_READ} {len(skipped)} of {len(packages)} packages")
    elif not found:
        print(f"no advisory names one of the {len(packages)} locked packages")
    return 1 if found else 2 if skipped else 0


def last_line(output: str) -> str:
    """Return the last line of an output, which may be empty."""
    return (output.strip().splitlines() or ["no reason given"])[-1]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a module of this Python and return its output."""
    return subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=False
    )


if __name__ == "__main__":
    sys.exit(main())
