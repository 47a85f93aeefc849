"""Templates of a site that replace ours, and of which revision they are copies.

The first line of each template that a site may replace states its revision. A copy keeps this line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from django.template import TemplateDoesNotExist, TemplateSyntaxError
from django.template.loader import get_template

from quotes.conf import renamed

PACKAGE = Path(__file__).resolve().parents[1]
# in the wheel they are inside of the package, in our repository beside it
FOLDERS = (PACKAGE / "templates", PACKAGE.parent / "templates")
FOLDER = next(folder for folder in FOLDERS if (folder / "quotes").is_dir())
REVISION = re.compile(r"\{# (quotes/\w+\.\w+), revision (\d+) #\}")


class Override(NamedTuple):
    """A template of a site in place of ours."""

    name: str  # quotes/_row.html
    path: Path
    revision: int  # which it states; 0 if it states none
    ours: int  # 0 if a site may not replace it

    @property
    def is_current(self) -> bool:
        """Whether it is a copy of our newest revision."""
        return 0 < self.revision == self.ours

    @property
    def mark(self) -> str:
        """The first line of our template."""
        return f"{{# {self.name}, revision {self.ours} #}}"


def find() -> Iterator[Override]:
    """Yield the templates of the site that replace ours, and do not only extend them."""
    for path in sorted((FOLDER / "quotes").glob("*.*")):
        name = f"quotes/{path.name}"
        found = _found(name)
        where = Path(found.origin.name) if found else path
        source = getattr(found.template, "source", "") if found else ""
        extends = re.search(rf"{{%\s*extends\s+['\"]{name}['\"]", source)
        if not extends and FOLDER not in where.resolve().parents:
            yield Override(name, where, revision(name, source), revision(name, path.read_text()))


def old_names() -> list[str]:
    """Return the templates of the site that still have an old name of one of ours."""
    return [old for old in renamed.TEMPLATES if _found(old)]


def revision(name: str, source: str) -> int:
    """Return the revision that a template states, or 0."""
    return next((int(number) for of, number in REVISION.findall(source) if of == name), 0)


def _found(name: str) -> Any:
    try:
        return get_template(name)
    except (TemplateDoesNotExist, TemplateSyntaxError):  # which Django reports
        return None
