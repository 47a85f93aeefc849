"""Lines of the log, into which nobody can write a line of their own."""

from __future__ import annotations

import logging
from types import TracebackType

from quotes.quote.texts import one_line, printable

MAX_MESSAGE = 2000  # characters
INDENT = "    "  # of each line of a traceback

Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class LineFormatter(logging.Formatter):
    """Formatter of a handler: each record begins one line, and its traceback is indented.

    A text of a stranger in a message or an exception can't look like a record, or turn or move
    what a terminal shows.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as text, and not what another formatter made of its traceback."""
        of_others, record.exc_text = record.exc_text, None
        try:
            return super().format(record)
        finally:
            record.exc_text = of_others

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  name of the library
        """Return the line of a record."""
        return one_line(super().formatMessage(record), MAX_MESSAGE)

    def formatException(self, ei: Raised) -> str:  # noqa: N802  name of the library
        """Return the traceback of a record."""
        return indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802  name of the library
        """Return the stack of a record."""
        return indented(super().formatStack(stack_info))


def indented(text: str) -> str:
    """Return a text of several lines with each of them indented and printable."""
    return "\n".join(INDENT + printable(line) for line in text.splitlines())
