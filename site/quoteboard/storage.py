"""Storage: the static files that `collectstatic` collects, as small as they can be served."""

from __future__ import annotations

from typing import Any

from django.core.files.base import ContentFile
from rcssmin import cssmin
from servestatic.storage import CompressedManifestStaticFilesStorage


class Storage(CompressedManifestStaticFilesStorage):
    """Servestatic's storage, which leaves comments and spaces out of stylesheets."""

    def save(self, name: str, content: Any, max_length: int | None = None) -> str:
        """Store a file that was collected, and return its name."""
        if name.endswith(".css"):
            content = ContentFile(cssmin(content.read()))
        stored: str = super().save(name, content, max_length)
        return stored
