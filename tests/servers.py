"""Real servers for tests: the site on a free port, with a database of its own."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 60.0  # seconds for anything that must happen, on a busy machine too
OWN = {"DJANGO_DEBUG": "True", "DJANGO_SECRET_KEY": "of-the-tests"}


def find_chromium() -> str | None:
    """Return the path of Chromium.

    The one without windows is preferred: it opens a page in a seventh of the processor's time.
    """
    names = ("chromium-headless-shell", "chromium", "chromium-browser")
    return next(filter(None, map(shutil.which, names)), None)


def find_postgres() -> Path | None:
    """Return the folder with the programs of PostgreSQL."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


def free_port() -> int:
    """Return a port that no other process of the tests gets until this one ends.

    A socket of UDP on the port marks it. Programs that do not ask for a port get none of these.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with (
            suppress(OSError),
            socket.create_server(("127.0.0.1", port)),
            socket.socket(type=socket.SOCK_DGRAM) as mark,
        ):
            mark.bind(("127.0.0.1", port))
            mark.detach()  # stays open
            return port


def eventually(happened: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Wait until something is true and return it; fail with `what` it was."""
    end = time.monotonic() + patience
    while True:
        try:
            if result := happened():
                return result
        except (OSError, AssertionError):
            pass
        if time.monotonic() > end:
            raise AssertionError(f"not within {patience:.0f} s: {what}")
        time.sleep(0.05)


async def until(happened: Callable[[], Any]) -> None:
    """Wait until something is true, while other tasks run."""
    async with asyncio.timeout(PATIENCE):
        while not happened():
            await asyncio.sleep(0.002)


def environment(**given: str) -> dict[str, str]:
    """Return the environment for a process of the project, without the variables of this process.

    It has a key, so the developer's .env is not read.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DJANGO_", "QUOTES_"))}
    path = os.pathsep.join([str(ROOT / "site"), str(ROOT)])
    base = {"PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "quoteboard.settings"}
    return kept | base | OWN | given


def manage(*arguments: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py and return its output."""
    return python(str(ROOT / "manage.py"), *arguments, check=check, **env)


def python(
    *arguments: str, check: bool = False, timeout: float = 120, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run Python and return its output."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment(**env),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=check,
        timeout=timeout,
    )


class Site:
    """The site as a process, under daphne or uvicorn; it can be killed and started again."""

    def __init__(self, folder: Path, server: str = "daphne", **env: str) -> None:
        self.folder, self.server, self.port = folder, server, free_port()
        self.env = {
            "DATABASE_URL": f"sqlite:///{folder / 'site.sqlite3'}",
            "DJANGO_SETTINGS_MODULE": "tests.lean",
            "SIMULATED_RATE": "20",  # ticks a minute and symbol: a third of the default
        } | env
        self.log = folder / "site.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address over HTTP, without a last slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        """Its address for sockets, without a last slash."""
        return f"ws://127.0.0.1:{self.port}"

    def begin(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), env=environment(**self.env), cwd=ROOT, stdout=log, stderr=log
            )

    def start(self) -> Site:
        """Start it and wait until it answers."""
        self.begin()
        eventually(self.answers, f"{self.server} answers; its log:\n{self.log.read_text()[-2000:]}")
        return self

    def command(self) -> list[str]:
        """Return the command line of the server."""
        command = ["runserver", "--noreload"] if self.server == "daphne" else ["serve"]
        return [sys.executable, "manage.py", *command, f"127.0.0.1:{self.port}"]

    def answers(self) -> bool:
        """Return whether it answers; fail at once if the process has ended."""
        if self.process is not None and self.process.poll() is not None:
            raise RuntimeError(f"the server ended:\n{self.log.read_text()[-3000:]}")
        return bool(self.get("/healthz"))

    def get(self, path: str, **headers: str) -> str:
        """Fetch a page."""
        request = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.read().decode()

    def end_of_log(self) -> str:
        """Return the last lines of its log, without those of files that never change."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join([line for line in lines if "GET /static/" not in line][-40:])

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run manage.py on its database."""
        return manage(*arguments, **self.env)

    def kill(self) -> None:
        """End it at once, as `kill -9` does."""
        self.end(signal.SIGKILL)

    def stop(self) -> bool:
        """Send it SIGTERM, and wait for its end; return whether it ended."""
        return self.end(signal.SIGTERM)

    def end(self, number: int) -> bool:
        """Send a signal to it, if it runs, and wait; return whether it ended."""
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return True
        process.send_signal(number)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False
        return True


class Runfeed:
    """`manage.py runfeed` beside a site, as a process with a log of its own."""

    def __init__(self, beside: Site, name: str) -> None:
        self.log = beside.folder / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "manage.py", "runfeed"],
                env=environment(**beside.env),
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    def ready(self) -> Runfeed:
        """Wait until it tries to take the lease."""
        eventually(lambda: "This process runs the feed" in self.output(), "the feed runs")
        return self

    def output(self) -> str:
        """Return its log."""
        return self.log.read_text()

    def signal(self, number: int) -> None:
        """Send it a signal; if that ends it, wait for the end."""
        self.process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.process.wait(PATIENCE)

    def stop(self) -> bool:
        """End it, even if it is paused; return whether SIGTERM was enough."""
        self.process.send_signal(signal.SIGCONT)
        try:
            self.signal(signal.SIGTERM)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            return False
        return True


@contextmanager
def site(folder: Path, template: Path, server: str = "daphne", **env: str) -> Iterator[Site]:
    """Run the site on a copy of a database."""
    shutil.copy(template, folder / "site.sqlite3")
    running = Site(folder, server, **env)
    try:
        yield running.start()
    finally:
        running.stop()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a lock of a folder, so that one process of the tests works in it at a time."""
    with (folder / "door").open("w") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        yield


_left: list[Site] = []  # other processes still use it; Python warns of a child that is forgotten


@contextmanager
def shared_site(folder: Path, template: Path, **env: str) -> Iterator[Site]:
    """Run one site for all processes of the tests: the first starts it and the last ends it."""
    folder.mkdir(exist_ok=True)
    known = folder / "known.json"
    with (folder / "users").open("w") as users:
        with alone(folder):
            fcntl.flock(users, fcntl.LOCK_SH)
            if known.exists():
                place, port, pid = json.loads(known.read_text())
                running = Site(Path(place), **env)
                running.port = port
            else:
                running = Site(Path(tempfile.mkdtemp(dir=folder)), **env)
                shutil.copy(template, running.folder / "site.sqlite3")
                assert running.start().process
                pid = running.process.pid
                known.write_text(json.dumps([str(running.folder), running.port, pid]))
        try:
            yield running
        finally:
            with alone(folder):
                if only_user(users):
                    known.unlink()
                    running.stop() if running.process else os.kill(pid, signal.SIGTERM)
                else:
                    _left.append(running)


def only_user(users: IO[str]) -> bool:
    """Return whether no other process holds this lock."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Command:
    """Another process of the tests, which prints a line when it is ready."""

    def __init__(self, *arguments: str, **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            env=environment(**env),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.ready = self.process.stdout.readline().strip()

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait(5)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Stub(Command):
    """The stub of Coinbase, or of another exchange, as a process."""

    def __init__(self, exchange: str = "coinbase") -> None:
        super().__init__("-m", f"tests.stubs.{exchange}", "--port", "0")
        self.port = int(self.ready)

    @property
    def settings(self) -> dict[str, str]:
        """The settings that make a site use it."""
        return {
            "QUOTES_PROVIDERS": "coinbase",
            "COINBASE_REST_URL": f"http://127.0.0.1:{self.port}",
            "COINBASE_WS_URL": f"ws://127.0.0.1:{self.port}",
        }

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return json.load(answer)

    def tick(self, last: str) -> None:
        self.ask(f"/_tick?product=BTC-USD&price={last}")

    def load(self) -> tuple[int, dict[str, int]]:
        """Return how many connections and requests it has had."""
        state = self.ask("/_state")
        return state["connects"], state["requests"]


class Daemon:
    """A server of the system, for one test, on loopback and a free port."""

    def __init__(self, command: list[str], **options: Any) -> None:
        self.command, self.options = command, options
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(self.command, **quiet, **self.options)

    def stop(self, number: int = signal.SIGINT) -> None:
        """End it and wait."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(20)
        self.process = None


def listens(port: int) -> bool:
    """Whether something accepts connections on a port."""
    with socket.create_connection(("127.0.0.1", port), 1):
        return True


class Redis(Daemon):
    """Redis, which keeps nothing."""

    def __init__(self, program: str) -> None:
        self.port = free_port()
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        super().__init__([program, *options, "--appendonly", "no"])

    @property
    def url(self) -> str:
        """Its address, as REDIS_URL takes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        super().start()
        eventually(lambda: listens(self.port), "Redis answers")

    def say(self, words: str) -> str:
        """Send it a command and return the first line of its answer."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as door:
            door.sendall(f"{words}\r\n".encode())
            return door.makefile().readline().strip()


class Postgres(Daemon):
    """PostgreSQL with an empty database, or with a copy of a stopped server's data.

    It refuses to run as root, so root lends it a user.
    """

    def __init__(self, programs: Path, folder: Path, template: Path | None = None) -> None:
        self.programs, self.port = programs, free_port()
        self.user = "postgres" if os.getuid() == 0 else None
        self.data = data = folder / "data"
        if self.user:
            for parent in (folder, *folder.parents[:3]):
                parent.chmod(parent.stat().st_mode | 0o011)
        if template:
            subprocess.run(["cp", "-a", template, data], check=True)
        else:
            self._make()
        where = ["-D", str(data), "-p", str(self.port), "-h", "127.0.0.1", "-k", str(data)]
        super().__init__([str(programs / "postgres"), *where, "-F"], user=self.user, cwd="/")

    def _make(self) -> None:
        data = self.data
        data.mkdir(mode=0o700)
        if self.user:
            shutil.chown(data, self.user)
        options = ["-D", str(data), "-U", "quotes", "--auth", "trust", "--no-sync"]
        options += ["--locale", "C.UTF-8"]  # its messages are in English wherever the tests run
        subprocess.run(
            [self.programs / "initdb", *options],
            user=self.user,
            check=True,
            capture_output=True,
            cwd="/",
        )

    @property
    def url(self) -> str:
        """Its address, as DATABASE_URL takes it."""
        return f"postgres://quotes@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it and wait until it answers."""
        super().start()
        command = [self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        eventually(lambda: not subprocess.run(command, check=False).returncode, "it answers")
