"""What must stay true of the tree: layers, names, and that nobody writes JavaScript."""

from __future__ import annotations

import ast
import re
import subprocess
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
QUOTES = ROOT / "quotes"
LEVELS = {  # imports point down, or sideways without a circle
    7: "routing urls",
    6: "consumers views metrics servers frames templatetags admin apps checks listings management",
    5: "live doctor",
    4: "leader feed sources pending records history archive backfill catalogue layer",
    3: "hub boards addresses limits configured",
    2: "providers store fragments shown formats candles",
    1: "quote models fields conf sessions",
}
LEVEL = {name: level for level, names in LEVELS.items() for name in names.split()}
MODULES = [path for path in sorted(QUOTES.rglob("*.py")) if "migrations" not in path.parts]
MARKUP = [*sorted((ROOT / "templates").rglob("*.html")), *MODULES]
EVENTS = "click|load|error|change|input|submit|focus|blur|key[a-z]+|mouse[a-z]+|pointer[a-z]+"


def name_of(path: Path) -> str:
    """Return a module's dotted name: quotes.providers.http."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Return the dotted names of all that a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            assert node.module
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


GRAPH = {
    name_of(path): {name for name in imports(path) if name in {name_of(m) for m in MODULES}}
    - {"quotes", name_of(path)}
    for path in MODULES
}


def level(module: str) -> int:
    return LEVEL[module.split(".")[1]]


def files(*patterns: str) -> list[str]:
    """Return the files of the repository, those that are not yet committed included."""
    asked = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    return subprocess.run(
        asked, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()


def test_every_module_has_its_level():
    known = {name.split(".")[1] for name in GRAPH if name != "quotes"}
    assert known - LEVEL.keys() == set()
    assert LEVEL.keys() - known == set()


@pytest.mark.parametrize("module", sorted(GRAPH.keys() - {"quotes"}))
def test_imports_point_down_only(module: str):
    assert [below for below in sorted(GRAPH[module]) if level(below) > level(module)] == []


def test_imports_run_in_no_circle():
    TopologicalSorter(GRAPH).prepare()


@pytest.mark.parametrize("module", sorted(name for name in GRAPH if "providers" in name))
def test_providers_know_nothing_of_django_or_the_database(module: str):
    path = next(path for path in MODULES if name_of(path) == module)
    # one reads other people's tables over Django's connections, and still knows no model
    allowed = r"(?!\.db\b(?!\.models)|\.core\.exceptions)" if path.stem == "database" else ""
    forbidden = re.compile(rf"django{allowed}|channels|asgiref|quotes\.(?!quote\b|providers\b)")
    assert [name for name in imports(path) if forbidden.match(name)] == []


def test_a_quote_knows_nothing_of_django():
    assert not [name for name in imports(QUOTES / "quote.py") if name.startswith("django")]


def test_the_app_imports_nothing_from_the_site():
    assert not [
        path
        for path in QUOTES.rglob("*.py")
        if any(name.partition(".")[0] in ("quoteboard", "site") for name in imports(path))
    ]


def test_the_app_imports_no_tests():
    assert not [p for p in MODULES if any(n.split(".")[0] == "tests" for n in imports(p))]


def test_the_sites_folder_is_no_package():
    # a package named site would shadow Python's own
    assert not (ROOT / "site" / "__init__.py").exists()


def test_httpx_is_imported_in_one_module_only():
    importers = [
        name_of(path)
        for path in MODULES
        if any(name.partition(".")[0] == "httpx" for name in imports(path))
    ]
    assert importers == ["quotes.providers.http"]


def test_nobody_wrote_javascript():
    suffixes = ("js", "mjs", "cjs", "ts", "jsx", "tsx", "coffee", "wasm")
    assert files(*(f"*.{suffix}" for suffix in suffixes)) == []


@pytest.mark.parametrize("path", MARKUP, ids=lambda path: str(path.relative_to(ROOT)))
def test_markup_has_no_script_and_no_style_of_its_own(path: Path):
    text = path.read_text()
    assert not re.search(r"hx-on\b|javascript:|[\"']js:", text)
    assert not re.search(rf"\bon(?:{EVENTS})\s*=\s*[\"'{{]", text)
    assert not re.search(r"\sstyle\s*=\s*\\?[\"']|<style\b", text)
    for script in re.findall(r"<script\b(.*?)</script>", text, re.DOTALL):
        assert re.fullmatch(r"[^>]*\ssrc=[^>]*>\s*", script)


def test_there_is_a_test_file_for_every_module_of_the_path():
    path = "addresses boards feed formats fragments hub quote records store catalogue checks"
    assert [n for n in path.split() if not (ROOT / "tests" / f"test_{n}.py").exists()] == []
