"""Probes: /healthz, /readyz and /metrics answer whichever host and scheme a monitor asks for.

A monitor asks the process itself: under its own address, which is no host of the site, and without
TLS. So these requests do not pass through the rest of the middleware.
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
    """Answer probes at once. This is the first entry of MIDDLEWARE."""

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


def is_no_probe(record: logging.LogRecord) -> bool:
    """Filter of the logger `django.request`: a 503 of /readyz is an answer and no error."""
    request = getattr(record, "request", None)
    return request is None or probe(request.path_info) is None
