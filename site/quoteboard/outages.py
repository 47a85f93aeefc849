"""503 while a database does not answer; answers of 503 are left out of the errors in the log."""

from __future__ import annotations

import logging
import sqlite3

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.deprecation import MiddlewareMixin

from quotes.limits.rarely import Rarely

logger = logging.getLogger(__name__)

RETRY_AFTER = "5"  # seconds

rarely = Rarely()


class AnswerOutages(MiddlewareMixin):
    """Answers a request with 503 if its view needs a database that does not answer now."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return the page for an outage, or None for any other error."""
        return unavailable(error) if is_outage(error) else None


def is_outage(error: BaseException) -> bool:
    """Return whether a database does not answer now: it is locked, away or full.

    SQLite reports a fault of a query, such as an unknown table, by the same exception.
    """
    is_fault = getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
    return isinstance(error, OperationalError | InterfaceError) and not is_fault


def unavailable(error: BaseException) -> HttpResponse:
    """Return the page for an outage, and log its cause now and then."""
    if rarely.is_due("outage"):
        count = rarely.counts["outage"]
        logger.warning("refused a request without the database: %s (so far %d)", error, count)
    headers = {"Retry-After": RETRY_AFTER}
    return HttpResponse(render_to_string("503.html"), status=503, headers=headers)


def is_error(record: logging.LogRecord) -> bool:
    """Filter of the logger `django.request`: each code that answers 503 logs the cause itself."""
    return getattr(record, "status_code", None) != 503
