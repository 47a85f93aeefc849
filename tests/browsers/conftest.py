"""Chromium, Firefox and WebKitGTK from Debian, and a site under uvicorn."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.browsers.windows import BidiWindow, Window
from tests.conftest import lacking
from tests.servers import PATIENCE, Site, eventually, find_chromium, free_port, listens, site

MINI_BROWSER = str(max(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"), default=""))
NEEDS = {  # programs, and the packages that have them
    "Chromium": (["chromedriver"], "chromium-driver"),
    "Firefox": (["firefox-esr", "Xvfb"], "firefox-esr xvfb"),
    "WebKitGTK": (["WebKitWebDriver", "Xvfb"], "webkit2gtk-driver xvfb"),
}
BRISK = {
    "DJANGO_SETTINGS_MODULE": "tests.browser.brisk",
    "SIMULATED_RATE": "120",
    "SIMULATED_SEED": "7",
}
opened: list[str] = []


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Report which browsers were opened."""
    terminalreporter.write_line(f"opened: {', '.join(opened) or 'no browser'}")


@pytest.fixture(scope="module", params=NEEDS)
def window(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Window]:
    """A window of each browser in turn."""
    programs, packages = NEEDS[request.param]
    if missing := [program for program in programs if shutil.which(program) is None]:
        lacking(", ".join(missing), packages)
    ways = {"Chromium": chromium, "Firefox": firefox, "WebKitGTK": webkit}
    with ways[request.param](tmp_path_factory.mktemp("profile")) as window:
        opened.append(f"{request.param} {window.version}")
        yield window


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory, few_symbols: Path) -> Iterator[Site]:
    """The site with a simulated market, and a fast pulse."""
    folder = tmp_path_factory.mktemp("market")
    with site(folder, few_symbols, "uvicorn", **BRISK) as running:
        yield running


@contextmanager
def running(*command: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program, and end it with its children."""
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    options = {"env": os.environ | env, "start_new_session": True} | output
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def screen() -> Iterator[dict[str, str]]:
    """Run a screen without a monitor; yield the environment of programs that use it."""
    with running("Xvfb", "-displayfd", "1", "-screen", "0", "1280x900x24") as server:
        assert server.stdout
        yield {"DISPLAY": f":{server.stdout.readline().strip()}", "MOZ_ENABLE_WAYLAND": "0"}


@contextmanager
def driven(program: str, wanted: dict[str, Any], **env: str) -> Iterator[Window]:
    """Run a driver program, and open a window behind it."""
    port = free_port()
    with (
        running(program, f"--port={port}", **env),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client,
    ):
        eventually(lambda: listens(port), f"{program} listens")
        window = Window(client, wanted)
        yield window
        client.delete(window.session)


@contextmanager
def chromium(_profile: Path) -> Iterator[Window]:
    options = {"binary": find_chromium(), "args": ["--headless", "--no-sandbox"]}
    with driven("chromedriver", {"goog:chromeOptions": options}) as window:
        yield window


@contextmanager
def firefox(profile: Path) -> Iterator[Window]:
    port = free_port()
    options = ("--remote-debugging-port", str(port), "--profile", str(profile))
    with screen() as env, running("firefox-esr", *options, **env):
        eventually(lambda: listens(port), "Firefox listens")
        with connect(f"ws://127.0.0.1:{port}/session", max_size=None) as socket:
            yield BidiWindow(socket)


@contextmanager
def webkit(_profile: Path) -> Iterator[Window]:
    wanted = {"webkitgtk:browserOptions": {"binary": MINI_BROWSER, "args": ["--automation"]}}
    with screen() as env, driven("WebKitWebDriver", wanted, **env) as window:
        yield window
