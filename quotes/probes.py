"""Probes: /healthz, /readyz and /metrics answer requests for any host, with or without TLS.

A monitor connects to the process itself. The address of the process is not a host of the site, and
it has no TLS. So these requests do not pass through the rest of the middleware.

LOGGING names the filter, and Django reads LOGGING before the apps. So nothing here imports models.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve
from django.utils.decorators import async_only_middleware

PROBES = ("healthz", "readyz", "metrics")

Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]


@async_only_middleware
def answer_probes(get_response: Handler) -> Handler:
    """Answer probes at once. Put this before SecurityMiddleware in MIDDLEWARE."""

    async def answered(request: HttpRequest) -> HttpResponse:
        view = probe(request.path_info)
        return await (view or get_response)(request)

    return answered


def probe(path: str) -> Handler | None:
    """Return the view of a path if it is a probe."""
    if path.rpartition("/")[2] not in PROBES:
        return None
    try:
        found = resolve(path)
    except Resolver404:
        return None
    return found.func if found.app_names == ["quotes"] else None


def is_error(record: logging.LogRecord) -> bool:
    """Filter of the logger `django.request`: a 503 of /readyz is a normal answer."""
    request = getattr(record, "request", None)
    is_answer = getattr(record, "status_code", None) == 503 and not record.exc_info
    return not is_answer or request is None or probe(request.path_info) is None
