"""The log: one line for each record, whatever strangers send."""

from __future__ import annotations

import logging

import pytest
from django.conf import settings
from hypothesis import example, given
from hypothesis import strategies as st

from quotes.management.logs import MAX_MESSAGE, LineFormatter
from quotes.providers import ProviderError
from quotes.providers.kit.budgets import Budget, Plan
from quotes.providers.kit.standing import Standing
from quotes.quote.texts import one_line

FORGED = "no\n2026-11-29 12:00:00,000 INFO quotes: all is well\x1b[2J\u202edne\x07\u2028x"


def written(message: str, *args: object, error: Exception | None = None) -> list[str]:
    """Return the lines that the handler of the site writes for a record."""
    given = settings.LOGGING["formatters"]["line"]
    formatter = LineFormatter(given["format"], style=given["style"])
    record = logging.LogRecord("quotes", logging.INFO, "", 0, message, args, None)
    if error:
        record.exc_info = (type(error), error, error.__traceback__)
    return formatter.format(record).split("\n")


def test_a_strangers_text_adds_no_line_to_the_log() -> None:
    [line] = written("poll stopped: %s", FORGED)
    assert line.isprintable()
    assert line.endswith(r"all is well\x1b[2J\u202edne\x07 x")


def test_a_traceback_can_not_look_like_a_record() -> None:
    try:
        raise ValueError(FORGED)
    except ValueError as error:
        first, *others = written("could not render", error=error)
    assert first.endswith("quotes: could not render")
    assert len(others) > 3
    assert all(line.startswith("    ") and line.isprintable() for line in others)


def test_a_traceback_that_another_handler_has_written_is_written_again() -> None:
    try:
        raise ValueError(FORGED)
    except ValueError as error:
        raised = (ValueError, error, error.__traceback__)
        record = logging.LogRecord("quotes", logging.INFO, "", 0, "failed", (), raised)
    plain = logging.Formatter().format(record)
    lines = LineFormatter().format(record).split("\n")[1:]
    assert all(line.startswith("    ") and line.isprintable() for line in lines)
    assert logging.Formatter().format(record) == plain


def test_a_long_message_is_cut() -> None:
    [line] = written("%s", "x" * 10**6)
    assert len(line) == MAX_MESSAGE
    assert line.endswith("…")


@given(st.text(max_size=600))
@example("a" * 500 + "\n")
@example("\ud800")
@example("\x1b" * 500)
def test_any_text_becomes_one_short_printable_line(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert len(line) <= 500
    assert line == text or not text.isprintable() or len(text) > 500


@pytest.mark.parametrize("text", ["", "Kurs läuft", "株式 100 %", "it's “fine”"])
def test_a_printable_text_stays_as_it_is(text: str) -> None:
    assert one_line(text) == text


def test_the_words_of_a_source_are_on_one_line_in_errors_and_reasons() -> None:
    error = ProviderError("/prices answered")
    error.args = (f"/prices answered: {FORGED}",)  # as providers add the words of an answer
    assert str(error).isprintable()
    standing = Standing(Budget(Plan()))
    standing.drop("X", FORGED)
    standing.refuse("quotes", FORGED)
    assert standing.unknown["X"].isprintable()
    assert standing.refused("quotes").isprintable()
