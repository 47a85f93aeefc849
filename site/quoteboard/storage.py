"""Storage: the static files that `collectstatic` collects, as small as they can be served."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from django.contrib.staticfiles import finders
from django.core.files.base import ContentFile
from rcssmin import cssmin
from servestatic.storage import CompressedManifestStaticFilesStorage

IMPORT = re.compile(r'@import "([^":]+)";')  # of a file beside this one


class Storage(CompressedManifestStaticFilesStorage):
    """Servestatic's storage, which makes stylesheets smaller.

    Imported stylesheets are put in place of their `@import`: one file is smaller than several,
    and is there at once. Comments and spaces are left out.
    """

    def save(self, name: str, content: Any, max_length: int | None = None) -> str:
        """Store a file that was collected, and return its name."""
        if name.endswith(".css"):
            content = ContentFile(cssmin(_with_imports(name, content.read().decode())))
        stored: str = super().save(name, content, max_length)
        return stored

    def post_process(self, paths: dict[str, Any], *args: Any, **options: Any) -> Iterator[Any]:
        """Hash the files as they were stored here, not as they were collected."""
        yield from super().post_process({name: (self, name) for name in paths}, *args, **options)


def _with_imports(name: str, text: str) -> str:
    def imported(match: re.Match[str]) -> str:
        beside = urljoin(name, match[1])
        found = finders.find(beside)
        return _with_imports(beside, Path(found).read_text()) if found else match[0]

    return IMPORT.sub(imported, text)
