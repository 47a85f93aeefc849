"""Django projects of somebody else, with the wheel and nothing else of this repository."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import PATIENCE, ROOT, eventually, free_port

UV = [sys.executable, "-m", "uv"]
HOME = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Home</title>
<link rel="icon" href="data:,">
<p>Bitcoin stands at TAG.</p>
</html>
"""
# what a site has before it knows of quotes: a page
PAGE = {
    "settings.py": '\nTEMPLATES[0]["DIRS"] = [BASE_DIR / "templates"]\n',
    "urls.py": "\nfrom django.views.generic import TemplateView\n\n"
    'urlpatterns += [path("", TemplateView.as_view(template_name="home.html"))]\n',
}


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this tree."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    return wheel


def new_environment(folder: Path, python: str, *packages: str | Path) -> str:
    """Make an environment with these packages from the index; return its Python."""
    subprocess.run([*UV, "venv", "--quiet", "--python", python, folder], check=True)
    made = str(folder / "bin" / "python")
    install = [*UV, "pip", "install", "--quiet", "--python", made]
    subprocess.run([*install, *map(str, packages)], check=True)
    return made


def borrowed_environment(folder: Path, wheel: Path) -> str:
    """Make an environment with the wheel, and all other packages of the tests."""
    subprocess.run([*UV, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    made = str(folder / "bin" / "python")
    install = [*UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", made]
    subprocess.run([*install, str(wheel)], check=True)
    [packages] = (folder / "lib").glob("*/site-packages")
    (packages / "of-the-tests.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return made


class Project:
    """A project as `startproject mysite` makes it, with a home page."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder, self.python, self.port = folder, python, free_port()
        unset = ("DJANGO_", "QUOTES_", "PYTHON", "DATABASE_URL", "REDIS_URL", "VIRTUAL_ENV")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(unset)}
        self.log = folder / "server.log"

    def start(self) -> Project:
        """Make its files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.run("-m", "django", "startproject", "mysite", ".")
        for name, text in PAGE.items():
            self.change(f"mysite/{name}", "", text)
        self.write("templates/home.html", HOME)
        return self

    @property
    def url(self) -> str:
        """Its address, without a last slash."""
        return f"http://127.0.0.1:{self.port}"

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run its Python, and return the output."""
        done = subprocess.run(
            [self.python, *arguments],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=4 * PATIENCE,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run its manage.py, and return the output."""
        return self.run("manage.py", *arguments, check=check)

    def read(self, name: str) -> str:
        """Return the text of a file."""
        return (self.folder / name).read_text()

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def change(self, name: str, old: str, new: str) -> None:
        """Replace a text of a file that occurs once; add to its end if `old` is empty."""
        text = self.read(name)
        assert not old or text.count(old) == 1, f"{old!r} in {name}:\n{text}"
        self.write(name, text.replace(old, new) if old else text + new)

    def get(self, path: str) -> str:
        """Fetch a page."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return answer.read().decode()

    @contextmanager
    def served(self, *command: str, ready: str = "/") -> Iterator[Project]:
        """Serve it with a command of its Python, until the end of the block."""
        with self.log.open("wb") as log:
            server = subprocess.Popen(
                [self.python, *(each.format(port=self.port) for each in command)],
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

        def answers() -> str:
            if server.poll() is not None:
                raise RuntimeError(f"the server ended:\n{self.log.read_text()}")
            return self.get(ready)

        try:
            eventually(answers, f"it answers; its log:\n{self.log.read_text()}")
            yield self
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(PATIENCE)
