"""`manage.py backfill` as an operator runs it, against the stub of Kraken."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers import ROOT, environment
from tests.stubs.kraken import Kraken

pytestmark = pytest.mark.server

COMMAND = [sys.executable, str(ROOT / "manage.py"), "backfill"]


@dataclass
class Shell:
    """Runs the command on a database of its own."""

    stub: Kraken
    database: Path
    providers: str = "kraken"

    @property
    def env(self) -> dict[str, str]:
        return environment(
            DATABASE_URL=f"sqlite:///{self.database}",
            QUOTES_PROVIDERS=self.providers,
            KRAKEN_REST_URL=self.stub.rest_url,
        )

    async def begin(self, *arguments: str, stdout: int) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *COMMAND, *arguments, env=self.env, cwd=ROOT, stdout=stdout, stderr=pipe
        )

    async def run(self, *arguments: str) -> tuple[int | None, str, str]:
        """Return the exit code, the standard output and the standard error."""
        running = await self.begin(*arguments, stdout=asyncio.subprocess.PIPE)
        output, errors = await running.communicate()
        return running.returncode, output.decode(), errors.decode()


@pytest.fixture
async def shell(tmp_path: Path, few_symbols: Path) -> AsyncIterator[Shell]:
    shutil.copy(few_symbols, tmp_path / "site.sqlite3")
    async with Kraken(heartbeat=60) as stub:
        yield Shell(stub, tmp_path / "site.sqlite3")


async def test_candles_are_counted_and_requested_once(shell: Shell) -> None:
    for words in (r"1/1 BTC-USD: \d+ candles\n", "1/1 BTC-USD: nothing new\n"):
        code, output, errors = await shell.run("BTC-USD", "--days", "0.1")
        assert re.match(words, output)
        assert (code, errors) == (0, "")


async def test_a_symbol_without_a_provider_of_candles_is_done(shell: Shell) -> None:
    shell.providers = "coingecko"
    code, output, errors = await shell.run("BTC-USD")
    assert (code, errors) == (0, "")
    assert "1/1 BTC-USD: none of its providers has candles\n" in output


async def test_a_simulated_symbol_needs_no_request(shell: Shell) -> None:
    shell.providers = "kraken,simulated"
    code, output, errors = await shell.run("AAPL")
    assert (code, errors) == (0, "")
    assert output == "1/1 AAPL: simulated, so its candles are made when they are shown\n"


async def test_missing_candles_are_reported_with_what_to_do(shell: Shell) -> None:
    shell.stub.mode = "unauthorized"
    code, output, errors = await shell.run("BTC-USD", "ETH-USD", "--days", "0.01")
    assert code == 1
    assert "2/2 ETH-USD: nothing new; some are still missing" in output
    assert "Candles are still missing for 2 of 2 symbols: BTC-USD, ETH-USD." in errors
    assert "The received candles are stored. Run the command again to request the rest." in errors
    assert shell.stub.requests["/0/public/OHLC"] == 1  # after a refusal nothing is requested


async def test_on_a_terminal_it_shows_where_it_is_and_control_c_ends_it(shell: Shell) -> None:
    shell.stub.mode = "slow"
    terminal, screen = pty.openpty()
    running = await shell.begin("BTC-USD", stdout=screen)
    os.close(screen)
    shown = await asyncio.to_thread(os.read, terminal, 1000)
    assert b"BTC-USD: one-minute candles from 20" in shown
    running.send_signal(signal.SIGINT)
    _, errors = await running.communicate()
    os.close(terminal)
    assert running.returncode == 130
    assert errors.decode().strip() == "Stopped. Run the command again to continue."
