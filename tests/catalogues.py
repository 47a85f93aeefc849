"""Catalogues of languages that only a test has."""

from __future__ import annotations

import struct
from pathlib import Path

LANGUAGE = "the code of the language of this catalogue\x04en"  # with its context, as in a .mo file


def catalogue_of(folder: Path, language: str, **texts: str) -> Path:
    """Write a compiled catalogue, and return the entry of LOCALE_PATHS that has it."""
    path = folder / language / "LC_MESSAGES" / "django.mo"
    path.parent.mkdir(parents=True)
    path.write_bytes(compiled({LANGUAGE: language, **texts}))
    return folder


def compiled(texts: dict[str, str]) -> bytes:
    """Return texts as a .mo file: the lengths and places of all texts, then the texts."""
    pairs = sorted({"": "Content-Type: text/plain; charset=UTF-8\n", **texts}.items())
    table, body = b"", b""
    start = 28 + 16 * len(pairs)
    for text in (*(msgid for msgid, _ in pairs), *(msgstr for _, msgstr in pairs)):
        data = text.encode()
        table += struct.pack("<2I", len(data), start + len(body))
        body += data + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return head + table + body
