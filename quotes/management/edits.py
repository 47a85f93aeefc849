"""Edits of a site's own files, which `quotes_setup` shows and, with --write, makes."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from shutil import copymode
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.urls import NoReverseMatch, get_resolver, reverse

PREFIXES = ("market/", "quotes/", "live-quotes/")  # the first that the site does not use
IMPORT = "from django.urls import include, path"
ASGI = "from quotes.asgi import get_live_application"
# for an application that is not that of `startproject`, at the end of its file
AROUND = (
    "from quotes.routing import live_application",
    "application = live_application(application)",
)
SETTINGS = re.compile(r"""["']DJANGO_SETTINGS_MODULE["'], *["']([\w.]+)["']""")


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a Python file, and how it is stored."""

    text: str
    encoding: str = "utf-8"
    newline: str = "\n"

    @classmethod
    def read(cls, path: Path) -> Source:
        """Read a file as Python does."""
        with tokenize.open(path) as file:
            text = file.read()
            newline = file.newlines if isinstance(file.newlines, str) else "\n"
            return cls(text, file.encoding, newline)


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one file. Without `after` it can only be made by hand."""

    path: Path
    why: str
    lines: tuple[str, ...]  # to add by hand
    source: Source
    after: str = ""
    prefix: str = ""  # of our pages, if the edit includes them
    when: str = "To do"

    @property
    def diff(self) -> Iterator[str]:
        """The changed lines, each with - or + before it."""
        before, after = self.source.text.splitlines(), self.after.splitlines()
        changed = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]
        return (line for line in changed if not line.startswith("@@"))

    def write(self) -> None:
        """Write the file with the encoding and the ends of lines that it had, or not at all."""
        path = self.path.resolve()  # a link stays a link
        path.open("r+").close()  # a file that may not be written stays as it is
        with TemporaryDirectory(dir=path.parent) as folder:
            new = Path(folder) / path.name
            new.write_text(self.after, self.source.encoding, newline=self.source.newline)
            copymode(path, new)
            new.replace(path)


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
    source, used = Source.read(path), set(_routes(get_resolver().url_patterns))
    free = [each for each in PREFIXES if not any(route.startswith(each) for route in used)]
    prefix = free[0] if free else "…/"
    line = f'path("{prefix}", include("quotes.urls")),'
    after = included(source.text, line) if free else ""
    why = "our pages: the tags link to them, and request their socket there"
    return Edit(path, why, (IMPORT, line), source, after, prefix)


def of_asgi() -> Edit | None:
    """Return the edit that serves our sockets with any ASGI server; None if there is none to make.

    Only the file of `startproject` is edited. Our own commands serve the sockets without it.
    """
    named = getattr(settings, "ASGI_APPLICATION", None)
    package = settings.ROOT_URLCONF.rpartition(".")[0]
    path = _file(named.rpartition(".")[0] if named else f"{package}.asgi")
    if path is None:
        return None
    source = Source.read(path)
    if "live_application" in source.text:
        return None
    found = SETTINGS.search(source.text)
    line = f'application = get_live_application("{found[1] if found else ""}")'
    after = served(source.text, line) if found else ""
    why = "our sockets, for ASGI servers other than  manage.py serve"
    return Edit(path, why, AROUND, source, after, when="Before production,")


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
    lines = StringIO(text).readlines()  # as `ast` counts them: only \n ends a line
    at = patterns.lineno - 1
    column = _characters(lines[at], patterns.col_offset) + 1
    opening, rest = lines[at][:column], lines[at][column:]
    if rest.strip() and not rest.lstrip().startswith("#"):
        lines[at] = f"{opening}{line}{' ' if patterns.elts else ''}{rest}"
    else:
        lines.insert(at + 1, f"    {line}\n")
    edited = _with_import(lines, tree, patterns)
    return edited if _parsed(edited) else ""


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


def _routes(patterns: Iterable[Any], before: str = "") -> Iterator[str]:
    """Yield the beginnings of all addresses, as the patterns write them, without a ^."""
    for each in patterns:
        route = before + str(each.pattern).removeprefix("^")
        yield route
        yield from _routes(getattr(each, "url_patterns", ()), route)


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


def _with_import(lines: list[str], tree: ast.Module, patterns: ast.List) -> str:
    """Return the lines with `include` and `path` imported above the patterns."""
    above = [node for node in tree.body if node.lineno < patterns.lineno]
    imports = [node for node in above if isinstance(node, ast.Import | ast.ImportFrom)]
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
    docstring = above[:1] if ast.get_docstring(tree) else []
    last = max((node.end_lineno or node.lineno for node in [*imports, *docstring]), default=0)
    lines.insert(last, f"from django.urls import {', '.join(sorted(wanted))}\n")
    return "".join(lines)


def _is_plain(line: str) -> bool:
    """Return whether an import can be written again: it has no comment, and is on one line."""
    return not set(line) & set("#(;*\\")


def _characters(line: str, offset: int) -> int:
    """Return how many characters an offset in bytes is: `ast` counts bytes of UTF-8."""
    return len(line.encode()[:offset].decode())
