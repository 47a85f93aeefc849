"""The first two minutes with a fresh clone: make, its errors, .env and the commands of the README.

The clones are copies of the tree. Their .venv has the packages of the Python that runs the tests,
so nothing is installed, except where a test states it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.servers import PATIENCE, ROOT, eventually, free_port
from tests.snippets import snippets

pytestmark = pytest.mark.server

PACKAGES = Path(sysconfig.get_path("purelib"))
REAL = sys.executable
VERSION = "{}.{}".format(*sys.version_info)
SHIM = "#!/bin/sh\necho 'pyenv: python3.11: command not found' >&2\nexit 127\n"
PRETEND = f'#!/bin/sh\nexec {REAL} -c "import sys; {{}}; exec(sys.argv[1])" "$2"\n'
OLD = PRETEND.format("sys.version_info = (3, 10, 1)")
BARE = PRETEND.format("sys.modules['ensurepip'] = None")
USABLE = f'#!/bin/sh\nexec {REAL} "$@"\n'
UNSET = ("DJANGO_", "QUOTES_", "PIP_", "PYTHON", "MAKE", "MFLAGS", "DATABASE_URL", "REDIS_URL")


class Clone:
    """A copy of the tree as it is now, without what git ignores."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():  # it may be deleted and not yet committed
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)

    @property
    def env_file(self) -> Path:
        """The settings of its machine."""
        return self.folder / ".env"

    def with_packages(self) -> Clone:
        """Give it a .venv as `make dev` leaves it."""
        self.with_pip()
        [packages] = (self.folder / ".venv" / "lib").glob("*/site-packages")
        (packages / "of-the-tests.pth").write_text(f"{PACKAGES}\n")
        shutil.copy(self.folder / "requirements" / "dev.txt", self.folder / ".venv")
        pytest_program = self.folder / ".venv" / "bin" / "pytest"
        python = self.folder / ".venv" / "bin" / "python"
        pytest_program.write_text(f"#!{python}\nimport pytest\nraise SystemExit(pytest.main())\n")
        pytest_program.chmod(0o755)
        return self

    def with_one_requirement(self) -> Clone:
        """Shorten the lock of the clone to the first package, so that pip is done quickly."""
        lock = self.folder / "requirements" / "dev.txt"
        lock.write_text(re.split(r"^(?=\w)", lock.read_text(), flags=re.MULTILINE)[1])
        return self

    def with_pip(self) -> Clone:
        """Give it a .venv with pip alone, which nothing was installed into."""
        make = [REAL, "-m", "venv", "--without-pip", ".venv"]
        subprocess.run(make, cwd=self.folder, check=True)
        [packages] = (self.folder / ".venv" / "lib").glob("*/site-packages")
        (packages / "pip").symlink_to(PACKAGES / "pip")
        return self

    def environment(self, **given: str) -> dict[str, str]:
        """Return the environment of a newcomer, without what that of the tests sets."""
        return {k: v for k, v in os.environ.items() if not k.startswith(UNSET)} | given

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it, without a terminal."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(**env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def manage(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run manage.py as the README does."""
        return self.run(".venv/bin/python", "manage.py", *arguments, **env)

    def make(self, *arguments: str, **env: str) -> list[str]:
        """Run make, which must fail; return the lines of its errors, without its own."""
        result = self.run("make", *arguments, **env)
        assert result.returncode == 2, result.stdout + result.stderr
        *lines, last = result.stderr.splitlines()
        assert re.fullmatch(r"make: \*\*\* \[.*\] Error 1", last)
        return lines


class Run:
    """A command of make in a clone, until it ends."""

    def __init__(self, clone: Clone, target: str = "run", **env: str) -> None:
        self.clone, self.port = clone, free_port()
        self.log = clone.folder / f"{target}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["make", target, f"PORT={self.port}"],
                cwd=clone.folder,
                env=clone.environment(**env),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def lines(self) -> list[str]:
        """The lines that a terminal would show."""
        return self.log.read_text().splitlines()

    def wait_for(self, line: str) -> None:
        """Wait until a line is written; fail if make ends first."""
        end = time.monotonic() + 6 * PATIENCE
        while line not in self.lines:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)

    def get(self, path: str) -> str:
        """Fetch a page."""
        return fetch(f"http://127.0.0.1:{self.port}{path}")

    def stop(self, number: int = signal.SIGINT) -> None:
        """End make and all that it runs, as CONTROL-C does."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        self.process.wait(PATIENCE)


@contextmanager
def making(clone: Clone, **env: str) -> Iterator[Run]:
    """Run `make dev` in a clone, and end it before it has made an environment."""
    made = Run(clone, "dev", **env)
    try:
        yield made
    finally:
        made.stop(signal.SIGKILL)


def fetch(url: str) -> str:
    """Fetch a page."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def last_prices(text: str) -> dict[str, str]:
    """Return the prices of a page or a message by symbol."""
    found = re.findall(r'data-symbol="([^"]*)".*?<data [^>]*value="([^"]*)"', text, re.DOTALL)
    return dict(found)


def program(folder: Path, name: str, script: str) -> str:
    """Write a program and return its path."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)
    return str(folder / name)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A clone without .venv."""
    return Clone(tmp_path / "clone")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """`make run` in a fresh clone, until a price has moved."""
    running = Run(Clone(tmp_path_factory.mktemp("used") / "clone").with_packages())
    address = f"127.0.0.1:{running.port}"
    try:
        running.wait_for(f"Serving on http://{address}/. Quit with CONTROL-C.")
        shown = last_prices(running.get("/boards/crypto/?from=the-test"))
        path = f"ws://{address}/ws/cryptoupdates/"
        with connect(path, origin=f"http://{address}", max_size=None) as page:
            while last_prices(page.recv(timeout=PATIENCE)).items() <= shown.items():
                pass
    finally:
        running.stop()
    return running


@pytest.fixture
def used(running: Run) -> Iterator[Clone]:
    """The clone in which `make run` has run; its .env is the same again afterwards."""
    written = running.clone.env_file.read_text()
    yield running.clone
    running.clone.env_file.write_text(written)


class TestMakeRun:
    def test_shows_the_address_first_and_then_a_line_for_each_step(self, running: Run):
        assert running.lines[:5] == [
            f"The site will be on http://127.0.0.1:{running.port} in a moment.",
            "writing .env: debug mode and a secret key for this machine",
            "updating the database",
            "catalogue.csv: 291 rows, 291 added, 0 updated, 0 unchanged",
            f"Serving on http://127.0.0.1:{running.port}/. Quit with CONTROL-C.",
        ]

    def test_ends_without_a_traceback(self, running: Run):
        assert not [line for line in running.lines if "Traceback" in line]

    @pytest.mark.parametrize("port", ["abc", "0", "-1", "99999", "", "80 81"])
    def test_names_a_port_that_is_not_valid(self, clone: Clone, port: str):
        [line] = clone.make("run", f"PORT={port}")
        assert line == f"PORT={port} is not a valid port: use a number from 1 to 65535"

    @pytest.mark.parametrize("target", ["run", "serve"])
    def test_names_a_port_that_is_taken_and_another_one(self, clone: Clone, target: str):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            [line] = clone.make(target, f"PORT={port}")
        assert line.startswith(f"port {port} is taken: use another one, for example make {target} ")

    def test_names_a_port_that_needs_more_rights(self, clone: Clone):
        first = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        if not first.exists() or int(first.read_text()) <= 80:
            pytest.skip("every user of this machine may listen on port 80")
        command = ["make", "run", "PORT=80"]
        if os.geteuid() == 0:
            command = ["setpriv", "--bounding-set", "-net_bind_service", *command]
        result = clone.run(*command)
        assert result.stderr.startswith("port 80 needs administrator rights: use another one")

    def test_finds_its_folder_from_anywhere(self, clone: Clone):
        result = clone.run("make", "-C", str(clone.folder), "run", "PORT=abc", PWD="/")
        assert "PORT=abc is not a valid port" in result.stderr


class TestMakeHelp:
    @pytest.mark.parametrize("arguments", [[], ["help"]], ids=["bare", "help"])
    def test_lists_every_command_with_its_purpose_and_installs_nothing(
        self, clone: Clone, arguments: list[str]
    ):
        shown = clone.run("make", *arguments)
        assert (shown.returncode, shown.stderr) == (0, "")
        listed = re.findall(r"^make (\w+) +\S.*$", shown.stdout, re.MULTILINE)
        [phony] = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert sorted(listed) == sorted(phony.split())
        assert not (clone.folder / ".venv").exists()


class TestThePython:
    @pytest.mark.parametrize(
        ("script", "fault"),
        [
            (SHIM, "does not run"),
            ("#!/bin/sh\n", "does not run"),
            (OLD, "is Python 3.10"),
            (BARE, "has no venv (on Debian: apt-get install python3.{}-venv)"),
        ],
        ids=["a shim", "another program", "too old", "without venv"],
    )
    def test_that_is_asked_for_and_unusable_is_named(
        self, clone: Clone, tmp_path: Path, script: str, fault: str
    ):
        python = program(tmp_path / "bin", "python3.12", script)
        [line] = clone.make("run", f"PYTHON={python}")
        fault = fault.format(sys.version_info.minor)
        assert line == f"{python} {fault}: set PYTHON to a Python of 3.11 or newer that has venv"

    def test_that_is_not_there_is_named(self, clone: Clone):
        [line] = clone.make("test", "PYTHON=python9.9")
        assert line.startswith("python9.9 is not installed: set PYTHON to a Python of 3.11")

    def test_is_the_first_usable_one(self, clone: Clone, tmp_path: Path):
        for name, script in (("python3.11", SHIM), ("python3.12", OLD), ("python3.13", USABLE)):
            program(tmp_path / "bin", name, script)
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        assert clone.run("requirements/find-python", PATH=path).stdout == "python3.13\n"

    def test_is_that_of_an_environment_that_is_there(self, clone: Clone):
        clone.with_pip()
        assert clone.run("requirements/find-python").stdout == ".venv/bin/python\n"

    def test_is_looked_for_with_all_faults_in_one_line(self, clone: Clone, tmp_path: Path):
        for name, script in (("python3.11", SHIM), ("python3.12", OLD), ("python3", BARE)):
            program(tmp_path / "bin", name, script)
        for name in ("dirname", "grep", "sh"):
            (tmp_path / "bin" / name).symlink_to(shutil.which(name) or "")
        result = clone.run("requirements/find-python", PATH=str(tmp_path / "bin"))
        assert result.returncode == 1
        [line] = result.stderr.splitlines()
        assert line.startswith(
            "no usable Python (python3.11 does not run, python3.12 is Python 3.1"
        )
        assert "python3.13 is not installed, python3 has no venv" in line
        assert line.endswith("install Python 3.11 or newer with venv, or set PYTHON to it")


class TestTheEnvironment:
    NO_INDEX = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}

    def test_without_a_network_is_not_made_and_the_reason_is_one_line(self, clone: Clone):
        index = f"http://127.0.0.1:{free_port()}/simple"
        env = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index, "PIP_RETRIES": "1"}
        [line] = clone.with_pip().make("dev", **env)
        assert line == "no network: pip can't reach its package index (more in .venv/pip.log)"
        assert index.removeprefix("http://")[:14] in (clone.folder / ".venv/pip.log").read_text()

    def test_that_pip_can_t_fill_is_reported_in_the_words_of_pip(self, clone: Clone):
        [line] = clone.with_pip().make("dev", **self.NO_INDEX)
        assert re.fullmatch(
            r"pip failed: ERROR: No matching distribution found for \S+ \(more in .venv/pip.log\)",
            line,
        )

    def test_that_has_all_packages_is_left_alone(self, clone: Clone):
        result = clone.with_packages().run("make", "dev", **self.NO_INDEX)
        assert (result.returncode, result.stderr) == (0, "")
        assert "install" not in result.stdout

    def test_of_a_new_lock_is_brought_up_to_date(self, clone: Clone):
        clone.with_packages().with_one_requirement()
        for lines in (["installing requirements/dev.txt into .venv, once ..."], []):
            result = clone.run("make", "dev", **self.NO_INDEX)
            assert result.returncode == 0, result.stderr
            assert [line for line in result.stdout.splitlines() if "install" in line] == lines

    @pytest.mark.parametrize("fault", ["has Python 3.10", "has no Python that runs, or no pip"])
    def test_of_another_python_or_none_is_made_again(self, clone: Clone, fault: str):
        script = "echo 3.10" if "3.10" in fault else "exit 127"
        (clone.folder / ".venv").mkdir()
        program(clone.folder / ".venv" / "bin", "python", f"#!/bin/sh\n{script}\n")
        with making(clone, PYTHON=REAL, **self.NO_INDEX) as made:
            made.wait_for(f".venv {fault}: making it again with Python {VERSION}")

    def test_that_lost_a_package_is_made_again(self, clone: Clone):
        clone.with_packages()
        [pth] = (clone.folder / ".venv" / "lib").glob("*/site-packages/of-the-tests.pth")
        pth.unlink()
        with making(clone, **self.NO_INDEX) as made:
            made.wait_for(f".venv has lost django: making it again with Python {VERSION}")

    def test_that_was_left_half_made_is_made_again_and_works(self, clone: Clone):
        clone.with_packages().with_one_requirement()
        (clone.folder / ".venv" / "unfinished").touch()
        result = clone.run("make", "dev", **self.NO_INDEX)
        assert result.stdout.splitlines() == [
            f".venv is incomplete: making it again with Python {VERSION}",
            "installing requirements/dev.txt into .venv, once ...",
        ]
        assert result.stderr.startswith("pip failed: ERROR: No matching distribution")
        assert clone.run(".venv/bin/python", "-m", "pip", "list").stdout.split()[4:5] == ["pip"]


class TestTheEnvFile:
    def test_is_for_one_user_and_has_a_key_of_its_own(self, clone: Clone, used: Clone):
        clone.with_packages().run("make", "dev")
        assert stat.S_IMODE(clone.env_file.stat().st_mode) == 0o600
        assert clone.env_file.read_text() != used.env_file.read_text()

    def test_of_a_developer_is_left_as_it_is(self, clone: Clone):
        clone.env_file.write_text("DJANGO_DEBUG=True\n")
        clone.with_packages().run("make", "dev")
        assert clone.env_file.read_text() == "DJANGO_DEBUG=True\n"

    def test_is_ignored_by_git(self):
        asked = ["git", "check-ignore", "--quiet", ".env"]
        assert subprocess.run(asked, cwd=ROOT, check=False).returncode == 0

    def test_gives_way_to_the_environment(self, used: Clone):
        used.env_file.write_text("DJANGO_DEBUG=on\nQUOTES_PROVIDERS=yaho\n")
        assert "Unknown provider 'yaho'" in used.manage("check").stderr
        assert used.manage("check", QUOTES_PROVIDERS="simulated").returncode == 0

    def test_is_not_read_if_the_environment_has_a_key(self, used: Clone):
        used.env_file.write_text("DJANGO_DEBUG=perhaps\n")
        assert used.manage("check", DJANGO_SECRET_KEY="long and random").returncode == 0

    @pytest.mark.parametrize(
        ("command", "address"), [("serve", "0.0.0.0:8000"), ("runserver", "[::]:8000")]
    )
    def test_is_refused_beyond_loopback(self, used: Clone, command: str, address: str):
        refused = used.manage(command, address, DJANGO_DEBUG="False")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr == (
            f"CommandError: can't listen on {address}: the settings come from {used.env_file}, "
            "which is for this machine only: set DJANGO_SECRET_KEY and the other variables in the "
            "environment\n"
        )

    def test_that_is_missing_is_reported_in_one_line(self, used: Clone):
        used.env_file.unlink()
        refused = used.manage("createsuperuser")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr == (
            "DJANGO_SECRET_KEY is empty: load the file that has it, set it to a long random text, "
            "or run “make setup” on a development machine.\n"
        )

    @pytest.mark.parametrize("text", [None, "QUOTES_PROVIDERS=yaho\nDATABASE_URL=nothing\n"])
    def test_changes_nothing_for_pytest(self, used: Clone, text: str | None):
        used.env_file.write_text(text) if text else used.env_file.unlink()
        result = used.run(".venv/bin/pytest", "-q", "tests/test_checks.py::TestTheDict")
        assert result.returncode == 0, result.stdout


class TestTheCommands:
    def test_of_the_readme_work_as_written(self, used: Clone):
        (used.folder / "my-symbols.csv").write_text(snippets("csv")[0])
        lines = "\n".join(snippets("sh", ROOT / "README.md")).splitlines()
        commands = [line.split() for line in lines if line.startswith(".venv/bin/python")]
        assert {"createsuperuser", "loadcatalogue"} <= {command[2] for command in commands}
        for command in commands:
            if command[2] == "createsuperuser":  # it asks on a terminal only
                command += ["--noinput", "--username=ada", "--email=ada@example.com"]
            result = used.run(*command, DJANGO_SUPERUSER_PASSWORD="of-the-test")
            assert result.returncode == 0, result.stderr
        assert "\nprovider simulated" in used.manage("doctor").stdout

    def test_of_operations_make_a_site_for_production(self, clone: Clone):
        clone.with_packages()
        block = snippets("sh", ROOT / "docs" / "operations.md")[0]
        made, account = "-m venv", "createsuperuser"
        lines = [line for line in block.splitlines() if made not in line and "/pip" not in line]
        *script, serve = [line + " --no-input" * (account in line) for line in lines]
        names = ("USERNAME", "EMAIL", "PASSWORD")
        given = {f"DJANGO_SUPERUSER_{name}": "ada@example.com" for name in names}
        ready = clone.run("sh", "-ec", "\n".join(script), **given)
        assert ready.returncode == 0, ready.stderr
        assert "291 rows, 291 added" in ready.stdout
        assert stat.S_IMODE((clone.folder / "quoteboard.env").stat().st_mode) == 0o600
        port = free_port()
        command = serve.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
        served = subprocess.Popen(
            ["sh", "-ec", f"set -a; . ./quoteboard.env; exec {command}"],
            cwd=clone.folder,
            env=clone.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            page = eventually(lambda: fetch(f"http://127.0.0.1:{port}/boards/crypto/"), "a page")
            assert 'data-symbol="BTC-USD"' in page
            [style] = re.findall(r'href="(/static/quotes/boards[^"]*)"', page)
            assert "--quotes-gain" in fetch(f"http://127.0.0.1:{port}{style}")
        finally:
            served.terminate()
            served.wait(PATIENCE)

    def test_without_packages_name_make(self, clone: Clone):
        clone.with_pip()
        refused = clone.manage("doctor")
        assert (refused.returncode, refused.stderr) == (
            1,
            "Django is not installed here: run “make setup”, then .venv/bin/python manage.py\n",
        )
