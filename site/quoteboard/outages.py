"""Answers of 503, which are no errors in the log: their causes are logged rarely."""

from __future__ import annotations

import logging


def is_error(record: logging.LogRecord) -> bool:
    """Filter of the logger `django.request`: each code that answers 503 logs the cause itself."""
    return getattr(record, "status_code", None) != 503
