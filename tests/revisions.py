"""The revisions of templates that a site may replace: `make revisions` raises those that changed.

revisions.txt has the revision of each template, and a digest of its text.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from quotes.conf.overrides import FOLDER, REVISION
from tests.servers import ROOT

RECORD = Path(__file__).with_name("revisions.txt")
DOCUMENT = ROOT / "docs" / "embedding.md"  # its examples state revisions, too

State = dict[str, tuple[int, str]]  # by name: the revision, and the digest


def current() -> State:
    """Return the revisions of the templates as they are now."""
    found = {}
    for path in sorted((FOLDER / "quotes").glob("*.*")):
        text = path.read_text()
        if mark := REVISION.match(text):
            digest = hashlib.sha256(text[mark.end() :].encode()).hexdigest()[:16]
            found[mark[1]] = (int(mark[2]), digest)
    return found


def recorded() -> State:
    """Return the revisions as they were recorded."""
    lines = (line.split() for line in RECORD.read_text().splitlines())
    return {name: (int(revision), digest) for name, revision, digest in lines}


def renew() -> None:
    """Raise the revision of each template that changed, and record all."""
    before = recorded()
    for name, (revision, digest) in current().items():
        known = before.get(name)
        if known and known[1] != digest and known[0] == revision:
            for path in (FOLDER / name, DOCUMENT):
                old, new = (
                    f"{{# {name}, revision {number} #}}" for number in (revision, revision + 1)
                )
                path.write_text(path.read_text().replace(old, new))
    lines = (f"{name} {revision} {digest}\n" for name, (revision, digest) in current().items())
    RECORD.write_text("".join(lines))


if __name__ == "__main__":
    renew()
