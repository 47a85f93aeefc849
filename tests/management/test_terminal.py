"""Shared by long commands: a progress line on terminals, and a clean end on CONTROL-C."""

from __future__ import annotations

import subprocess
import sys
from io import StringIO

import pytest
from django.core.management.base import OutputWrapper

from quotes.management.terminal import INTERRUPTED, ProgressLine, stops_on_control_c
from tests.servers import ROOT, environment

CLEARED = "\r\x1b[K"


class Screen(StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_each_text_replaces_the_one_before():
    screen = Screen()
    progress = ProgressLine(OutputWrapper(screen))
    progress.show("1 of 2")
    progress.show("2 of 2")
    progress.clear()
    assert screen.getvalue() == f"{CLEARED}1 of 2{CLEARED}2 of 2{CLEARED}"


def test_a_long_text_fits_on_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "20")
    screen = Screen()
    ProgressLine(OutputWrapper(screen)).show("requesting the list of coinbase")
    assert screen.getvalue() == f"{CLEARED}requesting the list"


def test_nothing_is_written_to_a_file():
    file = StringIO()
    progress = ProgressLine(OutputWrapper(file))
    progress.show("1 of 2")
    progress.clear()
    assert file.getvalue() == ""


def test_control_c_clears_the_line_and_ends_with_the_code_that_shells_expect():
    screen, errors = Screen(), StringIO()
    progress = ProgressLine(OutputWrapper(screen))

    def work() -> None:
        with stops_on_control_c(progress, OutputWrapper(errors), "Stopped."):
            progress.show("1 of 2")
            raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        work()
    assert ended.value.code == INTERRUPTED == 130
    assert screen.getvalue().endswith(CLEARED)
    assert errors.getvalue() == "Stopped.\n"


@pytest.mark.server
def test_a_command_whose_reader_has_ended_ends_without_a_traceback():
    command = [sys.executable, "manage.py", "diffsettings", "--all"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(), cwd=ROOT, **pipes) as running:
        running.stdout.close()  # as “| head” does
        assert running.stderr.read() == b""
    assert running.returncode == 141
