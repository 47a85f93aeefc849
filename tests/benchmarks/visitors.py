"""Visitors: the crowd as the benchmarks see it, a process that follows orders."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from typing import Any, Self

from tests.benchmarks.servers import Server
from tests.servers import ROOT, environment

PATIENCE = 120.0  # seconds for an answer


class Visitors:
    """A crowd process, alive inside `with`."""

    def __enter__(self) -> Self:
        """Start it, so that the terminal's Ctrl-C does not reach it."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.crowd"],
            env=environment(),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_error: object) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()

    def ask(self, do: str, **given: Any) -> dict[str, Any]:
        """Send it an order, and return its answer when that is done."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        command = json.dumps({"do": do, **given}) + "\n"
        self.process.stdin.write(command.encode())
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        if not ready:
            raise RuntimeError(f"the crowd did not answer within {PATIENCE:.0f} s: {command}")
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the crowd ended: {command}")
        result: dict[str, Any] = json.loads(answer)
        return result

    def open(
        self, server: Server, path: str, sockets: int, in_flight: int = 32, **more: Any
    ) -> dict[str, Any]:
        """Let visitors in, with more that the crowd knows; fail unless all get in."""
        result = self.ask(
            "open", port=server.port, path=path, sockets=sockets, in_flight=in_flight, **more
        )
        if result["failed"]:
            raise RuntimeError(f"{result['failed']} of {sockets} sockets were refused")
        return result
