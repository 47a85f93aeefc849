"""Encodings of forms: only UTF-8, as Django reads no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.utils.decorators import async_only_middleware

Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]


@async_only_middleware
def require_utf_8(get_response: Handler) -> Handler:
    """Answer 400 to a form in another encoding.

    Django reads a form first in its protection against forged requests. If that raises an error,
    the page of the error reads the form again, and a visitor would cause a 500.
    """

    async def answered(request: HttpRequest) -> HttpResponse:
        charset = (request.content_params or {}).get("charset", "utf-8")
        if charset.strip("\"' ").lower().replace("_", "-") in ("utf-8", "utf8"):
            return await get_response(request)
        return HttpResponseBadRequest("A form must be in UTF-8.", content_type="text/plain")

    return answered
