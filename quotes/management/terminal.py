"""Shared by commands: a progress line that replaces itself, and a clean end on CONTROL-C."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.core.management.base import OutputWrapper

INTERRUPTED = 130  # shells use this exit code for a program that SIGINT stopped
CLEAR_LINE = "\r\x1b[K"


class ProgressLine:
    """One line of a terminal in which each text replaces the one before.

    If the output is not a terminal, nothing is written.
    """

    def __init__(self, output: OutputWrapper) -> None:
        self.output = output

    def show(self, text: str) -> None:
        """Show a text, cut to the width of the terminal: a longer one could not be replaced."""
        if self.output.isatty():
            columns = shutil.get_terminal_size().columns - 1
            self.output.write(CLEAR_LINE + text[:columns], str, ending="")
            self.output.flush()

    def clear(self) -> None:
        """Empty the line, so that other output can use it."""
        self.show("")


@contextmanager
def stops_on_control_c(
    progress: ProgressLine, errors: OutputWrapper, text: str | Callable[[], str]
) -> Iterator[None]:
    """Print a text and exit with INTERRUPTED if CONTROL-C, or a cancelled task, ends the block."""
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError):
        progress.clear()
        errors.write(text if isinstance(text, str) else text())
        sys.exit(INTERRUPTED)
