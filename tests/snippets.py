"""The code blocks of the documents, so that tests and scripts run what readers see."""

from __future__ import annotations

import re
from pathlib import Path

from tests.servers import ROOT

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def snippets(language: str, *paths: Path) -> list[str]:
    """Return the code blocks of a language in some documents, or in all."""
    text = "\n".join(path.read_text() for path in paths or DOCUMENTS)
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
