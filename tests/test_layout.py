"""Rules for the source tree: imports, names, and no JavaScript."""

from __future__ import annotations

import ast
import re
import subprocess
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
QUOTES = ROOT / "quotes"
ROOMS = """
kinds charts
quote conf sessions formats
providers fields limits codes htmx due
models
feed store alerts catalogue instruments
candles orders rules
shown boards checks
search watch
fragments
addresses graphs
live
embeds
visitors staff doctor consumers metrics templatetags apps
routing
asgi
views admin management probes testing
urls
"""  # a level on each line, from the ground up; some rooms do not exist yet
LEVEL = {room: level for level, line in enumerate(ROOMS.split("\n")) for room in line.split()}
YET_TO_COME = {"alerts", "visitors"}
MODULES = [path for path in sorted(QUOTES.rglob("*.py")) if "migrations" not in path.parts]
TEMPLATES = [each for name in ("templates", "site") for each in (ROOT / name).rglob("*.html")]
MARKUP = [*sorted(TEMPLATES), *MODULES]
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
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


NAMES = {name_of(path) for path in MODULES}


def imported(name: str) -> str:
    """Return the module that a dotted name is, or is in."""
    return name if name in NAMES else name.rpartition(".")[0]


GRAPH = {
    name_of(path): {imported(name) for name in imports(path) if imported(name) in NAMES}
    - {"quotes", name_of(path)}
    for path in MODULES
}


def room_of(module: str) -> str:
    return module.split(".")[1]


def files(*patterns: str) -> list[str]:
    """Return the files of the repository, those that are not yet committed included."""
    asked = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    return subprocess.run(
        asked, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()


def test_every_module_is_in_a_room_of_the_house():
    rooms = {module.split(".")[1] for module in GRAPH if module != "quotes"}
    assert rooms == LEVEL.keys() - YET_TO_COME


@pytest.mark.parametrize("module", sorted(GRAPH.keys() - {"quotes"}))
def test_imports_between_rooms_point_down_only(module: str):
    room = room_of(module)
    beside = {other for other in GRAPH[module] if room_of(other) != room}
    assert sorted(other for other in beside if LEVEL[room_of(other)] >= LEVEL[room]) == []


def test_imports_run_in_no_circle():
    TopologicalSorter(GRAPH).prepare()


@pytest.mark.parametrize(
    "module",
    sorted(
        name for name in GRAPH if name.partition(".")[2].split(".")[0] in ("providers", "sessions")
    ),
)
def test_providers_and_sessions_know_nothing_of_django_or_the_database(module: str):
    path = next(path for path in MODULES if name_of(path) == module)
    # one reads other people's tables over Django's connections, and still knows no model
    allowed = r"(?!\.db\b(?!\.models)|\.core\.exceptions)" if path.stem == "database" else ""
    above = r"quotes\.(?!(kinds|quote|sessions|providers)\b)"
    forbidden = re.compile(rf"django{allowed}|channels|asgiref|{above}")
    assert [name for name in imports(path) if forbidden.match(name)] == []


@pytest.mark.parametrize("path", sorted((QUOTES / "quote").glob("*.py")), ids=name_of)
def test_a_quote_knows_nothing_of_django(path: Path):
    assert not [name for name in imports(path) if name.startswith("django")]


@pytest.mark.parametrize("path", sorted((QUOTES / "charts").glob("*.py")), ids=name_of)
def test_charts_know_nothing_but_numbers_and_times(path: Path):
    forbidden = re.compile(r"(?!quotes\.charts\b)(quotes|django|channels|asgiref)\b")
    assert [name for name in imports(path) if forbidden.match(name)] == []


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
    assert importers == ["quotes.providers.kit.client"]


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


def test_the_top_of_the_app_has_at_most_23_modules():
    assert len(list(QUOTES.glob("*.py"))) <= 23


def test_every_test_of_a_room_is_named_after_a_module_in_it():
    named = {
        path.relative_to(ROOT / "tests")
        for folder in sorted(path for path in QUOTES.iterdir() if path.is_dir())
        for path in (ROOT / "tests" / folder.name).rglob("test_*.py")
    }
    known = {path.relative_to(QUOTES).with_name(f"test_{path.name}") for path in MODULES}
    known |= {path.parent.parent / path.name for path in known if path.parent.name == "commands"}
    known |= {Path("providers/test_contract.py"), Path("doctor/test_doctor.py")}  # of all in there
    known |= {Path("feed/test_fallback.py")}
    assert sorted(named - known) == []


def test_there_is_a_test_file_for_every_module_of_the_path():
    path = "addresses boards feed/feed formats fragments live/hub quote feed/records store"
    missing = [
        module
        for module in path.split()
        if not (ROOT / "tests" / module).with_name(f"test_{Path(module).name}.py").exists()
    ]
    assert missing == []
