"""503 while a database does not answer; answers of 503 are left out of the errors in the log."""

from __future__ import annotations

import logging
import sqlite3

from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.deprecation import MiddlewareMixin

from quotes.limits.rarely import Rarely

logger = logging.getLogger(__name__)

RETRY_AFTER = "5"  # seconds
LASTING = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_READONLY)  # until an operator repairs the cause

rarely = Rarely()


class AnswerOutages(MiddlewareMixin):
    """Answers a request with 503 if its view needs a database that does not answer now."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return the page for an outage, or None for any other error."""
        return unavailable(error) if is_outage(error) else None


class Sessions(SessionMiddleware):
    """Sessions that are saved after the view, where `process_exception` is no longer called."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Save the session, or return the page for an outage."""
        try:
            return super().process_response(request, response)
        except (DatabaseError, InterfaceError, SessionInterrupted) as error:
            if not (outage := outage_behind(error)):
                raise
            return unavailable(outage)


def outage_behind(error: BaseException | None) -> BaseException | None:
    """Return the outage that caused an error: a locked session is reported as a deleted one."""
    while error and not is_outage(error):
        error = error.__context__
    return error


def is_outage(error: BaseException) -> bool:
    """Return whether a database does not answer now: it is locked, away or full.

    SQLite reports lasting faults by the same exception, such as an unknown table or a file that
    may not be written.
    """
    code = getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF  # without its details
    return isinstance(error, OperationalError | InterfaceError) and code not in LASTING


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
