"""Pages of errors that need more than their template."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views import csrf


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form without a valid token; in debug mode, Django's own page states the reason."""
    template = csrf.CSRF_FAILURE_TEMPLATE_NAME if settings.DEBUG else "csrf_failure.html"
    response: HttpResponse = csrf.csrf_failure(request, reason, template)
    return response
