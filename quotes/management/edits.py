"""Edits of a site's own files, which `quotes_setup` shows and, with --write, makes."""

from __future__ import annotations

import ast
import difflib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.urls import NoReverseMatch, reverse

PREFIXES = ("market/", "quotes/", "live-quotes/")  # the first that the site does not use
IMPORT = "from django.urls import include, path"
ASGI = "from quotes.asgi import get_live_application"


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one file. Without `after` it can only be made by hand."""

    path: Path
    why: str
    lines: tuple[str, ...]  # to add by hand
    before: str
    after: str = ""
    prefix: str = ""  # of our pages, if the edit includes them

    @property
    def diff(self) -> Iterator[str]:
        """The changed lines, each with - or + before it."""
        changed = difflib.unified_diff(self.before.splitlines(), self.after.splitlines(), n=0)
        return (line for line in changed if not line.startswith(("---", "+++", "@@")))

    def write(self) -> None:
        """Write the file."""
        self.path.write_text(self.after, encoding="utf-8")


def missing() -> list[Edit]:
    """Return the edits that a site still needs: to include our pages, and to serve our sockets."""
    return [edit for edit in (of_urls(), of_asgi()) if edit]


def of_urls() -> Edit | None:
    """Return the edit that includes our pages; None if the site has them."""
    try:
        reverse("quotes:index")
    except NoReverseMatch:
        path = _file(settings.ROOT_URLCONF)
    else:
        return None
    if path is None:
        return None
    before = path.read_text(encoding="utf-8")
    prefix = next((each for each in PREFIXES if f'"{each}' not in before.replace("'", '"')), "")
    line = f'path("{prefix}", include("quotes.urls")),'
    why = "our pages, which the tags link to and request their socket from"
    return Edit(path, why, (IMPORT, line), before, included(before, line), prefix)


def of_asgi() -> Edit | None:
    """Return the edit that serves our sockets with any ASGI server; None if there is none to make.

    Only the file of `startproject` is edited. Our own commands serve the sockets without it.
    """
    package = settings.ROOT_URLCONF.rpartition(".")[0]
    path = _file(f"{package}.asgi") if package else None
    if path is None:
        return None
    before = path.read_text(encoding="utf-8")
    if "live_application" in before:
        return None
    line = f'application = get_live_application("{settings.SETTINGS_MODULE}")'
    why = "our sockets, for ASGI servers other than  manage.py serve"
    return Edit(path, why, (ASGI, line), before, served(before, line))


def pages(found: list[Edit]) -> str:
    """Return the path of our front page, now or after these edits."""
    try:
        return reverse("quotes:index")
    except NoReverseMatch:
        return "/" + next((edit.prefix for edit in found if edit.prefix), PREFIXES[0])


def included(text: str, line: str) -> str:
    """Return a `urls.py` with this line as the first of its urlpatterns.

    A later pattern may match any address. Return "" if there is no list to add it to.
    """
    tree = _parsed(text)
    patterns = _list_of_patterns(tree)
    if tree is None or patterns is None:
        return ""
    lines = text.splitlines(keepends=True)
    at, column = patterns.lineno - 1, _characters(lines[patterns.lineno - 1], patterns.col_offset)
    opening, rest = lines[at][: column + 1], lines[at][column + 1 :]
    on_one_line = patterns.lineno == patterns.end_lineno
    lines[at] = f"{opening}{line} {rest}" if on_one_line else f"{opening}\n    {line}{rest}"
    return _with_import(lines, tree)


def served(text: str, line: str) -> str:
    """Return the `asgi.py` of `startproject` with this line, or "" for any other."""
    old_import = "from django.core.asgi import get_asgi_application"
    old_line = "application = get_asgi_application()"
    lines = text.splitlines()
    if lines.count(old_import) != 1 or lines.count(old_line) != 1:
        return ""
    new = {old_import: ASGI, old_line: line}
    return "\n".join(new.get(each, each) for each in lines) + "\n"


def _file(module: str) -> Path | None:
    """Return the file of a module, without importing it."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    path = Path(spec.origin) if spec and spec.origin else None
    return path if path and path.suffix == ".py" and path.is_file() else None


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except SyntaxError:
        return None


def _list_of_patterns(tree: ast.Module | None) -> ast.List | None:
    for node in tree.body if tree else ():
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        if any(isinstance(each, ast.Name) and each.id == "urlpatterns" for each in targets):
            value = getattr(node, "value", None)
            while isinstance(value, ast.BinOp):  # [...] + i18n_patterns(...)
                value = value.left
            return value if isinstance(value, ast.List) else None
    return None


def _with_import(lines: list[str], tree: ast.Module) -> str:
    """Return the lines with `include` and `path` imported."""
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    bound = {alias.asname or alias.name for node in imports for alias in node.names}
    wanted = {"include", "path"} - bound
    if not wanted:
        return "".join(lines)
    for node in imports:
        of_urls = isinstance(node, ast.ImportFrom) and node.module == "django.urls"
        if of_urls and node.lineno == node.end_lineno and _is_plain(lines[node.lineno - 1]):
            names = [ast.unparse(each) for each in node.names]
            every = ", ".join(sorted({*names, *wanted}))
            lines[node.lineno - 1] = f"from django.urls import {every}\n"
            return "".join(lines)
    last = max((node.end_lineno or node.lineno for node in imports), default=0)
    lines.insert(last, f"from django.urls import {', '.join(sorted(wanted))}\n")
    return "".join(lines)


def _is_plain(line: str) -> bool:
    """Return whether nothing is lost if an import is written again: it has no comment."""
    return not set(line) & set("#(;\\")


def _characters(line: str, offset: int) -> int:
    """Return how many characters an offset in bytes is: `ast` counts bytes of UTF-8."""
    return len(line.encode()[:offset].decode())
