"""Make .venv, install one of the locked sets into it and write .env, each if it is missing.

`make` runs this with the Python that requirements/find-python finds, before anything is installed:

    python requirements/install.py site 8000    for a server on port 8000
    python requirements/install.py dev
"""

from __future__ import annotations

import re
import secrets
import socket
import subprocess
import sys
from errno import EACCES
from itertools import count
from pathlib import Path
from shutil import copy, rmtree

ROOT = Path(__file__).resolve().parents[1]
SETS = ("site", "prod", "dev")  # each holds all of the one before it
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UNFINISHED = VENV / "unfinished"  # exists until .venv is made, and while pip installs
LOG = VENV / "pip.log"
# Without compiling: Python does so for each module at its first import, and most never have one.
PIP = ("-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-compile")
LOOK = """
import sys, pip
from importlib.util import find_spec
print("%d.%d" % sys.version_info[:2], *[each for each in ("django", "channels", "daphne", "httpx")
    if find_spec(each) is None])
"""  # a part of a package that somebody deleted is seen here, not when the site starts
NO_NETWORK = ("after connection broken by", "Read timed out", "IncompleteRead")
ENV_FILE = ROOT / ".env"
SETTINGS = """\
# Settings of this machine, written by make. Variables of the environment come first; if they
# include DJANGO_SECRET_KEY, this file is not read at all. See docs/configuration.md.
DJANGO_DEBUG=True
DJANGO_SECRET_KEY={key}
"""


def main(wanted: str, port: str | None = None) -> None:
    """Do each missing step, and print a line for it."""
    if port is not None:
        check(port, f"make {'run' if wanted == 'site' else 'serve'}")
        report(f"The site will be on http://127.0.0.1:{port} in a moment.")
    if fault := broken():
        make(fault)
    if not is_installed(wanted):
        install(wanted)
    if not ENV_FILE.exists():
        write_settings()


def check(port: str, command: str) -> None:
    """Exit with the reason if no server can listen on a port."""
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        sys.exit(f"PORT={port} is not a valid port: use a number from 1 to 65535")
    if error := listen(int(port)):
        reason = "needs administrator rights" if error.errno == EACCES else "is taken"
        free = next(each for each in count(8001) if not listen(each))
        sys.exit(f"port {port} {reason}: use another one, for example {command} PORT={free}")


def listen(port: int) -> OSError | None:
    """Listen on a port for a moment; return the error if that fails."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        return error
    return None


def broken() -> str:
    """Return why .venv must be made, or nothing."""
    if not VENV.exists():
        return "does not exist"
    if UNFINISHED.exists():
        return "is incomplete"
    try:
        result = subprocess.run([PYTHON, "-c", LOOK], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "has no Python that runs, or no pip"
    version, *missing = result.stdout.split()
    if missing and any(is_installed(name) for name in SETS):
        return f"has lost {missing[0]}"
    return "" if version == own_version() else f"has Python {version}"


def own_version() -> str:
    """Return the version of the Python that runs this: "3.11"."""
    return "{}.{}".format(*sys.version_info)


def make(fault: str) -> None:
    """Make .venv, empty."""
    again = " again" if VENV.exists() else ""
    report(f".venv {fault}: making it{again} with Python {own_version()}")
    rmtree(VENV, ignore_errors=True)
    VENV.mkdir(exist_ok=True)
    UNFINISHED.touch()
    base = getattr(sys, "_base_executable", sys.executable)  # .venv itself may run this
    result = run([base, "-m", "venv", str(VENV)])
    if result.returncode:
        sys.exit(f"can't make .venv: {last_line(result.stdout)}")


def is_installed(wanted: str) -> bool:
    """Whether a set, or one that holds it, was installed from the lock as it is now."""
    return any(
        (VENV / f"{name}.txt").is_file()
        and (VENV / f"{name}.txt").read_bytes() == lock_of(name).read_bytes()
        for name in SETS[SETS.index(wanted) :]
    )


def lock_of(name: str) -> Path:
    """Return the file with the versions and hashes of a set."""
    return ROOT / "requirements" / f"{name}.txt"


def install(wanted: str) -> None:
    """Install a set, and copy its lock into .venv to know it."""
    report(f"installing requirements/{wanted}.txt into .venv, once ...")
    UNFINISHED.touch()
    lock = lock_of(wanted)
    result = (wanted == "dev" and run_uv(lock)) or run_pip(lock)
    UNFINISHED.unlink()
    LOG.write_text(result.stdout)
    if result.returncode and any(words in result.stdout for words in NO_NETWORK):
        sys.exit("no network: pip can't reach its package index (more in .venv/pip.log)")
    if result.returncode:
        sys.exit(f"pip failed: {last_line(result.stdout)} (more in .venv/pip.log)")
    copy(lock, VENV)
    if installed := re.search(r"^Successfully installed (.*)", result.stdout, re.MULTILINE):
        report(f"installed {len(installed[1].split())} packages")
    elif installed := re.search(r"^Installed (\d+) packages", result.stdout, re.MULTILINE):
        report(f"installed {installed[1]} packages")
    if warnings := result.stdout.count("WARNING: "):
        report(f"pip printed {warnings} warnings, see .venv/pip.log")


def run_pip(lock: Path) -> subprocess.CompletedProcess[str]:
    """Install a lock with pip, and check the hash of each file."""
    return run([str(PYTHON), *PIP, "--require-hashes", "--requirement", str(lock)])


def run_uv(lock: Path) -> subprocess.CompletedProcess[str] | None:
    """Install a lock with the uv that it includes, in a tenth of pip's time; return None if not.

    uv reads other settings than pip, for example of a private package index.
    """
    only_uv, found = VENV / "uv.txt", re.search(r"^uv==.*(\n +.*)+", lock.read_text(), re.MULTILINE)
    only_uv.write_text(found[0] if found else "")
    if not found or run_pip(only_uv).returncode:
        return None
    command = ["-m", "uv", "pip", "install", "--no-progress", "--require-hashes"]
    result = run([str(PYTHON), *command, "--python", str(PYTHON), "--requirement", str(lock)])
    return None if result.returncode else result


def write_settings() -> None:
    """Write .env with a key of its own, for this user only."""
    report("writing .env: debug mode and a secret key for this machine")
    ENV_FILE.touch(mode=0o600)
    ENV_FILE.write_text(SETTINGS.format(key=secrets.token_urlsafe(40)))


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command and return its output, errors included."""
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def last_line(output: str) -> str:
    """Return the last line of an output, where programs put the error."""
    return (output.strip().splitlines() or ["no reason is given"])[-1]


def report(line: str) -> None:
    """Write a line at once."""
    print(line, flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        sys.exit(f"can't set up: {error}")
