"""The ways to send, each as a process of its own on loopback: ours, and its peers."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from tests.benchmarks.load import Load
from tests.benchmarks.usage import with_children
from tests.servers import ROOT, environment, eventually, free_port, listens

PRODUCTION = {
    "DJANGO_DEBUG": "False",
    "DJANGO_SECRET_KEY": "of-a-benchmark-on-loopback",
    # the crowd has one address
    "QUOTES_MAX_SOCKETS": "1000000",
    "QUOTES_MAX_SOCKETS_PER_ADDRESS": "1000000",
}
SETTINGS = "tests.benchmarks.settings"  # where those of the site won't do
HOST = "127.0.0.1"


class MissingError(Exception):
    """Raised when a program for a figure is missing; the message names the remedy."""


class Server:
    """A server process with what it starts, alive inside `with`."""

    process: subprocess.Popen[bytes] | None = None

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder, self.env, self.port = folder, env, free_port()
        self.log = folder / f"{type(self).__name__}-{self.port}.log"

    def command(self) -> list[str]:
        """Return the command line."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Return whether it accepts requests."""
        return listens(self.port)

    def begin(self) -> None:
        """Begin to send, unless it does so by itself."""

    @property
    def url(self) -> str:
        """Its address over HTTP, without a last slash."""
        return f"http://{HOST}:{self.port}"

    @property
    def pids(self) -> list[int]:
        """All its processes."""
        return with_children(self.process.pid) if self.process else []

    def __enter__(self) -> Self:
        """Start it, so that the terminal's Ctrl-C does not reach it, and wait until it answers."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command(),
                env=environment(**self.env),
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            eventually(self._answers, f"{self.command()} answers, see its log {self.log}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        """Kill it and all that it started."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _answers(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise RuntimeError(f"the server ended:\n{self.log.read_text()[-3000:]}")
        return self.answers()


class Ours(Server):
    """The site with its feed inside, on a database of its own, as in production."""

    def __init__(self, folder: Path, database: Path, rate: float, **env: str) -> None:
        copied = {"DATABASE_URL": f"sqlite:///{folder / 'site.sqlite3'}"}
        market = {"SIMULATED_RATE": str(rate), "SIMULATED_SEED": "7"}
        super().__init__(folder, **(PRODUCTION | copied | market | env))
        self.database = database

    def __enter__(self) -> Self:
        """Start it on a fresh copy of its database."""
        for leftover in self.folder.glob("site.sqlite3*"):
            leftover.unlink()
        shutil.copy(self.database, self.folder / "site.sqlite3")
        return super().__enter__()

    def answers(self) -> bool:
        """Whether it answers over HTTP, which starts the feed too."""
        return self._get("/healthz") == "ok"

    def counted(self, name: str) -> float:
        """Return one of the figures at /metrics, all its labels together."""
        lines = self._get("/metrics").splitlines()
        return sum(float(line.split()[-1]) for line in lines if re.match(rf"{name}[ {{]", line))

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=10) as response:
            text: str = response.read().decode()
            return text


class Uvicorn(Ours):
    """Ours as it is served in production."""

    def command(self) -> list[str]:
        """Return the command line."""
        return [sys.executable, "manage.py", "serve", f"{HOST}:{self.port}"]


class Daphne(Ours):
    """Ours as it is served in development, by the server that Channels brings."""

    def command(self) -> list[str]:
        """Return the command line."""
        return [sys.executable, "manage.py", "runserver", "--noreload", f"{HOST}:{self.port}"]


class Runfeed(Server):
    """The feed of a site, alone."""

    def command(self) -> list[str]:
        """Return the command line."""
        return [sys.executable, "manage.py", "runfeed"]

    def answers(self) -> bool:
        """Whether it leads."""
        return "leads the feed" in self.log.read_text()


class FeedBeside(Ours):
    """Quoteboard as several processes: one for the feed, one for the pages, and Redis between them.

    The processor time of the feed and of Redis is not counted, because the publishers to the peers
    are not counted either.
    """

    def __init__(self, folder: Path, database: Path, rate: float, **env: str) -> None:
        self.redis = Redis(folder)
        layer = {"REDIS_URL": f"redis://{HOST}:{self.redis.port}/0", "QUOTES_FEED": "external"}
        super().__init__(folder, database, rate, **(layer | env))
        self.feed = Runfeed(folder, **self.env)

    def answers(self) -> bool:
        """Whether it answers over HTTP; it is not well before its feed starts."""
        return self._get("/healthz") != ""

    def __enter__(self) -> Self:
        """Start Redis, the pages, and then the feed."""
        with ExitStack() as started:
            started.enter_context(self.redis)
            super().__enter__()
            started.push(super().__exit__)
            started.enter_context(self.feed)
            started.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        """Kill all three."""
        self.feed.__exit__(*error)
        super().__exit__(*error)
        self.redis.__exit__(*error)


class UvicornAlone(FeedBeside, Uvicorn):
    """A process of pages under uvicorn."""


class DaphneAlone(FeedBeside, Daphne):
    """A process of pages under daphne."""


class Textbook(Server):
    """A Channels group, under the server that Channels brings."""

    def __init__(self, folder: Path, load: Load) -> None:
        super().__init__(folder, **load.env())

    def command(self) -> list[str]:
        """Return the command line."""
        options = ["--ping-interval", "20", "--ping-timeout", "10", "--verbosity", "0"]
        where = ["--bind", HOST, "--port", str(self.port)]
        application = "tests.benchmarks.textbook:application"
        return [sys.executable, "-m", "daphne", *options, *where, application]


class Redis(Server):
    """Redis, which keeps nothing."""

    def command(self) -> list[str]:
        """Return the command line."""
        program = shutil.which("redis-server")
        if program is None:
            raise MissingError("install Redis: apt-get install redis-server")
        return [program, "--bind", HOST, "--port", str(self.port), "--save", ""]


class TextbookOnRedis(Textbook):
    """The same over Redis, whose layer costs less than the one in memory."""

    def __init__(self, folder: Path, load: Load) -> None:
        super().__init__(folder, load)
        self.redis = Redis(folder)
        self.env["REDIS_URL"] = f"redis://{HOST}:{self.redis.port}/0"

    @property
    def pids(self) -> list[int]:
        """All its processes, and Redis."""
        return super().pids + self.redis.pids

    def __enter__(self) -> Self:
        """Start Redis, and then it."""
        with ExitStack() as started:
            started.enter_context(self.redis)
            super().__enter__()
            started.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        """Kill both."""
        super().__exit__(*error)
        self.redis.__exit__(*error)


class Way(Server):
    """Uvicorn, with only one part of ours: a way to call `send` for all sockets."""

    way = ""

    def __init__(self, folder: Path, load: Load) -> None:
        super().__init__(folder, WAY=self.way, **load.env())

    def command(self) -> list[str]:
        """Return the command line."""
        options = ["--ws", "websockets-sansio", "--ws-per-message-deflate", "false"]
        where = ["--host", HOST, "--port", str(self.port), "--log-level", "warning"]
        return [
            sys.executable,
            "-m",
            "uvicorn",
            *options,
            *where,
            "tests.benchmarks.ways:application",
        ]


class InTurn(Way):
    """Awaits one `send` after the other."""

    way = "in_turn"


class ATaskEach(Way):
    """Makes a task of each `send`."""

    way = "a_task_each"


class Stepped(Way):
    """Steps each `send` once."""

    way = "stepped"


class Broadcast(Server):
    """The function `websockets.broadcast`."""

    def __init__(self, folder: Path, load: Load) -> None:
        super().__init__(folder, **load.env())

    def command(self) -> list[str]:
        """Return the command line."""
        return [sys.executable, "-m", "tests.benchmarks.broadcast", str(self.port)]


NGINX = """
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log stderr warn;
{user}
events {{ worker_connections {files}; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /subscribe {{
      nchan_subscriber websocket;
      nchan_channel_id quotes;
      nchan_subscriber_first_message newest;
    }}
    location = /publish {{
      nchan_publisher http;
      nchan_channel_id quotes;
    }}
  }}
}}
"""


class Nchan(Server):
    """Nginx with the Nchan module; the messages are posted to it from here."""

    def __init__(self, folder: Path, load: Load) -> None:
        super().__init__(folder)
        self.load, self.ended = load, threading.Event()
        self.publisher = threading.Thread(target=self._publish)
        self.program, module = find_nchan()
        self.config = folder / "nginx.conf"
        text = NGINX.format(
            module=module,
            files=load.visitors + 500,
            folder=folder,
            user="user root;" if os.getuid() == 0 else "",  # the folder is root's alone
            port=self.port,
        )
        self.config.write_text(text)

    def command(self) -> list[str]:
        """Return the command line."""
        return [self.program, "-p", str(self.folder), "-c", str(self.config)]

    def begin(self) -> None:
        """Begin to post messages."""
        self.publisher.start()

    def __exit__(self, *error: object) -> None:
        """Post no more, and kill it."""
        self.ended.set()
        if self.publisher.is_alive():
            self.publisher.join()
        super().__exit__(*error)

    def _publish(self) -> None:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        for due, message in self.load.schedule():
            if self.ended.wait(max(0.0, due - time.monotonic())):
                return
            connection.request("POST", "/publish", json.dumps(message))
            connection.getresponse().read()


def find_nchan() -> tuple[str, Path]:
    """Return the paths of nginx and of its Nchan module; raise MissingError without them."""
    advice = "install nginx with its Nchan module: apt-get install nginx-light libnginx-mod-nchan"
    program = shutil.which("nginx", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
    if program is None:
        raise MissingError(advice)
    result = subprocess.run([program, "-V"], capture_output=True, text=True, check=True).stderr
    paths = [
        each.partition("=")[2] for each in result.split() if each.startswith("--modules-path=")
    ]
    for path in paths:
        if (module := Path(path) / "ngx_nchan_module.so").exists():
            return program, module
    raise MissingError(advice)
