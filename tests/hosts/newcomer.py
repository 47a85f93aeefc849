"""`make newcomer`: from an empty folder to a moving price, as the README describes it.

It uses the oldest and the newest pair of Python and Django that this machine has, and packages of
the index, which uv keeps. It prints the steps and the seconds, and fails above a minute.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.hosts.projects import Project, build_wheel, new_environment
from tests.servers import PATIENCE, ROOT, find_chromium
from tests.snippets import snippets

README = ROOT / "README.md"
MOST = 60.0  # seconds
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SOME = '[data-symbol] [data-field="last"]'  # the price of a symbol
MOVED = f"(before) => document.querySelector('{SOME}').value !== before"


def edits() -> list[tuple[str, str, str]]:
    """Return the edits of the README: a file, the text to replace, and the new text."""
    settings, urls = snippets("python", README)[:2]
    assert "INSTALLED_APPS" in settings
    assert "urlpatterns" in urls
    return [
        ("mysite/settings.py", "INSTALLED_APPS = [", settings.partition("...")[0]),
        ("mysite/urls.py", "urlpatterns = [", urls.partition("...")[0]),
        ("templates/home.html", "TAG", snippets("django", README)[0].strip()),
    ]


def commands() -> list[list[str]]:
    """Return the commands of the README that set a site up, without `manage.py`."""
    lines = snippets("sh", README)[0].splitlines()
    return [line.removeprefix("python manage.py ").split() for line in lines]


def set_up(project: Project) -> Project:
    """Make the edits of the README in a project, and run its commands."""
    for name, old, new in edits():
        project.change(name, old, new)
    for command in commands():
        project.manage(*command)
    return project


def wait_for_a_move(url: str, chromium: str) -> list[str]:
    """Open a page in Chromium, and wait until its first price has moved; return its complaints."""
    from playwright.sync_api import sync_playwright

    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page()
        page.on("console", lambda each: complaints.append(f"{each.type}: {each.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        before = page.locator(SOME).first.get_attribute("value")
        page.wait_for_function(MOVED, arg=before, timeout=1000 * PATIENCE)
        browser.close()
    return complaints


def pairs() -> list[list[str]]:
    """Return the oldest and the newest pair of this machine: Python, Django, interpreter."""
    listed = subprocess.run(
        [ROOT / ".ci/matrix", "--list"], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listed.stdout.splitlines() if "/" in line]
    return [rows[0], rows[-1]]


def measure(django: str, python: str, wheel: Path, folder: Path, chromium: str) -> list[float]:
    """Return the seconds that pass until the environment, the site and the price are there."""
    begun, times = time.monotonic(), []
    made = new_environment(folder / ".venv", python, wheel, f"django=={django}.*")
    times.append(time.monotonic() - begun)
    project = set_up(Project(folder, made).start())
    times.append(time.monotonic() - begun)
    with project.served("manage.py", "runserver", "127.0.0.1:{port}"):
        complaints = wait_for_a_move(project.url, chromium)
    times.append(time.monotonic() - begun)
    assert complaints == [], complaints
    return times


def main() -> int:
    """Measure each pair, and print a row for it; return 1 if one takes too long."""
    chromium = find_chromium()
    assert chromium, "Chromium is missing: run .ci/packages"
    status = 0
    print("Python  Django  edits  commands  packages after  site after  price moves after")
    with TemporaryDirectory(prefix="quotes-newcomer-") as place:
        wheel = build_wheel(Path(place))
        for version, django, python in pairs():
            folder = Path(place) / f"{version}-{django}"
            seconds = measure(django, python, wheel, folder, chromium)
            installed, ready, moved = (f"{each:.1f} s" for each in seconds)
            steps = f"{len(edits()):5}  {len(commands()):8}"
            print(f"{version:6}  {django:6}  {steps}  {installed:>14}  {ready:>10}  {moved:>17}")
            status |= seconds[-1] > MOST
    return status


if __name__ == "__main__":
    sys.exit(main())
