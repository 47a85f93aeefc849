"""Logins: what pages feel of attackers who try passwords, each time from another address."""

from __future__ import annotations

import http.client
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Thread
from urllib.parse import urlencode

from tests.benchmarks.bench import BOARD, Bench, Scene
from tests.benchmarks.crowd import milliseconds, percentiles
from tests.benchmarks.servers import HOST, SETTINGS, Server
from tests.servers import ROOT, environment

ATTACKERS = 20
SOCKETS, ROWS = 100, 10  # each row with a tick a second
WINDOW = 5.0  # seconds
TURNS = 5  # without and with attackers, because the load of a machine changes
SETTLE = 3.0  # seconds for the last logins that wait
EVERY = 0.05  # seconds between two requests for the board
PAGE = "/boards/bench/"
LOGIN = "/admin/login/"
TICK, ANSWER = "tick to page", "answer of the board"


def logins(bench: Bench) -> None:
    """Time ticks and pages without attackers, and with them, in turns."""
    title = f"{ATTACKERS} login attackers"
    with (
        bench.attempt(title),
        bench.crowded(
            bench.ours(ROWS, 60, DJANGO_SETTINGS_MODULE=SETTINGS), BOARD, SOCKETS
        ) as scene,
    ):
        taken = {when: Counter[int]() for when in ("without", "with")}
        for _ in range(1 if bench.quick else TURNS):
            taken["without"] += _measure(bench, scene, f"{title}: without")
            with attackers(scene.server) as answers:
                taken["with"] += _measure(bench, scene, f"{title}: with")
            bench.say(f"answers to attackers by status: {dict(answers)}")
            time.sleep(bench.seconds(SETTLE))
        for when, all_taken in taken.items():
            for part, value in percentiles(all_taken).items():
                bench.figures.add(f"{title}: {when}: {ANSWER}: {part}", "ms", value)
    for what in (TICK, ANSWER):
        names = (f"{title}: {when}: {what}: p99" for when in ("with", "without"))
        bench.figures.compare(f"{what}, p99, with {title} / without", *names)


def _measure(bench: Bench, scene: Scene, name: str) -> Counter[int]:
    ended = Event()
    with ThreadPoolExecutor(1) as pool:
        answers = pool.submit(_answers, scene.server.port, ended)
        try:
            seen = scene.watch(WINDOW, name, timed=True)
        finally:
            ended.set()
    for part, value in seen.crowd["latency"].items():
        bench.figures.add(f"{name}: {TICK}: {part}", "ms", value)
    return answers.result()


def _answers(port: int, ended: Event) -> Counter[int]:
    """Return the milliseconds of one request for the board after the other."""
    taken: Counter[int] = Counter()
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    while not ended.wait(EVERY):
        began = time.monotonic()
        connection.request("GET", PAGE)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        taken[milliseconds(time.monotonic() - began)] += 1
    return taken


@contextmanager
def attackers(server: Server) -> Iterator[Counter[str]]:
    """Let attackers try passwords in a process of their own; then count their answers."""
    answers: Counter[str] = Counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.logins", str(server.port)],
        env=environment(),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield answers
        given, _ = process.communicate("\n", timeout=60)
        answers.update(json.loads(given))
    finally:
        process.kill()
        process.communicate()


def attack(port: int) -> None:
    """Attack until a line comes in; then print the number of answers by status."""
    answers: Counter[str] = Counter()
    token = read_token(port)  # one is enough for all, forever
    for _ in range(ATTACKERS):
        Thread(target=try_passwords, args=(port, token, answers), daemon=True).start()
    sys.stdin.readline()
    print(json.dumps(answers.copy()), flush=True)


def read_token(port: int) -> str:
    """Return the token of the form."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    connection.request("GET", LOGIN)
    answer = connection.getresponse()
    answer.read()
    return answer.headers["Set-Cookie"].partition("=")[2].partition(";")[0]


def try_passwords(port: int, token: str, answers: Counter[str]) -> None:
    """Try one password after the other, whatever the answers are."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    while True:
        try:
            answers[attempt(connection, token)] += 1
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            answers[type(error).__name__] += 1


def attempt(connection: http.client.HTTPConnection, token: str) -> str:
    """Try a password from another address, and return the status of the answer."""
    number = random.randrange(1 << 24)
    given = {"username": "alice", "password": str(number), "csrfmiddlewaretoken": token}
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Cookie": f"csrftoken={token}",
        "X-Forwarded-For": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
    }
    connection.request("POST", LOGIN, urlencode(given), headers)
    answer = connection.getresponse()
    answer.read()
    return str(answer.status)


if __name__ == "__main__":
    attack(int(sys.argv[1]))
